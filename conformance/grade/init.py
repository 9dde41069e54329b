"""Process 1 of a sandbox: sets its limits, starts the program in a session of its own, and passes signals on to it.

When it ends, the kernel ends every other process of its pid namespace, whatever they have done to get away. Only the
standard library is used: the sandbox does not see this package. Started as
`python -I -S init.py '{"cpu": 600, …}' FOLDER PATH WORD…`; without a pid namespace it does the same, but for the end.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Exits with the program's code, or 128 + the number of the signal that has ended it."""
    limits, folder, path, *words = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    program = os.fork()
    if program == 0:
        _start(json.loads(limits), folder, path, words)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        try:
            os.killpg(program, number)
        except OSError:  # it has no session yet, or has ended
            return

    for number in STOPS:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    for descriptor in range(3):  # the program's end is then the end of its output
        os.close(descriptor)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _start(limits: dict[str, int], folder: str, path: str, words: list[str]) -> None:
    """Becomes the program."""
    try:
        os.setsid()
        os.nice(5)  # the judge, who has to watch it, comes first
        for name, most in limits.items():
            kind = getattr(resource, f"RLIMIT_{name.upper()}")
            allowed = resource.getrlimit(kind)[1]
            most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
            resource.setrlimit(kind, (most, most))
        os.chdir(folder)
        for number in (*STOPS, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        env = {"PATH": path, "HOME": folder, "TMPDIR": os.environ["TMPDIR"], "USER": "student", "LANG": "C.UTF-8"}
        os.environ["PATH"] = path
        os.execvpe(words[0], words, env)  # noqa: S606  # what a shell would do is what this is for
    except OSError as error:
        os.write(2, f"{words[0]} cannot be executed: {error.strerror or error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
