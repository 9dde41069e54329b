"""A course's files: what is unpacked and what is refused, and what a sheet and a page make of hostile words."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.grade import pages, sheet
from conformance.grade.folder import Submission, SubmissionError, submissions, unpack
from conformance.grade.marks import Mark, count, in_common, verdict_of

MANY = 1 << 20


def unpacked(path: Path, tmp_path: Path, octets: int = MANY, files: int = 100) -> Path:
    into = tmp_path / "into"
    into.mkdir()
    return unpack(path, into, octets=octets, files=files)


def tar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar with members of a name, a type and the target of a link."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o755
            archive.addfile(info, io.BytesIO())
    return path


def zipped(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../out", tarfile.REGTYPE, ""), "leads out"),
        (("/etc/out", tarfile.REGTYPE, ""), "leads out"),
        (("a/../../out", tarfile.DIRTYPE, ""), "leads out"),
        (("../out", tarfile.SYMTYPE, "x"), "leads out"),
        (("device", tarfile.CHRTYPE, ""), "neither a file"),
        (("pipe", tarfile.FIFOTYPE, ""), "neither a file"),
        (("hard", tarfile.LNKTYPE, "/etc/passwd"), "neither a file"),
    ],
)
def test_an_archive_puts_nothing_outside(tmp_path: Path, member: tuple[str, bytes, str], reason: str) -> None:
    with pytest.raises(SubmissionError, match=reason):
        unpacked(tar(tmp_path / "a.tar.gz", member), tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "into"]


@pytest.mark.parametrize("name", ["../out", "/out", "..\\out"])
def test_a_zip_puts_nothing_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(SubmissionError, match="leads out"):
        unpacked(zipped(tmp_path / "a.zip", **{name: "x"}), tmp_path)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """A link that comes before the file `link/file` is made after it, and then there is a folder of that name."""
    (tmp_path / "victim").mkdir()
    path = tar(
        tmp_path / "a.tar",
        ("link", tarfile.SYMTYPE, str(tmp_path / "victim")),
        ("link/file", tarfile.REGTYPE, ""),
    )
    with pytest.raises(SubmissionError, match="File exists"):
        unpacked(path, tmp_path)
    assert not list((tmp_path / "victim").iterdir())


def test_a_bomb_is_stopped_by_octets_and_by_files(tmp_path: Path) -> None:
    """What it writes is counted, not what the archive says of itself."""
    bomb = zipped(tmp_path / "a.zip", big="\0" * (MANY + 1))
    with pytest.raises(SubmissionError, match="more octets"):
        unpacked(bomb, tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(SubmissionError, match="more than 3 files"):
        unpacked(zipped(tmp_path / "b.zip", **{str(n): "" for n in range(4)}), tmp_path / "b", files=3)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("octets", [b"", b"PK", b"\x1f\x8b\x08", bytes(10240), b"x" * 2048])
def test_what_is_no_archive_is_told_in_a_sentence(tmp_path: Path, name: str, octets: bytes) -> None:
    (tmp_path / name).write_bytes(octets)
    try:
        unpacked(tmp_path / name, tmp_path)
    except SubmissionError:
        return
    assert not list((tmp_path / "into").iterdir())  # 20 blocks of zeros are an empty tar


def test_a_folder_is_copied_with_its_links_and_modes(tmp_path: Path) -> None:
    """A link is a link again, wherever it leads; a pipe is refused."""
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "run").write_text("#!/bin/sh\n")
    (folder / "sub" / "run").chmod(0o700)
    (folder / "secret").symlink_to("/etc/passwd")
    into = unpacked(folder, tmp_path)
    assert os.readlink(into / "secret") == "/etc/passwd"
    assert stat.S_IMODE((into / "sub" / "run").stat().st_mode) == 0o755
    os.mkfifo(folder / "pipe")
    with pytest.raises(SubmissionError, match="pipe is neither"):
        Submission("a", folder).digest()


def test_a_script_can_be_executed_whatever_its_mode(tmp_path: Path) -> None:
    """And the one folder that an archive holds is the program's."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, text in (("top/run", "#!/bin/sh\n"), ("top/data", "x"), ("__MACOSX/._run", "")):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0x20  # as Windows makes it
            archive.writestr(info, text)
    into = unpacked(tmp_path / "a.zip", tmp_path)
    assert into.name == "top"
    assert (into / "run").stat().st_mode & 0o111
    assert not (into / "data").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "run").write_text("other"),
        lambda folder: (folder / "run").chmod(0o755),
        lambda folder: (folder / "run").rename(folder / "walk"),
        lambda folder: (folder / "new").mkdir(),
        lambda folder: (folder / "new").symlink_to("run"),
    ],
)
def test_each_change_of_a_submission_changes_its_digest(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "run").write_text("x")
    before = Submission("a", folder).digest()
    assert Submission("a", folder).digest() == before
    change(folder)
    assert Submission("a", folder).digest() != before


