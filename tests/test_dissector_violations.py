"""Conversations that break the spec, and conversations that only seem to."""

from __future__ import annotations

from pathlib import Path

from tools.dissector.rules import VIOLATIONS

from .dissection import Tshark, by_stream, chat, written
from .segments import Capture

# One connection each: `>` the client says, `<` the server; after `!`, the violations that the line must be blamed for.
NAMED = ["> NAME a", "< OK NAME a"]
CALLING = [*NAMED, "> CHAT b", "< OK CHAT b"]
PAIRED = [*CALLING, "< ACCEPTED b"]
CALLED = [*NAMED, "< CALL b"]
FAULT = ["> x ! bad-syntax", "< ERR * bad-syntax x"]
CASES: dict[str, list[str]] = {
    "nothing is wrong": [
        *PAIRED, "> MSG x", "< MSG y", "> LEAVE", "< GONE b left", "< OK LEAVE", "> QUIT", "< OK QUIT",
    ],
    "a line may follow its call": [*NAMED, "> CHAT b", "> MSG x", "< OK CHAT b"],
    "a line before the call is accepted is refused": [*CALLED, "> MSG x", "< ERR MSG not-accepted x"],
    "a call is declined": [*CALLING, "> MSG x", "< GONE b declined", "> LEAVE", "< OK LEAVE"],
    "a call is not answered": [*CALLING, "< GONE b unanswered", "> LEAVE", "< OK LEAVE"],
    "the called end does not answer": [*CALLED, "< MSG x", "< GONE b unanswered", "> LEAVE", "< OK LEAVE"],
    "the caller hangs up": [*CALLED, "< GONE b left"],
    "a caller quits": [*CALLED, "< GONE b quit"],
    "the called user is lost": [*CALLING, "< GONE b lost"],
    "a call is missed": [*PAIRED, "< MISSED c", "< MISSED d", "< GONE b left", "< MISSED e"],
    "an answer is taken back and given again": [
        *CALLED, "> CHAT b", "< OK CHAT b", "> CHAT c ! not-allowed", "< ERR CHAT already-paired x",
        "> MSG x", "< ERR MSG not-accepted x", "> CHAT b", "< OK CHAT b", "> MSG x", "< MSG y",
    ],
    "calls cross": [*NAMED, "> CHAT c", "< CALL b", "< ERR CHAT already-paired x"],
    "a call crosses the push of another one": [*CALLED, "> CHAT c", "< ERR CHAT already-paired x"],
    # what clients do wrong
    "no place in the state": [*NAMED, "> LEAVE ! wrong-state", "< ERR LEAVE wrong-state x"],
    "too early": ["> NAME a", "> PING t", "> WHO ! early", "< OK NAME a", "< PONG t", "< USER a free", "< OK WHO 1"],
    "two unanswered": [*PAIRED, "> LEAVE", "> LEAVE ! one-unanswered"],
    "a call while paired": [*PAIRED, "> CHAT c ! not-allowed", "< ERR CHAT already-paired x"],
    "no end of the line": ["> " + "x" * 4096 + " ! line-too-long", "> PING t", "< BYE line-too-long x"],
    "the longest line": ["> PING " + "x" * 4090 + " ! bad-syntax", "< ERR PING bad-syntax x"],
    "all faults of the budget": [*FAULT * 5, "< BYE too-many-errors x"],
    # what servers do wrong
    "an answer against the table": ["> WHO ! wrong-state", "< OK WHO 0 ! wrong-outcome"],
    "an answer to nothing": [*NAMED, "< PONG t ! unexpected-answer"],
    "an answer twice": [*NAMED, "< OK NAME a ! unexpected-answer wrong-outcome"],
    "answers in another order": [
        *NAMED, "> WHO", "> PING t", "< PONG t ! out-of-order", "< USER a free", "< OK WHO 1",
    ],
    "another token": ["> PING t1", "< PONG t2 ! wrong-value"],
    "another spelling": ["> NAME a", "< OK NAME A ! wrong-value"],
    "another count": [*NAMED, "> WHO", "< USER a free", "< OK WHO 2 ! wrong-value"],
    "a push between items": [
        *NAMED, "> WHO", "< USER a free", "< CALL b ! interrupted", "< USER b busy", "< OK WHO 2",
    ],
    "another outcome": [*NAMED, "> CHAT A", "< OK CHAT A ! wrong-outcome"],
    "refused for nothing": ["> PING t", "< ERR PING bad-syntax x ! wrong-outcome"],
    "refused otherwise": ["> NAME 1 ! bad-syntax", "< ERR NAME name-taken x ! wrong-outcome"],
    "refused though accepted": [*PAIRED, "> MSG x", "< ERR MSG not-accepted x ! wrong-outcome"],
    "accepted though faulty": ["> NAME 1 ! bad-syntax", "< OK NAME a ! wrong-outcome wrong-value"],
    "called without a name": ["< CALL b ! wrong-push"],
    "a line without a chat": [*NAMED, "< MSG x ! wrong-push"],
    "a line of somebody gone": [*PAIRED, "< GONE b left", "< MSG x ! wrong-push"],
    "a line before the partner has answered": [*CALLING, "< MSG x ! wrong-push"],
    "the partner answers twice": [*PAIRED, "< ACCEPTED b ! wrong-push"],
    "somebody else answers": [*CALLING, "< ACCEPTED c ! wrong-push"],
    "the caller answers": [*CALLED, "< ACCEPTED b ! wrong-push"],
    "declined after the answer": [*PAIRED, "< GONE b declined ! wrong-push"],
    "left before the answer": [*CALLING, "< GONE b left ! wrong-push"],
    "unanswered after the partner's answer": [*PAIRED, "< GONE b unanswered ! wrong-push"],
    "unanswered after this end's answer": [*CALLED, "> CHAT b", "< OK CHAT b", "< GONE b unanswered ! wrong-push"],
    "declined as a caller": [*CALLED, "< GONE b declined ! wrong-push"],
    "a missed call without a chat": [*NAMED, "< MISSED c ! wrong-push"],
    "somebody else is gone": [*PAIRED, "< GONE c left ! wrong-push"],
    "codes of no table": ["> PING t", "< ERR PING so-so x ! unknown-code", "< BYE so-so x ! unknown-code"],
    "frames of no table": ["< HI there ! unknown-frame", "< OK ! unknown-frame"],
    "a field too many": ["> PING t", "< PONG t t ! bad-syntax"],
    "more after the end": ["> QUIT", "< OK QUIT", "< PING t ! after-the-end"],
    "more after the goodbye": ["< BYE timeout x", "< PING t ! after-the-end"],
    "a goodbye too early": [*FAULT * 4, "< BYE too-many-errors x ! early-goodbye"],
    "no goodbye": [*FAULT * 5, "> x ! bad-syntax", "< ERR * bad-syntax x ! missing-goodbye"],
    "another ending": ["> PING t\r", "< PONG t\r ! wrong-ending"],
    "no end of the server's line": ["< " + "x" * 4096 + " ! line-too-long", "> PING t", "< PONG t"],
}  # fmt: skip


