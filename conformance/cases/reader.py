"""The reader of plays: a file of them, or file, line and reason of each error in it. Knows the format, and no case."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path as File
from typing import Any

from conformance.oracle.probe import configurations
from pychat.spec import Spec, SpecError, shipped
from pychat.spec.placeholders import fill_texts
from pychat.spec.reading import Document, Path, octets_of, read

from .play import CLIENT, MARKS, NUMBER, SEGMENTS, SERVER, USER, Play, Step

KEYS: dict[str, tuple[type, str]] = {  # of a play: the type of each value, and how an error calls it
    "id": (str, "a text"), "title": (str, "a text"), "doc": (str, "a text"), "rules": (list, "a list"),
    "steps": (list, "a list"), "mistakes": (list, "a list"), "of": (str, "a text"), "segments": (list, "a list"),
    "setup": (int, "a number"), "rounds": (int, "a number"), "exact": (bool, "true or false"),
    "profile": (str, "a text"), "server": (dict, "numbers by names"), "terminal": (bool, "true or false"),
    "written": (list, "a list"), "at_once": (bool, "true or false"),
}  # fmt: skip
NEEDED = ("id", "title", "rules", "steps")
SIGNALS = ("TERM",)
WITHOUT_TEXT = {"finish", "reset", "end", "cut", "open", "pause", "silent"}
NUMBERS = re.compile("[1-9][0-9]{0,7}")  # of octets
OCTETS = {"send", "late", "receive", "unprinted"}  # steps whose text may be octets between quotes
CLIENT_STEPS = {  # the kinds of steps of a client's play
    USER: {"send", "finish", "receive", "silent", "flood", "unprinted", "exit"},
    CLIENT: {"send", "finish", "reset", "receive", "end", "cut", "silent", "pause", "flood"},
}
ID = re.compile(r"[A-Za-z]+/[A-Za-z]+/[a-z0-9-]+")
STEP = re.compile(
    rf"(?P<who>{SERVER}|[a-z][0-9]*)(?P<mark>{'|'.join(re.escape(mark) for mark in sorted(MARKS, key=len)[::-1])})"
    r"(?P<held>\??)(?: (?P<text>.*))?",
    re.DOTALL,
)
TIMES = re.compile(r"([0-9]{1,5})\* ")
CLOCK = re.compile(r"(?:(?P<part>[01]\.[0-9]+) )?(?P<timer>[a-z_-]+)")
QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")(?:\*([0-9]{1,5}))?(?: |$)')


class PlayError(Exception):
    """A file of plays that breaks the format; says file, line and reason of each error."""


def plays_of(file: File, spec: Spec) -> list[Play]:
    """The plays in a file.

    Raises:
        OSError: it cannot be read.
        PlayError: it breaks the format.
    """
    try:
        document = read(octets_of(file), file.name)
        for path, reason in fill_texts(document, spec.numbers):
            document.blame(path, reason)
        return _Reader(document, spec).plays()
    except SpecError as error:
        raise PlayError(str(error)) from None


def shipped_plays(spec: Spec) -> list[Play]:
    """The plays that come with the suite, in the order of their files."""
    if spec.protocol != shipped().protocol:
        return []  # they are about this protocol; for another one there are the cells, the examples and the walks
    folder = File(__file__).with_name("plays")
    return [play for file in sorted(folder.glob("*.yaml")) for play in plays_of(file, spec)]


class _Reader:
    """From a document to plays; collects the errors of all of them, and raises SpecError."""

    def __init__(self, document: Document, spec: Spec) -> None:
        self.document = document
        self.spec = spec

    def plays(self) -> list[Play]:
        data = self.document.data
        found: list[Play | None] = []
        if not isinstance(data, dict) or set(data) != {"plays"} or not isinstance(data["plays"], list):
            self.document.blame((), "a file of plays has the key plays alone, with a list of them")
        else:
            found = [self._play(("plays", index), value) for index, value in enumerate(data["plays"])]
        self.document.check()
        return [play for play in found if play is not None]

    def _play(self, path: Path, value: Any) -> Play | None:
        if not isinstance(value, dict) or not set(NEEDED) <= set(value):
            self.document.blame(path, "a play needs id, title, rules and steps")
            return None
        self._keys(path, value)
        play = Play(
            **{key: tuple(part) if isinstance(part, list) else part for key, part in value.items() if key in KEYS}
            | {
                "steps": self._steps(path, value),
                "server": tuple(value.get("server", {}).items()),
                "source": f"{self.document.source}:{self.document.values[path].line}",
            }
        )
        if play.has("clock") and (play.server or play.has("signal")):
            self.document.blame((*path, "steps"), "a play of time has no server of its own")
        if "segments" in value or not (play.of == "client" or play.slow):
            return play
        return replace(play, segments=("whole",))

    def _keys(self, path: Path, value: Mapping[str, Any]) -> None:
        """The values of a play but for its steps."""
        for key, part in value.items():
            if key not in KEYS:
                self.document.blame((*path, key), f"unknown key {key}; there are {', '.join(sorted(KEYS))}", key=True)
            elif not isinstance(part, KEYS[key][0]):
                self.document.blame((*path, key), f"{key} must be {KEYS[key][1]}")
        self.document.check()
        if not ID.fullmatch(value["id"]):
            self.document.blame((*path, "id"), f"{value['id']!r} is no id like STATE/MESSAGE/variant")
        for index, rule in enumerate(value["rules"]):
            if not isinstance(rule, str) or rule not in self.spec.rules:
                self.document.blame((*path, "rules", index), f"there is no rule {rule}")
        if value.get("of", "server") not in ("server", "client"):
            self.document.blame((*path, "of"), "a play is of server or client")
        if not all(isinstance(number, int) for number in value.get("server", {}).values()):
            self.document.blame((*path, "server"), "server has numbers by the names in the command's braces")
        for segment in value.get("segments", ()):
            if segment not in SEGMENTS:
                self.document.blame((*path, "segments"), f"{segment} is none of {', '.join(SEGMENTS)}")
        if value.get("profile", "core") not in self.spec.profiles:
            self.document.blame((*path, "profile"), f"there is no profile {value['profile']}")

    def _steps(self, path: Path, value: Mapping[str, Any]) -> tuple[Step, ...]:
        steps: list[Step] = []
        for index, text in enumerate(value["steps"]):
            place, times = (*path, "steps", index), None
            if isinstance(text, dict) and set(text) == {"together"} and isinstance(text["together"], list):
                if index < len(value["steps"]) - 1:
                    self.document.blame(place, "together is the last step")
                step: Step | None = self._together(place, text["together"])
            else:
                times = TIMES.match(text) if isinstance(text, str) else None
                step = self._step(place, text[times.end() :] if times else text)
            if step is not None and not _has_place(step, value.get("of", "server")):
                self.document.blame(place, f"`{step}` has no place in this play")
            steps += [step] * int(times[1] if times else 1) if step is not None else []
        return tuple(steps)

    def _together(self, path: Path, texts: list[Any]) -> Step:
        parts = [self._step((*path, "together", index), text) for index, text in enumerate(texts)]
        if any(part is None or part.kind not in ("clock", "send", "finish", "reset") for part in parts):
            self.document.blame(
                path, "together holds what is sent: >, >| and >!; and first the timer that it crosses: @"
            )
        if any(
            part is not None and part.kind == "clock" and (place or part.part < 1) for place, part in enumerate(parts)
        ):
            self.document.blame(path, "a timer that runs out stands first, and all its time has passed")
        return Step("", "together", together=tuple(part for part in parts if part is not None))

    def _step(self, path: Path, value: Any) -> Step | None:
        matched = STEP.fullmatch(value) if isinstance(value, str) else None
        if matched is None:
            self.document.blame(path, f"{value!r} is no step like `a> frame` or `a< frame`")
            return None
        if path in self.document.cut:
            self.document.blame(path, f"write the step in quotes: {self.document.cut[path]}")
        kind, text = MARKS[matched["mark"]], matched["text"]
        step = Step(matched["who"], kind, text=text or "", held=bool(matched["held"]))
        for reason in self._errors(step, has_text=text is not None):
            self.document.blame(path, reason)
        if text is None or kind not in OCTETS:
            return step
        octets = self._octets(path, text) if text.startswith('"') else text.encode() + self.spec.framing.writes
        if kind == "receive" and text.startswith('"'):
            text = octets.decode("utf-8", "replace").removesuffix("\n")
        return replace(step, octets=octets, text=text)

    def _errors(self, step: Step, *, has_text: bool) -> Iterator[str]:
        """What is wrong with a step, besides its octets."""
        bare = step.kind in WITHOUT_TEXT or (step.who == SERVER and step.kind == "exit")
        if bare == has_text:
            yield "this step has a text, or must not have one"
        if (step.who == SERVER) != (step.kind == "signal" or (step.kind == "exit" and not has_text)):
            yield f"{SERVER} has the steps `{SERVER}! TERM` and `{SERVER}|`, and nobody else has them"
        states = configurations(self.spec)
        if step.kind == "state" and step.text not in states:
            yield f"there is no state {step.text}; there are {', '.join(states)}"
        if step.kind == "clock":
            clock = CLOCK.fullmatch(step.text)
            if clock is None or clock["timer"] not in self.spec.timers:
                yield f"there is no timer {step.text}; there are {', '.join(self.spec.timers)}"
        if step.kind == "signal" and step.text not in SIGNALS:
            yield f"there is no signal {step.text}; there is {', '.join(SIGNALS)}"
        if step.kind == "flood" and step.text.count(NUMBER) != 1:
            yield f"many lines have one number, {NUMBER}, that tells one from the other"

    def _octets(self, path: Path, text: str) -> bytes:
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


def _has_place(step: Step, of: str) -> bool:
    if of == "client":
        return step.kind in CLIENT_STEPS.get(step.who, ())
    return not step.held and step.kind != "unprinted" and (step.kind != "exit" or step.who == SERVER)
