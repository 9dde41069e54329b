"""All submissions of a folder: several at a time, each in its own namespaces; after each one the sheet is written anew.

The folder of results holds `grades.csv`, `index.html`, and for each submission `submissions/NAME/` with its page, the
report and the record of its run, and `mark.json`, by which a second run knows that there is nothing to do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.cases.case import Case
from conformance.engine import programs
from conformance.oracle.frames import visible_lines
from conformance.results import reports
from conformance.results.record import Record, RecordError
from pychat.spec import Spec

from . import inside, pages, sheet
from .folder import Submission, SubmissionError
from .marks import NOT_UNPACKED, Mark, count, read_lines, verdict_of
from .sandbox import IsolationError, missing, outside

# -P: the grader may stand in a folder of submissions, and a module of that name there must not be imported
_ROOT = str(Path(__file__).parents[2])
JUDGE = (
    sys.executable, "-P", "-c",
    f"import sys; sys.path.append({_ROOT!r}); from {inside.__name__} import main; main()",
)  # fmt: skip
LAST_WORDS = 2000  # octets of what a judge says who has not ended well
GRACE = 3.0  # seconds for a judge that is told to end
BESIDE = {"report.html": "the whole run: each case, with what was sent and got", "record.json": "the record"}


@dataclass
class Course:
    """`job` is what is asked of each; `on_mark` is called for each one that is done, by one thread at a time."""

    title: str
    results: Path
    job: inside.Job
    spec: Spec
    cases: Sequence[Case]
    submissions: Sequence[Submission]
    jobs: int = 1
    points: float = 100.0
    again: bool = False
    on_mark: Callable[[Mark, bool], None] = lambda mark, known: None
    marks: dict[str, Mark] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # guards `marks`, the sheet and `on_mark`

    @property
    def left(self) -> list[str]:
        """What has not been judged."""
        return [each.name for each in self.submissions if each.name not in self.marks]

    @property
    def told(self) -> list[str]:
        """The limits in words."""
        return self.job.limits.told(isolated=self.job.isolated)

    def run(self) -> list[Mark]:
        """Judges what is to be judged, until `stop` is set; the marks of all that are done. Raises OSError."""
        (self.results / "submissions").mkdir(parents=True, exist_ok=True)
        self.results.chmod(0o700)
        queue = deque(self.submissions)
        threads = [threading.Thread(target=self._work, args=(queue,), name=f"grade-{n}") for n in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:  # each ends with the queue, or soon after `stop`
            thread.join()
        with self._lock:
            self._write()
            return [self.marks[each.name] for each in self.submissions if each.name in self.marks]

    def _work(self, queue: deque[Submission]) -> None:
        with contextlib.suppress(IndexError):
            while not self.stop.is_set():
                self._take(queue.popleft())

    def _take(self, submission: Submission) -> None:
        folder = self.results / "submissions" / submission.name
        try:
            key, problem = self._key(submission), ""
        except SubmissionError as error:
            key, problem = "", str(error)
        known = None if self.again or not key else Mark.load(folder / "mark.json", key)
        if known is not None:
            mark = known
            mark.points = round(self.points * mark.earned, 2)
        elif key:
            judged = self._judge(submission, folder, key)
            if judged is None:
                return
            mark = judged
        else:
            mark = Mark(submission.name, key, NOT_UNPACKED, note=visible_lines(problem))
            folder.mkdir(exist_ok=True)
        with self._lock:
            self.marks[submission.name] = mark
            files = {name: words for name, words in BESIDE.items() if (folder / name).exists()}
            reports.replace(folder / "index.html", pages.page(mark, self.told, files, points=self.points))
            self._write()
            self.on_mark(mark, known is not None)

    def _key(self, submission: Submission) -> str:
        """All that the verdict depends on."""
        asked = replace(self.job, submission=submission.digest(), out="", hidden=())
        return hashlib.sha256(f"{__version__} {self.spec.sha256} {asked.text}".encode()).hexdigest()

    def _judge(self, submission: Submission, folder: Path, key: str) -> Mark | None:
        """None when it was stopped."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        job = replace(self.job, submission=str(submission.path.absolute()), out=str(folder.absolute()))
        started = time.monotonic()
        with (folder / "log.txt").open("w+b") as log:
            in_time = self._await(job, log.fileno())
            if in_time is None:
                return None
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_WORDS))
            said = visible_lines(log.read().decode("utf-8", "replace")).rstrip("\n")
        found = _found(folder)
        verdict, final = verdict_of(found, in_time=in_time)
        notes = [found.get("note", ""), f"memory: {found['memory']}" if found.get("memory") else ""]
        if not in_time:
            notes.append(f"{job.limits.seconds} s were over; what was not run by then has no points")
        elif found.get("came") != "judged" and not found.get("note"):
            notes.append(f"the judge has not ended well: {said}")
        mark = Mark(submission.name, key, verdict, final, note="; ".join(filter(None, notes)))
        mark.seconds, mark.build = round(time.monotonic() - started, 1), found.get("build", "")
        count(mark, read_lines(folder / "record.json"), level=job.level)
        mark.points = round(self.points * mark.earned, 2)
        with contextlib.suppress(OSError, RecordError):
            report = reports.maker("html")(Record.load(folder / "record.json"))
            reports.replace(folder / "report.html", report)
        reports.replace(folder / "mark.json", mark.text)
        return mark

    def _await(self, job: inside.Job, log: int) -> bool | None:
        """Runs a judge to its end: whether that was in time; None when it was stopped."""
        words = outside(JUDGE) if job.isolated else list(JUDGE)
        deadline = time.monotonic() + job.limits.seconds
        with tempfile.TemporaryFile() as asked:
            asked.write(inside.asked(job, self.spec, self.cases))
            asked.seek(0)
            with programs.start(words, stdin=asked.fileno(), stdout=log, stderr=log) as judge:
                code = None
                while code is None and time.monotonic() < deadline and not self.stop.is_set():
                    code = judge.wait(0.1)
                if code is None:
                    judge.end(GRACE)
        return None if code is None and self.stop.is_set() else code is not None

    def _write(self) -> None:
        """The sheet and the overview, as far as they are known."""
        marks = [self.marks[each.name] for each in self.submissions if each.name in self.marks]
        reports.replace(self.results / "grades.csv", sheet.make(marks))
        text = pages.overview(self.title, marks, self.told, self.left, points=self.points)
        reports.replace(self.results / "index.html", text)


def require_isolation() -> None:
    """Raises IsolationError unless a program starts in a sandbox here."""
    lacking = missing()
    if lacking:
        raise IsolationError(f"not installed: {', '.join(lacking)}")
    done = programs.run([*outside(JUDGE), "probe"])
    if done.returncode:
        raise IsolationError(f"a sandbox cannot be made here: {done.stderr.strip() or f'code {done.returncode}'}")


def _found(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "inside.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
