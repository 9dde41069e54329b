"""What the loader accepts, every tool works on, or refuses with a sentence: tried on specs that are built at random."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from conformance.cases.case import Case
from conformance.engine.target import Address, Command
from conformance.engine.verdict import Result, Verdict
from conformance.oracle.probe import UnjudgeableError
from conformance.run import Options, run_suite
from conformance.suite import client_cases, server_cases
from pychat.server.server import Server
from pychat.spec import Spec, SpecError, load, loads
from tools.check.explore import Bounds, Search
from tools.check.rows import UnsupportedSpecError, compile_tables
from tools.check.trace import trace
from tools.docs import html, markdown
from tools.docs.drawings import drawings
from tools.docs.page import page
from tools.docs.sources import PageSources
from tools.docs.verify import verify_examples

from .conftest import need
from .dissection import Tshark, by_stream, written
from .segments import Capture
from .specs import candidates, with_true_examples
from .test_dissector_walk import Walk

SPECS = 10  # that are valid, in the gate
SERVER_CASES = 25  # of each spec, and …
CLIENT_CASES = 1
STATES = 1500  # of the model check
STEPS = 60  # of a walk that the dissector sees
PATIENCE = 10.0
CLIENT = f"{sys.executable} -m pychat client {{host}}:{{port}} --plain --spec {{spec}}"
GOOD = (Verdict.PASS, Verdict.NOT_TESTED)


@dataclass
class Figures:
    """What was tried, for the people who run it by hand."""

    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.counts.items())


def test_what_the_loader_accepts_every_tool_works_on(
    rounds: int, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Server, judge, client, page, dissector and model check, on each valid one of many specs."""
    need("dot")
    figures = Figures()
    for number, octets in enumerate(candidates(seed)):
        figures.counts["specs tried"] += 1
        refusal = _refusal(octets)
        if refusal is not None:
            figures.counts["refused"] += 1
            last = octets.count(b"\n") + 1
            assert all(0 < fault.place.line <= last and fault.place.column > 0 for fault in refusal.faults), refusal
            continue
        figures.counts["accepted"] += 1
        file = tmp_path / str(number) / "made.yaml"
        file.parent.mkdir()
        file.write_bytes(with_true_examples(octets))
        try:
            _try(load(file), file, Random(f"{seed}/{number}"), figures)
        except Exception as error:
            error.add_note(f"spec {number} of --seed {seed}: {file}")
            raise
        if figures.counts["accepted"] == SPECS * rounds:
            break
    with capsys.disabled():
        print(f"\nseed {seed}: {figures}")


def _refusal(octets: bytes) -> SpecError | None:
    """What the loader says against a spec; it raises nothing else."""
    try:
        loads(octets)
    except SpecError as refusal:
        return refusal
    return None


def _try(spec: Spec, file: Path, dice: Random, figures: Figures) -> None:
    with Server(spec, "127.0.0.1", 0) as server:
        _judge(spec, file, Address(*server.address), dice, figures)
    made = PageSources(spec, ())
    assert html.render(page(made), drawings(made), (), 0)
    assert markdown.render(page(made))
    _dissect(spec, file.parent, dice)
    _check(spec, figures)


def _judge(spec: Spec, file: Path, address: Address, dice: Random, figures: Figures) -> None:
    """Judge, server and client read the same spec, so a case that fails is a fault of one of them."""
    options = Options(jobs=1, patience=PATIENCE, spec_file=file, profiles=tuple(spec.profiles))
    try:
        cases = server_cases(spec)
        of_client = client_cases(spec, ("whole",))
    except UnjudgeableError:
        figures.counts["unjudgeable"] += 1
        return
    verify_examples(spec, file, address)
    shared = [case for case in cases if case.lane == "shared" and not case.slow]  # the timers may have any time
    _pass(run_suite(address, _some(shared, SERVER_CASES, dice), options, spec=spec), figures)
    _pass(run_suite(Command(CLIENT), _some(of_client, CLIENT_CASES, dice), options, spec=spec), figures)


def _some(cases: list[Case], count: int, dice: Random) -> list[Case]:
    return dice.sample(cases, min(count, len(cases)))


def _pass(results: Sequence[Result], figures: Figures) -> None:
    for result in results:
        figures.counts["cases judged"] += 1
        assert result.verdict in GOOD, f"{result.key}: {result.words}"


def _dissect(spec: Spec, folder: Path, dice: Random) -> None:
    """A walk on the hub, seen by the real tshark: each line is there, and nobody blames the server."""
    capture = Capture()
    walk = Walk(spec, capture, dice.randrange(1, 1 << 16), delays=False)
    walk.go(STEPS)
    streams = by_stream(Tshark(spec, folder).frames(written(capture, folder)))
    for stream, person in enumerate(sorted(walk.all, key=lambda person: person.flow.client_port)):
        seen = [frame for frame in streams.get(stream, []) if frame["from"] == "server"]
        assert [frame["line"] for frame in seen] == [truth.line.decode() for truth in person.truths]
        assert not [str(frame) for frame in seen if frame.get("violation.by") == "server"]


def _check(spec: Spec, figures: Figures) -> None:
    """What is found may be a fault of the protocol; it has a trace then."""
    try:
        search = Search(compile_tables(spec), Bounds(2, 1, 2))
        for fault in search.run(limit=STATES).traces:
            assert trace(search, fault).diagram()
    except UnsupportedSpecError:
        figures.counts["not for the model check"] += 1
