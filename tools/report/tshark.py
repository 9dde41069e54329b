"""Runs tshark and gives its fields as rows. Knows no field's meaning, and dissects nothing itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.wireshark import environment, options

from .evidence import among
from .packets import BETWEEN_VALUES

_BETWEEN_FIELDS = "\x1e"  # no field of the lower layers has it
_REPORT_EVERY = 20_000  # rows between two words of progress


class ReportError(Exception):
    """A report that cannot be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Tshark:
    """How this capture is read: the same dissector and preferences for every question, and for the reader to repeat."""

    capture: Path
    dissector: Path
    protocol: str
    version: str  # tshark's own
    port: int  # the protocol's own: what comes there is of the protocol
    servers: tuple[tuple[str, int], ...] = ()  # address and port of those that the dissector is told of
    decode_as: tuple[str, ...] = ()
    waits: bool = True  # for octets that are missing; else what comes after them is read at once

    @property
    def command(self) -> list[str]:
        """The words that every run begins with. Checksums are verified, names are not looked up."""
        words = ["tshark", "-n", "-r", str(self.capture), "-X", f"lua_script:{self.dissector}"]
        words += self.preferences
        for rule in self.decode_as:
            words += ["-d", rule]
        return words

    @property
    def preferences(self) -> list[str]:
        """All preferences as words of the command line, the same for tshark and Wireshark."""
        return options(*self.own_preferences)

    @property
    def own_preferences(self) -> list[str]:
        """What this capture needs besides the preferences of all tools, `name:value`."""
        found = [f"{self.protocol}.ports:{self.port}"]
        if self.servers:
            named = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in self.servers]
            found.append(f"{self.protocol}.servers:{','.join(named)}")
        if not self.waits:
            found.append("tcp.reassemble_out_of_order:FALSE")
        return found

    def rows(
        self, fields: Sequence[str], whole: Collection[str], progress: Callable[[int], None]
    ) -> Iterator[list[str]]:
        """For each packet the first value of each field, "" without one. Nothing is kept. Raises ReportError.

        Of the fields in `whole` all values, with BETWEEN_VALUES between them.

        These are fields of the lower layers: the dissector stays away, which makes it quick.
        """
        words = ["tshark", "-n", "-r", str(self.capture), *options(), *_as_rows(fields, "a")]
        kept = {index for index, name in enumerate(fields) if name in whole}
        for number, line in enumerate(self.lines(words), 1):
            row = line.split(_BETWEEN_FIELDS)
            if BETWEEN_VALUES in line:
                row = [cell if at in kept else cell.partition(BETWEEN_VALUES)[0] for at, cell in enumerate(row)]
            yield row
            if number % _REPORT_EVERY == 0:
                progress(number)

    def few(self, fields: Sequence[str], frames: Sequence[int]) -> dict[int, list[str]]:
        """The same for a few frames. Reads no further than the last of them."""
        wanted = among("frame.number", sorted(frames))
        words = ["tshark", "-n", "-r", str(self.capture), *options(), "-c", str(max(frames)), "-Y", wanted]
        rows = [line.split(_BETWEEN_FIELDS) for line in self.lines([*words, *_as_rows(["frame.number", *fields])])]
        return {int(row[0]): row[1:] for row in rows}

    def lines(self, words: Sequence[str]) -> Iterator[str]:
        """What tshark prints, line by line. Raises ReportError when it ends with a complaint.

        The user's own settings and plugins stay away: they change figures, and an installed dissector would be a second
        one of the same name.
        """
        alone = environment(self.dissector.parent)
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=complaints, env=alone)
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield line.decode("utf-8", "backslashreplace").rstrip("\n")
            finally:
                process.stdout.close()
                if process.poll() is None:
                    process.terminate()
                process.wait()
            complaints.seek(0)
            self._check(process.returncode, complaints.read().decode(errors="replace"))

    def _check(self, code: int, complaints: str) -> None:
        said = [line for line in complaints.split("\n") if "Running as user" not in line and line.strip()]
        text = " ".join(said)
        if "cut short" in text:
            raise ReportError(
                f"{self.capture} is truncated: it ends in the middle of a packet. Save what is whole with `editcap "
                f"{self.capture} whole.pcapng`, and report on that"
            )
        if "isn't a capture file" in text or "not a capture file" in text or "format TShark understands" in text:
            raise ReportError(f"{self.capture} is not a capture; give a .pcapng or .pcap file of dumpcap or Wireshark")
        if "two protocols with the same" in text:
            raise ReportError(
                f"a dissector of {self.protocol} is installed for all users, which keeps out the one of this report. "
                "Remove it: `tshark -G folders` names its directory, Global Lua Plugins"
            )
        if str(self.dissector) in text:  # another plugin may be broken; that is nothing to this report
            raise ReportError(f"the dissector does not load: {text[text.index(str(self.dissector)) :][:300]}")
        if code not in (0, None):
            raise ReportError(f"tshark cannot read {self.capture}: {said[-1] if said else f'exit code {code}'}")


def _as_rows(fields: Sequence[str], which: str = "f") -> list[str]:
    """The words that ask for fields: for the first value of each, or for all ("a")."""
    words = [
        "-T",
        "fields",
        "-E",
        f"separator={_BETWEEN_FIELDS}",
        "-E",
        f"occurrence={which}",
        "-E",
        f"aggregator={BETWEEN_VALUES}",
    ]
    return words + [word for name in fields for word in ("-e", name)]


def version() -> str:
    """The version of tshark. Raises ReportError when there is none."""
    if shutil.which("tshark") is None:
        raise ReportError("tshark is missing: apt-get install tshark (Wireshark's package for the terminal)")
    done = subprocess.run(["tshark", "--version"], capture_output=True, encoding="utf-8", check=False)
    found = re.search(r"TShark \(Wireshark\) (\S+)", done.stdout)
    if found is None:
        raise ReportError(f"tshark does not work: {(done.stderr or done.stdout).strip()[:200]}")
    return found[1].rstrip(".")
