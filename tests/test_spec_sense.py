"""What would load and then be ignored, or fail at its moment, is refused with its place."""

# ruff: noqa: E501  # the faults are a table, one a row

from __future__ import annotations

import pytest

from pychat.spec import SpecError, loads

from .conftest import ROOT, numbered, replaced

TEXTS = {"pychat": (ROOT / "spec" / "pychat.yaml").read_text(), "little": (ROOT / "tests" / "little.yaml").read_text()}
LINKLESS = [
    "answer: yes ring <peer>, do: [link <handle>], partner: {in: IDLE, to: TALKING, push: rung <me>}, rule", "answer: yes ring <handle>, rule",
    "  rung: {wire: 'rung <handle:handle>', doc: Somebody rings.}\n", "", "rung: rings <handle>, ", "",
]  # fmt: skip

# (which spec, what is changed into what …, the line that has the fault holds this, words of the reason)
FAULTS: list[tuple[str, list[str], str, str]] = [
    # The order of the checks
    ("pychat", ["{fault: state, error: wrong-state,", "{fault: state, in: [NAMED], error: wrong-state,"], "faults:", "no entry answers the fault state of WHO in CONNECTED"),
    ("pychat", ["{fault: syntax, error: bad-syntax,", "{fault: syntax, of: [CHAT], error: bad-syntax,"], "faults:", "no entry answers the fault syntax of HELLO in CONNECTED"),
    ("pychat", ["  - {fault: verb,", "  - {fault: verb, in: [NAMED, CONNECTED, PAIRED], error: unknown-verb, rule: R-ERR-3}\n  - {fault: verb,"], "  - {fault: verb, error", "the entries before it answer each verb"),
    ("pychat", ["{fault: verb, error", "{fault: verb, of: [CHAT], error"], "fault: verb, of", "a line with the fault verb names no request"),
    # Values that nobody can fill in
    ("pychat", ["push: PING <number>,", "push: PING,"], "probe:", "PING is written with its fields: PING <token>"),
    ("pychat", ["push: PING <number>,", "push: CALL <number>,"], "probe:", "<number> may be '1', which is not of the type name"),
    ("pychat", ["push: PING <number>,", "push: MSG <number>,"], "PAIRED:", "cannot know what MSG changes"),
    ("little", ["answer: yes list <count>", "answer: yes list 1", "'yes iam <handle:handle>'", "'yes iam <number:number>'"], "outcome: known", "<handle> is of the type handle, where yes iam <number> wants number"),
    ("pychat", ["wire: 'CALL <name:name>'", "wire: 'CALL <token:token>'"], "opened", "<me> is of the type name, where CALL <token> wants token"),
    ("pychat", ["answer: OK WHO <count:count>", "answer: OK WHO <count:name>"], "listed", "<count> may be '0', which is not of the type name"),
    ("pychat", ["answer: OK WHO <count:count>", "answer: OK WHO <count:name>", "match: '[A-Za-z][A-Za-z0-9_-]{0,31}'", "match: '[A-Za-z0-9_-]{1,31}'", "bad: [9lives, -a, _a, ", "bad: ["], "listed", "<count> is no user"),
    ("pychat", ["match: '0|[1-9][0-9]{0,9}'", "match: '[0-9]{1,2}'", "bad: ['00', '-1', x]", "bad: [x]"], "listed", "<count> may be '100'"),
    ("pychat", ["reply: PONG <token>", "reply: NAME <token>"], "  PING: {wire", "<token> is of the type token, where NAME <name> wants name"),
    ("pychat", ["one_of: [left, declined, unanswered, quit, lost, timeout]", "one_of: [left, declined, unanswered, quit, lost]"], "ending:", "<reason> may be 'timeout'"),
    ("pychat", ["answer: OK HELLO <version> <profiles>", "answer: OK HELLO <me> <profiles>"], "greeted", "<me> is of the type name"),
    ("little", ["answer: yes iam <handle>, do", "answer: yes iam <me>, do"], "known", "in NEW a connection may have no name, so <me> has no value"),
    ("pychat", ["sends: CHAT <name>}", "sends: CHAT <token>}"], "chat:", "<token> has no value here"),
    # Items of a list
    ("pychat", ["USER <name:name> <availability:availability>", "USER <name:name> <availability:token>"], "outcome: listed", "no word of token says when it holds"),
    ("pychat", ["one_of: [free, busy]", "one_of: [free, busy, gone]"], "    holds:", "one word of availability is said of all other users"),
    ("pychat", ["holds: {busy: linked}", "holds: {away: linked}"], "    holds:", "away is no word of availability"),
    ("pychat", ["holds: {busy: linked}", "holds: {busy: away}"], "    holds:", "away is neither `linked` nor a relation of users"),
    ("little", ["answer: yes list <count>, do: [list]", "answer: yes list 0"], "outcome: listed", "so it must list"),
    # Rows that are never taken, or have two meanings
    ("pychat", ["- {if: <name> is unknown, error: no-such-user, rule: R-CHAT-2}", "- {if: <name> is unknown, error: no-such-user, rule: R-CHAT-2}\n        - {if: <name> is unknown, error: self-chat, rule: R-CHAT-2}"], "unknown, error: self-chat", "the same condition"),
    ("little", ["echo: [{", "echo: [{if: '<number> is \"0\"', outcome: echoed, answer: echoed <number>, rule: R-RING-1}, {"], "echo: [", "has an outcome echoed already"),
    ("pychat", ["- {if: <name> is taken, error: name-taken", "- {if: no partner, error: name-taken"], "if: no partner, error: name-taken", "in CONNECTED no connection has a partner"),
    # Names
    ("pychat", ["        - {if: <name> is taken, error: name-taken, rule: R-NAME-2}\n", "", "  name-taken: {words: That name is taken., doc: 'Another user has this name, perhaps in another spelling of case.'}\n", ""], "outcome: named", "a user who is taken must be refused"),
    ("little", ["    recv:\n      list: [", "    recv:\n      iam: [{if: <handle> is taken, error: used, rule: R-RING-1}, {outcome: known, answer: yes iam <handle>, do: [bind <handle>], rule: R-RING-1}]\n      list: ["], "      iam: [", "in IDLE a connection may have a name already"),
    ("little", ["do: [unlink, release], partner: {in: TALKING, to: IDLE, push: over <me> hung}", "do: [unlink], partner: {in: TALKING, to: IDLE, push: over <me> hung}"], "bye: [", "so it must release"),
    ("pychat", ["ending: {to: CLOSED, do: [unlink, release]", "ending: {to: CLOSED, do: [unlink]"], "ending:", "unlink and release"),
    # The link
    ("little", LINKLESS, "link:", "no row links two users"),
    ("little", LINKLESS, "hang:", "no partner to tell"),
    ("little", LINKLESS, "say:", "no partner to tell"),
    ("pychat", ["{outcome: listed, answer: OK WHO <count>, do: [list], rule: R-WHO-1}", "{outcome: listed, answer: OK WHO <count>, do: [list], partner: {push: CALL <me>}, rule: R-WHO-1}"], "partner: {push: CALL <me>}", "a push to the partner is that of"),
    ("pychat", ["do: [link <name>]", "do: [link <name>, unlink]"], "outcome: opened", "cannot both link and unlink"),
    ("pychat", ["do: [bind <name>]", "do: [bind <name>, accept]"], "outcome: named", "in CONNECTED no connection has a partner"),
    ("pychat", ["{outcome: confirmed, if: <name> is the partner, answer", "{outcome: confirmed, if: '<name> is \"bob\"', answer"], "outcome: confirmed", "a connection without a partner must be refused"),
    ("pychat", ["do: [relay], partner: {push", "do: [relay], partner: {in: NAMED, push"], "outcome: relayed", "no connection has a partner in NAMED"),
    ("pychat", ["held_in: [PAIRED]", "held_in: [PAIRED, CLOSED]"], "link:", "in CLOSED nothing is counted, timed or linked"),
    ("pychat", ["partner: {push: GONE <me> left}", "partner: {to: CLOSED, push: GONE <me> left}"], "outcome: left", "no other connection can bring it to CLOSED"),
    ("pychat", ["error: self-chat, rule", "error: self-chat, do: [unlink], rule"], "self-chat, do", "a refusal can retract, add and drop, and cannot unlink"),
    ("pychat", ["do: [unlink, release], partner: {push: GONE <me> quit}", "do: [unlink, unlink], partner: {push: GONE <me> quit}"], "outcome: quit", "'unlink' stands twice"),
    # Goodbyes, timers, budgets
    ("pychat", ["words: Too many errors., gone: lost,", "words: Too many errors.,"], "too-many-errors:", "needs a reason (gone)"),
    ("pychat", ["{when: stop, words", "{when: stop, gone: lost, words"], "shutting-down", "when stop, no partner is told"),
    ("pychat", ["idle: 60 s", "idle: 32768 s"], "idle: 32768 s", "Linux takes at most 32767 s"),
    ("pychat", ["interval: 10 s", "interval: 600 min"], "interval: 600 min", "Linux takes at most 32767 s"),
    ("pychat", ["probes: 3", "probes: 128"], "probes: 128", "maximum"),
    ("pychat", ["after: {timers.silence.after}", "after: 100 s"], "probe:", "silence ends the connection before it"),
    ("pychat", ["linger: {since: goodbye, after", "linger: {since: goodbye, in: [NAMED], after"], "linger:", "after the goodbye the state is CLOSED"),
    ("pychat", ["registration: {since: accept, in: [CONNECTED]", "registration: {since: accept, in: [CLOSED]"], "registration:", "in CLOSED nothing is counted, timed or linked"),
    ("pychat", ["{in: [CONNECTED], faults: 5", "{in: [CLOSED], faults: 5"], "faults: 5", "in CLOSED nothing is counted"),
    ("pychat", ["faults: {budgets.NAMED.faults},", "faults: {budgets.NAMED.faults}0000000,"], "faults: {budgets.NAMED.faults}0000000", "maximum"),
    ("pychat", ["uncounted: [MSG]", "uncounted: [PING]"], "uncounted: [PING]", "PING never has the fault state"),
    ("pychat", ["{fault: verb, error: unknown-verb,", "{fault: verb, error: unknown-verb, uncounted: [MSG],"], "unknown-verb, uncounted", "MSG never has the fault verb"),
    ("pychat", ["{push: MSG <text>}", "{push: PING 1}", "  MSG: {wire: 'MSG <text:text>', doc: 'The partner has said a line, octet for octet.'}\n", "", "    MSG: msg <text>\n", ""], "  PING: {wire", "only the push of a timer can want an answer"),
    ("pychat", ["reply: PONG <token>", "reply: LEAVE"], "  PING: {wire", "LEAVE has no place in CONNECTED, where probe wants it"),
    # Types
    ("pychat", ["    good: [t1, '0', '!~\"#']\n", ""], "  token:", "token has no good value"),
    ("pychat", ["  token:\n", "  idle:\n    match: '[a-z]{1,4}'\n    good: [a]\n    doc: No frame has it.\n  token:\n"], "  idle:", "no field is of the type idle"),
    ("pychat", ["forbid: [U+0000..U+0008, U+000A..U+001F, U+007F..U+009F]", "forbid: [U+0000..U+0008]", "bad: [\"bell\\a\", \"esc\\e[2J\", \"\\x7f\", \"\\N\"]", "bad: []"], "    forbid: [U+0000..U+0008]", "a value may hold U+000D, which belongs to the ending CRLF"),
    ("pychat", ["wire: CHAT <name:name>", "wire: CHAT <me:name>"], "wire: CHAT <me:name>", "<me> means something else"),
    ("pychat", ["  token:\n", "  my-token:\n"], "  my-token:", "the key 'my-token' is not of the form"),
    ("pychat", ["'ERR <verb:verb> <code:code> <words:words>'", "'ERR <request:verb> <code:code> <words:words>'"], "refusal:", "<request> has no meaning here; there are verb, code, words, me"),
    # The rules for clients, and the contract
    ("pychat", ["    wire: QUIT\n", "    wire: QUIT <text:text>\n", "quit: {sends: QUIT}", "quit: {sends: QUIT <text>}"], "    wire: QUIT", "so it has no field"),
    ("pychat", ["of: [HELLO, NAME, CHAT, LEAVE]", "of: [HELLO, NAME, CHAT, LEAVE, MSG]"], "one_unanswered", "MSG has no answer to wait for"),
    ("pychat", ["only_if: {PAIRED: {CHAT:", "only_if: {CONNECTED: {CHAT:"], "only_if", "CHAT has no place in CONNECTED"),
    ("pychat", ["may_follow: {MSG: CHAT", "may_follow: {CHAT: MSG"], "may_follow", "MSG has no answer"),
    ("pychat", ["    lost: {doc: 'The connection has ended", "    gone: {doc: 'The connection has ended"], "    gone: {doc", "unknown key gone; there are connected, refused, lost"),
    ("pychat", ["    quit: {sends: QUIT}", "    quit now: {sends: QUIT}"], "    quit now:", "the key 'quit now' is not of the form"),
    # What YAML cuts off
    ("pychat", ["      - a> MSG Hello Bob, how are you?\n", "      - a> MSG Hello Bob # how are you?\n"], "Hello Bob #", "YAML takes ` #` for a comment"),
    ("pychat", ["      - a> MSG Hello Bob, how are you?\n", "      - a> MSG Hello Bob   # how are you?\n"], "Hello Bob   #", "write the step in quotes: YAML cuts it at the comment"),
    ("pychat", ["      - a> MSG Hello Bob, how are you?\n", "      - a> MSG Hello Bob  \n"], "MSG Hello Bob", "write the step in quotes: YAML drops the spaces"),
    ("pychat", ["      - b<|\n", "      - b<|   # gone\n"], "b<|", "write the step in quotes"),
    ("pychat", ["title: PySocket Chat", "title: PySocket # Chat"], "title:", "YAML takes ` #` for a comment"),
    ("pychat", ["    wire: CHAT <name:name>", "    wire: CHAT # <name:name>"], "wire: CHAT #", "YAML takes ` #` for a comment"),
    ("pychat", ["good: [t1, '0', '!~\"#']", "good: [t1 #, '0']\n    ]"], "good: [t1 #", "YAML takes ` #` for a comment"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("which", "changes", "at", "reason"), FAULTS, ids=[f"{row[3][:40]}-{n}" for n, row in enumerate(FAULTS)]
)
def test_what_a_spec_says_in_vain_is_refused(which: str, changes: list[str], at: str, reason: str) -> None:
    """Each fault names the line of the part that makes no sense, and says why."""
    text, at = replaced(TEXTS[which], *changes, count=1), numbered(at)
    with pytest.raises(SpecError) as caught:
        loads(text.encode(), "made.yaml")
    found = [fault for fault in caught.value.faults if reason in fault.reason]
    assert found, str(caught.value)
    lines = [text.split("\n")[fault.place.line - 1] for fault in found]
    assert any(at in line for line in lines), f"{found[0]}: {lines}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port: {transport.port}", "port: {transport.port} "),
        ("title: PySocket Chat\n", "title: PySocket Chat  # the title\n"),
        (
            "      - a> MSG Hello Bob, how are you?\n      - b< MSG Hello Bob, how are you?",
            "      - 'a> MSG Hello # Bob'\n      - 'b< MSG Hello # Bob'",
        ),
    ],
)
def test_what_only_looks_like_it_is_accepted(old: str, new: str) -> None:
    """A comment that is set off, and a text in quotes."""
    assert loads(replaced(TEXTS["pychat"], old, new, count=1).encode())
