"""A minimal server in pseudo-code, and the order in which to build it. Made of the spec's own tables.

The engine is the template minimal.txt.j2; the rows are said in the words of the tables of requests. Knows no verb and
no state by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pychat.spec.forms import Variable
from pychat.spec.model import Outcome

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
    "end. What is done {} is done for one connection at a time, and nothing waits there. Where a timer can end a "
    "connection too, {} do nothing for one that is {} already."
)
ORDER = (
    "Each step can be tried before the next one is begun. The first {} are needed tonight, for a server with which "
    "everything can be done by hand; the others keep it standing among clients that are slow, silent or many."
)
JUDGED = (
    " The judge can begin with the requests of the first state: {} takes the cases of a step, and may stand several "
    "times. A case may need what a later step builds. After the last step that is needed tonight, run it without "
    "{}: what still fails is about time, slow readers, a full server or the shutdown."
)
BY_HAND = "The first step works when this prints its answers:"
REFUSED = "The second step works when this prints {} refusals, then {}:"
READING = (
    "The first row that fits is done, and no other one.",
    "All that a row changes is changed before anything is sent.",
)
MOST_TYPED = 9  # faults in one command
NOT_LATER = ("goodbye",)  # what a timer measures since the last frame belongs to the close, not to the time
LATER = ("full", "share", "stop")  # causes of a goodbye that no frame has


def section(sources: PageSources) -> Section:
    """The order of work, and the pseudo-code."""
    left = both([link("its timers", "timers"), link("its limits", "limits")])
    functions = both([code("handle"), *([code("goodbye")] if sources.spec.goodbyes else []), code("end")])
    words = sentence(
        WORDS, left, code("c"), code("under the lock"), functions, sources.phrases.state(sources.spec.final)
    )
    reading = Listing((*map(text, READING), _short_forms(sources)))
    parts = (
        Section("minimal-order", text("In which order to build it"), tuple(_order(sources)), "what is needed tonight"),
        Section("minimal-engine", text("The engine"), (Program(_engine(sources)),)),
        Section("minimal-rows", text("What each request does"), (reading, Program(tuple(_rows(sources))))),
    )
    return Section("minimal", text("A minimal server"), (Paragraph(words),), "pseudo-code and steps", parts)


# The order of work


def _order(sources: PageSources) -> Iterator[Block]:
    """The words, the command for the first step, and the table."""
    tonight, later = list(_tonight(sources)), list(_later(sources))
    judged = bool(sources.cases)
    words = text(ORDER.format(len(tonight)))
    yield Paragraph((*words, *sentence(JUDGED, code("--select"), code("--select"))) if judged else words)
    tried = piped(sources.spec, [sources.sent_example(verb) for verb in _always(sources)])
    if tried:
        yield Paragraph(text(BY_HAND))
        yield Program((code(tried),))
    budget = next((one for one in sources.spec.budgets if sources.spec.initial in one.states), None)
    if budget is not None and budget.faults <= MOST_TYPED:
        yield Paragraph(sentence(REFUSED, text(str(budget.faults)), sources.phrases.bye(budget.goodbye)))
        yield Program((code(piped(sources.spec, [sources.spec.framing.writes] * budget.faults)),))
    steps = [*((*step, "tonight") for step in tonight), *((*step, "later") for step in later)]
    rows = [
        TableRow((text(str(number)), what, text(when), *((_selects(patterns),) if judged else ())))
        for number, (what, patterns, when) in enumerate(steps, 1)
    ]
    yield Table(("step", "what to build", "needed", *(("the judge's cases",) if judged else ())), tuple(rows))


def _selects(patterns: Iterable[str]) -> Spans:
    return join([code(f"'{pattern}'") for pattern in patterns], " ") or text("–")


def _always(sources: PageSources) -> list[str]:
    """The requests of any state; what ends the connection comes last."""
    spec = sources.spec
    found = [verb for verb in spec.requests if sources.legal(verb) == list(spec.live_states)]
    return sorted(found, key=lambda verb: any(row.to == spec.final for row in sources.rows if row.verb == verb))


def _tonight(sources: PageSources) -> Iterator[tuple[Spans, list[str]]]:
    """What to build, and the patterns of the judge's cases for it."""
    spec, phrases = sources.spec, sources.phrases
    always = _always(sources)
    first = sentence("{}: cut the stream into lines", link("frames", "framing"))
    if always:
        first = sentence("{}; {}, which have a place in any state", first, both([*map(phrases.request, always)]))
    yield first, []
    errors = sentence("{}: what is wrong with any frame, in its order", link("errors", "errors"))
    budgets = both([link(budget.rule, budget.rule) for budget in spec.budgets])
    yield sentence("{}, and how many are too many: {}", errors, budgets) if budgets else errors, []
    for state in spec.live_states:
        own = [verb for verb in spec.requests if verb in spec.states[state].recv and verb not in always]
        asked = [*always, *own] if state == spec.initial else own
        if own:
            what = sentence("{}: {}", phrases.state(state), join(map(phrases.request, own)))
            yield what, [f"{state}/{verb}/*" for verb in asked]
    ends = link("how a connection ends", "goodbyes")
    yield sentence("{}: the end of a stream, a reset, the last frame", ends), ["*/EOF/*", "*/LINE/*"]


