"""The model check: that it sees every state, holds for the shipped protocol, and finds what was broken on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from conformance.cases.case import cases_of
from conformance.cases.play import Play, to_yaml
from conformance.cases.reader import plays_of
from conformance.engine.target import Address
from conformance.engine.verdict import Result, Verdict
from conformance.engine.worker import Worker
from pychat.core.connection import Connection
from pychat.core.hub import Hub
from pychat.core.protocol import Protocol
from pychat.core.replay import matches
from pychat.core.session import LocalProtocolError, Session
from pychat.spec import Spec, load, shipped
from tools.check import __main__ as command
from tools.check.explore import Bounds, Search
from tools.check.model import Model
from tools.check.properties import AMBIGUOUS, NEVER, PROPERTIES, Violation
from tools.check.rows import compile_tables
from tools.check.state import NO_CHAT, NOBODY, Action, GlobalState, SentRequest
from tools.check.texts import Texts
from tools.check.trace import TraceStep, actions, trace_steps

from .broken import CALLS, CONTROLS, SMALL, TINY, found_trace, plainly, searched
from .conftest import ROOT, SPEC_FILE, Stage
from .faults import board

LITTLE = ROOT / "tests" / "little.yaml"

# --- The search -------------------------------------------------------------------------------------------------------


def test_the_shipped_protocol_holds() -> None:
    """Two clients, queues of two frames to the server and three back; every row fires."""
    found = Search(compile_tables(shipped()), Bounds(clients=2, up=2, down=3)).run()
    assert found.complete
    assert found.traces == {}
    assert found.states > 20_000


def test_a_protocol_of_relations_holds() -> None:
    """The notice board has no link; its rows ask and change relations, and readers are told of what changes."""
    search = Search(compile_tables(board()), Bounds(clients=2, up=1, down=1, named=True))
    found = search.run(limit=20_000)
    assert found.traces == {}
    relational = {row.index for row in search.model.tables.rows if row.asks_relations and row.state == "HERE"}
    counting = {row.index for row in search.model.tables.rows if row.counts}
    assert relational - counting <= found.fired


def test_a_client_without_rules_hurts_only_itself() -> None:
    """One client keeps no rule for clients, the other one keeps them all: what is promised to that one holds."""
    found = Search(compile_tables(shipped()), Bounds(clients=2, up=1, down=1, wild=1, named=True)).run()
    assert found.complete
    assert found.traces == {}


@pytest.mark.parametrize("file", [SPEC_FILE, LITTLE], ids=["pychat", "little"])
def test_the_search_sees_what_the_model_says(file: Path) -> None:
    """With cached steps and symmetry it sees the same states as the model's plain steps: none more and none less."""
    tables = compile_tables(load(file))
    search = Search(tables, TINY)
    found = search.run()
    worlds, fired = plainly(Model(tables, TINY.clients, TINY.up, TINY.down))
    assert {search.canonical(world) for world in worlds} == search.seen
    assert len(search.seen) == found.states < len(worlds)
    assert fired <= found.fired


@pytest.mark.parametrize("seed", range(20))
def test_the_model_does_what_the_program_does(seed: int) -> None:
    """Random walks of the model, played by the real hub and three real sessions: all send, allow and see the same."""
    model = Model(compile_tables(shipped()), 3, 2, 3)
    path = list(walk(model, Random(seed), 200))
    words = Texts(model.tables, [(action, before) for action, before, _ in path])
    program = Program(model, words)
    for step, (_, before, after) in zip(trace_steps(words, path, model.server), path, strict=True):
        program.compare_sends(before)
        program.play(step)
        program.compare(after)


