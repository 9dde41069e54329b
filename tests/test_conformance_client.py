"""The judge of clients: it is fair to what the line contract leaves open, and its random walks find and shrink."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.cases.play import to_yaml
from conformance.cases.reader import plays_of
from conformance.client.walks import shrink, walks
from conformance.engine.target import Command
from conformance.engine.verdict import Verdict
from conformance.run import Options, client_worker, run_suite
from conformance.suite import client_cases, select
from pychat.spec import Spec
from tools.selftest.subjects import command
from tools.selftest.variants.client.table import find

ASKED = ("PAIRED/LEAVE/only-one-unanswered", "NAMED/CHAT/leave-waits-for-chat", "CONNECTED/LINE/no-request")


@pytest.mark.parametrize("name", ["refuses", "speaks-at-once", "lines-500ms", "refuses-300ms", "probes", "octet-lines"])
def test_a_right_client_passes_however_it_does_it(spec: Spec, name: str) -> None:
    """It holds or refuses, is late, prints an octet at a time, or probes the server by itself."""
    variant = find(name)
    assert variant is not None
    results = run_suite(Command(variant.command), select(client_cases(spec, ("whole",)), ASKED), Options(jobs=3))
    assert [(result.id, result.words) for result in results if not result.verdict.good] == []


def test_walks_are_the_same_for_the_same_seed(spec: Spec) -> None:
    """So a run can be repeated, and a walk that failed is known by its id."""
    first, again = ([case.play for case in walks(spec, 5, seed=7)] for _ in range(2))
    assert first == again
    assert first != [case.play for case in walks(spec, 5, seed=8)]


def test_a_right_client_passes_walks(spec: Spec) -> None:
    """Also those in which others call, leave and vanish while a request is unanswered."""
    results = run_suite(Command(command("client", "none")), list(walks(spec, 6, seed=1)), Options(jobs=2))
    assert [(result.id, result.words) for result in results if not result.verdict.good] == []


def test_a_walk_that_fails_is_shrunk_and_can_be_replayed(spec: Spec, tmp_path: Path) -> None:
    """To the acts that matter; its file is read as a play for clients."""
    worker = client_worker(Command(command("client", "probe-unanswered")), spec, Options(patience=1))
    failed = next(case for case in walks(spec, 20, seed=1) if worker.verdict(case).verdict is Verdict.FAIL)
    play, result = shrink(worker, failed)
    assert [str(step)[:7] for step in play.steps] == ["c< PING", "c> PONG"]
    assert result.verdict is Verdict.FAIL
    file = tmp_path / "walk.yaml"
    file.write_text(to_yaml([play]))
    assert plays_of(file, spec)[0].steps == play.steps
