"""Who may import whom. One direction of flow: spec, codec, machine, hub, server; and the judge on its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychat.spec import Spec

from .conftest import ROOT

WITHOUT_IO = [
    "addresses",
    "admission",
    "codec",
    "machine",
    "relay",
    "connection",
    "deadlines",
    "roster",
    "hub",
    "protocol",
    "session",
    "talk",
    "replay",
    "visible",
    "addresses",
    "awaited",
    "draft",
]
IO = {"socket", "ssl", "select", "selectors", "threading", "time", "asyncio", "socketserver", "subprocess"}
FRAMEWORKS = {"asyncio", "socketserver", "twisted", "zmq", "trio", "anyio", "gevent"}


def imports(file: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, inside functions too."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("name", WITHOUT_IO)
def test_the_core_imports_no_socket_no_thread_and_no_clock(name: str) -> None:
    """So every rule is tested without a socket and without a sleep."""
    found = {module.split(".")[0] for module in imports(ROOT / "pychat" / f"{name}.py")}
    assert not found & IO


def test_the_spec_package_imports_no_io_either() -> None:
    for file in files("pychat/spec"):
        assert not {module.split(".")[0] for module in imports(file)} & IO, file


def test_pychat_imports_neither_the_judge_nor_the_tools_nor_the_tests() -> None:
    for file in files("pychat"):
        assert not {module.split(".")[0] for module in imports(file)} & {"conformance", "tools", "tests"}, file


def test_the_judge_imports_nothing_of_pychat_but_the_spec() -> None:
    """If judge and server shared a codec, one symmetric mistake would pass. How a program starts is no part of it."""
    for file in files("conformance"):
        for module in imports(file):
            if module.split(".")[0] == "pychat":
                assert module == "pychat" or module.startswith(("pychat.spec", "pychat.startup")), (
                    f"{file} imports {module}"
                )


def test_only_the_keeper_starts_programs() -> None:
    """For judge, capture and benchmark: what it does not own outlives a tool that is killed."""
    for file in files("conformance") + files("tools/capture") + files("tools/bench"):
        if file != ROOT / "conformance" / "programs.py":
            assert "subprocess" not in set(imports(file)), file


def test_server_and_client_never_import_each_other() -> None:
    client_side = {
        f"pychat.{name}"
        for name in ("protocol", "session", "client", "plain", "talk", "terminal", "run", "awaited", "draft")
    }
    server_side = {"pychat.hub", "pychat.loop", "pychat.server"}
    for file in files("pychat"):
        name = "pychat." + file.stem
        if name in client_side:
            assert not set(imports(file)) & server_side, file
        if name in server_side:
            assert not set(imports(file)) & client_side, file


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
