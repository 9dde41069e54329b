"""One run as the command line makes it: the cases, then walks; known failures, terminal, reports, and the exit code."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pychat.spec import Spec

from .cases.case import Case
from .cases.play import Play, to_yaml
from .engine.programs import last_words
from .engine.script import Compiler
from .engine.target import StartError, Target
from .engine.verdict import Result, exit_code
from .oracle.frames import visible, visible_lines
from .oracle.paths import label_of, paths_of
from .results.known import Known
from .results.record import case_line, footer, header
from .results.reports import Reports
from .results.terminal import Terminal, program
from .run import Options, run_suite
from .suite import SelectionError, select
from .walk import run_walks, walks

USUAL = {"profile": "core", "patience": 5.0, "max_wait": 10.0}  # options that a replay needs where they are not so
STOPPED = "; of the reports only the record (json=FILE) was written, without its last line"


def judge(target: Target, spec: Spec, cases: Sequence[Case], known: Known, where: str, options: dict[str, Any]) -> int:
    """Runs the selected cases, and walks if they are asked for, and writes the reports; the exit code.

    `where` are the options that name the implementation, `options` all others of the command by their names.

    Raises:
        SelectionError: no case is selected.
        StartError: the implementation would not start.
        click.UsageError: a report cannot be written.
    """
    chosen = select(cases, options["patterns"])
    if not chosen:
        raise SelectionError("no case is selected")
    terminal, of = Terminal(), chosen[0].of
    if of == "server":
        for state, row in paths_of(spec).missing:
            label = label_of(row, spec.states[state].recv[row.verb])
            terminal.say(f"no case: {state} {row.verb}, {label}: the model never comes to it\n")
    if options["spec_file"]:
        where += f" --spec {shlex.quote(str(options['spec_file']))}"
    shown = {key: visible(str(value)) for key, value in options.items() if key != "reports" and value}
    reports = Reports.open(
        options["reports"], header(spec, chosen, of=of, command=visible(f"{of} {where}"), options=shown)
    )
    again = visible(f"{program()} {of} {where}{_unusual(options)}")

    so_far: list[Result] = []
    lock = threading.Lock()  # guards `so_far`, the terminal and the reports

    def on_result(result: Result) -> None:
        known.judge(result)
        result.replay = f"{again} --select {result.id} --segment {result.segment}"
        with lock:
            so_far.append(result)
            terminal.progress(result, len(chosen))
            reports.add(case_line(result))

    def interrupted() -> None:
        """A signal ends this run: what is known is shown."""
        with lock:
            reports.abandon()
            terminal.say(f"stopped after {len(so_far)} of {len(chosen)} cases{STOPPED if options['reports'] else ''}\n")
            terminal.summary(spec, so_far, of=of, seconds=time.monotonic() - started, stale=(), code=4)
            terminal.out.flush()

    settings = Options(
        jobs=options["jobs"],
        patience=options["patience"],
        max_wait=options["max_wait"],
        profiles=tuple(options["profile"].split(",")),
        fail_fast=options["fail_fast"],
        spec_file=options["spec_file"],
        on_note=lambda note: terminal.say(visible_lines(f"{note}\n")),
        on_result=on_result,
    )
    started = time.monotonic()
    try:
        with last_words(interrupted):
            results = run_suite(target, chosen, settings, spec=spec)
            results += _walk(target, spec, settings, options, where, terminal, reports, results, of)
    except StartError:
        reports.abandon()
        raise
    finally:
        terminal.close_progress()
    seconds = time.monotonic() - started
    stale = known.stale(case.key for case in cases)
    planned = len(results) if settings.fail_fast else len(chosen)
    code = exit_code(results, level=options["level"], planned=planned, stale=len(stale))
    if len(results) >= len(chosen):
        reports.finish(footer(results, seconds=seconds, exit_code=code, stale=stale))
    else:
        reports.abandon()
        terminal.say(f"stopped at the first failure{STOPPED if options['reports'] else ''}\n")
    terminal.summary(spec, results, of=of, seconds=seconds, stale=stale, code=code, patience=settings.patience)
    return code


def _walk(
    target: Target, spec: Spec, settings: Options, options: dict[str, Any], where: str, terminal: Terminal,
    reports: Reports, before: Sequence[Result], of: str,
) -> list[Result]:  # fmt: skip
    """The walks that are asked for; what fails is written into a file."""
    results: list[Result] = []
    for noisy, number in ((False, options["walks"]), (True, options["fuzz"])):
        failed = settings.fail_fast and any(result.verdict.bad for result in (*before, *results))
        if number and not failed:
            drawn = walks(spec, number, options["seed"], noisy=noisy, of=of)
            walked = run_walks(target, spec, drawn, settings)
            if walked.found is not None:
                _save(*walked.found, where, terminal)
            terminal.say(walked.figures)
            results += walked.results
    for result in results:
        reports.add(case_line(result))
    return results


def replay(target: Target, spec: Spec, cases: Sequence[Case], options: Options) -> int:
    """Runs the cases of one's own plays, and shows what has passed; the exit code.

    Raises:
        ContradictionError: a play contradicts the spec; nothing is run.
        StartError: the implementation would not start.
    """
    for case in cases:
        if case.of == "server" and case.play is not None:
            Compiler(spec, case.play, number=1, segment=case.segment).compile()
    terminal, started = Terminal(), time.monotonic()
    results = run_suite(target, cases, options, spec=spec)
    for result in results:
        if result.verdict.good:
            terminal.transcript(result)
    code = exit_code(results, level="should", planned=len(cases))
    terminal.summary(spec, results, of=cases[0].of, seconds=time.monotonic() - started, stale=(), code=code)
    return code


def _save(play: Play, result: Result, where: str, terminal: Terminal) -> None:
    """Writes a walk that fails into a file as a play."""
    file = Path("-".join(play.id.lower().split("/")[1:]) + ".yaml")
    file.write_text(to_yaml([play]), encoding="utf-8")
    result.replay = visible(f"{program()} replay {file} {where} --segment {result.segment}")
    terminal.say(f"a walk failed; the shortest one was written to {file}\n")


def _unusual(options: dict[str, Any]) -> str:
    """The options that change what a case is asked, for its replay."""
    changed = {name: options[name] for name in USUAL if options[name] != USUAL[name]}
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(value if isinstance(value, str) else f'{value:g}')}"
        for name, value in changed.items()
    )
