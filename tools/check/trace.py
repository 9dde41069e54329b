"""The shortest trace to a violation in frames of the protocol: as a sequence diagram in text, and as a play."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conformance.cases.play import Play, Step, send
from pychat.spec import Spec

from .explore import Search
from .properties import PROPERTIES, Violation
from .rows import Row
from .server import Server
from .state import NOBODY, Action, GlobalState, SentRequest
from .texts import LETTERS, Frame, Texts

GAP = "  "  # between two columns


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a trace: what is sent, read or taken, the row that fires, and the frames that the server sends.

    `read` are the frames that a client reads in this step: those that change nothing, and then the one of the step.
    """

    action: Action
    text: str
    after: GlobalState | None
    row: Row | None = None
    frames: tuple[Frame, ...] = ()
    read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A shortest path to a violation; without steps if the tables themselves violate the property."""

    spec: Spec
    violation: Violation
    steps: tuple[TraceStep, ...]
    people: tuple[str, ...]

    def diagram(self) -> str:
        """A lifeline for each client, and one for the server with the outcomes.

        ─▶ a request that is taken at once, ┄▶ one that is on its way for a while; ◀─ a reply that changes what
        the client sees; ╳ the connection is lost.
        """
        lines = [str(self.violation), PROPERTIES[self.violation.property]]
        if self.steps:
            rows = [(*self.people, "server"), *self._rows()]
            lines += ["", *_columns(rows), *self._last(self.steps[-1].after)]
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """A line for each step; a request that is taken as soon as it is sent has one line for both."""
        steps = iter(untangled(self.steps))
        following = next(steps, None)
        over: set[int] = set()
        while following is not None:
            step, following = following, next(steps, None)
            who, server, arrow = step.action.who, self._server(step), "┄▶"
            if step.action.kind == "send" and following is not None and _takes(following, step):
                arrow, server = "─▶", self._server(following, at_once=True)
                taken, following = following, next(steps, None)
            else:
                taken = step
            cells = [" " if i in over else "│" for i in range(len(self.people))]
            cells[who] = {"send": f"│ {step.text} {arrow}", "read": f"│ ◀─ {step.text}", "close": "╳"}.get(
                step.action.kind, cells[who]
            )
            if taken.row is not None and taken.row.to == self.spec.final:
                over.add(who)
            yield (*cells, f"│ {server}" if server else "│")

    def _server(self, step: TraceStep, at_once: bool = False) -> str:
        """What the server does: the outcome, and the states that change."""
        row, who, after = step.row, step.action.who, step.after
        if row is None:
            return ""
        words = [row.label]
        if row.verb and not at_once:
            words = [f"{self.people[who]}'s {step.text}: {row.label}"]
        elif step.action.kind == "timer":
            words = [f"{self.people[who]}'s timer {row.label}"]
        for endpoint in () if after is None else after.endpoints:
            other = endpoint.me != who and endpoint.me in [frame.who for frame in step.frames]
            if (endpoint.me == who and row.to) or (other and row.partner_to):
                words.append(f"{self.people[endpoint.me]} {endpoint.state}")
        return "; ".join(words)

    def _last(self, state: GlobalState | None) -> Iterator[str]:
        """What both sides know at the end."""
        endpoints = () if state is None else state.endpoints
        live = [endpoint for endpoint in endpoints if endpoint.state != self.spec.final]
        if live:
            yield ""
        for endpoint in live:
            server = f"{endpoint.state}{self._with(endpoint.partner)}"
            server += _standing(endpoint.answered, endpoint.accepted)
            client = f"{endpoint.view}{self._with(endpoint.peer)}"
            client += _standing(endpoint.has_answered, endpoint.is_accepted)
            client += ", the partner has answered" if endpoint.here else ""
            yield f"{self.people[endpoint.me]}: {server} at the server; {client} in its own view"

    def _with(self, partner: int) -> str:
        return f" with {self.people[partner]}" if partner != NOBODY else ""

    def play(self) -> Play:
        """The trace as a play: what a server of this spec does, with the violation.

        Each request is sent when the server takes it, since a play cannot hold a frame back in the network. For the
        server that is the same.
        """
        steps: list[Step] = []
        for step in self.steps:
            who = LETTERS[step.action.who]
            if step.action.kind == "take":
                steps.append(send(self.spec, who, step.text.encode() + self.spec.framing.writes))
            elif step.action.kind == "close":
                steps.append(Step(who, "reset"))
            elif step.action.kind == "timer" and step.row is not None:
                steps.append(Step(who, "clock", text=step.row.label))
            steps += [Step(LETTERS[frame.who], "receive", text=frame.text) for frame in step.frames]
        rows = [step.row for step in self.steps if step.row is not None]
        state, verb = (rows[-1].state, rows[-1].verb) if rows else ("", "")
        state, verb = state or self.spec.initial, verb or self.spec.protocol  # where no request is to blame
        return Play(
            id=f"{state}/{verb.upper()}/{self.violation.property.replace(' ', '-')}",
            title=str(self.violation),
            doc=f"{PROPERTIES[self.violation.property]} Not here: a server that plays this has the fault.",
            rules=tuple(dict.fromkeys(row.rule for row in rows)),
            steps=tuple(steps),
        )


def trace(search: Search, violation: Violation) -> Trace:
    """The trace of a violation that `search` has found."""
    path = list(actions(search, violation))
    texts = Texts(search.model.tables, [(action, before) for action, before, _ in path])
    return Trace(search.model.spec, violation, tuple(trace_steps(texts, path, search.model.server)), texts.people)


def trace_steps(
    texts: Texts, path: Iterable[tuple[Action, GlobalState, GlobalState | None]], server: Server
) -> Iterator[TraceStep]:
    """The steps of a trace with their texts, from each action with the states before and after it."""
    up: defaultdict[int, deque[str]] = defaultdict(deque)  # the texts in the queues
    down: defaultdict[int, deque[Frame]] = defaultdict(deque)
    for action, before, after in path:
        who = action.who
        if action.kind == "send" and action.sent is not None:
            up[who].append(texts.request(action.sent))
            yield TraceStep(action, up[who][-1], after)
        elif action.kind == "read":
            read = [down[who].popleft()]
            while read[-1].light:
                read.append(down[who].popleft())
            yield TraceStep(action, read[-1].text, after, read=tuple(frame.text for frame in read))
        elif action.row is not None:
            row, request = texts.tables.rows[action.row], up[who].popleft() if action.kind == "take" else ""
            frames = tuple(texts.frames(row, before.endpoints[who], action.sent or SentRequest(""), before, server))
            for frame in frames:
                down[frame.who].append(frame)
            yield TraceStep(action, request, after, row, frames)


def actions(search: Search, violation: Violation) -> Iterator[tuple[Action, GlobalState, GlobalState | None]]:
    """Each action of a trace, with the states before and after it. The search keeps no actions: find them again."""
    states = search.found.traces[violation]
    state = search.start()
    for following in states[1:]:
        wanted = search.canonical(following)
        for action, after, _ in search.model.steps(state):
            if after is not None and search.canonical(after) == wanted:
                yield action, state, after
                state = after
                break
    if states:
        yield from _last_steps(search, violation, state)


def _last_steps(
    search: Search, violation: Violation, state: GlobalState
) -> Iterator[tuple[Action, GlobalState, GlobalState | None]]:
    """The step that shows the violation, if the last state does not show it by itself."""
    for action, last, violations in search.model.steps(state):
        if violation in violations:
            yield action, state, last
            return
    for endpoint in state.endpoints:
        for sent, row, violations in search.model.inert_requests(endpoint):
            if violation in violations:
                yield Action("send", endpoint.me, sent), state, state
                yield Action("take", endpoint.me, sent, row.index), state, state
                return
        for requests, stray in search.model.strays(endpoint):
            if stray == violation:
                for sent, row, after in requests:
                    yield Action("send", endpoint.me, sent), state, state
                    before, state = state, state.with_changes([after], state.facts)
                    yield Action("take", endpoint.me, sent, row.index), before, state
                return


def _standing(answered: bool, accepted: bool) -> str:
    """Whether an end of the link has answered, and is heard."""
    return ", accepted" if accepted else ", answered" if answered else ""


def untangled(steps: Sequence[TraceStep]) -> list[TraceStep]:
    """The same trace, with each request sent as late and each reply read as early as its client's own order allows.

    Steps of different clients do not depend on each other, so the trace means the same and is easier to read.
    """
    order = list(steps)
    pairs = [pair for who in {step.action.who: None for step in steps} for pair in _pairs(steps, who)]
    for step in reversed(steps):
        for request, taken in pairs:
            if request is step:
                _move(order, request, taken, -1)
    for step in steps:
        for sent, reply in pairs:
            if reply is step:
                _move(order, reply, sent, +1)
    return order


def _takes(step: TraceStep, sent: TraceStep) -> bool:
    """Whether the server takes in this step the request that was sent in `sent`."""
    return (step.action.kind, step.action.who, step.text) == ("take", sent.action.who, sent.text)


def _pairs(steps: Sequence[TraceStep], who: int) -> Iterator[tuple[TraceStep, TraceStep]]:
    """For each frame from and to a client, the step in which it is sent, and the one in which it is taken or read."""
    own = [step for step in steps if step.action.who == who]
    requests, taken, read = ([step for step in own if step.action.kind == kind] for kind in ("send", "take", "read"))
    yield from zip(requests, taken, strict=False)
    yield from zip([step for step in steps for frame in step.frames if frame.who == who], read, strict=False)


def _position(order: Sequence[TraceStep], step: TraceStep) -> int:
    return next(i for i, other in enumerate(order) if other is step)


def _move(order: list[TraceStep], step: TraceStep, target: TraceStep, side: int) -> None:
    """Moves a step next to the target, unless its client does something in between."""
    here, there = _position(order, step), _position(order, target)
    between = order[min(here, there) + 1 : max(here, there)]
    if all(m.action.who != step.action.who or m.action.kind in ("take", "close", "timer") for m in between):
        order.pop(here)
        order.insert(_position(order, target) + (side > 0), step)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
