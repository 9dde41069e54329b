"""The server over real sockets: the table, the crossings, slow and hostile peers."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable

import pytest

from pychat.core.slow import Result, Work, without_wait
from pychat.server.server import Server
from pychat.spec import Spec, load

from .conftest import PATIENCE, ROOT, Peer, Stage, changed

Start = Callable[..., Stage]
BOARD = load(ROOT / "tests" / "board.yaml")


def test_two_people_talk(stage: Stage) -> None:
    """A chat, a refusal, a leave: what everybody gets."""
    alice, bob = stage.chat()
    alice.send("MSG Hello", "MSG  again ")
    assert bob.lines(2) == ["MSG Hello", "MSG  again "]
    bob.send("MSG Grüße")
    assert alice.line() == "MSG Grüße"
    assert alice.ask("CHAT carol").startswith("ERR CHAT already-paired ")
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    assert alice.ask("LEAVE") == "OK LEAVE"
    assert bob.line() == "GONE alice left"
    assert bob.ask("MSG late").startswith("ERR MSG partner-gone ")
    assert bob.ask("LEAVE") == "OK LEAVE"
    assert set(alice.ask("WHO").split("\n") + alice.lines(2)) == {"USER alice free", "USER bob free", "OK WHO 2"}
    assert bob.ask("QUIT") == "OK QUIT"
    assert bob.line() == "<end>"


def test_a_half_close_is_answered_to_the_last_frame(stage: Stage) -> None:
    """`printf 'NAME a\\nWHO\\n' | nc …` works (R-CLOSE-2)."""
    peer = stage.peer()
    peer.send_octets(b"NAME a\r\nWHO\nQUI")
    peer.finish()
    assert peer.lines(4) == ["OK NAME a", "USER a free", "OK WHO 1", "<end>"]
    assert stage.peer().ask("NAME a") == "OK NAME a"


@pytest.mark.parametrize("size", [1, 3])
def test_frames_come_in_any_segments(stage: Stage, size: int) -> None:
    """R-FRAME-6, with a segment for each octet or three."""
    alice, bob = stage.chat()
    octets = "MSG Grüße 🙂\r\nMSG x\nPING y\n".encode()
    for start in range(0, len(octets), size):
        alice.send_octets(octets[start : start + size])
    assert bob.lines(2) == ["MSG Grüße 🙂", "MSG x"]
    assert alice.line() == "PONG y"


def test_the_last_frame_survives_what_is_still_sent(stage: Stage) -> None:
    """R-CLOSE-1: no reset destroys the BYE of somebody who goes on sending."""
    peer = stage.peer()
    peer.send_octets(b"GET / HTTP/1.1\n" * 5 + b"x" * 500_000)
    lines = peer.lines(7)
    assert [line.split(" ")[2] for line in lines[:5]] == ["unknown-verb"] * 5
    assert lines[5].startswith("BYE too-many-errors ")
    assert lines[6] == "<end>"


def test_a_line_that_is_too_long_ends_in_a_goodbye(stage: Stage) -> None:
    """R-FRAME-5, and the partner is told."""
    alice, bob = stage.chat()
    alice.send_octets(b"MSG " + b"x" * 4092)
    assert alice.line().startswith("BYE line-too-long ")
    assert alice.line() == "<end>"
    assert bob.line() == "GONE alice lost"


# The crossings: two connections whose frames reach the server before either has read an answer


def test_two_calls_cross(stage: Stage) -> None:
    """CHAT against CHAT: both succeed, whichever comes first."""
    for number in range(30):
        alice, bob = stage.user(f"a{number}"), stage.user(f"b{number}")
        alice.send(f"CHAT b{number}")
        bob.send(f"CHAT a{number}")
        first, second = alice.lines(1), bob.lines(1)
        caller, called = (alice, bob) if first == [f"OK CHAT b{number}"] else (bob, alice)
        rest = called.line()
        assert {second[0], first[0]} >= {f"OK CHAT {'b' if caller is alice else 'a'}{number}"}
        assert rest.startswith("OK CHAT ")
        called.send("MSG hi")
        assert caller.lines(2) == [f"ACCEPTED {'b' if caller is alice else 'a'}{number}", "MSG hi"]


def test_a_call_with_a_line_against_a_third_persons_call(stage: Stage) -> None:
    """What was meant for bob never reaches dave, whoever wins (R-MSG-2)."""
    for number in range(40):
        alice, bob, dave = (stage.user(f"{who}{number}") for who in ("a", "b", "d"))
        dave.send(f"CHAT a{number}")
        alice.send(f"CHAT b{number}", "MSG for bob")
        assert "MSG for bob" not in dave.barrier()
        lines, got = alice.barrier(), bob.barrier()
        assert ("MSG for bob" in got) == (f"OK CHAT b{number}" in lines)
        if f"OK CHAT b{number}" not in lines:
            assert [line.split(" ")[2] for line in lines if line.startswith("ERR")] == [
                "already-paired",
                "not-accepted",
            ]


def test_a_line_crosses_a_leave(stage: Stage) -> None:
    """MSG against LEAVE: delivered before the GONE, or refused; never both, never neither (R-MSG-4)."""
    for number in range(30):
        alice, bob = stage.chat(f"a{number}", f"b{number}")
        bob.send("MSG there?")
        alice.send("LEAVE")
        got, answers = alice.barrier(), bob.barrier()
        assert got.index("OK LEAVE") == len(got) - 1
        refused = [line for line in answers if line.startswith("ERR MSG partner-gone")]
        assert (got[0] == "MSG there?") != bool(refused)


def test_both_leave(stage: Stage) -> None:
    """LEAVE against LEAVE: each gets one OK, and both can be called again."""
    for number in range(30):
        alice, bob = stage.chat(f"a{number}", f"b{number}")
        alice.send("LEAVE")
        bob.send("LEAVE")
        answers = alice.barrier() + bob.barrier()
        assert answers.count("OK LEAVE") == 2
        assert sum(line.startswith("GONE") for line in answers) == 1
        assert bob.ask(f"CHAT a{number}") == f"OK CHAT a{number}"
        assert alice.line() == f"CALL b{number}"


def test_a_late_line_reaches_nobody_else(stage: Stage) -> None:
    """Alice leaves bob and pairs with carol, while bob's line is in flight."""
    for number in range(30):
        alice, bob = stage.chat(f"a{number}", f"b{number}")
        carol = stage.user(f"c{number}")
        bob.send("MSG only for alice")
        alice.send("LEAVE", f"CHAT c{number}", "MSG for carol")
        got = alice.barrier()
        assert "MSG only for alice" not in got[got.index("OK LEAVE") :]
        assert carol.barrier() == [f"CALL a{number}", "MSG for carol"]
        bob.barrier()


