"""Servers that hang, and servers that wait for a slow reader: a run of the judge ends, and says what was seen."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
from dataclasses import replace

from conformance.engine.conditions import HANGS
from conformance.engine.target import Command
from conformance.engine.verdict import Verdict
from conformance.engine.worker import Worker
from conformance.suite import server_cases
from pychat.spec import Spec

from .test_conformance_verdicts import hello, polite, scripted

PYTHON = shlex.quote(sys.executable)
HANGS_AT_HELLO = f"""{PYTHON} -c 'import socket, sys, threading
def serve(stream):
    for line in stream.makefile("rb"):
        if line.startswith(b"HELLO"):
            stuck.set()
        if stuck.is_set():
            threading.Event().wait()
        stream.sendall(b"PONG " + line[5:] if line.startswith(b"PING ") else b"ERR * bad-syntax No.\\n")
stuck = threading.Event()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()' {{port}}"""


def test_a_server_that_hangs_is_started_again_and_not_waited_for_long_after_some_times(spec: Spec) -> None:
    """Its other cases are judged, and each that hangs it is not worth the whole patience."""
    again = [replace(hello(spec), id=f"CONNECTED/HELLO/own-{number}") for number in range(HANGS + 1)]
    worker = Worker(Command(HANGS_AT_HELLO), spec, patience=0.6)
    results = [worker.verdict(case) for case in again]
    worker.stop()
    assert all("answered nobody afterwards, and was started again" in result.note for result in results), results
    assert [result.got for result in results] == ["nothing for 0.6 s"] * HANGS + ["nothing for 0.5 s"]


SENDS_UNDER_A_LOCK = f"""{PYTHON} -c 'import socket, sys, threading
def serve(stream):
    for line in stream.makefile("rb"):
        with lock:
            stream.sendall(b"PONG " + line[5:] if line.startswith(b"PING ") else b"OK " + line)
lock = threading.Lock()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()' {{port}}"""


def test_a_server_that_waits_for_a_slow_reader_fails(spec: Spec) -> None:
    """Nobody else is answered meanwhile: that is said, and not waited for without end."""
    (slow,) = [case for case in server_cases(spec, ("whole",)) if case.id == "NAMED/LINE/slow-reader"]
    worker = Worker(Command(SENDS_UNDER_A_LOCK), spec, patience=1.0)
    result = worker.verdict(slow)
    worker.stop()
    assert (result.verdict, result.wanted) == (Verdict.FAIL, "an answer to another connection meanwhile")


def test_a_server_that_hangs_and_cannot_be_started_again_is_not_waited_for(spec: Spec) -> None:
    """What is not asked any more is blocked, and says since when."""
    stuck, over = threading.Event(), threading.Event()

    def handle(_: socket.socket, line: bytes) -> bytes | None:
        if line == b"HELLO 1":
            stuck.set()
        if stuck.is_set():
            over.wait()
        return polite(_, line)

    others = [case for case in server_cases(spec, ("whole",)) if case.id.startswith("CONNECTED/LINE/unknown-")]
    with scripted(handle) as address:
        worker = Worker(address, spec, patience=0.6)
        first, *later = [worker.verdict(case) for case in (hello(spec), *others)]
        over.set()
    assert first.verdict is Verdict.FAIL
    assert "it answered nobody afterwards" in first.note
    assert later
    assert {(result.verdict, result.note) for result in later} == {
        (Verdict.BLOCKED, "the server answers nobody since CONNECTED/HELLO/own: mend that first")
    }
