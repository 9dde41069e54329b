"""The dissector on captures that were written for it: every cut of the stream, gaps, violations, a second protocol."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pychat.core.codec import BadFrame, Codec
from pychat.spec import Spec, load
from tools.dissector.__main__ import main
from tools.dissector.rules import OWN_FIELDS, lua, rules

from .conftest import ROOT
from .dissection import Seen, Tshark, by_stream, chat, pieces, play, written
from .segments import Capture, Side

PLACES = ("request_in", "response_in", "relayed_from", "relayed_in", "time", "relay_time")  # they name packets


@pytest.fixture(scope="module", params=["shipped", "little", "board"])
def each_shark(request: pytest.FixtureRequest, shark: Tshark, tmp_path_factory: pytest.TempPathFactory) -> Tshark:
    """The dissectors of three protocols; the last one has relations and no link."""
    if request.param == "shipped":
        return shark
    return Tshark(load(ROOT / "tests" / f"{request.param}.yaml"), tmp_path_factory.mktemp(request.param))


def examples(spec: Spec, split: int | None = None) -> Capture:
    """All examples of a spec, each on a server of its own."""
    capture = Capture()
    for number, example in enumerate(spec.examples.values(), 1):
        play(capture, spec, example, number, split=split)
    return capture


def test_every_frame_of_the_examples_is_shown_as_it_was_sent(each_shark: Tshark, tmp_path: Path) -> None:
    """Lines, directions, verbs and fields; no state is unknown, and the server breaks nothing."""
    spec, codec = each_shark.spec, Codec(each_shark.spec)
    capture = Capture()
    sent: list[tuple[Side, bytes]] = []
    for number, example in enumerate(spec.examples.values(), 1):
        play(capture, spec, example, number)
        for _, side, octets in pieces(example, spec.framing.writes):
            sent += [(side, line) for line in octets.splitlines(keepends=True) if line.endswith(b"\n")]
    frames = each_shark.frames(written(capture, tmp_path))
    whole = [frame for frame in frames if frame["kind"] != "fragment"]
    assert len(whole) == len(sent)
    for frame, (side, octets) in zip(whole, sent, strict=True):
        line = octets.removesuffix(b"\n").removesuffix(b"\r")
        assert (frame["from"], frame["line"], frame["length"]) == (
            side,
            line.decode(errors="replace"),
            str(len(octets)),
        )
        assert frame["state"] != "unknown"
        assert frame["state_after"] != "unknown"
        decoded = codec.decode_request(line) if side == "client" else codec.decode_reply(line)
        if isinstance(decoded, BadFrame):
            rule = spec.first_fault(frame["state"], decoded.fault, decoded.verb)
            assert rule is not None
            assert frame["violation"] == rule.error
            continue
        for name, value in decoded.fields.items():
            shown = frame.get(name) if name not in OWN_FIELDS else frame[f"{frame['verb'].lower()}.{name}"]
            assert shown == value
        assert frame.get("violation.by") != "server"


@pytest.mark.parametrize(("split", "passes"), [(1, []), (1, ["-2"]), (1, ["-2", "-Y"]), (7, []), (7, ["-2"])])
def test_segments_that_cut_frames_anywhere_change_nothing(
    each_shark: Tshark, tmp_path: Path, split: int, passes: list[str]
) -> None:
    """R-FRAME-6, octet by octet, in one pass and in two, without a filter and with one."""
    options = [*passes, each_shark.spec.protocol] if "-Y" in passes else passes
    found = each_shark.frames(written(examples(each_shark.spec, split), tmp_path), *options)
    whole = each_shark.frames(written(examples(each_shark.spec), tmp_path, "whole"))
    assert bare(found) == bare(whole)


def bare(frames: list[Seen]) -> list[dict[str, str]]:
    """What does not depend on the packets."""
    return [frame.without(*PLACES) for frame in frames if frame["kind"] != "fragment"]


def test_many_frames_in_one_segment(shark: Tshark, tmp_path: Path) -> None:
    """Each has a tree of its own, and one Info column names them all."""
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port).open()
    flow.send("client", b"NAME alice\nPING a\r\nPING b\nWH", b"O\nQUIT\nPING late\n")
    flow.send("server", b"OK NAME alice\nPONG a\nPONG b\nUSER alice free\nOK WHO 1\n", b"OK QUIT\n")
    path = written(capture, tmp_path)
    frames = shark.frames(path)
    assert [frame["line"] for frame in frames if frame["from"] == "client"] == [
        "NAME alice", "PING a", "PING b", "WHO", "QUIT", "PING late",
    ]  # fmt: skip
    assert [frame["kind"] for frame in frames][-8:] == [
        "request", "discarded", "answer", "answer", "answer", "item", "answer", "answer",
    ]  # fmt: skip
    assert shark.info(path)[0] == "40001 > NAME alice | PING a | PING b"
    assert shark.info(path)[2] == "alice < OK NAME alice | PONG a | PONG b | USER alice free | OK WHO 1"


def test_answers_are_linked_with_their_requests(shark: Tshark, tmp_path: Path) -> None:
    """Both ways in two passes, with the time between them; what has no answer has no link."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    alice.client("MSG hi", "WHO")
    bob.server("MSG hi")
    alice.server("USER alice busy", "USER bob busy", "OK WHO 2")
    bob.server("PING p1")
    bob.client("PONG p1")
    frames = shark.frames(written(capture, tmp_path), "-2", "-Y", "pychat")
    lines = {f"{frame['from']} {frame['line']}": frame for frame in frames}
    who, line = lines["client WHO"], lines["client MSG hi"]
    assert who["response_in"] == str(lines["server OK WHO 2"].number)
    for answer in ("USER alice busy", "USER bob busy", "OK WHO 2"):
        assert lines[f"server {answer}"]["request_in"] == str(who.number)
    assert float(lines["server OK WHO 2"]["time"]) == pytest.approx(0.004)
    assert line.get("response_in") is None
    assert line["relayed_in"] == str(lines["server MSG hi"].number)
    assert lines["server MSG hi"]["relayed_from"] == str(line.number)
    assert float(lines["server MSG hi"]["relay_time"]) == pytest.approx(0.002)
    assert lines["server PING p1"]["response_in"] == str(lines["client PONG p1"].number)
    assert lines["client PONG p1"]["request_in"] == str(lines["server PING p1"].number)


