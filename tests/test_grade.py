"""A course: submissions that attack the machine, the judge, the grader's files and each other, next to good ones.

All of them are judged in one run, several at a time; each test looks at what came of one. They are real programs.
"""

from __future__ import annotations

import csv
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.grade.course import require_isolation
from conformance.grade.sandbox import IsolationError

from .conftest import ROOT

STUDENT = (ROOT / "tests" / "student" / "server.py").read_text()
CASE = "NAMED/CHAT/no-such-user*"
SECRET = f"secret-{secrets.token_hex(8)}"
MARKER = f"marker-{secrets.token_hex(8)}"  # a word of each submission's command, by which its processes are found
COMMAND = f"env -u {MARKER} python3 server.py --port {{port}}"
PATIENCE = 240.0
EVIL = """
import ctypes, glob, mmap, os, signal, socket, subprocess, sys, threading, time
found = []
def tried(name, function, *arguments):
    try:
        found.append(f'{name} {function(*arguments)!r}')
    except BaseException as error:
        found.append(f'{name} failed {error}')
"""
SERVE = f"exec({STUDENT!r})\n"  # what follows the harm that is tried: a server that conforms
BROKEN = STUDENT.replace('"no-such-user"', '"user-busy"')

SUBMISSIONS = {
    "forks": "while True:\n    try: os.fork()\n    except OSError: pass\n",
    "fills-the-disk": """
def fill(folder):
    number = 0
    while True:
        with open(f'{folder}/{number}', 'wb') as file:
            file.write(bytes(1 << 22))
        number += 1
def many(folder):
    for number in range(10 ** 6):
        open(f'{folder}/f{number}', 'x').close()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
tried('file', lambda: open('big', 'wb').truncate(1 << 40))
for folder in ('.', '/tmp', '/dev/shm', '/dev', '/', '/var', '/etc', '/usr', '/spec'):
    tried(f'many {folder}', many, folder)
for folder in ('.', '/tmp', '/dev/shm'):
    tried(f'fill {folder}', fill, folder)
sys.exit('; '.join(found))
""",
    "takes-memory": "kept = []\nwhile True: kept.append(os.urandom(1) * (1 << 22))\n",
    "shares-memory": """
kept = []
while True:
    kept.append(mmap.mmap(-1, 1 << 24))
    kept[-1].write(b'x' * (1 << 24))
""",
    "kills-all": """
tried('parent', os.kill, os.getppid(), 9)
tried('all', os.kill, -1, 9)
tried('stop', os.kill, -1, signal.SIGSTOP)
for pid in range(2, 5000):
    if pid != os.getpid():
        try: os.kill(pid, 9)
        except OSError: pass
"""
    + SERVE,
    "many-ports": """
opened = []
try:
    for _ in range(1000):
        opened.append(socket.create_server(('127.0.0.2', 0)))  # not where the judge looks for it
except OSError as error:
    print(error, file=sys.stderr)
for port in opened[::2]:  # it needs descriptors to serve
    port.close()
"""
    + SERVE,
    "never-listens": "time.sleep(10 ** 6)\n",
    "ignores-signals": "for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
    "signal.signal = lambda *_: None\n" + SERVE,
    "spies": """
tried('files', os.listdir, FOLDER)
tried('secret', lambda: open(FOLDER + '/good/secret.txt').read())
tried('shadow', lambda: open('/etc/shadow').read())
tried('home', os.listdir, GRADER)
tried('env', lambda: sorted(os.environ))
tried('processes', lambda: [open(f'/proc/{pid}/cmdline').read() for pid in os.listdir('/proc') if pid.isdigit()])
tried('descriptors', os.listdir, '/proc/self/fd')
tried('user', os.setuid, 0)
tried('namespace', os.system, 'unshare -Ur true')
tried('interfaces', socket.if_nameindex)
tried('network', socket.create_connection, ('192.0.2.1', 80), 2)
tried('host', socket.create_connection, ('127.0.0.1', HOST_PORT), 2)
tried('trace', lambda: ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))
tried('mount', os.system, 'mount -t tmpfs x /tmp 2>/dev/null')
tried('terminal', lambda: open('/dev/tty'))
sys.exit('; '.join(found))
""",
    "prints-without-end": """
def shout(number):
    while True: os.write(number, b'x' * 65536)
for number in (1, 2): threading.Thread(target=shout, args=(number,), daemon=True).start()
"""
    + SERVE,
    "changes-itself": "open('server.py', 'a').write('\\n# changed\\n')\n" + SERVE,
    "daemonises": "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n" + SERVE,
    "leaves-sockets": """
for address in ('/tmp/left', 'left', '\\0left'):
    left = socket.socket(socket.AF_UNIX)
    tried('socket', left.bind, address)
"""
    + SERVE,
    "=prints-html": "sys.exit('=1+1\\x1b]0;owned\\x07<script>alert(1)</script>\\u202e')\n",
}


