"""The bulk relay: whole runs of lines that may be forwarded as they came. No sockets, no clock, no verb by name.

In a chat almost everything that comes is whole lines for the partner. A pattern compiled from the spec accepts such a
run at once, without cutting it into lines. It accepts only what the hub would relay unchanged frame by frame
(`tests/test_relay.py`); everything else is handled so. Lines that came with CRLF leave with LF (R-FRAME-3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pychat.spec.forms import Framing, Request, Type, Variable
from pychat.spec.model import Outcome, Spec
from pychat.spec.terms import Condition

from .codec import Splitter

# None of these holds where the hub asks for a run: of an end with a partner that is accepted, and so has answered.
_CHECKED = {Condition("no partner"), Condition("not accepted"), Condition("not answered")}
SHORT = 256  # octets; below, the calls cost more than the octets
LONG = 4096  # octets; above, looking for each forbidden octet by itself is cheaper than deleting them all
SLICE = 16384  # octets; a text of more than 128 KiB would be given fresh pages by the system each time


class Relay:
    """Accepts octets that are nothing but whole relayed frames of one request.

    The costs are measured (`python -m tools.bench.checks`). In a long run a pattern that knows only line ends takes
    0.3 ns an octet, and one with a character class 2.5; deleting the forbidden ASCII octets takes 0.6, and looking for
    each one by itself 0.3, but more than a microsecond at least. So a long run is checked in these steps, and a single
    short line, where the calls cost more than the octets, by one pattern.
    """

    def __init__(self, request: Request, kind: Type, framing: Framing) -> None:
        (low, high), ending = kind.octets, framing.writes
        verb, end = re.escape(request.verb.encode()), re.escape(ending)
        points = {point for first, last in kind.forbid for point in range(first, last + 1)}
        points.add(ord("\r"))  # it may belong to the ending
        self._carriage = b"\r\n" in framing.accepts
        self._most = framing.max_octets
        self._ascii = bytes(sorted(point for point in points if point < 0x80 and point not in ending))
        allowed = b"".join(re.escape(bytes([point])) for point in range(0x80) if point not in points | set(ending))
        # Possessive: a run of any length is matched without a stack for backtracking.
        self._lines = re.compile(rb"(?:%b .{%d,%d}+%b)++" % (verb, low, high, end)).fullmatch
        # It backtracks by one CR at most: that belongs to the ending, though a dot matches it too.
        self._crlf_lines = re.compile(rb"(?:%b .{%d,%d}\r\n)++" % (verb, low, high)).fullmatch
        self.is_short_run = re.compile(rb"(?:%b [%b]{%d,%d}+%b)++" % (verb, allowed, low, high, end)).fullmatch
        self._slice = max(SLICE, 2 * high)
        wide = _by_prefix(point for point in points if point >= 0x80)
        self._wide_prefixes = tuple(wide)
        pattern = b"|".join(re.escape(prefix) + b"[" + re.escape(last) + b"]" for prefix, last in wide.items())
        self._wide = re.compile(pattern).search

    def take(self, splitter: Splitter, octets: bytes, room: int) -> bytes | None:
        """The whole lines of what was held back and has come, as the partner gets them; `splitter` keeps the rest.

        None, and nothing is taken, if they are no run, or have more octets than there is `room` in the partner's queue.
        So it is as frame by frame: the queue is not above its mark before any of these frames (R-FLOW-1).
        """
        held = splitter.buffer
        if held:
            octets = splitter.rest() + octets
        end = octets.rfind(b"\n") + 1
        rest = len(octets) - end
        if not end or rest >= self._most or end > room:
            return None
        lines = octets[:end] if rest else octets
        if self._carriage and lines.endswith(b"\r\n"):
            run = self._without_carriages(lines)
        else:
            run = lines if self.accepts(lines) else None
        if run is not None and (rest or held):
            splitter.replace(octets[end:])
        return run

    def _without_carriages(self, octets: bytes) -> bytes | None:
        """Lines that all end in CRLF, with LF instead; None if one of them would not be relayed."""
        if self._crlf_lines(octets) is None:
            return None
        plain = octets.translate(None, self._ascii)  # without CR, and without anything else that is forbidden
        if len(plain) != len(octets) - octets.count(b"\n"):
            return None
        return plain if plain.isascii() or self._accepts_wide(plain) else None

    def accepts(self, octets: bytes) -> bool:
        """Whether each line in `octets` would be relayed as it is; they end with a line's end."""
        if len(octets) <= SHORT and self.is_short_run(octets) is not None:
            return True
        if self._lines(octets) is None:
            return False
        if len(octets) < LONG:
            if len(octets.translate(None, self._ascii)) != len(octets):
                return False
        elif any(map(octets.__contains__, self._ascii)):
            return False
        return octets.isascii() or self._accepts_wide(octets)

    def _accepts_wide(self, octets: bytes) -> bool:
        """Whether octets beyond ASCII are valid UTF-8 without forbidden characters."""
        start = 0
        try:
            while start < len(octets):
                end = octets.rfind(b"\n", start, start + self._slice) + 1
                octets[start:end].decode("utf-8")
                start = end
        except UnicodeDecodeError:
            return False
        return not (any(prefix in octets for prefix in self._wide_prefixes) and self._wide(octets) is not None)


def _by_prefix(points: Iterable[int]) -> dict[bytes, bytes]:
    """The last octets of the UTF-8 forms of characters, by the octets before them. Surrogates have no such form."""
    found: dict[bytes, bytes] = {}
    for point in sorted(points):
        if not 0xD800 <= point <= 0xDFFF:
            octets = chr(point).encode()
            found[octets[:-1]] = found.get(octets[:-1], b"") + octets[-1:]
    return found


def compile_relays(spec: Spec) -> Mapping[str, Relay]:
    """By state, the relay of an accepted end with a partner; empty where the spec has none."""
    relays: dict[str, Relay] = {}
    for state, outcome in spec.outcomes():
        request = spec.requests[outcome.verb]
        rows = spec.states[state].recv[outcome.verb]
        if outcome.does("relay") and _is_verbatim(outcome, request) and _is_sure(rows):
            kind = spec.last_type(request.form)
            if kind is not None and kind.rest_of_line and kind.match is None and _fits(request, kind, spec.framing):
                relays[state] = Relay(request, kind, spec.framing)
    return relays


def _is_verbatim(outcome: Outcome, request: Request) -> bool:
    """The partner gets the same octets: one verb, one field, nothing changed on the way."""
    fields = request.form.fields
    if outcome.partner is None or outcome.to or outcome.partner.to or outcome.answer or len(outcome.effects) != 1:
        return False
    if outcome.tells or outcome.slow:
        return False
    return len(fields) == 1 and outcome.partner.push.parts == (request.verb, Variable(fields[0].name))


def _fits(request: Request, kind: Type, framing: Framing) -> bool:
    """Frames end in LF, and the longest line of the request is none that is too long."""
    longest = len(request.verb) + 1 + kind.octets[1] + max(map(len, framing.accepts))
    return framing.writes == b"\n" and longest <= framing.max_octets


def _is_sure(rows: tuple[Outcome, ...]) -> bool:
    """It is the last row, and each row before it has a condition that does not hold where the hub asks for a run."""
    return rows[-1].does("relay") and all(_CHECKED.intersection(row.conditions) for row in rows[:-1])