def test_a_chat_is_followed_at_both_its_ends(shark: Tshark, tmp_path: Path) -> None:
    """One number for both ends and another one for the next chat, with the partner's name and stream."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    alice.client("LEAVE")
    alice.server("OK LEAVE")
    bob.server("GONE alice left")
    bob.client("LEAVE")
    bob.server("OK LEAVE")
    bob.client("CHAT Alice")
    alice.server("CALL bob")  # the push is seen before the answer
    bob.server("OK CHAT alice")
    streams = by_stream(shark.frames(written(capture, tmp_path)))

    def shown(stream: int) -> list[tuple[str | None, ...]]:
        names = ("line", "state_after", "user", "partner", "partner_stream", "chat")
        return [tuple(frame.get(name) for name in names) for frame in streams[stream]]

    assert shown(0)[2:] == [
        ("CHAT bob", "NAMED", "alice", None, None, None),
        ("OK CHAT bob", "PAIRED", "alice", "bob", None, "1"),
        ("ACCEPTED bob", "PAIRED", "alice", "bob", "1", "1"),
        ("LEAVE", "PAIRED", "alice", "bob", "1", "1"),
        ("OK LEAVE", "NAMED", "alice", "bob", "1", "1"),
        ("CALL bob", "PAIRED", "alice", "bob", None, "2"),
    ]
    assert shown(1)[2:] == [
        ("CALL alice", "PAIRED", "bob", "alice", "0", "1"),
        ("CHAT alice", "PAIRED", "bob", "alice", "0", "1"),
        ("OK CHAT alice", "PAIRED", "bob", "alice", "0", "1"),
        ("GONE alice left", "PAIRED", "bob", "alice", "0", "1"),
        ("LEAVE", "PAIRED", "bob", None, "0", "1"),
        ("OK LEAVE", "NAMED", "bob", None, "0", "1"),
        ("CHAT Alice", "NAMED", "bob", None, None, None),
        ("OK CHAT alice", "PAIRED", "bob", "alice", "0", "2"),
    ]


def test_each_end_of_a_call_knows_who_has_answered(shark: Tshark, tmp_path: Path) -> None:
    """The caller has, the called end not before its own answer; the caller sees it with the push, until the end."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    bob.client("LEAVE")
    bob.server("OK LEAVE")
    alice.server("GONE bob left")
    frames = shark.frames(written(capture, tmp_path))

    def shown(stream: int) -> list[tuple[str | None, ...]]:
        return [tuple(frame.get(name) for name in ("line", "answered", "here")) for frame in by_stream(frames)[stream]]

    assert shown(0)[2:] == [
        ("CHAT bob", None, None),
        ("OK CHAT bob", "1", "0"),
        ("ACCEPTED bob", "1", "1"),
        ("GONE bob left", "1", "1"),
    ]
    assert shown(1)[2:] == [
        ("CALL alice", "0", "1"),
        ("CHAT alice", "0", "1"),
        ("OK CHAT alice", "1", "1"),
        ("LEAVE", "1", "1"),
        ("OK LEAVE", "1", "1"),
    ]
    calling = shark.run(written(capture, tmp_path), "-Y", "pychat.here == 0", "-T", "fields", "-e", "pychat.line")
    assert calling.splitlines() == ["OK CHAT bob"]


