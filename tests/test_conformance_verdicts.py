"""The verdict engine against servers that lie, flood, hang, reset and die: each is told apart, the next case lives."""

from __future__ import annotations

import shlex
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.cases.case import Case, cases_of
from conformance.cases.play import Play, Step
from conformance.engine.causes import last_words
from conformance.engine.failures import (
    ContradictionError,
    ExcessError,
    MismatchError,
    NotTestedError,
    UnreachableError,
    record_failure,
)
from conformance.engine.target import Address, Command, Shared, StartError
from conformance.engine.verdict import Result, Verdict, exit_code
from conformance.engine.worker import Worker
from conformance.results.known import Known, KnownError
from conformance.run import Options, run_suite
from conformance.suite import client_cases, server_cases
from pychat.spec import Spec

Handler = Callable[[socket.socket, bytes], bytes | None]
PYTHON = shlex.quote(sys.executable)


@contextmanager
def scripted(handle: Handler) -> Iterator[Address]:
    """A server on a thread that answers each line as `handle` says; None closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    streams: list[socket.socket] = []

    def serve(stream: socket.socket) -> None:
        with stream, stream.makefile("rb") as lines:
            for line in lines:
                answer = handle(stream, line.rstrip(b"\r\n"))
                if answer is None:
                    return
                stream.sendall(answer)

    def quietly(stream: socket.socket) -> None:
        try:
            serve(stream)
        except (OSError, ValueError):
            stream.close()

    def accept() -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            streams.append(stream)
            thread = threading.Thread(target=quietly, args=(stream,), daemon=True)
            workers.append(thread)
            thread.start()

    workers = [threading.Thread(target=accept, daemon=True)]
    workers[0].start()
    try:
        yield Address(*listener.getsockname()[:2])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for stream in streams:
            _cut(stream)
        for thread in workers:
            thread.join(5)


def _cut(stream: socket.socket) -> None:
    with suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()


def polite(_: socket.socket, line: bytes) -> bytes | None:
    """Enough of the protocol for one connection without a name."""
    if line.startswith(b"PING "):
        return b"PONG " + line[5:] + b"\n"
    if line == b"HELLO 1":
        return b"OK HELLO 1 core\n"
    if line == b"QUIT":
        return b"OK QUIT\n"
    return b"ERR * bad-syntax No.\n"


def hello(spec: Spec, *more: Step) -> Case:
    """A greeting as a case."""
    steps = (Step("a", "send", b"HELLO 1\n", "HELLO 1"), Step("a", "receive", text="OK HELLO 1 core"), *more)
    return cases_of(spec, Play("CONNECTED/HELLO/own", "t", ("R-HELLO-1",), steps), "play", ("whole",))[0]


def judge(address: Address | Command, *cases: Case, patience: float = 1.0) -> list[Result]:
    return run_suite(address, cases, Options(patience=patience))


def test_an_answer_without_its_line_ending_is_shown(spec: Spec) -> None:
    """The commonest first mistake: the answer is there, and nothing ends it."""
    with scripted(lambda _, line: b"OK HELLO 1 core" if line == b"HELLO 1" else b"") as address:
        result = Worker(address, spec, patience=0.3).verdict(hello(spec))
    assert result.got == "OK HELLO 1 core without its line ending, then nothing for 0.3 s"


def test_a_goodbye_that_is_not_due_is_laid_to_the_rule_that_it_obeys(spec: Spec) -> None:
    """A count of faults that is too low ends a case about something else."""
    (mine,) = [budget for budget in spec.budgets if spec.initial in budget.states]
    goodbye = f"{spec.goodbye_line(mine.goodbye)}\n".encode()
    with scripted(lambda _, line: goodbye if line == b"HELLO 1" else polite(_, line)) as address:
        result = Worker(address, spec, patience=0.3).verdict(hello(spec))
    assert (result.verdict, result.rule) == (Verdict.FAIL, mine.rule)


@pytest.mark.parametrize(
    ("stderr", "telling"),
    [
        ("Traceback (most recent call last):\n  File 'x', line 1\nValueError: no", "ValueError: no"),
        ("/s.js:3\n    throw er;\n    ^\n\nError: ECONNRESET\n    at TCP\n\nNode.js v18", "Error: ECONNRESET"),
        ("panic: runtime error: out of range\n\ngoroutine 1:\nmain.main()", "panic: runtime error: out of range"),
        ("listening\nbye", "bye"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_telling_line_of_a_trace_is_found(stderr: str, telling: str) -> None:
    """Crashes of two causes are two groups, in each language."""
    assert last_words(stderr) == telling


def test_a_correct_answer_passes(spec: Spec) -> None:
    """The scripted server is right about this much."""
    with scripted(polite) as address:
        (result,) = judge(address, hello(spec))
    assert result.verdict is Verdict.PASS, result.words


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (b"OK HELLO 2 core\n", "OK HELLO 2 core"),
        (b"OK HELLO 1 core\r\n", "ended by CRLF"),
        (b"OK HELLO 1 core\nOK HELLO 1 core\n", "OK HELLO 1 core"),
        (b"HTTP/1.1 400 Bad Request\n", "no frame that a server may send"),
        (b"OK HELLO 1 \xff\n", "not UTF-8"),
        (b"x" * 5000, "longer than any frame"),
        (b"", "nothing before the answer to a later request"),
        (None, "the end of the stream"),
    ],
)
def test_a_wrong_answer_fails_and_is_shown(spec: Spec, answer: bytes | None, got: str) -> None:
    """Whatever comes instead, the failure says what."""

    def handle(stream: socket.socket, line: bytes) -> bytes | None:
        return answer if line == b"HELLO 1" else polite(stream, line)

    with scripted(handle) as address:
        (result,) = judge(address, hello(spec))
    assert result.verdict is Verdict.FAIL
    assert got in result.got
    assert "HELLO" in result.step or result.step.startswith("a~")


def test_an_answer_that_never_comes_is_proved_missing_and_not_waited_for(spec: Spec) -> None:
    """The later barrier's answer is the proof; patience, a minute here, is not used up."""

    def handle(stream: socket.socket, line: bytes) -> bytes | None:
        return b"" if line == b"HELLO 1" else polite(stream, line)

    with scripted(handle) as address:
        (result,) = judge(address, hello(spec), patience=60)
    assert result.verdict is Verdict.FAIL
    assert result.ms < 10_000


