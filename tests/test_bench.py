"""The benchmark measures what it says, and a server that loses lines has no figures."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.bench.checks import CHAT, checks, cost
from tools.bench.cli import chosen, main, measure
from tools.bench.contenders import Contender, Dialect, Nats, all_contenders
from tools.bench.load import EUROPE_AND_ASIA, End, Load, LostLineError, connected, paired, text
from tools.bench.process import NotStartedError, Server
from tools.bench.report import OURS, TARGETS, Run, markdown, medians, ratio, reached, tables
from tools.bench.workloads import WORKLOADS, Pace

from .conftest import need

CONTENDERS = all_contenders()
TINY = Pace(warm=0.0, seconds=0.0, drain=10.0, divide=100)
SHORT = replace(TINY, lines=2000)  # enough that each server needs CPU time, and that each direction is reached

# Pairs its connections in their order and forwards line by line, but for the line that it spoils.
SPOILER = """
import socket, sys, threading

how, ends, gone = sys.argv[1], [], b""

def forward(source, number):
    for count, line in enumerate(source.makefile("rb")):
        to = ends[number ^ 1]
        if count == 20 and number == 0:
            match how:
                case "lose": continue
                case "double": line += line
                case "change": line = line[:-3] + b"?" + line[-2:]
                case "misdeliver": to = ends[2]
                case "delay": held = line; continue
                case "close": to.shutdown(socket.SHUT_RDWR)
        if count == 21 and how == "delay" and number == 0:
            line += held
        try:
            to.sendall(line)
        except OSError:
            return

with socket.create_server(("127.0.0.1", 0)) as listener:
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        ends.append(listener.accept()[0])
        if len(ends) % 2 == 0:
            for number in (len(ends) - 2, len(ends) - 1):
                threading.Thread(target=forward, args=(ends[number], number), daemon=True).start()