def test_the_missed_calls_of_a_chat_are_kept_until_its_end(shark: Tshark, tmp_path: Path) -> None:
    """At the busy end alone; the rule is that of the row which has told it."""
    capture = Capture()
    _, bob = chat(capture, shark.spec)
    for name in ("carol", "dave"):
        caller = capture.flow(shark.spec.transport.port).open()
        caller.client(f"NAME {name}")
        caller.server(f"OK NAME {name}")
        caller.client("CHAT bob")
        caller.server("ERR CHAT user-busy x")
        bob.server(f"MISSED {name}")
    bob.client("LEAVE")
    bob.server("OK LEAVE")
    frames = shark.frames(written(capture, tmp_path))
    assert [frame.get("violation") for frame in frames] == [None] * len(frames)
    assert [(frame["line"], frame.get("missed")) for frame in by_stream(frames)[1][-4:]] == [
        ("MISSED carol", "carol"), ("MISSED dave", "carol, dave"), ("LEAVE", "carol, dave"), ("OK LEAVE", None),
    ]  # fmt: skip
    assert {frame.stream for frame in frames if frame.get("missed")} == {1}
    assert [frame["rule"] for frame in frames if frame["verb"] == "MISSED"] == ["R-CALL-4", "R-CALL-4"]


def test_a_capture_that_begins_in_a_chat_does_not_guess_who_has_answered(shark: Tshark, tmp_path: Path) -> None:
    """An OK may be that of a call or of an answer; a line from the partner says that it has answered."""
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port)
    flow.client("CHAT bob")
    flow.server("OK CHAT bob", "MSG hi", "GONE bob left")
    frames = shark.frames(written(capture, tmp_path))
    assert [(frame.get("here"), frame.get("violation")) for frame in frames] == [
        (None, None), (None, None), ("1", None), ("1", None),
    ]  # fmt: skip


def test_the_tuples_of_a_connection_are_shown(tmp_path: Path) -> None:
    """In a protocol of relations without a link: what its own requests add and drop, in the first spelling."""
    shark = Tshark(load(ROOT / "tests" / "board.yaml"), tmp_path)
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port).open()
    flow.server("WELCOME to the notice board")
    flow.client("name ann")
    flow.server("OK NAME ann")
    flow.client("Sub Lost", "SUB found", "UNSUB LOST", "who")
    flow.server("OK SUB Lost", "OK SUB found", "OK UNSUB Lost", "USER ann reader")
    frames = shark.frames(written(capture, tmp_path))
    assert [frame.get("violation") for frame in frames] == [None] * len(frames)
    assert [frame.get("subscriber") for frame in frames[-4:]] == ["Lost", "Lost, found", "found", "found"]
    assert [frame["request"] for frame in frames if frame["from"] == "client"] == ["NAME", "SUB", "SUB", "UNSUB", "WHO"]
    assert frames[-1]["request_in"] == str(next(frame.number for frame in frames if frame["line"] == "who"))