@dataclass(frozen=True)
class Course:
    """A run of the command: what it said, the sheet, and where things are."""

    said: str
    code: int
    folder: Path
    results: Path

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        with (self.results / "grades.csv").open(newline="") as file:
            return {row["submission"].lstrip("'"): row for row in csv.DictReader(file)}

    def page(self, name: str) -> str:
        return (self.results / "submissions" / name / "index.html").read_text()


@pytest.fixture(scope="module", autouse=True)
def _isolation() -> None:
    """What a laptop may lack must be there in CI."""
    try:
        require_isolation()
    except IsolationError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def grade(folder: Path, results: Path, *options: str, environ: dict[str, str] | None = None) -> Course:
    words = [sys.executable, "-m", "conformance", "grade", str(folder), "--to", str(results), "--cmd", COMMAND]
    done = subprocess.run(
        [*words, "--select", CASE, *options], capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT,
        env=os.environ | (environ or {}),
    )  # fmt: skip
    return Course(done.stdout + done.stderr, done.returncode, folder, results)


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "server.py").write_text(text)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """All evil submissions, and three others, judged in one run."""
    folder = tmp_path_factory.mktemp("course") / "homework"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        known = f"FOLDER, GRADER, HOST_PORT = {str(folder)!r}, {os.environ['HOME']!r}, {port}\n"
        for name, text in SUBMISSIONS.items():
            put(folder, name, known + EVIL + text)
        for name in ("also-broken", "broken"):
            put(folder, name, BROKEN)
        put(folder, "good", STUDENT)
        (folder / "good" / "secret.txt").write_text(SECRET)
        results = folder.parent / "grades"
        options = ("--jobs", "3", "--memory", "200", "--disk", "24", "--processes", "100", "--timeout", "100")
        yield grade(folder, results, *options, environ={"GRADER_TOKEN": SECRET})


def leftovers() -> list[str]:
    """The command lines of what the submissions have left running, and the mounts."""
    found = [line for line in Path("/proc/self/mounts").read_text().splitlines() if "pychat-grade" in line]
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if MARKER in line and "pytest" not in line and " grade " not in line:
            found.append(line)
    return found


def test_each_submission_is_on_the_sheet_and_nothing_is_left(course: Course) -> None:
    """Whatever one of them did, the run came to its end, and no process and no mount outlives it."""
    assert course.code == 0, course.said
    assert set(course.rows) == {*SUBMISSIONS, "good", "broken", "also-broken"}
    assert not leftovers()


def test_a_good_server_conforms_next_to_the_evil_ones(course: Course) -> None:
    """So it is the submission that fails, not the sandbox."""
    row = course.rows["good"]
    assert (row["verdict"], row["points"], row["failed"], row["note"]) == ("conforms", "100.0", "0", "")
    assert "report.html" in course.page("good")


def test_a_broken_server_does_not_conform(course: Course) -> None:
    row = course.rows["broken"]
    assert row["verdict"] == "does not conform"
    assert float(row["points"]) < 100
    assert int(row["failed"]) > 0
    groups = [int(value) for name, value in row.items() if name.endswith(" failed") and value]
    assert sum(groups) == int(row["failed"])


def test_failures_in_common_are_named_once(course: Course) -> None:
    overview = (course.results / "index.html").read_text()
    found = re.findall(r"<b>2 of (\d+) submissions: (R-[A-Z]+-\d+)</b>", overview)
    assert found
    assert {total for total, _ in found} == {str(len(course.rows))}
    assert "also-broken, broken" in overview


@pytest.mark.parametrize(
    "name",
    ["kills-all", "many-ports", "ignores-signals", "prints-without-end", "changes-itself", "leaves-sockets"],
)
def test_harm_that_is_only_tried_changes_no_verdict(course: Course, name: str) -> None:
    """The program does it, and then serves as it should: it reached nothing of the judge."""
    assert course.rows[name]["verdict"] == "conforms", course.rows[name]


