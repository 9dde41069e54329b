"""What a spec says for people and tools: rules, examples, the line contract, chapters, the port. Immutable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .forms import Template


@dataclass(frozen=True, slots=True)
class Transport:
    """The port, and the TCP keep-alive's idle time and interval in seconds and its number of probes."""

    port: int
    keepalive: tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class Rule:
    """A numbered requirement."""

    id: str
    of: Literal["server", "client", "both"]
    level: Literal["MUST", "SHOULD", "MAY"]
    text: str
    profile: str = "core"


StepKind = Literal["send", "finish", "reset", "receive", "end"]


@dataclass(frozen=True, slots=True)
class ExampleStep:
    """A line of an example. `octets` of a send are exact; `text` of a receive may end in `…` for any words."""

    who: str
    kind: StepKind
    octets: bytes = b""
    text: str = ""

    def __str__(self) -> str:
        mark = {"send": ">", "finish": ">|", "reset": ">!", "receive": "<", "end": "<|"}[self.kind]
        return f"{self.who}{mark} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation: it becomes a text of the page, a diagram and a conformance case."""

    id: str
    title: str
    doc: str
    rules: tuple[str, ...]
    steps: tuple[ExampleStep, ...]
    profile: str = "core"


@dataclass(frozen=True, slots=True)
class Contract:
    """The line contract of clients under test: command → request, reply's key → line, notice → what it says.

    `statements` are for people: what holds for each client.
    """

    doc: str
    statements: tuple[str, ...]
    commands: Mapping[str, Template]
    prints: Mapping[str, Template]
    notices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Chapter:
    """Prose for the page about a part of the spec, or with a `title` of its own; the rules that it explains."""

    id: str
    title: str | None
    text: tuple[str, ...]
    rules: tuple[str, ...]