def test_a_refusal_with_a_frame_of_its_own(tmp_path: Path) -> None:
    """It names no verb, and answers the first open request that can be refused so; faults depend on the state."""
    shark = Tshark(load(ROOT / "tests" / "board.yaml"), tmp_path)
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port).open()
    flow.client("hello", "PING 1", "POST lost x", "NAME ann", "POST", "HELLO", "NAME ann")
    flow.server("NAME first", "PONG 1", "NAME first", "OK NAME ann")
    flow.server("NO POST odd-note x", "NO * what x", "NAME first")
    frames = shark.frames(written(capture, tmp_path))
    blamed = [(frame["line"], frame.get("violation")) for frame in frames]
    assert blamed[:2] == [("hello", "say-name"), ("PING 1", None)]
    assert blamed[-3:] == [("NO POST odd-note x", None), ("NO * what x", None), ("NAME first", "wrong-outcome")]
    kinds = [(frame["kind"], frame.get("request")) for frame in frames if frame["from"] == "server"]
    assert kinds[:4] == [("refusal", "*"), ("answer", "PING"), ("refusal", "POST"), ("answer", "NAME")]


def test_two_servers_have_users_of_the_same_names(shark: Tshark, tmp_path: Path) -> None:
    """A name belongs to a server: chats do not mix."""
    capture = Capture()
    chat(capture, shark.spec, server=1)
    chat(capture, shark.spec, server=2)
    frames = shark.frames(written(capture, tmp_path))
    assert {(frame.stream, frame["chat"]) for frame in frames if frame.get("chat")} == {
        (0, "1"), (1, "1"), (2, "2"), (3, "2"),
    }  # fmt: skip


def test_a_capture_that_begins_anywhere_blames_no_frame_falsely(each_shark: Tshark, tmp_path: Path) -> None:
    """Without the first packets, one more each time: what is shown may be unknown, but not wrong."""
    spec = each_shark.spec
    example = next(iter(spec.examples.values()))
    full = Capture()
    play(full, spec, example, 1)
    whole = {frame.number: frame for frame in each_shark.frames(written(full, tmp_path, "full"))}
    complained = {number for number, frame in whole.items() if frame.get("violation")}
    paths = Capture()
    cuts: list[int] = []
    for cut in range(1, len(full.packets)):
        one = Capture()
        play(one, spec, example, 1 + cut)
        paths.packets += one.packets[cut:]
        cuts += range(cut + 1, len(full.packets) + 1)
    for frame in each_shark.frames(written(paths, tmp_path, "cut")):
        original = whole[cuts[frame.number - 1]]
        assert frame["line"] == original["line"]
        assert frame.get("violation") is None or original.number in complained, str(frame)
        for name in ("state", "state_after", "user", "partner"):
            assert frame.get(name) in (original.get(name), "unknown", None), f"{name} of {frame}"


def test_a_capture_that_begins_within_a_frame(shark: Tshark, tmp_path: Path) -> None:
    """The rest of a frame is no frame, and what follows is learned again from what the server says."""
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port)
    flow.client("ello there", "WHO")
    flow.server("are you?", "USER alice busy", "OK WHO 1")
    flow.client("LEAVE")
    flow.server("OK LEAVE")
    frames = shark.frames(written(capture, tmp_path))
    assert [frame["kind"] for frame in frames] == [
        "fragment", "request", "fragment", "item", "answer", "request", "answer",
    ]  # fmt: skip
    assert [frame.get("violation") for frame in frames] == [None] * 7
    assert [frame["state_after"] for frame in frames] == ["unknown"] * 6 + ["NAMED"]


def test_lost_repeated_and_overtaken_segments(shark: Tshark, tmp_path: Path) -> None:
    """In a gap of the client the server tells the state; a repetition is shown once; late ones have a place."""
    spec = shark.spec
    capture = Capture()
    flow = capture.flow(spec.transport.port).open()
    flow.client("NAME alice")
    flow.again("client", b"NAME alice\n", 11)
    flow.server("OK NAME alice")
    flow.skip("client", 5)
    flow.client("PING t1")
    flow.server("PONG t1")
    late = capture.flow(spec.transport.port).open()
    late.skip("client", 11)
    late.client("PING t2")
    late.again("client", b"NAME carol\n", 19)
    late.server("OK NAME carol", "PONG t2")
    path = written(capture, tmp_path)
    frames = by_stream(shark.frames(path))[0]
    assert [frame["line"] for frame in frames] == ["NAME alice", "OK NAME alice", "PING t1", "PONG t1"]
    assert [frame["state_after"] for frame in frames] == ["CONNECTED", "NAMED", "NAMED", "NAMED"]
    assert [frame.get("violation") for frame in frames] == [None] * 4
    ordered = by_stream(shark.frames(path, "-o", "tcp.reassemble_out_of_order:TRUE"))[1]
    assert [frame["line"] for frame in ordered] == ["NAME carol", "PING t2", "OK NAME carol", "PONG t2"]
    assert [frame.get("violation") for frame in ordered] == [None] * 4