def test_pairs_find_together_over_threads_while_they_talk(start: Start) -> None:
    """A chat's ends move to one thread; lines behind the CHAT, and lines to and fro, stay whole and in order."""
    stage = start(io_threads=4)
    for number in range(50):
        alice, bob = stage.user(f"a{number}"), stage.user(f"b{number}")
        alice.send(f"CHAT b{number}", *[f"MSG {n}" for n in range(50)])
        bob.send(f"CHAT a{number}")
        assert bob.lines(1)[0] in (f"CALL a{number}", f"OK CHAT a{number}")
        heard = [line for line in bob.barrier() + alice_then(bob, alice) if line.startswith("MSG")]
        assert heard == [f"MSG {n}" for n in range(50)] or heard == []


def test_both_ends_of_a_chat_live_on_one_thread(start: Start) -> None:
    """So that a relay crosses no thread; whoever calls moves to the one who is called."""
    stage = start(io_threads=4)
    for number in range(8):
        alice, bob = stage.chat(f"a{number}", f"b{number}")
        alice.send("MSG from the new thread")
        assert bob.line() == "MSG from the new thread"
        names = stage.server._hub.users.by_name
        assert names[f"a{number}"].loop is names[f"b{number}"].loop  # type: ignore[attr-defined]


def alice_then(bob: Peer, alice: Peer) -> list[str]:
    """What bob has got when everything that alice sent has been handled."""
    alice.barrier()
    return bob.barrier()


# Many, slow and hostile


