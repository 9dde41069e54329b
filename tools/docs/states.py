"""The part of the page about states: each one, the diagrams' words, and the table of states and messages."""

from __future__ import annotations

from pychat.machine import client_machine, server_machine
from pychat.spec.model import Outcome, State

from .content import Block, Diagram, Facts, Paragraph, Row, Section, Spans, Table, code, join, link, text
from .machines import Edge, changes
from .material import Material
from .wording import duration


def sections(of: Material) -> tuple[Section, ...]:
    """Diagrams, states, and both tables."""
    return (
        Section(
            "server-machine",
            text("The server's machine"),
            (
                Paragraph(
                    text(
                        "A connection as the server sees it. An arrow is named for the row that moves the connection: the request, "
                        "and which of its outcomes it was. What leaves the state as it is stands in the state."
                    )
                ),
                Diagram(
                    "server-machine",
                    "The server's view of one connection",
                    (_edges(of, changes(server_machine(of.spec))),),
                ),
            ),
        ),
        Section(
            "client-machine",
            text("The client's machine"),
            (
                Paragraph(
                    text(
                        "The same connection as its client sees it. A client moves only on what it gets: an arrow is named for the "
                        "words that the frame begins with."
                    )
                ),
                Diagram(
                    "client-machine",
                    "The client's view of its connection",
                    (_edges(of, changes(client_machine(of.spec))),),
                ),
            ),
        ),
        *(_state(of, state) for state in of.spec.states.values()),
        Section(
            "matrix",
            text("Every request in every state"),
            (_matrix(of),),
            (),
            "the state × message table of the server",
        ),
        Section(
            "client-matrix",
            text("Every reply in every state of a client"),
            (_client_matrix(of),),
            (),
            "the state × message table of a client",
        ),
    )


def _edges(of: Material, edges: list[Edge]) -> Table:
    rows = [
        Row(
            (
                code(edge.source, of.names.state(edge.source)),
                join([code(event) for event in edge.events]),
                code(edge.target, of.names.state(edge.target)),
            )
        )
        for edge in edges
    ]
    return Table(("from", "by", "to"), tuple(rows))


def _state(of: Material, state: State) -> Section:
    facts: list[tuple[str, Spans]] = []
    if state.initial:
        facts.append(("is", text("the state in which a connection begins")))
    if state.final:
        facts.append(("is", text("the end of a connection: nothing is read and nothing is answered")))
    if state.linked:
        facts.append(
            (
                "holds",
                (
                    *text(f"the {of.spec.link.name}, or nobody, and whether this end has accepted; see "),
                    *link("the link", "link"),
                ),
            )
        )
    if not state.final:
        legal = [code(verb, of.names.request(verb)) for verb in of.spec.requests if verb in state.recv]
        illegal = [code(verb, of.names.request(verb)) for verb in of.spec.requests if verb not in state.recv]
        error = of.spec.fault_rule("state").error
        facts.append(("takes", join(legal)))
        if illegal:
            answer = code(f"{of.spec.refusal.verb} <verb> {error}", of.names.error(error))
            facts.append(("refuses", (*join(illegal), *text(", each with "), *answer)))
        keys = list(
            dict.fromkeys(m.key for m in of.moves if m.state == state.name and of.spec.replies[m.key].kind == "push")
        )
        facts.append(("may push", join([of.frame_link(key) for key in keys]) or text("nothing")))
        budget = of.spec.budget(state.name)
        if budget is not None:
            counted = "in a row" if budget.in_a_row else "in all"
            facts.append(
                (
                    "faults",
                    (*text(f"number {budget.faults} {counted} ends the connection; "), *link(budget.rule, budget.rule)),
                )
            )
        timers = [t for t in of.spec.timers.values() if t.states is not None and state.name in t.states]
        facts += [
            ("time", (*text(f"after {duration(t.after)} "), *of.wording.timer(t), *text("; "), *link(t.rule, t.rule)))
            for t in timers
        ]
    blocks: list[Block] = [Paragraph(of.names.prose(state.doc)), Facts(tuple(facts))]
    return Section(of.names.state(state.name), code(state.name), tuple(blocks), (), state.doc)


def _matrix(of: Material) -> Table:
    live = of.spec.live_states
    rows = []
    for verb in of.spec.requests:
        cells: list[Spans] = [code(verb, of.names.request(verb))]
        cells += [_cell(of, name, verb) for name in live]
        rows.append(Row(tuple(cells)))
    faint = of.names.error(of.spec.fault_rule("state").error)
    return Table(("", *live), tuple(rows), matrix=True, faint=faint)


def _cell(of: Material, state: str, verb: str) -> Spans:
    outcomes = of.spec.states[state].recv.get(verb)
    if outcomes is None:
        error = of.spec.fault_rule("state").error
        return code(error, of.names.error(error))
    same = all(of.spec.states[name].recv[verb] == outcomes for name in of.legal(verb))
    return join([_outcome(of, None if same else state, outcome) for outcome in outcomes], " · ")


def _outcome(of: Material, state: str | None, outcome: Outcome) -> Spans:
    target = of.names.outcome(state, outcome)
    if outcome.error is not None:
        return code(outcome.error, target)
    spans = link(outcome.label, target)
    return spans if outcome.to is None else (*spans, *text(" → "), *code(outcome.to, of.names.state(outcome.to)))


def _client_matrix(of: Material) -> Table:
    live = of.spec.live_states
    rows = []
    for key in of.spec.replies:
        cells: list[Spans] = [of.frame_link(key)]
        for state in live:
            found = [move for move in of.moves if move.state == state and move.key == key]
            targets = list(dict.fromkeys(move.to for move in found))
            words: list[Spans] = [
                text("stays") if to is None else (*text("→ "), *code(to, of.names.state(to))) for to in targets
            ]
            cells.append(join(words, " or ") or text("–"))
        rows.append(Row(tuple(cells)))
    return Table(("", *live), tuple(rows), matrix=True)
