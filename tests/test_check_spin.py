"""The model check's second opinion: SPIN, given the same machines in Promela, says the same."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from pychat.spec import shipped
from tools.check.explore import Bounds, Search
from tools.check.model import Model
from tools.check.promela import Promela, promela
from tools.check.properties import AMBIGUOUS, NEVER, Fault
from tools.check.rows import Tables, compile_tables

from .broken import CONTROLS, SMALL, TINY, plainly, searched
from .conftest import need

SPIN_SECONDS = 300.0  # after which a run is stopped; it takes a few


@dataclass(frozen=True)
class Opinion:
    """What SPIN says of a model: the faults, the rows that fire, and the number of states."""

    model: Promela
    faults: set[Fault]
    fired: set[int]
    states: int


def ask_spin(folder: Path, tables: Tables, bounds: Bounds, *defines: str, options: tuple[str, ...] = ()) -> Opinion:
    """Runs a model through SPIN. Raises CalledProcessError when one of its steps fails."""
    model = promela(tables, bounds)
    folder.mkdir()
    (folder / "model.pml").write_text(model.text)

    def run(*words: str) -> str:
        return subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=SPIN_SECONDS, check=True
        ).stdout

    made = run("spin", "-a", *(f"-D{define}" for define in defines), "model.pml")
    assert made.strip() == "", f"SPIN warns: {made}"
    reduce = ["-DNOREDUCE"] if "NOLEAVE" in defines else []
    run("gcc", "-O0", "-w", "-DSAFETY", *reduce, "-o", "pan", "pan.c")
    said = run("./pan", "-m100000", *options)
    numbers = {int(n) for n in re.findall(r"^FAULT (\d+)$|violated \((\d+)!=", said, re.MULTILINE) for n in n if n}
    stored = re.search(r"(\d+) states, stored", said)
    assert stored is not None, said
    assert "max search depth too small" not in said or options, said
    fired = {int(n) for n in re.findall(r"^FIRED (\d+)$", said, re.MULTILINE)}
    return Opinion(model, {model.faults[n] for n in numbers}, fired, int(stored[1]))


@pytest.fixture(scope="module")
def opinions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Opinion]:
    """SPIN's opinion of each control and of the shipped spec, two at a time."""
    need("spin")
    need("gcc")
    folder = tmp_path_factory.mktemp("spin")
    asked: dict[str, tuple[object, ...]] = {
        "shipped": (compile_tables(shipped()), SMALL, "ALL"),
        "counted": (compile_tables(shipped()), TINY, "ALL", "NOLEAVE"),
    }
    asked |= {name: (control.make(), SMALL, "ALL") for name, control in CONTROLS.items() if control.bounds == SMALL}
    with ThreadPoolExecutor(2) as pool:
        running = {
            name: pool.submit(ask_spin, folder / str(number), *words)  # type: ignore[arg-type]
            for number, (name, words) in enumerate(asked.items())
        }
        return {name: opinion.result() for name, opinion in running.items()}


def test_spin_counts_the_same_states(opinions: Mapping[str, Opinion]) -> None:
    """Another program, written from the same rows in another language, reaches exactly as many states."""
    worlds, _ = plainly(Model(compile_tables(shipped()), TINY.clients, TINY.up, TINY.down))
    assert opinions["counted"].states == len(worlds)


def test_spin_finds_the_shipped_protocol_sound(opinions: Mapping[str, Opinion]) -> None:
    """And fires the same rows."""
    assert opinions["shipped"].faults == set()
    assert opinions["shipped"].fired == Search(compile_tables(shipped()), SMALL).run().fired


@pytest.mark.parametrize("name", [name for name, control in CONTROLS.items() if control.bounds == SMALL])
def test_spin_finds_the_same_faults(name: str, opinions: Mapping[str, Opinion]) -> None:
    """All of them but those of the tables themselves, and no other one."""
    _, found = searched(name)
    assert opinions[name].faults == {fault for fault in found.traces if fault.property not in (NEVER, AMBIGUOUS)}
    assert opinions[name].fired == found.fired


def test_spin_finds_the_misdelivery_among_three(tmp_path: Path) -> None:
    """It takes a third person; SPIN looks for that one fault, to a depth of 30 steps."""
    need("spin")
    need("gcc")
    control = CONTROLS["the partner's exit frees the other end"]
    tables = control.make()
    number = promela(tables, control.bounds).faults.index(control.fault)
    opinion = ask_spin(tmp_path / "spin", tables, control.bounds, f"ONLY={number}", "NOLEAVE", options=("-m30",))
    assert opinion.faults == {control.fault}
