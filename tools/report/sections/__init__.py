"""The sections of the report, in their order: the name of a module here, which has a function `sections`.

A new section is a new module and a line in this list.
"""

from __future__ import annotations

from importlib import import_module

from tools.report.document import Section
from tools.report.findings import Findings

SECTIONS = (
    "summary",
    "checking",
    "gaps",
    "sockets",
    "handshake",
    "flows",
    "segmentation",
    "small",
    "transport",
    "repairs",
    "losses",
    "network",
    "routing",
    "session",
    "patterns",
    "calls",
    "talk",
    "closing",
    "problems",
)


def sections_of(name: str, findings: Findings) -> list[Section]:
    """The sections that one module makes. It is imported here, since matplotlib takes a while to load."""
    made: list[Section] = import_module(f"{__name__}.{name}").sections(findings)
    return made
