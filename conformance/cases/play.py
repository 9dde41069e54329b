"""Plays: scripts of who sends and who gets what, and their reader. Knows no socket and no model.

    a> frame      a sends it (an ending is added)      a> "octets\\r\\n"   exactly these; "x"*90 is an x ninety times
    a>|           a ends its sending half              a>!                a resets the connection
    a< frame      a gets it, next in its stream; a last word … stands for any words, but not for none
    a<|           a gets the end of the stream         a<!                what a sends now is answered by a reset
    a+            a opens a connection, and says nothing; without it, one is opened by what comes first
    a>> "octets"  sent after the end of the stream, and taken without a reset
    a~            a has got nothing more, proved by a request of its own and its answer
    a= PAIRED     a is in this state, proved by a request that is answered so in no other: PAIRED+called is the end that
                  was called and has not accepted, PAIRED+alone the one whose partner is gone
    together:     (the last step) these are sent at the same moment; what comes must fit one order of them

Time. A clock begins where the spec says: with the accept, a's last octet, the server's last frame, a full queue.
    a@ timer      it runs out now: nothing has come before; what the next steps name is neither too early nor too late
    a@ 0.5 timer  half its time has passed, and nothing has come; whose silence is looked at answers no push by itself

Amounts. `{n}` is a number, made as long as its field may be.
    b-            b stops reading, until it reads on   a>* MSG {n}        a sends such lines until no more are taken
    b<* MSG {n}   b reads on: each of these lines comes to it, once and in order, but for those that were refused
    a<* ERR …     each of these lines that the server had not taken yet is refused so, and a is read again

The server. `server: {max: 4}` in a play's header starts one of its own with this value in its command.
    server! TERM  the server gets this signal          server|            its program ends, when everybody has gone

For clients the suite plays the server: `c>` is what it must get, `c<` what it sends, and
    u> command    the user types it                    u< line            the client prints it
    c<!           the server resets the connection     u| code            the program ends, with this exit code
    u>? command   the user types what is not allowed now: it is refused, or held and not sent; with `c>? frame` behind
                  it, it may also be sent now, but never later
    c>? c<? u<?   the same as without the mark, but only if that command was held (with `c>?` behind it: was sent)
    c-            the server stops reading             u>* say {n}        the user types such ones, till none is taken
    u<~ "octets"  these have not been printed, whatever has; `terminal: true` in the header: a person reads it
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from pychat.spec import Spec, SpecError, shipped
from pychat.spec.model import ExampleStep
from pychat.spec.reading import Document, octets_of, read

StepKind = Literal[
    "send", "finish", "reset", "taken", "flood", "receive", "end", "cut", "lines", "unprinted", "open", "pause",
    "clock", "silent", "state", "together", "signal", "exit",
]  # fmt: skip
Lane = Literal["shared", "quick", "alone"]  # a server for many cases; one with short timers; one for this case alone
Segment = Literal["whole", "octet", "coalesced", "random"]
SEGMENTS: tuple[Segment, ...] = ("whole", "octet", "coalesced")  # of every case; walks alone are cut at random
EXAMPLE = "EXAMPLE"  # the message in the ids of the spec's examples
WALK = "a walk"  # the source of a play that was drawn
USER = "u"  # in a client's play: who types and reads
SERVER = "server"  # who gets a signal
SIGNALS = ("TERM",)
NUMBER = "{n}"  # in the form of many lines
MARKS: dict[str, StepKind] = {
    ">": "send", ">|": "finish", ">!": "reset", ">>": "taken", ">*": "flood", "<": "receive", "<|": "end", "<!": "cut",
    "<*": "lines", "<~": "unprinted", "+": "open", "-": "pause", "@": "clock", "~": "silent", "=": "state",
    "!": "signal", "|": "exit",
}  # fmt: skip
LEGEND = {  # the marks that a reader meets most
    "server": "a> a sends   a< a gets   a= its state, by a probe   a@ time passes   | the end   ! a reset   ~ no more",
    "client": "u> typed   u< printed   c> the client sends   c< it gets   | the end   ? not allowed now, not sent",
}
WITHOUT_TEXT = {"finish", "reset", "end", "cut", "open", "pause", "silent"}
OCTETS = {"send", "taken", "receive", "unprinted"}  # steps whose text may be octets between quotes
CLIENT_STEPS = {  # in a client's play, by who acts
    USER: {"send", "finish", "receive", "silent", "flood", "unprinted", "exit"},
    "c": {"send", "finish", "reset", "receive", "end", "cut", "silent", "pause"},
}
STEP = re.compile(
    rf"(?P<who>{SERVER}|[a-z][0-9]*)(?P<mark>{'|'.join(re.escape(mark) for mark in sorted(MARKS, key=len)[::-1])})"
    r"(?P<held>\??)(?: (?P<text>.*))?",
    re.DOTALL,
)
CLOCK = re.compile(r"(?:(?P<part>0\.[0-9]+) )?(?P<timer>[a-z_-]+)")
QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")(?:\*([0-9]{1,5}))?(?: |$)')
RUN = 24  # octets that are alike, from which on they are written as a number of them
ID = re.compile(r"[A-Za-z]+/[A-Za-z]+/[a-z0-9-]+")
KEYS = {
    "id", "title", "doc", "rules", "steps", "mistakes", "of", "segments", "rounds", "exact", "profile", "setup",
    "server", "terminal",
}  # fmt: skip


class PlayError(Exception):
    """A file of plays that breaks the format; says file, line and reason of each fault."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a play. `octets` of a send are exact; `together` holds the sends of a race."""

    who: str
    kind: StepKind
    octets: bytes = b""
    text: str = ""
    together: tuple[Step, ...] = ()
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
    """A case as a script. The first `setup` steps only lead to the state in which the rest is judged."""

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
    profile: str = "core"
    source: str = ""
    server: tuple[tuple[str, int], ...] = ()  # values in the command of a server of its own
    terminal: bool = False  # what the client prints is read by a person

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
        return any(step.kind == kind for step in self.steps)

    def who(self, kind: StepKind) -> frozenset[str]:
        """Those who have a step of this kind."""
        return frozenset(step.who for step in self.steps if step.kind == kind)