def test_words_may_not_be_empty(spec: Spec) -> None:
    """An ERR without words is no ERR."""
    steps = (Step("a", "send", b"WHO x\n", "WHO x"),)
    case = cases_of(spec, Play("CONNECTED/WHO/own", "t", ("R-ANS-4",), steps), "play", ("whole",))[0]

    def handle(stream: socket.socket, line: bytes) -> bytes | None:
        return b"ERR WHO bad-syntax\n" if line == b"WHO x" else polite(stream, line)

    with scripted(handle) as address:
        (result,) = judge(address, case)
    assert result.verdict is Verdict.FAIL
    assert "no frame" in result.got


def quitting(spec: Spec) -> Case:
    steps = (
        Step("a", "send", b"QUIT\n", "QUIT"),
        Step("a", "receive", text="OK QUIT"),
        Step("a", "end"),
    )
    return cases_of(spec, Play("CONNECTED/QUIT/own", "t", ("R-QUIT-1",), steps), "play", ("whole",))[0]


def test_a_reset_where_a_close_is_due_passes_with_a_note(spec: Spec) -> None:
    """The peer is gone either way; the record says how."""

    def handle(stream: socket.socket, line: bytes) -> bytes | None:
        if line != b"QUIT":
            return polite(stream, line)
        stream.sendall(b"OK QUIT\n")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None

    with scripted(handle) as address:
        (result,) = judge(address, quitting(spec))
    assert result.verdict in (Verdict.NONSTRICT, Verdict.PASS)