"""


@pytest.fixture(params=[name for name, row in CONTENDERS.items() if not row.extra])
def contender(request: pytest.FixtureRequest) -> Contender:
    """Each server of the benchmark."""
    found = CONTENDERS[request.param]
    for program in found.needs:
        need(program)
    return found


def spoiler(how: str, directory: Path) -> Contender:
    script = directory / "spoiler.py"
    script.write_text(SPOILER)
    return Contender(how, Dialect(), [sys.executable, str(script), how])


@pytest.mark.parametrize("work", ["interactive-1", "pipelined-64"])
def test_every_server_delivers_what_is_said_to_it(contender: Contender, work: str) -> None:
    """Each line arrives, at the right person, in order, unchanged; and costs CPU time and memory."""
    run = measure(contender, WORKLOADS[work], SHORT)
    assert not run.trouble
    assert run.figures["rate"] > 0
    assert run.figures["cpu_us"] > 0
    assert run.figures["memory_mib"] > 0.5


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name not in {"interactive-1", "pipelined-64"}])
def test_every_workload_runs_on_this_server(name: str) -> None:
    """No figure is missing, and nothing is lost."""
    run = measure(CONTENDERS[OURS], WORKLOADS[name], TINY)
    assert not run.trouble
    assert all(value >= 0 for value in run.figures.values())
    for target in TARGETS:
        if target.workload == name:
            assert target.figure in run.figures


@pytest.mark.parametrize("how", ["lose", "double", "change", "misdeliver", "delay", "close"])
def test_a_server_that_spoils_a_line_has_no_figures(how: str, tmp_path: Path) -> None:
    """One line of a direction is spoiled, and there is no figure but a reason that names a person."""
    run = measure(spoiler(how, tmp_path), WORKLOADS["fairness"], SHORT)
    assert run.lost
    assert not run.figures
    assert "u000" in run.trouble


def test_a_line_that_is_lost_at_the_very_end_is_missed(tmp_path: Path) -> None:
    """Nothing comes after it that could differ: the load waits for all that it has said."""
    with Server(spoiler("lose", tmp_path)) as server, Load(connected(server.address, server.contender, 2)) as load:
        ends = list(load.ends.values())
        paired(ends, server.contender.dialect, octets=64, window=21)
        ends[1].window = 0
        load.listen()
        load.fill()
        with pytest.raises(LostLineError, match=r"1 lines have not arrived after 0\.2 s, the first is for u0001"):
            load.drain(0.2)


def test_a_probe_between_lines_is_answered_and_is_no_line() -> None:
    """A nats-server sends PING when it likes, and closes a connection that does not answer."""
    ours, theirs = socket.socketpair()
    with theirs, Load([End(ours, "u0001")]) as load:
        (end,) = load.ends.values()
        dialect = Nats()
        end.talks_to(end, dialect, octets=64, window=1, filler="x")
        load.listen()
        line = bytes(end.due[: end.heard_line])
        end.said = 1
        for part in (b"PI", b"NG\r\n" + line[:9], line[9:]):
            theirs.sendall(part)
        load.drain(5)
        assert end.heard == 1
        assert theirs.recv(100) == b"PONG\r\n"


def test_a_server_that_does_not_start_is_named_with_its_last_words() -> None:
    """No stack trace, but what it said itself."""
    mute = Contender("mute", Dialect(), [sys.executable, "-c", "raise SystemExit('no such luck')"])
    with pytest.raises(NotStartedError, match=r"mute did not start: .*no such luck"):
        Server(mute)
    assert "no such luck" in measure(mute, WORKLOADS["interactive-1"], TINY).trouble


def test_the_checks_of_the_relay_are_measured_on_what_it_accepts() -> None:
    """A check that says no early would look cheap."""
    line = CHAT.line("u0001", "u0002", text("u0001", "u0002", 1, 64, EUROPE_AND_ASIA))
    measured = checks()
    assert measured["the relay's check"](line * 3)
    assert measured["pattern of lines"](line * 3)
    assert measured["pattern with a class"](line * 3)
    assert 100 < cost(measured["the relay's check"], line * 3) < 1_000_000


def figures_of(ours: float, theirs: float) -> list[Run]:
    target = TARGETS[0]
    return [
        Run(target.workload, name, number, {target.figure: value})
        for number in range(3)
        for name, value in ((OURS, ours * (1 + number)), (target.of, theirs * (1 + number)))
    ]


def test_targets_compare_medians_and_say_whether_they_are_reached() -> None:
    """The ratio stands beside the verdict, and what was not measured is neither."""
    for ours, verdict in ((0.8, True), (0.95, False)):
        runs = figures_of(ours, 1.0)
        assert ratio(TARGETS[0], medians(runs)) == pytest.approx(ours)
        assert reached(TARGETS[0], medians(runs)) is verdict
        assert ("NOT REACHED" not in tables(runs)) is verdict
    assert reached(TARGETS[0], medians(figures_of(1, 1)[:1])) is None


def test_every_target_names_what_is_measured() -> None:
    """A workload, and a server or none."""
    assert {target.workload for target in TARGETS} <= set(WORKLOADS)
    assert {target.of for target in TARGETS} <= {*CONTENDERS, ""}


def test_tables_are_lined_up() -> None:
    """They are read in a terminal as well as in a page."""
    lines = markdown(["server", "lines"], [["a", "1,000"], ["bbbbbbbb", "2"]]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_the_command_writes_a_table_a_record_and_a_picture(tmp_path: Path) -> None:
    """One short run of two servers."""
    record, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    words = ["--quick", "--seconds=0.05", "--runs=2", "--peers=pychat,threads", "--workloads=interactive-50"]
    result = CliRunner().invoke(main, [*words, "--json", str(record), "--plot", str(picture)])
    assert result.exit_code == 0, result.output
    assert "| pychat " in result.stdout
    assert "4/4 interactive-50" in result.output
    written = json.loads(record.read_text())
    order = [("pychat", 1), ("threads", 1), ("threads", 2), ("pychat", 2)]
    assert [(run["peer"], run["number"]) for run in written["runs"]] == order
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_name_that_is_none_is_refused_with_those_that_are() -> None:
    """Exit code 2, and no stack trace."""
    result = CliRunner().invoke(main, ["--peers", "nobody"])
    assert result.exit_code == 2
    assert "'nobody' is none of pychat" in result.output
    assert "pychat-2" not in chosen(None, CONTENDERS, "--peers")
