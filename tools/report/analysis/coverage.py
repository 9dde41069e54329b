"""Which octets of a stream have been seen already. Knows numbers only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Coverage:
    """The octets seen so far, as disjoint spans in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> int:
        """Adds the octets from `start` up to `end`; returns how many of them are new."""
        if end <= start:
            return 0
        if self._ends and start == self._ends[-1]:  # the next octets, as nearly always
            self._ends[-1] = end
            return end - start
        low, high = bisect_left(self._ends, start), bisect_right(self._starts, end)
        touched = list(zip(self._starts[low:high], self._ends[low:high], strict=True))
        seen = sum(max(0, min(end, last) - max(start, first)) for first, last in touched)
        self._starts[low:high] = [min([start, *(first for first, _ in touched)])]
        self._ends[low:high] = [max([end, *(last for _, last in touched)])]
        return end - start - seen

    def count_missing(self, start: int, end: int) -> int:
        """How many octets between `start` and `end` were not seen."""
        low, high = bisect_left(self._ends, start), bisect_right(self._starts, end)
        spans = zip(self._starts[low:high], self._ends[low:high], strict=True)
        return end - start - sum(max(0, min(end, last) - max(start, first)) for first, last in spans)

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """The spans between `start` and `end` that were not seen."""
        edges = [start, *(edge for span in zip(self._starts, self._ends, strict=True) for edge in span), end]
        spans = zip(edges[::2], edges[1::2], strict=True)
        return [(max(first, start), min(last, end)) for first, last in spans if max(first, start) < min(last, end)]