def plays_of(path: Path, spec: Spec) -> list[Play]:
    """The plays in a file.

    Raises:
        OSError: it cannot be read.
        PlayError: it breaks the format.
    """
    try:
        document = read(octets_of(path), path.name)
    except SpecError as error:
        raise PlayError(str(error)) from None
    return _Reader(document, spec).plays()


def shipped_plays(spec: Spec) -> list[Play]:
    """The plays that come with the suite, in the order of their files."""
    if spec.protocol != shipped().protocol:
        return []  # they are about this protocol; for another one there are the cells, the examples and the walks
    folder = Path(__file__).with_name("plays")
    return [play for path in sorted(folder.glob("*.yaml")) for play in plays_of(path, spec)]


def example_plays(spec: Spec) -> list[Play]:
    """The spec's own examples."""
    return [
        Play(
            id=f"{spec.initial}/{EXAMPLE}/{example.id}",
            title=example.title,
            doc=example.doc,
            rules=example.rules,
            steps=tuple(_of_example(step) for step in example.steps),
            profile=example.profile,
            source="an example of the spec",
        )
        for example in spec.examples.values()
    ]


def _of_example(step: ExampleStep) -> Step:
    return Step(step.who, cast("StepKind", step.kind), step.octets, step.text)


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
    for run in re.finditer(rb"(.)\1{%d,}" % (RUN - 1), octets, re.DOTALL):
        parts += [_literal(octets[last : run.start()])] if run.start() > last else []
        parts.append(f"{_literal(run[1])}*{len(run[0])}")
        last = run.end()
    return " ".join([*parts, _literal(octets[last:])] if last < len(octets) or not parts else parts)


def _has_place(step: Step, of: str) -> bool:
    if of == "client":
        return step.kind in CLIENT_STEPS.get(step.who, ())
    return not step.held and step.kind != "unprinted" and (step.kind != "exit" or step.who == SERVER)


def _literal(octets: bytes) -> str:
    names = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return '"' + "".join(names.get(o) or (chr(o) if 32 <= o < 127 else f"\\x{o:02x}") for o in octets) + '"'