def test_submissions_are_folders_and_archives(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("c.zip", "d.tar.gz", "readme.txt", ".e.zip"):
        (tmp_path / name).touch()
    assert [each.name for each in submissions(tmp_path)] == ["a", "b", "c.zip", "d.tar.gz"]


def test_a_link_is_no_submission(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc")
    with pytest.raises(SubmissionError, match="a link"):
        Submission("a", tmp_path / "a").digest()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_a_cell_that_would_be_a_formula_is_text(text: str) -> None:
    assert str(sheet.cell(text)).startswith(("'", "\\"))
    assert sheet.cell("plain - text") == "plain - text"
    assert sheet.cell(-1) == -1


def test_a_page_escapes_all_that_it_shows() -> None:
    evil = "<script>alert(1)</script>\x1b[2J'\""
    mark = Mark(evil, "key", evil, note=evil, build=evil, planned=1, groups={evil: (1, 2)})
    mark.failures, mark.rules = {"R-X-1": [{"id": evil, "wanted": evil, "got": evil, "note": evil}]}, {"R-X-1": evil}
    other = Mark("b", "key", "x", failures=mark.failures, rules=mark.rules)
    for text in (
        pages.page(mark, [evil], {"report.html": evil}, points=1),
        pages.overview(evil, [mark, other], [evil], [evil], points=1),
    ):
        assert "<script>" not in text
        assert "\x1b" not in text


def test_what_was_earned_is_a_part_of_each_rule() -> None:
    """Each rule counts alike. Not tested: costs nothing. Not run, because the time was over: earns nothing."""
    rules = {rule: {"level": "MUST", "text": "a", "of": "server"} for rule in ("R-A-1", "R-A-2")}
    shows = {"A/B/1": "R-A-1", "A/B/2": "R-A-1", "A/B/3": "R-A-1", "A/B/4": "R-A-1", "A/B/5": "R-A-2"}
    header = {"planned": [*shows, "A/B/5@octet"], "rules": rules, "shows": shows}
    verdicts = {"A/B/1": "pass", "A/B/2": "fail", "A/B/3": "not-tested", "A/B/5": "pass"}
    words = {"type": "case", "level": "MUST", "wanted": "w", "got": "g", "note": ""}
    cases = [{**words, "id": id_, "rule": shows[id_], "verdict": verdict} for id_, verdict in verdicts.items()]
    mark = Mark("a", "key", "x")
    count(mark, [header, *cases], level="must")
    assert (mark.passed, mark.failed, mark.groups) == (2, 1, {"R-A": (2, 1)})
    assert mark.earned == (2 / 4 + 0) / 2
    whole = [*cases, {**cases[-1], "segment": "octet"}]
    count(mark, [header, *whole], level="must")
    assert mark.earned == (2 / 4 + 1) / 2


def test_a_failure_in_common_names_its_submissions_once() -> None:
    failure = {"id": "A/B", "wanted": "w", "got": "g", "note": ""}
    marks = [Mark(name, "", "", failures={"R-A-1": [failure, failure]}, rules={"R-A-1": "text"}) for name in "abc"]
    alone = Mark("d", "", "", failures={"R-A-2": [failure]}, rules={"R-A-2": "text"})
    (common,) = in_common([*marks, alone])
    assert (common.rule, common.submissions, common.case) == ("R-A-1", ("a", "b", "c"), "A/B")


@pytest.mark.parametrize(
    ("found", "in_time", "verdict"),
    [
        ({"came": "judged", "code": 0}, True, ("conforms", True)),
        ({"came": "judged", "code": 1}, True, ("does not conform", True)),
        ({"came": "judged", "code": 3}, True, ("could not be judged", False)),
        ({"came": "", "note": "x"}, True, ("cannot be unpacked", True)),
        ({"came": "unpacked", "note": "x"}, True, ("was not built", True)),
        ({"came": "built", "note": "x"}, True, ("would not start", True)),
        ({}, True, ("was not judged whole", False)),
        ({"came": "judged", "code": 0}, False, ("time is over", False)),
    ],
)
def test_a_verdict_is_final_if_the_same_files_give_it_again(
    found: dict[str, object], in_time: bool, verdict: tuple[str, bool]
) -> None:
    assert verdict_of(found, in_time=in_time) == verdict


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cmd", "./run {prot}"), "there is no {prot}"),
        (("--cmd", "./run {port}", "--build", "cd x && make"), "shell"),
        (("--cmd", "./run {port}", "--select", "NOWHERE/*"), "NOWHERE/*"),
        (("--cmd", "./run {port}"), "holds no submission"),
    ],
)
def test_misuse_is_told_before_anything_runs(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, ["grade", str(tmp_path), *options])
    assert done.exit_code == 2
    assert said in done.output
