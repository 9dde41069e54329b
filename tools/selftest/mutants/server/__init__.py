"""The mutable server, and all its mutants."""

from __future__ import annotations

from pychat.spec.model import Spec
from tools.selftest.mutants.mutant import Mutant, in_spec
from tools.selftest.mutants.shared import reading, with_readers

from . import (
    amounts,
    calls,
    counting,
    frames,
    histories,
    lines,
    names,
    numbers,
    octets,
    ordering_and_closing,
    rows,
    saying,
    time_and_flow,
    users_and_chats,
)
from .engine import Server


def server_mutants(spec: Spec) -> list[Mutant[Server]]:
    """All of them, each name once."""
    written = [
        *with_readers(
            Server,
            [*reading.mutants, *frames.reading.mutants, *octets.reading.mutants, *amounts.reading.mutants],
            near="*/LINE/*",
        ),
        *frames.refusing.mutants,
        *names.table.mutants,
        *octets.table.mutants,
        *amounts.table.mutants,
        *users_and_chats.table.mutants,
        *calls.table.mutants,
        *counting.table.mutants,
        *histories.table.mutants,
        *lines.table.mutants,
        *ordering_and_closing.table.mutants,
        *time_and_flow.table.mutants,
    ]
    return [*rows.mutants(spec), *saying.mutants(spec), *numbers.mutants(spec), *in_spec(spec, written)]
