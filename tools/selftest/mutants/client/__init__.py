"""The mutable client, and all its mutants."""

from __future__ import annotations

from pychat.spec.model import Spec
from tools.selftest.mutants.mutant import Mutant, in_spec
from tools.selftest.mutants.shared import reading, with_readers

from . import calls, frames, requests_and_ending, rows, typing_and_printing
from .engine import Client


def client_mutants(spec: Spec) -> list[Mutant[Client]]:
    """All of them, each name once."""
    written = [
        *with_readers(Client, [*reading.mutants, *frames.reading.mutants, *typing_and_printing.reading.mutants]),
        *frames.table.mutants,
        *requests_and_ending.table.mutants,
        *calls.table.mutants,
        *typing_and_printing.table.mutants,
    ]
    return [*rows.mutants(spec), *in_spec(spec, written)]
