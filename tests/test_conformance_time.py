"""Cases of clocks, queues and whole servers are derived from a spec: each timer of any spec has its own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from conformance.cases.flow import Flow
from conformance.cases.lifetime import Lifetime
from conformance.cases.play import Play, Step
from conformance.cases.timers import Timers
from conformance.engine.actions import Numbered
from conformance.engine.backlog import Backlog
from conformance.engine.failures import ContradictionError
from conformance.engine.inbox import Inbox
from conformance.engine.quick import quicken
from conformance.engine.script import Compiler
from conformance.engine.stage import Stage
from conformance.engine.wire import Wire
from pychat.spec import Spec, load, shipped_file

from .conftest import ROOT

FILES = (shipped_file(), ROOT / "tests" / "board.yaml", ROOT / "tests" / "little.yaml")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_timer_of_any_spec_has_cases(file: Path) -> None:
    """But for a full queue in a spec whose lines come to nobody: no other one could see it."""
    spec = load(file)
    looked_at = {step.timer for play in Timers(spec).plays() for step in play.clocks}
    without = (
        {name for name, timer in spec.timers.items() if timer.since == "full"} if not spec.linked_states else set()
    )
    assert looked_at == set(spec.timers) - without


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_model_agrees_with_each_derived_play(file: Path) -> None:
    """What they name is due by the model, step by step; else the compiler says that they contradict the spec."""
    spec = load(file)
    plays = [play for family in (Timers, Flow, Lifetime) for play in family(spec).plays()]
    assert len({play.id for play in plays}) == len(plays)
    for play in plays:
        assert Compiler(spec, play, number=1).compile().ops


def test_a_clock_that_runs_cannot_be_waited_for_beyond_its_end(spec: Spec) -> None:
    """More than its time passes in silence only where the server does not read."""
    play = Play("NAMED/TIME/x", "T", ("R-TIME-2",), (Step("a", "clock", text="1.4 probe"),))
    with pytest.raises(ContradictionError, match="the clock of a does not stand still"):
        Compiler(spec, play, number=1).compile()


def test_short_timers_keep_what_the_cases_need(tmp_path: Path) -> None:
    """A second question in one silence comes before its end, and a full queue outlasts a clock that stands still."""
    timers = quicken(shipped_file(), tmp_path).timers
    assert timers["silence"].after >= 3 * timers["probe"].after
    assert timers["stalled"].after > 2 * timers["probe"].after
    assert timers["registration"].after < timers["probe"].after


def test_a_server_that_takes_more_is_full_from_then_on(spec: Spec) -> None:
    """Its clock begins anew then, and each octet that it took still belongs to a line that is counted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        stage = Stage(spec, ("127.0.0.1", 0))
        inbox = Inbox(spec, Wire("a", ours, stage.transcript), stage.barrier)
        backlog = Backlog(inbox, Numbered("MSG {n}", 200, b"\n"), stage)
        backlog.fill(lambda: True)
        count, stuck = backlog.count, backlog.stuck
        backlog.top_up()
        assert (backlog.count, backlog.stuck) == (count, stuck)
        got = 0
        while not inbox.wire.has_room(0):
            got += len(theirs.recv(1 << 16))
        backlog.top_up()
        assert backlog.count > count
        assert backlog.stuck > stuck
        due = backlog.count * len(backlog.lines.octets(0)) - len(backlog.rest)
        while got < due:
            got += len(theirs.recv(1 << 16))
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