def test_packets_that_were_recorded_in_part(shark: Tshark, tmp_path: Path) -> None:
    """With a snapshot length, frames are cut off, and none of them is blamed for it."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    alice.client("MSG " + "x" * 200)
    bob.server("MSG " + "x" * 200)
    path = capture.write(tmp_path / "short.pcap", snapped=90)
    frames = shark.frames(path)
    assert [frame.get("violation") for frame in frames] == [None] * len(frames)
    assert [frame["kind"] for frame in frames][-2:] == ["fragment", "fragment"]


def random_lines(spec: Spec, count: int) -> list[bytes]:
    """Right frames, and frames that are wrong in one place or in all."""
    rng = random.Random(9)
    pool = [value.encode() for type_ in spec.types.values() for value in (*type_.good, *type_.bad)]
    pool += [b"", b" ", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "é\u0085".encode(), b"\x00", b"\r"]
    verbs = [verb.encode() for verb in spec.requests] + [b"GET", b"chat", b""]
    lines = [b" ".join([rng.choice(verbs), *rng.choices(pool, k=rng.randrange(3))]) for _ in range(count)]
    for index in range(0, count, 3):
        line = bytearray(lines[index] or b"x")
        line[rng.randrange(len(line))] = rng.randrange(256)
        lines[index] = bytes(line)
    edges = [f"NAME {'a' * size}".encode() for size in (31, 32, 33)] + [b"MSG " + b"x" * size for size in (2000, 2001)]
    most = spec.framing.max_octets - 1
    return [line.replace(b"\n", b"?")[:most] for line in lines + edges]


def test_the_dissector_and_the_codec_find_the_same_faults(each_shark: Tshark, tmp_path: Path) -> None:
    """Two programs for one spec agree on a thousand lines, each line on a connection of its own."""
    spec, codec = each_shark.spec, Codec(each_shark.spec)
    lines = random_lines(spec, 1000)
    capture = Capture()
    for line in lines:
        capture.flow(spec.transport.port).open().send("client", line + b"\n")
    frames = each_shark.frames(written(capture, tmp_path))
    assert len(frames) == len(lines)
    for frame, line in zip(frames, lines, strict=True):
        decoded = codec.decode_request(line.removesuffix(b"\r"))
        found = frame.get("violation")
        if isinstance(decoded, BadFrame):
            rule = spec.first_fault(spec.initial, decoded.fault, decoded.verb)
            assert rule is not None
            assert found == rule.error, line
        else:
            misplaced = spec.first_fault(spec.initial, None, decoded.key)
            assert found == (misplaced and misplaced.error), line


def test_the_expert_information_is_found_without_a_look_at_any_field(shark: Tshark, tmp_path: Path) -> None:
    capture = Capture()
    flow = capture.flow(shark.spec.transport.port).open()
    flow.client("WHO")
    flow.server("ERR WHO wrong-state x", "BYE timeout x")
    summary = shark.run(written(capture, tmp_path), "-q", "-z", "expert")
    found = re.findall(r"^ +1 +(\w+) +PYCHAT +([a-z-]+):", summary, re.MULTILINE)
    assert sorted(found) == [("Protocol", "wrong-state"), ("Response", "timeout"), ("Response", "wrong-state")]


def test_ports_by_decode_as_and_by_preference(shark: Tshark, tmp_path: Path) -> None:
    """Where nothing can be recognised, the port tells the sender."""
    capture = Capture()
    flow = capture.flow(45001).open()
    flow.client("what?")
    flow.server("ERR * bad-syntax x")
    path = written(capture, tmp_path)
    for options in (["-d", "tcp.port==45001,pychat"], ["-o", "pychat.ports:45000-45010"]):
        assert [(frame["from"], frame.get("violation")) for frame in shark.frames(path, *options)] == [
            ("client", "bad-syntax"), ("server", None),
        ], options  # fmt: skip


def test_the_info_column_reads_like_a_conversation(shark: Tshark, tmp_path: Path) -> None:
    """Names as soon as they are known; controls and changes of direction are escaped."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    alice.client("MSG Grüße \u202e 世界")
    bob.server("MSG Grüße \u202e 世界")
    bob.client("MSG \x1b[2J")
    assert shark.info(written(capture, tmp_path)) == [
        "40001 > NAME alice", "alice < OK NAME alice", "40002 > NAME bob", "bob < OK NAME bob",
        "alice > CHAT bob", "alice < OK CHAT bob", "bob < CALL alice", "bob > CHAT alice", "bob < OK CHAT alice",
        "alice < ACCEPTED bob",
        r"alice > MSG Grüße \u202E 世界", r"bob < MSG Grüße \u202E 世界", r"bob > MSG \x1b[2J [bad-syntax]",
    ]  # fmt: skip


