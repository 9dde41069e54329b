"""The mutants by other hands: each set is whole, its correct program passes, and what is broken is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.engine.target import Command
from conformance.engine.verdict import Verdict
from conformance.run import Options, run_suite
from conformance.suite import client_cases, select, server_cases
from pychat.spec import Spec
from tools.selftest.foreign import Change, Foreign, SetError, sets
from tools.selftest.trials import try_mutant

from .conftest import need

SETS = sets()
SAMPLES = {  # a mutant of each set, and cases among which one finds it
    "javascript_client": ("token-of-65", "CONNECTED/PING/*"),
    "javascript_server": ("no-fold", "CONNECTED/NAME/*"),
    "python_server": ("name-33", "CONNECTED/NAME/*"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_whole(spec: Spec, name: str) -> None:
    """Each change stands once in the source and breaks a rule that there is; no two mutants are the same."""
    found = SETS[name]
    text = found.source.read_text(encoding="utf-8")
    made = set()
    for change in found.changes:
        broken = text
        for old, new in change.edits:
            assert broken.count(old) == 1, change.name
            broken = broken.replace(old, new)
        made.add(broken)
        assert change.rule, change.name
        assert set(re.findall(r"R-[A-Z]+-[0-9]+", change.rule)) <= spec.rules.keys(), change.name
        assert change.breaks, change.name
    assert len(made - {text}) == len({change.name for change in found.changes}) == len(found.changes)


@pytest.mark.parametrize("name", SETS)
def test_the_correct_program_passes_and_a_mutant_does_not(spec: Spec, name: str) -> None:
    """A sample; `python -m tools.selftest foreign` judges all of them."""
    found, (broken, pattern) = SETS[name], SAMPLES[name]
    for program in found.needs:
        need(program)
    every = server_cases(spec, ("whole",)) if found.side == "server" else client_cases(spec, ("whole",))
    cases = select(every, [pattern])
    change = next(change for change in found.changes if change.name == broken)
    with found.started_with(None) as correct, found.started_with(change) as mutant:
        results = run_suite(correct, cases, Options(jobs=2), spec=spec)
        assert [result.words for result in results if result.verdict is not Verdict.PASS] == []
        assert try_mutant(found.side, change.mutant, cases, spec, target=mutant).killer is not None


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    """And a text that does not stand once in the source."""
    source = tmp_path / "server.x"
    source.write_text("one two two")
    found = Foreign("x", "server", "X", source, "nothing {program}", "", ("no-such-program",), "", ())
    with (
        pytest.raises(SetError, match="x needs no-such-program, which this machine does not have"),
        found.started_with(None),
    ):
        pass
    change = Change("twice", "b", "R-PING-1", (("two", "three"),))
    with pytest.raises(SetError, match="twice: 2 places have 'two'"), found.started_with(change):
        pass
    built = Foreign("x", "server", "X", source, "cat {program}", "cp {program} {folder}/copy", ("cat",), "", ())
    with built.started_with(None) as command:
        assert isinstance(command, Command)
        assert command.words()[0] == "cat"
