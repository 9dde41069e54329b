"""Random octets to everything that reads any: server, clients, spec loader, the judge's files, captures.

In the gate each test is small. By hand `pytest tests/test_fuzz.py -s --rounds N --seed S` tries N times as much, and
prints what it has tried; with seed 7, and 50, 8, 8, 4 and 2 rounds:

    spec: 1,000 walks: 307,996 lines in 7,032 connections, 348,466 frames came, 0 wrong
    48,000 lines of 23,615,385 octets in 1,540 writes
    spec: 480 sessions took 5,520 frames, 264 ended at one of 352 wrong ones
    pychat.yaml: of 100 damaged specs 88 were refused, 12 loaded
    120 damaged records: 21 made reports, 99 were refused

Any other server is judged so by `pychat-conformance server --fuzz N --seed S`.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml
from click.testing import CliRunner

from conformance.cases.play import to_yaml
from conformance.cases.reader import PlayError, plays_of, shipped_plays
from conformance.cli import main
from conformance.engine.target import Address
from conformance.oracle.frames import Parsed, parse_request, quote, write_form
from conformance.oracle.model import Due, Items, Text
from conformance.oracle.noise import Noise
from conformance.results.known import Known, KnownError
from conformance.results.reports import KINDS
from conformance.run import Options
from conformance.walk import Walker, run_walks, walks
from pychat.core.protocol import Protocol
from pychat.core.session import LocalProtocolError, RemoteProtocolError, Session
from pychat.spec import Spec, SpecError, loads, shipped
from pychat.spec.reading import read
from pychat.visible import visible
from tools.report.build import analyse
from tools.report.html import html
from tools.report.tshark import ReportError
from tools.selftest.mutants.mutant import find
from tools.selftest.mutants.server import server_mutants
from tools.selftest.trials import try_mutant

from .conftest import PATIENCE, ROOT, SPEC_FILE, Peer, Stage, need

LITTLE_FILE = ROOT / "tests" / "little.yaml"
CONTROLS = re.compile(rb"[^\t\r\n -~\x80-\xff]|\xc2[\x80-\x9f]")  # what acts on a terminal


def cut(octets: bytes, chance: random.Random) -> Iterator[bytes]:
    """The same octets in pieces, most of them short, now and then one of many lines."""
    start = 0
    while start < len(octets):
        size = chance.choice((1, 7, 60, 3000, 70000))
        yield octets[start : start + size]
        start += size


# The server


def patient(spec: Spec) -> Spec:
    """A copy whose timers do not fire while a busy machine plays a walk."""
    timers = {
        name: timer if timer.since == "goodbye" else replace(timer, after=timer.after + 1000)
        for name, timer in spec.timers.items()
    }
    return replace(spec, timers=timers)


@pytest.mark.parametrize("protocol", ["spec", "little"])
def test_no_frame_of_the_server_is_wrong(
    protocol: str, start: Callable[..., Stage], request: pytest.FixtureRequest, rounds: int, seed: int
) -> None:
    """Several conversations at once, in frames, near-frames and noise, with ends and resets; the model knows all."""
    served = patient(request.getfixturevalue(protocol))
    address = Address(*start(served, io_threads=3).server.address)
    number = 20 * rounds
    walked = run_walks(address, served, walks(served, number, seed, noisy=True), Options(jobs=4))
    print(f"\n{protocol}: {walked.figures} (seed {seed})")
    if walked.found is not None:
        play, result = walked.found
        pytest.fail(f"seed {seed}: {result.words}\n{to_yaml([play])[:5000]}")
    assert all(result.verdict.good for result in walked.results)
    assert len(walked.results) == number


@pytest.mark.parametrize("name", ["type/name:longer", "fault/bad-encoding:last"])
def test_a_server_that_is_wrong_is_found(name: str, spec: Spec, seed: int) -> None:
    """The fuzz sees: a field that may be too long by one, and faults looked for in another order."""
    mutant = find(server_mutants(spec), name)
    assert mutant is not None
    trial = try_mutant("server", mutant, list(walks(spec, 20, seed, noisy=True)), spec)
    assert trial.killer is not None, trial.note


def test_bulk_is_relayed_octet_for_octet(start: Callable[..., Stage], rounds: int, seed: int) -> None:
    """Both ways at once, with either ending, lines across reads: what one says is what the other hears, in LF."""
    stage = start(io_threads=3)
    chance = random.Random(seed)
    noise = Noise(shipped(), chance)
    users = stage.chat()
    said = [[noise.another(b"MSG x") for _ in range(3000 * rounds)] for _ in users]
    sent = [
        list(cut(b"".join(line + chance.choice((b"\n", b"\n", b"\r\n")) for line in lines), chance)) for lines in said
    ]
    heard: list[list[bytes]] = [[], []]

    def say(user: Peer, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            user.send_octets(piece)

    def hear(user: Peer, number: int, lines: list[bytes]) -> None:
        lines += [user.line().encode() for _ in range(number)]

    threads = [threading.Thread(target=say, args=pair) for pair in zip(users, sent, strict=True)]
    threads += [
        threading.Thread(target=hear, args=(user, len(lines), got))
        for user, lines, got in zip(users, said[::-1], heard, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    octets = sum(len(piece) for pieces in sent for piece in pieces)
    print(f"\n{sum(map(len, said)):,} lines of {octets:,} octets in {sum(map(len, sent)):,} writes (seed {seed})")
    assert heard == said[::-1]
    assert [user.barrier() for user in users] == [[], []]


# Clients


class Hostile:
    """What a server says to a client `a`: what is due by the model, and sometimes what is not."""

    def __init__(self, spec: Spec, chance: random.Random) -> None:
        self.spec, self.chance = spec, chance
        self.walker = Walker(spec, chance, noisy=True)
        self.noise = Noise(spec, chance)
        self.ending = spec.framing.writes
        for who in "abc":
            self.walker.world.open(who)

    def others(self) -> bytes:
        """What comes because of what somebody else does."""
        who = self.chance.choice("bc")
        if not self.walker.world.is_open(who):
            return b""
        line = self.walker.line(who, who, self.chance.choice(("move", "move", "relay")))
        return self.rendered(self.walker.world.feed(who, line).get("a", []))

    def answer(self, octets: bytes) -> bytes:
        """What comes because of what the client has said."""
        return self.rendered(self.walker.world.feed("a", octets).get("a", []))

    def rendered(self, dues: list[Due]) -> bytes:
        lines: list[str] = []
        for due in dues:
            if isinstance(due, Items):
                lines += [*due.items, due.answer]
            elif isinstance(due, Text):
                lines.append(due.text.replace("…", "some words"))
        return b"".join(line.encode() + self.ending for line in lines)

    def wrong(self, octets: bytes) -> bytes:
        """The same spoilt, or something else: another frame, half a one, one in place of another, any octets."""
        line = octets.removesuffix(self.ending)
        reply = self.chance.choice(list(self.spec.replies.values()))
        types = {field.name: self.spec.types[field.type] for field in reply.form.fields}
        values = {name: self.chance.choice([*type_.good, *type_.one_of]) for name, type_ in types.items()}
        frame = self.noise.another(write_form(reply.form, values).encode())
        lines = (self.noise.nearly(line), self.noise.nearly(frame), frame, frame, self.noise.octets(), b"")
        return self.chance.choice((*(line + self.ending for line in lines), octets * 2, line, b""))


@pytest.mark.parametrize("protocol", ["spec", "little"])
def test_a_session_survives_any_server(protocol: str, request: pytest.FixtureRequest, rounds: int, seed: int) -> None:
    """It takes what is due, and ends at what is not with its own error, once and for all; what it keeps is bounded."""
    served: Spec = request.getfixturevalue(protocol)
    kept, tally = Protocol(served), Counter[str]()
    for number in range(60 * rounds):
        chance = random.Random(f"{seed}-{number}")
        rude = chance.choice((0.0, 0.02, 0.2))
        ended = converse(Session(kept), Hostile(served, chance), chance, rude, tally)
        tally["sessions"] += 1
        tally["ended"] += ended is not None
        assert rude or ended is None, f"seed {seed}-{number}: a correct server is blamed: {ended}"
    print(f"\n{protocol}: {tally['sessions']:,} sessions took {tally['events']:,} frames, {tally['ended']:,} ended "
          f"at one of {tally['wrong']:,} wrong ones (seed {seed})")  # fmt: skip
    assert 0 < tally["ended"] < tally["sessions"]


def converse(
    session: Session, server: Hostile, chance: random.Random, rude: float, tally: Counter[str]
) -> RemoteProtocolError | None:
    """One session; why it has ended, if it has."""
    for _ in range(60):
        octets = b""
        if chance.random() < 0.6 and not session.closed:
            line = server.walker.line("a", "a", chance.choice(("move", "move", "relay", "any")))
            said = parse_request(server.spec, line.removesuffix(b"\n").removesuffix(b"\r"))
            try:
                asked = session.request(said.verb, **said.values) if isinstance(said, Parsed) else b""
            except LocalProtocolError:
                asked = b""
            octets += server.answer(asked)
        octets += server.others()
        if chance.random() < rude:
            tally["wrong"] += 1
            octets = server.wrong(octets)
        for piece in cut(octets, chance):
            try:
                for event in session.receive(piece):
                    tally["events"] += 1
                    assert event.view.state in server.spec.states
                    assert not CONTROLS.search(visible(event.text).encode())
                    server.answer(event.reply)
            except RemoteProtocolError as error:
                with pytest.raises(RemoteProtocolError, match=r"^[ -~]+$"):
                    next(session.receive(b"x\n"))
                return error
            assert len(session._splitter.rest()) < server.spec.framing.max_octets
            assert len(session.unanswered) <= 60
    return None


class Program:
    """A client whose output is read by a program."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ending(self) -> tuple[int, bytes]:
        """Its exit code, and all that it has printed."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


class Terminal:
    """A client whose output is read by people."""

    def __init__(self, words: list[str]) -> None:
        self.child: Any = pexpect.spawn(words[0], words[1:], timeout=PATIENCE, echo=False)

    def ending(self) -> tuple[int, bytes]:
        """Its exit code, and all that it has printed."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus), self.child.before.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("shown", ["to a program", "to people"])