def walk(model: Model, random: Random, steps: int) -> Iterator[tuple[Action, GlobalState, GlobalState]]:
    """A random path through the model, on which few connections end."""
    world = model.start()
    for _ in range(steps):
        found = [(action, after) for action, after, _ in model.steps(world) if after is not None]
        found = [step for step in found if not_a_clock(model, step[0])]
        lasting = [step for step in found if not ends(model, step[0])]
        if not found:
            return
        action, after = random.choice(lasting if lasting and random.random() < 0.99 else found)
        yield action, world, after
        world = after


def not_a_clock(model: Model, action: Action) -> bool:
    """Whether the hub does the step without a clock that all connections have: the timers of calls are among them."""
    return action.kind != "timer" or (action.row is not None and model.tables.rows[action.row].of_call)


def ends(model: Model, action: Action) -> bool:
    """Whether the action begins the end of a connection."""
    return action.kind == "close" or (action.sent is not None and model.tables.verbs[action.sent.verb].ends)


class Program:
    """The server's hub and the clients' sessions, with the octets between them."""

    def __init__(self, model: Model, words: Texts) -> None:
        self.model, self.words = model, words
        self.hub = Hub(model.spec)
        self.connections = [Connection() for _ in range(model.clients)]
        self.sessions = [Session(Protocol(model.spec)) for _ in range(model.clients)]
        self.waiting: list[list[bytes]] = [[] for _ in range(model.clients)]
        for connection in self.connections:
            self.hub.open(connection, "here", 0.0, loopback=True)

    def play(self, step: TraceStep) -> None:
        who = step.action.who
        if step.action.kind == "send":
            verb, *values = step.text.split(" ", 1)
            assert self.sessions[who].request(verb, *values).decode() == step.text + "\n"
        elif step.action.kind == "read":
            for _ in step.read:
                assert len(list(self.sessions[who].receive(self.waiting[who].pop(0)))) == 1
        elif step.action.kind == "take":
            self.hub.receive(self.connections[who], step.text.encode() + b"\n", 0.0)
        elif step.action.kind == "timer":
            self.ring(step)
        else:
            self.hub.lose(self.connections[who], 0.0)
        for frame in step.frames:
            [octets] = self.connections[frame.who].outbox
            self.connections[frame.who].outbox.clear()
            assert matches(frame.text, octets.decode().removesuffix("\n"))
            self.waiting[frame.who].append(octets)
        assert not any(connection.outbox for connection in self.connections)

    def ring(self, step: TraceStep) -> None:
        """The timer of a call runs out at this connection; for the others it is still the beginning."""
        assert step.row is not None
        after = self.model.spec.timers[step.row.label].after
        self.hub.tick(self.connections[step.action.who], after)

    def compare_sends(self, world: GlobalState) -> None:
        """A session allows what the model offers; requests that change nothing are left out."""
        for endpoint in world.endpoints:
            if endpoint.state == self.model.spec.final or len(endpoint.up) == self.model.up:
                continue
            offered = {
                self.words.request(sent._replace(meant=NOBODY, meant_name=NOBODY, chat=NO_CHAT))
                for sent, _ in self.model.client.sends(endpoint)
            }
            asked = [
                SentRequest(verb.verb, name)
                for verb in self.model.tables.verbs.values()
                if not verb.inert
                for name in (range(3) if verb.name_field else (NOBODY,))
            ]
            assert {text for text in map(self.words.request, asked) if self.allows(endpoint.me, text)} == offered

    def allows(self, who: int, text: str) -> bool:
        verb, *values = text.split(" ", 1)
        fields = self.model.spec.requests[verb].form.fields
        try:
            self.sessions[who].check(verb, {field.name: value for field, value in zip(fields, values, strict=True)})
        except LocalProtocolError:
            return False
        return True

    def compare(self, world: GlobalState) -> None:
        """Server and client are in the states of the model."""
        named = [endpoint for endpoint in world.endpoints if endpoint.name != NOBODY]
        names = {endpoint.name: self.connections[endpoint.me] for endpoint in named}
        assert len(names) == len(self.hub.users.by_name)
        for endpoint in world.endpoints:
            connection, view = self.connections[endpoint.me], self.sessions[endpoint.me].view
            assert connection.state == endpoint.state
            if endpoint.state == self.model.spec.final:
                continue
            assert connection.partner is (None if endpoint.partner == NOBODY else self.connections[endpoint.partner])
            assert (connection.answered, connection.accepted) == (endpoint.answered, endpoint.accepted)
            assert view.state == endpoint.view
            assert (view.answered, view.accepted) == (endpoint.has_answered, endpoint.is_accepted)
            assert view.here == endpoint.here
            assert view.name == self.words.names.get(endpoint.own_name)
            assert view.partner == self.words.names.get(endpoint.peer_name)


