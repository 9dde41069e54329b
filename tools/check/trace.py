"""The shortest trace to a violation in frames of the protocol: as a sequence diagram in text, and as a play."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conformance.cases.play import Play, Step, send
from pychat.spec import Spec

from .explore import Search
from .model import NOBODY, Action, GlobalState
from .properties import PROPERTIES, Violation
from .rows import Row
from .texts import LETTERS, Frame, Texts

GAP = "  "  # between two columns


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a trace: what is sent, read or taken, the row that fires, and the frames that the server sends."""

    action: Action
    text: str
    after: GlobalState | None
    row: Row | None = None
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A shortest path to a violation; without steps if the tables themselves violate the property."""

    spec: Spec
    violation: Violation
    steps: tuple[TraceStep, ...]
    people: tuple[str, ...]

    def diagram(self) -> str:
        """A lifeline for each client, and one for the server with the outcomes.

        ─▶ a request that is taken at once, ┄▶ one that is on its way for a while; ◀─ a reply; ╳ the connection is lost.
        """
        lines = [str(self.violation), PROPERTIES[self.violation.property]]
        if self.steps:
            rows = [(*self.people, "server"), *self._rows()]
            lines += ["", *_columns(rows), *self._last(self.steps[-1].after or ())]
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
        words = [row.label if at_once or not row.verb else f"{self.people[who]}'s {step.text}: {row.label}"]
        for end in after or ():
            other = end.me != who and end.me in [frame.who for frame in step.frames]
            if (end.me == who and row.to) or (other and row.partner_to):
                words.append(f"{self.people[end.me]} {end.state}")
        return "; ".join(words)

    def _last(self, state: GlobalState) -> Iterator[str]:
        """What both sides know at the end."""
        live = [end for end in state if end.state != self.spec.final]
        if live:
            yield ""
        for end in live:
            server = f"{end.state}{self._with(end.partner)}" + (", accepted" if end.accepted else "")
            client = f"{end.view}{self._with(end.peer)}" + (", accepted" if end.heard else "")
            yield f"{self.people[end.me]}: {server} at the server; {client} in its own view"

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
    path = list(_walk(search, violation))
    texts = Texts(search.model.tables, [(action, before) for action, before, _ in path])
    return Trace(search.model.spec, violation, tuple(trace_steps(texts, path)), texts.people)


def trace_steps(texts: Texts, path: Iterable[tuple[Action, GlobalState, GlobalState | None]]) -> Iterator[TraceStep]:
    """The steps of a trace with their texts, from each action with the states before and after it."""
    up: defaultdict[int, deque[str]] = defaultdict(deque)  # the texts in the queues
    down: defaultdict[int, deque[str]] = defaultdict(deque)
    for action, before, after in path:
        who = action.who
        if action.kind == "send" and action.sent is not None:
            up[who].append(texts.request(action.sent))
            yield TraceStep(action, up[who][-1], after)
        elif action.kind == "read":
            yield TraceStep(action, down[who].popleft(), after)
        elif action.row is not None:
            row, request = texts.tables.rows[action.row], up[who].popleft() if action.kind == "take" else ""
            frames = tuple(texts.frames(row, before[who], request, before))
            for frame in frames:
                down[frame.who].append(frame.text)
            yield TraceStep(action, request, after, row, frames)


def _walk(search: Search, violation: Violation) -> Iterator[tuple[Action, GlobalState, GlobalState | None]]:
    """Each action of a trace, with the states before and after it. The search keeps no actions: find them again."""
    states = search.found.traces[violation]
    state = search.model.start()
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
    for end in state:
        for sent, row, violations in search.model.inert_requests(end):
            if violation in violations:
                yield Action("send", end.me, sent), state, state
                yield Action("take", end.me, sent, row.index), state, state
                return


def untangled(steps: Sequence[TraceStep]) -> list[TraceStep]:
    """The same trace, with each request sent as late and each reply read as early as its client's own order allows.

    Steps of different clients do not depend on each other, so the trace means the same and is easier to read.
    """
    order = list(steps)
    for step in reversed(steps):
        if step.action.kind == "send":
            taken = _nth(order, "take", step.action.who, _count(order, step))
            if taken is not None:
                _move(order, step, taken, -1)
    for step in steps:
        if step.action.kind == "read":
            sent = _source(order, step.action.who, _count(order, step))
            _move(order, step, sent, +1)
    return order


def _takes(step: TraceStep, sent: TraceStep) -> bool:
    """Whether the server takes in this step the request that was sent in `sent`."""
    return (step.action.kind, step.action.who, step.text) == ("take", sent.action.who, sent.text)


def _position(order: Sequence[TraceStep], step: TraceStep) -> int:
    return next(i for i, other in enumerate(order) if other is step)


def _count(order: Sequence[TraceStep], step: TraceStep) -> int:
    """How many steps of this kind and client come before."""
    before = order[: _position(order, step)]
    return sum((m.action.kind, m.action.who) == (step.action.kind, step.action.who) for m in before)


def _nth(order: Sequence[TraceStep], kind: str, who: int, n: int) -> TraceStep | None:
    found = [step for step in order if (step.action.kind, step.action.who) == (kind, who)]
    return found[n] if n < len(found) else None


def _source(order: Sequence[TraceStep], who: int, n: int) -> TraceStep:
    """The step in which the n-th frame to `who` was sent."""
    return [step for step in order for frame in step.frames if frame.who == who][n]


def _move(order: list[TraceStep], step: TraceStep, target: TraceStep, side: int) -> None:
    """Moves a step next to the target, unless its client does something in between."""
    here, there = _position(order, step), _position(order, target)
    between = order[min(here, there) + 1 : max(here, there)]
    if all(m.action.who != step.action.who or m.action.kind in ("take", "close") for m in between):
        order.pop(here)
        order.insert(_position(order, target) + (side > 0), step)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
