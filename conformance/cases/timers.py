"""Cases of the timers of any spec: what ends a clock's time, what does not, and that it is kept. Knows no verb.

A time is short against what a case needs, so each play is about one clock: others that would run out in it are left
out with it. What comes at a time just before the end of a clock shows whether it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.model import World
from pychat.spec.model import Timer

from .draft import Draft
from .flow import OTHER, Flow
from .matrix import TIME, Cells
from .play import Play

PART = 0.6  # of a time, at which it is not over; twice that is
NEAR = 0.9  # of a time, shortly before its end
MOST = 100_000  # octets that come after the last frame


class Timers(Cells):
    """The plays of all timers of a spec."""

    def plays(self) -> list[Play]:
        makers = {
            "accept": self._accept, "silence": self._silence, "call": self._call, "goodbye": self._goodbye,
            "full": self._full,
        }  # fmt: skip
        found = [play for timer in self.spec.timers.values() for play in makers[timer.since](timer)]
        return self.numbered(found, self.spec.ending.rule)

    def _play(self, timer: Timer, variant: str, title: str, draft: Draft, configuration: str = "") -> Play:
        """The play of a draft; its id has the subject's state at the end of the path, or this one."""
        state, _, end = (configuration or self.spec.initial).partition("+")
        name = "-".join(filter(None, [timer.name, variant, end and f"when-{end}"]))
        return Play(
            f"{state}/{TIME}/{name}", title, (timer.rule,), tuple(draft.steps), setup=draft.setup,
            source="the timers", segments=("whole",),
        )  # fmt: skip

    # What is sent while a clock runs

    def _signs(self, world: World, who: str) -> Iterator[tuple[str, bytes]]:
        """What `who` can send without a change: a line of each request, and one with each fault; with its name.

        Of a request that would change something it is the verb alone.
        """
        found: dict[str, bytes] = {}
        for line in self.paths.lines(who):
            verb = line.split()[0].decode().lower()
            if verb not in found and self._changes_nothing(world, who, line):
                found[verb] = line
        first = next((verb for verb, request in self.spec.requests.items() if request.form.fields), "")
        faulty = {"bad-encoding": b"\xff", "bad-syntax": first.encode(), "no-verb": b"XYZZY", "empty-line": b""}
        changing = (verb for verb in self.spec.requests if verb.lower() not in found)
        faulty |= {f"bad-{verb.lower()}": verb.encode() for verb in changing if self.spec.requests[verb].form.fields}
        for name, octets in faulty.items():
            if self._changes_nothing(world, who, octets + self.ending):
                found[name] = octets + self.ending
        yield from found.items()

    def _changes_nothing(self, world: World, who: str, line: bytes) -> bool:
        """Whether everything is as before after it."""
        before = world.copy()
        before.open(who)
        after = before.copy()
        after.feed(who, line)
        return after.is_open(who) and after.key() == before.key()

    def _half(self, world: World, who: str) -> bytes | None:
        """A line that can be sent in two halves, without its ending."""
        lines = (line for _, line in self._signs(world, who))
        return next((line for line in lines if len(line) > 2 + len(self.ending)), None)

    # Since the accept: nothing that is sent prolongs it, and it ends with its states

    def _accept(self, timer: Timer) -> Iterator[Play]:
        start = World(self.spec)
        states = timer.states or frozenset(self.spec.live_states)
        if self.spec.initial not in states:
            return
        draft = Draft(self.spec).enter(SUBJECT).run_out(SUBJECT, timer)
        yield self._play(timer, "", f"{timer.name}: not an octet is sent", draft)
        for name, line in self._signs(start, SUBJECT):
            draft = Draft(self.spec).enter(SUBJECT).wait(SUBJECT, timer, NEAR).send(SUBJECT, line)
            title = f"{timer.name} is not prolonged by {name.replace('-', ' ')}"
            yield self._play(timer, f"after-{name}", title, draft.run_out(SUBJECT, timer))
        for row in (row for rows in self.spec.states[self.spec.initial].recv.values() for row in rows):
            found = self.paths.to_row(self.spec.initial, row)
            if row.error is not None and found is not None and found[0]:  # it takes others who have done something
                draft = Draft(self.spec, found[0]).enter(SUBJECT).wait(SUBJECT, timer, NEAR).send(SUBJECT, found[1])
                title = f"{timer.name} is not prolonged by {row.verb}, {row.error}"
                name = f"after-{row.verb.lower()}-{row.error}"
                yield self._play(timer, name, title, draft.run_out(SUBJECT, timer))
        half = self._half(start, SUBJECT)
        if half is not None:
            draft = Draft(self.spec).enter(SUBJECT).wait(SUBJECT, timer, NEAR).send(SUBJECT, half[:2])
            title = f"{timer.name} is not prolonged by half a line"
            yield self._play(timer, "after-half-a-line", title, draft.run_out(SUBJECT, timer))
        draft = Draft(self.spec).enter(SUBJECT).wait(SUBJECT, timer, PART).open(OTHER)
        title = f"{timer.name} of each connection is its own"
        yield self._play(timer, "of-each", title, draft.run_out(SUBJECT, timer).run_out(OTHER, timer))
        for line in self.paths.lines(SUBJECT):
            draft = Draft(self.spec).enter(SUBJECT).wait(SUBJECT, timer, NEAR).send(SUBJECT, line)
            state = draft.world.connections[SUBJECT].state
            if draft.world.is_open(SUBJECT) and state not in states:
                title = f"{timer.name} is over with the states in which it runs"
                yield self._play(timer, "is-over", title, draft.run_out(SUBJECT, timer), state)
                return

    # Silence

    @property
    def _silences(self) -> list[Timer]:
        """The timers of a silence, in the order in which they run out."""
        return sorted(
            (timer for timer in self.spec.timers.values() if timer.since == "silence"), key=lambda timer: timer.after
        )

    def _silence(self, timer: Timer) -> Iterator[Play]:
        """It runs out in each state; the first one of the spec shows what ends a silence, the others that all of it."""
        earlier = self._silences[: self._silences.index(timer)]
        homes = [name for name in self.paths.configurations if self._is_calm(name, timer)]
        if earlier:
            homes = [name for name in homes if name in self.spec.states]
        for name in homes:
            draft = Draft(self.spec, self.paths.to_configuration(name))
            if timer.row is None and not earlier:
                self._keep_others(draft.wait(SUBJECT, timer, PART))
            for other in earlier:
                draft.run_out(SUBJECT, other)
            draft.run_out(SUBJECT, timer)
            if timer.row is None:
                self._again(draft, self.paths.to_configuration(name))
            yield self._play(timer, "", f"{timer.name}: silence in {name}", draft, name)
        if not homes:
            return
        home = self.paths.named if self.paths.named in homes else homes[0]
        if earlier:
            yield from self._all_of_it(earlier[0], timer, home)
        else:
            yield from self._what_ends_it(timer, home)
            yield from self._others(timer)
            yield from self._reply(timer, home)

    def _keep_others(self, draft: Draft) -> None:
        """The others say something that does not come to the subject: else their own silence would end with it."""
        for who in [who for who in draft.world.connections if who != SUBJECT]:
            signs = (line for _, line in self._signs(draft.world, who))
            own = (line for line in signs if list(draft.world.copy().feed(who, line)) == [who])
            line = next(own, None)
            if line is not None:
                draft.send(who, line)

    def _again(self, draft: Draft, path: Path) -> None:
        """Another one goes the same way, which shows that the name of the subject, who is gone, is free."""
        if all(move.who == SUBJECT for move in path):
            for move in path:
                draft.send(OTHER, move.octets)

    def _is_calm(self, configuration: str, timer: Timer) -> bool:
        """Whether this timer runs in a configuration, and no clock but that of silence runs out in it."""
        state = configuration.partition("+")[0]
        if timer.states is not None and state not in timer.states:
            return False
        return self._no_other_clock(Draft(self.spec, self.paths.to_configuration(configuration)).world)

    def _no_other_clock(self, world: World) -> bool:
        world = world.copy()
        world.open(SUBJECT)
        for timer in self.spec.timers.values():
            for who, connection in world.connections.items():
                covered = timer.states is None or connection.state in timer.states
                if timer.since == "accept" and covered and who == SUBJECT:
                    return False
                if timer.since == "call" and world.copy().expire(who, timer):
                    return False
        return True

    def _what_ends_it(self, timer: Timer, home: str) -> Iterator[Play]:
        path = self.paths.to_configuration(home)
        world = Draft(self.spec, path).world
        for name, line in self._signs(world, SUBJECT):
            draft = Draft(self.spec, path).wait(SUBJECT, timer, PART).send(SUBJECT, line)
            title = f"a silence is ended by {name.replace('-', ' ')}"
            yield self._play(timer, f"after-{name}", title, draft.run_out(SUBJECT, timer), home)
        half = self._half(world, SUBJECT)
        if half is None:
            return
        for name, before, sign in (("half-a-line", b"", half[:2]), ("an-octet-of-a-line", half[:1], half[1:2])):
            draft = Draft(self.spec, path)
            if before:
                draft.send(SUBJECT, before)
            draft.wait(SUBJECT, timer, PART).send(SUBJECT, sign).run_out(SUBJECT, timer)
            if draft.world.is_open(SUBJECT):
                draft.send(SUBJECT, half[2:])
            yield self._play(timer, f"after-{name}", f"a silence is ended by {name.replace('-', ' ')}", draft, home)

    def _others(self, timer: Timer) -> Iterator[Play]:
        """What another one sends: it ends the silence of the one that is sent it, and no other."""
        for world, path in self.paths.worlds:
            subject = world.connections[SUBJECT]
            linked = subject.partner == OTHER or not self.spec.linked_states
            if not linked or (timer.states is not None and subject.state not in timer.states):
                continue
            if not self._no_other_clock(world):
                continue
            lines = [line for _, line in self._signs(world, OTHER)]
            told = [line for line in lines if SUBJECT in world.copy().feed(OTHER, line)]
            own = [line for line in lines if list(world.copy().feed(OTHER, line)) == [OTHER]]
            if not own or (self.spec.linked_states and not told):
                continue
            name = world.configuration(SUBJECT)
            draft = Draft(self.spec, path).wait(SUBJECT, timer, NEAR).send(OTHER, own[0]).run_out(SUBJECT, timer)
            yield self._play(timer, "while-another-one-talks", "what another one sends ends no silence", draft, name)
            if told:
                draft = Draft(self.spec, path).wait(SUBJECT, timer, PART).send(OTHER, told[0])
                draft.wait(SUBJECT, timer, PART)
                if timer.row is None:
                    self._keep_others(draft)
                draft.run_out(SUBJECT, timer)
                yield self._play(timer, "after-a-frame-to-it", "a frame that is taken ends the silence", draft, name)
            return

    def _reply(self, timer: Timer, home: str) -> Iterator[Play]:
        """The second silence is one like the first."""
        path = self.paths.to_configuration(home)
        answer = self._answer(timer)
        if answer is not None:
            draft = Draft(self.spec, path).run_out(SUBJECT, timer).send(SUBJECT, answer).run_out(SUBJECT, timer)
            yield self._play(timer, "in-each-silence", f"{timer.name}, once in each silence", draft, home)

    def _answer(self, timer: Timer) -> bytes | None:
        """What a client says to the push of a timer."""
        push = timer.row.answer if timer.row is not None else None
        reply = self.spec.pushes[push.form.verb].reply if push is not None else None
        return self.line(self.spec.requests[reply.form.verb]) if reply is not None else None

    def _all_of_it(self, first: Timer, last: Timer, home: str) -> Iterator[Play]:
        """What ends the silence of the first timer ends that of the last one too."""
        path = self.paths.to_configuration(home)
        answer = self._answer(first)
        if answer is not None:
            draft = Draft(self.spec, path).run_out(SUBJECT, first).send(SUBJECT, answer).run_out(SUBJECT, first)
            draft.wait(SUBJECT, last, 0.72)
            yield self._play(last, "after-a-reply", "a reply to the server ends all of a silence", draft, home)
        half = self._half(draft.world, SUBJECT)
        if half is not None:
            draft = Draft(self.spec, path).run_out(SUBJECT, first).send(SUBJECT, half[:2]).run_out(SUBJECT, first)
            draft.wait(SUBJECT, last, 0.72).send(SUBJECT, half[2:])
            yield self._play(last, "after-half-a-line", "half a line ends all of a silence", draft, home)

    # A call: it rings for its time, whatever is sent, until something stops it

    def _call(self, timer: Timer) -> Iterator[Play]:
        """The clock of a call runs out, or what is left of one does: at the called end, if there is one."""
        for configuration in self.paths.configurations:
            draft = Draft(self.spec, self.paths.to_configuration(configuration))
            connections = draft.world.connections
            if not any(connection.partner is not None for connection in connections.values()) and not self._was_linked(
                self.paths.to_configuration(configuration)
            ):
                continue  # no call, no clock
            who = next((id_ for id_, connection in connections.items() if connection.called), SUBJECT)
            title = f"the time of {timer.name} has passed in {configuration}"
            yield self._play(timer, "", title, draft.run_out(who, timer), configuration)
        ringing = next((path for world, path in self.paths.worlds if self._rings(world, timer)), None)
        if ringing is not None:
            yield from self._while_it_rings(timer, ringing)

    def _was_linked(self, path: Path) -> bool:
        """Whether the subject had a partner on its way."""
        world = World(self.spec)
        for move in path:
            world.feed(*move)
            if SUBJECT in world.connections and world.connections[SUBJECT].partner is not None:
                return True
        return False

    def _rings(self, world: World, timer: Timer) -> bool:
        """Whether the subject was called, and the timer would do something."""
        return world.connections[SUBJECT].called and bool(world.copy().expire(SUBJECT, timer))

    def _while_it_rings(self, timer: Timer, path: Path) -> Iterator[Play]:
        """Each end says everything that changes nothing, and each thing that stops the clock."""
        world = Draft(self.spec, path).world
        caller, name = world.connections[SUBJECT].partner or OTHER, world.connections[SUBJECT].state
        for who, end in ((SUBJECT, "called"), (caller, "calling")):
            lines = b"".join(line for _, line in self._signs(world, who))
            draft = Draft(self.spec, path).wait(SUBJECT, timer, NEAR).send(who, lines)
            draft.run_out(SUBJECT, timer)
            title = f"{timer.name} is not prolonged by what the {end} end sends"
            yield self._play(timer, f"while-the-{end}-end-talks", title, draft, name)
            stopping: dict[str, bytes] = {}
            for line in self.paths.lines(who):
                after = world.copy()
                after.feed(who, line)
                if after.key() != world.key() and not after.copy().expire(SUBJECT, timer):
                    stopping.setdefault(line.split()[0].decode().lower(), line)
            for verb, line in stopping.items():
                draft = Draft(self.spec, path).wait(SUBJECT, timer, NEAR).send(who, line).run_out(SUBJECT, timer)
                if draft.world.is_open(SUBJECT):
                    title = f"{timer.name} is stopped by {verb} of the {end} end, also shortly before its end"
                    yield self._play(timer, f"stopped-by-{verb}-of-the-{end}-end", title, draft, name)

    # After the last frame: octets are dropped for a time, then the connection is closed

    def _goodbye(self, timer: Timer) -> Iterator[Play]:
        for name, path, octets in self._last_words():
            draft = Draft(self.spec, path)
            if draft.world.copy().feed(SUBJECT, octets).keys() - {SUBJECT}:
                continue
            self._again(draft.send(SUBJECT, octets), path)
            draft.late(SUBJECT, b"x" * MOST).wait(SUBJECT, timer, PART)
            draft.late(SUBJECT, b"x").run_out(SUBJECT, timer)
            title = f"a connection that the other side does not close is closed after a while: {name}"
            yield self._play(timer, f"after-{name}", title, draft, self.spec.final)

    def _last_words(self) -> Iterator[tuple[str, Path, bytes]]:
        """What ends a connection: its name, the path, the octets."""
        named = self.paths.to_configuration(self.paths.named) if self.paths.named is not None else ()
        line = Draft(self.spec, named).last_request(SUBJECT, self.paths.lines(SUBJECT))
        if line is not None:
            yield line.split()[0].decode().lower(), named, line
        budget = self.spec.budget(self.spec.initial)
        if budget is not None:
            yield "a-goodbye", (), self.ending * budget.faults

    # A full queue: its reader is lost after a time, unless it has fallen below its mark meanwhile

    def _full(self, timer: Timer) -> Iterator[Play]:
        relay = Flow(self.spec).relay(self._no_other_clock)
        if relay is None:
            return
        world = Draft(self.spec, relay.path).world
        name, reader = world.configuration(SUBJECT), world.connections[OTHER].state
        if timer.states is not None and reader not in timer.states:
            return
        draft = relay.draft()
        refusal = relay.refusal(draft.run_out(OTHER, timer).world)
        if refusal is not None:
            title = f"{timer.name}: a client is lost that reads nothing"
            yield self._play(timer, "", title, draft.lines(SUBJECT, refusal), name)
        draft = relay.draft().wait(OTHER, timer, 0.4).lines(OTHER, relay.becomes)
        draft.pause(OTHER).flood(SUBJECT, relay.form).wait(OTHER, timer, 0.7).lines(OTHER, relay.becomes)
        title = f"{timer.name} begins again when the queue has fallen below its mark meanwhile"
        yield self._play(timer, "again", title, draft, name)
        silent = next(iter(self._silences), None)
        if silent is not None and silent.row is not None and (silent.states is None or name in silent.states):
            draft = relay.draft().wait(SUBJECT, silent, 1.4).lines(OTHER, relay.becomes)
            title = f"{silent.name} stands still while the server does not read"
            yield self._play(silent, "stands-still", title, draft, name)
