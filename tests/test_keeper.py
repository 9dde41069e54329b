"""Programs of every shape are gone with all that they have started: when they are ended, and when their tool is killed.

The tests need Linux: they look for what is left in /proc.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.engine import programs
from conformance.engine.programs import PIPE, Program, start

from .conftest import PATIENCE, ROOT
from .leftovers import left, marked, new_mark, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left is looked for in /proc")

# Each says a word when all its processes are there. `exec` saves one; `&` in ( ) is a double fork.
SHAPES = {
    "alone": "echo up; exec sleep 1000",
    "under timeout": "timeout 1000 sh -c 'echo up; sleep 1000'; :",
    "in a session of its own": "setsid sh -c 'echo up; sleep 1000; :' & wait",
    "double fork": "(setsid sh -c 'echo up; exec sleep 1000' &); exec sleep 1000",
    "its parent has ended": "(setsid sh -c 'echo up; exec sleep 1000' &); exit",
    "deaf to SIGTERM": "trap '' TERM; echo up; while :; do sleep 1000; done",
    "stopped": "echo up; kill -STOP $$; :",
    "a hundred children": "for i in $(seq 100); do setsid sleep 1000 & done; echo up; wait",
    "a child that is a subreaper's": f'{sys.executable} -c "import ctypes, os; ctypes.CDLL(None).prctl(36, 1);'
    " os.system('(setsid sleep 1000 &)'); print('up', flush=True); os.system('sleep 1000')\"; :",
}
# A process that does nothing but start its successor: by the time that its number is read, it has ended.
RESPAWNING = "import os\nos.write(1, b'up\\n')\nos.close(1)\nwhile True:\n    if os.fork():\n        os._exit(0)"


def shell(script: str, env: dict[str, str], keeper: programs._Keeper | None = None) -> Program:
    """The script, which has said that it is up."""
    program = start(["sh", "-c", script], stdout=PIPE, env=env, keeper=keeper)
    assert program.stdout is not None
    assert program.stdout.readline() == b"up\n"
    return program


@pytest.mark.parametrize("grace", [0.0, 0.05])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_left_of_a_program(shape: str, grace: float) -> None:
    """Whatever its processes do to their parents, groups and sessions."""
    env = new_mark()
    program = shell(SHAPES[shape], env)
    deadline = time.monotonic() + PATIENCE
    while not marked(env):  # while exec(2) is under way, a process has no environment to be read
        assert time.monotonic() < deadline
    program.end(grace)
    assert marked(env) == []
    program.close()


def test_processes_that_follow_one_another_are_caught() -> None:
    """There is never a moment at which one look at them is enough."""
    env = new_mark()
    with start([sys.executable, "-c", RESPAWNING], stdout=PIPE, env=env) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"up\n"
    assert marked(env) == []


def test_an_orphan_belongs_to_its_own_program() -> None:
    """Two programs have double-forked at the same time; the end of one is not that of the other's child."""
    ended, lives = new_mark(), new_mark()
    one, two = shell(SHAPES["double fork"], ended), shell(SHAPES["double fork"], lives)
    with two:
        one.end()
        one.close()
        assert marked(ended) == []
        assert len(marked(lives)) == 2
    assert marked(lives) == []


def test_many_programs_are_started_by_many_threads() -> None:
    """Each gets its own answer."""
    codes: list[int | None] = []

    def work() -> None:
        for code in range(10):
            with start(["sh", "-c", f"exit {code}"]) as program:
                codes.append(program.wait(PATIENCE))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes, key=str) == [code for code in range(10) for _ in range(8)]


def test_how_a_program_has_ended_is_told() -> None:
    """Its code or its signal, once and again; and not before."""
    with start(["sh", "-c", "read line; exit 7"], stdin=PIPE) as program:
        assert program.poll() is None
        assert program.wait(0.01) is None
        assert program.stdin is not None
        program.stdin.close()
        assert program.wait(PATIENCE) == 7
        assert program.poll() == 7
    with start(["sleep", "1000"]) as program:
        program.signal(signal.SIGUSR1)
        assert program.wait(PATIENCE) == -signal.SIGUSR1
    program.end()


def test_a_signal_after_the_end_reaches_nobody() -> None:
    """The number of a process that was reaped may be somebody else's."""
    with start(["true"]) as program:
        assert program.wait(PATIENCE) == 0
        program.signal(signal.SIGKILL)


@pytest.mark.parametrize(("words", "cwd"), [(["no-such-program"], None), ([str(ROOT)], None), (["true"], "/nowhere")])
def test_what_cannot_be_executed_is_said_as_by_the_system(words: list[str], cwd: str | None) -> None:
    with pytest.raises(OSError, match=r"No such file|Permission denied") as caught:
        start(words, cwd=cwd)
    assert caught.value.filename == words[0]


