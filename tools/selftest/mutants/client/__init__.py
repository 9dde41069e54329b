"""The mutable client, and all its mutants."""

from __future__ import annotations

from dataclasses import replace

from pychat.spec.model import Spec
from tools.selftest.mutants.mutant import Mutant
from tools.selftest.mutants.shared import reading, with_readers

from . import frames, requests_and_ending, rows
from .engine import Client


def client_mutants(spec: Spec) -> list[Mutant[Client]]:
    """All of them, each name once."""
    written = [
        *with_readers(Client, [*reading.mutants, *frames.reading.mutants]),
        *frames.table.mutants,
        *requests_and_ending.table.mutants,
    ]
    relay = spec.verb_that("relay") or ""
    return [*rows.mutants(spec), *(replace(mutant, near=mutant.near.replace("{relay}", relay)) for mutant in written)]
