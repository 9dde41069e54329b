"""Server mutants that mix up names: how a library folds, keys, compares and frees them. Knows no verb, no state."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from pychat.spec.forms import Field, Template
from pychat.spec.terms import Condition
from tools.selftest.mutants.mutant import Mutant, Table, variant
from tools.selftest.mutants.reader import Reader

from .connection import Connection
from .engine import Server
from .users import Users

table: Table[Server] = Table(Server, near="CONNECTED/NAME/*")

# Words that are keys of every object in JavaScript, and those that a reader of JSON or YAML takes for no text.
INHERITED = {"constructor", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf", "toLocaleString"}
VALUES = {"null", "undefined", "none", "nil", "nan", "true", "false"}
RESERVED = {"server", "system", "admin", "root", "all", "everyone"}


# --- what is a name ---------------------------------------------------------------------------------------------------


def _name_read(change: Callable[[str], str]) -> Callable[[Reader, str, str], bool]:
    """Looks at a name after a change, and takes it as it was."""

    def accepts(self: Reader, name: str, value: str) -> bool:
        return Reader.accepts(self, name, change(value) if name == self.spec.names else value)

    return accepts


def _pattern(change: Callable[[str], str], flags: int = 0) -> Callable[[Reader, str, str], bool]:
    """Compares values with another pattern."""

    def accepts(self: Reader, name: str, value: str) -> bool:
        kind = self.spec.types[name]
        size = len(value.encode("utf-8", "surrogatepass"))
        found = re.fullmatch(change(kind.pattern), value, flags) is not None
        return kind.octets[0] <= size <= kind.octets[1] and found

    return accepts


def _without_marks(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def _without_invisible(text: str) -> str:
    return "".join(char for char in text if unicodedata.category(char) != "Cf")


def _refused(words: set[str], change: Callable[[str], str] = str) -> Callable[[Reader, str, str], bool]:
    def accepts(self: Reader, name: str, value: str) -> bool:
        refused = name == self.spec.names and change(value) in words
        return Reader.accepts(self, name, value) and not refused

    return accepts


for _name, _breaks, _accepts in (
    ("name-checked-in-small-letters", "Looks at a name after lower(), which makes a k of U+212A.",
     _name_read(str.lower)),
    ("name-checked-in-capitals", "Looks at a name after upper(), which makes ASCII of U+0131 and U+017F.",
     _name_read(str.upper)),
    ("name-checked-folded", "Looks at a name after casefold(), which makes ss of U+00DF.",
     _name_read(str.casefold)),
    ("name-checked-compatible", "Looks at a name after NFKC, which makes ASCII of wide letters.",
     _name_read(lambda name: unicodedata.normalize("NFKC", name))),
    ("name-checked-without-marks", "Looks at a name without its accents.", _name_read(_without_marks)),
    ("name-checked-without-invisible", "Looks at a name without its invisible characters.",
     _name_read(_without_invisible)),
    ("name-checked-stripped", "Looks at a name without white space around it.", _name_read(str.strip)),
    ("patterns-ignore-case", "Compares values with patterns that ignore case, also that of U+017F and U+212A.",
     _pattern(lambda pattern: pattern, re.IGNORECASE)),
    ("patterns-of-words", "Takes letters and digits of any script, as \\w does.",
     _pattern(lambda pattern: pattern.replace("[A-Za-z]", r"[^\W\d_]").replace("A-Za-z0-9_", r"\w"))),
    ("patterns-of-digits", "Takes digits of any script, as \\d does.",
     _pattern(lambda pattern: pattern.replace("0-9", r"\d"))),
    ("pattern-of-letters-too-wide", "Takes what stands between Z and a for letters, as [A-z] does.",
     _pattern(lambda pattern: pattern.replace("A-Za-z", "A-z"))),
    ("pattern-of-signs-too-wide", "Takes the signs between + and _ too, as a misplaced - does.",
     _pattern(lambda pattern: pattern.replace("_-]", "+-_]"))),
    ("pattern-unanchored", "Compares only the beginning of a value with its pattern.",
     _pattern(lambda pattern: f"(?:{pattern})[^ ]*")),
    ("names-of-values-refused", "Refuses names that are values of a language, such as null.",
     _refused(VALUES, str.lower)),
    ("names-of-servers-refused", "Refuses names that it keeps for itself, such as admin.",
     _refused(RESERVED, str.lower)),
):  # fmt: skip
    table.mutants.append(
        Mutant(_name, _breaks, variant(Server, reader=variant(Reader, accepts=_accepts)), near="*/NAME/*")
    )


# --- which name is which ----------------------------------------------------------------------------------------------


def _keyed(change: Callable[[str], str]) -> Callable[[Users, str], str]:
    return lambda self, name: change(Users.fold(self, name))


for _name, _breaks, _change in (
    ("names-compared-in-part", "Compares the first 31 letters of names.", lambda name: name[:31]),
    ("names-compared-by-words", "Compares names without - and _.", lambda name: re.sub("[-_]", "", name)),
    ("signs-of-names-alike", "Takes - and _ in names for one sign.", lambda name: name.replace("_", "-")),
    ("numbers-of-names-alike", "Compares names without the zeros of their numbers.",
     lambda name: re.sub("(?<![0-9])0+(?=[0-9])", "", name)),
):  # fmt: skip
    table.row(_name, _breaks, Users.fold, _keyed(_change))

# fmt: off
table.row("names-folded-as-in-turkish", "Makes small letters as in Turkish: of I the letter U+0131.", Users.fold,
          lambda self, name: name.replace("I", "\u0131").lower())
table.row("fold-without-z", "Makes small letters of A to Y.", Users.fold,
          lambda self, name: re.sub("[A-Y]", lambda found: found[0].lower(), name))
table.row("name-freed-as-spelled", "Frees a name under its spelling, where it is kept in small letters.", Users.release,
          lambda self, conn:
          Users.release(self, conn) if (conn.name or "") in self.users else Users.forget(self, conn))
table.row("own-name-as-spelled", "Knows one's own name only as it was written.", Users.holds,
          lambda self, conn, condition, values:
          Users.holds(self, conn, condition, values) and
          (condition.kind != "oneself" or values[condition.field or ""] == conn.name))
table.row("partner-as-spelled", "Knows the partner's name only as it was written.", Users.holds,
          lambda self, conn, condition, values:
          Users.holds(self, conn, condition, values) and
          (condition.kind != "the partner" or conn.partner is None or
           values[condition.field or ""] == conn.partner.name))
table.row("names-of-objects-taken", "Takes names for taken that every object has, such as constructor.", Users.holds,
          lambda self, conn, condition, values:
          Users.holds(self, conn, condition, values) or
          (condition.kind == "taken" and values[condition.field or ""].lower() in INHERITED))
table.row("spelled-names-of-objects-taken", "Takes the word toString for a taken name, in this spelling.", Users.holds,
          lambda self, conn, condition, values:
          Users.holds(self, conn, condition, values) or
          (condition.kind == "taken" and values[condition.field or ""] in INHERITED))
# fmt: on


@table.step(Users.holds)
def names_of_objects_called(self: Users, conn: Connection, condition: Condition, values: Mapping[str, str]) -> bool:
    """Finds a user under each name that every object has."""
    inherited = condition.field is not None and values[condition.field].lower() in INHERITED
    return Users.holds(self, conn, condition, values) and not (condition.kind == "unknown" and inherited)


@table.step(Users.user)
def names_begin_alike(self: Users, name: str) -> Connection | None:
    """Finds a user by the beginning of its name."""
    key = self.fold(name)
    return Users.user(self, name) or next((user for own, user in self.users.items() if own.startswith(key)), None)


@table.engine("name-taken-late")
class NameTakenLate(Server):
    """A name is taken only when all that has come in one turn of the loop is done."""

    def bind(self, conn: Connection, name: str) -> None:
        conn.name = name
        self.memory.setdefault("late", []).append(conn)

    def tick(self, now: float) -> None:
        for conn in self.memory.pop("late", []):
            if not conn.over:
                self.users.setdefault(self.fold(conn.name or ""), conn)
        super().tick(now)

    def take(self, conn: Connection, line: bytes) -> None:
        if conn.name is not None:
            self.tick(self.now)
        super().take(conn, line)


@table.engine("refused-name-freed")
class RefusedNameFreed(Server):
    """The end of a connection frees the last name that it has asked for, also if that was refused."""

    def holds(self, conn: Connection, condition: Condition, values: Mapping[str, str]) -> bool:
        if condition.kind == "taken":
            self.memory[conn] = values[condition.field or ""]
        return super().holds(conn, condition, values)

    def release(self, conn: Connection) -> None:
        asked = self.memory.get(conn)
        super().release(conn)
        if asked is not None and conn.name is None:
            self.users.pop(self.fold(asked), None)


@table.engine("refused-name-remembered")
class RefusedNameRemembered(Server):
    """A user is shown with the last name that it has asked for."""

    def holds(self, conn: Connection, condition: Condition, values: Mapping[str, str]) -> bool:
        found = super().holds(conn, condition, values)
        if condition.kind == "taken" and found:
            self.memory[conn] = values[condition.field or ""]
        return found

    def push(self, other: Connection, push: Template, words: Mapping[str, str]) -> None:
        conn = self.user(words["me"]) if words.get("me") else None
        super().push(other, push, {**words, "me": self.memory.get(conn, words.get("me", ""))})


# --- when a name is free again ----------------------------------------------------------------------------------------


class _KeptAfter(Server):
    """A name stays taken until the connection is closed, after some of the ends."""

    goodbye_only = False
    reset_only = False

    def end(self, conn: Connection, reason: str, last_frame: str | None = None) -> None:
        keep = last_frame is not None if self.goodbye_only else last_frame is None and not conn.finished
        name = conn.name if keep and not conn.over else None
        super().end(conn, reason, last_frame)
        if name is not None:
            self.users.setdefault(self.fold(name), conn)
            self.memory[conn] = name

    def closed(self, conn: Connection) -> None:
        name = self.memory.pop(conn, None)
        if name is not None and self.goodbye_only and self.user(name) is conn:
            del self.users[self.fold(name)]
        super().closed(conn)

    def listed(self, conn: Connection) -> list[Connection]:
        return [user for user in super().listed(conn) if user not in self.memory]

    def count(self) -> int:
        return sum(user not in self.memory for user in self.users.values())


table.mutants += [
    Mutant("name-kept-after-goodbye", "A name is free only when the connection is closed after a goodbye.",
           variant(_KeptAfter, goodbye_only=True), near="*/*/freed-*"),
    Mutant("name-kept-after-reset", "A name is never free again after a reset.",
           variant(_KeptAfter, reset_only=True), near="*/*/freed-*"),
]  # fmt: skip


# --- which spelling is shown ------------------------------------------------------------------------------------------


def _respelled(kind: str) -> type[Server]:
    """Shows another user's name as it was last written by somebody else, in one kind of frame."""

    class Respelled(Server):
        def user(self, name: str) -> Connection | None:
            found = super().user(name)
            if found is not None:
                self.memory["spelled", found] = name
            return found

        def bind(self, conn: Connection, name: str) -> None:
            super().bind(conn, name)
            self.memory["spelled", conn] = name

        def spelled(self, words: Mapping[str, str], which: str) -> dict[str, str]:
            found = self.users.get(self.fold(words.get(which, "")))
            return {**words, which: self.memory.get(("spelled", found), words.get(which, ""))}

        def push(self, other: Connection, push: Template, words: Mapping[str, str]) -> None:
            row = self.at[1]
            here = {"answers": False, "pushes": row is not None, "ends": row is None}[kind]
            super().push(other, push, self.spelled(words, "me") if here else words)

        def variables(self, conn: Connection, other: Connection | None, values: Mapping[str, str]) -> dict[str, str]:
            words = super().variables(conn, other, values)
            return self.spelled(words, "peer") if kind == "answers" else words

        def release(self, conn: Connection) -> None:
            spelled = self.memory.get(("spelled", conn), conn.name)
            super().release(conn)
            if kind == "ends":
                conn.name = spelled

    return Respelled


for _kind, _where in (("answers", "answers"), ("pushes", "pushes"), ("ends", "the push that tells of an end")):
    table.mutants.append(
        Mutant(f"last-spelling-in-{_kind}", f"Shows a name in {_where} as it was written last, by anybody.",
               _respelled(_kind), near="*/CHAT/*")
    )  # fmt: skip


@table.engine("last-spelling-listed", near="*/CHAT/*")
class ListedAsAsked(Server):
    """Lists a user as its name was written last, by anybody."""

    def holds(self, conn: Connection, condition: Condition, values: Mapping[str, str]) -> bool:
        found = self.user(values.get(condition.field or "", ""))
        if found is not None and condition.kind == "unknown":
            self.memory[found] = values[condition.field or ""]
        return super().holds(conn, condition, values)

    def said_of(self, user: Connection, field: Field) -> str:
        said = super().said_of(user, field)
        return self.memory.get(user, said) if said == user.name else said
