"""What a person sees of a run: nothing acts on his terminal, the most telling failures first, the verdict last."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.cases.case import Case
from conformance.engine.needs import Offer, lacking
from conformance.engine.quick import quicken
from conformance.engine.target import Command, excerpt
from conformance.engine.verdict import Result, Verdict
from conformance.explain import explain
from conformance.oracle.frames import quote, visible
from conformance.results.record import Record, case_line, footer, header
from conformance.results.reports import md
from conformance.results.terminal import BRIEF, FULL, Terminal
from conformance.run import Options, run_suite
from conformance.suite import select, server_cases
from pychat.spec import Spec, shipped_file

PYTHON = shlex.quote(sys.executable)
STUDENT = Path(__file__).parent / "student" / "server.py"
CONTROL = "\x1b[2J\x9b\u2028\u202e\x07"
TRACE = "".join(f"line {number}\n" for number in range(1, 31))


def broken(tmp_path: Path, *changes: tuple[str, str]) -> str:
    """The command of the student's server, its source changed."""
    source = STUDENT.read_text()
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    file = tmp_path / "broken.py"
    file.write_text(source)
    return f"{PYTHON} {shlex.quote(str(file))} --port {{port}}"


def cases_with(spec: Spec, *ids: str) -> list[Case]:
    return [case for case in server_cases(spec, ("whole",)) if case.id in ids]


def shown(spec: Spec, results: list[Result], *, code: int = 1) -> str:
    out = io.StringIO()
    Terminal(out, colour=False).summary(spec, results, of="server", seconds=1, stale=(), code=code)
    return out.getvalue()


def failure(id_: str, rule: str, segment: str = "whole", *, level: str = "MUST", got: str = "x") -> Result:
    return Result(id_, segment, (rule,), level, Verdict.FAIL, "a> X", "y", got, title="t")


def test_what_cannot_be_seen_is_written_out() -> None:
    """Once is enough: what is visible stays as it is."""
    assert quote(b"MSG 2 ") == "MSG 2\\x20"
    assert visible("b < MSG 2  ") == "b < MSG 2\\x20\\x20"
    assert visible("a\u2028b\tc\x1b[2J\udcff") == "a\\xe2\\x80\\xa8b\\tc\\x1b[2J\\xff"
    assert visible("k\u212a\ufffdé猫") == "k\\xe2\\x84\\xaa\\xef\\xbf\\xbdé猫", "what looks like another character too"
    assert visible(visible(CONTROL)) == visible(CONTROL)
    assert visible(CONTROL).isprintable()


def test_no_octet_of_the_implementation_acts_on_the_terminal(spec: Spec, tmp_path: Path) -> None:
    """Not by a frame, not by its standard error, in no report."""
    answer = 'self.send(f"OK WHO {len(self.server.users)}'
    loud = f'import sys; sys.stderr.write({CONTROL + chr(10)!r}); sys.stderr.flush(); {answer}" + {CONTROL!r} + "'
    cases = cases_with(spec, "NAMED/WHO/listed")
    results = run_suite(Command(broken(tmp_path, (answer, loud))), cases, Options(patience=2), spec=spec)
    assert results[0].verdict is Verdict.FAIL
    assert "\\x1b[2J" in results[0].got
    assert "\\x1b[2J" in results[0].stderr
    record = Record(
        header(spec, cases, of="server", command="x", options={}), [case_line(result) for result in results]
    )
    record.footer = footer(results, seconds=1, exit_code=1, stale=())
    for text in (shown(spec, results), md.make(record), record.text):
        assert not {char for char in text if not char.isprintable()} - {"\n"}
        assert "\\u001b" not in text


def test_the_head_and_the_end_of_a_trace_are_shown() -> None:
    """Some languages have the message at its head, some at its end."""
    lines = excerpt(TRACE.strip(), 2, 1).split("\n")
    assert lines == ["line 1", "line 2", "… 27 lines …", "line 30"]
    assert excerpt("a\nb\nc", 2, 1) == "a\nb\nc"


