"""Plays: the steps of a case, what each connection sends and gets. The format, read and written. Knows no socket.

    a> frame      a sends it (an ending is added)      a> "octets\\r\\n"   exactly these; "x"*90 is an x ninety times
    a>|           a ends its sending half              a>!                a resets the connection
    a< frame      a gets it, next in its stream; a last word … stands for any words, but not for none
    a<|           a gets the end of the stream         a<!                what a sends now is answered by a reset
    a+            a opens a connection and sends nothing; without this step, a's first step opens one
    a>> "octets"  sent after the end of the stream, and taken without a reset
    a~            a has got nothing more, proved by a request of its own and its answer
    a= PAIRED     a is in this state, proved by a request that is answered so in no other: PAIRED+called is the end that
                  was called and has not accepted, PAIRED+alone the one whose partner is gone
    together:     (the last step) these are sent at the same moment; what comes must fit one order of them; with
                  a@ timer first among them, it is the moment at which this timer runs out
    9* a< frame   nine such steps

Names get a number, so that those of each play are its own; `written: [null, Null]` in the header names those that stay.
With `at_once: true` what a connection sends goes in one segment, before its answers are read; the rest stays as it is.

Numbers of the spec. In each text of a file, {framing.max_octets} is the number at this path of the spec that is judged.

Time. A clock begins where the spec says: with the accept, a call, a's last octet, the last frame to a, a full queue.
    a@ timer      it runs out now: nothing has come before; what the next steps name is neither too early nor too late
    a@ 0.5 timer  half its time has passed, nothing has come; a connection tested for silence answers no push
    a@ 1.4 timer  nothing comes, since the clock stands still: the server does not read from a

Amounts. `{n}` is a number, made as long as its field may be.
    b-            b stops reading                      a>* MSG {n}        a sends such lines until no more are taken
    b<* MSG {n}   b reads again: each of these lines comes to it, once and in order, except those that were refused
    a<* ERR …     each of these lines that the server had not taken yet is refused so, and a is read again

The server. `server: {max: 4}` in a play's header starts a server for this play, with this value in its command.
    server! TERM  the server gets this signal          server|            its program ends in time

For clients the suite plays the server: `c>` is what it must get, `c<` what it sends, and
    u> command    the user types it                    u< line            the client prints it
    c<!           the server resets the connection     u| code            the program ends, with this exit code
    u>? command   the user types what is not allowed now: it is refused, or held and not sent; with `c>? frame` behind
                  it, it may also be sent now, but never later
    c>? c<? u<?   the same as without the mark, but only if that command was held (with `c>?` behind it: was sent)
    c-            the server stops reading             u>* say {n}        the user types such lines, till none is taken
    c>* MSG {n}   the server reads on, and each of these lines comes so, once and in order
    u<~ "octets"  these octets are never printed; `terminal: true` in the header: it prints to a terminal
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import yaml

from pychat.spec import Spec

StepKind = Literal[
    "send", "finish", "reset", "late", "flood", "receive", "end", "cut", "lines", "unprinted", "open", "pause",
    "clock", "silent", "state", "together", "signal", "exit",
]  # fmt: skip
Lane = Literal["shared", "quick", "alone"]  # a server for many cases; one with short timers; one for this case alone
Segment = Literal["whole", "octet", "coalesced", "random"]
SEGMENTS: tuple[Segment, ...] = ("whole", "octet", "coalesced")  # of every case; only walks are cut at random
EXAMPLE = "EXAMPLE"  # the message in the ids of the spec's examples
WALK = "a walk"  # the source of a play that was drawn
CLIENT, USER = "c", "u"  # in a client's play: the client's connection, and the user at its keyboard
SERVER = "server"  # in a server's play: the program that gets a signal, and ends
NUMBER = "{n}"  # in the form of many lines
MARKS: dict[str, StepKind] = {
    ">": "send", ">|": "finish", ">!": "reset", ">>": "late", ">*": "flood", "<": "receive", "<|": "end", "<!": "cut",
    "<*": "lines", "<~": "unprinted", "+": "open", "-": "pause", "@": "clock", "~": "silent", "=": "state",
    "!": "signal", "|": "exit",
}  # fmt: skip
LEGEND = {  # the marks that a reader meets most
    "server": "a> a sends   a< a gets   a= its state, by a probe   a@ time passes   | the end   ! a reset   ~ no more",
    "client": "u> typed   u< printed   c> the client sends   c< it gets   | the end   ? not allowed now, not sent",
}
ALIKE = 24  # octets that are alike, from which on they are written as a number of them


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a play, by the connection, user or program `who`. `octets` of a send are exact."""

    who: str
    kind: StepKind
    octets: bytes = b""
    text: str = ""
    together: tuple[Step, ...] = ()  # the sends of a race
    held: bool = False  # for clients: about a command that is not allowed now

    @property
    def timer(self) -> str:
        """Of a clock: the timer."""
        return self.text.rpartition(" ")[2]

    @property
    def part(self) -> float:
        """Of a clock: how much of the timer's time passes."""
        return float(self.text.rpartition(" ")[0] or 1)

    def __str__(self) -> str:
        if self.kind == "together":
            return "together: " + ", ".join(str(step) for step in self.together)
        mark = next(mark for mark, kind in MARKS.items() if kind == self.kind)
        mark += "?" if self.held else ""
        text = self.text
        if self.kind == "receive" and self.octets and self.octets != text.encode() + b"\n":
            text = quoted(self.octets)
        return f"{self.who}{mark} {text}" if text else f"{self.who}{mark}"


