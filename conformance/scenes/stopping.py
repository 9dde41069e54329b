"""A scene about a server that is stopped while lines wait for a connection: they come, and then the goodbye.

No script can tell how many lines were taken before the signal came.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from conformance.cases.case import Case
from conformance.cases.flow import OTHER, Flow
from conformance.cases.play import Play
from conformance.engine.actions import Numbered
from conformance.engine.failures import MismatchError, NotTestedError
from conformance.engine.player import Player
from conformance.engine.script import Compiler
from conformance.engine.stage import Stage
from conformance.engine.worker import Worker
from conformance.oracle.frames import ANY_WORDS, matches, quote
from conformance.oracle.lines import SUBJECT
from pychat.spec import Spec

from .common import expect, scene

RULE = "R-CLOSE-4"
NEARLY = 0.7  # of the time for a shutdown: a server that ends later without a goodbye had too much to send


def scenes(spec: Spec) -> Iterator[Case]:
    """The scene, where the spec has its rule, lines that are relayed, and a goodbye for a shutdown."""
    relay, goodbye = Flow(spec).relay(), spec.goodbye_when("stop")
    if relay is not None and goodbye is not None and RULE in spec.rules and spec.goodbye.parts:
        id_ = f"{spec.initial}/STOP/with-lines-that-wait"
        title = "A server that is stopped sends what waits for a slow reader, then the goodbye, to its sender too"
        yield scene(spec, id_, title, (RULE,), _stopped, "alone")


def _stopped(worker: Worker, stage: Stage) -> None:
    if stage.process is None:
        raise NotTestedError("its shutdown: only a server that was started with --cmd is stopped")
    relay = Flow(worker.judged).relay()
    assert relay is not None, "the case is made where there is one"
    play = Play("LEAD/IN/lines", "lines that wait", (), tuple(relay.draft().steps))
    compiler = Compiler(worker.spec, play, profiles=worker.profiles)
    player = Player(stage)
    player.play(compiler.compile(probes=False))
    assert player.backlog is not None, "the play fills a queue"
    lines = Numbered(relay.becomes, player.backlog.lines.width, worker.spec.framing.writes)
    stage.inbox(SUBJECT).units.clear()  # what came on the way
    stage.transcript.note("#", "#", text="SIGTERM to the server")
    stage.process.popen.signal(signal.SIGTERM)
    told = time.monotonic()
    goodbye = worker.spec.goodbye_when("stop")
    assert goodbye is not None
    words = worker.spec.goodbye_line(goodbye.code, ANY_WORDS)
    _read_all(stage, lines, words, told)
    expect(stage, SUBJECT, words)


def _read_all(stage: Stage, lines: Numbered, words: str, told: float) -> None:
    """The lines that were taken, in order, at least as many as keep a sender waiting; then the goodbye."""
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
        raise MismatchError(shown, f"{OTHER} < {quote(octets, 120)} behind {number} lines" if octets else inbox.seen)
    if number * len(wanted) <= stage.spec.limits.queue_mark:
        raise MismatchError(shown, f"{number} lines, which are fewer than keep a sender waiting")
