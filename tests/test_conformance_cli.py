"""The command: what it says and which code it gives, for misuse, bad targets, and a whole run with its reports."""

from __future__ import annotations

import json
import re
import shlex
import socket
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from conformance.cli import main
from conformance.engine.verdict import Result as CaseResult
from conformance.results import reports as formats
from conformance.results.record import Record, RecordError, case_line, header
from conformance.results.reports import Reports
from conformance.suite import server_cases
from pychat.spec import shipped

from .conftest import SPEC_FILE, replaced
from .report_formats import check_gradescope, check_junit

PYTHON = shlex.quote(sys.executable)
SERVER = f"{PYTHON} -m pychat server --host {{host}} --port {{port}} --spec {{spec}} --max-connections {{max}}"
X = "x {port}"
FIRST_BUSY = "NAMED/CHAT/user-busy-no-missed-name-me"  # the first call of a busy user, which it misses
CLIENT = f"{PYTHON} -m pychat client {{host}}:{{port}} --plain"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def port_that_is_closed() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("server",), "give either --cmd or --connect"),
        (("server", "--cmd", "x", "--connect", "h:1"), "give either --cmd or --connect"),
        *(
            (("server", "--connect", text), "is not HOST:PORT")
            for text in (
                "nowhere",
                ":1",
                "h:",
                "h:0",
                "h:65536",
                "h:+1",
                "h:１",
                "[::1:1",
                "::1:1",
                "[h]:1",
                "]h[:1",
                "a b:1",
            )
        ),
        (
            ("server", "--cmd", "x {prot}"),
            "there is no {prot}; there are {port}, {host}, {spec}, {max}, {registration}",
        ),
        (("client", "--cmd", "x"), "it must take its {port}; there are {host}, {port}, {spec}"),
        (("client", "--cmd", "x {port} {max}"), "there is no {max}; there are {host}, {port}, {spec}"),
        (("client", "--cmd", "x {port}", "--fuzz", "9"), "walks with any octets are for servers"),
        (
            ("server", "--cmd", "cd x && ./run {port}"),
            "cd is a word of a shell, and there is no shell: write sh -c 'cd x",
        ),
        (("server", "--cmd", "PORT={port} ./run"), "there is no shell: write env PORT={port} ./run"),
        (("server", "--cmd", "./run {port} > log"), "> writes into a file in a shell"),
        (("server", "--cmd", "./run {port}; ./b"), "the ; after {port} ends a command"),
        (("server", "--cmd", "./run $HOME {port}"), "$HOME is filled in by a shell"),
        (("client", "--cmd", "./run {port} | tee x"), "| joins two programs"),
        (("server", "--cmd", "'never closed {port}"), "a quote in 'never closed {port} is not closed"),
        (("server", "--cmd", X, "--select", "NAMED/CHAT/user-bussy"), "the nearest are NAMED/CHAT/user-busy"),
        (("server", "--cmd", X, "--segment", "half"), "there is no segment 'half'"),
        (("server", "--cmd", X, "--report", "pdf=x"), "it is KIND=FILE"),
        (("server", "--cmd", X, "--report", "html=/nowhere/x.html"), "cannot be written"),
        (("server", "--cmd", X, "--known", "/nowhere"), "/nowhere"),
        (("server", "--cmd", X, "--spec", "/nowhere"), "/nowhere"),
        (("explain", "NAMED/CHAT/bussy"), "the nearest are"),
        (("replay", "/nowhere.yaml", "--cmd", "x"), "/nowhere.yaml"),
        (("client",), "Missing option '--cmd'"),
    ],
)
def test_misuse_is_code_2_and_says_why(arguments: tuple[str, ...], said: str) -> None:
    """Nothing is run."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("./no-such-program {port}", "cannot be executed: No such file"),
        ("/etc/passwd {port}", "cannot be executed: Permission denied"),
        (f"{PYTHON} -c 'import sys; sys.exit(\"no database\")' {{port}}", "no database"),
    ],
)
def test_what_would_not_start_is_code_3(command: str, said: str) -> None:
    """With its last words."""
    result = run("server", "--cmd", command, "--select", "CONNECTED/PING/answered")
    assert result.exit_code == 3, result.output
    assert said in result.output


@pytest.mark.parametrize(
    ("name", "mode", "text", "word", "said"),
    [
        ("srv.py", 0o644, "", "./srv.py", "allow it: chmod +x ./srv.py, or write python3 ./srv.py"),
        ("srv", 0o755, "", "srv", "a file of this name is here: write ./srv"),
        ("srv", 0o755, "x", "./srv", "its first line names no program (#!)"),
        ("srv", 0o755, "#!/no/such\n", "./srv", "the program in its first line (#!) is missing"),
    ],
)
def test_a_program_that_is_there_and_cannot_run_says_what_to_do(
    name: str, mode: int, text: str, word: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without permission, without its folder, without an interpreter."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    Path(name).chmod(mode)
    result = run("server", "--cmd", f"{word} {{port}}", "--select", "CONNECTED/PING/answered")
    assert result.exit_code == 3, result.output
    assert said in result.output


def test_a_closed_port_is_code_3() -> None:
    """Nobody listens there."""
    result = run("server", "--connect", f"127.0.0.1:{port_that_is_closed()}")
    assert result.exit_code == 3
    assert "takes no connection" in result.output


def test_a_client_that_does_not_connect_is_code_3() -> None:
    """It ends before it has connected."""
    result = run("client", "--cmd", f"{PYTHON} -c 'print(1)' {{port}}", "--select", "CONNECTED/PING/answered")
    assert result.exit_code == 3
    assert "before it connected" in result.output


def test_a_play_of_ones_own_that_contradicts_the_spec_is_code_2(tmp_path: Path) -> None:
    """The sentence names file, line and step, and what is due instead; nothing is started."""
    file = tmp_path / "own.yaml"
    steps = "[a> NAME alice, a< OK NAME alice, a> CHAT bob, a< OK CHAT bob]"
    file.write_text(f"plays:\n  - {{id: NAMED/CHAT/own, title: T, rules: [R-CHAT-1], steps: {steps}}}\n")
    result = run("replay", str(file), "--cmd", "./no-such-program {port}")
    assert result.exit_code == 2
    assert result.output == (
        "Error: own.yaml:2: step 4, `a< OK CHAT bob`, contradicts the spec: "
        "by its model `a < ERR CHAT no-such-user …` is due\n"
    )


@pytest.mark.parametrize(
    ("number", "id_", "step"),
    [
        (
            ("faults: {budgets.CONNECTED.faults},", "faults: 2,"), "CONNECTED/LINE/other-breaks-are-text",
            "step 6, `a< ERR PING bad-syntax …`",
        ),
        (("faults: {budgets.NAMED.faults},", "faults: 2,"), "PAIRED/MSG/faults-among-lines", "step 12, `a< PONG t`"),
        (
            ("max_octets: {framing.max_octets}", "max_octets: 2005"), "PAIRED/MSG/as-long-as-may-be",
            'step 9, `b< "MSG " "x"*2000`',
        ),
    ],
)  # fmt: skip
def test_a_play_that_another_spec_contradicts_is_not_tested(
    number: tuple[str, str], id_: str, step: str, tmp_path: Path
) -> None:
    """With a low budget or short frames some plays say otherwise than the spec: a sentence, and no bug of the suite."""
    file = tmp_path / "changed.yaml"
    file.write_text(replaced(SPEC_FILE.read_text(), *number))
    result = run("server", "--cmd", SERVER, "--spec", str(file), "--segment", "whole", "--select", id_)
    assert result.exit_code == 0, result.output
    assert "1 not-tested" in result.output
    assert f"{step}, contradicts the spec" in result.output


def test_list_and_explain_say_what_is_judged() -> None:
    """A rule leads to its cases, a case to its rule, its script, and what is right."""
    assert "NAMED/CHAT/user-busy" in run("list", "server", "--select", "R-CHAT-4").output
    rule = run("explain", "R-CHAT-4").output
    assert "NAMED/CHAT/user-busy" in rule
    case = run("explain", "PAIRED/CHAT/acceptance-taken-back").output
    assert "R-CHAT-6 (MUST)" in case
    assert "a> CHAT carol" in case
    assert "a < ERR CHAT already-paired" in case
    assert "leaving the acceptance as it was" in case
    flood = run("explain", "PAIRED/MSG/slow-partner").output
    assert "R-FLOW-1" in flood
    assert "a>* MSG {n}" in flood
    assert "b reads on, and gets each MSG {n} that was not refused, in order" in flood
    timed = run("explain", "NAMED/TIME/silence").output
    assert "120 s after a's last octet, not before and not much later:" in timed
    scene = run("explain", "NAMED/OPEN/keepalive").output
    assert "Linux shows the timers of the sockets" in scene


def test_reports_are_made_from_a_whole_record(tmp_path: Path) -> None:
    """One run, every report; each of them tells the same numbers."""
    files = {kind: tmp_path / f"out.{kind}" for kind in formats.KINDS}
    options = [option for kind, file in files.items() for option in ("--report", f"{kind}={file}")]
    result = run("server", "--cmd", SERVER, "--select", "NAMED/CHAT/*", "--segment", "whole", *options)
    assert result.exit_code == 0, result.output
    assert "exercised" in result.output
    record = Record.load(files["json"])
    number = len(record.cases)
    assert record.footer["counts"] == {"pass": number}
    root = ElementTree.fromstring(files["junit"].read_text())
    assert root.get("tests") == str(number)
    assert root.get("failures") == "0"
    assert f"{number} of {number}" in files["badge"].read_text()
    graded = json.loads(files["gradescope"].read_text())
    assert graded["score"] == pytest.approx(100)
    assert "conforms" in files["md"].read_text()
    page = files["html"].read_text()
    assert "NAMED/CHAT/user-busy" in page
    assert "http://" not in page.replace("http://www.w3.org", "")  # it needs no network
    again = tmp_path / "again.md"
    assert run("report", str(files["json"]), f"md={again}").exit_code == 0
    assert again.read_text() == files["md"].read_text()


def test_a_record_that_was_cut_short_makes_no_report(tmp_path: Path) -> None:
    """It must not look whole."""
    file, short = tmp_path / "r.jsonl", tmp_path / "short.jsonl"
    done = run(
        "server", "--cmd", SERVER, "--select", "CONNECTED/PING/*", "--segment", "whole", "--report", f"json={file}"
    )
    assert done.exit_code == 0
    lines = file.read_text().splitlines(keepends=True)
    for kept, reason in ((lines[:-1], "no footer"), (lines[:-2] + lines[-1:], "were planned"), (lines[1:], "header")):
        short.write_text("".join(kept))
        result = run("report", str(short), f"html={tmp_path / 'x.html'}")
        assert result.exit_code == 2
        assert reason in result.output
    short.write_text("".join(lines)[:-20])
    with pytest.raises(RecordError, match="cut short"):
        Record.load(short)
    assert not (tmp_path / "x.html").exists()


def test_points_are_there_before_the_first_case_and_after_each(tmp_path: Path) -> None:
    """A grader that is killed leaves what was earned; all points are of the sum that was asked for, to the cent."""
    cases = [case for case in server_cases(shipped(), ("whole", "octet")) if case.message in ("PING", "CHAT")]
    file = tmp_path / "results.json"
    head = header(shipped(), cases, of="server", command="x", options={"points": "40"})
    reports = Reports.open([f"gradescope={file}"], head)
    assert check_gradescope(file.read_text())["score"] == 0
    scores = []
    for case in cases:
        reports.add(case_line(CaseResult.of(case)))
        scores.append(check_gradescope(file.read_text())["score"])
    assert scores == sorted(scores)
    assert scores[0] == 0, "a case has passed when it has passed in each cut"
    tests = check_gradescope(file.read_text())["tests"]
    assert sum(round(test["max_score"] * 100) for test in tests) == 4000
    assert scores[-1] == 40
    assert {test["status"] for test in tests} == {"passed"}
    reports.abandon()


def test_a_failing_test_of_a_grader_has_its_cause_and_its_replay(tmp_path: Path) -> None:
    """Its cuts are one case, and one cause stands there once."""
    source = (Path(__file__).parent / "student" / "server.py").read_text()
    broken, file = tmp_path / "broken.py", tmp_path / "results.json"
    broken.write_text(source.replace('raise RefusalError("self-chat")', 'raise RefusalError("user-busy")'))
    command = f"{PYTHON} {shlex.quote(str(broken))} --port {{port}}"
    select, record = ("--select", "NAMED/CHAT/self-chat", "--select", "CONNECTED/PING/*"), f"json={tmp_path / 'r'}"
    reports = ("--report", record, "--report", f"gradescope={file}", "--report", f"junit={tmp_path / 'x.xml'}")
    result = run("server", "--cmd", command, *select, *reports, "--points", "7")
    assert result.exit_code == 1, result.output
    bad = [test for test in check_gradescope(file.read_text())["tests"] if test["status"] == "failed"]
    assert [test["name"] for test in bad] == ["R-CHAT: 1 rule"]
    assert bad[0]["output"].count("replay  ") == 1
    assert "--select NAMED/CHAT/self-chat --segment whole" in bad[0]["output"]
    failures = list(check_junit((tmp_path / "x.xml").read_text()).iter("failure"))
    assert {failure.get("type") for failure in failures} == {"ERR <verb> user-busy <words>, where it is not due"}
    assert run("report", str(tmp_path / "r"), f"gradescope={file}", "--points", "1").exit_code == 0
    assert sum(round(test["max_score"] * 100) for test in check_gradescope(file.read_text())["tests"]) == 100


def test_a_failing_server_fails_with_its_replay(tmp_path: Path) -> None:
    """The rule's words, wanted, got, and the command that shows it again."""
    source = (Path(__file__).parent / "student" / "server.py").read_text()
    broken = tmp_path / "broken.py"
    broken.write_text(source.replace('"user-busy"', '"user-idle"', 1).replace('"user-busy"', '"user-idle"'))
    command = f"{PYTHON} {shlex.quote(str(broken))} --port {{port}}"
    result = run("server", "--cmd", command, "--select", FIRST_BUSY, "--segment", "whole")
    assert result.exit_code == 1, result.output
    for said in (
        "R-CALL-4 MUST",
        "wanted  a < ERR CHAT user-busy …",
        "user-idle",
        f"replay  {PYTHON} -m conformance server",
    ):
        assert said in result.output
    known = tmp_path / "known.txt"
    known.write_text(f"{FIRST_BUSY} user-idle\n")
    options = ("--select", FIRST_BUSY, "--segment", "whole", "--known", str(known))
    assert run("server", "--cmd", command, *options).exit_code == 0
    assert run("server", "--cmd", SERVER, *options).exit_code == 1