def test_whatever_breaks_the_spec_is_named(shark: Tshark, tmp_path: Path) -> None:
    """Its line, whose fault it is and the code, with an expert information of that name; and nothing else is blamed."""
    capture = Capture()
    wanted: dict[str, list[tuple[str, str, list[str]]]] = {}
    for number, (name, lines) in enumerate(CASES.items(), 1):
        flow = capture.flow(shark.spec.transport.port, server=number).open()
        for line in lines:
            text, _, blamed = line[2:].partition(" ! ")
            (flow.client if line[0] == ">" else flow.server)(text)
            side = "client" if line[0] == ">" else "server"
            wanted.setdefault(name, []).append((side, text.rstrip("\r"), sorted(blamed.split())))
    streams = by_stream(shark.frames(written(capture, tmp_path)))
    for stream, name in enumerate(CASES):
        found = []
        for frame in streams[stream]:
            codes = [code for code in frame.fields.get("violation", "").split(",") if code]
            found.append((frame["from"], frame["line"], sorted(codes)))
            assert set(codes) <= set(frame.experts), name
        assert found == wanted[name], name


def test_a_broken_frame_names_its_rule(shark: Tshark, tmp_path: Path) -> None:
    """The ending and the length have rules of their own."""
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port).open()
    flow.client("x" * shark.spec.framing.max_octets)
    flow.server("BYE line-too-long x\r")
    frames = shark.frames(written(capture, tmp_path))
    assert [(frame["violation"], frame.get("rule")) for frame in frames if frame.get("violation")] == [
        ("line-too-long", "R-FRAME-4"), ("wrong-ending", "R-FRAME-3"),
    ]  # fmt: skip


def test_each_violation_has_a_case() -> None:
    """But one, which needs two connections and has a test of its own."""
    marked = {code for lines in CASES.values() for line in lines for code in line.partition(" ! ")[2].split()}
    assert set(VIOLATIONS) - marked == {"unknown-line"}


def test_a_line_that_the_partner_never_sent(shark: Tshark, tmp_path: Path) -> None:
    """Where both ends are in the capture, an altered line shows once the next answer proves that nothing is missing."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    alice.client("MSG one", "MSG two")
    bob.server("MSG one", "MSG too")
    unknown = len(capture.packets)
    alice.client("PING t")
    alice.server("PONG t")
    bob.server("MSG three")  # nobody knows whether alice has sent it
    frames = shark.frames(written(capture, tmp_path), "-2", "-Y", shark.spec.protocol)
    assert [(frame.number, frame["violation"]) for frame in frames if frame.get("violation")] == [
        (unknown, "unknown-line"),
    ]  # fmt: skip


def test_a_refusal_is_linked_with_the_line_that_was_refused(shark: Tshark, tmp_path: Path) -> None:
    """Lines have no answer when they succeed, so a refusal is not for the first one that is unanswered."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    for number in range(3):
        alice.client(f"MSG {number}")
        bob.server(f"MSG {number}")
    bob.client("LEAVE")
    alice.client("MSG crosses")
    bob.server("OK LEAVE")
    alice.server("GONE bob left")
    alice.client("MSG late")
    alice.server("ERR MSG partner-gone x", "ERR MSG partner-gone x")
    alone = capture.flow(shark.spec.transport.port, server=2).open()  # the partner is not in the capture
    alone.client("NAME a")
    alone.server("OK NAME a")
    alone.client("CHAT b")
    alone.server("OK CHAT b", "ACCEPTED b")
    alone.client("MSG heard", "MSG crosses")
    alone.server("GONE b left", "ERR MSG partner-gone x")
    frames = shark.frames(written(capture, tmp_path))
    lines = {frame.number: frame["line"] for frame in frames}
    refusals = [frame for frame in frames if frame["kind"] == "refusal"]
    assert [lines[int(frame["request_in"])] for frame in refusals] == ["MSG crosses", "MSG late", "MSG crosses"]
    assert not [str(frame) for frame in frames if frame.get("violation")]