def test_the_client_survives_any_server(shown: str, rounds: int, seed: int) -> None:
    """Exit code 0 or 1, one line for each thing, no trace, and nothing that acts on a terminal."""
    spec = shipped()
    ends: Counter[str] = Counter()
    octets = 0
    for number in range(3 * rounds):
        chance = random.Random(f"{seed}-{number}")
        server, rude = Hostile(spec, chance), chance.choice((0.0, 0.02, 0.3))
        told = server.answer(b"NAME alice\n") + b"".join(
            server.wrong(server.others()) if chance.random() < rude else server.others() for _ in range(200)
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            host, port = listener.getsockname()
            words = [sys.executable, "-m", "pychat", "client", f"{host}:{port}", "--plain", "--name", "alice"]
            child = Program(words) if shown == "to a program" else Terminal(words)
            peer, _ = listener.accept()
            with peer:
                for piece in cut(told, chance):
                    try:
                        peer.sendall(piece)
                    except OSError:  # it has had enough
                        break
        code, said = child.ending()
        octets += len(told)
        ends[said.splitlines()[-1].decode().split(" ")[0]] += 1
        where = f"seed {seed}-{number}, to which {quote(told, 2000)} was sent: {quote(said, 2000)}"
        assert code == 1, where
        assert b"Traceback" not in said, where
        assert not CONTROLS.search(said), where
    print(f"\n{sum(ends.values())} clients were sent {octets:,} octets; they ended with {dict(ends)} (seed {seed})")


# Files


def damaged(octets: bytes, chance: random.Random) -> bytes:
    """A file that was cut short, or in which a few octets are others, are missing, or stand twice."""
    if chance.random() < 0.1:
        return octets[: chance.randrange(len(octets))]
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(octets))
        size = chance.choice((1, 1, 1, 8, 100))
        piece, rest = octets[place : place + size], octets[place + size :]
        octets = (
            octets[:place] + chance.choice((b"", piece * 2, chance.randbytes(1), b"\n", b" ", b"'", b"\xff")) + rest
        )
    return octets