def test_a_connection_that_is_never_closed_fails(spec: Spec) -> None:
    """A time-out never counts as a close."""
    with scripted(polite) as address:
        (result,) = judge(address, quitting(spec), patience=0.3)
    assert result.verdict is Verdict.FAIL
    assert "the connection is open" in result.got


def test_a_flood_is_bounded(spec: Spec) -> None:
    """A server that never stops sending is stopped being read."""
    stop = threading.Event()

    def handle(stream: socket.socket, line: bytes) -> bytes | None:
        if line != b"HELLO 1":
            return polite(stream, line)
        while not stop.is_set():
            stream.sendall(b"MSG flood\n" * 1000)
        return None

    try:
        with scripted(handle) as address:
            (result,) = judge(address, hello(spec), patience=5)
            stop.set()
    finally:
        stop.set()
    assert result.verdict is Verdict.FAIL
    assert len(result.entries) <= 400


def test_a_mute_server_is_finite(spec: Spec) -> None:
    """It answers nothing at all; the suite says that nothing can be proved."""
    with scripted(lambda stream, line: b"") as address:
        results = judge(address, hello(spec), quitting(spec), patience=0.2)
    assert [result.verdict for result in results] == [Verdict.BLOCKED, Verdict.BLOCKED]
    assert "PING" in results[0].note


def test_a_push_that_wants_a_reply_is_answered_and_tolerated(spec: Spec) -> None:
    """A server may ask whether one is there at any time; it is noted."""

    def handle(stream: socket.socket, line: bytes) -> bytes | None:
        if line == b"HELLO 1":
            return b"PING early\nOK HELLO 1 core\n"
        return b"" if line == b"PONG early" else polite(stream, line)

    with scripted(handle) as address:
        (result,) = judge(address, hello(spec))
    assert result.verdict is Verdict.NONSTRICT
    assert "PING early" in result.note


def ending(spec: Spec, program: Path, how: str) -> list[Result]:
    """A case that ends a server in some way, and one after it."""
    program.write_text(DIES.replace("os.abort()", how))
    ping = (Step("a", "send", b"PING t\n", "PING t"), Step("a", "receive", text="PONG t"))
    fine = cases_of(spec, Play("CONNECTED/PING/own", "t", ("R-PING-1",), ping), "play", ("whole",))[0]
    leave = (Step("a", "send", b"LEAVE\n", "LEAVE"),)
    fatal = cases_of(spec, Play("CONNECTED/LEAVE/own", "t", ("R-ERR-5",), leave), "play", ("whole",))[0]
    return run_suite(Command(f"{PYTHON} {shlex.quote(str(program))} {{port}}"), [fatal, fine], Options(patience=2))


DIES = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    stream, _ = listener.accept()
    for line in stream.makefile("rb"):
        if line.startswith(b"PING"):
            stream.sendall(b"PONG" + line[4:])
        if line.startswith(b"HELLO"):
            stream.sendall(b"OK HELLO 1 core" + bytes([10]))
        if line.startswith(b"LEAVE"):
            print("about to die of", line, file=sys.stderr, flush=True)
            os.abort()