@pytest.mark.parametrize("name", ["forks", "never-listens", "daemonises"])
def test_what_does_not_listen_is_told_so(course: Course, name: str) -> None:
    assert course.rows[name]["verdict"] == "would not start"
    assert course.rows[name]["points"] == "0.0"


@pytest.mark.parametrize("name", ["takes-memory", "shares-memory"])
def test_who_takes_too_much_memory_is_ended(course: Course, name: str) -> None:
    """Also memory that is shared, which is in no process's data segment."""
    assert "memory: it took more than 200 MB and was ended" in course.rows[name]["note"]


def test_the_disk_is_bounded_in_octets_and_in_files(course: Course) -> None:
    note = course.rows["fills-the-disk"]["note"]
    for folder in (".", "/tmp", "/dev/shm"):
        assert re.search(rf"fill {re.escape(folder)} failed [^;]*(No space left|File too large)", note)
    assert "many . failed [Errno 28]" in note
    assert "file failed [Errno 27]" in note
    for folder in ("/dev", "/", "/var", "/etc", "/usr", "/spec"):
        assert re.search(rf"many {re.escape(folder)} failed [^;]*(Read-only|Permission denied)", note), folder


def test_a_submission_sees_nothing_of_others_and_reaches_nobody(course: Course) -> None:
    note = course.rows["spies"]["note"]
    for name in ("files", "secret", "shadow", "home", "user", "network", "host", "terminal"):
        assert f"{name} failed" in note, name
    assert "env ['HOME', 'LANG', 'PATH', 'TMPDIR', 'USER']" in note
    assert "descriptors ['0', '1', '2', '3']" in note  # the last one is that of the folder which it reads
    assert "interfaces [(1, 'lo')]" in note
    assert not re.search(r"(namespace|mount) 0\b", note)
    processes = re.search(r"processes [^;]*", note)
    assert processes is not None
    assert processes[0].count("server.py") <= 3
    assert "conformance" not in processes[0]


def test_no_secret_of_the_grader_is_in_a_page(course: Course) -> None:
    """Neither a variable, nor a file of somebody else, nor the paths of the machine."""
    for path in (course.results / "submissions").rglob("*"):
        text = path.read_text(errors="replace") if path.is_file() and "spies" not in path.parts else ""
        assert SECRET not in text, path
        assert str(course.folder) not in text, path


def test_a_submission_changes_only_its_copy(course: Course) -> None:
    assert "# changed\n" not in (course.folder / "changes-itself" / "server.py").read_text()[-12:]
    assert sorted(os.listdir(course.folder / "leaves-sockets")) == ["server.py"]


def test_no_cell_and_no_page_obeys_a_submission(course: Course) -> None:
    """A formula gets an apostrophe; what a terminal or a browser would obey is shown as text."""
    sheet = (course.results / "grades.csv").read_text()
    assert "'=prints-html" in sheet
    for text in (sheet, course.said, course.page("=prints-html"), (course.results / "index.html").read_text()):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>" not in course.page("=prints-html")
    assert "<script>" not in (course.results / "index.html").read_text()


def test_output_without_end_is_not_kept(course: Course) -> None:
    sizes = [path.stat().st_size for path in (course.results / "submissions" / "prints-without-end").iterdir()]
    assert max(sizes) < 4 << 20


def test_the_pages_say_which_limits_were_in_force(course: Course) -> None:
    for text in ((course.results / "index.html").read_text(), course.page("good")):
        assert "memory: 200 MB for all its processes" in text
        assert "NO ISOLATION" not in text


