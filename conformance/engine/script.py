"""From a play to a script of actions: unique names, what must have come before the next send, and the final probes.

All of it is found with the model before the first octet is sent; the player only does what the script says.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from conformance.cases.play import NUMBER, WALK, Play, Segment, Step, StepKind, send
from conformance.oracle.frames import Parsed, matches, parse_reply, parse_request
from conformance.oracle.lines import Path
from conformance.oracle.model import Cut, Due, End, Items, Text, World
from conformance.oracle.names import Names, unique_number
from conformance.oracle.probe import Barrier, Probe, lister, probe_for
from pychat.spec import Spec

from . import actions as do
from .actions import shown
from .at_once import at_once
from .failures import ContradictionError
from .needs import EVERYTHING_WORKS, Findings


def leading(spec: Spec, path: Path) -> Play:
    """A play that only leads along a path of the model: all of it is setup."""
    steps = tuple(send(spec, who, octets) for who, octets in path)
    return Play("LEAD/IN/path", "the path into a state", (), steps, setup=len(steps))


@dataclass(frozen=True, slots=True)
class Sample:
    """Many lines of one sender, and the frame that the first of them becomes for their reader."""

    sender: str
    lines: do.Numbered
    reader: str
    text: str


class Compiler:
    """Makes one script. The model runs beside the play and says what is due.

    `number` makes the names of the play's users its own; without it there is a new one. `findings` say which probes
    may be used.
    """

    def __init__(
        self,
        spec: Spec,
        play: Play,
        number: int | None = None,
        *,
        segment: Segment = "whole",
        profiles: str = "core",
        findings: Findings = EVERYTHING_WORKS,
    ) -> None:
        self.spec = spec
        self.findings = findings
        self.play = play
        self.timed = any(spec.timers[step.timer].since == "call" for step in play.clocks)
        self.segment = segment
        self.names = Names(spec, unique_number() if number is None else number, exact=play.exact, written=play.written)
        self.world = World(spec, profiles, dict(play.server).get("max"))
        self.barrier = Barrier(spec)
        self.script = do.Script(play)
        self.due: dict[str, list[Due]] = {}  # what is due to each, and is not in the script yet
        self.totals: dict[str, int] = {}  # how much has been due to each in all
        self.unsettled: set[str] = set()  # senders of octets whose effect may not have come yet
        self.step: Step | None = None
        self.number = 0  # of the step in the play, from 1
        self.part = "setup"
        self.items: list[str] = []  # of a list whose end has not come
        self.listing = "", ""  # … the connection that gets it, and the request that it answers
        self.rule = ""  # of the last event that is no probe; "" where the play's own rule says more
        self.probing = False
        self.barrier_answers: set[str] = set()  # the answers to barriers that are sent in one segment with lines
        self.not_reading: set[str] = set()  # connections that do not read now
        self.stuck = ""  # the connection from which the server does not read now
        self.flood: Sample | None = None
        self.rng = random.Random(
            play.id if segment == "random" else 0
        )  # where the octets are cut; a walk's id stays when it is shrunk
        self.linked: set[str] = set()  # connections that were linked
        self.held: dict[str, bytes] = {}  # the rest of the octets of each that is sent later
        self._makers: dict[StepKind, Callable[[Step], None]] = {
            "send": lambda step: self._send(step.who, self.names.in_request(step.octets)), "finish": self._leave,
            "reset": self._leave, "late": lambda step: self._add(do.SendLate(step.who, step.octets)),
            "receive": self._receive, "end": self._end, "cut": self._end, "silent": self._silent, "state": self._state,
            "together": self._race, "open": self._open, "pause": self._pause, "clock": self._clock,
            "flood": self._flood, "lines": self._lines,
            "signal": self._signal, "exit": lambda step: self._add(do.Exit()),
        }  # fmt: skip

    def compile(self, *, probes: bool = True) -> do.Script:
        """The script; without `probes` it ends after the last step."""
        steps = self.play.steps
        for self.number, step in enumerate(steps, 1):
            self.step, self.part = step, "setup" if self.number <= self.play.setup else "play"
            self._do(step)
            named = self.number < len(steps) and steps[self.number].kind in ("receive", "end")
            if (self.part == "setup" or self.play.at_once) and step.kind == "send" and not named:
                self._receive_all()  # the setup need not say what comes
        self.part = "probe"
        if probes and (not steps or steps[-1].kind != "together"):
            self._final_probes()
        if self.play.at_once:
            self.script.ops = list(at_once(self.script.ops))
        return self.script

    def _add(self, action: do.Action) -> None:
        """The next action. What is due in a probe is due by what was probed, else by what brings it."""
        rule = self.rule
        if isinstance(action, do.Receive) and not self.probing and action.due.rule:
            rule = action.due.rule
        self.script.ops.append(do.Op(action, str(self.step), self.part, rule, self._mute()))

    def _mute(self) -> frozenset[str]:
        """The connections that are in a row of faults, which a barrier would end."""
        found = set()
        for who, connection in self.world.connections.items():
            budget = self.spec.budget(connection.state) if connection.faults else None
            if budget is not None and budget.in_a_row:
                found.add(who)
        return frozenset(found)

    def _do(self, step: Step) -> None:
        if step.who in self.not_reading and step.kind in ("receive", "end", "silent", "state"):
            raise self._contradiction(f"{step.who} does not read")
        if step.kind not in ("send", "finish", "reset"):
            self._send_held()
        if step.kind != "receive":
            self._end_of_list()
        self._makers[step.kind](step)

    def _contradiction(self, reason: str) -> ContradictionError:
        return ContradictionError(
            f"{self.play.source}: step {self.number}, `{self.step}`, contradicts the spec: {reason}"
        )

    def _leave(self, step: Step) -> None:
        if self.held.get(step.who):
            self._send(step.who, b"")
            del self.held[step.who]
        self._enter(step.who)
        if step.kind == "reset" and self.play.source == WALK and self.world.open(step.who).partner is None:
            step = replace(step, kind="finish")  # no push would tell when a reset has happened
        # A reset destroys what is still on its way, in both directions: everything must have come before.
        self._settle("" if step.kind == "reset" else step.who)
        dues = _dues(self.world, step)
        self.rule = self.world.rule
        self._add(_action(step))
        self._add_due(step.who, dues)

    def _end(self, step: Step) -> None:
        due = End() if step.kind == "end" else Cut()
        self._receive_barrier_answers(step.who)
        self._add(do.Receive(step.who, self._checked(step.who, due)))

    def _silent(self, step: Step) -> None:
        self._settle("")
        self._receive_barrier_answers(step.who)
        self._add(do.Quiet((step.who,)))

    def _open(self, step: Step) -> None:
        self._settle("")
        dues = self.world.enter(step.who)
        self.rule = self.world.rule
        self._add(do.Open(step.who, admitted=self.world.is_open(step.who)))
        self._add_due(step.who, dues)

    def _enter(self, who: str) -> None:
        """A connection that is new opens now, and may be greeted."""
        if who not in self.world.connections:
            self._add_due(who, self.world.enter(who))

    # Time, and the server as a program

    def _clock(self, step: Step) -> None:
        self._settle("")
        timer = self.spec.timers[step.timer]
        if timer.since == "full" and step.who not in self.not_reading:
            raise self._contradiction(f"the queue of {step.who}, who reads, is not full")
        if timer.since == "call" and step.who not in self.linked:
            raise self._contradiction(f"{step.who} was never at an end of a call")
        if step.part > 1 and not (timer.since == "silence" and step.who == self.stuck):
            raise self._contradiction(f"the clock of {step.who} does not stand still")
        self.rule = timer.rule
        told = self.world.copy().expire(step.who, timer)
        dues = self.world.expire(step.who, timer) if step.part == 1 else {}
        watched = step.who if step.who in told else next(iter(told), step.who)
        self._add(do.Clock(step.who, step.timer, step.part, watched, next(iter(dues.get(watched, [])), None)))
        self._add_due(step.who, dues)

    def _signal(self, step: Step) -> None:
        self._settle("")
        dues = self.world.stop()
        self.rule = self.world.rule
        self._add(do.Signal(step.text))
        self._add_due(step.who, dues)

    # Amounts

    def _pause(self, step: Step) -> None:
        self._settle("")
        self.rule = ""
        self._add(do.Pause(step.who))
        self.not_reading.add(step.who)

    def _flood(self, step: Step) -> None:
        """One line tells what becomes of all of them, since they change nothing."""
        self._settle("")
        said = parse_request(self.spec, step.text.replace(NUMBER, "1").encode())
        if not isinstance(said, Parsed) or not step.text.endswith(f" {NUMBER}"):
            raise self._contradiction(f"many lines are requests that end in {NUMBER}")
        kind = self.spec.last_type(self.spec.requests[said.verb].form)
        assert kind is not None, "the line ends in a value"
        lines = do.Numbered(step.text, kind.octets[1], self.spec.framing.writes)
        self._enter(step.who)
        after = self.world.copy()
        dues = [(who, due) for who, some in after.feed(step.who, lines.octets(0)).items() for due in some]
        texts = [(who, due.text) for who, due in dues if isinstance(due, Text)]
        if len(dues) != 1 or not texts or after.key() != self.world.key() or after.decisions[-1].row is None:
            raise self._contradiction("each of many lines comes to one connection, and changes nothing")
        self.flood = Sample(step.who, lines, *texts[0])
        self._add(do.Flood(step.who, lines))
        self.stuck = step.who

    def _lines(self, step: Step) -> None:
        flood = self.flood
        if flood is None:
            raise self._contradiction("nobody has sent many lines before")
        self.stuck = ""
        if NUMBER in step.text:
            lines = do.Numbered(step.text, flood.lines.width, self.spec.framing.writes)
            if (step.who, lines.text(0)) != (flood.reader, flood.text):
                raise self._not_due(flood.reader, Text(flood.text))
            self._add(do.ReadOn(step.who, lines))
            self.not_reading.discard(step.who)
            return
        (due,) = self.world.copy().feed(flood.sender, flood.lines.octets(0)).get(step.who, [None])
        if not isinstance(due, Text) or not matches(step.text, due.text):
            raise self._not_due(step.who, due)
        self._add(do.Refused(step.who, step.text))

    # What is due

    def _add_due(self, by: str, dues: dict[str, list[Due]]) -> None:
        self.unsettled.add(by)
        for who, due in dues.items():
            self.due.setdefault(who, []).extend(due)
            self.totals[who] = self.totals.get(who, 0) + len(due)

    def _checked(self, who: str, due: Due) -> Due:
        """What a play names as due, with its rule; it must be what the model says, or one of the two is wrong."""
        owed = self.due.get(who)
        first = owed.pop(0) if owed else None
        same = due == first
        if isinstance(due, Items) and isinstance(first, Items):
            same = sorted(due.items) == sorted(first.items) and due.answer == first.answer
        elif isinstance(due, Text) and isinstance(first, Text):
            same = matches(first.text, due.text) or matches(due.text, first.text)
        if not same or first is None:
            raise self._not_due(who, first)
        return replace(due, rule=first.rule)

    def _not_due(self, who: str, due: Due | None) -> ContradictionError:
        says = f"`{shown(who, due)}` is due" if due is not None else f"nothing is due to {who}"
        return self._contradiction(f"by its model {says}")

    def _settle(self, who: str) -> None:
        """Before `who` sends: the effects of what the others have sent must be there."""
        if self.unsettled - {who}:
            totals = []
            for other, total in self.totals.items():
                if other in self.not_reading:
                    continue
                ends = any(isinstance(due, End) for due in self.due.get(other, ()))
                totals.append((other, total - ends, ends))
            self._add(do.Settle(tuple(totals)))
            self.unsettled = set()

    def _send(self, who: str, octets: bytes) -> None:
        if self.segment != "random" or self.part != "play":
            self._send_segment(who, octets)
            return
        octets = self.held.pop(who, b"") + octets
        cuts = sorted(self.rng.choices(range(len(octets) + 1), k=self.rng.choice((0, 1, 3))))
        last = self.rng.choice(
            (len(octets), cuts.pop() if cuts else len(octets))
        )  # the rest comes with what comes next
        for start, end in itertools.pairwise([0, *cuts, last]):
            if octets[start:end]:
                self._send_segment(who, octets[start:end])
        self.held[who] = octets[last:]

    def _send_held(self) -> None:
        """What is still held back, before something is looked at."""
        for who, octets in self.held.items():
            if octets and self.world.is_open(who):
                self._send_segment(who, octets)
        self.held.clear()

    def _send_segment(self, who: str, octets: bytes) -> None:
        self._settle(who)
        with_barriers: set[str] = set()
        coalesced = self.part == "play" and self.segment == "coalesced" and self.barrier.is_echo
        if coalesced and octets.endswith(b"\n") and self._between_lines(who):
            before, after = self.barrier.token(), self.barrier.token()
            octets = self.barrier.request(before) + octets + self.barrier.request(after)
            with_barriers = {self.barrier.answer(before), self.barrier.answer(after)}
        self.barrier_answers |= with_barriers
        fed, partners = len(self.world.decisions), self._partners()
        dues = self.world.feed(who, octets)
        linked = tuple(sorted(other for other, partner in self._partners() - partners if partner is not None))
        self.linked |= {*linked}
        self._note_rule(fed, with_barriers=bool(with_barriers))
        self._add(do.Send(who, octets, self.part == "play" and self.segment == "octet", linked if self.timed else ()))
        self._add_due(who, dues)

    def _note_rule(self, fed: int, *, with_barriers: bool) -> None:
        """The rule of the last line that was fed, without the barriers around it. A probe is no event of the play."""
        taken = self.world.decisions[fed:]
        if self.probing:
            return
        if not taken or self.world.rule != taken[-1].rule:  # no line is whole yet, or it was one too many, or too long
            self.rule = self.world.rule
            return
        if with_barriers:
            taken = taken[1:-1] if len(taken) > 2 else taken[1:]
        if taken:
            self.rule = taken[-1].rule

    def _receive_barrier_answers(self, who: str) -> None:
        """The answers to barriers beside a line are due where the model says, though no play names them."""
        dues = self.due.get(who, [])
        while dues and isinstance(dues[0], Text) and dues[0].text in self.barrier_answers:
            self._add(do.Receive(who, dues.pop(0)))

    def _between_lines(self, who: str) -> bool:
        connection = self.world.connections.get(who)
        half = connection is not None and connection.cutter is not None and connection.cutter.rest
        return self.world.is_open(who) and not half

    def _partners(self) -> set[tuple[str, str | None]]:
        return {(who, connection.partner) for who, connection in self.world.connections.items()}

    def _receive(self, step: Step) -> None:
        who, text = step.who, self.names.in_reply(step.text)
        self._enter(who)
        got = parse_reply(self.spec, text)
        if got is not None and got.reply.kind == "item":
            self.items.append(text)
            self.listing = who, got.reply.verb or ""
            return
        self._end_of_list()
        self._receive_barrier_answers(who)
        listing = self.items or (got is not None and got.reply.verb and self._lists(got.reply.verb))
        due: Due = Items(tuple(self.items), text) if listing else Text(text)
        self.items = []
        self._add(do.Receive(who, self._checked(who, due)))

    def _end_of_list(self) -> None:
        """A list without an answer ends with the next step that is no item."""
        who, verb = self.listing
        if self.items and self.spec.requests[verb].answer is None:
            due, self.items = Items(tuple(self.items), ""), []
            self._receive_barrier_answers(who)
            self._add(do.Receive(who, self._checked(who, due)))

    def _lists(self, verb: str) -> bool:
        return self.spec.requests[verb].item is not None

    # Probes

    def _state(self, step: Step) -> None:
        self._receive_all()
        self._enter(step.who)
        configuration = self.world.configuration(step.who)
        if configuration != step.text:
            raise self._contradiction(f"by its model {step.who} is in {configuration}")
        probe = self._probe_of(step.who)
        if probe is not None:
            self.probing = True
            self._send_probe(step.who, probe)
            self._receive_all()
            self.probing = False

    def _probe_of(self, who: str) -> Probe | None:
        """The request that is answered so in no other state; None where there is none, or its answer is distrusted."""
        distrusted = self.world.configuration(who) in self.findings.distrusted
        return None if distrusted else probe_for(self.world, who)

    def _send_probe(self, who: str, probe: Probe) -> None:
        part, self.part = self.part, "probe" if self.part == "probe" else "setup"
        self._send(who, probe.request)
        self.part = part

    def _receive_all(self, *whose: str) -> None:
        """What is due is received, on these connections or on all."""
        for who in whose or self.due:
            if who in self.not_reading:
                continue
            for due in self.due.get(who, ()):
                self._add(do.Receive(who, due))
            self.due[who] = []

    def _final_probes(self) -> None:
        """What is still due; a probe of each connection's state; the listing; and nothing else."""
        self._end_of_list()
        self._send_held()
        self._receive_all()
        live = [who for who in self.world.connections if self.world.is_open(who) and who not in self.not_reading]
        probes = {who: probe for who in live if (probe := self._probe_of(who)) is not None}
        steps = {who: Step(who, "state", text=self.world.configuration(who)) for who in probes}
        alone = [who for who, probe in probes.items() if not probe.told]
        self.probing = True
        for who in alone:  # nobody else hears of these: all are sent before the first answer is waited for
            self.step = steps[who]
            self._send_probe(who, probes[who])
            self.unsettled.discard(who)
        for who in alone:
            self.step = steps[who]
            self._receive_all(who)
        for who in [who for who in probes if who not in alone]:
            self.step = steps[who]
            self._send_probe(who, probes[who])
            self._receive_all()
        request = lister(self.spec) if self.findings.listing else None
        listers = [who for who in live if request and self.world.connections[who].name is not None]
        if listers and request:
            self.step = Step(listers[0], "send", request, request.decode().strip())
            self._send(listers[0], request)
            self._receive_all()
        self.probing = False
        readers = tuple(who for who in self.world.connections if who not in self.not_reading)
        self.step = Step(",".join(readers), "silent")
        self._add(do.Quiet(readers))

    # Races

    def _race(self, step: Step) -> None:
        self._settle("")
        self._receive_all()
        self.rule = ""
        sends = [Step(part.who, part.kind, self.names.in_request(part.octets), part.text) for part in step.together]
        branches: dict[object, do.Branch] = {}
        for order in dict.fromkeys(itertools.permutations(map(_sender, sends))):  # each sender's own order stays
            branch, key = self._branch(sends, order)
            branches.setdefault(key, branch)
        self._add(do.Race(tuple(_action(part) for part in sends), tuple(branches.values())))

    def _branch(self, sends: list[Step], order: tuple[tuple[str, bool], ...]) -> tuple[do.Branch, object]:
        number, profiles = self.names.number, self.world.profiles
        other = Compiler(self.spec, self.play, number, profiles=profiles, findings=self.findings)
        other.world, other.step, other.part = self.world.copy(), self.step, "probe"
        other.barrier = self.barrier
        queues = {sender: [part for part in sends if _sender(part) == sender] for sender in order}
        dues: dict[str, list[Due]] = {}
        fed = len(other.world.decisions)
        for sender in order:
            for target, due in _dues(other.world, queues[sender].pop(0)).items():
                dues.setdefault(target, []).extend(due)
        frozen = tuple(sorted((who, tuple(due)) for who, due in dues.items()))
        rules = {taken.who: taken.rule for taken in other.world.decisions[fed:]}
        other._final_probes()
        return do.Branch(frozen, tuple(other.script.ops), tuple(rules.items())), frozen


def _sender(step: Step) -> tuple[str, bool]:
    """Whose step it is in a race; a timer is nobody's."""
    return step.who, step.kind == "clock"


def _action(step: Step) -> do.Await | do.Send | do.Finish | do.Reset:
    if step.kind == "clock":
        return do.Await(step.who, step.timer)
    if step.kind == "send":
        return do.Send(step.who, step.octets)
    return do.Finish(step.who) if step.kind == "finish" else do.Reset(step.who)


def _dues(world: World, step: Step) -> dict[str, list[Due]]:
    """What such a step brings in a world."""
    if step.kind == "send":
        return world.feed(step.who, step.octets)
    if step.kind == "clock":
        return world.expire(step.who, world.spec.timers[step.timer])
    return world.finish(step.who) if step.kind == "finish" else world.reset(step.who)
