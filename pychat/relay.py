"""The bulk relay: whole runs of lines that may be forwarded as they came. No sockets, no clock, no verb by name.

In a chat almost everything that comes is whole lines for the partner. A pattern compiled from the spec accepts such a
run at once, without cutting it into lines. It accepts only what the step-by-step way would relay unchanged, line by
line (`tests/test_relay.py`); everything else goes that way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .spec.model import Condition, Outcome, Request, Spec, Type, Variable

_SKIPPED = {Condition("no partner"), Condition("not accepted")}  # the caller has seen to these
SHORT = 256  # octets


class Run:
    """Accepts octets that are nothing but whole relayed frames of one request.

    Long runs are checked three times in place of once, because a pattern that knows only line ends takes 0.33 ns an
    octet, deleting the forbidden ASCII octets 0.42, and a character class in the pattern 1.8. For a single short line
    the calls cost more than the octets, so there it is one pattern.
    """

    __slots__ = ("_forbidden", "_forbidden_wide", "_lines", "_short")

    def __init__(self, request: Request, kind: Type, ending: bytes) -> None:
        low, high = kind.octets
        verb = re.escape(request.verb.encode())
        # Possessive, so that a run of any length is matched without a stack to go back on.
        self._lines = re.compile(rb"(?:%b .{%d,%d}+%b)++" % (verb, low, high, re.escape(ending))).fullmatch
        points = {point for first, last in kind.forbid for point in range(first, last + 1)}
        self._forbidden = bytes(sorted(point for point in points if point < 0x80 and point not in ending))
        allowed = b"".join(re.escape(bytes([point])) for point in range(0x80) if point not in points | set(ending))
        self._short = re.compile(rb"(?:%b [%b]{%d,%d}+%b)++" % (verb, allowed, low, high, re.escape(ending))).fullmatch
        wide = "".join(f"\\U{max(a, 0x80):08x}-\\U{b:08x}" for a, b in kind.forbid if b >= 0x80)
        self._forbidden_wide = re.compile(f"[{wide}]").search if wide else None

    def accepts(self, octets: bytes) -> bool:
        """Whether each line in `octets` would be relayed as it is; they end with a line's end."""
        if len(octets) <= SHORT and self._short(octets) is not None:
            return True
        if self._lines(octets) is None or len(octets.translate(None, self._forbidden)) != len(octets):
            return False
        if octets.isascii():
            return True
        try:
            text = octets.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return self._forbidden_wide is None or self._forbidden_wide(text) is None


def compile_runs(spec: Spec) -> Mapping[str, Run]:
    """By state, the runs that an accepted end may send to a partner who is there; empty where the spec has none."""
    runs: dict[str, Run] = {}
    for state, outcome in spec.outcomes():
        request = spec.requests[outcome.verb]
        rows = spec.states[state].recv[outcome.verb]
        if outcome.does("relay") and _is_verbatim(outcome, request) and _is_sure(rows):
            kind = spec.types[request.form.fields[-1].type]
            if kind.rest_of_line and kind.match is None and spec.framing.writes == b"\n":
                runs[state] = Run(request, kind, spec.framing.writes)
    return runs


def _is_verbatim(outcome: Outcome, request: Request) -> bool:
    """The partner gets the same octets: one verb, one field, nothing changed on the way."""
    fields = request.form.fields
    if outcome.partner is None or outcome.to or outcome.partner.to or outcome.answer or len(outcome.effects) != 1:
        return False
    return len(fields) == 1 and outcome.partner.push.parts == (request.verb, Variable(fields[0].name))


def _is_sure(rows: tuple[Outcome, ...]) -> bool:
    """It is the last row, and the rows before it ask only what the caller has seen to."""
    return rows[-1].does("relay") and all(row.condition in _SKIPPED for row in rows[:-1])
