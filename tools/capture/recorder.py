"""Records an interface with dumpcap. Knows neither the network's shape nor what the packets carry."""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.engine import programs

from .network import CaptureError, Host

MARKER_PORT = 9  # discard: a datagram to it says that everything before it is in the file
_PATIENCE = 10.0  # seconds for dumpcap to begin, to write and to end


class Recorder:
    """One run of dumpcap.

    Born in `start`; a thread drains its messages and ends with them; `stop` joins both.
    """

    def __init__(self, host: Host, interface: str, capture_filter: str, path: Path) -> None:
        self._host = host
        self._words = ["dumpcap", "-q", "-i", interface, "-f", capture_filter, "-w", str(path)]
        self._path = path
        self._process: programs.Program | None = None
        self._reader: threading.Thread | None = None
        self._begun = threading.Event()
        self.over = threading.Event()  # dumpcap has ended, or shall end
        self._said: list[str] = []

    @property
    def dropped(self) -> int:
        """The packets that dumpcap could not take, as it says at its end."""
        found = re.search(r"Packets received/dropped on interface .*: \d+/(\d+)", "\n".join(self._said))
        return int(found[1]) if found else 0

    def start(self) -> None:
        """Returns when the recording has begun. Raises CaptureError when it does not."""
        if shutil.which("dumpcap") is None:
            raise CaptureError("dumpcap is missing: apt-get install tshark")
        self._process = programs.start(self._host.command(self._words), stderr=programs.PIPE, text=True)
        self._reader = threading.Thread(target=self._listen, name="dumpcap's messages", daemon=True)
        self._reader.start()
        if not self._begun.wait(_PATIENCE) or self.over.is_set():
            self.stop()
            raise CaptureError(f"dumpcap does not record: {self._last_words()}")

    def settle(self, target: str) -> bytes:
        """Sends datagrams to the discard port of `target` until one is in the file; returns what such a one carries.

        Everything that the interface carried before is in the file then.
        """
        token = b"end of the recording " + secrets.token_hex(8).encode()
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with self._host.inside(), socket.socket(family, socket.SOCK_DGRAM) as sender:
            deadline = time.monotonic() + _PATIENCE
            while time.monotonic() < deadline:
                sender.sendto(token, (target, MARKER_PORT))
                time.sleep(0.05)  # dumpcap hands over what it has a few times a second
                if token in self._path.read_bytes():
                    return token
        raise CaptureError("dumpcap has recorded nothing of the last packets; is the interface right?")

    def stop(self) -> None:
        """Ends the recording; what is in the file stays."""
        if self._process is None:
            return
        self._process.end(_PATIENCE)
        if self._reader is not None:
            self._reader.join()
        self._process.close()

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.strip())
            if line.startswith("File:"):
                self._begun.set()
        self.over.set()
        self._begun.set()

    def _last_words(self) -> str:
        """Its complaint; what follows it is a page of advice, of which one line is enough here."""
        complaint = next((line for line in self._said if line.startswith("dumpcap:")), None)
        complaint = complaint or next((line for line in reversed(self._said) if line), "it says nothing")
        if "permission" in complaint:
            complaint += " Run as root, or: sudo dpkg-reconfigure wireshark-common; sudo usermod -aG wireshark $USER"
        return complaint


def run(words: Sequence[str], about: str, env: Mapping[str, str] | None = None) -> str:
    """What a program of Wireshark's prints. Raises CaptureError with what it complains about."""
    if shutil.which(words[0]) is None:
        raise CaptureError(f"{words[0]} is missing: apt-get install tshark")
    done = programs.run(words, env)
    if done.returncode != 0:
        raise CaptureError(f"{about}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
