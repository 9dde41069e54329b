"""What a spec must be as a whole: every state reached and left, every part used, every change of state told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from .forms import ANY_VERB, FRAME_FAULTS, Form, Template
from .link import changes, check_links, reachable, row_path
from .model import Spec, Timer, When
from .reading import Document, Path
from .tables import check_relations
from .view import SEEN, moves


def check(spec: Spec, document: Document) -> None:
    """Notes each fault of the whole in `document`; raises SpecError if there is one."""
    _check_states(spec, document)
    document.check()  # the rest needs the initial and the final state
    check_links(spec, document)
    check_relations(spec, document)
    _check_profiles(spec, document)
    _check_unlinked(spec, document)
    _check_told(spec, document)
    _check_used(spec, document)
    _check_replies(spec, document)
    _check_roles(spec, document)
    _check_client(spec, document)
    _check_times(spec, document)
    document.check()


def _check_states(spec: Spec, document: Document) -> None:
    for role in ("initial", "final"):
        holders = [state.name for state in spec.states.values() if getattr(state, role)]
        if len(holders) != 1:
            document.blame(("states",), f"exactly one state is {role}, not {len(holders)}", key=True)
            return
    if spec.initial == spec.final:
        document.blame(("states", spec.final), "a connection cannot begin at its end", key=True)
    edges = changes(spec)
    for name in spec.states.keys() - reachable(spec.initial, edges) - {spec.ending.to}:
        document.blame(("states", name), f"no request leads to the state {name}", key=True)
    for name in spec.live_states:
        if spec.final not in reachable(name, edges):
            document.blame(("states", name), f"no request leads from {name} to {spec.final}", key=True)
    if spec.ending.to != spec.final:
        document.blame(("ending", "to"), f"a connection ends in {spec.final}")
    for path, states in _lists_of_states(spec):
        if states is not None and spec.final in states:
            document.blame(path, f"in {spec.final} nothing is counted, timed or linked")


def _lists_of_states(spec: Spec) -> Iterator[tuple[Path, frozenset[str] | None]]:
    yield ("link", "held_in"), spec.link.held_in
    yield from ((("budgets", index, "in"), budget.states) for index, budget in enumerate(spec.budgets))
    yield from ((("timers", timer.name, "in"), timer.states) for timer in spec.timers.values())


def _check_unlinked(spec: Spec, document: Document) -> None:
    """A connection has a partner only in a state that holds the link."""
    linked = set(spec.linked_states)
    for state, outcome in spec.outcomes():
        moved = [(state, outcome.to)]
        if outcome.partner is not None:
            moved += [(source, outcome.partner.to) for source in spec.partner_states(outcome.partner)]
        if not outcome.does("unlink") and any(source in linked and to not in {None, *linked} for source, to in moved):
            reason = f"{outcome.name} leaves a state that holds the link, so it must unlink"
            document.blame(row_path(spec, document, state, outcome), reason)


def _check_told(spec: Spec, document: Document) -> None:
    """A client moves only on what it receives, so each change of its state must come with a frame."""
    for state, outcome in spec.outcomes():
        if outcome.to is not None and outcome.answer is None:
            reason = f"{outcome.name} changes the state without an answer"
            document.blame(row_path(spec, document, state, outcome), reason)
    seen: dict[tuple[str, ...], object] = {}
    for move in moves(spec):
        what = (move.state, move.key) if move.code is None else (move.state, move.key, move.code, str(move.verb))
        change = (move.to, SEEN.intersection(move.effects), move.by)
        if seen.setdefault(what, change) != change:
            reason = f"a client in {move.state} cannot know what {move.key} changes"
            document.blame(("states", move.state), reason, key=True)
    linked = {name for name in spec.linked_states if any(row.does("link") for _, row in spec.outcomes())}
    for goodbye, path, states in _causes(spec):
        if spec.goodbyes[goodbye].gone is None and states & linked:
            document.blame(path, f"{goodbye} needs a reason (gone) that the partner is told", key=True)


def _causes(spec: Spec) -> Iterator[tuple[str, Path, frozenset[str]]]:
    """Each goodbye that a connection may get while it lives, where it stands, and the states in which it may."""
    live = frozenset(spec.live_states)
    for budget in spec.budgets:
        yield budget.goodbye, ("goodbyes", budget.goodbye), budget.states
    for timer in spec.timers.values():
        if timer.goodbye is not None:
            yield timer.goodbye, ("goodbyes", timer.goodbye), timer.states or live
    for goodbye in spec.goodbyes.values():
        if goodbye.when == "too-long":
            yield goodbye.code, ("goodbyes", goodbye.code), live


def _check_used(spec: Spec, document: Document) -> None:
    errors = {code for _, row in spec.outcomes() for code in (row.error, row.fails)} | {
        fault.error for fault in spec.faults
    }
    for code in spec.errors.keys() - errors:
        document.blame(("errors", code), f"no row and no fault has the error {code}", key=True)
    goodbyes = {budget.goodbye for budget in spec.budgets} | {timer.goodbye for timer in spec.timers.values()}
    for goodbye in spec.goodbyes.values():
        if goodbye.code not in goodbyes and goodbye.when is None:
            document.blame(("goodbyes", goodbye.code), f"nothing leads to the goodbye {goodbye.code}", key=True)
    verbs = {outcome.verb for _, outcome in spec.outcomes()}
    for verb in spec.requests.keys() - verbs:
        document.blame(("requests", verb), f"no state has an outcome for {verb}", key=True)
    by_timer = {timer.row.answer.form.verb for timer in spec.timers.values() if timer.row and timer.row.answer}
    pushes = {template.form.verb for template in _pushed(spec)}
    for push in spec.pushes.keys() - pushes - by_timer:
        document.blame(("pushes", push), f"nothing sends the push {push}", key=True)
    for push in pushes & spec.pushes.keys():
        if spec.pushes[push].reply is not None:
            document.blame(("pushes", push, "reply"), "only the push of a timer can want an answer", key=True)
    for code in {fault.error for fault in spec.faults} & {outcome.error for _, outcome in spec.outcomes()}:
        document.blame(("errors", str(code)), f"{code} is the error of a fault, so no row can have it", key=True)
    types = {field.type for form in _forms(spec) for field in form.fields}
    for name in spec.types.keys() - types:
        document.blame(("types", name), f"no field is of the type {name}", key=True)


def _pushed(spec: Spec) -> Iterator[Template]:
    """Every push but those of timers to their own connection."""
    rows = [row for _, row in spec.outcomes()] + [timer.row for timer in spec.timers.values() if timer.row is not None]
    for row in rows:
        yield from (tell.push for tell in row.tells)
    for partner in [spec.ending.partner, *(row.partner for row in rows)]:
        if partner is not None:
            yield partner.push
    for relation in spec.relations.values():
        yield from (template for template in (relation.added, relation.dropped) if template is not None)
    yield from spec.greeting


def _forms(spec: Spec) -> Iterator[Form]:
    yield from (request.form for request in spec.requests.values())
    yield from (reply.form for reply in spec.replies.values())


def _check_replies(spec: Spec, document: Document) -> None:
    """A client must tell every reply from every other one by the words that it begins with."""
    for name in spec.pushes.keys() & spec.states.keys():
        document.blame(("pushes", name), f"{name} is a state; a push that shares its name is mistaken for it", key=True)
    seen: dict[str, Path] = {}
    rows: list[tuple[str, Path]] = []
    for request in spec.requests.values():
        rows += [(form.key, ("requests", request.verb)) for form in (request.answer, request.item) if form]
    rows += [(push.form.key, ("pushes", push.verb)) for push in spec.pushes.values()]
    rows += [(error.form.key, ("errors", error.code)) for error in spec.errors.values() if error.form is not None]
    rows += [(form.key, (name,)) for name, form in (("refusal", spec.refusal), ("goodbye", spec.goodbye)) if form.parts]
    for key, path in rows:
        for other, where in seen.items():
            if key == other or key.startswith(other + " ") or other.startswith(key + " "):
                document.blame(path, f"a reply that begins with {key} cannot be told from that of {where[-1]}")
        seen[key] = path


def _check_roles(spec: Spec, document: Document) -> None:
    for when in get_args(When) if spec.goodbyes else ():
        holders = [goodbye for goodbye in spec.goodbyes.values() if goodbye.when == when]
        if len(holders) != 1:
            document.blame(("goodbyes",), f"exactly one goodbye is for {when}, not {len(holders)}", key=True)
        caused = {code for code, _, _ in _causes(spec)} if when != "stop" else set()
        for goodbye in holders:
            if goodbye.gone is not None and goodbye.code not in caused:
                document.blame(("goodbyes", goodbye.code, "gone"), f"when {when}, no partner is told", key=True)
    _check_faults(spec, document)
    for index, fault in enumerate(spec.faults):
        for verb in sorted(fault.uncounted):
            everywhere = all(verb in spec.states[state].recv for state in spec.live_states)
            if fault.fault in ("encoding", "verb") or (fault.fault == "state" and everywhere):
                document.blame(("faults", index, "uncounted"), f"{verb} never has the fault {fault.fault}", key=True)
    budgeted: set[str] = set()
    for index, budget in enumerate(spec.budgets):
        for state in budget.states & budgeted:
            document.blame(("budgets", index, "in"), f"{state} has a budget already")
        budgeted |= budget.states


def _check_faults(spec: Spec, document: Document) -> None:
    """Whatever is wrong with a line, in whatever state, one rule answers it; and each rule answers some line."""
    answered: set[tuple[str, str, str]] = set()
    for index, rule in enumerate(spec.faults):
        verbs = (ANY_VERB,) if rule.fault in ("encoding", "verb") else tuple(spec.requests)
        verbs = (*verbs, ANY_VERB) if rule.fault == "syntax" else verbs  # an empty line names no request
        cases = {(rule.fault, state, verb) for state in spec.live_states for verb in verbs if rule.covers(state, verb)}
        if cases <= answered:
            document.blame(("faults", index), f"the entries before it answer each {rule.fault} that this one would")
        answered |= cases
    for fault in FRAME_FAULTS:
        for state in spec.live_states:
            misplaced = [verb for verb in spec.requests if verb not in spec.states[state].recv]
            wanted = {"syntax": [*spec.requests, ANY_VERB], "state": misplaced}.get(fault, [ANY_VERB])
            missing = next((verb for verb in wanted if (fault, state, verb) not in answered), None)
            if missing is not None:
                about = "" if missing == ANY_VERB else f" of {missing}"
                document.blame(("faults",), f"no entry answers the fault {fault}{about} in {state}", key=True)
                break


def _check_client(spec: Spec, document: Document) -> None:
    """The rules for clients are about requests that can be sent, and about answers that come."""
    path: Path = ("client",)
    for verb in sorted(spec.client.one_unanswered):
        if spec.requests[verb].answer is None:
            document.blame((*path, "one_unanswered", "of"), f"{verb} has no answer to wait for")
    for verb in {outcome.verb for _, outcome in spec.outcomes() if outcome.to == spec.final}:
        if spec.requests[verb].form.fields:
            document.blame(("requests", verb, "wire"), f"a client says {verb} by itself at its end, so it has no field")
    for state, table in spec.client.only_if.items():
        for verb in table.keys() - spec.states[state].recv.keys():
            document.blame((*path, "only_if", state, verb), f"{verb} has no place in {state}", key=True)
    for verb, after in spec.client.may_follow.items():
        if spec.requests[after].answer is None:
            document.blame((*path, "may_follow", verb), f"{after} has no answer, so nothing need wait for it")


def _check_profiles(spec: Spec, document: Document) -> None:
    """What a row uses is there whenever the row is: it is core, or of the row's own profile."""
    for state, row in spec.outcomes():
        path, codes = row_path(spec, document, state, row), [code for code in (row.error, row.fails) if code]
        used = [(f"the request {row.verb}", spec.requests[row.verb].profile, row.profile)]
        used += [(f"the error {code}", spec.errors[code].profile, row.profile) for code in codes]
        told = [(row.partner.push, row.profile)] if row.partner is not None else []
        for push, profile in [*told, *((tell.push, tell.profile) for tell in row.tells)]:
            used.append((f"the push {push.form.verb}", spec.pushes[push.form.verb].profile, profile))
        for words, needed, profile in used:
            if needed not in ("core", row.profile, profile):
                document.blame(path, f"{words} is of the profile {needed}, and this row is of {row.profile}")