def test_an_interrupt_leaves_a_sheet_from_which_the_next_run_goes_on(tmp_path: Path) -> None:
    """What is finished is on the sheet, the rest is named; nothing is left; the finished one is not judged again."""
    folder, results = tmp_path / "homework", tmp_path / "grades"
    put(folder, "1-good", STUDENT)
    put(folder, "2-good", STUDENT)
    put(folder, "3-hangs", "import time\ntime.sleep(10 ** 6)\n")
    put(folder, "4-late", "raise SystemExit('no')\n")
    words = [sys.executable, "-m", "conformance", "grade", str(folder), "--to", str(results), "--cmd", COMMAND]
    words += ["--select", CASE, "--jobs", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout is not None
        while not run.stdout.readline().startswith("2-good"):
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        _, complaint = run.communicate(timeout=PATIENCE)
    first = Course(complaint, run.returncode, folder, results)
    assert first.code == 130
    assert "2 of 4 are on the sheet; not judged: 3-hangs, 4-late" in first.said
    assert list(first.rows) == ["1-good", "2-good"]
    assert "Not judged yet: 3-hangs, 4-late" in (results / "index.html").read_text()
    assert not leftovers()
    shutil.rmtree(folder / "3-hangs")
    (folder / "2-good" / "server.py").write_text(BROKEN)
    second = grade(folder, results)
    assert second.code == 0
    assert re.findall(r"(?m)^(\S+) .* as before", second.said) == ["1-good"]
    assert second.rows["2-good"]["verdict"] == "does not conform"
    assert second.rows["4-late"]["note"].endswith("no")


def test_archives_are_unpacked_built_and_judged(tmp_path: Path) -> None:
    """A zip without modes, a tar with one folder around all, and what comes of a build that fails."""
    folder, results = tmp_path / "homework", tmp_path / "grades"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("src.py", STUDENT)
        archive.writestr("make.sh", "#!/bin/sh\necho 'made <b>'; cp src.py server.py\n")
    put(tmp_path / "packed", "project", STUDENT)
    (tmp_path / "packed" / "project" / "make.sh").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "packed" / "project" / "make.sh").chmod(0o755)
    with tarfile.open(folder / "b.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "packed" / "project", "project")
    put(folder, "c", STUDENT)
    (folder / "d.zip").write_bytes(b"no archive")
    done = grade(folder, results, "--build", "./make.sh")
    assert done.code == 0, done.said
    verdicts = {name: row["verdict"] for name, row in done.rows.items()}
    assert verdicts == {
        "a.zip": "conforms", "b.tar.gz": "conforms", "c": "was not built", "d.zip": "cannot be unpacked",
    }  # fmt: skip
    assert "made &lt;b&gt;" in done.page("a.zip")


def test_the_time_of_a_submission_is_bounded(tmp_path: Path) -> None:
    """What was not run by then has no points, and it is judged again the next time."""
    put(tmp_path / "homework", "slow", "import time\ntime.sleep(10 ** 6)\n")
    done = grade(tmp_path / "homework", tmp_path / "grades", "--timeout", "3")
    assert done.rows["slow"]["verdict"] == "time is over"
    assert not leftovers()


def test_without_isolation_it_refuses_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "homework", "a", STUDENT)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(main, ["grade", str(tmp_path / "homework"), "--cmd", "./run {port}"])
    assert done.exit_code == 3
    assert "bwrap (package bubblewrap)" in done.output
    assert "--no-isolation" in done.output


def test_no_isolation_is_a_choice_that_the_pages_tell(tmp_path: Path) -> None:
    put(tmp_path / "homework", "good", STUDENT)
    done = grade(tmp_path / "homework", tmp_path / "grades", "--no-isolation")
    assert done.rows["good"]["verdict"] == "conforms", done.said
    assert "NO ISOLATION" in done.page("good")
    assert not leftovers()
    assert "as before" in grade(done.folder, done.results, "--no-isolation").said
    assert "as before" not in grade(done.folder, done.results, "--no-isolation", "--again").said


def test_a_submission_cannot_pass_for_a_module_of_the_judge(tmp_path: Path) -> None:
    """The grader stands in the folder of submissions, one of which has the name of a module."""
    put(tmp_path, "conformance", STUDENT)
    for name in ("conformance", "click", "yaml"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'x').close()\n")
    script = Path(sys.executable).with_name("pychat-conformance")
    words = [str(script), "grade", ".", "--to", str(tmp_path.parent / f"{tmp_path.name}-grades"), "--cmd", COMMAND]
    done = subprocess.run(
        [*words, "--select", CASE], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "conformance              conforms" in done.stdout
    assert not (tmp_path / "imported").exists()


def test_results_do_not_go_among_the_submissions(tmp_path: Path) -> None:
    put(tmp_path, "a", STUDENT)
    done = grade(tmp_path, tmp_path / "grades")
    assert done.code == 2
    assert "name another one" in done.said