def test_a_program_gets_what_it_was_given_and_nothing_more(tmp_path: Path) -> None:
    """Words, environment, folder, standard streams, default signals; and no descriptor of the keeper."""
    script = (
        "import os, signal, sys\n"
        "assert sorted(map(int, os.listdir('/proc/self/fd')))[:-1] == [0, 1, 2], os.listdir('/proc/self/fd')\n"
        "assert all(signal.getsignal(n) is signal.SIG_DFL for n in (1, 15, 17))\n"
        "assert os.getsid(0) == os.getpid()\n"
        "print(os.getcwd(), sys.argv[1], os.environ['NAME'], os.fsencode(os.environ['RAW']))"
    )
    env = {"NAME": "Zoë", "RAW": os.fsdecode(b"\xff"), "PYTHONUTF8": "1"}
    with start([sys.executable, "-c", script, "ä b"], stdout=PIPE, stderr=PIPE, env=env, cwd=tmp_path) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.read().decode() == f"{tmp_path} ä b Zoë b'\\xff'\n"
        assert program.stderr.read() == b""
        assert program.wait() == 0


# A tool that prints the keeper's process id when all that it starts is there.
TOOL = """
import sys
from conformance.engine import programs
with programs.folder("pychat-test-"), programs.undoing(["rm", sys.argv[1]]):
    open(sys.argv[1], "w").close()
    running = [programs.start(["sh", "-c", script], stdout=programs.PIPE) for script in sys.argv[2:]]
    for program in running:
        program.stdout.readline()
    print(programs._shared.get()._process.pid, running[0].pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], subprocess.Popen[str]]]:
    """Starts a tool that has programs of every shape, a folder, and something to undo: `tmp_path/made`."""
    made = []

    def begin(env: dict[str, str]) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", TOOL, str(tmp_path / "made"), *SHAPES.values()]
        (tmp_path / "tmp").mkdir(exist_ok=True)
        env |= {"TMPDIR": str(tmp_path / "tmp")}
        made.append(subprocess.Popen(words, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT, env=env))
        return made[-1]

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def test_a_tool_that_is_killed_leaves_nothing(
    tool: Callable[[dict[str, str]], subprocess.Popen[str]], tmp_path: Path
) -> None:
    """By SIGKILL, against which it can do nothing itself: no process, no folder, and what it announced is undone."""
    env = new_mark()
    process = tool(env)
    assert process.stdout is not None
    assert process.stdout.readline()
    assert (tmp_path / "made").exists()
    process.kill()
    assert left(env, PATIENCE * 2) == []
    assert not (tmp_path / "made").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("which", ["keeper", "guard"])
def test_a_keeper_that_is_killed_is_no_shelter(
    which: str, tool: Callable[[dict[str, str]], subprocess.Popen[str]]
) -> None:
    """The guards end their programs without a keeper; the keeper ends those of a guard."""
    env = new_mark()
    process = tool(env)
    assert process.stdout is not None
    keeper, program = map(int, process.stdout.readline().split())
    guard = int(Path(f"/proc/{program}/stat").read_text().split()[3])
    os.kill(keeper if which == "keeper" else guard, signal.SIGKILL)
    if which == "keeper":
        wait_for_end(program, time.monotonic() + PATIENCE)
        assert program not in marked(env)
    process.kill()
    assert left(env, PATIENCE * 2) == []


def test_a_program_whose_guard_was_killed_counts_as_killed() -> None:
    """What ended the guard has taken its word with it."""
    with start(["sleep", "1000"]) as program:
        guard = int(Path(f"/proc/{program.pid}/stat").read_text().split()[3])
        os.kill(guard, signal.SIGKILL)
        assert program.wait(PATIENCE) == -signal.SIGKILL


def test_without_a_subreaper_the_group_is_ended() -> None:
    """As on systems that have none: with a program goes its group, also when it has ended by itself."""
    keeper = programs._Keeper(subreaper=False)
    env = new_mark()
    for script in ("sleep 1000 & echo up; wait", "sleep 1000 & echo up; exit"):
        program = shell(script, env, keeper)
        program.end()
        program.close()
        assert left(env, PATIENCE) == []
    assert keeper.close()


def test_a_tool_whose_keeper_has_gone_is_told() -> None:
    keeper = programs._Keeper()
    keeper.close()
    with pytest.raises(OSError, match=r"."):
        start(["true"], keeper=keeper)


def test_a_request_that_is_cut_off_is_none() -> None:
    """The tool was killed in the middle of one."""
    keeper = programs._Keeper()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(keeper.socket, [b"\0\0\1\0", b"half"], [theirs.fileno()])
        assert keeper.close()


@pytest.mark.parametrize("words", [[""], ["true", "a\0b"]])
def test_words_that_cannot_be_executed_are_refused(words: list[str]) -> None:
    """The system's error, and not the end of the keeper."""
    with pytest.raises(OSError, match=r"No such file|Invalid argument"):
        start(words)