"""


def test_a_server_that_dies_in_mid_case_is_named_and_started_again(spec: Spec, tmp_path: Path) -> None:
    """Which case, by which signal, with its last words; the next case has a fresh server."""
    dead, alive = ending(spec, tmp_path / "dies.py", "os.abort()")
    assert dead.verdict is Verdict.FAIL
    assert dead.got == "a < the end of the stream; then it was ended by signal SIGABRT"
    assert "about to die of" in dead.stderr
    assert alive.verdict is Verdict.PASS, alive.words


@pytest.mark.parametrize(
    ("how", "words"),
    [("os.kill(os.getpid(), 9)", "was ended by signal SIGKILL"), ("os._exit(128 + 9)", "ended with code 137")],
)
def test_a_server_that_is_killed_from_outside_has_broken_no_rule(
    how: str, words: str, spec: Spec, tmp_path: Path
) -> None:
    """The case could not be asked, and it is said why; 137 is what a shell around it makes of SIGKILL."""
    dead, alive = ending(spec, tmp_path / "dies.py", how)
    assert dead.verdict is Verdict.BLOCKED
    assert dead.words.startswith(f"it {words}, which the suite did not send and which breaks no rule")
    assert "about to die of" in dead.stderr
    assert alive.verdict is Verdict.PASS, alive.words
    assert exit_code([dead, alive], level="must", planned=2) == 3


def test_a_shared_server_that_is_killed_from_outside_has_broken_no_rule(spec: Spec, tmp_path: Path) -> None:
    """The one with short timers, which all workers use whose cases wait."""
    program = tmp_path / "dies.py"
    program.write_text(DIES.replace("os.abort()", "os.kill(os.getpid(), 9)"))
    leave = (Step("a", "send", b"LEAVE\n", "LEAVE"),)
    fatal = cases_of(spec, Play("CONNECTED/LEAVE/own", "t", ("R-ERR-5",), leave), "play", ("whole",))[0]
    with Shared(Command(f"{PYTHON} {program} {{port}}"), {}) as shared:
        result = Worker(shared, spec, 2.0).verdict(fatal)
    assert result.verdict is Verdict.BLOCKED
    assert "SIGKILL" in result.words


@pytest.mark.parametrize(("number", "verdict"), [(9, Verdict.BLOCKED), (6, Verdict.FAIL)])
def test_a_client_that_is_killed_from_outside_has_broken_no_rule(
    number: int, verdict: Verdict, spec: Spec, tmp_path: Path
) -> None:
    """It ends as soon as it is connected; any other signal is its own fault."""
    program = tmp_path / "dies.py"
    program.write_text(
        "import os, socket, sys\nsocket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        f"print('connected', flush=True)\nos.kill(os.getpid(), {number})"
    )
    case = next(case for case in client_cases(spec, ("whole",)) if case.id == "CONNECTED/NAME/a-whole-conversation")
    (result,) = run_suite(Command(f"{PYTHON} {program} {{host}} {{port}}"), [case], Options(patience=2))
    assert result.verdict is verdict
    assert signal.Signals(number).name in result.words + result.note


@pytest.mark.parametrize(
    ("id_", "takes"),
    [
        ("CONNECTED/TIME/registration", "its registration timer of 30 s: give the command {spec} or {registration}"),
        ("CONNECTED/OPEN/server-full", "its limit of connections: give the command {max}"),
        ("CONNECTED/STOP/shutting-down", "its shutdown: only a server that was started with --cmd is stopped"),
    ],
)
def test_what_is_not_offered_is_not_tested(spec: Spec, id_: str, takes: str) -> None:
    """And it is said what it takes; a server that runs already has the timers that it has."""
    case = next(case for case in server_cases(spec, ("whole",)) if case.id == id_)
    with scripted(polite) as address:
        (result,) = judge(address, case)
    assert result.verdict is Verdict.NOT_TESTED
    assert takes in result.note


def test_a_setup_that_fails_blocks(spec: Spec) -> None:
    """What could not be asked is not what was judged."""
    case = next(case for case in server_cases(spec, ("whole",)) if case.id == "NAMED/WHO/listed")
    with scripted(polite) as address:
        (result,) = judge(address, case)
    assert result.verdict is Verdict.BLOCKED
    assert result.step == "a> NAME Zoe"


def result(verdict: Verdict, *, level: str = "MUST", key: str = "A/B/c", got: str = "") -> Result:
    return Result(key, "whole", ("R-ANS-1",), level, verdict, step="s", wanted="w", got=got)


@pytest.mark.parametrize(
    ("verdicts", "level", "code"),
    [
        ([Verdict.PASS, Verdict.NONSTRICT, Verdict.XFAIL, Verdict.NOT_TESTED, Verdict.NOT_APPLICABLE], "must", 0),
        ([Verdict.PASS, Verdict.FAIL], "must", 1),
        ([Verdict.XPASS], "must", 1),
        ([Verdict.BLOCKED, Verdict.PASS], "must", 3),
        ([Verdict.BLOCKED, Verdict.FAIL], "must", 1),
        ([Verdict.ERROR, Verdict.FAIL], "must", 4),
    ],
)
def test_exit_codes(verdicts: list[Verdict], level: str, code: int) -> None:
    """One number for the whole run."""
    assert exit_code([result(v) for v in verdicts], level=level, planned=len(verdicts)) == code


def mismatch(*, setup: bool) -> MismatchError:
    """A mismatch in the step `a< X`."""
    problem = MismatchError("X", "Y")
    problem.locate("a< X", setup=setup)
    problem.locate("b> Z", setup=not setup)  # a step around it says nothing new
    return problem


@pytest.mark.parametrize(
    ("problem", "verdict", "words"),
    [
        (mismatch(setup=False), Verdict.FAIL, "a< X: wanted X, got Y"),
        (mismatch(setup=True), Verdict.BLOCKED, "a< X: wanted X, got Y"),
        (ContradictionError("step 1 is wrong"), Verdict.NOT_TESTED, "step 1 is wrong"),
        (ExcessError("a got 9 frames"), Verdict.FAIL, "wanted an end of what it sends, got a got 9 frames"),
        (NotTestedError("give {max}"), Verdict.NOT_TESTED, "give {max}"),
        (UnreachableError("no connection"), Verdict.BLOCKED, "no connection"),
        (StartError("it does not listen"), Verdict.BLOCKED, "it does not listen"),
        (ZeroDivisionError("oh"), Verdict.ERROR, "ZeroDivisionError('oh') at "),
    ],
)
def test_an_exception_becomes_a_verdict(problem: Exception, verdict: Verdict, words: str, spec: Spec) -> None:
    """In one place, for servers and for clients; what was not foreseen is a bug of the suite."""
    found = Result.of(hello(spec))
    try:
        raise problem
    except Exception as raised:
        record_failure(found, raised)
    assert found.verdict is verdict
    assert found.words.startswith(words)
    assert found.unreached == isinstance(problem, UnreachableError | StartError)


def test_a_cell_that_contradicts_the_spec_it_is_made_from_is_a_bug_of_the_suite(spec: Spec) -> None:
    """A play that was written by hand may be about other numbers; nothing else may."""
    found = replace(Result.of(hello(spec)), kind="cell")
    record_failure(found, ContradictionError("step 1 is wrong"))
    assert found.verdict is Verdict.ERROR
    assert found.words == "step 1 is wrong"


def test_exit_codes_of_levels_and_of_what_is_missing() -> None:
    """SHOULD counts where it is asked for; a run that is not whole is none; a stale entry fails."""
    should = [result(Verdict.FAIL, level="SHOULD")]
    assert exit_code(should, level="must", planned=1) == 0
    assert exit_code(should, level="should", planned=1) == 1
    assert exit_code([result(Verdict.PASS)], level="must", planned=2) == 4
    assert exit_code([result(Verdict.PASS)], level="must", planned=1, stale=1) == 1


def test_known_failures_are_a_ratchet(tmp_path: Path) -> None:
    """They may fail, with these words; what passes must leave the list; what is not there is stale."""
    file = tmp_path / "known.txt"
    file.write_text("# ours\nA/B/c got nothing\n\nA/B/d got nothing\nA/B/e got nothing\n")
    known = Known.load(file)
    assert known.judge(result(Verdict.FAIL, got="nothing")).verdict is Verdict.XFAIL
    other = known.judge(result(Verdict.FAIL, got="a reset"))
    assert other.verdict is Verdict.FAIL
    assert "known to fail, but with" in other.note
    assert known.judge(result(Verdict.PASS, key="A/B/d")).verdict is Verdict.XPASS
    assert known.stale(["A/B/c", "A/B/d"]) == ["A/B/e"]
    file.write_text("A/B/c\n")
    with pytest.raises(KnownError, match=r"known.txt:1: A/B/c needs the words"):
        Known.load(file)
