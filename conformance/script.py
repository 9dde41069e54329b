"""A play made ready to run: unique names, what must have come before the next send, and the final probes.

All of it is settled before the first octet is sent, by the model; the player only does what stands here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from pychat.spec import Spec

from .frames import Parsed, matches, parse_reply, parse_request, write_form
from .model import Due, End, Items, Text, World
from .play import Play, Segment, Step
from .probe import Barrier, lister, probe_for
from .trust import TRUSTED, Trust


class ContradictionError(Exception):
    """A play says otherwise than the model: one of them is wrong, and it is not the implementation under test."""


@dataclass(frozen=True, slots=True)
class Send:
    """Octets to send, whole or octet by octet."""

    who: str
    octets: bytes
    octetwise: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the sending half."""

    who: str


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset of the connection."""

    who: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Octets that are sent after the end of the stream, and must be taken without a reset."""

    who: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait until so many units have come to each in all (a listing is one unit), or the end of the stream."""

    totals: tuple[tuple[str, int, bool], ...]


@dataclass(frozen=True, slots=True)
class Receive:
    """This is due next."""

    who: str
    due: Due


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing has come but what was due; proved on each of these connections by a barrier request."""

    who: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """One result of a race: what comes to whom, and what follows then."""

    dues: tuple[tuple[str, tuple[Due, ...]], ...]
    then: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Race:
    """Sends at the same moment; what comes must be one of the branches."""

    sends: tuple[Send | Finish | Reset, ...]
    branches: tuple[Branch, ...]


Action = Send | Finish | Reset | Taken | Settle | Receive | Quiet | Race


@dataclass(frozen=True, slots=True)
class Op:
    """An action, the play's step that it belongs to, and whether that step is only setup or the final probe."""

    action: Action
    step: str
    part: str = "play"  # setup | play | probe
    rule: str = ""  # what the server must do by it


@dataclass(slots=True)
class Script:
    """A play with what is to be done for it, in order."""

    play: Play
    ops: list[Op] = field(default_factory=list)


class Names:
    """A suffix for each name of a play, so that plays can share a server. Spelling and case stay."""

    def __init__(self, spec: Spec, number: int, *, exact: bool = False) -> None:
        self.spec = spec
        self.key = spec.link.key
        self.type = spec.types[self.key]
        self.number = number
        self.exact = exact
        self._exact: dict[str, str] = {}

    def unique(self, name: str) -> str:
        if self.exact:
            return self._same_length(name)
        for suffix in (f"-{self.number}", str(self.number), _letters(self.number)):
            for stem in (name, name[: max(1, self.type.octets[1] - len(suffix))]):
                if self.type.accepts(stem + suffix):
                    return stem + suffix
        return name

    def _same_length(self, name: str) -> str:
        suffix = _letters(self.number)[-max(1, len(name) - 1) :]
        stem = name[: len(name) - len(suffix)]
        return stem + suffix if self.type.accepts(stem + suffix) else name

    def in_request(self, octets: bytes) -> bytes:
        """Octets of a client with each name made unique; lines that are no request stay as they are."""
        return b"".join(self._request_line(line) for line in octets.splitlines(keepends=True)) if octets else octets

    def _request_line(self, line: bytes) -> bytes:
        ending = next((e for e in sorted(self.spec.framing.accepts, key=len, reverse=True) if line.endswith(e)), None)
        if ending is None:
            return line
        said = parse_request(self.spec, line.removesuffix(ending))
        if not isinstance(said, Parsed):
            return line
        form = self.spec.requests[said.verb].form
        values = {f.name: self._value(f.type, said.values[f.name]) for f in form.fields}
        return write_form(form, values).encode() + ending

    def in_reply(self, text: str) -> str:
        got = parse_reply(self.spec, text)
        if got is None:
            return text
        form = got.reply.form
        return write_form(form, {f.name: self._value(f.type, got.values[f.name]) for f in form.fields})

    def _value(self, type_name: str, value: str) -> str:
        return self.unique(value) if type_name == self.key else value


def _letters(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 26)
        digits = chr(ord("a") + digit) + digits
    return digits or "a"


