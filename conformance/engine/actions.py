"""The actions of a script, as data: what the player does, in order. Knows no socket and no rule of the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.cases.play import NUMBER, Play
from conformance.oracle.model import Due, End, Items, Text


@dataclass(frozen=True, slots=True)
class Send:
    """Octets to send, whole or octet by octet; the call of the connections `linked` begins, if its clock is watched."""

    who: str
    octets: bytes
    octetwise: bool = False
    linked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the sending half."""

    who: str


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset of the connection."""

    who: str


@dataclass(frozen=True, slots=True)
class SendLate:
    """Octets that are sent after the end of the stream, and must be taken without a reset."""

    who: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """A connection is opened; where there is room (`admitted`) the server answers it."""

    who: str
    admitted: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """What comes is not read, until `ReadOn`."""

    who: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A part of a timer's time passes, or all of it: then `due` comes to `watched`, nothing where it is None."""

    who: str
    timer: str
    part: float
    watched: str
    due: Due | None = None


@dataclass(frozen=True, slots=True)
class Await:
    """The moment at which a timer runs out."""

    who: str
    timer: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """Lines that differ by a number: `form` has NUMBER in its place, which is `width` characters wide."""

    form: str
    width: int
    ending: bytes

    def text(self, number: int) -> str:
        return self.form.replace(NUMBER, str(number).ljust(self.width, "."))

    def octets(self, number: int) -> bytes:
        return self.text(number).encode() + self.ending


@dataclass(frozen=True, slots=True)
class Flood:
    """Lines are sent until the server takes no more."""

    who: str
    lines: Numbered


@dataclass(frozen=True, slots=True)
class ReadOn:
    """Each of the lines comes, in order, but for those that were refused."""

    who: str
    lines: Numbered


@dataclass(frozen=True, slots=True)
class Refused:
    """Each of the lines that was not taken yet is refused so, and its sender is read again."""

    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Signal:
    """The server gets a signal."""

    name: str


@dataclass(frozen=True, slots=True)
class Exit:
    """The server's program ends in time, whether its peers close or not."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait until so many units have come to each in all (a listing is one unit), or the end of the stream."""

    totals: tuple[tuple[str, int, bool], ...]


@dataclass(frozen=True, slots=True)
class Receive:
    """This is due next."""

    who: str
    due: Due


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing has come but what was due; proved on each of these connections by a barrier request."""

    who: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """One result of a race: what comes on each connection, and what follows then."""

    dues: tuple[tuple[str, tuple[Due, ...]], ...]
    then: tuple[Op, ...]
    rules: tuple[tuple[str, str], ...] = ()  # senders, and the rule by which the last request of each is answered


@dataclass(frozen=True, slots=True)
class Race:
    """Sends at the same moment, that of a timer if one is awaited; what comes must be one of the branches."""

    sends: tuple[Await | Send | Finish | Reset, ...]
    branches: tuple[Branch, ...]


Action = (
    Send | Finish | Reset | SendLate | Open | Pause | Clock | Await | Flood | ReadOn | Refused | Signal | Exit
    | Settle | Receive | Quiet | Race
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Op:
    """An action, the play's step that it belongs to, and whether that step is only setup or the final probe."""

    action: Action
    step: str
    part: str = "play"  # setup | play | probe
    rule: str = ""  # what the server must do by it
    mute: frozenset[str] = frozenset()  # connections on which a barrier would change what is tested


@dataclass(slots=True)
class Script:
    """A play and its actions, in order."""

    play: Play
    ops: list[Op] = field(default_factory=list)


def shown(who: str, due: Due) -> str:
    """What is due, as a line of a transcript."""
    if isinstance(due, Text):
        return f"{who} < {due.text}"
    if isinstance(due, Items):
        return f"{who} < {' / '.join(filter(None, [*due.items, due.answer]))}"
    return f"{who} < {'the end of the stream' if isinstance(due, End) else 'a reset'}"