def test_the_profile_has_filters_that_tshark_takes(shark: Tshark, tmp_path: Path) -> None:
    """Its columns are shown and its colours used."""
    capture = Capture()
    chat(capture, shark.spec)[0].client("LEAVE ")
    path = written(capture, tmp_path)
    last = shark.run(path, "-C", "chat").splitlines()[-1]
    assert last.split() == [
        "17", "0.016000", "0", "PAIRED", "alice", ">", "LEAVE", "[bad-syntax]", "bob", "1", "bad-syntax",
    ]  # fmt: skip
    rules = shark.run(path, "-C", "chat", "--color", "-T", "fields", "-e", "frame.coloring_rule.name").splitlines()
    assert [rule.removeprefix(f"{shark.spec.title}: ") for rule in rules[-10:]] == [
        "asked by a client", "answered by the server", "asked by a client", "answered by the server",
        "asked by a client", "answered by the server", "pushed by the server", "asked by a client",
        "answered by the server", "pushed by the server", "breaks the spec",
    ][1:]  # fmt: skip
    assert set(rules[:3]) == {f"{shark.spec.title}: TCP alone"}


def test_a_long_capture_is_followed_to_its_end(shark: Tshark, tmp_path: Path) -> None:
    """The views of earlier frames are kept."""
    capture = Capture()
    alice, bob = chat(capture, shark.spec)
    for number in range(5000):
        alice.client(f"MSG {number}")
        bob.server(f"MSG {number}")
    assert shark.info(written(capture, tmp_path))[-1] == "bob < MSG 4999"


def test_the_engine_knows_no_word_of_the_spec(spec: Spec, little: Spec) -> None:
    """Verbs, states and codes are in the generated data alone."""
    files = sorted((ROOT / "tools" / "dissector").rglob("*.lua")) + sorted((ROOT / "tools" / "dissector").glob("*.py"))
    texts = "\n".join(file.read_text(encoding="utf-8") for file in files if file.name != "__init__.py")
    quoted = set(re.findall(r'"([^"\n]*)"', texts))
    for each in (spec, little):
        words = {*each.requests, *each.pushes, *each.states, *each.errors, *each.goodbyes, each.refusal.verb}
        assert words & quoted <= {"list"}, each.protocol  # the language's own word


def test_texts_become_lua_that_every_version_reads() -> None:
    assert lua({"a": ['"', "é\n", 1, True, None]} | {"b": None}) == '{["a"] = {"\\034", "\\195\\169\\010", 1, true}}'


def test_numbers_are_numbers(spec: Spec) -> None:
    fields = rules(spec)["fields"]
    assert {name for name, field in fields.items() if field["number"]} == {"version", "count"}


def test_the_command_line(tmp_path: Path) -> None:
    """A script and a profile where they were asked for; a spec with faults is refused with the place."""
    runner = CliRunner()
    out, folder = tmp_path / "a" / "x.lua", tmp_path / "profile"
    assert runner.invoke(main, ["--out", str(out), "--profile", str(folder)]).exit_code == 0
    assert runner.invoke(main, []).stdout == out.read_text(encoding="utf-8")
    assert {file.name for file in folder.iterdir()} == {"colorfilters", "dfilters", "dfilter_buttons", "preferences"}
    bad = tmp_path / "bad.yaml"
    bad.write_text("protocol: x\nprotocol: y\n")
    result = runner.invoke(main, ["--spec", str(bad)])
    assert result.exit_code == 1
    assert "bad.yaml:2" in result.output