def test_500_chats_at_once(start: Start) -> None:
    """Every line is delivered once, in order, to the right person."""
    stage = start(io_threads=2)
    chats = [stage.chat(f"a{number}", f"b{number}") for number in range(500)]
    lines = 20
    expected: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for number, (alice, bob) in enumerate(chats):
            for sender, receiver, tag in ((alice, bob, "ab"), (bob, alice, "ba")):
                octets = b"".join(f"MSG {tag} {number} {n}\n".encode() for n in range(lines))
                sender.send_octets(octets)
                expected[receiver.socket] = octets
                selector.register(receiver.socket, selectors.EVENT_READ)
        got = dict.fromkeys(expected, b"")
        waiting = len(expected)
        while waiting:
            ready = selector.select(PATIENCE)
            assert ready, f"{waiting} users still wait for lines"
            for key, _ in ready:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                got[sock] += sock.recv(65536)
                if len(got[sock]) >= len(expected[sock]):
                    assert got[sock] == expected[sock]
                    selector.unregister(sock)
                    waiting -= 1


def test_a_reader_that_stops_reading_holds_up_its_partner_only(start: Start) -> None:
    """R-FLOW-1 and R-FLOW-3: the sender waits, others do not, and no line is lost."""
    stage = start()
    alice = stage.user("alice")
    bob = stage.user("bob", receive_buffer=4096)
    carol, dave = stage.chat("carol", "dave")
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    line = b"MSG " + b"x" * 995 + b"\n"
    alice.socket.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):  # noqa: PT012  # which send it is does not matter
        while True:
            sent += alice.socket.send(line[sent % 1000 :] + line * 60)
            assert sent < 50_000_000, "nothing holds the sender back"
            carol.send(f"MSG {sent}")
            assert dave.line() == f"MSG {sent}"
    alice.socket.settimeout(PATIENCE)
    rest = line[sent % 1000 :] if sent % 1000 else b""
    sender = threading.Thread(target=alice.send_octets, args=(rest,))
    sender.start()
    assert bob.line() == "CALL alice"
    total = (sent + len(rest)) // 1000
    assert all(found == line[:-1].decode() for found in bob.lines(total))
    sender.join()
    assert bob.barrier() == []


def test_lines_stay_in_order_while_a_queue_fills_and_drains(stage: Stage) -> None:
    """What goes straight to the network never overtakes what waits in the queue (R-MSG-5)."""
    alice, bob = stage.user("alice"), stage.user("bob", receive_buffer=4096)
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    octets = b"".join(b"MSG %06d %s\n" % (number, b"x" * 80) for number in range(40_000))
    sender = threading.Thread(target=alice.send_octets, args=(octets,))
    sender.start()
    assert bob.line() == "CALL alice"
    got = bytearray(bob.rest())
    while len(got) < len(octets):
        got += bob.socket.recv(3000)
    sender.join()
    assert bytes(got) == octets


def test_who_floods_with_requests_and_never_reads_is_stopped(start: Start) -> None:
    """R-FLOW-2: his queue is bounded, so his sending blocks."""
    stage = start()
    peer = stage.user("a", receive_buffer=4096)
    peer.socket.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):  # noqa: PT012
        while sent < 100_000_000:
            sent += peer.socket.send(b"WHO\n" * 10_000)
    assert sent < 50_000_000
    assert stage.user("b").barrier() == []


def test_a_queue_that_stays_full_is_closed(start: Start) -> None:
    """R-FLOW-4, with a shorter timer."""
    stage = start(changed("since: full, after: {timers.stalled.after}", "since: full, after: 200 ms"))
    alice, bob = stage.user("alice"), stage.user("bob", receive_buffer=4096)
    assert alice.ask("CHAT bob") == "OK CHAT bob"
    lines = (b"MSG " + b"x" * 1995 + b"\n") * 4000
    flood = threading.Thread(target=alice.send_octets, args=(lines,))
    flood.start()
    assert alice.line() == "GONE bob lost"
    flood.join()
    assert bob.line() == "CALL alice"


def test_timers_over_real_time(start: Start) -> None:
    """R-TIME-1 to R-TIME-3, with shorter durations."""
    stage = start(
        changed(
            "after: {timers.registration.after}, goodbye", "after: 150 ms, goodbye",
            "after: {timers.probe.after}", "after: 100 ms",
            "after: {timers.silence.after}", "after: 300 ms",
        )
    )  # fmt: skip
    slow, silent = stage.peer(), stage.user("silent")
    slow.send_octets(b"NA")
    assert silent.line().startswith("PING ")
    assert silent.line().startswith("BYE timeout ")
    assert silent.line() == "<end>"
    assert slow.line().startswith("PING ")
    assert slow.line().startswith("BYE timeout ")
    assert slow.line() == "<end>"


