"""The chat at a terminal: a line editor whose half-typed line survives what comes. It knows no frame and no state.

`Talk` decides what lines mean; here is only how they are typed and shown. Two threads: this one runs the editor, and
everything that touches `Talk`; a second one (born when the editor runs, ended by the end of the connection or by
`_over`, joined in `run`) waits for the network, hands over what came, waits until it is shown, and connects again when
the connection is lost.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from .client import Client, ConnectError, Ended, Happening, delays
from .net import endpoint
from .protocol import Protocol
from .talk import COMMANDS, Line, Talk
from .visible import visible

GOODBYE = 2.0  # seconds that the end waits for its answer
STEADY = 60.0  # seconds after which a connection was good, so that the next loss is a new one

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


def run_terminal(host: str, port: int, name: str | None, chat: str | None, protocol: Protocol) -> int:
    """Runs the client in this terminal until its user ends it. Returns 0, or 1 when there is no server."""
    try:
        client = Client.connect(host, port, protocol=protocol)
    except ConnectError as error:
        print(f"pychat: {visible(str(error))}", file=sys.stderr)
        return 1
    return Terminal(client, (host, port), Talk(protocol, name, chat)).run()


class Terminal:
    """One person's screen."""

    def __init__(self, client: Client, address: tuple[str, int], talk: Talk) -> None:
        self._client = client
        self._address = address
        self._talk = talk
        self._over = threading.Event()  # the editor has ended
        self._hurry = threading.Event()  # connect again at once
        self._shown = threading.Event()  # what was handed over is shown; set for good when the editor has ended
        self._printing = False  # lines wait for the terminal
        self._thread = threading.Thread(target=self._follow, name="pychat-network", daemon=True)
        self._editor: PromptSession[str] = PromptSession(
            message=lambda: FormattedText([("class:prompt", visible(talk.prompt))]),
            bottom_toolbar=self._status,
            completer=TalkCompleter(talk),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            history=InMemoryHistory(),
            key_bindings=self._keys(),
            style=STYLE,
            color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
            enable_suspend=True,
            erase_when_done=True,
        )
        self._editor.default_buffer.on_text_changed += self._typed

    def run(self) -> int:
        """Shows the chat until its user ends it."""
        where = endpoint(*self._client.address)
        self._talk.lines.append(Line("info", f"Connected to {where}. /help shows what you can do."))
        try:
            with suppress(EOFError):  # the terminal is gone
                self._editor.prompt(pre_run=self._wait_for_editor)
        finally:
            self._over.set()  # before the others, which only wake the thread to see it
            self._shown.set()
            self._hurry.set()
            self._client.close(timeout=GOODBYE)
            if self._thread.is_alive():
                self._thread.join(timeout=GOODBYE)  # it may be in an attempt to connect, which nothing can break off
        return 0

    def _wait_for_editor(self) -> None:
        """The editor is about to take the terminal; what is shown before would be answered to nobody."""
        loop = self._editor.app.loop
        assert loop is not None, "it runs"
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._quit)
        loop.call_soon(self._begin)

    def _quit(self) -> None:
        self._talk.done = True
        self._after()

    def _begin(self) -> None:
        self._talk.online(self._client)
        self._flush()
        self._thread.start()

    # The editor

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter", filter=~is_searching)
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            text = buffer.text
            buffer.append_to_history()
            buffer.reset()
            buffer.load_history_if_not_yet_loaded()  # else the next repaint does it, and an Up before it finds nothing
            self._talk.enter(text)
            self._hurry.set()  # who presses Enter without a connection does not want to wait
            self._after()

        @keys.add("c-c")
        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.text and event.key_sequence[0].key == "c-c":
                buffer.reset()
                self._talk.typing("")
            elif not buffer.text:
                self._quit()
            self._after()

        return keys

    def _typed(self, buffer: Buffer) -> None:
        self._talk.typing(buffer.text)
        self._after()

    def _status(self) -> FormattedText:
        text = self._talk.status
        if self._talk.online_now:
            text += f" · {endpoint(*self._address)}"
        return FormattedText([("class:bottom-toolbar", visible(f" {text} "))])

    def _after(self) -> None:
        """After everything that may have changed something: shows it, and ends when the user wants to."""
        self._flush()
        if self._talk.done and self._editor.app.is_running and not self._editor.app.is_done:
            self._editor.app.exit(result="")
        self._editor.app.invalidate()

    # What is shown

    def _flush(self) -> None:
        """Prints the lines that are to be shown above the input line.

        The editor's own way to print hands the terminal back for a moment, and what is typed in that moment is echoed
        in the middle of the text. Here the terminal is the editor's all the time: it only takes its line away. The
        editor asks the terminal where the cursor is; before the answer has come, nothing may move it.
        """
        app = self._editor.app
        if not self._talk.lines or self._printing:
            return
        if app.renderer.waiting_for_cpr:
            self._printing = True
            app.create_background_task(self._flush_later())
            return
        lines, self._talk.lines = self._talk.lines, []
        parts = FormattedText(part for line in lines for part in self._rendered(line))
        app.renderer.erase()
        print_formatted_text(app.output, parts, STYLE, color_depth=app.color_depth)
        app.renderer.request_absolute_cursor_position()
        app.invalidate()

    async def _flush_later(self) -> None:
        await self._editor.app.renderer.wait_for_cpr_responses()
        self._printing = False
        self._flush()

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
        kinds = self._talk.protocol.spec
        folded = kinds.types[kinds.link.key].fold(name)
        return NAME_COLOURS[zlib.crc32(folded.encode()) % len(NAME_COLOURS)]

    # The network's thread

    def _follow(self) -> None:
        """Hands over what comes, and connects again, until the editor has ended."""
        pauses, since = delays(), time.monotonic()
        while not self._over.is_set():
            while come := self._client.take():
                self._in_editor(partial(self._take, come))
                if isinstance(come[-1], Ended):
                    break
            if time.monotonic() - since > STEADY:
                pauses = delays()
            client = self._connect_again(pauses)
            since = time.monotonic()
            if client is not None:
                self._client = client
                self._in_editor(partial(self._talk.online, client))

    def _connect_again(self, pauses: Iterable[float]) -> Client | None:
        """Another connection; None when the editor has ended."""
        why = "not connected"
        for pause in pauses:
            self._wait_for_attempt(why, pause)
            if self._over.is_set():
                return None
            try:
                client = Client.connect(*self._address, protocol=self._talk.protocol)
            except ConnectError as error:
                why = error.why
                continue
            self._in_editor(lambda: self._talk.lines.append(Line("info", "Connected again.")))
            return client
        return None

    def _wait_for_attempt(self, why: str, pause: float) -> None:
        """Waits `pause` seconds or until Enter is pressed; without a name, until there is one."""
        waits = f"{why} · next attempt in {pause:.1f} s" if self._talk.wanted_name else "type your name to connect"
        self._in_editor(partial(setattr, self._talk, "trouble", waits))
        self._hurry.clear()
        while not self._over.is_set():  # it is set before _hurry is
            if self._hurry.wait(pause if self._talk.wanted_name is not None else None):
                self._hurry.clear()
            if self._talk.wanted_name is not None:
                return

    def _take(self, come: list[Happening]) -> None:
        for happening in come:
            self._talk.happened(happening)

    def _in_editor(self, action: Callable[[], None]) -> None:
        """Does something in the editor's thread, and waits until it is done or the editor has ended."""
        self._shown.clear()
        app = self._editor.app
        if app.loop is None or self._over.is_set():
            return
        with suppress(RuntimeError):  # the loop is closed
            app.loop.call_soon_threadsafe(lambda: app.create_background_task(self._do(action)))
            self._shown.wait()

    async def _do(self, action: Callable[[], None]) -> None:
        """Acts when the screen is ready, so that what comes counts from the moment in which it is shown."""
        try:
            await self._editor.app.renderer.wait_for_cpr_responses()
            action()
            self._after()
        finally:
            self._shown.set()


class TalkCompleter(Completer):
    """Commands at the beginning of a line, names everywhere."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        word = before.rpartition(" ")[2]
        if before.startswith("/") and " " not in before:
            words = [f"/{command}" for command in COMMANDS]
        else:
            words = sorted(name for name in self._talk.users if name != self._talk.view.name)
        for each in words:
            if each.lower().startswith(word.lower()):
                yield Completion(each, start_position=-len(word))