@pytest.mark.parametrize("name", CONTROLS)
def test_what_was_broken_is_found(name: str) -> None:
    """Each with a trace that ends where the violation shows, if it does not lie in the tables themselves."""
    _, found = searched(name)
    violation = CONTROLS[name].violation
    assert violation in found.traces
    if not CONTROLS[name].shown:
        return
    shown = found_trace(name)
    assert bool(shown.steps) == (violation.property not in (AMBIGUOUS, NEVER))
    assert str(violation) in shown.diagram()
    assert len(shown.steps) >= len(found.traces[violation]) - 1


@pytest.mark.parametrize("name", CALLS)
def test_what_was_broken_in_a_call_is_found_as_soon_as_it_can_be(name: str) -> None:
    """With no more steps than the smallest model of calls needs, counted from where each client has its name."""
    control = CALLS[name]
    search, _ = searched(name)
    assert len(list(actions(search, control.violation))) <= control.steps


def test_each_property_has_a_control() -> None:
    """A property that no broken spec can break proves nothing."""
    assert {control.violation.property for control in CONTROLS.values()} == set(PROPERTIES)


def test_a_row_that_fires_is_not_blamed() -> None:
    """One client alone can call itself."""
    _, found = searched("nobody to call")
    assert Violation(NEVER, "NAMED CHAT/self-chat if <name> is oneself") not in found.traces


def test_a_search_gives_up_at_its_limit() -> None:
    found = Search(compile_tables(shipped()), SMALL).run(limit=100)
    assert not found.complete
    assert found.states >= 100
    assert found.traces == {}


# --- Traces -----------------------------------------------------------------------------------------------------------


def test_a_trace_is_a_sequence_diagram() -> None:
    """A lifeline for each client and the server; a request that is taken at once has one line."""
    lines = found_trace("two unanswered LEAVEs").diagram().splitlines()
    assert lines[0].startswith("end of another chat: PAIRED LEAVE/declined")
    assert re.fullmatch(r"alice +bob +server", lines[3])
    assert any(re.fullmatch(r"│ NAME alice ─▶ +│ +│ named; alice NAMED", line) for line in lines)
    assert any(re.fullmatch(r"│ ◀─ OK NAME alice +│ +│", line) for line in lines)
    assert any("at the server; " in line and line.endswith(" in its own view") for line in lines)


def test_a_trace_shows_what_was_on_its_way() -> None:
    """A request that others overtake has a line where it is sent, and one where it is taken."""
    lines = found_trace("two unanswered LEAVEs").diagram().splitlines()
    sent = next(i for i, line in enumerate(lines) if "CHAT bob ┄▶" in line)
    assert any("│ alice's CHAT bob: opened; alice PAIRED; bob PAIRED" in line for line in lines[sent + 1 :])


def judged(stage: Stage, spec: Spec, play: Play) -> Result:
    """The judge's verdict on a running server, by this spec."""
    host, port = stage.server.address[:2]
    [case] = cases_of(spec, play, "play", ["whole"])
    return Worker(Address(host, port), spec).verdict(case)