def test_a_crash_is_told_with_its_code_and_its_own_last_words(spec: Spec, tmp_path: Path) -> None:
    """What was said in earlier cases is theirs."""
    dies = (
        ('self.send("OK QUIT")', f"import os, sys; sys.stderr.write({TRACE!r}); sys.stderr.flush(); os._exit(1)"),
        (
            'self.send(f"OK NAME',
            'import sys; sys.stderr.write("of before\\n"); sys.stderr.flush(); self.send(f"OK NAME',
        ),
    )
    cases = sorted(cases_with(spec, "CONNECTED/NAME/named", "CONNECTED/QUIT/quit"), key=lambda case: case.message)
    assert len(cases) == 2
    *_, result = run_suite(Command(broken(tmp_path, *dies)), cases, Options(patience=2), spec=spec)
    assert result.got.endswith("it ended with code 1")
    assert result.stderr.startswith("line 1\n")
    text = shown(spec, [result])
    assert "stderr  line 1\n" in text
    assert "stderr  line 30\n" in text


def test_hundreds_of_failures_are_a_page(spec: Spec) -> None:
    """A cause is shown once, by the simplest of its cases, first whole, then in a line, then as a number."""
    results = [
        failure(f"{state}/{verb}/c{number}", "R-ANS-1", segment, got=f"{chr(97 + number % 25) * 5000} {number % 50}")
        for state in reversed(spec.live_states)
        for verb in ("CHAT", "PING")
        for number in range(100)
        for segment in ("octet", "whole")
    ]
    causes = [replace(result, cause=f"cause {index // 2 % 50}") for index, result in enumerate(results)]
    lines = shown(spec, causes).splitlines()
    assert len(lines) < 200
    assert max(map(len, lines)) < 1000
    heads = [line.split()[1] for line in lines if line.startswith("FAIL")]
    assert heads[:2] == ["CONNECTED/PING/c0", "CONNECTED/PING/c1"]
    assert len(heads) == len(set(heads)) == FULL + BRIEF
    assert sum(line.startswith("    same cause: 12 cases, also ") for line in lines) == FULL
    assert f"… and {50 - FULL - BRIEF} more causes: --report html=report.html shows each case" in lines
    assert lines[-1].startswith("does not conform: 600 MUST failed")


def test_three_mistakes_are_three_causes(spec: Spec, tmp_path: Path) -> None:
    """Whatever number of cases each of them fills, and in whatever rule, state or order of a race."""
    mistakes = (
        ('raise FaultError(verb, "wrong-state", counts', 'raise FaultError(verb, "bad-syntax", counts'),
        ("if caller not in self.missed:", "if True:"),
        ('"left" if self.answered else "declined"', '"left"'),
    )
    command = Command(broken(tmp_path, *mistakes))
    cases = select(server_cases(spec, ("whole",)), ["*/CHAT/*", "*/LEAVE/*"])
    results = run_suite(command, [case for case in cases if not case.slow], Options(jobs=2), spec=spec)
    lines = shown(spec, results).splitlines()
    assert sum(result.verdict is Verdict.FAIL for result in results) > 20
    assert [line.split("[")[-1] for line in lines if line.startswith("FAIL")] == [
        f"cause {number} of 3]" for number in (1, 2, 3)
    ]
    named = [line.split()[1] for line in lines if line.startswith("    rule ")]
    assert {"R-ERR-5", "R-CALL-2"} < set(named)


@pytest.mark.parametrize(
    ("results", "code", "says"),
    [
        ([], 0, "conforms, but "),
        ([failure("A/B/c", "R-TIME-4", level="SHOULD")], 0, "conforms, but 1 SHOULD failed, "),
        ([failure("A/B/c", "R-ANS-1"), failure("A/B/c", "R-ANS-1", "octet")], 1, "does not conform: 1 MUST failed, "),
        ([Result("A/B/c", "whole", ("R-ANS-1",), "MUST", Verdict.BLOCKED)], 3, "could not be judged: 1 blocked, "),
    ],
)  # fmt: skip
def test_the_last_line_is_the_verdict(spec: Spec, results: list[Result], code: int, says: str) -> None:
    """A SHOULD that failed is no contradiction to exit code 0; what was not exercised is said."""
    last = shown(spec, results, code=code).splitlines()[-1]
    assert last.startswith(says)
    assert last.endswith("rules not exercised")