@dataclass(frozen=True, slots=True)
class Play:
    """The steps of one case or several. The first `setup` steps only lead to the state in which the rest is judged."""

    id: str
    title: str
    rules: tuple[str, ...]
    steps: tuple[Step, ...]
    doc: str = ""
    mistakes: tuple[str, ...] = ()
    of: Literal["server", "client"] = "server"
    segments: tuple[Segment, ...] = SEGMENTS
    setup: int = 0
    rounds: int = 1
    exact: bool = False  # names keep their lengths
    written: tuple[str, ...] = ()  # names that stay as they are written
    at_once: bool = False  # what one connection sends goes in one segment; then each line's answers are looked at
    profile: str = "core"
    source: str = ""
    server: tuple[tuple[str, int], ...] = ()  # values in the command of a server of its own
    terminal: bool = False  # the client prints to a terminal

    @property
    def lane(self) -> Lane:
        """Which server it needs."""
        if self.has("clock"):
            return "quick"
        return "alone" if self.server or self.has("signal") else "shared"

    @property
    def slow(self) -> bool:
        """Whether it takes seconds, where others take milliseconds."""
        return self.lane != "shared" or self.has("flood")

    def has(self, kind: StepKind) -> bool:
        return any(part.kind == kind for step in self.steps for part in (step, *step.together))

    @property
    def clocks(self) -> list[Step]:
        """The steps in which a timer's time passes."""
        return [part for step in self.steps for part in (step, *step.together) if part.kind == "clock"]


def example_plays(spec: Spec) -> list[Play]:
    """The spec's own examples."""
    return [
        Play(
            id=f"{spec.initial}/{EXAMPLE}/{example.id}",
            title=example.title,
            doc=example.doc,
            rules=example.rules,
            steps=tuple(Step(s.who, cast("StepKind", s.kind), s.octets, s.text) for s in example.steps),
            profile=example.profile,
            source="an example of the spec",
        )
        for example in spec.examples.values()
    ]


def send(spec: Spec, who: str, octets: bytes) -> Step:
    """The step in which `who` sends `octets`, written as a frame where that is possible."""
    ending = spec.framing.writes
    text = ""
    if octets.endswith(ending) and octets.count(b"\n") == 1:
        try:
            text = octets[: -len(ending)].decode()
        except UnicodeDecodeError:
            text = ""
    if not text or not text.isprintable() or text[0] in '" ' or text[-1] == " ":
        text = quoted(octets)
    return Step(who, "send", octets, text)


def quoted(octets: bytes) -> str:
    """Octets between double quotes, in ASCII; many that are alike as a number of them: "MSG " "x"*2000."""
    parts, last = [], 0
    for run in re.finditer(rb"(.)\1{%d,}" % (ALIKE - 1), octets, re.DOTALL):
        parts += [_literal(octets[last : run.start()])] if run.start() > last else []
        parts.append(f"{_literal(run[1])}*{len(run[0])}")
        last = run.end()
    return " ".join([*parts, _literal(octets[last:])] if last < len(octets) or not parts else parts)


def _literal(octets: bytes) -> str:
    names = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return '"' + "".join(names.get(o) or (chr(o) if 32 <= o < 127 else f"\\x{o:02x}") for o in octets) + '"'


def numbered(plays: Iterable[Play]) -> list[Play]:
    """The plays with unique ids: the second one of the same id gets a 2 at its end."""
    seen: Counter[str] = Counter()
    result = []
    for play in plays:
        seen[play.id] += 1
        result.append(play if seen[play.id] == 1 else replace(play, id=f"{play.id}-{seen[play.id]}"))
    return result


def to_yaml(plays: Iterable[Play]) -> str:
    """The plays as a file that the reader reads."""
    data = []
    for play in plays:
        entry: dict[str, Any] = {"id": play.id, "title": play.title, "rules": list(play.rules)}
        optional = {
            "doc": play.doc, "setup": play.setup, "of": play.of, "server": dict(play.server), "terminal": play.terminal,
            "written": list(play.written), "at_once": play.at_once,
        }  # fmt: skip
        entry |= {key: value for key, value in optional.items() if value and value != "server"}
        entry["steps"] = [
            {"together": [str(part) for part in step.together]} if step.kind == "together" else str(step)
            for step in play.steps
        ]
        data.append(entry)
    return str(yaml.safe_dump({"plays": data}, sort_keys=False, allow_unicode=True, width=110))