@pytest.mark.parametrize("name", [name for name, control in CONTROLS.items() if control.playable and not control.label])
def test_a_trace_plays_on_a_real_server(name: str, start: Callable[..., Stage], tmp_path: Path) -> None:
    """A server of the broken spec does what the model says, with the violation."""
    search, _ = searched(name)
    spec = search.model.spec
    file = tmp_path / "trace.yaml"
    file.write_text(to_yaml([found_trace(name).play()]), encoding="utf-8")
    [play] = plays_of(file, spec)
    result = judged(start(spec), spec, play)
    assert result.verdict is Verdict.PASS, f"{result.step}: wanted {result.wanted}, got {result.got}"


def test_a_sound_server_does_not_play_the_trace(start: Callable[..., Stage]) -> None:
    """It refuses the line that the broken one delivers."""
    name = "a line is taken before the chat is accepted"
    search, _ = searched(name)
    spec, play = search.model.spec, found_trace(name).play()
    result = judged(start(shipped()), spec, play)
    assert result.verdict is Verdict.FAIL
    assert re.fullmatch(r"b< MSG for \w+", result.step)
    assert result.got.startswith("nothing")


# --- The command ------------------------------------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command.main, words)
    return result.exit_code, result.output


def test_the_command_says_what_holds() -> None:
    code, said = run("--clients", "2", "--queue", "1/1")
    assert code == command.SOUND
    assert re.search(r"holds +misdelivered line: ", said)
    assert "A state is what the server and each client know" in said
    assert "at most 1 to the server and 1 to the client" in said
    assert "not refuted" not in said
    assert re.search(r"\b([0-9]+) of \1 rows fired", said)


def test_the_command_shows_and_exports_what_does_not(tmp_path: Path) -> None:
    code, said = run("--queue", "1/1", "--spec", str(LITTLE), "--export", str(tmp_path / "p.yaml"))
    assert code == command.FAULTY
    assert "end of another chat: TALKING hang/hung" in said
    plays = plays_of(tmp_path / "p.yaml", load(LITTLE))
    assert len({play.id for play in plays}) == len(plays) > 3


def test_the_command_says_when_it_has_not_seen_all() -> None:
    code, said = run("--limit", "50")
    assert code == command.INCOMPLETE
    assert "not all states were seen" in said
    verdicts = re.findall(r"^  (not refuted yet|holds) +[\w ]+: ", said, re.MULTILINE)
    assert verdicts.count("holds") == 1  # what the tables alone show
    assert verdicts.count("not refuted yet") == len(PROPERTIES) - 1


def test_the_command_does_not_say_that_each_row_fires_where_it_was_not_asked() -> None:
    """A search that begins when all have names does not see the rows before."""
    code, said = run("--named", "--queue", "1/1")
    assert code == command.SOUND
    assert re.search(r"not asked +row that never fires: ", said)


def test_a_refusal_that_takes_nothing_back_is_found(tmp_path: Path) -> None:
    """Without `do: [retract]` a line for another user reaches the partner: no client that keeps the rules shows it."""
    file = tmp_path / "kept.yaml"
    text = SPEC_FILE.read_text(encoding="utf-8")
    assert text.count("do: [retract], ") == 1
    file.write_text(text.replace("do: [retract], ", ""), encoding="utf-8")
    code, said = run("--queue", "1/1", "--spec", str(file))
    assert code == command.FAULTY
    assert "line after another name: PAIRED CHAT/already-paired" in said
    assert re.search(r"CHAT alice ─▶.*already-paired", said)
    assert re.search(r"MSG for alice ─▶.*relayed", said)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--queue", "2"), "not like 2/3"),
        (("--clients", "9"), "not in the range"),
        (("--spec", "no-such-file"), "no-such-file"),
        (("--spec", __file__), "test_check.py:"),
        (("--named", "--export", "p.yaml"), "leave out --named"),
    ],
)
def test_misuse_is_told(words: tuple[str, ...], reason: str) -> None:
    code, said = run(*words)
    assert code == command.MISUSE
    assert reason in said
