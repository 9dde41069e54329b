"""What a spec must be as a whole: every state reached and left, every code used, every change of state told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from .model import Outcome, Spec, When
from .reading import Document, Path
from .view import moves


def check(spec: Spec, document: Document) -> None:
    """Notes each fault of the whole in `document`; raises SpecError if there is one."""
    _check_states(spec, document)
    document.check()  # the rest needs the initial and the final state
    _check_called(spec, document)
    _check_unlinked(spec, document)
    _check_told(spec, document)
    _check_used(spec, document)
    _check_replies(spec, document)
    _check_roles(spec, document)
    document.check()


def reachable(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    """The nodes that can be reached from `start`, itself included."""
    found, waiting = {start}, [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _check_states(spec: Spec, document: Document) -> None:
    for role in ("initial", "final"):
        holders = [state.name for state in spec.states.values() if getattr(state, role)]
        if len(holders) != 1:
            document.blame(("states",), f"exactly one state is {role}, not {len(holders)}", key=True)
            return
    edges = changes(spec)
    for name in spec.states.keys() - reachable(spec.initial, edges) - {spec.ending.to}:
        document.blame(("states", name), f"no request leads to the state {name}", key=True)
    for name in spec.live_states:
        if spec.final not in reachable(name, edges):
            document.blame(("states", name), f"no request leads from {name} to {spec.final}", key=True)
    if spec.ending.to != spec.final:
        document.blame(("ending", "to"), f"a connection ends in {spec.final}")


def changes(spec: Spec) -> dict[str, set[str]]:
    """By state, the states to which requests lead: one's own and those of the other end."""
    edges: dict[str, set[str]] = {name: set() for name in spec.states}
    for state, outcome in spec.outcomes():
        if outcome.to is not None:
            edges[state].add(outcome.to)
        if outcome.partner is not None and outcome.partner.to is not None:
            for source in spec.partner_states(outcome.partner):
                edges[source].add(outcome.partner.to)
    return edges


def _check_called(spec: Spec, document: Document) -> None:
    """Whoever a row links was found by name, is somebody else and free, and is in the state that the row moves."""
    bound = [outcome.to or state for state, outcome in spec.outcomes() if outcome.does("bind")]
    named = set[str]().union(*(reachable(state, changes(spec)) for state in bound))
    free = named - set(spec.linked_states) - {spec.final}
    for state, outcome in spec.outcomes():
        if not outcome.does("link") or outcome.partner is None:
            continue
        rows = spec.states[state].recv[outcome.verb]
        refused = {row.condition.kind for row in rows[: rows.index(outcome)] if row.condition and row.error}
        for kind in ("unknown", "oneself", "linked"):
            if kind not in refused:
                document.blame(_row(spec, state, outcome), f"before this, a user who is {kind} must be refused")
        for name in sorted(free - set(spec.partner_states(outcome.partner))):
            document.blame(_row(spec, state, outcome), f"who is called may be in {name}, and this does not move it")


def _check_unlinked(spec: Spec, document: Document) -> None:
    """Nobody is somebody's partner without being in a state that holds the link."""
    linked = set(spec.linked_states)
    for state, outcome in spec.outcomes():
        ways = [(state, outcome.to)]
        if outcome.partner is not None:
            ways += [(source, outcome.partner.to) for source in spec.partner_states(outcome.partner)]
        if not outcome.does("unlink") and any(source in linked and to not in {None, *linked} for source, to in ways):
            document.blame(
                _row(spec, state, outcome), f"{outcome.name} leaves a state that holds the link, so it must unlink"
            )


def _check_told(spec: Spec, document: Document) -> None:
    """A client moves only on what it gets, so each change of its state must come with a frame."""
    for state, outcome in spec.outcomes():
        if outcome.to is not None and outcome.answer is None:
            document.blame(_row(spec, state, outcome), f"{outcome.name} changes the state without an answer")
    targets: dict[tuple[str, str], str | None] = {}
    for move in moves(spec):
        if targets.setdefault((move.state, move.key), move.to) != move.to:
            reason = f"a client in {move.state} cannot know whether {move.key} changes its state"
            document.blame(("states", move.state), reason, key=True)


def _row(spec: Spec, state: str, outcome: Outcome) -> Path:
    index = spec.states[state].recv[outcome.verb].index(outcome)
    own: Path = ("states", state, "recv", outcome.verb, index)
    return own


def _check_used(spec: Spec, document: Document) -> None:
    errors = {outcome.error for _, outcome in spec.outcomes()} | {fault.error for fault in spec.faults}
    for code in spec.errors.keys() - errors:
        document.blame(("errors", code), f"no row and no fault has the error {code}", key=True)
    goodbyes = {budget.goodbye for budget in spec.budgets} | {timer.goodbye for timer in spec.timers.values()}
    for goodbye in spec.goodbyes.values():
        if goodbye.code not in goodbyes and goodbye.when is None:
            document.blame(("goodbyes", goodbye.code), f"nothing leads to the goodbye {goodbye.code}", key=True)
    verbs = {outcome.verb for _, outcome in spec.outcomes()}
    for verb in spec.requests.keys() - verbs:
        document.blame(("requests", verb), f"no state has an outcome for {verb}", key=True)
    pushes = {outcome.partner.push.form.verb for _, outcome in spec.outcomes() if outcome.partner}
    pushes |= {spec.ending.partner.push.form.verb} | {timer.push for timer in spec.timers.values() if timer.push}
    for push in spec.pushes.keys() - pushes:
        document.blame(("pushes", push), f"nothing sends the push {push}", key=True)
    for code in {fault.error for fault in spec.faults} & {outcome.error for _, outcome in spec.outcomes()}:
        document.blame(("errors", str(code)), f"{code} is the error of a fault, so no row can have it", key=True)


def _check_replies(spec: Spec, document: Document) -> None:
    """A client must tell every reply from every other one by the words that it begins with."""
    seen: dict[str, Path] = {}
    rows: list[tuple[str, Path]] = []
    for request in spec.requests.values():
        rows += [(form.key, ("requests", request.verb)) for form in (request.answer, request.item) if form]
    rows += [(push.form.key, ("pushes", push.verb)) for push in spec.pushes.values()]
    rows += [(spec.refusal.key, ("refusal",)), (spec.goodbye.key, ("goodbye",))]
    for key, path in rows:
        for other, where in seen.items():
            if key == other or key.startswith(other + " ") or other.startswith(key + " "):
                document.blame(path, f"a reply that begins with {key} cannot be told from that of {where[-1]}")
        seen[key] = path


def _check_roles(spec: Spec, document: Document) -> None:
    for when in get_args(When):
        holders = [goodbye.code for goodbye in spec.goodbyes.values() if goodbye.when == when]
        if len(holders) != 1:
            document.blame(("goodbyes",), f"exactly one goodbye is for {when}, not {len(holders)}", key=True)
    if len({fault.fault for fault in spec.faults}) != len(spec.faults):
        document.blame(("faults",), "each of encoding, verb, syntax and state stands once", key=True)
    budgeted: set[str] = set()
    for index, budget in enumerate(spec.budgets):
        for state in budget.states & budgeted:
            document.blame(("budgets", index, "in"), f"{state} has a budget already")
        budgeted |= budget.states
    for name, timer in spec.timers.items():
        if timer.since == "goodbye" and name != next(t.name for t in spec.timers.values() if t.since == "goodbye"):
            document.blame(("timers", name), "there is one timer since goodbye", key=True)
