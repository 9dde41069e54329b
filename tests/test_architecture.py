"""The rooms of the house: which folder may import which, where input and output are done, and no circle anywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from pychat.spec import Spec

from .conftest import ROOT

# Each room, and the rooms that it may import besides itself: one direction of flow. A file at the top of a package is
# a room of its own.
ROOMS = {
    "pychat/visible": (),
    "pychat/startup": (),
    "pychat/command": ("pychat/visible",),
    "pychat/spec": ("pychat/visible",),
    "pychat/core": ("pychat/spec",),
    "pychat/net": (),
    "pychat/server": ("pychat/spec", "pychat/core", "pychat/net"),
    "pychat/client": ("pychat/spec", "pychat/core", "pychat/net", "pychat/visible"),
    "pychat/demo": ("pychat/core", "pychat/net", "pychat/server", "pychat/client", "pychat/startup", "pychat/visible"),
    "pychat/cli": (
        "pychat/command", "pychat/spec", "pychat/core", "pychat/net", "pychat/server", "pychat/client", "pychat/demo",
    ),
    "conformance/oracle": ("pychat/spec",),
    "conformance/cases": ("pychat/spec", "conformance/oracle"),
    "conformance/engine": ("pychat/spec", "conformance/oracle", "conformance/cases"),
    "conformance/scenes": ("pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine"),
    "conformance/client": ("pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine"),
    "conformance/suite": (
        "pychat/spec", "conformance/oracle", "conformance/cases", "conformance/scenes", "conformance/client",
    ),
    "conformance/run": ("pychat/spec", "conformance/cases", "conformance/engine", "conformance/client"),
    "conformance/walk": (
        "pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine", "conformance/client",
        "conformance/run",
    ),
    "conformance/explain": ("pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine"),
    "conformance/export": ("pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine"),
    "conformance/results": (
        "pychat/spec", "pychat/startup", "conformance/oracle", "conformance/cases", "conformance/engine",
    ),
    "conformance/session": (
        "pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine", "conformance/suite",
        "conformance/run", "conformance/walk", "conformance/results",
    ),
    "conformance/grade": (
        "pychat/spec", "conformance/oracle", "conformance/cases", "conformance/engine", "conformance/suite",
        "conformance/results", "conformance/session",
    ),
    "conformance/cli": (
        "pychat/spec", "pychat/command", "conformance/oracle", "conformance/cases", "conformance/engine",
        "conformance/suite", "conformance/run", "conformance/walk", "conformance/explain", "conformance/export",
        "conformance/results", "conformance/session", "conformance/grade",
    ),
}  # fmt: skip
WITHOUT_IO = ("pychat/spec", "pychat/core", "pychat/visible", "conformance/oracle", "conformance/cases")
# The client's files that open nothing: what is typed, what is told, what is awaited, and in which words.
QUIET = tuple(f"pychat/client/{name}.py" for name in ("talk", "texts", "input_line", "phrases"))
# What the judge shares with the programs that it judges: no code of a protocol but the spec.
SHARED = ("pychat.spec", "pychat.startup", "pychat.command")
IO = {"socket", "ssl", "select", "selectors", "threading", "time", "asyncio", "socketserver", "subprocess"}
# These two open no file either: a spec and plays are read before them.
WITHOUT_FILES = ("pychat/core", "conformance/oracle")
FILES = {"os", "pathlib", "shutil", "tempfile", "importlib", "signal"}
FRAMEWORKS = {"asyncio", "socketserver", "twisted", "zmq", "trio", "anyio", "gevent"}


def imports(file: Path, root: Path = ROOT) -> Iterator[str]:
    """The full names of the modules that a file imports, inside functions too."""
    package = file.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            named = [f"{module}.{alias.name}" for alias in node.names]
            yield from named
            if not all(is_module(name, root) for name in named):
                yield module


def is_module(name: str, root: Path) -> bool:
    path = root.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def room(module: str) -> str:
    """The room of a module, such as pychat/core of pychat.core.hub."""
    return "/".join(module.split(".")[:2])


def circle(files: list[Path], root: Path = ROOT) -> list[str]:
    """Modules of which each imports the next, and the last one the first; none where there is no circle."""
    names = {module_of(file, root): file for file in files}
    graph = {
        name: {found for found in imports(file, root) if found in names and found != name}
        for name, file in names.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def module_of(file: Path, root: Path = ROOT) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("package", ["pychat", "conformance", "tools"])
def test_there_is_no_circle(package: str) -> None:
    """Imports inside functions and for types alone count too: a reader has to follow them as well."""
    assert not circle(files(package))


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Also one that is hidden in a function."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.py").write_text("from . import b\n")
    (tmp_path / "p" / "b.py").write_text("def late():\n    from .c import d\n")
    (tmp_path / "p" / "c.py").write_text("import p.a\n")
    found = circle(sorted(tmp_path.rglob("*.py")), tmp_path)
    assert set(found) == {"p.a", "p.b", "p.c"}
    (tmp_path / "p" / "c.py").write_text("d = 1\n")
    assert not circle(sorted(tmp_path.rglob("*.py")), tmp_path)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_what_lies_before_it(name: str) -> None:
    """spec, core, then server and client, which never meet; oracle, cases, engine, then scenes and client."""
    path = ROOT / name
    allowed = {name, *ROOMS[name]}
    known = {module_of(file) for package in ("pychat", "conformance", "tools", "tests") for file in files(package)}
    for file in files(name) if path.is_dir() else [path.with_suffix(".py")]:
        found = {room(module) for module in imports(file) if module in known and "." in module}
        assert found <= allowed, file


def test_the_small_values_of_the_judge_know_no_engine() -> None:
    """A case, and what an implementation offers, are made without a server, a client or a list of all cases."""
    for name in ("cases/case", "engine/needs"):
        found = {room(module) for module in imports(ROOT / "conformance" / f"{name}.py")}
        assert {each for each in found if each.startswith(("pychat", "conformance"))} <= {
            "pychat/spec", "conformance/cases",
        }, name  # fmt: skip


@pytest.mark.parametrize("name", [*WITHOUT_IO, *QUIET])
def test_no_socket_no_thread_and_no_clock(name: str) -> None:
    """So every rule is tested without a socket and without a sleep."""
    path = ROOT / name
    for file in files(name) if path.is_dir() else [path.with_suffix(".py")]:
        assert not {module.split(".")[0] for module in imports(file)} & IO, file


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_no_file_is_opened(name: str) -> None:
    """Neither by a module for files nor by the function `open`."""
    for file in files(name):
        assert not {module.split(".")[0] for module in imports(file)} & FILES, file
        called = {
            node.func.id
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "open" not in called, file


def test_pychat_imports_neither_the_judge_nor_the_tools_nor_the_tests() -> None:
    for file in files("pychat"):
        assert not {module.split(".")[0] for module in imports(file)} & {"conformance", "tools", "tests"}, file


def test_the_judge_imports_nothing_of_pychat_but_the_spec() -> None:
    """If judge and server shared a codec, one symmetric mistake would pass. Starts and messages are no part of it."""
    for file in files("conformance"):
        for module in imports(file):
            assert module.split(".")[0] not in ("tools", "tests"), f"{file} imports {module}"
            if module.split(".")[0] == "pychat":
                assert module == "pychat" or module.startswith(SHARED), f"{file} imports {module}"


def test_only_the_keeper_starts_programs() -> None:
    """For judge, capture, benchmark and self-test: what it does not own outlives a tool that is killed."""
    for folder in ("conformance", "tools/capture", "tools/bench", "tools/selftest"):
        for file in files(folder):
            if file != ROOT / "conformance" / "engine" / "programs.py":
                assert "subprocess" not in set(imports(file)), file


def test_no_networking_framework_is_used() -> None:
    """Raw sockets and threads are a rule of the mission."""
    for file in files("pychat") + files("conformance"):
        assert not {module.split(".")[0] for module in imports(file)} & FRAMEWORKS, file


def test_no_verb_and_no_state_is_typed_in_the_code(spec: Spec) -> None:
    """Names come from the spec; a string of the code that is one of them would be a second truth."""
    names = {*spec.requests, *spec.pushes, *spec.states, *spec.errors, *spec.goodbyes}
    for file in files("pychat"):
        strings = {
            node.value
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & names, f"{file}: {strings & names}"


def test_the_mutants_share_no_code_with_what_they_are_compared_with() -> None:
    """A mistake that they shared with the server or with the judge would pass for a rule."""
    for file in files("tools/selftest/mutants"):
        for module in imports(file):
            own = module.split(".")[0] not in ("pychat", "conformance", "tests", "tools")
            assert own or module.startswith(("pychat.spec", "tools.selftest.mutants")), f"{file} imports {module}"
