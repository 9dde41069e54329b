"""All legal variants of clients, as rows. Knows no verb and no state."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from tools.selftest.mutants.client.__main__ import Streams
from tools.selftest.mutants.client.engine import Client

from . import engines, streams


@dataclass(frozen=True, slots=True)
class Variant:
    """A right client. `start` in seconds is what it takes until it connects; `jobs` workers judge it in good time."""

    name: str
    about: str
    engine: type[Client] = Client
    streams: type[Streams] = Streams
    start: float = 0.0
    jobs: int = 2

    @property
    def command(self) -> str:
        """How it is started."""
        return (
            f"{shlex.quote(sys.executable)} -m tools.selftest.variants.client --variant {self.name} --spec {{spec}} "
            "{host} {port}"
        )


VARIANTS: tuple[Variant, ...] = (
    Variant("plain", "As the mutants' client is: it holds what may be allowed later"),
    Variant("refuses", "Holds nothing: what is not allowed now is refused", engines.Refuses),
    Variant("refuses-behind-quit", "Refuses what is typed behind `quit`", engines.RefusesBehindQuit),
    Variant("speaks-at-once", "A line follows its call at once", engines.SpeaksAtOnce),
    Variant("other-words", "Long words for people, in UTF-8", engines.OtherWords),
    Variant("probes", "Sends a probe of its own", engines.Probes),
    Variant("lines-50ms", "Prints each line 50 ms late", streams=streams.LateLines, jobs=4),
    Variant("lines-300ms", "Prints each line 300 ms late", streams=streams.LinesAfter300, jobs=12),
    Variant("lines-500ms", "Prints each line 500 ms late", streams=streams.LinesAfter500, jobs=16),
    Variant("refuses-300ms", "Holds nothing, prints 300 ms late", engines.Refuses, streams.LinesAfter300, jobs=12),
    Variant("slow", "Needs 20 ms for whatever it does", streams=streams.SlowAtAll, jobs=4),
    Variant("octet-lines", "Prints an octet at a time", streams=streams.OctetLines),
    Variant("octet-frames", "Sends an octet at a time", streams=streams.OctetFrames),
    Variant("octet-reads", "Reads an octet at a time", streams=streams.OctetReads),
    Variant("talkative", "Writes much to its standard error", streams=streams.Talkative),
    Variant("ends-late", "Ends a second after its last line", streams=streams.AwaitsTheEnd, jobs=8),
    Variant("starts-late", "Connects after 2 s", start=2.0, jobs=16),
)


def find(name: str) -> Variant | None:
    """The variant of this name."""
    return next((variant for variant in VARIANTS if variant.name == name), None)