@pytest.mark.parametrize("kind", ["--walk", "--fuzz"])
def test_a_walk_finds_the_fault_shrinks_it_and_saves_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shortest script, in a file that `replay` runs and `shrink` takes."""
    monkeypatch.chdir(tmp_path)
    source = (Path(__file__).parent / "student" / "server.py").read_text()
    assert '"OK LEAVE"' in source
    broken = tmp_path / "broken.py"
    broken.write_text(source.replace('"OK LEAVE"', '"OK LEFT"'))
    command = f"{PYTHON} {shlex.quote(str(broken))} --port {{port}}"
    result = run("server", "--cmd", command, "--select", "CONNECTED/PING/answered", "--segment", "whole", kind, "300")
    assert result.exit_code == 1, result.output
    assert " 1 wrong" in result.output
    (saved,) = tmp_path.glob("*.yaml")
    assert saved.read_text().count("\n  - ") >= 4
    assert run("replay", str(saved), "--cmd", command).exit_code == 1
    assert run("replay", str(saved), "--cmd", SERVER).exit_code == 0
    shrunk = run("shrink", str(saved), "--cmd", command)
    assert shrunk.exit_code == 1
    assert "4 steps" in shrunk.output
    assert run("shrink", str(saved), "--cmd", SERVER).exit_code == 2


def test_a_record_with_walks_is_whole(tmp_path: Path) -> None:
    """How many walks a run has is not planned, since one that fails is the last."""
    file, page = tmp_path / "r.jsonl", tmp_path / "r.md"
    words = ("--select", "CONNECTED/PING/answered", "--segment", "whole", "--walk", "2", "--fuzz", "1")
    result = run("server", "--cmd", SERVER, *words, "--report", f"json={file}", "--report", f"md={page}")
    assert result.exit_code == 0, result.output
    again = tmp_path / "again.md"
    assert run("report", str(file), f"md={again}").exit_code == 0
    assert again.read_text() == page.read_text()
    assert "| walks | 3 | 3 | 3 |" in page.read_text()


def test_the_shipped_server_passes_everything() -> None:
    """Cells, plays and scenes, each rule of a server; the timers by short ones on both sides."""
    result = run("server", "--cmd", SERVER, "--jobs", "2")
    assert result.exit_code == 0, result.output
    assert re.search(r"rules ([0-9]+)/\1 ", result.output)


def test_the_shipped_client_passes_its_plays() -> None:
    """The whole suite starts a program for each case, so most of its cells are left to `selftest`."""
    result = run("client", "--cmd", CLIENT, "--jobs", "2", "--select", "PAIRED/LEAVE/*", "--select", "*/CHAT/*")
    assert result.exit_code == 0, result.output
