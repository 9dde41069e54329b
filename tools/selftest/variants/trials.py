"""Each legal variant judged whole: which verdicts no right program may get. Knows no verb and no state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from conformance.cases.case import Case
from conformance.engine.target import Command, StartError
from conformance.engine.verdict import Result
from conformance.run import Options, run_suite
from pychat.spec import Spec
from tools.selftest.trials import wrong


class Variant(Protocol):
    """A right program. `jobs` workers judge it in a time that somebody waits for."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def jobs(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a variant. `wrong` are the results that no right program may get."""

    variant: Variant
    wrong: list[Result]
    untested: list[Result]  # because of the machine
    seconds: float
    note: str = ""

    @property
    def good(self) -> bool:
        return not self.wrong and not self.note


def judge(variant: Variant, cases: Sequence[Case], spec: Spec, spec_file: Path | None = None) -> Judged:
    """Judges one variant by these cases."""
    started = time.monotonic()
    options = Options(jobs=variant.jobs, spec_file=spec_file)
    try:
        results = run_suite(Command(variant.command), cases, options, spec=spec)
    except StartError as error:
        return Judged(variant, [], [], time.monotonic() - started, str(error))
    untested = [result for result in results if result.excused]
    return Judged(variant, wrong(results), untested, time.monotonic() - started)


def judge_all(
    variants: Sequence[Variant],
    cases: Sequence[Case],
    spec: Spec,
    spec_file: Path | None = None,
    on_judged: Callable[[Judged], None] = lambda judged: None,
) -> list[Judged]:
    """Judges the variants, one after the other."""
    found = []
    for variant in variants:
        found.append(judge(variant, cases, spec, spec_file))
        on_judged(found[-1])
    return found


def row(judged: Judged) -> str:
    """The variant's row of the table, and a line for each verdict that is wrong or was withheld."""
    changed = str(len(judged.wrong)) if not judged.note else "not judged"
    busy = f", {len(judged.untested)} not tested (the machine)" if judged.untested else ""
    lines = [f"{judged.variant.name:24} | {changed + busy:>8} | {judged.seconds:6.1f} s"]
    shown = [*judged.wrong, *judged.untested]
    lines += [f"    {result.verdict.value} {result.key}: {result.words}" for result in shown]
    return "\n".join([*lines, *([f"    {judged.note}"] if judged.note else [])])
