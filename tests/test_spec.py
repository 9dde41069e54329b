"""The loader refuses every fault of a spec with its file, line, column and reason."""

# ruff: noqa: E501  # the faults are a table, one a row

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from pychat.spec import SpecError, load, loads, schema, shipped
from pychat.spec.reading import LARGEST, MOST

from .conftest import ROOT, SPEC_FILE, numbered, replaced

TEXT = SPEC_FILE.read_text()

# (what is changed, into what, where the fault is: the line that holds this text, words of the reason)
FAULTS = [
    ("protocol: pychat\n", "protocol: pychat\nprotocol: pychat\n", "protocol: pychat", "the key protocol stands twice"),
    ("title: PySocket Chat", "titel: PySocket Chat", "titel:", "unknown key titel"),
    ("title: PySocket Chat\n", "", "protocol: pychat", "title is missing"),
    ("title: PySocket Chat", "title: no", "title: no", "truth value; write 'no'"),
    ("title: PySocket Chat", "title: on", "title: on", "truth value"),
    ("title: PySocket Chat", "title: 12:30", "title: 12:30", "base 60"),
    ("title: PySocket Chat", "title: 0777", "title: 0777", "number"),
    ("title: PySocket Chat", "title: 1e3", "title: 1e3", "number"),
    ("title: PySocket Chat", "title: 2026-01-01", "title: 2026-01-01", "date"),
    ("title: PySocket Chat", "title: ~", "title: ~", "nothing at all"),
    ("title: PySocket Chat", "title:", "title:", "there is no value"),
    ("title: PySocket Chat", "title: &t PySocket Chat", "&t", "anchors"),
    ("title: PySocket Chat", "title: !x PySocket Chat", "!x", "tags are not allowed"),
    ("title: PySocket Chat", "title: [", "requests", "not YAML"),
    ("title: PySocket Chat", "title: {}", "title: {}", "must be a text"),
    ("version: 1\ndoc", "version: one\ndoc", "version: one", "must be a whole number"),
    ("port: {transport.port} ", "port: 70000 ", "port: 70000", "maximum"),
    ("after: {timers.registration.after}, goodbye", "after: 30, goodbye", "after: 30, goodbye", "must be a text"),
    ("after: {timers.registration.after}, goodbye", "after: 30 h, goodbye", "after: 30 h", "not of the form"),
    ("verb: '[A-Z]+'", "verb: '[A-Z'", "verb: '[A-Z'", "not a regular expression"),
    ("accepts: [LF, CRLF]", "accepts: [CRLF]", "accepts: [CRLF]", "LF must be accepted: it is written"),
    ("writes: LF\n  accepts: [LF, CRLF]", "writes: CRLF\n  accepts: [CRLF]", "accepts: [CRLF]", "LF must be accepted: a line ends there"),
    ("writes: LF\n  accepts: [LF, CRLF]", "writes: CRLF\n  accepts: [LF]", "accepts: [LF]", "CRLF must be accepted: it is written"),
    ("match: '[!-~]{1,64}'", "match: '[!-~]+'", "match: '[!-~]+'", "no bounds"),
    ("match: '[!-~]{1,64}'", "match: '['", "match: '['", "not a regular expression"),
    ("match: '[!-~]{1,64}'", "match: '(?P<count>[!-~]{1,64})'", "match: '(?P<count>", "a group begins with ( or (?:"),
    ("match: '[!-~]{1,64}'", "match: '(?i)[a-z]{1,64}'", "match: '(?i)", "a group begins with ( or (?:"),
    ("match: '[!-~]{1,64}'", "match: '(?u)[a-z]{1,64}'", "match: '(?u)", "a group begins with ( or (?:"),
    ("match: '[!-~]{1,64}'", "match: '(?i:[a-z]{1,64})'", "match: '(?i:", "a group begins with ( or (?:"),
    ("match: '[!-~]{1,64}'", "match: '[!-~]{0,99999999999}'", "99999999999", "with at most 4 digits"),
    ("match: '[!-~]{1,64}'", "match: '([!-~])\\1'", "match: '([!-~])", "not the same for all programs"),
    ("match: '[!-~]{1,64}'", "match: '[!-~]{1,64}$'", "}$'", "$ has no place"),
    ("match: '[!-~]{1,64}'", "match: '(?!x)[!-~]{1,64}'", "(?!x)", "a group begins with ( or (?:"),
    ("match: '[!-~]{1,64}'", "match: '\\w{1,64}'", "\\w", "not the same for all programs"),
    ("match: '[!-~]{1,64}'", "match: '[[a-z]{1,64}'", "[[a-z]", "programs differ about a [ in a class"),
    ("match: '[!-~]{1,64}'", "match: '(([A-Za-z0-9_-])+)+'", "match: '(([A-Za", "([A-Za-z0-9_-])+ may go on with it, or end before it"),
    ("match: '[!-~]{1,64}'", "match: '(a?){30}a{30}'", "match: '(a?)", "repeats something that may be empty"),
    ("verb: '[A-Z]+'", "verb: '([A-Z]+)+'", "verb: '([A-Z", "both [A-Z] and [A-Z] take 'A'"),
    ("match: '[!-~]{1,64}'", "match: '[ -~]{1,64}'", "match: '[ -~]", "only the rest of a line may hold a space"),
    ("match: '[!-~]{1,64}'", "match: '[^x]{1,64}'", "match: '[^x]", "only the rest of a line may hold a space"),
    ("    rest_of_line: true\n    octets: 1..{types.text.octets.most}\n", "    octets: 1..{types.text.octets.most}\n", "forbid: [U+0000..U+0008", "only the rest of a line may hold a space"),
    ("verb: '[A-Z]+'", "verb: '(?i)[A-Z]+'", "verb: '(?i)", "a group begins with ( or (?:"),
    ("    octets: 1..{types.text.octets.most}\n", "    octets: 1..{types.text.octets.most}000000000\n", "octets: 1..{types.text.octets.most}000000000", "not of the form"),
    ("after: {timers.registration.after}, goodbye", "after: 30000000000 s, goodbye", "after: 30000000000 s", "not of the form"),
    ("port: {transport.port} ", f"port: {'9' * 5000} ", "port: 999", "must be a whole number"),
    ("title: PySocket Chat", f"title: {'[' * 20_000}", "title: [[[", "nested too deeply"),
    ("    octets: 1..{types.text.octets.most}\n", "    octets: 9..1\n", "octets: 9..1", "least"),
    ("    octets: 1..{types.text.octets.most}\n", "", "text:", "needs octets"),
    ("    octets: 1..{types.text.octets.most}\n", "    octets: 1..999999\n", "wire: MSG", "more than {framing.max_octets} octets"),
    ("good: [a, Zoe, alice, B-2_x]", "good: [a, Z.]", "good: [a, Z.]", "'Z.' is not of the type name"),
    ("  self-chat: {words", "  '': {words", "'': {words", "the key '' is not of the form"),
    ("bad: [9lives,", "bad: [nine,", "bad: [nine,", "'nine' is of the type name"),
    ("U+007F..U+009F]\n    good: [hi", "U+009F..U+007F]\n    good: [hi", "U+009F..U+007F", "no range"),
    ("forbid: [U+0000..U+0008, U+000A", "forbid: [U+0000..U+000A, U+000A", "forbid: [U+0000", "U+000A is forbidden twice"),
    ("protocol: pychat\n", 'protocol: "pychat\\n"\n', "protocol:", "not of the form"),
    ("title: PySocket Chat", 'title: "a\\e[2Jb"', "title:", "the character U+001B may stand in good, bad and steps alone"),
    ("    one_of: [free, busy]\n", "    one_of: [free, busy]\n    match: x\n", "one_of: [free", "exclude each other"),
    ("wire: NAME <name:name>", "wire: NAME <name:nam>", "<name:nam>", "there is no type nam"),
    ("wire: NAME <name:name>", "wire: name <name:name>", "wire: name", "begins with a verb"),
    ("wire: NAME <name:name>", "wire: NAMES <name:name>", "wire: NAMES", "must begin with it"),
    ("wire: NAME <name:name>", "wire: NAME  <name:name>", "wire: NAME  ", "neither a word nor a field"),
    ("wire: NAME <name:name>", "wire: NAME <text:text> x", "<text:text> x", "must be the last field"),
    ("wire: HELLO <version:version>", "wire: HELLO <version:version> <version:token>", "<version:token>", "same name"),
    ("'ERR <verb:verb> <code:code> <words:words>'", "'ERR <verb:verb> <words:words>'", "refusal:", "it needs the field <code:…>"),
    ("reply: PONG <token>", "reply: PANG <token>", "PANG", "does not fit"),
    ("error: user-busy,", "error: user-bisy,", "user-bisy", "there is no error user-bisy"),
    ("  self-chat: {words", "  not-used: {words: X, doc: X}\n  self-chat: {words", "not-used:", "no row and no fault has"),
    ("to: NAMED, answer", "to: NAMD, answer", "to: NAMD", "there is no state NAMD"),
    ("rule: R-CHAT-4}", "rule: R-CHAT-99}", "R-CHAT-99", "there is no rule R-CHAT-99"),
    ("{error: already-paired, do: [retract], rule: R-CHAT-6}", "{error: already-paired, if: no partner, rule: R-CHAT-6}",
     "already-paired, if", "the last outcome of CHAT has a condition"),
    ("{if: no partner, error: partner-gone,", "{error: partner-gone,", "{error: partner-gone", "never reached"),
    ("if: <name> is taken", "if: <nme> is taken", "<nme> is taken", "has no field nme"),
    ("if: <name> is taken", "if: <name> is tired", "is tired", "not of the form"),
    ("""'<version> is not "1"'""", """'<version> is not "x"'""", 'not "x"', "not of the type version"),
    ("""'<version> is not "1"'""", "<version> is taken", "<version> is taken", "names no user"),
    ("answer: OK CHAT <peer>, do: [link", "answer: OK CHAT <pear>, do: [link", "<pear>", "has no value here"),
    ("answer: OK CHAT <peer>, do: [link", "answer: OK CHAT, do: [link", "OK CHAT, do", "OK CHAT is written with its fields: OK CHAT <name>"),
    ("to: NAMED, answer: OK NAME <name>, do", "to: NAMED, do", "outcome: named", "has the answer"),
    ("{outcome: heard, rule", "{outcome: heard, answer: PONG x, rule", "outcome: heard", "has no answer"),
    ("{outcome: heard, rule", "{outcome: heard, error: bad-syntax, rule", "outcome: heard", "it has either error or outcome"),
    ("error: self-chat, rule", "error: self-chat, to: NAMED, rule", "self-chat, to", "a refusal has no to"),
    ("do: [link <name>]", "do: [link]", "do: [link]", "not of the form"),
    ("to: PAIRED, answer: OK CHAT <peer>", "to: NAMED, answer: OK CHAT <peer>", "outcome: opened", "holds the link"),
    ("do: [relay], partner: {push: MSG <text>},", "do: [relay],", "do: [relay]", "what happens to the partner is missing"),
    ("    final: true\n", "    final: true\n    recv: {}\n", "recv: {}", "a final state receives nothing"),
    ("    final: true\n", "", "states:", "exactly one state is final, not 0"),
    ("  CLOSED:\n    final", "  AWAY:\n    doc: Away.\n  CLOSED:\n    final", "  AWAY:", "no request leads to the state AWAY"),
    ("      WHO:\n        - {outcome: listed", "      WHOM:\n        - {outcome: listed", "WHOM:", "there is no request WHOM"),
    ("  QUIT:\n    - {outcome: quit, to: CLOSED, ", "  QUIT:\n    - {outcome: quit, to: CONNECTED, ", "  CONNECTED:", "leads from CONNECTED to CLOSED"),
    ("      LEAVE:\n", "      PING: [{outcome: answered, answer: PONG <token>, rule: R-PING-1}]\n      LEAVE:\n", "      PING:", "has its outcomes under always"),
    ("        - {if: <name> is unknown, error: no-such-user, rule: R-CHAT-2}\n", "", "outcome: opened", "a user who is unknown must be refused"),
    ("        - {if: <name> is oneself, error: self-chat, rule: R-CHAT-3}\n", "", "outcome: opened", "a user who is oneself must be refused"),
    ("        - {if: <name> is linked, error: user-busy, rule: R-CHAT-4}\n", "", "outcome: opened", "a user who is linked must be refused"),
    ("partner: {in: NAMED, to: PAIRED,", "partner: {in: CONNECTED, to: PAIRED,", "outcome: opened", "may be in NAMED, and this does not"),
    ("partner: {in: NAMED, to: PAIRED,", "partner: {to: PAIRED,", "outcome: opened", "may be in NAMED, and this does not"),
    ("do: [unlink, 'drop missed(me, *)'], partner: {push: GONE <me> left}", "partner: {push: GONE <me> left}", "outcome: left", "so it must unlink"),
    ("do: [relay], partner: {push", "do: [relay], partner: {to: NAMED, push", "outcome: relayed", "so it must unlink"),
    ("held_in: [PAIRED]", "held_in: [PARED]", "held_in: [PARED]", "there is no state PARED"),
    ("uncounted: [MSG]", "uncounted: [MSSG]", "uncounted: [MSSG]", "there is no request MSSG"),
    ("- {fault: verb, error", "- {fault: syntax, error", "fault: syntax, error: bad", "the entries before it answer each syntax"),
    ("{in: [NAMED, PAIRED], faults: {budgets.NAMED.faults}", "{in: [CONNECTED, PAIRED], faults: {budgets.NAMED.faults}", "faults: {budgets.NAMED.faults}", "has a budget already"),
    ("NAME, CHAT, LEAVE]", "NAME, CHAT, LEAF]", "NAME, CHAT, LEAF]", "there is no request LEAF"),
    ("{CHAT: <name> is the partner}", "{CHAT: <name> is taken}", "only_if:", "a client cannot know that"),
    ("may_follow: {MSG: CHAT", "may_follow: {MSG: CALL", "may_follow:", "there is no request CALL"),
    ("push: PING <number>,", "push: PUNG <number>,", "push: PUNG", "does not fit"),
    ("after: {timers.probe.after}, push: PING <number>,", "after: {timers.probe.after},", "probe:", "exactly one of goodbye, gone and a row"),
    ("queue_mark: {octets:", "queue_mark: {seconds:", "queue_mark:", "octets is missing"),
    ("queue_stop: {octets: {limits.queue_stop.octets}", "queue_stop: {octets: 1024", "queue_stop:", "must not be below queue_mark"),
    ("{when: full, words", "{words", "server-full:", "nothing leads to the goodbye server-full"),
    ("A frame MUST be one line", "A frame is one line", "R-FRAME-1:", "must say MUST"),
    ("rules: [R-WHO-1]", "rules: [R-WHO-9]", "rules: [R-WHO-9]", "there is no rule R-WHO-9"),
    ("      - a> HELLO 2\n", "      - a? HELLO 2\n", "a? HELLO 2", "not of the form"),
    ('a> "MSG \\xff\\n"', 'a> "MSG \\xff', 'a> "MSG', "double quotes"),
    ("sends: CHAT <name>}", "sends: CHATS <name>}", "sends: CHATS", "does not fit"),
    ("OK NAME: named <name>", "OK NAMES: named <name>", "OK NAMES:", "no reply begins with"),
    ("OK NAME: named <name>", "OK NAME: named <nom>", "named <nom>", "has no field nom"),
    ("item: USER <name:name>", "item: PAIRED <name:name>", "    USER:", "no reply begins with USER"),
    ("answer: OK LEAVE\n", "answer: OK CHAT\n", "  LEAVE:", "does not fit"),
    ("  PING:\n    wire: PING", "  PING:\n    profile: tls\n    wire: PING", "profile: tls", "there is no profile tls"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "reason"), FAULTS, ids=[f"{row[3][:30]}-{row[1][:20]}" for row in FAULTS])
