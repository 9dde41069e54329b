"""The part of the page about states: diagrams, each state, and the tables of states and messages."""

from __future__ import annotations

from typing import Any

from pychat.core.machine import ENDING, client_machine, server_machine
from pychat.spec.model import Outcome, State

from .content import (
    Block,
    Diagram,
    Facts,
    Paragraph,
    Section,
    Spans,
    Table,
    TableRow,
    both,
    code,
    join,
    link,
    sentence,
    text,
)
from .machines import OTHER_END as OF_THE_PARTNER
from .machines import changes
from .phrases import duration, unique
from .sources import PageSources

STATES = (
    "A connection is in one state. Beside it the server knows {}, and nothing else. A request that has no place in the "
    "state is refused, and changes nothing of this."
)
SERVER = (
    "A connection as the server sees it. A change is named for the row that makes it: the request, and which of its "
    "outcomes it was. {} is an end without a request."
)
OTHER_END = " A name that ends in {} is a row of the other end."
CLIENT = (
    "The same connection as its client sees it. A client moves only on what it gets: a change is named for the words "
    "that the frame begins with."
)
INSIDE = "{}. What changes no state stands in the box of the state."
SERVERS = "server-machine"
PARTNERS = " A row of the other end is one of the partner."


def section(sources: PageSources, title: Spans) -> Section:
    """Diagrams, states, and both tables."""
    parts = (
        _machine(sources, SERVERS, "The server's machine", _server(sources), server_machine(sources.spec)),
        _machine(sources, "client-machine", "The client's machine", text(CLIENT), client_machine(sources.spec)),
        *(_state(sources, state) for state in sources.spec.states.values()),
        Section(
            "matrix",
            text("Every request in every state"),
            (_matrix(sources),),
            "the server's state × message table",
        ),
        Section(
            "client-matrix",
            text("Every reply in every state of a client"),
            (_client_matrix(sources),),
            "a client's state × message table",
        ),
        _client_lines(sources),
    )
    known = Paragraph(sentence(STATES, _known(sources)))
    return Section("states", title, (*sources.chapter("states"), known), "what is legal when", parts)


def _known(sources: PageSources) -> Spans:
    """What the server knows of a connection beside its state."""
    spec = sources.spec
    known = [text("the connection's name")]
    known += [text(f"its {spec.link.name}")] if spec.linked_states else []
    known += [sentence("what is in the {}", link("relations", "relations"))] if spec.relations else []
    return both(known)


def _server(sources: PageSources) -> Spans:
    """How the server's changes are named."""
    words = sentence(SERVER, code(ENDING))
    return words + sentence(OTHER_END, code(f"/{OF_THE_PARTNER}")) if sources.spec.linked_states else words


def _machine(sources: PageSources, anchor: str, title: str, words: Spans, machine: Any) -> Section:
    rows = [
        TableRow(
            (
                sources.phrases.state(edge.source),
                join([code(event.removeprefix("/")) for event in edge.events]),
                sources.phrases.state(edge.target),
            )
        )
        for edge in changes(machine)
    ]
    caption = INSIDE.format(title) + (PARTNERS if sources.spec.linked_states and anchor == SERVERS else "")
    diagram = Diagram(anchor, caption, (Table(("from", "by", "to"), tuple(rows)),))
    return Section(anchor, text(title), (Paragraph(words), diagram), "the state diagram")


def _state(sources: PageSources, state: State) -> Section:
    over = [("is", text("the end of a connection: what still comes is discarded, and nothing is answered"))]
    facts = over if state.final else _facts(sources, state)
    blocks: tuple[Block, ...] = (Paragraph(sources.anchors.prose(state.doc)), Facts(tuple(facts)))
    return Section(sources.anchors.state(state.name), code(state.name), blocks, state.doc)


