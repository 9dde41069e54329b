"""The bulk relay and the step-by-step way give the same octets and the same states for the same input."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pychat.core.codec import Codec, Frame, Splitter
from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.relay import compile_relays
from pychat.spec import Spec, shipped

from .conftest import changed
from .table import Table

SPEC = shipped()
RUN = compile_relays(SPEC)["PAIRED"]
LINES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda text: f"MSG {text}".encode()),
    st.integers(1995, 2003).map(lambda size: b"MSG " + b"x" * size),
    st.sampled_from(
        [b"MSG a\r", b"MSG ", b"MSG", b"MSG \xff", b"MSG \xc2\x85", b"MSG \xc2\xa0", b"MSG \x7f", b"MSG \t", b"msg x"]
    ),
    st.sampled_from([b"LEAVE", b"PING x", b"CHAT a", b"CHAT b", b"CHAT z", b"WHO", b"QUIT", b"", b"\xed\xa0\x80"]),
    st.just(b"MSG hello"),
)


def forwarded(octets: bytes) -> bytes | None:
    """What the partner gets of a run, if there is room for it."""
    return RUN.take(Splitter(SPEC.framing), octets, len(octets))


@given(st.lists(LINES, min_size=1, max_size=6))
def test_a_run_is_accepted_only_if_each_line_would_be_relayed(lines: list[bytes]) -> None:
    """The pattern takes nothing that the codec would not read as that frame, and misses nothing that ends in LF."""
    codec = Codec(SPEC)
    octets = b"".join(line + b"\n" for line in lines)
    found = [codec.decode_request(line) for line in octets.split(b"\n")[:-1]]
    assert RUN.accepts(octets) == all(isinstance(frame, Frame) and frame.key == "MSG" for frame in found)


def test_half_a_line_is_no_run() -> None:
    """Only whole lines are forwarded, and only with LF."""
    assert RUN.accepts(b"MSG a\n")
    for octets in (b"", b"\n", b"MSG a", b"MSG a\nMSG", b"MSG a\r\n", b"a\nMSG b\n"):
        assert not RUN.accepts(octets)


def test_a_run_that_ends_in_crlf_leaves_with_lf() -> None:
    """R-FRAME-2, R-FRAME-3: as a run, where all lines end so, and none holds a CR besides."""
    for text in ("a", "é", "x" * 2000):
        assert forwarded(f"MSG {text}\r\n".encode() * 3) == f"MSG {text}\n".encode() * 3
    assert forwarded(b"MSG a\nMSG b\n") == b"MSG a\nMSG b\n"
    assert forwarded(b"MSG " + b"x" * 2001 + b"\r\n") is None
    assert forwarded(b"MSG \xc2\x85\r\n") is None
    for octets in (
        b"MSG a\nMSG b\r\n",
        b"MSG a\r\r\n",
        b"MSG a\rb\r\n",
        b"MSG \r\n",
        b"WHO\r\n",
        b"MSG a\r\nWHO\r\n",
        b"\r\n",
    ):
        assert forwarded(octets) is None


def test_lines_that_may_be_too_long_have_no_bulk_way() -> None:
    """R-FRAME-5: the longest line and its longest ending are a frame, or else each line is looked at."""
    assert compile_relays(changed("max_octets: {framing.max_octets}", "max_octets: 2006"))
    assert not compile_relays(changed("max_octets: {framing.max_octets}", "max_octets: 2005"))


Chunk = tuple[str, int, bytes]


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """What two ends of a chat send, cut anywhere, and now and then octets that the network takes from a queue."""
    steps = []
    for _ in range(draw(st.integers(1, 8))):
        who = draw(st.sampled_from("ab"))
        ending = draw(st.sampled_from([b"\n", b"\r\n"]))
        octets = b"".join(line + ending for line in draw(st.lists(LINES, min_size=1, max_size=5)))
        cuts = sorted(draw(st.lists(st.integers(0, len(octets)), max_size=3)))
        for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
            if octets[start:end]:
                steps.append((who, octets[start:end]))
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from("ab")), b""))
    return steps


def run(spec: Spec, steps: list[tuple[str, bytes]], bulk: bool) -> list[tuple[object, ...]]:
    """Two users in a chat, then the steps; what each has got, and what the hub thinks of it."""
    hub = Hub(spec, bulk=bulk)
    people = {name: Connection() for name in "ab"}
    got = dict.fromkeys("ab", b"")
    for name, person in people.items():
        hub.open(person, name, 0.0, loopback=True)
        hub.receive(person, f"NAME {name}\n".encode(), 0.0)
    hub.receive(people["a"], b"CHAT b\n", 0.0)
    hub.receive(people["b"], b"CHAT a\n", 0.0)
    for number, (name, octets) in enumerate(steps):
        if octets and not people[name].paused:
            hub.receive(people[name], octets, float(number))
            continue
        sent = b"".join(people[name].outbox)
        people[name].outbox.clear()
        got[name] += sent
        hub.queues.sent(people[name], len(sent), float(number))
        for person in people.values():
            if person.paused and not hub.is_blocked(person):
                hub.resume(person, float(number))
    return [
        (got[name] + b"".join(p.outbox), p.state, p.accepted, p.faults, p.queued, p.paused, p.splitter.rest())
        for name, p in people.items()
    ]


SMALL = changed(
    "queue_mark: {octets: {limits.queue_mark.octets}",
    "queue_mark: {octets: 3000",
    "queue_stop: {octets: {limits.queue_stop.octets}",
    "queue_stop: {octets: 5000",
)


@settings(max_examples=300)
@given(conversations())
def test_bulk_and_step_by_step_are_the_same(steps: list[tuple[str, bytes]]) -> None:
    """Octets, states, acceptance, counts, queues and what is left over: all equal, however it was cut."""
    assert run(SPEC, steps, bulk=True) == run(SPEC, steps, bulk=False)


@settings(max_examples=300)
@given(conversations())
def test_they_are_the_same_where_queues_are_full(steps: list[tuple[str, bytes]]) -> None:
    """The check of R-FLOW-1 comes before each frame, also within a run."""
    assert run(SMALL, steps, bulk=True) == run(SMALL, steps, bulk=False)


def test_a_run_goes_straight_only_where_the_queue_is_empty() -> None:
    """R-MSG-5: nothing that waits is overtaken, and what is no run is queued in any case."""
    table = Table(SPEC)
    table.chat()
    alice, bob = table.people["a"], table.people["b"]
    table.got("b")
    straight: list[tuple[Connection, bytes]] = []
    table.hub.receive(alice, b"MSG 1\nMSG", 1.0, straight)
    assert straight == [(bob, b"MSG 1\n")]
    assert not bob.queued
    table.hub.receive(alice, b" 2\nPING x\n", 2.0, straight)
    table.hub.receive(alice, b"MSG 3\n", 3.0, straight)
    assert len(straight) == 1
    assert table.got("b") == "MSG 2 / MSG 3"
    assert alice.active == 3.0


CARRIAGE = (
    "forbid: [U+0000..U+0008, U+000A..U+001F, U+007F..U+009F]",
    "forbid: [U+0000..U+0008, U+000A..U+000C, U+000E..U+001F, U+007F..U+009F]",
)


def test_they_are_the_same_where_a_line_may_hold_a_cr() -> None:
    """It is of the line, which is relayed, and of no ending."""
    spec = changed(*CARRIAGE, "accepts: [LF, CRLF]", "accepts: [LF]")
    steps = [("a", b"MSG x\r\nMSG y\rz\n"), ("b", b"MSG \r\n")]
    assert run(spec, steps, bulk=True) == run(spec, steps, bulk=False)


def test_a_spec_that_does_more_to_a_line_has_no_bulk_way(little: Spec) -> None:
    """A push of another verb, or another ending, is no verbatim relay."""
    assert compile_relays(little) == {}


@given(st.lists(LINES, min_size=1, max_size=4), st.integers(0, 60))
def test_long_runs_are_checked_as_short_ones_are(lines: list[bytes], filler: int) -> None:
    """The cheap ways for short and for long runs accept the same; a bad line is found wherever it stands."""
    octets = b"".join(line + b"\n" for line in lines)
    good = b"MSG " + "é".encode() * 500 + b"\n"
    assert RUN.accepts(good * filler + octets) == RUN.accepts(octets)
    assert RUN.accepts(octets + good * filler) == RUN.accepts(octets)


def test_forbidden_characters_beyond_ascii_are_found() -> None:
    """All of U+0080..U+009F, and their neighbours pass."""
    for size in (1, 600):
        for point in range(0x7E, 0x110):
            text = chr(point) * size
            assert RUN.accepts(f"MSG {text}\n".encode()) == SPEC.types["text"].accepts(text)
