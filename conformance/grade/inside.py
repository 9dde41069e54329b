"""One submission, judged within its own namespaces: a program of its own, with the input of `asked`.

It is the first process of its pid namespace: when it ends, nothing of the submission is left, and its mounts neither.
What it has found goes into the files of the job's folder: `inside.json`, and the record of the run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import resource
import shlex
import shutil
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from conformance import session
from conformance.cases.case import Case
from conformance.cases.play import SEGMENTS
from conformance.engine import programs
from conformance.engine.target import Command, Process, StartError, spawn
from conformance.oracle.frames import visible_lines
from conformance.results.known import Known
from conformance.results.reports import replace
from pychat.spec import Spec

from .folder import SubmissionError, unpack
from .sandbox import HOME, MEGA, STAGE, Limits, Sandbox, Sandboxed, readable
from .watch import Watch

WORKERS = 2
BUILD_SECONDS = 120.0
UNPACKING = 2048 * MEGA  # octets of memory for this process, while it reads what a stranger has packed
ACCOUNTS = {
    "passwd": f"student:x:1000:1000::{HOME}:/bin/sh\n", "group": "student:x:1000:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n", "nsswitch.conf": "hosts: files\n",
}  # fmt: skip
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


@dataclass(frozen=True)
class Job:
    """What to judge, and how. `submission` and `out` are paths; `out` is the folder of what comes of it."""

    submission: str
    out: str
    of: str
    command: str
    build: str = ""
    spec: str = ""
    profile: str = "core"
    level: str = "must"
    patterns: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    isolated: bool = True
    tools: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The job as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Job:
        data = json.loads(text)
        lists = {name: tuple(data[name]) for name in ("patterns", "tools", "hidden")}
        return cls(**{**data, **lists, "limits": Limits(**data["limits"])})


@dataclass
class Found:
    """What came of it. `came` is how far: unpacked, built, started, judged; `code` the exit code of the run."""

    came: str = ""
    code: int | None = None
    note: str = ""
    build: str = ""
    memory: str = ""


def asked(job: Job, spec: Spec, cases: Sequence[Case]) -> bytes:
    """The input: a job, and what is asked, which takes much longer to make than to read."""
    return job.text.encode() + b"\n" + pickle.dumps((spec, cases))


def main() -> None:
    """Judges the job of standard input; with `probe`, only shows that a program starts in a sandbox."""
    programs.end_on_signals("pychat-conformance")
    os.umask(0o022)
    if sys.argv[1:] == ["probe"]:
        with stage(Limits(), (), isolated=True) as place:
            box = _sandbox(Job("", "", "", ""), place, place / "theirs" / "copy")
            done = programs.run(box.around(["true"]))
        sys.stderr.write(done.stderr)
        sys.exit(done.returncode)
    job, found = Job.parse(sys.stdin.buffer.readline().decode()), Found()
    spec, cases = pickle.load(sys.stdin.buffer)  # noqa: S301  # a file of the tool's own, which never had a name
    try:
        with stage(job.limits, job.tools, isolated=job.isolated) as place, contextlib.ExitStack() as stack:
            if job.isolated:  # else it would see, and end, processes that are none of a submission
                watch = stack.enter_context(Watch(job.limits.memory))
                stack.callback(lambda: setattr(found, "memory", watch.words))
            _judge(job, spec, cases, place, found)
    finally:
        replace(Path(job.out) / "inside.json", json.dumps(asdict(found)))


def _judge(job: Job, spec: Spec, cases: Sequence[Case], place: Path, found: Found) -> None:
    home = place / "theirs" / "copy"
    try:
        with _little_memory():
            home = unpack(Path(job.submission), home, octets=job.limits.disk * MEGA, files=job.limits.files)
    except SubmissionError as error:
        found.note = visible_lines(str(error))
        return
    found.came = "unpacked"
    box = _sandbox(job, place, home)
    if box.owner is not None:
        for path in (home, *home.rglob("*")):
            os.chown(path, box.owner, box.owner, follow_symlinks=False)
    if job.build and not _build(Sandboxed(job.build, sandbox=box), found):
        return
    found.came = "built"
    spec_file = Path(Path(job.spec).name) if job.spec else None
    if spec_file is not None:  # without the name of the folder where the grader keeps it: students read the record
        shutil.copyfile(job.spec, place / "judge" / spec_file)
        os.chdir(place / "judge")
    options: dict[str, Any] = {
        "patterns": job.patterns, "spec_file": spec_file, "profile": job.profile, "level": job.level, "jobs": WORKERS,
        "segment": ",".join(SEGMENTS), "seed": 0, "walks": 0, "fuzz": 0, "patience": 5.0, "max_wait": 10.0,
        "fail_fast": False, "reports": (f"json={job.out}/record.json",),
    }  # fmt: skip
    try:
        where = f"--cmd {shlex.quote(job.command)}"
        found.code = session.judge(Sandboxed(job.command, sandbox=box), spec, cases, Known(), where, options)
        found.came = "judged"
    except StartError as error:
        found.note = visible_lines(str(error))


def _sandbox(job: Job, place: Path, home: Path) -> Sandbox:
    forbids = job.isolated and "--disable-userns" in programs.run(["bwrap", "--help"]).stdout
    tools, hidden = tuple(map(Path, job.tools)), tuple(map(Path, job.hidden))
    return Sandbox(job.limits, place, home, job.isolated, tools, hidden, userns=not forbids)


def _build(command: Sandboxed, found: Found) -> bool:
    """Runs the command that makes the program; whether it has succeeded."""
    loud = Command("")  # all that it says is an error's explanation
    words = ["sh", "-c", 'exec "$@" 1>&2', "sh", *command.words()]
    process = Process(spawn(loud, words))
    code = process.popen.wait(BUILD_SECONDS)
    process.kill()
    found.build = process.stderr()
    if code != 0:
        how = f"has not ended after {BUILD_SECONDS:g} s" if code is None else process.ending()
        found.note = f"`{visible_lines(command.text)}` {how}"
    return code == 0


@contextlib.contextmanager
def stage(limits: Limits, tools: Sequence[str], *, isolated: bool) -> Iterator[Path]:
    """The judge's folder for this submission. Isolated, it and what the submission may fill are tmpfs of their own."""
    with contextlib.ExitStack() as stack:
        if isolated:
            _raise_loopback()
            place = STAGE
            _mount("-t", "tmpfs", "-o", "size=64m,nr_inodes=1000,mode=711", "pychat-grade", str(place))
        else:
            place = stack.enter_context(programs.folder("pychat-grade-"))
        for name in ("etc", "specs", "judge", "theirs"):
            (place / name).mkdir()
        (place / "judge").chmod(0o700)
        if isolated:
            os.environ["TMPDIR"] = str(place / "judge")
            bounds = f"size={limits.disk}m,nr_inodes={limits.files + 10},mode=711"
            _mount("-t", "tmpfs", "-o", bounds, "pychat-grade", str(place / "theirs"))
            for number, folder in enumerate(readable([Path(tool) for tool in tools])):
                (place / "readable" / str(number)).mkdir(parents=True)
                _mount("--bind", str(folder), str(place / "readable" / str(number)))
        for name in ("copy", "tmp", "shm"):
            (place / "theirs" / name).mkdir()
            (place / "theirs" / name).chmod(0o1777)
        shutil.copyfile(Path(__file__).with_name("init.py"), place / "etc" / "init.py")
        for name, text in ACCOUNTS.items() if isolated else ():
            (place / "etc" / name).write_text(text)
        yield place


def _mount(*words: str) -> None:
    done = programs.run(["mount", *words])
    if done.returncode:
        raise SystemExit(done.stderr or f"{words[-1]} cannot be mounted")


def _raise_loopback() -> None:
    """A new network namespace has a loopback interface that is down (netdevice(7))."""
    with socket.socket() as any_socket:
        request = bytearray(struct.pack("16sh22x", b"lo", 0))
        fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)
        flags = struct.unpack_from("16sh", request)[1] | IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))


@contextlib.contextmanager
def _little_memory() -> Iterator[None]:
    """An archive may make its reader take any amount; in this block that is a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (UNPACKING, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
