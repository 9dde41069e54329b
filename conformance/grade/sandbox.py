"""The borders around a submission, as words of `unshare` and `bwrap`, and its limits. Starts nothing itself.

The outer namespaces are made with `unshare` (util-linux), the inner ones with `bwrap` (bubblewrap), by the user who
grades or, where that is root, by another one for the program: root's processes are not counted, and root's files are
its own whatever its capabilities are. See the package for which holds what.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.engine.target import Command
from conformance.results.reports import replace

STAGE = Path("/dev/shm")  # noqa: S108  # in the judge's mount namespace, where a file system of its own is put on it
TEMPORARY = "/tmp"  # noqa: S108  # in a sandbox, where nobody else is
HOME = "/submission"
SPECS = "/spec"
USER = 1000  # inside
NOBODY = 65534  # outside, where root grades
NEEDED = {"unshare": "util-linux", "bwrap": "bubblewrap", "mount": "mount", "setpriv": "util-linux"}
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
CONFIGURED = (  # what of /etc programs need: no accounts, no keys, no settings of the network
    "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "ssl/openssl.cnf", "ssl/certs", "java*",
    "mono", "dotnet", "php", "perl", "R",
)  # fmt: skip
PATH = "/usr/local/bin:/usr/bin:/bin"
MEGA = 1 << 20


class IsolationError(Exception):
    """This system cannot isolate a submission; says what is missing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one submission may have. `memory` and `disk` in MB, `seconds` in all."""

    memory: int = 1024  # of all its processes together
    disk: int = 256  # of its copy, /tmp and /dev/shm together; no file is larger
    files: int = 20_000  # there
    processes: int = 512  # and threads, of one start
    descriptors: int = 2048  # of one process
    seconds: int = 600

    def of_process(self, *, isolated: bool) -> dict[str, int]:
        """The resource limits of its processes (setrlimit(2)).

        `nproc` counts for a user namespace; without one it would count all that the user runs. `data` is no more than
        a second line: thread stacks count in full in it, so it must be larger than the memory.
        """
        limits = {
            "cpu": self.seconds,
            "fsize": self.disk * MEGA,
            "nofile": self.descriptors,
            "data": 4 * self.memory * MEGA,
            "core": 0,
        }
        return limits | ({"nproc": self.processes} if isolated else {})

    def told(self, *, isolated: bool) -> list[str]:
        """The limits in words, for pages."""
        always = [
            f"time: {self.seconds} s in all",
            f"files: none above {self.disk} MB; {self.descriptors} descriptors for a process",
        ]
        if not isolated:
            return [
                "NO ISOLATION: it ran as the user who graded, and could read and change what that user can",
                *always,
                f"memory: {4 * self.memory} MB of data for a process",
                "not limited: processes, disk, network",
            ]
        return [
            "network: the loopback interface of its own namespace, and nothing else",
            "sight: its own copy, read-only system programs; no home, no other submission, no process of others",
            "rights: no privileges, none to be gained; an environment without the grader's variables",
            f"memory: {self.memory} MB for all its processes, measured 10 times a second",
            *always,
            f"disk: {self.disk} MB and {self.files} files for its copy and its temporary files",
            f"processes: {self.processes} for one start, ended by the kernel with its process 1",
        ]


@dataclass(frozen=True)
class Sandbox:
    """How a program of a submission is started.

    `stage` is the judge's folder. It holds `etc` and `specs`, in `readable` the folders of that function by number (a
    way to them that the sandbox's user may go), and in `theirs` the `tmp` and `shm` of the submission.
    `home` is the submission's copy. `tools` are further folders that it may read, `hidden` those that it must not see
    where they lie in one that it may read. `userns` is False where bwrap can forbid user namespaces in the sandbox.
    """

    limits: Limits
    stage: Path
    home: Path
    isolated: bool = True
    tools: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    userns: bool = True

    @property
    def owner(self) -> int | None:
        """The user, outside, to whom the copy must belong; None where that is the user who grades."""
        return NOBODY if self.isolated and has_nobody() else None

    def around(self, words: Sequence[str]) -> list[str]:
        """The words that start a program in the sandbox."""
        home = HOME if self.isolated else str(self.home)
        path = ":".join([*(f"{tool}/bin:{tool}" for tool in self.tools), PATH if self.isolated else os.environ["PATH"]])
        limits = json.dumps(self.limits.of_process(isolated=self.isolated))
        script = "/etc/init.py" if self.isolated else str(self.stage / "etc" / "init.py")
        started = [os.path.realpath(sys.executable), "-I", "-S", script, limits, home, path, *words]
        if not self.isolated:
            return ["env", f"TMPDIR={self.stage / 'theirs' / 'tmp'}", *started]
        # bwrap would end at a SIGTERM that is meant for the program; a signal that is ignored stays so in `exec`
        patient = ["sh", "-c", 'trap "" TERM INT HUP; exec "$@"', "sh"]
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if self.owner else []
        return [*patient, *drop, *self._bwrap(), "--", *started]

    def _bwrap(self) -> list[str]:
        theirs = self.stage / "theirs"
        words = [
            "bwrap", "--unshare-user", "--uid", str(USER), "--gid", str(USER), "--unshare-pid", "--as-pid-1",
            "--unshare-ipc", "--unshare-uts", "--hostname", "sandbox", "--unshare-cgroup-try", "--die-with-parent",
            *([] if self.userns else ["--disable-userns"]), "--clearenv", "--setenv", "TMPDIR", TEMPORARY,
        ]  # fmt: skip
        for name in SYSTEM:
            words += ["--symlink", os.readlink(name), name] if os.path.islink(name) else ["--ro-bind-try", name, name]
        seen = readable(self.tools)
        for number, folder in enumerate(seen):
            words += ["--ro-bind", str(self.stage / "readable" / str(number)), str(folder)]
        for folder in self.hidden:
            if within(folder, [*SYSTEM, *map(str, seen)]) and folder.is_dir():
                words += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
        for name in CONFIGURED:
            words += [word for found in glob.glob(f"/etc/{name}") for word in ("--ro-bind-try", found, found)]
        for file in sorted((self.stage / "etc").iterdir()):
            words += ["--ro-bind", str(file), f"/etc/{file.name}"]
        words += ["--ro-bind", str(self.stage / "specs"), SPECS, "--proc", "/proc"]
        words += ["--dev", "/dev", "--bind", str(theirs / "shm"), str(STAGE), "--remount-ro", "/dev"]
        words += ["--bind", str(theirs / "tmp"), TEMPORARY, "--dir", "/var", "--symlink", TEMPORARY, f"/var{TEMPORARY}"]
        return [*words, "--bind", str(self.home), HOME, "--remount-ro", "/", "--chdir", HOME]

    def spec(self, path: Path) -> str:
        """The name by which a program can read a spec, of which it gets a copy."""
        octets = path.read_bytes()
        folder = self.stage / "specs" / hashlib.sha256(octets).hexdigest()[:8]
        if not (folder / path.name).exists():
            folder.mkdir(exist_ok=True)
            replace(folder / path.name, octets.decode())
        return f"{SPECS}/{folder.name}/{path.name}" if self.isolated else str(folder / path.name)


@dataclass(frozen=True)
class Sandboxed(Command):
    """A command that is started in a sandbox, and is shown as it was given."""

    sandbox: Sandbox = field(kw_only=True)

    def words(self, **values: str) -> list[str]:
        if values.get("spec"):
            values["spec"] = self.sandbox.spec(Path(values["spec"]))
        return self.sandbox.around(Command.words(self, **values))


def readable(tools: Sequence[Path]) -> list[Path]:
    """The folders besides the system's that a sandbox shows: tools, and the interpreter of `init`."""
    return [*tools, *([] if within(Path(sys.base_prefix), SYSTEM) else [Path(sys.base_prefix)])]


def outside(words: Sequence[str]) -> list[str]:
    """A judge's words in the outer namespaces of one submission."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    kinds = ["--net", "--pid", "--fork", "--ipc", "--mount", "--mount-proc", "--kill-child"]
    return ["unshare", *root, *kinds, "--", *words]


def missing() -> list[str]:
    """What is not installed here, and the package of each."""
    return [f"{program} (package {package})" for program, package in NEEDED.items() if shutil.which(program) is None]


def within(path: Path, folders: Iterable[str]) -> bool:
    """Whether a path lies in one of these folders, or is one."""
    return any(path.resolve().is_relative_to(Path(folder).resolve()) for folder in folders if Path(folder).exists())


def has_nobody() -> bool:
    """Whether this process may become another user: root of the system or of a container, not of a user's namespace."""
    maps = [list(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return os.geteuid() == 0 and any(first <= NOBODY < first + number for first, _, number in maps)
