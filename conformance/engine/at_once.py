"""What one connection sends in a play goes in one segment, before its answers are looked at. Knows no frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from . import actions as do

SEGMENT = 16_384  # octets that are sent before their answers are read


def at_once(ops: Iterable[do.Op]) -> Iterator[do.Op]:
    """The same actions; what one connection sends in the play goes in one segment, before what is due by it."""
    batch: list[do.Op] = []
    for op in ops:
        if batch and not _joins(op, batch):
            yield from _joined(batch)
            batch = []
        if op.part == "play" and (batch or isinstance(op.action, do.Send)):
            batch.append(op)
        else:
            yield op
    yield from _joined(batch)


def _joins(op: do.Op, batch: list[do.Op]) -> bool:
    sends = [each.action for each in batch if isinstance(each.action, do.Send)]
    if isinstance(op.action, do.Send):
        octets = len(op.action.octets) + sum(len(send.octets) for send in sends)
        return op.part == "play" and op.action.who == sends[0].who and octets <= SEGMENT
    return op.part == "play" and isinstance(op.action, do.Receive)


def _joined(batch: list[do.Op]) -> Iterator[do.Op]:
    sends = [op.action for op in batch if isinstance(op.action, do.Send)]
    if sends:
        yield replace(batch[0], action=replace(sends[0], octets=b"".join(send.octets for send in sends)))
    yield from (op for op in batch if not isinstance(op.action, do.Send))
