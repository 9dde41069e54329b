"""A fault's shortest trace in the words of the protocol: as a sequence diagram in text, and as a conformance play."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conformance.cases.play import Play, Step, send
from pychat.spec import Spec

from .explore import Search
from .model import NOBODY, Action, World
from .properties import PROPERTIES, Fault
from .rows import Row
from .words import LETTERS, Frame, Words

GAP = "  "  # between two columns


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a trace: what is sent, read or taken, the row that fires, and the frames that the server sends."""

    action: Action
    text: str
    after: World | None
    row: Row | None = None
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A shortest way to the first sight of a fault; without moments if it lies in the tables themselves."""

    spec: Spec
    fault: Fault
    moments: tuple[Moment, ...]
    people: tuple[str, ...]

    def diagram(self) -> str:
        """A line of life for each client, and one for the server with what it does.

        ─▶ a request that is taken at once, ┄▶ one that is on its way for a while; ◀─ a reply; ╳ the connection is lost.
        """
        lines = [str(self.fault), PROPERTIES[self.fault.property]]
        if self.moments:
            rows = [(*self.people, "server"), *self._rows()]
            lines += ["", *_columns(rows), *self._last(self.moments[-1].after or ())]
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """A line for each moment; a request that is taken as soon as it is sent has one line for both."""
        moments = iter(untangled(self.moments))
        following = next(moments, None)
        over: set[int] = set()
        while following is not None:
            moment, following = following, next(moments, None)
            who, server, arrow = moment.action.who, self._server(moment), "┄▶"
            if moment.action.kind == "send" and following is not None and _takes(following, moment):
                arrow, server = "─▶", self._server(following, at_once=True)
                taken, following = following, next(moments, None)
            else:
                taken = moment
            cells = [" " if i in over else "│" for i in range(len(self.people))]
            cells[who] = {"send": f"│ {moment.text} {arrow}", "read": f"│ ◀─ {moment.text}", "close": "╳"}.get(
                moment.action.kind, cells[who]
            )
            if taken.row is not None and taken.row.to == self.spec.final:
                over.add(who)
            yield (*cells, f"│ {server}" if server else "│")

    def _server(self, moment: Moment, at_once: bool = False) -> str:
        """What the server does: the outcome, and the states that change."""
        row, who, after = moment.row, moment.action.who, moment.after
        if row is None:
            return ""
        words = [row.label if at_once or not row.verb else f"{self.people[who]}'s {moment.text}: {row.label}"]
        for end in after or ():
            other = end.me != who and end.me in [frame.who for frame in moment.frames]
            if (end.me == who and row.to) or (other and row.partner_to):
                words.append(f"{self.people[end.me]} {end.state}")
        return "; ".join(words)

    def _last(self, world: World) -> Iterator[str]:
        """What both sides know at the end."""
        live = [end for end in world if end.state != self.spec.final]
        if live:
            yield ""
        for end in live:
            server = f"{end.state}{self._with(end.partner)}" + (", accepted" if end.accepted else "")
            client = f"{end.view}{self._with(end.peer)}" + (", accepted" if end.heard else "")
            yield f"{self.people[end.me]}: {server} at the server; {client} in its own view"

    def _with(self, partner: int) -> str:
        return f" with {self.people[partner]}" if partner != NOBODY else ""

    def play(self) -> Play:
        """The trace as a play: what a server of this spec does, the fault included.

        Each request is sent when the server takes it, since a play cannot hold a frame back in the network. For the
        server that is the same.
        """
        steps: list[Step] = []
        for moment in self.moments:
            who = LETTERS[moment.action.who]
            if moment.action.kind == "take":
                steps.append(send(self.spec, who, moment.text.encode() + self.spec.framing.writes))
            elif moment.action.kind == "close":
                steps.append(Step(who, "reset"))
            steps += [Step(LETTERS[frame.who], "receive", text=frame.text) for frame in moment.frames]
        rows = [moment.row for moment in self.moments if moment.row is not None]
        state, verb = (rows[-1].state, rows[-1].verb) if rows else ("", "")
        state, verb = state or self.spec.initial, verb or self.spec.protocol  # where no request is to blame
        return Play(
            id=f"{state}/{verb.upper()}/{self.fault.property.replace(' ', '-')}",
            title=str(self.fault),
            doc=f"{PROPERTIES[self.fault.property]} Not here: a server that plays this has the fault.",
            rules=tuple(dict.fromkeys(row.rule for row in rows)),
            steps=tuple(steps),
        )


def trace(search: Search, fault: Fault) -> Trace:
    """The trace of a fault that `search` has found."""
    way = list(_walk(search, fault))
    words = Words(search.model.tables, [(action, before) for action, before, _ in way])
    return Trace(search.model.spec, fault, tuple(told(words, way)), words.people)


def told(words: Words, way: Iterable[tuple[Action, World, World | None]]) -> Iterator[Moment]:
    """The steps of a way with their texts: each action, and the worlds before and after it."""
    up: defaultdict[int, deque[str]] = defaultdict(deque)  # the texts in the queues
    down: defaultdict[int, deque[str]] = defaultdict(deque)
    for action, before, after in way:
        who = action.who
        if action.kind == "send" and action.sent is not None:
            up[who].append(words.request(action.sent))
            yield Moment(action, up[who][-1], after)
        elif action.kind == "read":
            yield Moment(action, down[who].popleft(), after)
        elif action.row is not None:
            row, request = words.tables.rows[action.row], up[who].popleft() if action.kind == "take" else ""
            frames = tuple(words.frames(row, before[who], request, before))
            for frame in frames:
                down[frame.who].append(frame.text)
            yield Moment(action, request, after, row, frames)


def _walk(search: Search, fault: Fault) -> Iterator[tuple[Action, World, World | None]]:
    """The steps of a trace. The search keeps one state for all that are alike, so each step is looked for again."""
    states = search.found.traces[fault]
    world = search.model.start()
    for state in states[1:]:
        wanted = search.canonical(state)
        for action, after, _ in search.model.steps(world):
            if after is not None and search.canonical(after) == wanted:
                yield action, world, after
                world = after
                break
    if states:
        yield from _last_steps(search, fault, world)


def _last_steps(search: Search, fault: Fault, world: World) -> Iterator[tuple[Action, World, World | None]]:
    """The step that shows the fault, if the last state does not show it by itself."""
    for action, last, faults in search.model.steps(world):
        if fault in faults:
            yield action, world, last
            return
    for end in world:
        for sent, row, faults in search.model.asides(end):
            if fault in faults:
                yield Action("send", end.me, sent), world, world
                yield Action("take", end.me, sent, row.index), world, world
                return


def untangled(moments: Sequence[Moment]) -> list[Moment]:
    """The same trace, with each request sent as late, and each reply read as early, as its client's own order allows.

    Steps of different clients do not depend on each other, so this is the same to everybody and easier to read.
    """
    order = list(moments)
    for moment in reversed(moments):
        if moment.action.kind == "send":
            taken = _nth(order, "take", moment.action.who, _count(order, moment))
            if taken is not None:
                _move(order, moment, taken, -1)
    for moment in moments:
        if moment.action.kind == "read":
            sent = _source(order, moment.action.who, _count(order, moment))
            _move(order, moment, sent, +1)
    return order


def _takes(moment: Moment, sent: Moment) -> bool:
    """Whether this is the server's taking of what was sent just before."""
    return (moment.action.kind, moment.action.who, moment.text) == ("take", sent.action.who, sent.text)


def _position(order: Sequence[Moment], moment: Moment) -> int:
    return next(i for i, other in enumerate(order) if other is moment)


def _count(order: Sequence[Moment], moment: Moment) -> int:
    """How many moments of this kind and client come before."""
    before = order[: _position(order, moment)]
    return sum((m.action.kind, m.action.who) == (moment.action.kind, moment.action.who) for m in before)


def _nth(order: Sequence[Moment], kind: str, who: int, n: int) -> Moment | None:
    found = [moment for moment in order if (moment.action.kind, moment.action.who) == (kind, who)]
    return found[n] if n < len(found) else None


def _source(order: Sequence[Moment], who: int, n: int) -> Moment:
    """The moment in which the n-th frame to `who` was sent."""
    return [moment for moment in order for frame in moment.frames if frame.who == who][n]


def _move(order: list[Moment], moment: Moment, target: Moment, side: int) -> None:
    """Moves a moment next to the target, unless its client does something in between."""
    here, there = _position(order, moment), _position(order, target)
    between = order[min(here, there) + 1 : max(here, there)]
    if all(m.action.who != moment.action.who or m.action.kind in ("take", "close") for m in between):
        order.pop(here)
        order.insert(_position(order, target) + (side > 0), moment)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
