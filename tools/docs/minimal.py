"""A minimal server in pseudo-code, and the order in which to build it. Made of the spec's own tables.

What the pseudo-code says of a row is said in the words of the tables of requests. Knows no verb and no state by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from pychat.spec.model import Budget, Outcome

from .by_hand import piped
from .content import (
    Block,
    Listing,
    Paragraph,
    Program,
    Section,
    Spans,
    Table,
    TableRow,
    both,
    code,
    join,
    link,
    one_of,
    plain,
    sentence,
    text,
)
from .phrases import FAULTS, duration
from .sources import PageSources

WORDS = (
    "This is a whole server, but for {}. {} stands for the connection whose frame is handled; it is also called this "
    "end. What is done {} is done for one connection at a time, and nothing waits there."
)
ORDER = (
    "Each step can be tried before the next one is begun. The first {} are needed tonight, for a server with which "
    "everything can be done by hand; the others keep it standing among clients that are slow, silent or many."
)
JUDGED = " A case that fails by then, and is about time, slow readers or the stop, is for later."
LOCKED = "under the lock"
COMMENTS = 56  # the column where they begin
NOT_LATER = ("goodbye",)  # what a timer measures since the last frame belongs to the close, not to the time
LATER = ("full", "share", "stop")  # causes of a goodbye that no frame has


def section(sources: PageSources) -> Section:
    """The order of work, and the pseudo-code."""
    left = both([link("its timers", "timers"), link("its limits", "limits")])
    words = sentence(WORDS, left, code("c"), code(LOCKED))
    parts = (
        _order(sources),
        Section("minimal-engine", text("The engine"), (Program(tuple(map(_aligned, _engine(sources)))),)),
    )
    rows = Section("minimal-rows", text("What each request does"), (*_before_rows(), Program(tuple(_rows(sources)))))
    return Section("minimal", text("A minimal server"), (Paragraph(words),), "pseudo-code and steps", (*parts, rows))


# The order of work


def _order(sources: PageSources) -> Section:
    tonight, later = list(_tonight(sources)), list(_later(sources))
    judged = bool(sources.cases)
    rows = [
        TableRow((text(str(number)), what, text(when), *((shown,) if judged else ())))
        for number, (what, shown, when) in enumerate(
            [*((*step, "tonight") for step in tonight), *((*step, "later") for step in later)], 1
        )
    ]
    head = ("step", "what to build", "needed", *(("with the judge",) if judged else ()))
    blocks: list[Block] = [
        Paragraph(text(ORDER.format(len(tonight)) + (JUDGED if judged else ""))),
        Table(head, tuple(rows)),
    ]
    tried = piped(sources.spec, [sources.sent_example(verb) for verb in _always(sources)])
    if tried:
        blocks[1:1] = [Paragraph(text("The first step works when this prints its answers:")), Program((text(tried),))]
    return Section("minimal-order", text("In which order to build it"), tuple(blocks), "what is needed tonight")


def _always(sources: PageSources) -> list[str]:
    """The requests of any state; what ends the connection comes last."""
    spec = sources.spec
    found = [verb for verb in spec.requests if sources.legal(verb) == list(spec.live_states)]
    return sorted(found, key=lambda verb: any(row.to == spec.final for row in sources.rows if row.verb == verb))


def _tonight(sources: PageSources) -> Iterator[tuple[Spans, Spans]]:
    spec, phrases = sources.spec, sources.phrases
    always = _always(sources)
    first = sentence("{}: cut the stream into lines", link("frames", "framing"))
    if always:
        first = sentence("{}; {}, which have a place in any state", first, both([*map(phrases.request, always)]))
    select = join([code(f"--select '*/{verb}/*'") for verb in always], " ")
    yield first, select or text("–")
    errors = sentence("{}: what is wrong with any frame, in its order", link("errors", "errors"))
    budgets = both([link(budget.rule, budget.rule) for budget in spec.budgets])
    yield sentence("{}, and how many are too many: {}", errors, budgets) if budgets else errors, text("–")
    for state in spec.live_states:
        own = [
            phrases.request(verb) for verb in spec.requests if verb in spec.states[state].recv and verb not in always
        ]
        if own:
            yield sentence("{}: {}", phrases.state(state), join(own)), code(f"--select '{state}/*'")
    yield (
        sentence("{}: the end of a stream, a reset, the last frame", link("how a connection ends", "goodbyes")),
        text("–"),
    )


def _later(sources: PageSources) -> Iterator[tuple[Spans, Spans]]:
    spec = sources.spec
    timers = [
        link(f"{timer.name}, {duration(timer.after)}", sources.anchors.timer(timer.name))
        for timer in spec.timers.values()
        if timer.since not in NOT_LATER
    ]
    yield sentence("{}: {}", link("time", "timers"), join(timers, "; ")), code("--select '*/TIME/*'")
    yield sentence("{}: two marks for each send queue", link("limits and slow readers", "limits")), text("–")
    stops = [sources.phrases.bye(goodbye.code) for goodbye in spec.goodbyes.values() if goodbye.when in LATER]
    if stops:
        yield (
            sentence("{}, when there are too many connections, or when the server is stopped", one_of(stops)),
            text("–"),
        )


# The engine


def _engine(sources: PageSources) -> Iterator[Spans]:
    spec = sources.spec
    yield from _shared(sources)
    yield from _lines(
        "",
        f"listen on TCP port {spec.transport.port}; serve each connection c that is accepted, all at the same time",
        "",
        "serve(c):",
        f"    c.state = {spec.initial}; c.name = none; c.input = empty; c.faults = 0",
    )
    if spec.linked_states:
        own = "".join(f"; c.{words.split()[-1]} = no" for words in sources.phrases.own_end())
        yield text(f"    c.{spec.link.name} = none{own}")
    for template in spec.greeting:
        yield sentence("    send(c, {})", sources.anchors.template(template))
    yield from _lines(
        f"    until c.state is {spec.final}:",
        "        octets = receive from c  # waits, without the lock",
        "        if c has ended its sending half:",
        f"            {LOCKED}: end(c, {spec.ending.gone})  # what has no ending is dropped",
        "        else if the connection is broken:",
        f"            {LOCKED}: end(c, {spec.ending.gone})",
        "            close the socket; stop",
        "        else:",
        "            c.input += octets",
        f"            while c.state is not {spec.final} and take_line(c) gives a line:",
        f"                {LOCKED}: handle(c, line)",
        "    close(c)",
        "",
    )
    yield from _framing(sources)
    yield from _handle(sources)
    yield from _ends(sources)


def _lines(*words: str) -> Iterator[Spans]:
    yield from map(text, words)


def _shared(sources: PageSources) -> Iterator[Spans]:
    """What all connections share."""
    spec = sources.spec
    folded = ", without regard to case" if spec.name_type.fold_case else ""
    yield text(f"users = empty  # from a name{folded}, to its connection")
    for relation in spec.relations.values():
        kept = [f"the last {column.keep} tuples of each {column.name}" for column in relation.columns if column.keep]
        yield sentence("{} = empty{}", sources.relation(relation.name), text("  # " + "; ".join(kept) if kept else ""))


def _aligned(line: Spans) -> Spans:
    """The line with its comment, if it has one, in the column of all comments."""
    before, mark, comment = plain(line).partition("  # ")
    if not mark:
        return line
    last = line[-1].text.removesuffix(f"{mark}{comment}")
    gap = " " * max(2, COMMENTS - len(before))
    return (*line[:-1], *text(f"{last}{gap}# {comment}"))


def _framing(sources: PageSources) -> Iterator[Spans]:
    framing = sources.spec.framing
    most, said = (
        framing.max_octets,
        next((g.code for g in sources.spec.goodbyes.values() if g.when == "too-long"), None),
    )
    yield text("take_line(c):")
    yield text(f"    if there is no LF among the first {most} octets of c.input:")
    over = f"end(c, {sources.spec.ending.gone})" if said is None else "goodbye(c, {})"
    byes = () if said is None else (_bye(sources, said),)
    yield sentence(f"        if c.input has {most} octets or more: {LOCKED}: {over}", *byes)
    yield from _lines(
        "        give none",
        "    take all up to the first LF away from c.input, and the LF",
        *(("    take one CR off its end, if it has one",) if b"\r\n" in framing.accepts else ()),
        "    give it",
        "",
    )


def _bye(sources: PageSources, goodbye: str) -> Spans:
    return code(goodbye, sources.anchors.goodbye(goodbye))


def _handle(sources: PageSources) -> Iterator[Spans]:
    spec, phrases = sources.spec, sources.phrases
    yield text("handle(c, line):")
    for fault in spec.faults:
        yield sentence(
            "    if {}{}: fault(c, {}); stop",
            text(FAULTS[fault.fault]),
            phrases.where(fault),
            phrases.error(fault.error),
        )
    kept = _in(sources, [budget for budget in spec.budgets if budget.in_a_row])
    if kept:
        yield sentence("    if c.state is {}: c.faults = 0", kept)
    yield text("    do the first row of the request in c.state that fits  # they follow below")
    if len(spec.budgets) > 1:
        yield text("    if c.state is now one with another number of faults: c.faults = 0")
    yield from _lines("", "fault(c, error):")
    parts = ["<error>" if _part(part) == "<code>" else _part(part) for part in spec.refusal.parts]
    refusal = (
        code(" ".join(parts), sources.anchors.frame(spec.refusal.key)) if parts else text("the refusal of the error")
    )
    which = "  # <verb>: see the table of errors" if spec.refusal.type_of("verb") is not None else ""
    yield sentence("    send(c, {}){}", refusal, text(which))
    uncounted = {verb for fault in spec.faults for verb in fault.uncounted}
    if spec.budgets and uncounted:
        verbs = one_of([phrases.request(verb) for verb in spec.requests if verb in uncounted])
        errors = one_of([phrases.error(fault.error) for fault in spec.faults if fault.uncounted])
        back = sentence(" (and if c.state is {}: c.faults = 0)", kept) if kept else ()
        yield sentence("    if it is {} for {}: it is not counted{}; stop", errors, verbs, back)
    if spec.budgets:
        yield text("    c.faults += 1")
    for budget in spec.budgets:
        said = _bye(sources, budget.goodbye)
        yield sentence(
            f"    if c.state is {{}} and c.faults is {budget.faults}: goodbye(c, {{}})", _in(sources, [budget]), said
        )
    yield text("")


def _in(sources: PageSources, budgets: list[Budget]) -> Spans:
    states = [name for name in sources.spec.live_states if any(name in budget.states for budget in budgets)]
    return one_of([sources.phrases.state(name) for name in states])


def _ends(sources: PageSources) -> Iterator[Spans]:
    spec, ending = sources.spec, sources.spec.ending
    told = spec.linked_states and ending.partner is not None
    yield text("end(c, reason):" if told else "end(c, cause):")
    yield sentence("    c.state = {}", sources.phrases.state(spec.final))
    for effect in sources.phrases.effects(ending):
        yield (*text("    "), *effect)
    if ending.partner is not None and spec.linked_states:
        yield (*text("    "), *sources.phrases.other_end(ending.partner, "that end"))
    yield text("")
    if spec.goodbyes:
        words = f"    end(c, the reason of the {{}})  # what the {spec.link.name} is told stands there"
        yield text("goodbye(c, code):")
        yield sentence(words if told else "    end(c, the cause)", *((link("goodbye", "goodbyes"),) if told else ()))
        yield sentence(
            "    send(c, {})", code(" ".join(map(_part, spec.goodbye.parts)), sources.anchors.frame(spec.goodbye.key))
        )
        yield text("")
    linger = next((timer for timer in spec.timers.values() if timer.since == "goodbye"), None)
    most = duration(linger.after) if linger is not None else ""
    yield from _lines(
        "close(c):",
        "    send all that is queued" + (f", until the network takes nothing of it for {most}" if most else ""),
        "    end the sending half: shutdown for writing",
        "    receive and discard until c ends its own half"
        + (f", but for {most} at most, whatever comes" if most else ""),
        "    close the socket",
        "",
        "send(c, frame):  # a thread or a loop writes the queue to the network",
        f"    append the frame and {_ending(spec.framing.writes)} to the send queue of c",
    )


def _ending(octets: bytes) -> str:
    return {b"\n": "LF"}.get(octets, "CR LF")


def _part(part: object) -> str:
    return part if isinstance(part, str) else f"<{getattr(part, 'name', '')}>"


# The rows


def _before_rows() -> tuple[Block, ...]:
    return (
        Listing(
            (
                text("The first row that fits is done, and no other one."),
                text("All that a row changes is changed before anything is sent."),
            )
        ),
    )


def _rows(sources: PageSources) -> Iterator[Spans]:
    for index, request in enumerate(sources.spec.requests.values()):
        if index:
            yield text("")
        yield sentence("{}:", sources.phrases.request(request.verb) + sources.anchors.form(request.form)[1:])
        for states, outcomes in sources.grouped(request.verb):
            yield sentence("    in {}:", sources.in_states(states))
            for outcome in outcomes:
                yield from _row(sources, outcome, alone=len(outcomes) == 1)


def _row(sources: PageSources, outcome: Outcome, *, alone: bool) -> Iterator[Spans]:
    when = sources.phrases.conditions(outcome.conditions)
    if not alone:
        yield sentence("        {}:", when if plain(when) == "otherwise" else sentence("if {}", when))
    deep = text("        " if alone else "            ")
    parts = sources.phrases.changes(outcome)
    for part in parts:
        yield (*deep, *part)
    if not parts and outcome.answer is None and outcome.error is None:
        yield (*deep, *text("nothing"))
    if outcome.answer is not None or outcome.error is not None:
        yield sentence("{}answer {}", deep, sources.phrases.answer(outcome))
    if outcome.fails is not None:
        yield sentence("{}if the disk fails: answer {}", deep, sources.phrases.refusal(outcome.fails, outcome.verb))