def test_resets_leak_neither_a_name_nor_a_descriptor_nor_a_thread(stage: Stage) -> None:
    """RST in mid-frame, half-closes and closes, in every state."""
    threads = threading.active_count()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(60):
        alice, bob = stage.chat()
        carol = stage.peer()
        alice.send_octets(b"MSG half a li")
        alice.reset()
        assert bob.line() == "GONE alice lost"
        carol.send_octets(b"NAME alice\n")
        assert carol.line() == "OK NAME alice"
        if number % 2:
            bob.reset()
            carol.until("WHO", "USER alice free", "OK WHO 1")
        else:
            bob.finish()
            assert bob.line() == "<end>"
            bob.close()
        carol.send("QUIT")
        assert carol.lines(2) == ["OK QUIT", "<end>"]
        carol.close()
    last = stage.user("last")
    assert last.ask("WHO") == "USER last free"
    last.close()
    deadline = threading.Event()
    for _ in range(200):
        if len(os.listdir("/proc/self/fd")) <= before:
            break
        deadline.wait(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert threading.active_count() == threads


def test_ipv6_is_served(spec: Spec) -> None:
    """Where the machine has it."""
    try:
        server = Server(spec, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server, socket.create_connection(server.address[:2], PATIENCE) as sock:
        sock.sendall(b"NAME a\n")
        assert sock.recv(100) == b"OK NAME a\n"


def test_loopback_has_no_share_in_either_family(spec: Spec) -> None:
    """R-OPEN-2: a listener for both families sees 127.0.0.1 as an IPv6 address; the log writes it as people do."""
    lines: list[dict[str, object]] = []
    try:
        server = Server(spec, "::", 0, per_address=1, log=lambda event, **fields: lines.append(fields))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        peers = [Peer(("127.0.0.1", server.address[1])) for _ in range(3)]
        assert [peer.ask("PING x") for peer in peers] == ["PONG x"] * 3
        for peer in peers:
            peer.close()
    assert {fields["address"] for fields in lines if "address" in fields} == {"127.0.0.1"}


def test_an_address_with_its_share_is_told_so(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-OPEN-2, over a socket: the goodbye has a code of its own, and the others talk on."""
    monkeypatch.setattr("pychat.server.server.is_loopback", lambda host: False)  # the machine may have no other address
    with Server(spec, "127.0.0.1", 0, per_address=2) as server:
        peers = [Peer(server.address) for _ in range(3)]
        assert peers[2].line().startswith("BYE address-full ")
        assert peers[2].line() == "<end>"
        assert [peer.ask("PING x") for peer in peers[:2]] == ["PONG x"] * 2
        for peer in peers:
            peer.close()


def test_an_ipv4_address_is_said_as_one(spec: Spec) -> None:
    """Also when it was given as an IPv6 address."""
    with Server(spec, "::ffff:127.0.0.1", 0) as server:
        assert server.address[0] == "127.0.0.1"
        peer = Peer(server.address)
        assert peer.ask("PING x") == "PONG x"
        peer.close()


# Another protocol: the notice board, with relations and slow rows


@pytest.mark.parametrize("io_threads", [1, 3])
def test_readers_on_all_threads_are_told(start: Start, io_threads: int) -> None:
    """In one order for all of them, each line once; the greeting comes first."""
    stage = start(BOARD, io_threads=io_threads, do=without_wait)
    readers = [stage.peer() for _ in range(3)]
    for number, reader in enumerate(readers):
        assert reader.line() == "WELCOME to the notice board"
        assert reader.ask(f"name u{number}") == f"OK NAME u{number}"
        assert reader.ask("SUB lost") == "OK SUB lost"
        for other in readers[:number]:
            assert other.line() == f"READER lost u{number}"
    writers = [stage.peer() for _ in range(2)]
    for number, writer in enumerate(writers):
        assert [*writer.lines(1), writer.ask(f"NAME w{number}")] == [
            "WELCOME to the notice board",
            f"OK NAME w{number}",
        ]
    for writer in writers:
        writer.send("POST lost x", "POST lost y")
    heard = [reader.lines(4) for reader in readers]
    assert heard[0] == heard[1] == heard[2]
    assert [line.split(" ")[2] for line in heard[0]] == ["1", "2", "3", "4"]
    year = int(readers[1].ask("READ lost").split(" ")[4][:4])
    assert abs(year - time.gmtime().tm_year) <= 1
    assert readers[1].lines(4)[-1] == "OK READ 4"
    readers[0].reset()
    assert [reader.line() for reader in readers[1:]] == ["LOSS lost u0 lost"] * 2


def test_a_server_without_a_store_is_not_started_for_a_protocol_that_needs_one() -> None:
    """The request is named; nothing listens."""
    with pytest.raises(ValueError, match="POST waits for a hash or a disk"):
        Server(BOARD, "127.0.0.1", 0)


def test_a_row_that_waits_for_the_disk_holds_up_nobody_else(start: Start) -> None:
    """But those who ask about what it writes: nobody is told of a note that is then taken back."""
    begun, over = threading.Event(), threading.Event()

    def write(_: Work) -> Result:
        begun.set()
        assert over.wait(PATIENCE)
        return "failed"

    stage = start(BOARD, io_threads=2, do=write)
    ann, bob, cy = stage.peer(), stage.peer(), stage.peer()
    for peer, name in ((ann, "ann"), (bob, "bob"), (cy, "cy")):
        assert [*peer.lines(1), peer.ask(f"NAME {name}")] == ["WELCOME to the notice board", f"OK NAME {name}"]
    ann.send("POST lost x", "PING 1")
    assert begun.wait(PATIENCE)
    assert bob.ask("READ found").startswith("NO READ no-note ")
    bob.send("SUB lost", "READ lost", "PING 2")
    assert cy.ask("SUB found") == "OK SUB found"
    over.set()
    assert ann.lines(2) == ["NO POST try-later Try that later.", "PONG 1"]
    assert bob.lines(3) == ["OK SUB lost", "NO READ no-note There is no note.", "PONG 2"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_being_written_when_the_server_stops_is_answered(fails: bool) -> None:
    """A store that takes its time, and one that breaks: then the request is refused. No thread is left."""
    begun, written = threading.Event(), threading.Event()
    kinds: list[str] = []

    def write(work: Work) -> Result:
        kinds.append(work.kind)
        begun.set()
        assert written.wait(PATIENCE)
        if fails:
            raise OSError("no room")
        return without_wait(work)

    before = set(threading.enumerate())
    server = Server(BOARD, "127.0.0.1", 0, io_threads=2, do=write)
    server.start()
    ann, bob, cy = (Peer(server.address) for _ in range(3))
    for peer, name in ((ann, "ann"), (bob, "bob"), (cy, "cy")):
        assert [*peer.lines(1), peer.ask(f"NAME {name}")] == ["WELCOME to the notice board", f"OK NAME {name}"]
    ann.send("POST lost x")
    assert begun.wait(PATIENCE)
    bob.send("POST lost y")
    cy.send("LOCK lost sesame")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert [bob.line(), cy.line()] == ["<end>", "<end>"]  # while the store is still at work
    assert stopping.is_alive()
    written.set()
    assert ann.line() == ("NO POST try-later Try that later." if fails else "OK POST lost 1")
    assert ann.line() == "<end>"
    for peer in (ann, bob, cy):
        peer.close()
    stopping.join(PATIENCE)
    assert set(threading.enumerate()) == before
    assert kinds == ["commit"]  # a hash for a connection that has ended is not made


def test_a_store_that_breaks_refuses_the_request(start: Start) -> None:
    """The connection lives, and the log has no word of the secret."""

    def do(work: Work) -> Result:
        raise OSError(f"no room for {work.payload}")

    logged: list[str] = []
    stage = start(BOARD, do=do, log=lambda event, **fields: logged.append(f"{event} {fields}"))
    peer = stage.peer()
    assert [*peer.lines(1), peer.ask("NAME ann")] == ["WELCOME to the notice board", "OK NAME ann"]
    assert peer.ask("POST lost x") == "NO POST try-later Try that later."
    assert peer.ask("LOCK lost sesame") == "NO LOCK try-later Try that later."
    assert peer.ask("PING 1") == "PONG 1"
    assert "slow-work-failed" in str(logged)
    assert "sesame" not in str(logged)