def test_a_replay_runs_when_it_is_pasted(tmp_path: Path) -> None:
    """With the program as it was called, quoted for a shell."""
    command = broken(tmp_path, ('"user-busy"', '"user-idle"'))
    words = [sys.executable, "-m", "conformance", "server", "--cmd", command, "--select", "NAMED/CHAT/user-busy-*"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout
    (pasted,) = [line.split("replay  ")[1] for line in done.stdout.splitlines() if "  replay  " in line]
    again = subprocess.run(pasted, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1, again.stderr
    assert "FAIL NAMED/CHAT/user-busy" in again.stdout


def test_a_walk_leaves_nothing_behind(tmp_path: Path) -> None:
    """No file, where nothing has failed."""
    command = f"{PYTHON} {shlex.quote(str(STUDENT))} --port {{port}}"
    words = [sys.executable, "-m", "conformance", "server", "--cmd", command, "--select", "CONNECTED/PING/answered"]
    done = subprocess.run(
        [*words, "--walk", "5"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "walks 5/5 exercised" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_race_shows_the_rule_that_was_broken(spec: Spec, tmp_path: Path) -> None:
    """Not that of the way into it: the second LEAVE is refused, and no CHAT is at fault."""
    leave = 'self.unlink("left" if self.answered else "declined")'
    evil = broken(tmp_path, (leave, f"if not self.partner: raise RefusalError('wrong-state')\n        {leave}"))
    (result,) = run_suite(Command(evil), cases_with(spec, "PAIRED/LEAVE/both-at-once"), Options(patience=2), spec=spec)
    assert result.verdict is Verdict.FAIL
    assert result.rule == "R-LEAVE-1", result.words


def test_help_lists_what_a_command_may_hold(spec: Spec) -> None:
    """All of the spec's timers too."""
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "server", "--help"], capture_output=True, text=True, check=True
    )
    for name in ("port", "host", "spec", "max", *spec.timers):
        assert f"{{{name}}}" in done.stdout


def test_a_timer_that_is_not_told_is_named_with_its_real_seconds(spec: Spec, tmp_path: Path) -> None:
    """Where the server is told another timer, and the suite's copy of the spec has short ones."""
    (case,) = cases_with(spec, "NAMED/TIME/silence")
    assert case.play is not None
    told, quick = Command("x {port} {registration}").placeholders, quicken(shipped_file(), tmp_path)
    short = lacking(case.play, quick, Offer(told, quick_of=spec))
    assert short == "its probe timer of 120 s: give the command {probe} too, or {spec}"
    assert lacking(case.play, spec, Offer(told)).endswith("--max-wait 601")


def test_a_hint_stands_where_it_is_about_the_case(spec: Spec) -> None:
    """The one about a MSG after a refused CHAT says nothing about a CHAT."""
    hint = next(hint for hint in spec.hints if "not-accepted" in hint)
    texts = {case.id: " ".join(explain(spec, case).split()) for case in server_cases(spec, ("whole",)) if case.play}
    assert hint in texts["PAIRED/MSG/not-accepted-when-called"]
    assert hint not in texts["NAMED/CHAT/user-busy"]
    assert hint not in texts["PAIRED/MSG/text-longest"]


def test_a_table_has_the_order_of_the_spec(spec: Spec) -> None:
    """Rows are states and columns are requests, the barrier first, in whatever order the cases were run."""
    ids = ("CLOSED/TIME/x", "PAIRED/MSG/x", "CONNECTED/HELLO/x", "NAMED/PING/x")
    results = [Result(id_, "whole", ("R-ANS-1",), "MUST", Verdict.PASS) for id_ in ids]
    results.append(Result("NAMED/PING/y", "whole", ("R-ANS-1",), "MUST", Verdict.FAIL, got="`x`"))
    record = Record(header(spec, [], of="server", command="x", options={}), [case_line(result) for result in results])
    record.footer = footer(results, seconds=1, exit_code=1, stale=())
    lines = md.make(record).splitlines()
    assert "| | PING | HELLO | MSG | TIME |" in lines
    assert [line.split("**")[1] for line in lines if line.startswith("| **")] == [*spec.live_states, spec.final]
    assert not [line for line in lines if line.startswith("- step")]
    assert "- got: `` `x` ``" in lines
