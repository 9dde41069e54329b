"""What the relay's checks cost, each way to check a run of lines measured by itself: `python -m tools.bench.checks`.

The relay (`pychat/core/relay.py`) chooses its checks by these figures. They are the best of many short measurements, in
CPU time, because disturbances only add to a measurement.
"""

from __future__ import annotations

import re
import time
import timeit
from collections.abc import Callable, Iterator

from pychat.core.relay import compile_relays
from pychat.spec import shipped

from .contenders import Chat
from .load import ASCII, EUROPE_AND_ASIA, text
from .report import markdown

SPEC = shipped()
CHAT = Chat(SPEC)
SLICE = 16384  # octets that are decoded at once
CASES = (  # title, lines, octets of each, what they are filled with
    ("1 line of 64", 1, 64, ASCII),
    ("64 lines of 64", 64, 64, ASCII),
    ("1 line of 1,000", 1, 1000, ASCII),
    ("64 lines of 1,000", 64, 1000, ASCII),
    ("64 of 1,000, half not ASCII", 64, 1000, EUROPE_AND_ASIA),
)


def checks() -> dict[str, Callable[[bytes], object]]:
    """The checks by their names. What is forbidden, and how long a line may be, is the spec's."""
    verb = CHAT.words.say
    kind = SPEC.types[SPEC.requests[verb].form.fields[-1].type]
    points = [point for first, last in kind.forbid for point in range(first, last + 1)]
    forbidden = bytes(point for point in points if point < 0x80 and point != 0x0A)
    low, high = kind.octets
    lines = re.compile(rb"(?:%b .{%d,%d}+\n)++" % (verb.encode(), low, high)).fullmatch
    classes = re.compile(rb"(?:%b [^%b\n]{%d,%d}+\n)++" % (verb.encode(), re.escape(forbidden), low, high)).fullmatch
    return {
        "the relay's check": next(iter(compile_relays(SPEC).values())).accepts,
        "pattern of lines": lines,
        "pattern with a class": classes,
        "forbidden octets deleted": lambda octets: octets.translate(None, forbidden),
        "each looked for": lambda octets: any(map(octets.__contains__, forbidden)),
        "decoded whole": bytes.decode,
        "decoded in slices": lambda octets: [octets[at:end].decode() for at, end in _slices(octets)],
    }


def _slices(octets: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(octets):
        end = octets.rfind(b"\n", start, start + SLICE) + 1
        yield start, end
        start = end


def cost(check: Callable[[bytes], object], octets: bytes) -> float:
    """The CPU time of one call in nanoseconds."""
    rounds = max(5, 100_000 // len(octets))
    return min(timeit.repeat(lambda: check(octets), number=rounds, repeat=40, timer=time.thread_time)) / rounds * 1e9


def main() -> None:
    """Prints nanoseconds a call, and an octet."""
    rows = []
    for title, count, octets, filler in CASES:
        run = b"".join(CHAT.line("u0001", "u0002", text("u0001", "u0002", n, octets, filler)) for n in range(count))
        costs = [cost(check, run) for check in checks().values()]
        rows.append([title, *(f"{each:,.0f} ({each / len(run):.2f})" for each in costs)])
    print(markdown(["ns a call (an octet)", *checks()], rows))


if __name__ == "__main__":
    main()