def test_a_fault_is_refused_with_its_place_and_reason(old: str, new: str, at: str, reason: str) -> None:
    """Each fault names its line; the words say what is wrong."""
    text, at, reason = replaced(TEXT, old, new, count=1), numbered(at), numbered(reason)
    with pytest.raises(SpecError) as caught:
        loads(text.encode(), "broken.yaml")
    found = [fault for fault in caught.value.faults if reason in fault.reason]
    assert found, f"{reason!r} is not among {[str(fault) for fault in caught.value.faults]}"
    if "not YAML" not in reason and "does not fit" not in reason:
        line = text.splitlines()[found[0].place.line - 1]
        assert at in line or line.strip().rstrip(":") in at or at.split(":")[0] in line, f"{found[0]}: {line}"
    assert str(found[0]).startswith(f"broken.yaml:{found[0].place.line}:{found[0].place.column}: ")


def test_verbs_of_any_case_are_written_in_capitals() -> None:
    """They are known by their capitals, so a small one would never be found."""
    text = replaced((ROOT / "tests" / "little.yaml").read_text(), "verb: '[a-z]+'", "verb: '[a-z]+', case: any")
    with pytest.raises(SpecError, match="a verb of any case is known by its capitals, RING: write it so"):
        loads(text.encode(), "small.yaml")


