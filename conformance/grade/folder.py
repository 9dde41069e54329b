"""The submissions of a folder: subfolders and archives, and how one is unpacked into a place of its own.

Everything in a submission is written by somebody whom nobody trusts. Links are made as they are and never followed;
devices, pipes and sockets are refused; a path cannot leave the place. Bytes and files are counted while they are
written, since an archive may lie about its sizes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
CHUNK = 1 << 16
PROGRAMS = (b"#!", b"\x7fELF")  # how a file begins that can be executed, whatever a learning platform made of its mode
LEFT_OUT = {"__MACOSX", ".DS_Store", ".git"}  # in an archive or a folder: no part of a program


class SubmissionError(Exception):
    """What is no submission, or cannot be unpacked; says why."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A subfolder or an archive; `name` is its file's name."""

    name: str
    path: Path

    def digest(self) -> str:
        """SHA-256 of all that is in it: names, modes and octets. Raises SubmissionError."""
        digest = hashlib.sha256()
        for entry in _entries(self.path) if self.path.is_dir() else [_Entry(self.name, 0, _opener(self.path))]:
            head = repr((entry.name, entry.mode, entry.link)).encode("utf-8", "surrogateescape")
            digest.update(len(head).to_bytes(8) + head)
            with entry.open() as stream:
                while octets := stream.read(CHUNK):
                    digest.update(octets)
        return digest.hexdigest()


def submissions(folder: Path) -> list[Submission]:
    """The subfolders and archives of a folder, by name; hidden ones and other files are none. Raises OSError."""
    return [
        Submission(path.name, path)
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and (path.is_dir() or path.name.lower().endswith(ARCHIVES))
    ]


def unpack(path: Path, into: Path, *, octets: int, files: int) -> Path:
    """Copies a submission into an empty folder, and gives the folder of its program.

    That is `into`, or the one folder that is all that an archive holds. Links come last, so that nothing is written
    through one.

    Raises:
        SubmissionError: it is more than `octets` or `files`, not an archive, or holds what must not be.
    """
    links: list[tuple[Path, str]] = []
    try:
        for number, entry in enumerate(_entries(path), 1):
            if number > files:
                raise SubmissionError(f"more than {files} files")
            target = into / _inside(entry.name)
            if entry.link is not None:
                links.append((target, entry.link))
            elif stat.S_ISDIR(entry.mode):
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                octets = _write(entry, target, octets)
        for target, link in links:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(link)
    except SubmissionError:
        raise
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SubmissionError(f"not an archive that can be read: {error}") from None
    except MemoryError:
        raise SubmissionError("an archive that takes too much memory") from None
    except (OSError, RuntimeError, ValueError) as error:  # two files of one name, a password, no room
        raise SubmissionError(getattr(error, "strerror", None) or str(error)) from None
    held = list(into.iterdir())
    one = len(held) == 1 and held[0].is_dir() and not held[0].is_symlink()
    return held[0] if one and not path.is_dir() else into


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file, a folder or a link. `mode` as in `st_mode`; 0 where an archive has none."""

    name: str
    mode: int
    open: Callable[[], IO[bytes]]
    link: str | None = None


def _entries(path: Path) -> Iterator[_Entry]:
    """What is in a submission, in the order of the archive or by name."""
    if path.is_symlink():
        raise SubmissionError("a link, which may lead anywhere")
    if path.is_dir():
        found = _of_folder(path, "")
    elif path.name.lower().endswith(".zip"):
        found = _of_zip(path)
    else:
        found = _of_tar(path)
    return (entry for entry in found if not LEFT_OUT.intersection(PurePosixPath(entry.name).parts))


def _of_folder(folder: Path, above: str) -> Iterator[_Entry]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SubmissionError(f"{above or '.'}: {error.strerror}") from None
    for each in found:
        name, mode = above + each.name, each.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            yield _Entry(name, mode, _empty, os.readlink(each.path))
        elif stat.S_ISDIR(mode):
            yield _Entry(name, mode, _empty)
            yield from _of_folder(Path(each.path), f"{name}/")
        elif stat.S_ISREG(mode):
            yield _Entry(name, mode, _opener(Path(each.path)))
        else:
            raise SubmissionError(f"{name} is neither a file, a folder nor a link")


def _of_zip(path: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            name = info.filename.replace("\\", "/")
            if info.is_dir():
                yield _Entry(name, stat.S_IFDIR, _empty)
            elif stat.S_ISLNK(mode):
                if info.file_size > CHUNK:
                    raise SubmissionError(f"{name} is a link of {info.file_size} octets")
                yield _Entry(name, mode, _empty, os.fsdecode(archive.read(info)))
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                yield _Entry(name, mode, lambda info=info: archive.open(info))  # type: ignore[misc]
            else:
                raise SubmissionError(f"{name} is neither a file, a folder nor a link")


def _of_tar(path: Path) -> Iterator[_Entry]:
    with tarfile.open(path, "r:*", errorlevel=1) as archive:
        for info in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # else a list of each one that it ever read
            if info.isdir():
                yield _Entry(info.name, stat.S_IFDIR, _empty)
            elif info.issym():
                yield _Entry(info.name, stat.S_IFLNK, _empty, info.linkname)
            elif info.isfile():
                content = archive.extractfile(info)
                assert content is not None
                yield _Entry(info.name, stat.S_IFREG | info.mode, lambda content=content: content)  # type: ignore[misc]
            else:
                raise SubmissionError(f"{info.name} is neither a file, a folder nor a symbolic link")


def _inside(name: str) -> PurePosixPath:
    """A path that stays below the place where it is put."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise SubmissionError(f"the path {name!r} leads out of the archive")
    return path


def _write(entry: _Entry, target: Path, left: int) -> int:
    """Writes a file; how many octets may still come."""
    first = b""
    with entry.open() as source, target.open("xb") as file:
        while octets := source.read(CHUNK):
            first = first or octets[:4]
            left -= len(octets)
            if left < 0:
                raise SubmissionError("more octets than its disk has")
            file.write(octets)
    runs = entry.mode & 0o111 or first.startswith(PROGRAMS)
    with contextlib.suppress(OSError):
        target.chmod(0o755 if runs else 0o644)
    return left


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    """Opens a file that is no link, and no pipe that somebody has just put there."""

    def opened() -> IO[bytes]:
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise SubmissionError(f"{path.name}: {error.strerror}") from None

    return opened


def _empty() -> IO[bytes]:
    return open(os.devnull, "rb")
