"""What failures of one cause have in common: what was due and what came, without names, numbers and free text."""

from __future__ import annotations

import re

from conformance.cases.play import USER
from conformance.oracle.frames import Parsed, Received, parse_reply, parse_request
from pychat.spec import Spec

from .verdict import Result

_LINE = re.compile(r"(?P<who>[a-z][0-9]*) (?P<mark>[<>]) (?P<frame>.*)", re.DOTALL)
_DEATH = re.compile(r"it (?:ended with code [0-9]+|was ended by signal [A-Z0-9]+)$")
_TELLING = re.compile(r"\S*.*(?:error|exception|panic|fatal)", re.IGNORECASE)
_SILENCE = re.compile(r"nothing (?:for [0-9.]+ s|before the answer to a later request)")
_FLAWED = re.compile(
    r"(.*) (\((?:no frame|not UTF-8|ended by|longer than|between the)[^()]*\))", re.DOTALL
)  # an inbox's
_LISTING = re.compile(r"(?:.+ and [0-9]+ others|[0-9]+ items and .+|one that is listed twice)", re.DOTALL)
RACE = re.compile("one of [0-9]+ results: ")
RACES = "what comes is the result of no order of the requests"  # of races; these have no cause of their own
REFUSALS = ("refusal", "goodbye")


def cause(spec: Spec, result: Result) -> str:
    """The cause of a failure as a sentence, the same for all cases that fail in the same way; "" without a failure.

    A refusal or a push that nobody was owed is one mistake, whatever was due in its place; so is a refusal that does
    not come, whatever comes instead, and a verb whose frames are no frames.
    """
    if not result.wanted and not result.got:
        return ""
    death = _DEATH.search(result.got)
    if death is not None:
        said = last_words(result.stderr)
        return f"the program died: {death[0]}" + (f": {_plain(said)}" if said else "")
    if RACE.match(result.wanted):
        return RACES
    wanted, got = _shape(spec, result.wanted), _shape(spec, result.got)
    due, came = spec.reply_of(wanted), spec.reply_of(got)
    if _FLAWED.fullmatch(got):
        return f"got {got}"
    if came is not None and (came.kind in REFUSALS or (came.kind == "push" and came != due)):
        return f"{got}, where it is not due"
    if due is not None and due.kind in REFUSALS:
        return f"no {wanted}, where it is due"
    return f"wanted {wanted}, got {got}"


def last_words(stderr: str) -> str:
    """The line of a trace that says what has happened; some languages say it last, some above their calls."""
    lines = [line for line in stderr.split("\n") if line.strip()]
    return next((line for line in reversed(lines) if _TELLING.match(line)), lines[-1] if lines else "")


def goodbye_rule(spec: Spec, state: str, result: Result) -> str:
    """The rule of a goodbye that came in this state where something else was due; "" where none came."""
    line = _LINE.fullmatch(result.got)
    got = parse_reply(spec, line["frame"] if line is not None else result.got)
    if got is None or got.reply.kind != "goodbye" or result.wanted.partition(" < ")[2].startswith(got.reply.key):
        return ""
    budget, code = spec.budget(state), next(iter(got.values.values()), "")
    if budget is not None and budget.goodbye == code:
        return budget.rule
    return next((timer.rule for timer in spec.timers.values() if timer.goodbye == code), "")


def _shape(spec: Spec, text: str) -> str:
    """What is said of a connection, with the forms of its frames in their place."""
    text = _SILENCE.sub("nothing", text)
    line = _LINE.fullmatch(text)
    who, mark, said = line.groups() if line is not None else ("", "<", text)
    if _LISTING.fullmatch(said):
        return "another list"
    if who == USER:
        return _plain(said)
    return " / ".join(dict.fromkeys(_frame(spec, frame, request=mark == ">") for frame in said.split(" / ")))


def _frame(spec: Spec, text: str, *, request: bool) -> str:
    """The form of a frame, with the values that belong to the protocol; other text without its numbers."""
    if request:
        asked = parse_request(spec, text.encode("utf-8", "surrogateescape"))
        return str(spec.requests[asked.verb].form) if isinstance(asked, Parsed) else _plain(text)
    flawed = _FLAWED.fullmatch(text)
    if flawed is not None:
        reply = spec.reply_of(flawed[1])
        return f"{reply.key if reply is not None else 'a line'} … {flawed[2]}"
    got = parse_reply(spec, text)
    return _filled(spec, got) if got is not None else _plain(text)


def _filled(spec: Spec, got: Received) -> str:
    if got.reply.kind == "item":
        return str(got.reply.form)
    parts = []
    for part in got.reply.form.parts:
        value = part if isinstance(part, str) else got.values[part.name]
        fixed = isinstance(part, str) or value in (*spec.types[part.type].one_of, *spec.errors, *spec.goodbyes)
        parts.append(value if fixed or isinstance(part, str) else f"<{part.name}>")
    return " ".join(parts)


def _plain(text: str) -> str:
    return re.sub("[0-9]+(?:[.][0-9]+)?", "0", text)[:160]
