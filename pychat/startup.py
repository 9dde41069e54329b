"""What each program asks before it imports anything else: can it run here, and how was it called?

It imports nothing that a system or an old Python may lack.
"""

import os
import select
import shlex
import shutil
import sys
from types import TracebackType

SYSTEMS = "it runs on Linux, on macOS, and on Windows under WSL (the Windows Subsystem for Linux)"
CANNOT_RUN = 2  # the exit code


def require(program: str) -> None:
    """Ends `program` with one sentence and exit code 2 where it cannot run, and so for a package that is missing."""
    _open_closed_streams()
    if sys.version_info < (3, 11):  # noqa: UP036  # from a checkout, any Python may start it
        _end(program, f"it needs Python 3.11 or later, and this is {sys.version.split()[0]}")
    if not hasattr(select, "poll") or not hasattr(os, "fork"):
        _end(program, f"it cannot run on this system ({sys.platform}): {SYSTEMS}")
    if sys.flags.optimize > 1:
        _end(program, "Python was told to drop its help texts (PYTHONOPTIMIZE=2 or -OO): use PYTHONOPTIMIZE=1 or none")

    def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            _end(program, f"the package {error.name.partition('.')[0]} is not installed in {sys.prefix}")
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = explain


def called(program: str, module: str) -> str:
    """How `program` was started, as a shell can repeat it: its name if that is on the PATH, else its path, else -m."""
    path = sys.argv[0]
    if os.path.basename(path) != program:
        return f"{shlex.quote(sys.executable)} -m {module}"
    found = shutil.which(program)
    on_path = found is not None and os.path.realpath(found) == os.path.realpath(path)
    return program if on_path else shlex.quote(path)


def _open_closed_streams() -> None:
    """A standard stream that came closed is the null device; else the next socket would take its descriptor."""
    for descriptor, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # for good


def _end(program: str, reason: str) -> None:
    print(f"{program}: {reason}", file=sys.stderr)
    sys.exit(CANNOT_RUN)
