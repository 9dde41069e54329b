"""One table, both directions: each row encodes, and decodes whole, octet by octet and with what follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pychat.core.codec import BadFrame, Codec, Frame, LineTooLong, Splitter
from pychat.spec import Spec, shipped
from pychat.spec.forms import Field, Form, Request, Type

from .conftest import changed
from .test_pattern import is_accepted

CODEC = Codec(shipped())
LIMIT = shipped().framing.max_octets

Encode = Callable[[str, Mapping[str, str]], bytes]
Decode = Callable[[bytes], Frame | BadFrame]

REQUESTS = [
    (b"HELLO 1", Frame("HELLO", {"version": "1"})),
    (b"NAME alice", Frame("NAME", {"name": "alice"})),
    (b"NAME " + b"a" * 32, Frame("NAME", {"name": "a" * 32})),
    (b"WHO", Frame("WHO", {})),
    (b"CHAT B-2_x", Frame("CHAT", {"name": "B-2_x"})),
    (b"MSG hi", Frame("MSG", {"text": "hi"})),
    (b"MSG  two  spaces ", Frame("MSG", {"text": " two  spaces "})),
    (b"MSG \t", Frame("MSG", {"text": "\t"})),
    ("MSG é世🙂\u202e".encode(), Frame("MSG", {"text": "é世🙂\u202e"})),
    (b"MSG " + b"x" * 2000, Frame("MSG", {"text": "x" * 2000})),
    (b"LEAVE", Frame("LEAVE", {})),
    (b"PING !~", Frame("PING", {"token": "!~"})),
    (b"PONG " + b"t" * 64, Frame("PONG", {"token": "t" * 64})),
    (b"QUIT", Frame("QUIT", {})),
]

REPLIES = [
    (b"OK HELLO 1 core tls", Frame("OK HELLO", {"version": "1", "profiles": "core tls"})),
    (b"OK NAME alice", Frame("OK NAME", {"name": "alice"})),
    (b"USER alice busy", Frame("USER", {"name": "alice", "availability": "busy"})),
    (b"OK WHO 0", Frame("OK WHO", {"count": "0"})),
    (b"OK LEAVE", Frame("OK LEAVE", {})),
    (b"CALL bob", Frame("CALL", {"name": "bob"})),
    (b"MSG hi there", Frame("MSG", {"text": "hi there"})),
    (b"GONE bob lost", Frame("GONE", {"name": "bob", "reason": "lost"})),
    (b"ERR * bad-syntax Some words.", Frame("ERR", {"verb": "*", "code": "bad-syntax", "words": "Some words."})),
    (b"ERR CHAT any-new-code w", Frame("ERR", {"verb": "CHAT", "code": "any-new-code", "words": "w"})),
    (b"BYE timeout Some words.", Frame("BYE", {"code": "timeout", "words": "Some words."})),
]

FAULTS = [
    (b"", "syntax", "*"),
    (b" ", "syntax", "*"),
    (b" WHO", "syntax", "*"),
    (b"who", "syntax", "*"),
    (b"WHO\tx", "syntax", "*"),
    (b"WHO2", "syntax", "*"),
    (b"GET / HTTP/1.1", "verb", "*"),
    (b"OK NAME a", "verb", "*"),
    (b"WHO ", "syntax", "WHO"),
    (b"WHO x", "syntax", "WHO"),
    (b"NAME", "syntax", "NAME"),
    (b"NAME ", "syntax", "NAME"),
    (b"NAME a ", "syntax", "NAME"),
    (b"NAME  a", "syntax", "NAME"),
    (b"NAME a b", "syntax", "NAME"),
    (b"NAME 1a", "syntax", "NAME"),
    (b"NAME a\r", "syntax", "NAME"),
    (b"NAME " + b"a" * 33, "syntax", "NAME"),
    ("NAME é".encode(), "syntax", "NAME"),
    (b"HELLO 0", "syntax", "HELLO"),
    (b"HELLO 10000", "syntax", "HELLO"),
    (b"PING", "syntax", "PING"),
    (b"PING " + b"t" * 65, "syntax", "PING"),
    (b"PING \x7f", "syntax", "PING"),
    (b"MSG", "syntax", "MSG"),
    (b"MSG ", "syntax", "MSG"),
    (b"MSG " + b"x" * 2001, "syntax", "MSG"),
    (b"MSG " + "é".encode() * 1001, "syntax", "MSG"),
    (b"MSG a\rb", "syntax", "MSG"),
    (b"MSG \x1b[2J", "syntax", "MSG"),
    (b"MSG \x00", "syntax", "MSG"),
    (b"MSG \x7f", "syntax", "MSG"),
    ("MSG \u0085".encode(), "syntax", "MSG"),
    (b"MSG \xff", "encoding", "*"),
    (b"MSG \xc0\xaf", "encoding", "*"),
    (b"MSG \xed\xa0\x80", "encoding", "*"),
    (b"MSG \xf4\x90\x80\x80", "encoding", "*"),
    (b"\xff", "encoding", "*"),
    (b"nonsense \xff", "encoding", "*"),
]


def split(octets: bytes, size: int) -> list[bytes]:
    """The lines of octets that come in pieces of one size."""
    splitter, lines = Splitter(shipped().framing), []
    for start in range(0, len(octets), size):
        splitter.feed(octets[start : start + size])
        while (line := splitter.take()) is not None:
            lines.append(line)
    return lines


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("line", "frame"), REQUESTS, ids=lambda value: str(value)[:20])
def test_a_request_decodes_however_it_is_cut(line: bytes, frame: Frame, size: int, ending: bytes) -> None:
    """The same row whole, octet by octet, with trailing data and with both endings (R-FRAME-2, R-FRAME-6)."""
    lines = split(line + ending + b"WHO" + ending + b"LEA", size)
    assert [CODEC.decode_request(found) for found in lines] == [frame, Frame("WHO", {})]


@pytest.mark.parametrize(("line", "frame"), REQUESTS, ids=lambda value: str(value)[:20])
def test_a_request_encodes(line: bytes, frame: Frame) -> None:
    """The same table the other way."""
    assert CODEC.encode_request(frame.key, frame.fields) == line + b"\n"


def encode_reply(key: str, fields: Mapping[str, str]) -> bytes:
    """A reply, as the hub fills it."""
    return CODEC.encode(CODEC.spec.replies[key].form.fill(*fields.values()))


@pytest.mark.parametrize(("line", "frame"), REPLIES, ids=lambda value: str(value)[:20])
def test_a_reply_decodes_and_encodes(line: bytes, frame: Frame) -> None:
    """Both directions for what the server sends."""
    assert CODEC.decode_reply(line) == frame
    assert encode_reply(frame.key, frame.fields) == line + b"\n"


@pytest.mark.parametrize(("line", "fault", "verb"), FAULTS, ids=lambda value: str(value)[:24])
def test_a_bad_request_has_one_fault(line: bytes, fault: str, verb: str) -> None:
    """The first fault in the order of R-ERR-6, and the verb that may be named."""
    assert CODEC.decode_request(line) == BadFrame(fault, verb)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "fault", "verb"),
    [
        (b"\xff", "encoding", "*"),
        (b"NOPE x", "verb", "*"),  # a client ignores it (R-CLIENT-12)
        (b"CHAT bob", "verb", "*"),  # a verb of requests alone is none of replies
        (b"ok", "syntax", "*"),
        (b"", "syntax", "*"),
        (b"OK", "syntax", "OK"),
        (b"OK NOPE", "syntax", "OK"),
        (b"OK CHAT", "syntax", "OK"),
        (b"MSG \x1b", "syntax", "MSG"),
        (b"USER a gone", "syntax", "USER"),
        (b"ERR CHAT x", "syntax", "ERR"),
    ],
)
def test_a_bad_reply_is_a_fault(line: bytes, fault: str, verb: str) -> None:
    """A client can tell what the server may not send from what a later server may send besides."""
    assert CODEC.decode_reply(line) == BadFrame(fault, verb)  # type: ignore[arg-type]


def test_a_verb_of_any_case_is_one_verb() -> None:
    """Where the framing says so, for requests alone; a letter that is none of ASCII has no capital."""
    codec = Codec(changed("  verb: '[A-Z]+'\n", "  verb: '[A-Z]+'\n  case: any\n"))
    for line in (b"CHAT Bob", b"chat Bob", b"cHaT Bob"):
        assert codec.decode_request(line) == Frame("CHAT", {"name": "Bob"})
    assert codec.decode_request(b"nope") == BadFrame("verb", "*")
    assert codec.decode_request("m\u017fg x".encode()) == BadFrame("syntax", "*")
    assert codec.decode_reply(b"call bob") == BadFrame("syntax", "*")


@pytest.mark.parametrize(
    ("verb", "fields", "words"),
    [
        ("NOPE", {}, "no request NOPE"),
        ("NAME", {}, "needs the field name"),
        ("NAME", {"name": "a", "x": "b"}, "has no field x"),
        ("NAME", {"name": "a b"}, "not of its form"),
        ("NAME", {"name": "a" * 33}, "has 33 octets, not 1 to 32"),
        ("MSG", {"text": "a\nb"}, "not of its form"),
        ("MSG", {"text": "\ud800"}, "not of its form"),
        ("MSG", {"text": ""}, "has 0 octets"),
    ],
)
def test_a_request_that_would_break_the_spec_is_not_encoded(verb: str, fields: dict[str, str], words: str) -> None:
    """The error says which field and why."""
    with pytest.raises(ValueError, match=words):
        CODEC.encode_request(verb, fields)


def test_the_longest_line_and_one_more_octet() -> None:
    """4096 octets with the ending are a line; 4096 without one are too many (R-FRAME-4, R-FRAME-5)."""
    assert [len(line) for line in split(b"x" * (LIMIT - 1) + b"\n", LIMIT)] == [LIMIT - 1]
    assert [len(line) for line in split(b"x" * (LIMIT - 2) + b"\r\n", 1)] == [LIMIT - 2]
    for octets in (b"x" * LIMIT, b"x" * LIMIT + b"\n", b"x" * (LIMIT - 1) + b"\r\n"):
        with pytest.raises(LineTooLong):
            split(octets, len(octets))


def test_lines_before_one_that_is_too_long_are_taken() -> None:
    """What came before it was right, and is handled."""
    splitter = Splitter(shipped().framing)
    splitter.feed(b"WHO\n" + b"x" * LIMIT)
    assert splitter.take() == b"WHO"
    with pytest.raises(LineTooLong):
        splitter.take()


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=12), st.integers(1, 50))
def test_any_chunking_gives_the_same_lines(lines: list[bytes], size: int) -> None:
    """R-FRAME-6, for any octets."""
    octets = b"".join(line + b"\n" for line in lines)
    assert split(octets, size) == split(octets, len(octets) + 1)
    assert split(octets, size) == [line.removesuffix(b"\r") for line in lines]


@given(st.binary(max_size=200).filter(lambda line: b"\n" not in line))
def test_arbitrary_octets_are_a_frame_or_have_a_fault(line: bytes) -> None:
    """Nothing escapes; and what is a frame, encodes to what it was."""
    for decode, encode in ((CODEC.decode_request, CODEC.encode_request), (CODEC.decode_reply, encode_reply)):
        found = decode(line)
        if isinstance(found, Frame):
            assert encode(found.key, found.fields) == line + b"\n"


@given(st.data())
def test_any_frame_survives_the_wire(data: st.DataObject) -> None:
    """Round trip for every form, with fields drawn from their types."""
    spec = CODEC.spec
    forms: list[tuple[str, Form, Encode, Decode]]
    forms = [(v, r.form, CODEC.encode_request, CODEC.decode_request) for v, r in spec.requests.items()]
    forms += [(k, r.form, encode_reply, CODEC.decode_reply) for k, r in spec.replies.items()]
    key, form, encode, decode = data.draw(st.sampled_from(forms))
    fields = {}
    for field in form.fields:
        kind = spec.types[field.type]
        values = st.from_regex(kind.pattern, fullmatch=True).filter(kind.accepts)
        fields[field.name] = data.draw(values)
    octets = encode(key, fields)
    assert octets.count(b"\n") == 1
    assert decode(octets[:-1]) == Frame(key, fields)


CLASSES = st.sampled_from(["a", "[a-c]", "[!-~]", "[^ b]", "é", "[é-ü]", "(a|bc)", "(a|é)", "[A-Z]"])
TIMES = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{0,5}", "{2,}"])
WORDS = st.text("abcé-~A", min_size=1, max_size=5)
RANGES = st.sampled_from([(0, 0x20), (0x20, 0x40), (0x61, 0x61), (0x80, 0x10FFFF)])


@st.composite
def types(draw: st.DrawFn, *, rest_of_line: bool) -> Type:
    """Any type that the loader would let pass: a field that is not the rest of the line cannot hold a space."""
    low, size = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    kind = Type("any", "", (low, low + size), rest_of_line=rest_of_line)
    shape = draw(st.sampled_from(["match", "one_of", "forbid"]))
    if shape == "match":
        classes = CLASSES | st.just("[ a]") if rest_of_line else CLASSES
        parts = draw(st.lists(st.tuples(classes, TIMES), min_size=1, max_size=3))
        match = draw(st.sampled_from(["", "b|"])) + "".join(part + times for part, times in parts)
        assume(is_accepted(match))
        return replace(kind, match=match)
    if shape == "one_of":
        return replace(kind, one_of=tuple(draw(st.lists(WORDS, min_size=1, max_size=3))))
    return replace(kind, forbid=(*draw(st.lists(RANGES, max_size=2)), *([] if rest_of_line else [(0x20, 0x20)])))


@settings(max_examples=500)
@given(types(rest_of_line=False), types(rest_of_line=True), st.data())
def test_a_frame_is_one_if_each_field_is_of_its_type(word: Type, rest: Type, data: st.DataObject) -> None:
    """The codec reads all fields at once, by one pattern; `Type.accepts` says what is right."""
    form = Form(("T", Field("first", "word"), Field("last", "rest")))
    requests = {"T": Request("T", "", form, None, None)}
    codec = Codec(replace(shipped(), types={**shipped().types, "word": word, "rest": rest}, requests=requests))
    first = data.draw(st.text("abcéA", max_size=6) | st.sampled_from(word.one_of or ("aa",)))
    last = data.draw(st.text("abcéA ", max_size=6) | st.sampled_from(rest.one_of or ("aa",)))
    found = codec.decode_request(f"T {first} {last}".encode())
    good = word.accepts(first) and rest.accepts(last)
    assert found == (Frame("T", {"first": first, "last": last}) if good else BadFrame("syntax", "T"))


def test_octets_bind_where_the_expression_allows_more() -> None:
    """`octets` beside `match`, as `accepts` reads them."""
    codec = Codec(changed("match: '[!-~]{1,64}'", "match: '[!-~]*'\n    octets: 1..5"))
    assert codec.decode_request(b"PING abcde") == Frame("PING", {"token": "abcde"})
    assert codec.decode_request(b"PING abcdef") == BadFrame("syntax", "PING")


def test_only_an_ending_that_is_accepted_is_taken_off() -> None:
    """Where CRLF is none, the CR belongs to the frame."""
    splitter = Splitter(changed("accepts: [LF, CRLF]", "accepts: [LF]").framing)
    splitter.feed(b"WHO\r\nWHO\n\r\n")
    assert [splitter.take() for _ in range(4)] == [b"WHO\r", b"WHO", b"\r", None]


def test_another_protocol_has_other_frames(little: Spec) -> None:
    """The codec knows no verb: it reads and writes those of any spec, with its ending."""
    codec = Codec(little)
    assert codec.decode_request(b"ring bob") == Frame("ring", {"handle": "bob"})
    assert codec.decode_request(b"NAME bob") == BadFrame("syntax", "*")
    assert codec.encode_request("say", {"speech": "hi"}) == b"say hi\r\n"
