"""Scenes for clients: what a terminal shows, who reads while he waits to write, for whom a line was typed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pychat.spec import Spec

from .client_hand import ClientHand
from .client_matrix import ClientMatrix
from .client_player import HUSH, ClientPlayer
from .frames import quote, write_form
from .scenes import linked_state, named_state
from .stagehand import BrokenError
from .suite import Case, level_of

BIDI = ("\u202e", "\u2066", "\u200f")  # override, isolate, mark: each turns the direction of what follows
LINES = 6000  # commands of 1900 octets: more than the system and a client's queue hold


def client_scenes(spec: Spec) -> list[Case]:
    """Every scene for clients, whose rules the spec has."""
    linked, named = linked_state(spec), named_state(spec)
    relay = spec.verb_that("relay") or "LINE"
    link = spec.verb_that("link") or "LINE"
    leave = spec.verb_that("unlink") or "LINE"
    bidi = "On a terminal, characters that turn the direction are visible"
    late = "A line typed before the answer to LEAVE is not for the next partner"
    stolen = "A line typed for the one who was called is not for who calls"
    controls, reads = "No control character of the network is printed", "A client that cannot write goes on reading"
    follows = "A line may follow its CHAT; it comes after it, once"
    rows = [
        (f"{linked}/{relay}/bidi-on-a-terminal", bidi, ("R-CLIENT-8",), _bidi),
        (f"{linked}/{relay}/control-characters", controls, ("R-CLIENT-8",), _controls),
        (f"{linked}/{relay}/reads-while-it-waits", reads, ("R-CLIENT-6",), _reads_on),
        (f"{linked}/{leave}/line-for-the-one-before", late, ("R-CLIENT-9",), _late_line),
        (f"{named}/{link}/line-for-the-one-called", stolen, ("R-CLIENT-9",), _stolen_line),
        (f"{named}/{link}/line-follows-its-call", follows, ("R-CLIENT-4", "R-CLIENT-5"), _line_follows),
    ]  # fmt: skip
    return [
        Case(id_, title, rules, level_of(spec, rules), "scene", client_scene=run, of="client")
        for id_, title, rules, run in rows
        if set(rules) <= set(spec.rules)
    ]


class _Act:
    """A client that was led into a configuration, with words for what the scenes do."""

    def __init__(self, hand: ClientHand, configuration: str, *, terminal: bool = False) -> None:
        self.spec = hand.spec
        self.matrix = ClientMatrix(hand.spec)
        self.puppet = hand.start(terminal=terminal)
        self.player = ClientPlayer(hand.spec, self.puppet, hand.patience)
        self.player.setup = True
        self.player.step = "the client prints `connected`"
        self.player.line("connected")
        self.world, steps = self.matrix.way(configuration)
        for step in steps:
            self.player.step = str(step)
            self.player.do(step)
        self.player.setup = False
        self.patience = hand.patience

    def line_of(self, text: str) -> tuple[str, bytes]:
        """The command that says a line to the partner, and its frame."""
        verb = self.spec.verb_that("relay") or ""
        form = self.spec.requests[verb].form
        values = {form.fields[-1].name: text}
        command = self.matrix.contract.command(verb, values)
        assert command is not None
        return command, write_form(form, values).encode()

    def give(self, text: str) -> None:
        self.player.step = f"c< {text}"
        self.player.give(text.encode() + self.spec.framing.writes)

    def frames_now(self) -> Iterator[bytes]:
        """What the client sends without being asked, until it is silent for a moment."""
        deadline = time.monotonic() + HUSH
        while True:
            while not self.puppet.frames:
                if not self.puppet.pump(deadline) and time.monotonic() >= deadline:
                    return
            yield self.puppet.frames.popleft()

    def seen(self, wanted: str) -> str:
        """What was printed, once this word stands in it. Raises BrokenError."""
        deadline = time.monotonic() + self.patience
        while wanted.encode() not in self.puppet.printed:
            if not self.puppet.pump(deadline) and time.monotonic() >= deadline:
                raise BrokenError(f"a line with {wanted!r}", f"{quote(bytes(self.puppet.printed))!r}")
        return bytes(self.puppet.printed).decode("utf-8", "replace")


def _bidi(hand: ClientHand) -> None:
    """The client's output is a terminal, so a person reads it."""
    act = _Act(hand, linked_state(hand.spec), terminal=True)
    for number, char in enumerate(BIDI):
        _, frame = act.line_of(f"before{number}{char}after{number}")
        act.give(frame.decode())
        shown = act.seen(f"after{number}")
        if char in shown:
            raise BrokenError(f"U+{ord(char):04X} made visible", "the character itself", f"c< {quote(frame)}")