def _facts(sources: PageSources, state: State) -> list[tuple[str, Spans]]:
    spec, phrases = sources.spec, sources.phrases
    facts: list[tuple[str, Spans]] = []
    if state.initial:
        facts.append(("is", text("the state in which a connection begins")))
        greeting = [sources.anchors.template(template) for template in spec.greeting]
        facts += [("greets with", join(greeting, ", then "))] if greeting else []
    if state.linked:
        held = [f"the {spec.link.name}, or nobody once that user has gone"]
        held += [f"whether this end {words}" for words in phrases.own_end()]
        facts.append(("holds", text("; ".join(held))))
    facts.append(("takes", join([phrases.request(verb) for verb in spec.requests if verb in state.recv])))
    illegal: dict[str, list[Spans]] = {}
    for verb in spec.requests:
        if verb not in state.recv:
            illegal.setdefault(sources.misplaced(state.name, verb), []).append(phrases.request(verb))
    for error, verbs in illegal.items():
        facts.append(("refuses", sentence("{}, each with {}", join(verbs), phrases.refusal(error, "<verb>"))))
    legal = {move.key for move in sources.moves if move.state == state.name}
    keys = [key for key, reply in spec.replies.items() if reply.kind == "push" and key in legal]
    facts.append(("may push", join([sources.frame_link(key) for key in keys]) or text("nothing")))
    budget = spec.budget(state.name)
    if budget is not None:
        counted = "in succession" if budget.in_a_row else "in all"
        words = f"number {budget.faults} {counted} ends the connection; {{}}"
        facts.append(("faults", sentence(words, link(budget.rule, budget.rule))))
    for timer in spec.timers.values():
        if timer.states is not None and state.name in timer.states:
            comma = "," if timer.row is not None and timer.row.conditions else ""
            words = f"after {duration(timer.after)}{comma} {{}}; {{}}"
            facts.append(("time", sentence(words, phrases.timer(timer), link(timer.rule, timer.rule))))
    return facts


def _matrix(sources: PageSources) -> Table:
    live = sources.spec.live_states
    rows = [
        TableRow((sources.phrases.request(verb), *(_cell(sources, state, verb) for state in live)))
        for verb in sources.spec.requests
    ]
    errors = {rule.error for rule in sources.spec.faults if rule.fault == "state"}
    faint = frozenset(sources.anchors.error(error) for error in errors)
    return Table(("", *live), tuple(rows), matrix=True, faint=faint)


def _cell(sources: PageSources, state: str, verb: str) -> Spans:
    outcomes = sources.spec.states[state].recv.get(verb)
    if outcomes is None:
        return sources.phrases.error(sources.misplaced(state, verb))
    same = all(sources.spec.states[name].recv[verb] == outcomes for name in sources.legal(verb))
    return join(unique([_outcome(sources, None if same else state, outcome) for outcome in outcomes]), " · ")


def _outcome(sources: PageSources, state: str | None, outcome: Outcome) -> Spans:
    target = sources.anchors.outcome(state, outcome)
    if outcome.error is not None:
        return code(outcome.error, target)
    label = link(outcome.label, target)
    return label if outcome.to is None else sentence("{} → {}", label, sources.phrases.state(outcome.to))


def _client_matrix(sources: PageSources) -> Table:
    live = sources.spec.live_states
    rows = [
        TableRow((sources.frame_link(key), *(_client_cell(sources, state, key) for state in live)))
        for key in sources.spec.replies
    ]
    return Table(("", *live), tuple(rows), matrix=True)


def _client_cell(sources: PageSources, state: str, key: str) -> Spans:
    targets = dict.fromkeys(move.to for move in sources.moves if move.state == state and move.key == key)
    words = [text("stays") if to is None else sentence("→ {}", sources.phrases.state(to)) for to in targets]
    return join(words, " or ") or text("–")


def _client_lines(sources: PageSources) -> Section:
    """What a client does with each line that may come, those that this page does not know among them."""
    spec = sources.spec
    close = text("a fault of the server: the client should close the connection")
    wants = any(push.reply is not None for push in spec.pushes.values())
    taken = text("takes it, and moves as its table says" + ("; answers a push that wants an answer" if wants else ""))
    lists = any(request.item is not None and request.answer is not None for request in spec.requests.values())
    rows = [
        (text("a frame of this page, of its form, that may come now"), taken),
        (
            sentence(
                "a frame of this page that cannot come now: its cell in the {} has a dash, what it needs does not "
                "hold, or it answers no request",
                link("table above", "client-matrix"),
            ),
            close,
        ),
        (text("the verb of a frame of this page, but not of its form, or with other words behind the verb"), close),
        (
            sentence(
                "another word of the form of a verb, {}, with any UTF-8 behind it: a push, or another frame, of a "
                "later version",
                code(spec.framing.verb),
            ),
            text("ignores the line: it sends nothing, and nothing that it knows changes"),
        ),
        *(((text("the same, between the items of a list and its answer"), close),) if lists else ()),
        (
            text(
                "a refusal" + (" or a goodbye" if spec.goodbyes else "") + " with a code that this page does not have"
            ),
            text("takes it like any other code"),
        ),
        (text("anything else: an empty line, a first word that is no verb, octets that are not UTF-8"), close),
        (text(f"{spec.framing.max_octets} octets without an LF"), close),
    ]
    table = Table(("what comes", "what a client does"), tuple(TableRow(row) for row in rows))
    words = Paragraph(text("A client tells frames from one another by the words that they begin with."))
    title = text("What a client does with each line that comes")
    return Section("client-lines", title, (words, table), "pushes that it does not know among them")