@pytest.mark.parametrize("loader", ["C", "Python"])
@pytest.mark.parametrize("block", ["[", "- ", "? ", "a: {", "[{a: ", "[\n", "[&a "])
@pytest.mark.parametrize("end", ["", "@"], ids=["cut-off", "no-yaml"])
def test_depth_is_refused_in_our_words(block: str, end: str, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the version of PyYAML says of it, with libyaml and without: the 51st block is blamed."""
    if loader == "Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    for times in (60, 1100, 20_000):
        with pytest.raises(SpecError) as caught:
            loads(f"{block * times}{end}".encode(), "deep.yaml")
        (fault,) = caught.value.faults
        assert fault.reason == "nested too deeply: more than 50 blocks"
        assert fault.place.line == (51 if block == "[\n" else 1)


def test_several_faults_are_shown_at_once() -> None:
    """One check shows all faults of a stage, in the order of the file."""
    text = TEXT.replace("error: user-busy,", "error: x-y,").replace("to: NAMED, answer", "to: NAMD, answer", 1)
    with pytest.raises(SpecError) as caught:
        loads(text.encode())
    assert len(caught.value.faults) >= 2
    assert caught.value.faults == sorted(caught.value.faults)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [(b"", "empty"), (b"\xff", "UTF-8"), (b"- 1\n", "must be a mapping"), (b"? [a]\n: 1\n", "a key")],
)
def test_what_is_no_mapping_is_refused(octets: bytes, reason: str) -> None:
    """A file that is not even a table has a place too."""
    with pytest.raises(SpecError, match=reason):
        loads(octets)


MALFORMED = [
    (b"a: 1\nb\xc3\xa9: \x1b[31m", "x:2:5: the character U+001B may not stand"),
    (b"a: \0", "x:1:4: the character U+0000"),
    ("a: b\u2028c: d".encode(), "x:1:5: the character U+2028"),
    ("a: 'b\x85'".encode(), "x:1:6: the character U+0085"),
    ("a: b\ufeff".encode(), "x:1:5: the character U+FEFF"),
    ("a: b\ufffe".encode(), "x:1:5: the character U+FFFE"),
    (b"a: 1\rb: 2\r", "x:1:5: the character U+000D"),
    (b"a: \xed\xa0\x80", "x:1:4: not valid UTF-8"),
    ("é: é".encode() + b"\xff", "x:1:5: not valid UTF-8"),
    ("a: b".encode("utf-16"), "x:1:1: not valid UTF-8"),
    ("a: b".encode("utf-16-le"), "x:1:2: the character U+0000"),
    (b"# " + b"x" * LARGEST, "x:1:1: too large: a file has at most 1048576 octets"),
    (b"[" + b"1," * MOST + b"]", "too large: more than 20000 values"),
    (b"- " * 100 + b"a", "x:1:101: nested too deeply"),
    (b"{a: " * 100, "x:1:201: nested too deeply"),
    (b"".join(b" " * depth + b"a:\n" for depth in range(100)), "x:51:51: nested too deeply"),
    (b"a: &a [x, x]\nb: &b [*a, *a]", "x:2:8: anchors and aliases are not allowed (&a)"),
    (b"a: !!str 1", "x:1:4: tags are not allowed: tag:yaml.org,2002:str"),
    (b"a: !!python/object/apply:os.system [x]", "x:1:4: tags are not allowed"),
    (b"a: !x {b: c}", "x:1:4: tags are not allowed: !x"),
    (b"%TAG ! tag:x,2000:\n---\na: !y 1", "x:3:4: tags are not allowed: tag:x,2000:y"),
    (b"<<: {a: b}", "x:1:1: unknown key <<"),
    (b"a: 1\n---\nb: 2", "x:2:1: not YAML: but found another document"),
    (b'a: "\\ud800"', "x:1:4: half of a surrogate pair is no character"),
    (b"1: a\n'1': b", "x:2:1: the key 1 stands twice; the first is in line 1"),
]


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])  # the second one where there is no libyaml
@pytest.mark.parametrize(("octets", "fault"), MALFORMED, ids=[ascii(row[0][:20]) for row in MALFORMED])
def test_what_yaml_could_make_too_much_of_is_refused_at_its_place(
    octets: bytes, fault: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Characters that no program should obey, lines that programs count differently, and values without bounds."""
    if loader == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif b"ud800" in octets:
        fault = "not YAML: "  # libyaml has words of its own for it
    with pytest.raises(SpecError) as caught:
        loads(octets, "x")
    assert any(fault in str(found) for found in caught.value.faults), caught.value


@pytest.mark.parametrize("octets", [b"\xef\xbb\xbf" + TEXT.encode(), TEXT.replace("\n", "\r\n").encode()])
def test_what_editors_write_on_windows_is_read(octets: bytes) -> None:
    """A byte order mark at the beginning, and lines that end in CRLF."""
    assert loads(octets).states == shipped().states


def test_a_file_that_may_never_end_is_not_read(tmp_path: Path) -> None:
    """A pipe without a writer, a device without an end, a directory; and of a long file only so much as is allowed."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            load(path)
    with (tmp_path / "long.yaml").open("wb") as long:
        long.truncate(1 << 40)  # it takes no room
    with pytest.raises(SpecError, match="too large"):
        load(tmp_path / "long.yaml")


HOSTILE = "\x1b[2J\u202e\u2028\x85\x7f\u2066\ufeff"
ESCAPED = HOSTILE.encode("unicode_escape").decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: PySocket Chat", "title: !<%1B%5B2J%E2%80%AE> x"),
        ("title: PySocket Chat", "title: &a\u202e x"),
        ("title: PySocket Chat", f'"titl{ESCAPED}": x'),
        ("title: PySocket Chat", f'title: "{ESCAPED}"'),
        ("title: PySocket Chat", f'title: ["{ESCAPED}"]'),
        ("title: PySocket Chat", f'"{ESCAPED}": 1\n"{ESCAPED}": 2'),
        ("wire: WHO\n", f'wire: "WHO {ESCAPED}"\n'),
        ("wire: NAME <name:name>", f'wire: "{ESCAPED} <name:name>"'),
        ("match: '[!-~]{1,64}'", f'match: "[{ESCAPED}]+(?"'),
        ("match: '[!-~]{1,64}'", f'match: "([{ESCAPED}]+)+"'),
        ("good: [t1,", f'good: ["{ESCAPED}",'),
        ("error: user-busy,", f'error: "{ESCAPED}",'),
        ("      - a> HELLO 2\n", f'      - "a? {ESCAPED}"\n'),
        ("after: {timers.registration.after}, goodbye", f'after: "{ESCAPED}", goodbye'),
    ],
)
def test_what_a_fault_quotes_is_shown_and_never_obeyed(old: str, new: str) -> None:
    """No octet of a file reaches a terminal as one that it obeys, and a fault is one line."""
    with pytest.raises(SpecError) as caught:
        loads(replaced(TEXT, old, new, count=1).encode(), f"sp{HOSTILE}ec.yaml")
    for fault in caught.value.faults:
        assert not any(char in str(fault) for char in HOSTILE if not char.isprintable()), fault
        assert "sp\\x1b[2J\\u202e\\u2028\\x85\\x7f\\u2066\\ufeffec.yaml:" in str(fault)
        assert len(str(fault).splitlines()) == 1


def test_a_long_fault_is_cut() -> None:
    """What is quoted may be as long as a file."""
    with pytest.raises(SpecError) as caught:
        loads(b"k" * 1_000_000 + b": 1")
    assert all(len(str(fault)) < 1200 for fault in caught.value.faults)


def test_a_long_list_is_checked_in_few_steps() -> None:
    """Texts beside numbers have no order, and comparing each with each would take minutes."""
    words = ", ".join(f"{number}, a{number}" for number in range(4000))
    with pytest.raises(SpecError) as caught:
        loads(TEXT.replace("one_of: [free, busy]", f"one_of: [{words}, a1]").encode())
    assert "'a1' stands twice" in [fault.reason for fault in caught.value.faults]


def test_the_shipped_spec_is_clean_and_the_trusted_way_reads_the_same() -> None:
    """`shipped` skips the check of the shape, so the check is done here."""
    checked = load(SPEC_FILE)
    assert checked.sha256 == shipped().sha256
    assert checked.states == shipped().states


def test_the_schema_is_one_and_knows_the_shipped_spec() -> None:
    """An editor that uses the schema sees what the loader sees."""
    Draft202012Validator.check_schema(schema())
    Draft202012Validator(schema()).validate(yaml.safe_load(TEXT))
    assert all(
        pattern.startswith("^") and pattern.endswith("$")
        for pattern in re.findall(r'"pattern": "(.*?)"[,}]', json.dumps(schema()))
    )


def test_the_little_spec_is_clean(tmp_path: Path) -> None:
    """The language is for protocols of this kind, not for this one."""
    assert load(Path(__file__).parent / "little.yaml").protocol == "ring"