def _controls(hand: ClientHand) -> None:
    """No server may send them, so the client may close; but it must not print them."""
    act = _Act(hand, linked_state(hand.spec))
    for text in ("\x1b[2Jcleared", "bell\x07", "\x9b31mred", "back\x08space"):
        act.give(act.line_of(text)[1].decode())
    deadline = time.monotonic() + HUSH
    while act.puppet.pump(deadline) or time.monotonic() < deadline:
        if act.puppet.wire.end is not None and act.puppet.popen.poll() is not None:
            break
    for octet in (b"\x1b", b"\x07", b"\xc2\x9b", b"\x08"):
        if octet in act.puppet.printed:
            raise BrokenError("no control character printed", f"{octet!r} in {quote(bytes(act.puppet.printed)[-80:])}")


def _reads_on(hand: ClientHand) -> None:
    """The server does not read; the user types on; what the server sends is printed all the same."""
    act = _Act(hand, linked_state(hand.spec))
    assert act.puppet.popen.stdin is not None
    import os

    descriptor = act.puppet.popen.stdin.fileno()
    os.set_blocking(descriptor, False)
    command, _ = act.line_of("x" * 1900)
    octets = (command + "\n").encode() * LINES
    act.puppet.wire.pause = True  # from now on nobody reads what the client sends
    sent, stuck = 0, time.monotonic()
    while sent < len(octets) and time.monotonic() - stuck < HUSH:
        try:
            sent += os.write(descriptor, octets[sent : sent + 65536])
            stuck = time.monotonic()
        except BlockingIOError:
            act.puppet.pump(time.monotonic() + 0.01)
    hand.transcript.note("u", "#", text=f"{sent} octets of commands were taken") if hand.transcript else None
    _, frame = act.line_of("do you read this?")
    act.give(frame.decode())
    act.seen("do you read this?")


def _after_the_change(act: _Act, frame: bytes, refusal: str, then: tuple[str, ...]) -> None:
    """The line was sent at once, and is refused; or it was not, and must not be sent to the new partner."""
    early = list(act.frames_now())
    if early not in ([], [frame]):
        raise BrokenError("the line, or nothing", " / ".join(quote(f) for f in early))
    for text in then:
        act.give(text)
    if early:
        act.give(refusal)
    late = [f for f in act.frames_now() if f == frame]
    if late:
        raise BrokenError("a line that reaches nobody but the one for whom it was typed", f"c > {quote(frame)}")


def _late_line(hand: ClientHand) -> None:
    act = _Act(hand, linked_state(hand.spec))
    spec, player = act.spec, act.player
    row = next(row for _, row in spec.outcomes() if row.does("unlink") and row.to not in (None, spec.final))
    assert row.answer is not None
    word = act.matrix.contract.command(row.verb, {})
    assert word is not None
    act.puppet.type(word)
    player.step = f"u> {word}"
    player.frame(row.verb.encode())
    command, frame = act.line_of("for the one before")
    act.puppet.type(command)
    link = next(row for _, row in spec.outcomes() if row.does("link"))
    assert link.partner is not None
    called = link.partner.push.fill({"me": "carol"})
    relay = spec.verb_that("relay")
    refusal = f"{spec.refusal.key} {relay} {spec.fault_rule('state').error} Not now."
    _after_the_change(act, frame, refusal, (row.answer.fill({}), called))


def _stolen_line(hand: ClientHand) -> None:
    act = _Act(hand, named_state(hand.spec))
    spec, player = act.spec, act.player
    link = next(row for _, row in spec.outcomes() if row.does("link"))
    assert link.partner is not None
    field = spec.requests[link.verb].form.fields[0].name
    word = act.matrix.contract.command(link.verb, {field: "bob"})
    assert word is not None
    act.puppet.type(word)
    player.step = f"u> {word}"
    player.frame(write_form(spec.requests[link.verb].form, {field: "bob"}).encode())
    command, frame = act.line_of("for bob alone")
    act.puppet.type(command)
    linked = linked_state(spec)
    taken = next(row.error for row in spec.states[linked].recv[link.verb] if row.error is not None)
    unheard = next(
        row.error
        for row in spec.states[linked].recv[spec.verb_that("relay") or ""]
        if row.condition and row.condition.kind == "not accepted"
    )
    relay = spec.verb_that("relay")
    then = (link.partner.push.fill({"me": "dave"}), f"{spec.refusal.key} {link.verb} {taken} In a chat.")
    _after_the_change(act, frame, f"{spec.refusal.key} {relay} {unheard} Not accepted.", then)


def _line_follows(hand: ClientHand) -> None:
    act = _Act(hand, named_state(hand.spec))
    spec, player = act.spec, act.player
    link = next(row for _, row in spec.outcomes() if row.does("link"))
    assert link.answer is not None
    field = spec.requests[link.verb].form.fields[0].name
    word = act.matrix.contract.command(link.verb, {field: "bob"})
    command, frame = act.line_of("at once")
    assert word is not None
    act.puppet.type(f"{word}\n{command}")
    player.step = f"u> {word}, u> {command}"
    player.frame(write_form(spec.requests[link.verb].form, {field: "bob"}).encode())
    act.give(link.answer.fill({"peer": "bob", "me": "x", field: "bob"}))
    player.frame(frame)
    player.line(act.matrix.contract.printed(link.answer.fill({"peer": "bob", "me": "x", field: "bob"})) or "")
    player.hush()