def transplanted(data: Any, chance: random.Random) -> Any:
    """Data in which one part, at any depth, is another one, is missing, or stands under another key."""
    data = json.loads(json.dumps(data))
    parts = [(data, key) for key in data]
    for inside, key in parts:  # grows while it is walked
        child = inside[key]
        if isinstance(child, dict | list):
            parts += [(child, below) for below in (child if isinstance(child, dict) else range(len(child)))]
    inside, key = chance.choice(parts)
    other, below = chance.choice(parts)
    strange: tuple[Any, ...] = (
        None,
        True,
        0,
        -1,
        10**30,
        1.5,
        "",
        " ",
        "x" * 5000,
        "\x1b[2J",
        "<me>",
        "(",
        [],
        {},
        [[]],
        {"x": []},
    )
    new = chance.choice((other[below], chance.choice(strange)))
    kind = chance.choice(("replace", "replace", "delete", "rename"))
    if kind == "delete":
        del inside[key]
    elif kind == "rename" and isinstance(inside, dict):
        inside[str(new)[:40]] = inside.pop(key)
    else:
        inside[key] = json.loads(json.dumps(new))
    return data


def load_mutants(file: str, seed: int, number: int) -> None:
    """Loads so many specs that are damaged; prints the number of each before, and at last what has become of them."""
    octets, tally = Path(file).read_bytes(), Counter[str]()
    data = read(octets, file).data  # as PyYAML without its C part does not read it
    for count in range(number):
        print(f"{seed}-{count}", flush=True)
        chance = random.Random(f"{seed}-{count}")
        if chance.random() < 0.5:
            mutant = damaged(octets, chance)
        else:
            mutant = yaml.safe_dump(transplanted(data, chance), sort_keys=False, allow_unicode=True).encode()
        try:
            loads(mutant, "fuzz.yaml")
            tally["loaded"] += 1
        except SpecError as error:
            tally["were refused"] += 1
            for fault in error.faults:
                assert re.match(r"fuzz\.yaml:[0-9]+:[0-9]+: \S", str(fault)), str(fault)
    print(f"of {number:,} damaged specs {', '.join(f'{count:,} {what}' for what, count in tally.items())}")


