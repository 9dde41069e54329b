"""Scenes of many users: all want one name at the same moment; a long list; a list while its users call and go.

A play names each connection and each frame; here there are too many of them, and what comes depends on their order.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path as File

from conformance.cases.case import Case
from conformance.engine.failures import MismatchError, NotTestedError
from conformance.engine.inbox import Unit, difference
from conformance.engine.player import Player
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import ANY_WORDS, Parsed, matches, parse_reply, write_form
from conformance.oracle.lines import SUBJECT, Path
from conformance.oracle.model import Due, Items, Text, World
from conformance.oracle.names import Names, unique_number
from conformance.oracle.paths import paths_of
from conformance.oracle.probe import letters, lister
from pychat.spec import Spec

from .common import scene

CROWD = 70  # users of a long list
RIVALS = 12  # connections that want one name
LISTS = 4  # that are asked for while something happens
STOP_SECONDS = 0.1  # for a server to stop
NAMED_RULE, LIST_RULES = ("R-NAME-2", "R-ANS-3"), ("R-WHO-1", "R-ANS-2")


def scenes(spec: Spec) -> Iterator[Case]:
    """The scenes whose rules the spec has."""
    named, taking = paths_of(spec).named, spec.verb_that("bind")
    if named is None or taking is None:
        return
    if set(NAMED_RULE) <= set(spec.rules):
        title, run = "Many want one name at the same moment: one of them gets it", partial(_rivals, named=named)
        yield scene(spec, f"{spec.initial}/{taking}/many-want-one-name", title, NAMED_RULE, run)
    asking = lister(spec)
    if set(LIST_RULES) <= set(spec.rules) and asking is not None:
        verb = asking.decode().split()[0]
        title, run = f"A list of {CROWD} users, while they call and while they go", partial(_crowd, named=named)
        yield scene(spec, f"{named}/{verb}/many-users", title, LIST_RULES, run)


class Crowd:
    """Many connections on a stage, with the model beside them."""

    def __init__(self, worker: Worker, stage: Stage, named: str) -> None:
        self.spec, self.stage = worker.spec, stage
        self.world = World(worker.spec, worker.profiles)
        self.names = Names(worker.spec, unique_number())
        self.paths = paths_of(worker.judged)
        self.way: Path = self.paths.to_configuration(named)
        self.dues: dict[str, list[Due]] = {}

    def send(self, who: str, octets: bytes) -> None:
        """Sends octets, and notes what is due by them, on each connection."""
        for other, due in self.world.feed(who, octets).items():
            self.dues.setdefault(other, []).extend(due)
        self.stage.inbox(who).send(octets, self.stage.deadline())

    def lines(self, name: str) -> list[bytes]:
        """The way of a user to its name."""
        found = []
        for move in self.way:
            said = self.paths.read(move.octets)
            assert isinstance(said, Parsed), "a path has requests"
            found.append(self.about(said.verb, name))
        return found

    def about(self, verb: str, name: str) -> bytes:
        """The request with this name in it."""
        request = self.spec.requests[verb]
        return write_form(request.form, self.paths.values(request, name)).encode() + self.spec.framing.writes

    def settle(self) -> None:
        """Everything that is due comes. Raises MismatchError."""
        for who, dues in self.dues.items():
            for due in dues:
                unit = self.stage.inbox(who).next(self.stage.deadline())
                self._require_room(unit)
                if unit is None or difference(self.spec, due, unit) is not None:
                    got = str(unit) if unit is not None else self.stage.inbox(who).seen
                    raise MismatchError(f"{who} < {_shown(due)}", f"{who} < {got}")
        self.dues.clear()

    def _require_room(self, unit: Unit | None) -> None:
        """Raises NotTestedError where the server admits no more connections."""
        full = self.spec.goodbye_when("full")
        said = self.spec.goodbye_line(full.code, ANY_WORDS) if full is not None and self.spec.goodbye.parts else ""
        if unit is not None and said and matches(said, unit.text):
            raise NotTestedError(f"{len(self.world.connections)} users: it admits fewer connections")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The server is stopped meanwhile, if the suite has started it: all that is sent comes to it together."""
        program = self.stage.process.popen if self.stage.process is not None else None
        try:
            if program is not None:
                program.signal(signal.SIGSTOP)
                deadline = time.monotonic() + STOP_SECONDS
                while not _is_stopped(program.pid) and time.monotonic() < deadline:
                    time.sleep(0.001)
            yield
        finally:
            if program is not None:
                program.signal(signal.SIGCONT)

    def units(self, *those: str) -> dict[str, list[Unit]]:
        """All frames to each of those up to the answer to a barrier. Raises MismatchError."""
        inboxes = {who: self.stage.inbox(who) for who in those}
        if not Player(self.stage).barrier(*inboxes.values()):
            raise MismatchError(f"an answer to each {self.stage.barrier.verb}", "none")
        found = {who: list(inbox.units) for who, inbox in inboxes.items()}
        for inbox in inboxes.values():
            inbox.units.clear()
        return found


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped; False where that cannot be seen."""
    try:
        return File(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _shown(due: Due) -> str:
    return f"{len(due.items)} items and {due.answer}" if isinstance(due, Items) else str(getattr(due, "text", due))


def _rivals(worker: Worker, stage: Stage, named: str) -> None:
    """Each of them sends the last line of its way at the same moment, in a spelling of its own; some times."""
    crowd = Crowd(worker, stage, named)
    spellings = (str, str.upper, str.lower, str.swapcase)
    waiting = [f"d{number}" for number in range(RIVALS)]
    for turn in range(RIVALS // 3):
        name = crowd.names.unique(f"{crowd.paths.names[SUBJECT][:4]}{letters(turn)}")
        last: dict[str, bytes] = {}
        for number, who in enumerate(waiting):
            spelled = spellings[number % len(spellings)](name)
            *before, last[who] = crowd.lines(spelled if crowd.spec.name_type.accepts(spelled) else name)
            for line in before if not turn else ():
                crowd.send(who, line)
            stage.inbox(who)
        crowd.settle()
        crowd.units(*waiting)  # they are admitted
        with crowd.held():
            for who, line in last.items():
                stage.inbox(who).send(line, stage.deadline())
        first = {who: stage.inbox(who).next(stage.deadline()) for who in waiting}
        more = crowd.units(*waiting)
        got = {who: [str(unit) for unit in (first[who], *more[who]) if unit is not None] for who in waiting}
        winners = [who for who in waiting if _succeeds(crowd, got[who])]
        order = sorted(waiting, key=lambda who: who not in winners)  # the model lets the first one win
        for who in order:
            wanted = crowd.world.feed(who, last[who]).get(who, [])
            units = [Unit(text) for text in got[who]]
            if len(units) != len(wanted) or any(
                difference(crowd.spec, d, u) for d, u in zip(wanted, units, strict=True)
            ):
                texts = " / ".join(due.text for due in wanted if isinstance(due, Text))
                raise MismatchError(
                    f"{who} < {texts}, since one of {len(waiting)} gets it", f"{who} < {' / '.join(got[who])}"
                )
        waiting = [who for who in waiting if who not in winners]


def _succeeds(crowd: Crowd, texts: list[str]) -> bool:
    """Whether these frames are no refusal."""
    got = parse_reply(crowd.spec, texts[-1]) if texts else None
    return got is not None and got.reply.kind == "answer"


def _crowd(worker: Worker, stage: Stage, named: str) -> None:
    """The list is right while nothing happens, and at no moment wrong in itself."""
    crowd = Crowd(worker, stage, named)
    asking = lister(crowd.spec)
    assert asking is not None
    users = [SUBJECT, *(f"d{number}" for number in range(CROWD - 1))]
    for number, who in enumerate(users):
        for line in crowd.lines(crowd.names.unique(f"{crowd.paths.names[SUBJECT][:4]}{letters(number)}")):
            crowd.send(who, line)
    crowd.settle()
    crowd.send(SUBJECT, asking * 2)
    crowd.settle()
    own = crowd.world.connections[SUBJECT].name
    linking = crowd.spec.verb_that("link")
    if linking is not None and own is not None:
        with crowd.held():
            for who in users[1 : CROWD // 2]:
                stage.inbox(who).send(crowd.about(linking, own), stage.deadline())
                if who in users[1 : CROWD // 2 : CROWD // 2 // LISTS]:
                    stage.inbox(SUBJECT).send(asking, stage.deadline())
        crowd.units(*users[1 : CROWD // 2])
        _check(crowd, set())
    gone: set[str] = set()
    for number, who in enumerate(users[CROWD // 2 :]):
        stage.inbox(who).wire.finish()
        if number % (CROWD // 2 // LISTS) == 0:
            stage.inbox(SUBJECT).send(asking, stage.deadline())
        gone.add(crowd.world.connections[who].name or "")
    for who in users[CROWD // 2 :]:
        inbox = stage.inbox(who)
        while inbox.next(stage.deadline()) is not None:
            pass  # what was due to it, if it was called
        if not inbox.ended:
            raise MismatchError(f"{who} < the end of the stream", inbox.seen)
    _check(crowd, gone)
    stage.inbox(SUBJECT).send(asking, stage.deadline())
    _check(crowd, gone, left=True)


def _check(crowd: Crowd, gone: set[str], *, left: bool = False) -> None:
    """Each list to the subject has each user once, and none that has `left`; those that are `gone` may still go."""
    users = {c.name for c in crowd.world.connections.values() if c.name is not None}
    for unit in crowd.units(SUBJECT)[SUBJECT]:
        if unit.flaw is not None:
            raise MismatchError("a frame of a server, and nothing between the items of a list", str(unit))
        if unit.items is None:
            continue
        found = [word for item in unit.items for word in item.split(" ") if word in users]
        missing, more = users - gone - {*found}, {*found} & gone if left else set()
        if missing or more or len(found) != len({*found}):
            wrong = sorted(missing or more or {name for name in found if found.count(name) > 1})
            what = "without" if missing else "with those that have gone," if more else "with more than once"
            named = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} others" if len(wrong) > 3 else "")
            raise MismatchError(f"a list with {len(users - gone)} users, each of them once", f"one {what} {named}")
        count = parse_reply(crowd.spec, unit.text)
        numbers = [value for value in (count.values.values() if count is not None else ()) if value.isdecimal()]
        if numbers and numbers != [str(len(unit.items))]:
            raise MismatchError(f"{len(unit.items)} items and their number", unit.text)
