"""The chat at a terminal: a line editor whose half-typed line survives what comes. It knows no frame and no state.

`InputLine` decides what typed lines mean, `Talk` what is shown of what comes; this file only edits and prints. Two
threads: this one runs the editor, and all calls of the two; `NetworkThread` hands over what came, and waits until it
is shown.

Keys that were pressed before the screen changed were meant for what it showed before. They wait in the terminal, so
they are read, as such, before `InputLine` is told that the change was seen.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import threading
import time
import tty
import types
import zlib
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import datetime
from itertools import takewhile

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style

from pychat.core.addresses import endpoint
from pychat.visible import visible

from .client import Client
from .input_line import COMMANDS, InputLine
from .network_thread import NetworkThread
from .talk import Line, Talk

TICK = 1.0  # seconds between looks at the clock
MOST_CANDIDATES = 50  # of a completion that are shown
READ = 1024  # octets that the editor reads at once
ENDED_BY = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

# Readable on dark and on light grounds; a name has the same one everywhere.
NAME_COLOURS = ("#d7005f", "#d75f00", "#af8700", "#5f8700", "#00875f", "#0087af", "#5f87d7", "#875fd7", "#d75faf")
STYLE = Style.from_dict(
    {
        "time": "#808080",
        "info": "#808080",
        "warning": "ansired",
        "wire": "#5f8787",
        "prompt": "bold",
        "bottom-toolbar": "reverse",
    }
)


class Output(Vt100_Output):
    """A terminal that is not asked where its cursor is: an answer that comes too late would be typed into the shell.

    The editor would use it only to put the status line at the bottom of the screen. It stands below the input line.
    """

    def get_rows_below_cursor_position(self) -> int:
        return 1  # at least


class Terminal:
    """The screen of one user."""

    def __init__(self, client: Client, address: tuple[str, int], talk: Talk) -> None:
        self._talk = talk
        self._line = InputLine(talk)
        self._address = endpoint(*address)
        self._network = NetworkThread(client, address, talk, self._in_editor)
        self._shown = threading.Event()  # what was handed over is shown; set for good when the editor has ended
        self._half_paste: str | None = None  # as it was at the last tick
        self._editor: PromptSession[str] = PromptSession(
            message=lambda: FormattedText([("class:prompt", visible(self._line.prompt))]),
            bottom_toolbar=self._status,
            history=InMemoryHistory(),
            key_bindings=self._keys(),
            style=STYLE,
            color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
            enable_suspend=True,
            erase_when_done=True,
            output=Output.from_pty(sys.stdout, term=os.environ.get("TERM")),
        )
        self._editor.default_buffer.accept_handler = self._enter
        self._editor.default_buffer.on_text_changed += self._typed
        talk.info(talk.phrases.connected.format(address=endpoint(*client.address)))

    def run(self) -> int:
        """Shows the chat until its user ends it."""
        try:
            with suppress(EOFError, KeyboardInterrupt):  # the terminal is gone; Ctrl-C just before or after the editor
                self._editor.prompt(pre_run=self._wait_for_editor)
        finally:
            self._network.end()  # first: the others only wake the thread to see it
            self._shown.set()
            with suppress(KeyboardInterrupt):  # the user does not want to wait for the goodbye
                self._network.close()
        return 0

    def _wait_for_editor(self) -> None:
        """Runs just before the editor takes the terminal. What must be shown waits until it has taken it."""
        loop = self._editor.app.loop
        assert loop is not None, "it runs"
        for number in ENDED_BY:
            loop.add_signal_handler(number, self._quit)
        loop.add_signal_handler(signal.SIGCONT, self._continued)
        loop.call_soon(self._tick)
        self._network.start()

    def _quit(self) -> None:
        self._talk.done = True
        self._after()

    def _continued(self) -> None:
        """The shell may have had the terminal since SIGSTOP: it is taken and painted again."""
        app = self._editor.app
        with suppress(termios.error):  # the terminal is gone
            if not termios.tcgetattr(sys.stdin)[tty.LFLAG] & termios.ICANON:
                return  # the editor has done it: Ctrl-Z was its own
            app.input.raw_mode().__enter__()  # its other half comes when the editor ends
            app.output.write_raw("\r")
            app.renderer.reset()
            app.invalidate()

    def _tick(self) -> None:
        """Looks at the clock, again and again while the editor runs."""
        before = self._talk.status
        self._talk.tick(time.monotonic())
        if self._talk.status != before:
            self._after()
        self._end_half_paste()
        if self._editor.app.loop is not None:
            self._editor.app.loop.call_later(TICK, self._tick)

    # The editor

    def _keys(self) -> KeyBindings:
        """Keys of the input line alone: in a search, Ctrl-C ends only the search."""
        keys = KeyBindings()
        here = has_focus(DEFAULT_BUFFER)
        line = here & Condition(lambda: bool(self._editor.default_buffer.text))

        @keys.add("tab", filter=here)
        def _(event: KeyPressEvent) -> None:
            self._complete(event.current_buffer)

        @keys.add("c-c", filter=line)
        def _(event: KeyPressEvent) -> None:
            self._clear(event.current_buffer)

        @keys.add("c-c", filter=here & ~line)
        @keys.add("c-d", filter=here & ~line)
        @keys.add("<sigint>")
        def _(event: KeyPressEvent) -> None:
            self._quit()

        return keys

    def _enter(self, buffer: Buffer) -> bool:
        """Every key that accepts the line ends here. Returns that the editor is to leave it as it is."""
        text = buffer.text
        rest = self._line.enter(text)
        if not rest:
            self._clear(buffer)
        elif rest != text:
            buffer.append_to_history()
            buffer.reset(Document(rest))
        if not self._talk.online_now:
            self._network.hurry()
        self._after()
        return True

    def _complete(self, buffer: Buffer) -> None:
        """Completes a word as far as it is clear, else shows the candidates as lines.

        The editor's own way asks whether to show many of them, in a prompt of its own in which Ctrl-C is a crash.
        """
        before, after = buffer.document.text_before_cursor, buffer.document.text_after_cursor
        word = before.rpartition(" ")[2]
        if before.startswith("/") and " " not in before:
            known = [f"/{command}" for command in COMMANDS]
        else:
            known = sorted(name for name in self._talk.users if name != self._talk.view.name)
        found = [each for each in known if each.lower().startswith(word.lower())]
        alike = takewhile(lambda letters: len({*letters}) == 1, zip(*found, strict=False))
        common = "".join(letters[0] for letters in alike)
        if len(found) == 1 or (common != word and common.startswith(word)):
            completed = before.removesuffix(word) + common
            buffer.document = Document(completed + after, len(completed))
        elif found:
            names, more = "  ".join(found[:MOST_CANDIDATES]), len(found) - MOST_CANDIDATES
            self._talk.info(self._talk.phrases.more_candidates.format(names=names, count=more) if more > 0 else names)
            self._after()

    def _clear(self, buffer: Buffer) -> None:
        """Empties the input line. Up brings it back, and a draft that was left for a line of the history, too."""
        text = buffer.text
        buffer.history_forward(count=len(buffer.history.get_strings()))
        for line in (buffer.text, text):
            if line and line not in buffer.history.get_strings()[-1:]:
                buffer.history.append_string(line)
        buffer.reset()
        buffer.load_history_if_not_yet_loaded()  # else the next repaint does it, and an Up before it finds nothing
        self._line.typing("")

    def _end_half_paste(self) -> None:
        """Ends a paste whose end got lost on the way: every key, Ctrl-C too, would be taken for a part of it."""
        app = self._editor.app
        parser = getattr(app.input, "vt100_parser", None)
        if parser is None or not parser._in_bracketed_paste:
            self._half_paste = None
            return
        if parser._paste_buffer == self._half_paste:  # nothing has come since the last tick
            parser.feed("\x1b[201~")
            app.key_processor.feed_multiple(app.input.flush_keys())
            app.key_processor.process_keys()
        self._half_paste = parser._paste_buffer

    def _typed(self, buffer: Buffer) -> None:
        self._line.typing(buffer.text)
        self._after()

    def _status(self) -> FormattedText:
        text = self._line.status
        if self._talk.online_now:
            text += f" · {self._address}"
        return FormattedText([("class:bottom-toolbar", visible(f" {text} "))])

    def _after(self) -> None:
        """After everything that may have changed something: shows it, and ends when the user wants to."""
        self._print_lines()
        if self._talk.done and self._editor.app.is_running and not self._editor.app.is_done:
            self._editor.app.exit(result="")
        self._editor.app.invalidate()

    # What is shown

    def _print_lines(self) -> None:
        """Prints the lines that are to be shown above the input line. The caller has the input line painted again.

        The editor's own way to print hands the terminal back for a moment, and what is typed in that moment is echoed
        in the middle of the text. Here the terminal is the editor's all the time: it only takes its line away.
        """
        app = self._editor.app
        if not self._talk.lines:
            return
        lines, self._talk.lines = self._talk.lines, []
        parts = FormattedText(part for line in lines for part in self._rendered(line))
        app.renderer.erase()
        print_formatted_text(app.output, parts, STYLE, color_depth=app.color_depth)
        if any(line.bell for line in lines):
            app.output.bell()
        app.renderer.request_absolute_cursor_position()

    def _rendered(self, line: Line) -> list[tuple[str, str]]:
        """A line with its time; every text is made visible here, wherever it came from (R-CLIENT-8)."""
        clock = ("class:time", datetime.now().astimezone().strftime("%H:%M "))
        end = ("", "\n")
        if line.name is not None:
            name = visible(line.name)
            return [clock, (f"bold {self._colour(name)}", f"{name}: "), ("", visible(line.text)), end]
        mark = {"info": "* ", "warning": "! "}.get(line.kind, "")
        return [clock, (f"class:{line.kind}", mark + visible(line.text)), end]

    def _colour(self, name: str) -> str:
        folded = self._talk.protocol.spec.name_type.fold(name)
        return NAME_COLOURS[zlib.crc32(folded.encode()) % len(NAME_COLOURS)]

    def _in_editor(self, action: Callable[[], None]) -> None:
        """Does something in the editor's thread, and waits until it is done or the editor has ended."""
        self._shown.clear()
        app = self._editor.app
        if app.loop is None or self._network.ended.is_set():
            return
        with suppress(RuntimeError):  # the loop is closed
            app.loop.call_soon_threadsafe(lambda: app.create_background_task(self._do(action)))
            self._shown.wait()

    async def _do(self, action: Callable[[], None]) -> None:
        """Acts, prints what came, reads the keys that were pressed before, and only then paints the prompt again.

        So a program that types when it sees the new prompt types for what the prompt says.
        """
        try:
            action()
            self._print_lines()
            for _ in range(_waiting_keys() // READ + 2):  # once more than there are reads: they come after this task
                await _once_around()
            self._line.seen()
            self._after()
        finally:
            self._shown.set()


@types.coroutine
def _once_around() -> Generator[None]:
    """Lets the editor's loop run once: it reads keys."""
    yield


def _waiting_keys() -> int:
    """Octets that were typed and are not read yet."""
    try:
        return int.from_bytes(fcntl.ioctl(sys.stdin, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:  # the terminal is gone
        return 0