class Compiler:
    """Makes one script. The world runs beside the play and knows what is due."""

    def __init__(
        self,
        spec: Spec,
        play: Play,
        number: int,
        segment: Segment = "whole",
        profiles: str = "core",
        trust: Trust = TRUSTED,
    ) -> None:
        self.spec = spec
        self.trust = trust
        self.play = play
        self.segment = segment
        self.names = Names(spec, number, exact=play.exact)
        self.world = World(spec, profiles)
        self.barrier = Barrier(spec)
        self.script = Script(play)
        self.owed: dict[str, list[Due]] = {}
        self.totals: dict[str, int] = {}
        self.unsettled: set[str] = set()  # who has sent something whose effect may not be there yet
        self.step: Step | None = None
        self.part = "setup"
        self.items: list[str] = []
        self.rule = ""
        self.glue: set[str] = set()  # the answers to barriers that are glued to lines

    def compile(self, *, finale: bool = True) -> Script:
        """The script; without the finale it ends after the last step."""
        for index, step in enumerate(self.play.steps):
            self.step, self.part = step, "setup" if index < self.play.setup else "play"
            self._do(step)
            named = index + 1 < len(self.play.steps) and self.play.steps[index + 1].kind in ("receive", "end")
            if self.part == "setup" and step.kind == "send" and not named:
                self._pay_all()  # a way into a state need not say what comes on it
        self.part = "probe"
        if finale and (not self.play.steps or self.play.steps[-1].kind != "together"):
            self._finale()
        return self.script

    def _add(self, action: Action) -> None:
        self.script.ops.append(Op(action, str(self.step), self.part, self.rule))

    def _do(self, step: Step) -> None:
        if step.kind == "send":
            self._send(step.who, self.names.in_request(step.octets))
        elif step.kind in ("finish", "reset"):
            self._settle(step.who)
            self._add(Finish(step.who) if step.kind == "finish" else Reset(step.who))
            self._owe(step.who, self.world.finish(step.who) if step.kind == "finish" else self.world.reset(step.who))
        elif step.kind == "taken":
            self._add(Taken(step.who, step.octets))
        elif step.kind == "receive":
            self._receive(step.who, self.names.in_reply(step.text))
        elif step.kind == "end":
            self._pay_glue(step.who)
            self._add(Receive(step.who, End()))
            self._paid(step.who, End())
        elif step.kind == "silent":
            self._settle("")
            self._pay_glue(step.who)
            self._add(Quiet((step.who,)))
        elif step.kind == "state":
            self._state(step)
        else:
            self._race(step)

    # What is due

    def _owe(self, by: str, dues: dict[str, list[Due]]) -> None:
        self.unsettled.add(by)
        for who, due in dues.items():
            self.owed.setdefault(who, []).extend(due)
            self.totals[who] = self.totals.get(who, 0) + len(due)

    def _paid(self, who: str, due: Due) -> None:
        """A play names what is due; it must be what the model says, or one of the two is wrong."""
        owed = self.owed.get(who)
        first = owed.pop(0) if owed else None
        same = due == first
        if isinstance(due, Items) and isinstance(first, Items):
            same = sorted(due.items) == sorted(first.items) and due.answer == first.answer
        elif isinstance(due, Text) and isinstance(first, Text):
            same = matches(first.text, due.text) or matches(due.text, first.text)
        if not same:
            raise ContradictionError(f"{self.play.id}, step {self.step}: the model says {first}")

    def _settle(self, who: str) -> None:
        """Before `who` sends: the effects of what the others have sent must be there."""
        if self.unsettled - {who}:
            totals = []
            for other, total in self.totals.items():
                ends = any(isinstance(due, End) for due in self.owed.get(other, ()))
                totals.append((other, total - ends, ends))
            self._add(Settle(tuple(totals)))
            self.unsettled = set()

    def _send(self, who: str, octets: bytes) -> None:
        self._settle(who)
        glued: set[str] = set()
        if self.part == "play" and self.segment == "coalesced" and octets.endswith(b"\n") and self._between_lines(who):
            before, after = self.barrier.token(), self.barrier.token()
            octets = self.barrier.request(before) + octets + self.barrier.request(after)
            glued = {self.barrier.answer(before), self.barrier.answer(after)}
        self._add(Send(who, octets, self.part == "play" and self.segment == "octet"))
        self.glue |= glued
        fed = len(self.world.taken)
        dues = self.world.feed(who, octets)
        self._note_rule(fed, glued=bool(glued))
        self._owe(who, dues)

    def _note_rule(self, fed: int, *, glued: bool) -> None:
        """The rule of the last line that was fed, without the barriers around it; none for a probe's line."""
        if self.part == "probe":
            self.rule = ""
            return
        taken = self.world.taken[fed:]
        if glued:
            taken = taken[1:-1] if len(taken) > 2 else taken[1:]
        if taken:
            last = taken[-1]
            fault = next((fault for fault in self.spec.faults if fault.error == last.error), None)
            self.rule = last.row.rule if last.row else fault.rule if fault else ""

    def _pay_glue(self, who: str) -> None:
        """The answers to what was glued to a line are due where the model says, though no play names them."""
        owed = self.owed.get(who, [])
        while owed and isinstance(owed[0], Text) and owed[0].text in self.glue:
            self._add(Receive(who, owed.pop(0)))

    def _between_lines(self, who: str) -> bool:
        cutter = self.world.open(who).cutter
        return self.world.is_open(who) and cutter is not None and not cutter.rest

    def _receive(self, who: str, text: str) -> None:
        got = parse_reply(self.spec, text)
        if got is not None and got.reply.kind == "item":
            self.items.append(text)
            return
        self._pay_glue(who)
        listing = self.items or (got is not None and got.reply.verb and self._lists(got.reply.verb))
        due: Due = Items(tuple(self.items), text) if listing else Text(text)
        self.items = []
        self._add(Receive(who, due))
        self._paid(who, due)

    def _lists(self, verb: str) -> bool:
        return self.spec.requests[verb].item is not None

    # Probes

    def _state(self, step: Step) -> None:
        self._pay_all()
        peer = self.world.open(step.who)
        if peer.configuration(self.spec) != step.text:
            raise ContradictionError(f"{self.play.id}, step {step}: the model says {peer.configuration(self.spec)}")
        self._probe(step.who)

    def _probe(self, who: str) -> None:
        request = probe_for(self.world, who)
        if request is not None and self.trust.probes(self.world.peers[who].configuration(self.spec)):
            part, self.part = self.part, "probe" if self.part == "probe" else "setup"
            self._send(who, request)
            self.part = part
            self._pay_all()

    def _pay_all(self) -> None:
        for who, dues in self.owed.items():
            for due in dues:
                self._add(Receive(who, due))
            dues.clear()

    def _finale(self) -> None:
        """What is still due; a probe of each connection's state; who is listed how; and nothing else."""
        self._pay_all()
        live = [who for who in self.world.peers if self.world.is_open(who)]
        for who in live:
            self.step = Step(who, "state", text=self.world.peers[who].configuration(self.spec))
            self._probe(who)
        request = lister(self.spec) if self.trust.listing else None
        listers = [who for who in live if request and self.world.peers[who].name is not None]
        if listers and request:
            self.step = Step(listers[0], "send", request, request.decode().strip())
            self._send(listers[0], request)
            self._pay_all()
        self.step = Step(",".join(self.world.peers), "silent")
        self._add(Quiet(tuple(self.world.peers)))

    # Races

    def _race(self, step: Step) -> None:
        self._settle("")
        self._pay_all()
        sends = [Step(part.who, part.kind, self.names.in_request(part.octets), part.text) for part in step.together]
        branches: dict[object, Branch] = {}
        for order in _orders([part.who for part in sends]):
            branch, key = self._branch(sends, order)
            branches.setdefault(key, branch)
        self._add(Race(tuple(_action(part) for part in sends), tuple(branches.values())))

    def _branch(self, sends: list[Step], order: tuple[str, ...]) -> tuple[Branch, object]:
        other = Compiler(self.spec, self.play, self.names.number, "whole", self.world.profiles, self.trust)
        other.world, other.step, other.part = self.world.copy(), self.step, "probe"
        other.barrier = self.barrier
        queues = {who: [part for part in sends if part.who == who] for who in order}
        dues: dict[str, list[Due]] = {}
        for who in order:
            part = queues[who].pop(0)
            act = {"send": lambda p: other.world.feed(p.who, p.octets), "finish": lambda p: other.world.finish(p.who)}
            for target, due in act.get(part.kind, lambda p: other.world.reset(p.who))(part).items():
                dues.setdefault(target, []).extend(due)
        frozen = tuple(sorted((who, tuple(due)) for who, due in dues.items()))
        other._finale()
        return Branch(frozen, tuple(other.script.ops)), frozen


def _action(step: Step) -> Send | Finish | Reset:
    if step.kind == "send":
        return Send(step.who, step.octets)
    return Finish(step.who) if step.kind == "finish" else Reset(step.who)


def _orders(who: list[str]) -> Iterator[tuple[str, ...]]:
    """Each order of the sends that keeps the order of each sender's own."""
    return iter(dict.fromkeys(itertools.permutations(who)))
