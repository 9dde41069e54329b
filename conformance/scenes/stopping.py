"""Scenes about a server that is stopped: lines that wait come before the goodbye, and nothing is handled behind it.

No script can tell how many lines were taken before the signal came. Between the lines their sender asks what is
answered at once: a line before an answered request was taken.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from conformance.cases.case import Case
from conformance.cases.draft import Draft
from conformance.cases.flow import OTHER, Flow, Relay
from conformance.cases.play import Play
from conformance.engine.actions import Numbered
from conformance.engine.failures import MismatchError, NotTestedError, UnreachableError
from conformance.engine.player import Player
from conformance.engine.script import Compiler
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import ANY_WORDS, matches, parse_reply, quote
from conformance.oracle.lines import SUBJECT
from conformance.oracle.probe import Barrier
from pychat.spec import Spec

from .common import expect, scene

RULE, AFTER_RULE = "R-CLOSE-4", "R-CLOSE-3"
LATECOMER = "n"
NEARLY = 0.7  # of the time for a shutdown: a server that ends later without a goodbye had too much to send
PAUSE = 0.2  # of the time for a shutdown, before the slow reader reads on
BLOCK = 1 << 16  # octets between two requests of the sender
OFFERED = 40 << 20  # octets; the system holds some megabytes for each of the two connections
STUCK = 0.4  # seconds in which nothing was taken of a sender that has to wait


def scenes(spec: Spec) -> Iterator[Case]:
    """The scenes, where the spec has their rules and a goodbye for a shutdown; for one, lines that are relayed."""
    relay, goodbye = Flow(spec).relay(), spec.goodbye_when("stop")
    judgeable = Barrier(spec).is_echo and RULE in spec.rules and spec.goodbye.parts
    if goodbye is not None and judgeable and AFTER_RULE in spec.rules:
        title = "A server that is stopped handles nothing more, and serves no new connection"
        rules = (AFTER_RULE, RULE)
        yield scene(spec, f"{spec.initial}/STOP/nothing-is-handled", title, rules, _nothing_more, "alone")
    if relay is not None and goodbye is not None and judgeable:
        id_ = f"{spec.initial}/STOP/with-lines-that-wait"
        title = "A server that is stopped sends what waits for a slow reader, then the goodbye, to its sender too"
        yield scene(spec, id_, title, (RULE,), _stopped, "alone")


def _stopped(worker: Worker, stage: Stage) -> None:
    if stage.process is None:
        raise NotTestedError("its shutdown: only a server that was started with --cmd is stopped")
    relay, goodbye = Flow(worker.spec).relay(), worker.spec.goodbye_when("stop")
    assert relay is not None, "the case is made where there is one"
    assert goodbye is not None
    draft = Draft(worker.spec, relay.path).pause(OTHER)
    play = Play("LEAD/IN/lines", "the way to lines that wait", (), tuple(draft.steps))
    Player(stage).play(Compiler(worker.spec, play, profiles=worker.profiles).compile(probes=False))
    taken, width = _fill(stage, relay)
    stage.inbox(SUBJECT).units.clear()  # what came on the way
    stage.transcript.note("#", "#", text=f"SIGTERM to the server, which has taken {taken} lines")
    stage.process.popen.signal(signal.SIGTERM)
    told = time.monotonic()
    while time.monotonic() < told + PAUSE * worker.spec.limits.shutdown:
        stage.pump(told + PAUSE * worker.spec.limits.shutdown)
    words = worker.spec.goodbye_line(goodbye.code, ANY_WORDS)
    _read_all(stage, Numbered(relay.becomes, width, worker.spec.framing.writes), taken, words, told)
    expect(stage, SUBJECT, words)


def _nothing_more(worker: Worker, stage: Stage) -> None:
    """After its goodbye a connection asks on, and another one is opened: neither is answered."""
    if stage.process is None:
        raise NotTestedError("its shutdown: only a server that was started with --cmd is stopped")
    goodbye, asked = worker.spec.goodbye_when("stop"), stage.barrier.request("late")
    assert goodbye is not None
    Player(stage).barrier(stage.inbox(SUBJECT))
    stage.process.popen.signal(signal.SIGTERM)
    expect(stage, SUBJECT, worker.spec.goodbye_line(goodbye.code, ANY_WORDS))
    with contextlib.suppress(UnreachableError):
        stage.inbox(LATECOMER)
    for inbox in stage.inboxes.values():
        inbox.wire.send(asked, stage.deadline())
    deadline = time.monotonic() + stage.shutdown
    for who, inbox in stage.inboxes.items():
        while (unit := inbox.next(deadline)) is not None:
            got = parse_reply(worker.spec, unit.text)
            if got is None or got.reply.kind != "goodbye":
                raise MismatchError(f"nothing to {who} while the server stops", f"{who} < {unit}", AFTER_RULE)


def _fill(stage: Stage, relay: Relay) -> tuple[int, int]:
    """Sends lines until their sender is not read: how many were certainly taken, and the octets of a number in them."""
    spec, sender = stage.spec, stage.inbox(SUBJECT)
    kind = spec.last_type(spec.requests[relay.form.partition(" ")[0]].form)
    assert kind is not None, "the line ends in a value"
    lines = Numbered(relay.form, kind.octets[1], spec.framing.writes)
    size = len(lines.octets(0))
    asked: list[int] = []  # how many lines come before each request
    number, taken = 0, True
    stage.transcript.quiet = True
    while taken and number * size < OFFERED:
        block = [lines.octets(number + place) for place in range(-(-BLOCK // size))]
        number += len(block)
        token = sender.barrier.token()
        sender.tokens.append(token)
        asked.append(number)
        octets = b"".join(block) + sender.barrier.request(token)
        taken = sender.send(octets, time.monotonic() + STUCK + stage.conditions.slack)
        sender.drain()
    sender.wait(lambda: not sender.tokens, time.monotonic() + STUCK + stage.conditions.slack)
    stage.transcript.quiet = False
    sender.stuck = not taken
    answered = len(asked) - len(sender.tokens)
    return asked[answered - 1] if answered else 0, lines.width


def _read_all(stage: Stage, lines: Numbered, taken: int, words: str, told: float) -> None:
    """The lines that were taken, in order, perhaps some more; then the goodbye."""
    inbox, number, octets = stage.inbox(OTHER), 0, b""
    inbox.wire.read_on()
    stage.transcript.quiet = True
    wanted = lines.octets(0)
    while inbox.wire.end is None and (came := inbox.wire.read(told + stage.shutdown)):
        octets += came
        while octets.startswith(wanted):
            octets, number = octets[len(wanted) :], number + 1
            wanted = lines.octets(number)
    stage.transcript.quiet = False
    last = octets.decode("utf-8", "replace").removesuffix(stage.spec.framing.writes.decode())
    shown = f"{OTHER} < {words}, behind the lines that were taken"
    if not matches(words, last):
        if time.monotonic() - told > NEARLY * stage.spec.limits.shutdown and (not octets or wanted.startswith(octets)):
            raise NotTestedError(f"its shutdown: it sends less than what waits in {stage.spec.limits.shutdown:g} s")
        half = next((size for size in range(len(wanted) - 1, 0, -1) if octets.startswith(wanted[:size])), 0)
        where = f"in the middle of line {number + 1}, after {half} octets of it" if half else f"behind {number} lines"
        rest = octets[half:]
        raise MismatchError(shown, f"{OTHER} < {quote(rest, 120)} {where}" if rest else f"{inbox.seen} {where}")
    if number < taken:
        raise MismatchError(shown, f"{number} lines, though a request behind {taken} was answered before")
