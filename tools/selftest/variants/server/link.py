"""How octets travel in one direction of a connection: when, and in which pieces. Knows no socket."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

OCTETWISE = 4096  # octets of a batch that go one by one; the others go in pieces of this size


@dataclass(frozen=True, slots=True)
class Flow:
    """`delay` in seconds, the least and the most; what comes within `gather` seconds goes together."""

    delay: tuple[float, float] = (0.0, 0.0)
    gather: float = 0.0
    octetwise: bool = False
    halves: bool = False  # each frame in two segments
    held: int = 1 << 20  # octets that may be on their way

    def wait(self) -> float:
        """The seconds that the next octets take."""
        return random.uniform(*self.delay)

    def pieces(self, octets: bytes) -> Iterator[bytes]:
        """The octets as the segments in which they go."""
        if self.octetwise:
            yield from (octets[i : i + 1] for i in range(min(len(octets), OCTETWISE)))
            yield from (octets[i : i + OCTETWISE] for i in range(OCTETWISE, len(octets), OCTETWISE))
        elif self.halves:
            start = 0
            for line in octets[:OCTETWISE].splitlines(keepends=True):
                middle = start + len(line) // 2
                if middle > start:
                    yield octets[start:middle]
                yield octets[middle : start + len(line)]
                start += len(line)
            if octets[start:]:
                yield octets[start:]
        else:
            yield octets


@dataclass(frozen=True, slots=True)
class Link:
    """Both directions, and the seconds that an accept takes."""

    answers: Flow = Flow()
    requests: Flow = Flow()
    accept: float = 0.0