@pytest.mark.parametrize("file", [SPEC_FILE, LITTLE_FILE], ids=lambda path: path.stem)
def test_a_damaged_spec_loads_or_is_refused_with_its_place(file: Path, rounds: int, seed: int) -> None:
    """Octets or parts are others: nothing but SpecError comes, and it comes soon."""
    number = 25 * rounds
    code = f"from tests.test_fuzz import load_mutants; load_mutants({str(file)!r}, {seed}, {number})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30 + number, check=False
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"no end at {(late.stdout or b'').decode().splitlines()[-1:]}")
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"at {last}: {done.stderr}"
    print(f"\n{file.name}: {last[0]} (seed {seed})")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The record of a run with a failure in it."""
    file = tmp_path_factory.mktemp("record") / "record.jsonl"
    server = f"{sys.executable} {ROOT / 'tests' / 'student' / 'server.py'} --port {{port}}"
    words = ["server", "--cmd", server, "--select", "NAMED/WHO/*", "--segment", "whole", "--fuzz", "1"]
    result = CliRunner().invoke(main, [*words, "--report", f"json={file}"])
    assert result.exit_code in (0, 1), result.output
    return file.read_bytes()


def test_a_damaged_record_makes_reports_or_a_sentence(record: bytes, tmp_path: Path, rounds: int, seed: int) -> None:
    """Exit code 2 and one line that names the file; never a trace."""
    file, codes = tmp_path / "damaged.jsonl", Counter[int]()
    reports = [f"{kind}={tmp_path / kind}" for kind in KINDS]
    lines = [json.loads(line) for line in record.splitlines()]
    for number in range(60 * rounds):
        chance = random.Random(f"{seed}-{number}")
        if chance.random() < 0.5:
            file.write_bytes(damaged(record, chance))
        else:
            spoilt = transplanted({str(number): line for number, line in enumerate(lines)}, chance)
            file.write_text("".join(json.dumps(line) + "\n" for line in spoilt.values()))
        result = CliRunner().invoke(main, ["report", str(file), *reports])
        codes[result.exit_code] += 1
        told = result.exit_code == 0 or (result.exit_code == 2 and result.output.startswith(f"Error: {file}"))
        assert told, f"seed {seed}-{number}: {result.output!r}, {result.exception!r}"
    print(f"\n{codes.total()} damaged records: {codes[0]} made reports, {codes[2]} were refused (seed {seed})")


def test_damaged_plays_and_lists_are_read_or_refused(spec: Spec, tmp_path: Path, rounds: int, seed: int) -> None:
    """Files that the judge's users write: plays, and the list of known failures."""
    plays = to_yaml([*shipped_plays(spec)[:40:3]]).encode()
    data, known = (
        read(plays, "plays").data,
        b"# some\nNAMED/CHAT/user-busy wanted this\n\nPAIRED/MSG/relayed@octet that\n",
    )
    tally: Counter[str] = Counter()
    file = tmp_path / "damaged"
    for number in range(30 * rounds):
        chance = random.Random(f"{seed}-{number}")
        spoilt = yaml.safe_dump(transplanted(data, chance), sort_keys=False, allow_unicode=True).encode()
        for octets, reading, refusals in (
            (damaged(plays, chance), lambda: plays_of(file, spec), (PlayError,)),
            (spoilt, lambda: plays_of(file, spec), (PlayError,)),
            (damaged(known, chance), lambda: Known.load(file), (KnownError, UnicodeDecodeError)),
        ):
            file.write_bytes(octets)
            try:
                reading()
                tally["read"] += 1
            except refusals:
                tally["were refused"] += 1
            except Exception as error:
                pytest.fail(f"seed {seed}-{number}: {error!r}")
    print(f"\nof {tally.total()} damaged files {', '.join(f'{n} {what}' for what, n in tally.items())} (seed {seed})")


def test_a_damaged_capture_makes_a_report_or_a_sentence(tmp_path: Path, rounds: int, seed: int) -> None:
    """Read by tshark: what it cannot read is told, and what it can is reported on."""
    need("tshark")
    octets = (ROOT / "tests" / "data" / "captures" / "chat.pcapng").read_bytes()
    file, tally = tmp_path / "damaged.pcapng", Counter[str]()
    for number in range(rounds):
        file.write_bytes(damaged(octets, random.Random(f"{seed}-{number}")))
        try:
            html(analyse(file, shipped(), lambda words: None))  # with its drawings
            tally["were reported on"] += 1
        except ReportError:
            tally["were refused"] += 1
        except Exception as error:
            pytest.fail(f"seed {seed}-{number}: {error!r}")
    print(
        f"\nof {tally.total()} damaged captures {', '.join(f'{n} {what}' for what, n in tally.items())} (seed {seed})"
    )
