"""The line contract of the spec: commands on stdin, what is learned on stdout, for programs and for the judge.

None of its words are in this file: commands and lines come from the spec's `contract`. A command that the rules for
clients do not allow yet waits for the answer that may allow it, and those behind it wait with it; when no answer is to
come, it is refused. So `printf 'name alice\\nchat bob\\nsay hello\\nquit\\n' | pychat client` does what it says.

Two threads: this one prints; a second one (born in `run_plain`) reads the commands and carries them out one after
another. It is a daemon, because nothing can wake a read of stdin when the server has gone.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain

from pychat.core.protocol import Protocol
from pychat.core.session import Event, LocalProtocolError
from pychat.net import reason
from pychat.spec.forms import Template, Variable
from pychat.visible import visible

from .client import Client, Ended, Happening, Note
from .phrases import Phrases

CONNECTED, REFUSED, LOST = "connected", "refused", "lost"  # the contract's notices
HOLD = 5.0  # seconds that a command waits for the answer before it
GOODBYE = 5.0  # seconds that the end waits for its answer
LONGEST_LINE = 64 * 1024  # octets of a command, above which its rest is dropped
INTERRUPTED = 130


def run_plain(client: Client, name: str | None, chat: str | None, phrases: Phrases) -> int:
    """Speaks the contract on stdin and stdout, until the connection has ended.

    Returns 0 when the server has answered `quit` or the end of stdin, 1 when it ended otherwise.
    """
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # it is a TextIOWrapper
    shown = visible if sys.stdout.isatty() else str  # a program gets the octets of a text as they came
    lines = chain(_first_commands(client.protocol, name, chat), _lines(0))
    ended: Happening | None = None
    try:
        print(CONNECTED, flush=True)
        threading.Thread(target=Commander(client, phrases).run, args=(lines,), name="pychat-stdin", daemon=True).start()
        for ended in client:
            line = line_of(ended, client.protocol.spec.contract.prints)
            if line is not None:
                print(shown(line), flush=True)
    except KeyboardInterrupt:
        client.close(timeout=0)
        return INTERRUPTED
    except OSError as error:
        client.close(timeout=0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit does not complain again
        if not isinstance(error, BrokenPipeError):  # stdout's reader has gone: that is no error
            print(f"pychat: {phrases.cannot_print.format(error=reason(error))}", file=sys.stderr)
        return 1
    return 0 if isinstance(ended, Ended) and ended.how == "quit" else 1


def line_of(happening: Happening, prints: Mapping[str, Template]) -> str | None:
    """The contract's line for something that came; None if it has none."""
    if isinstance(happening, Event):
        template = prints.get(happening.key)
        return template.fill(happening.fields) if template is not None else None
    if isinstance(happening, Note):
        return happening.words
    if isinstance(happening, Ended) and happening.how in ("lost", "closed"):
        return f"{LOST} {happening.words}"
    return None


class Commander:
    """Carries out commands, one after another."""

    def __init__(self, client: Client, phrases: Phrases) -> None:
        self._client = client
        self._phrases = phrases
        self._protocol = client.protocol
        self._commands = client.protocol.spec.contract.commands
        self._call_refused = False  # by this client: what is said now was not typed for the partner

    def run(self, lines: Iterable[str]) -> None:
        """Carries out all of them, and says goodbye after the last one."""
        for line in lines:
            if not self._carry_out(line):
                break
        self._client.close(GOODBYE)

    def _carry_out(self, line: str) -> bool:
        """False when there is nothing more to be done."""
        command, space, rest = line.partition(" ")
        template = self._commands.get(command)
        if not command:
            return True
        if template is None:
            self._refuse(command, self._phrases.plain_no_such_command.format(commands=", ".join(self._commands)))
            return True
        verb = template.form.verb
        try:
            fields = self._fields(template, space + rest)
            if verb == self._protocol.quit:
                return False
            if verb == self._protocol.relay and self._call_refused:
                raise LocalProtocolError(self._phrases.plain_after_refused.format(verb=self._protocol.link))
            self._client.send(verb, hold=True, timeout=HOLD, **fields)
            refused = False
        except (LocalProtocolError, TimeoutError) as error:
            self._refuse(command, str(error))
            refused = True
        except ConnectionError:
            return False
        if verb == self._protocol.link:
            self._call_refused = refused
        return True

    def _refuse(self, command: str, why: str) -> None:
        self._client.post(f"{REFUSED} {visible(command)} {why}")

    def _fields(self, template: Template, rest: str) -> Mapping[str, str]:
        """The fields of a command's request from what stands behind it; the last one takes the rest of the line."""
        names = [part.name for part in template.parts if isinstance(part, Variable)]
        if not names and rest:
            raise LocalProtocolError(self._phrases.plain_no_words)
        words = rest[1:].split(" ", len(names) - 1) if names else []
        if len(words) < len(names) or not all(words):
            raise LocalProtocolError(self._phrases.plain_needs.format(fields=" ".join(f"<{name}>" for name in names)))
        return template.fields(dict(zip(names, words, strict=True)))


def _first_commands(protocol: Protocol, name: str | None, chat: str | None) -> list[str]:
    """The commands that take a name and make a call, as if they had been typed."""
    commands = {template.form.verb: command for command, template in protocol.spec.contract.commands.items()}
    wanted = ((protocol.bind, name), (protocol.link, chat))
    return [f"{commands[verb]} {value}" for verb, value in wanted if value is not None and verb in commands]


def _lines(descriptor: int) -> Iterator[str]:
    """The lines of a file, also a last one that has no end. Their number in memory does not grow with the file.

    `sys.stdin` is not used: its lock, held by a thread that waits, stops the interpreter from ending. A file that
    cannot be read any more is at its end.
    """
    buffer = b""
    while chunk := _read(descriptor):
        *lines, buffer = (buffer + chunk).split(b"\n")
        yield from (_text(line.removesuffix(b"\r")) for line in lines)
        buffer = buffer[:LONGEST_LINE]
    if buffer:
        yield _text(buffer)


def _read(descriptor: int) -> bytes:
    with suppress(OSError):
        select.select([descriptor], [], [])  # it may be non-blocking: its flags are shared with other programs
        return os.read(descriptor, LONGEST_LINE)
    return b""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")
