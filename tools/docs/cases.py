"""The conformance cases that show each rule. Knows no case by its name."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.suite import client_cases, server_cases
from pychat.spec import Spec, shipped


@dataclass(frozen=True, slots=True)
class CaseText:
    """A case as a page shows it, with its steps as the judge writes them."""

    id: str
    title: str
    doc: str
    rules: tuple[str, ...]
    steps: tuple[str, ...]

    @property
    def group(self) -> str:
        """The state and the message of the case."""
        return self.id.rpartition("/")[0]

    @property
    def anchor(self) -> str:
        return self.id.lower().replace("/", "-").replace("*", "any")


def cases(spec: Spec) -> tuple[CaseText, ...]:
    """Every case for servers, then every one for clients, those that were written by hand first.

    The judge's plays are written for the shipped protocol, so another one has none.
    """
    if spec.protocol != shipped().protocol:
        return ()
    found = [*server_cases(spec, ("whole",)), *client_cases(spec, ("whole",))]
    return tuple(
        CaseText(case.id, case.title, case.doc, case.rules, tuple(map(str, case.play.steps)) if case.play else ())
        for case in sorted(found, key=lambda case: case.kind == "cell")
    )