def numbered(plays: Iterable[Play]) -> list[Play]:
    """The plays with ids that differ: the second one of the same id gets a 2 at its end."""
    seen: Counter[str] = Counter()
    result = []
    for play in plays:
        seen[play.id] += 1
        result.append(play if seen[play.id] == 1 else replace(play, id=f"{play.id}-{seen[play.id]}"))
    return result


def to_yaml(plays: Iterable[Play]) -> str:
    """The plays as a file that `plays_of` reads."""
    data = []
    for play in plays:
        entry: dict[str, Any] = {"id": play.id, "title": play.title, "rules": list(play.rules)}
        if play.doc:
            entry["doc"] = play.doc
        if play.setup:
            entry["setup"] = play.setup
        if play.of != "server":
            entry["of"] = play.of
        if play.server:
            entry["server"] = dict(play.server)
        if play.terminal:
            entry["terminal"] = True
        entry["steps"] = [
            {"together": [str(part) for part in step.together]} if step.kind == "together" else str(step)
            for step in play.steps
        ]
        data.append(entry)
    return str(yaml.safe_dump({"plays": data}, sort_keys=False, allow_unicode=True, width=110))


class _Reader:
    """From a document to plays; notes the faults of all of them."""

    def __init__(self, document: Document, spec: Spec) -> None:
        self.document = document
        self.spec = spec

    def plays(self) -> list[Play]:
        data = self.document.data
        if not isinstance(data, dict) or set(data) != {"plays"} or not isinstance(data["plays"], list):
            self.document.blame((), "a file of plays has the key plays alone, with a list of them")
            self._check()
            return []
        found = [self._play(("plays", index), value) for index, value in enumerate(data["plays"])]
        self._check()
        return [play for play in found if play is not None]

    def _check(self) -> None:
        try:
            self.document.check()
        except SpecError as error:
            raise PlayError(str(error)) from None

    def _play(self, path: tuple[str | int, ...], value: Any) -> Play | None:
        if not isinstance(value, dict) or not {"id", "title", "rules", "steps"} <= set(value):
            self.document.blame(path, "a play needs id, title, rules and steps")
            return None
        for key in set(value) - KEYS:
            self.document.blame((*path, key), f"unknown key {key}; there are {', '.join(sorted(KEYS))}", key=True)
        if not ID.fullmatch(str(value["id"])):
            self.document.blame((*path, "id"), f"{value['id']!r} is no id like STATE/MESSAGE/variant")
        self._kinds(path, value)
        for index, rule in enumerate(value["rules"]):
            if not isinstance(rule, str) or rule not in self.spec.rules:
                self.document.blame((*path, "rules", index), f"there is no rule {rule}")
        found = [self._step((*path, "steps", index), text) for index, text in enumerate(value["steps"])]
        for index, step in enumerate(found):
            if step is not None and not _has_place(step, value.get("of", "server")):
                self.document.blame((*path, "steps", index), f"`{step}` has no place in this play")
        steps = tuple(step for step in found if step is not None)
        server = tuple(value.get("server", {}).items())
        play = Play(
            id=str(value["id"]),
            title=value["title"],
            doc=value.get("doc", ""),
            rules=tuple(value["rules"]),
            mistakes=tuple(value.get("mistakes", ())),
            of=value.get("of", "server"),
            setup=value.get("setup", 0),
            rounds=value.get("rounds", 1),
            exact=value.get("exact", False),
            profile=value.get("profile", "core"),
            steps=steps,
            source=f"{self.document.source}:{self.document.values[path].line}",
            server=server,
            terminal=value.get("terminal", False),
        )
        if play.has("clock") and (play.server or play.has("signal")):
            self.document.blame((*path, "steps"), "a play of time has no server of its own")
        segments: tuple[Segment, ...] = ("whole",) if play.of == "client" or play.slow else SEGMENTS
        return replace(play, segments=tuple(value.get("segments", segments)))

    def _kinds(self, path: tuple[str | int, ...], value: Mapping[str, Any]) -> None:
        for key, kind, words in (
            ("title", str, "a text"), ("doc", str, "a text"), ("rules", list, "a list"), ("steps", list, "a list"),
            ("mistakes", list, "a list"), ("setup", int, "a number"), ("rounds", int, "a number"),
            ("exact", bool, "true or false"), ("terminal", bool, "true or false"),
            ("server", dict, "numbers by names"),
        ):  # fmt: skip
            if key in value and not isinstance(value[key], kind):
                self.document.blame((*path, key), f"{key} must be {words}")
        self._check()
        if value.get("of", "server") not in ("server", "client"):
            self.document.blame((*path, "of"), "a play is of server or client")
        if not all(isinstance(number, int) for number in value.get("server", {}).values()):
            self.document.blame((*path, "server"), "server has numbers by the names in the command's braces")
        for segment in value.get("segments", ()):
            if segment not in SEGMENTS:
                self.document.blame((*path, "segments"), f"{segment} is none of {', '.join(SEGMENTS)}")
        if value.get("profile", "core") not in self.spec.profiles:
            self.document.blame((*path, "profile"), f"there is no profile {value['profile']}")

    def _step(self, path: tuple[str | int, ...], value: Any) -> Step | None:
        if isinstance(value, dict) and set(value) == {"together"} and isinstance(value["together"], list):
            parts = [self._step((*path, "together", index), text) for index, text in enumerate(value["together"])]
            if path[-1] != len(cast("Any", self.document.data)["plays"][path[1]]["steps"]) - 1:
                self.document.blame(path, "together is the last step")
            if any(part is None or part.kind not in ("send", "finish", "reset") for part in parts):
                self.document.blame(path, "together holds what is sent: >, >| and >!")
            return Step("", "together", together=tuple(part for part in parts if part is not None))
        matched = STEP.fullmatch(value) if isinstance(value, str) else None
        if matched is None:
            self.document.blame(path, f"{value!r} is no step like `a> frame` or `a< frame`")
            return None
        if path in self.document.cut:
            self.document.blame(path, f"write the step in quotes: {self.document.cut[path]}")
        kind, text = MARKS[matched["mark"]], matched["text"]
        step = Step(matched["who"], kind, text=text or "", held=bool(matched["held"]))
        for reason in self._reasons(step, has_text=text is not None):
            self.document.blame(path, reason)
        if text is None or kind not in OCTETS:
            return step
        octets = self._octets(path, text) if text.startswith('"') else text.encode() + self.spec.framing.writes
        if kind == "receive" and text.startswith('"'):
            text = octets.decode("utf-8", "replace").removesuffix("\n")
        return replace(step, octets=octets, text=text)

    def _reasons(self, step: Step, *, has_text: bool) -> Iterator[str]:
        """What is wrong with a step, besides its octets."""
        bare = step.kind in WITHOUT_TEXT or (step.who == SERVER and step.kind == "exit")
        if bare == has_text:
            yield "this step has a text, or must not have one"
        if (step.who == SERVER) != (step.kind == "signal" or (step.kind == "exit" and not has_text)):
            yield f"{SERVER} has the steps `{SERVER}! TERM` and `{SERVER}|`, and nobody else has them"
        if step.kind == "state" and step.text not in self._configurations():
            yield f"there is no state {step.text}; there are {', '.join(self._configurations())}"
        if step.kind == "clock":
            clock = CLOCK.fullmatch(step.text)
            if clock is None or clock["timer"] not in self.spec.timers:
                yield f"there is no timer {step.text}; there are {', '.join(self.spec.timers)}"
        if step.kind == "signal" and step.text not in SIGNALS:
            yield f"there is no signal {step.text}; there is {', '.join(SIGNALS)}"
        if step.kind == "flood" and step.text.count(NUMBER) != 1:
            yield f"many lines have one number, {NUMBER}, that tells one from the other"

    def _configurations(self) -> list[str]:
        names = []
        for name in self.spec.live_states:
            names += [name, f"{name}+called", f"{name}+alone"] if self.spec.states[name].linked else [name]
        return names

    def _octets(self, path: tuple[str | int, ...], text: str) -> bytes:
        octets, place = b"", 0
        while place < len(text) and (part := QUOTED.match(text, place)) is not None:
            place = part.end()
            try:
                octets += ast.literal_eval("b" + part[1]) * int(part[2] or 1)
            except (SyntaxError, ValueError):
                break
        else:
            if place == len(text):
                return octets
        self.document.blame(
            path, 'octets are written in double quotes, in ASCII with \\n, \\r, \\t and \\x00 to \\xff, or "x"*90'
        )
        return b""