def _later(sources: PageSources) -> Iterator[tuple[Spans, list[str]]]:
    spec = sources.spec
    timers = [
        link(f"{timer.name}, {duration(timer.after)}", sources.anchors.timer(timer.name))
        for timer in spec.timers.values()
        if timer.since not in NOT_LATER
    ]
    yield sentence("{}: {}", link("time", "timers"), join(timers, "; ")), ["*/TIME/*"]
    yield sentence("{}: two marks for each send queue", link("limits and slow readers", "limits")), []
    stops = [sources.phrases.bye(goodbye.code) for goodbye in spec.goodbyes.values() if goodbye.when in LATER]
    if stops:
        words = "{}, when there are too many connections, or when the server is stopped"
        yield sentence(words, one_of(stops)), ["*/OPEN/*", "*/STOP/*"]


# The engine


class _Kept:
    """Words with links, while they pass through a template of plain text: each stands there as a mark."""

    def __init__(self) -> None:
        self.words: list[Spans] = []

    def mark(self, value: object) -> object:
        """What a template writes for a value."""
        if not isinstance(value, tuple):
            return value
        self.words.append(value)
        return f"\0{len(self.words) - 1}\0"

    def line(self, written: str) -> Spans:
        """A line of the template's text, with the words in the place of their marks."""
        parts = re.split(r"\0(\d+)\0", written)
        pieces = [self.words[int(part)] if index % 2 else text(part) for index, part in enumerate(parts) if part]
        return tuple(span for piece in pieces for span in piece)


def _engine(sources: PageSources) -> tuple[Spans, ...]:
    spec, phrases, anchors, kept = sources.spec, sources.phrases, sources.anchors, _Kept()
    linger = next((duration(timer.after) for timer in spec.timers.values() if timer.since == "goodbye"), "")

    def states(names: Collection[str]) -> Spans:
        return one_of([phrases.state(name) for name in spec.live_states if name in names])

    words = {
        "spec": spec,
        "sources": sources,
        "phrases": phrases,
        "anchors": anchors,
        "code": code,
        "faults": FAULTS,
        "takes_cr": b"\r\n" in spec.framing.accepts,
        "ending": "LF" if spec.framing.writes == b"\n" else "CR LF",
        "states": states,
        "told": bool(spec.linked_states) and spec.ending.partner is not None,
        "too_long": next((goodbye.code for goodbye in spec.goodbyes.values() if goodbye.when == "too-long"), None),
        "counted_back": states({name for one in spec.budgets if one.in_a_row for name in one.states}),
        "uncounted": _uncounted(sources),
        "refusal": _refusal(sources),
        "names_verb": spec.refusal.type_of("verb") is not None,
        "goodbye": code(_form(spec.goodbye.parts), anchors.frame(spec.goodbye.key)),
        "until": f", until the network takes nothing of it for {linger}" if linger else "",
        "at_most": f", but for {linger} at most" if linger else "",
    }
    templates = Environment(  # noqa: S701  # it makes no HTML
        loader=FileSystemLoader(Path(__file__).parent),
        finalize=kept.mark,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return tuple(map(kept.line, templates.get_template("minimal.txt.j2").render(words).split("\n")))


def _refusal(sources: PageSources) -> Spans:
    spec = sources.spec
    if not spec.refusal.parts:
        return text("the refusal of the error")
    return code(_form(spec.refusal.parts).replace("<code>", "<error>"), sources.anchors.frame(spec.refusal.key))


def _form(parts: Iterable[object]) -> str:
    return " ".join(part if isinstance(part, str) else f"<{getattr(part, 'name', '')}>" for part in parts)


def _uncounted(sources: PageSources) -> Spans:
    """The faults that are not counted, and for which requests."""
    rules = [rule for rule in sources.spec.faults if rule.uncounted]
    verbs = {verb for rule in rules for verb in rule.uncounted}
    requests = [sources.phrases.request(verb) for verb in sources.spec.requests if verb in verbs]
    return (
        sentence("{} for {}", one_of([sources.phrases.error(one.error) for one in rules]), one_of(requests))
        if rules
        else ()
    )


# The rows


def _short_forms(sources: PageSources) -> Spans:
    """What the words of the rows are in the words of the engine."""
    spec = sources.spec
    sent = sentence("{} means {}, and {} means {}.", *map(code, ("answer F", "send(c, F)", "d gets F", "send(d, F)")))
    named = sentence("A connection has a name while it stands in {} under it.", code("users"))
    own = {"me": "c.name", "peer": f"c.{spec.link.name}.name"}
    pushes = [row.partner.push for row in sources.rows if row.partner]
    templates = [*(row.answer for row in sources.rows if row.answer), *pushes]
    used = {part.name for template in templates for part in template.parts if isinstance(part, Variable)}
    short = [sentence("{} is {}", code(f"<{name}>"), code(meant)) for name, meant in own.items() if name in used]
    return join([sent, named, *([sentence("{}.", join(short, ", "))] if short else [])], " ")


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
    phrases = sources.phrases
    when = phrases.conditions(outcome.conditions)
    if not alone:
        yield sentence("        {}:", when if plain(when) == "otherwise" else sentence("if {}", when))
    deep = text("        " if alone else "            ")
    parts = phrases.changes(outcome)
    if outcome.answer is not None or outcome.error is not None:
        parts.append(sentence("answer {}", phrases.answer(outcome)))
    if outcome.fails is not None:
        parts.append(sentence("if the disk fails: answer {}", phrases.refusal(outcome.fails, outcome.verb)))
    yield from ((*deep, *part) for part in parts or [text("nothing")])
