"""A server as a process: its signals, its open files, its end. It knows no option and no frame."""

from __future__ import annotations

import os
import queue
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pychat.core.addresses import endpoint

from .log import EventLog
from .server import Server


def serve(server: Server, log: EventLog, announce: Callable[[str], None]) -> bool:
    """Serves until a signal, and announces the address; False if the server has lost a thread, and so must not go on.

    Raises:
        OSError: the system has no room for a thread.
    """
    stop: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, a handler may use it at any moment
    broken = threading.Event()
    at_terminal = _has_terminal()  # asked now: when the signal comes, the terminal may be gone
    ending = False

    def on_signal(number: int, _: object) -> None:
        nonlocal ending
        if number == signal.SIGHUP and not at_terminal:
            log("hangup", level="warning", reason="a reload is not supported yet: nothing has changed")
        elif not ending:
            ending = True
            stop.put(None)
        elif number != signal.SIGHUP:  # a terminal that is closed and its shell may both send one
            os._exit(128 + number)

    def on_bug(bug: threading.ExceptHookArgs) -> None:
        log("bug", level="error", thread=bug.thread and bug.thread.name, error=repr(bug.exc_value))
        broken.set()
        stop.put(None)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as with nohup
        signal.signal(signal.SIGHUP, on_signal)
    threading.excepthook = on_bug
    try:
        with _signals_left_to_this_thread():
            log.start()
            server.start()
    except RuntimeError:
        raise OSError("the system has no room for a thread") from None
    try:
        where = endpoint(*server.address)
        announce(f"listening on {where}")
        log("started", address=where, protocol=server.spec.protocol, version=server.spec.version)
        stop.get()
        log("stopping")
    finally:
        server.stop()
    log("stopped")
    return not broken.is_set()


@contextmanager
def _signals_left_to_this_thread() -> Iterator[None]:
    """Threads that start meanwhile take no signal.

    After a stop (Ctrl-Z, a debugger) the system gives a signal to any thread that takes it, but its handler runs in
    this one, which would sleep on (signal(7); Python's `signal`, "Execution of Python signal handlers").
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def raise_descriptor_limit(connections: int, io_threads: int) -> int:
    """Raises the soft limit of open files as far as it goes; returns how many connections it leaves room for."""
    spare = 64 + 3 * io_threads  # for the listener, the loops (three each), the log and what a library opens
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + spare
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # the system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - spare))
