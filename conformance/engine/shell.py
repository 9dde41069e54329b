"""What a command may not hold, because no shell reads it: said with the word, and with what to write instead."""

from __future__ import annotations

import errno
import glob
import os
import re
import shlex
import shutil

_WORDS = {  # words that mean something to a shell alone
    "&&": "runs one program after another", ";": "ends a command", "|": "joins two programs", "||": "means `or`",
    "&": "starts a program in the background", ">": "writes into a file", ">>": "writes into a file",
    "<": "reads from a file", "2>&1": "joins two outputs", "2>": "writes into a file", "&>": "writes into a file",
}  # fmt: skip
_BUILT_IN = {"cd", "source", ".", "export", "exec", "ulimit", "alias", "set", "eval"}
_SETS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def needs_shell(command: str) -> str:
    """Why a command would need a shell, and what to write; nothing where it needs none."""
    try:
        shown = shlex.shlex(command, posix=False, punctuation_chars=False)  # the quotes stay, so that they protect
        shown.whitespace_split, shown.commenters = True, ""
        words = list(shown)
        first = next(iter(shlex.split(command)), "")
    except ValueError:
        return f"a quote in {command} is not closed"
    instead = f"there is no shell: write sh -c {shlex.quote(command)}"
    if _SETS.fullmatch(first):
        return f"{first} sets a variable, as a shell does; there is no shell: write env {command}"
    if first in _BUILT_IN and shutil.which(first) is None:
        return f"{first} is a word of a shell, and {instead}"
    for word in words:
        bare = word.rstrip(";") if word != ";" else word
        if word in _WORDS:
            return f"{word} {_WORDS[word]} in a shell, and {instead}"
        if word[0] in "'\"" or not bare:
            continue
        if bare != word:
            return f"the ; after {bare} ends a command in a shell, and {instead}"
        if re.match(r"[12&]?>|<", word):
            return f"{word} is a file in a shell, and {instead}"
        if re.search(r"\$[A-Za-z_({]|`", word):
            return f"{word} is filled in by a shell, and {instead}"
        if word.startswith("~"):
            return f"{word} is a folder in a shell: write {os.path.expanduser(word)}"
        if glob.glob(word) and re.search(r"[*?]", word):
            return f"{word} is a pattern in a shell, and {instead}"
    return ""


def not_executed(word: str, error: OSError) -> str:
    """Why a program cannot be executed, and what to do."""
    reason = f"{word} cannot be executed: {error.strerror or error}"
    here = os.path.isfile(word)
    if error.errno == errno.ENOENT and "/" not in word and here:
        return f"{reason}; a file of this name is here: write ./{word}"
    if error.errno == errno.ENOENT and here:
        return f"{reason}; the file is there, so the program in its first line (#!) is missing"
    if error.errno == errno.EACCES and here:
        return f"{reason}; allow it: chmod +x {shlex.quote(word)}{_interpreter(word)}"
    if error.errno == errno.ENOEXEC:
        return f"{reason}; its first line names no program (#!){_interpreter(word)}"
    return reason


def _interpreter(word: str) -> str:
    known = {".py": "python3", ".js": "node", ".rb": "ruby", ".pl": "perl", ".sh": "sh", ".jar": "java -jar"}
    program = known.get(os.path.splitext(word)[1])
    return f", or write {program} {shlex.quote(word)}" if program else ""
