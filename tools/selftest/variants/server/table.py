"""All legal variants of servers, as rows. Knows no verb and no state."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from tools.selftest.mutants.server.__main__ import Sockets
from tools.selftest.mutants.server.engine import Server

from . import engines as do
from .link import Flow, Link


@dataclass(frozen=True, slots=True)
class Variant:
    """A right server. `start` in seconds is what it takes until it listens; `host` is where it listens, if not told.

    `jobs` workers judge it in a time that somebody waits for.
    """

    name: str
    about: str
    engine: type[Server] = Server
    sockets: type[Sockets] = Sockets
    link: Link | None = None
    start: float = 0.0
    host: str = ""
    jobs: int = 2

    @property
    def command(self) -> str:
        """How it is started."""
        told = "" if self.host else " --host {host}"
        words = f"--variant {self.name}{told} --port {{port}} --spec {{spec}} --max-connections {{max}}"
        return f"{shlex.quote(sys.executable)} -m tools.selftest.variants.server {words}"


def answers(seconds: float) -> Link:
    """All that the server sends takes so long."""
    return Link(answers=Flow(delay=(seconds, seconds)))


def jitter(seconds: float) -> Flow:
    """Each segment takes a time of its own, up to so long."""
    return Flow(delay=(0.0, seconds))


VARIANTS: tuple[Variant, ...] = (
    Variant("plain", "As the mutants' server is"),
    Variant("relayed", "Behind a relay that changes nothing", link=Link()),
    Variant("answers-5ms", "Answers after 5 ms", link=answers(0.005)),
    Variant("answers-50ms", "Answers after 50 ms", link=answers(0.05), jobs=8),
    Variant("answers-200ms", "Answers after 200 ms", link=answers(0.2), jobs=12),
    Variant("answers-500ms", "Answers after 500 ms", link=answers(0.5), jobs=12),
    Variant("handles-300ms", "Handles what comes after 300 ms", link=Link(requests=Flow(delay=(0.3, 0.3))), jobs=8),
    Variant("octets", "Sends one octet at a time", link=Link(answers=Flow(octetwise=True))),
    Variant("halves", "Sends each frame in two segments", link=Link(answers=Flow(halves=True))),
    Variant("gathered-20ms", "Sends what 20 ms have brought together", link=Link(answers=Flow(gather=0.02)), jobs=4),
    Variant("threads", "Threads that run up to 20 ms late", link=Link(requests=jitter(0.02)), jobs=4),
    Variant("uneven", "Each segment up to 40 ms late", link=Link(jitter(0.04), jitter(0.04)), jobs=8),
    Variant("list-reversed", "Lists in reverse order", do.Reversed),
    Variant("list-shuffled", "Lists in another order each time", do.Shuffled),
    Variant("list-own-first", "Lists begin with the user that asks", do.OwnFirst),
    Variant("words-longest", "200 octets of words", do.LongWords),
    Variant("words-utf8", "Words that are not ASCII", do.WordsInUtf8),
    Variant("other-tokens", "Probes with tokens that are no numbers", do.OtherTokens),
    Variant("late-timers", "Each timer late by most of the tolerance", do.LateTimers),
    Variant("linger-short", "Lingers for just under its time", sockets=do.ShortLinger),
    Variant("closes-late", "Closes its end 1.5 s after the last frame", sockets=do.LateCloser),
    Variant("counts-until-closed", "A connection counts until its socket is closed", do.CountsUntilClosed),
    Variant("stop-polled", "Looks once in a second for SIGTERM", sockets=do.PollsEachSecond),
    Variant("stop-4s", "Says goodbye 4 s after SIGTERM", sockets=do.StopsSlowly),
    Variant("slow-start", "Listens after 3 s", start=3.0),
    Variant("talkative", "Writes much to its standard error", sockets=do.Talkative),
    Variant("ipv6", "Listens on ::1 alone", host="::1"),
    Variant("accepts-100ms", "Accepts a connection each 100 ms", link=Link(accept=0.1), jobs=12),
    Variant("reads-octets", "Reads one octet at a time", sockets=do.ReadsOctets),
    Variant("reads-much", "Reads a mebibyte at a time", sockets=do.ReadsMuch),
    Variant("small-buffers", "Small buffers in the system", sockets=do.ReadsLittle),
    Variant("others-first", "What others get goes before the answer", sockets=do.OthersFirst),
    Variant("octets-50ms", "One octet at a time, 50 ms late, other words", do.WordsInUtf8,
            link=Link(Flow((0.05, 0.05), octetwise=True)), jobs=8),
    Variant("shuffled-uneven", "Lists shuffled, others first, up to 100 ms late", do.Shuffled, do.OthersFirst,
            Link(jitter(0.1), jitter(0.1)), jobs=8),
    Variant("late-closer-200ms", "Closes late, answers after 200 ms, 20 ms together", sockets=do.LateCloser,
            link=Link(Flow((0.2, 0.2), gather=0.02)), jobs=12),
)  # fmt: skip


def find(name: str) -> Variant | None:
    """The variant of this name."""
    return next((variant for variant in VARIANTS if variant.name == name), None)