def _check_times(spec: Spec, document: Document) -> None:
    timers = list(spec.timers.values())
    for index, timer in enumerate(timers):
        path: Path = ("timers", timer.name)
        if timer.since == "goodbye":
            if timer.states is not None:
                document.blame((*path, "in"), f"after the goodbye the state is {spec.final}", key=True)
            if any(other.since == "goodbye" for other in timers[:index]):
                document.blame(path, "there is one timer since goodbye", key=True)
        push = timer.row.answer.form.verb if timer.row is not None and timer.row.answer is not None else ""
        reply = spec.pushes[push].reply if push in spec.pushes else None
        _check_timer(spec, document, path, timer)
        if reply is not None:
            states = [name for name in spec.live_states if name in (timer.states or spec.live_states)]
            for state in [name for name in states if reply.form.verb not in spec.states[name].recv]:
                reason = f"{reply.form.verb} has no place in {state}, where {timer.name} wants it"
                document.blame(("pushes", push, "reply"), reason, key=True)
        for place, other in enumerate(timers):
            before = other.row is None and other.since == timer.since and (other.after, place) < (timer.after, index)
            if before and _covers(spec, other, timer):
                document.blame(path, f"{other.name} ends the connection before it, so it never runs out", key=True)


def _check_timer(spec: Spec, document: Document, path: Path, timer: Timer) -> None:
    """What a timer's row needs: a partner to tell, a name to say."""
    states = [name for name in spec.live_states if name in (timer.states or spec.live_states)]
    if timer.since == "call" and not spec.linked_states:
        document.blame((*path, "since"), "no two connections are linked, so no connection is called")
    row = timer.row
    if row is None:
        return
    about_link = {condition.kind for condition in row.conditions} | {effect.kind for effect in row.effects}
    if about_link - {"add", "drop"} and not set(states) <= set(spec.linked_states):
        document.blame((*path, "in"), f"in {' and '.join(states)} a connection may have no {spec.link.name}", key=True)
    for effect in row.effects:
        if effect.kind not in ("unlink", "accept", "retract", "add", "drop"):
            document.blame((*path, "do"), f"a timer cannot {effect}")
    if row.partner is not None and not row.does("unlink"):
        document.blame((*path, "partner"), "the timer of one end tells the other one only that it unlinks", key=True)
    if row.does("unlink") and (row.partner is None or row.answer is None):
        document.blame(path, "both ends must be told (push, partner) that a timer unlinks them", key=True)


def _covers(spec: Spec, other: Timer, timer: Timer) -> bool:
    """Whether `other` runs in every state in which `timer` runs."""
    live = frozenset(spec.live_states)
    return (other.states or live) >= (timer.states or live)
