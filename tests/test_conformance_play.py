"""Plays: their reader and its faults, the model that says what is due, and the scripts made of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.cases.edges import Edges
from conformance.cases.matrix import Matrix
from conformance.cases.play import SEGMENTS, Play, Step, example_plays, quoted, to_yaml
from conformance.cases.reader import PlayError, plays_of, shipped_plays
from conformance.engine.actions import Race, Receive, Send
from conformance.engine.failures import ContradictionError
from conformance.engine.script import Compiler
from conformance.engine.stage import Stage
from conformance.oracle.lines import SUBJECT
from conformance.oracle.model import End, Items, Text, World
from conformance.oracle.names import Names
from conformance.oracle.paths import paths_of
from conformance.oracle.probe import barrier_verb, configurations, probe_for
from conformance.results.record import NOT_JUDGED
from conformance.suite import client_cases, server_cases
from pychat.spec import Spec

HEAD = "plays:\n  - id: NAMED/CHAT/x\n    title: T\n    rules: [R-CHAT-1]\n    steps:\n"


def faults(tmp_path: Path, spec: Spec, text: str) -> str:
    """What the reader says about a file of this text."""
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(PlayError) as error:
        plays_of(file, spec)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (HEAD + "      - a> NAME a\n      - a? NAME\n", 7, "is no step"),
        (HEAD + "      - a<\n", 6, "this step has a text"),
        (HEAD + "      - a>| now\n", 6, "this step has a text"),
        (HEAD + '      - a> "no end\n', 6, "octets are written in double quotes"),
        (HEAD + "      - a= NOWHERE\n", 6, "there is no state NOWHERE; there are CONNECTED"),
        (HEAD + "      - together: [a< OK NAME a]\n", 6, "together holds what is sent"),
        (HEAD + "      - together: [a> LEAVE, b@ ring]\n", 6, "a timer that runs out stands first"),
        (HEAD + "      - together: [b@ 0.5 ring, a> LEAVE]\n", 6, "all its time has passed"),
        (HEAD + "      - together: [a> WHO]\n      - a> WHO\n", 6, "together is the last step"),
        (HEAD.replace("R-CHAT-1", "R-CHAT-99") + "      - a> WHO\n", 4, "there is no rule R-CHAT-99"),
        (HEAD.replace("NAMED/CHAT/x", "x") + "      - a> WHO\n", 2, "is no id like STATE/MESSAGE/variant"),
        (HEAD.replace("title: T", "titel: T") + "      - a> WHO\n", 2, "a play needs id, title, rules and steps"),
        (HEAD + "      - a> WHO\n    why: x\n", 7, "unknown key why"),
        (HEAD + "      - a> WHO\n    rounds: many\n", 7, "rounds must be a number"),
        (HEAD + "      - a@ teatime\n", 6, "there is no timer teatime; there are registration"),
        (HEAD + "      - a@ half probe\n", 6, "there is no timer half probe"),
        (HEAD + "      - a>* MSG hello\n", 6, "many lines have one number"),
        (HEAD + "      - server! KILL\n", 6, "there is no signal KILL; there is TERM"),
        (HEAD + "      - a! TERM\n", 6, "nobody else has them"),
        (HEAD + "      - a- now\n", 6, "this step has a text"),
        (HEAD + '      - a> "x"*many\n', 6, "octets are written in double quotes"),
        (HEAD + "      - 3* a? NAME\n", 6, "is no step"),
        (HEAD + "      - many* a> NAME\n", 6, "is no step"),
        (HEAD + "      - a+\n    server: {max: few}\n", 7, "server has numbers"),
        (HEAD + "      - a>? WHO\n", 6, "`a>? WHO` has no place in this play"),
        (HEAD.replace("title", "of: client\n    title") + "      - c@ probe\n", 7, "`c@ probe` has no place"),
        (HEAD + "      - a@ probe\n    server: {max: 4}\n", 5, "a play of time has no server of its own"),
        ("plays: yes\n", 1, "truth value"),
        ("cases: []\n", 1, "has the key plays alone"),
    ],
)
def test_a_play_that_breaks_the_format_is_refused_with_its_line(
    tmp_path: Path, spec: Spec, text: str, line: int, reason: str
) -> None:
    """File, line and reason."""
    said = faults(tmp_path, spec, text)
    assert said.startswith(f"own.yaml:{line}:")
    assert reason in said


def test_a_step_may_be_done_several_times(tmp_path: Path, spec: Spec) -> None:
    """A number before it, written out or taken from the spec."""
    file = tmp_path / "own.yaml"
    file.write_text(HEAD + "      - 2* a> WHO\n      - '{budgets.CONNECTED.faults}* a< ERR WHO wrong-state …'\n")
    (play,) = plays_of(file, spec)
    assert [str(step) for step in play.steps] == ["a> WHO"] * 2 + ["a< ERR WHO wrong-state …"] * 5


def test_a_play_is_written_as_it_is_read(tmp_path: Path, spec: Spec) -> None:
    """What `to_yaml` writes, `plays_of` reads: names, octets, races and all."""
    plays = [play for play in [*shipped_plays(spec), *Matrix(spec).plays()[:40]] if play.of == "server"]
    file = tmp_path / "written.yaml"
    file.write_text(to_yaml(plays))
    again = plays_of(file, spec)
    assert [play.steps for play in again] == [play.steps for play in plays]


@pytest.mark.parametrize("segment", SEGMENTS)
def test_every_play_says_what_the_model_says(spec: Spec, segment: str) -> None:
    """Two sources for what is right: hands and the table. They must not differ."""
    for play in [*shipped_plays(spec), *example_plays(spec), *Matrix(spec).plays()]:
        if play.of == "server" and segment in play.segments:
            Compiler(spec, play, 7, segment=segment).compile()


def test_a_play_against_the_model_is_the_suites_own_fault(spec: Spec) -> None:
    """It is never blamed on an implementation."""
    steps = (Step("a", "send", b"WHO\n", "WHO"), Step("a", "receive", text="OK WHO 0"))
    with pytest.raises(ContradictionError) as error:
        Compiler(spec, Play("CONNECTED/WHO/x", "t", ("R-WHO-1",), steps, source="own.yaml:2"), 1).compile()
    assert str(error.value) == (
        "own.yaml:2: step 2, `a< OK WHO 0`, contradicts the spec: by its model `a < ERR WHO wrong-state …` is due"
    )


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (("a> NAME alice", "a< OK NAME alice", "a@ stalled"), "who reads, is not full"),
        (("a> NAME alice", "a< OK NAME alice", "a@ probe", "a< BYE timeout …"), "by its model `a < PING …` is due"),
        (("a> NAME alice", "a< OK NAME alice", "a@ 0.5 probe", "a< PING …"), "by its model nothing is due to a"),
        (("a> NAME alice", "a< OK NAME alice", "a-", "a~"), "a does not read"),
        (("a<* PONG {n}",), "nobody has sent many lines"),
        (("a>* PING {n}", "a<* PONG x{n}"), "by its model `a < PONG 0."),
        (("a>* PING {n}", "a<* ERR MSG partner-gone …"), "by its model `a < PONG 0."),
        (("a>* WHO {n}",), "many lines are requests that end in {n}"),
        (("a>* NAME {n}",), "many lines are requests that end in {n}"),
        (("a>* PONG {n}",), "each of many lines comes to one connection"),
        (("a>* MSG {n}",), "each of many lines comes to one connection"),
        (("a> NAME alice", "a< OK NAME alice", "a@ ring"), "a was never at an end of a call"),
        (("server! TERM", "a< BYE shutting-down …"), "by its model nothing is due to a"),
    ],
)
def test_time_and_amounts_against_the_model_are_the_suites_own_fault(
    tmp_path: Path, spec: Spec, steps: tuple[str, ...], reason: str
) -> None:
    """What a timer brings, and what becomes of many lines, is known before anything is sent."""
    file = tmp_path / "own.yaml"
    file.write_text(HEAD + "".join(f"      - {step}\n" for step in steps))
    (play,) = plays_of(file, spec)
    with pytest.raises(ContradictionError) as error:
        Compiler(spec, play, 1).compile()
    assert reason in str(error.value)


def test_octets_that_are_alike_are_written_as_a_number_of_them() -> None:
    """Nobody counts 4090 of them."""
    assert quoted(b"MSG " + b"x" * 4090 + b"\r\n") == '"MSG " "x"*4090 "\\r\\n"'
    assert quoted(b"\n" * 99) == '"\\n"*99'
    assert quoted(b"xx\xff") == '"xx\\xff"'
    assert quoted(b"") == '""'


def test_the_model_stops_and_fills_up(spec: Spec) -> None:
    """A timer of a state that is left does nothing; at the stop nobody is told of anybody; one too many goes."""
    world = World(spec, limit=2)
    world.feed("a", b"NAME alice\n")
    world.feed("b", b"NAME bob\nCHAT alice\n")
    assert world.expire("a", spec.timers["registration"]) == {}
    assert world.enter("c") == {"c": [Text("BYE server-full …"), End()]}
    assert world.expire("b", spec.timers["probe"]) == {"b": [Text("PING …")]}
    both = [Text("BYE shutting-down …"), End()]
    assert world.copy().stop() == {"a": both, "b": both}
    assert world.expire("a", spec.timers["silence"]) == {
        "a": [Text("BYE timeout …"), End()],
        "b": [Text("GONE alice timeout")],
    }
    assert world.enter("d") == {}


def test_the_model_gives_what_is_due_to_everybody(spec: Spec) -> None:
    """A call moves two connections."""
    world = World(spec)
    world.feed("a", b"NAME alice\n")
    world.feed("b", b"NAME Bob\r\n")
    assert world.feed("a", b"CHAT bob\nMSG hi\n") == {
        "a": [Text("OK CHAT Bob")],
        "b": [Text("CALL alice"), Text("MSG hi")],
    }
    assert world.feed("b", b"WHO\n")["b"] == [Items(("USER alice busy", "USER Bob busy"), "OK WHO 2")]
    assert world.finish("a") == {"a": [End()], "b": [Text("GONE alice lost")]}


def test_the_model_rings_once_at_the_called_end(spec: Spec) -> None:
    """When its time has come it is asked whether the call was answered; both ends are told, or neither."""
    ring = spec.timers["ring"]
    world = World(spec)
    world.feed("a", b"NAME alice\n")
    world.feed("b", b"NAME bob\n")
    assert world.expire("b", ring) == {}
    world.feed("a", b"CHAT bob\n")
    answered = world.copy()
    assert world.expire("a", ring) == {}, "the caller has answered"
    assert world.expire("b", ring) == {"b": [Text("GONE alice unanswered")], "a": [Text("GONE bob unanswered")]}
    assert world.expire("b", ring) == {}
    assert (world.configuration("a"), world.configuration("b")) == ("PAIRED+alone", "PAIRED+alone")
    answered.feed("b", b"CHAT alice\nCHAT carol\n")
    assert answered.expire("b", ring) == {}, "it was answered, although the acceptance was taken back"


def test_the_model_tells_a_missed_call_once(spec: Spec) -> None:
    """Of each caller, until the busy user's own LEAVE; and a refusal may tell others."""
    world = World(spec)
    for who, name in (("a", "alice"), ("b", "bob"), ("c", "Carol")):
        world.feed(who, f"NAME {name}\n".encode())
    world.feed("a", b"CHAT bob\n")
    refused = [Text("ERR CHAT user-busy …")]
    assert world.feed("c", b"CHAT BOB\n") == {"c": refused, "b": [Text("MISSED Carol")]}
    assert world.copy().feed("c", b"CHAT bob\n") == {"c": refused}
    world.feed("a", b"LEAVE\n")
    assert world.feed("c", b"CHAT bob\n") == {"c": refused}
    world.feed("b", b"LEAVE\n")
    assert world.feed("c", b"CHAT bob\n") == {"c": [Text("OK CHAT bob")], "b": [Text("CALL Carol")]}


def test_each_end_of_a_link_is_a_configuration(spec: Spec) -> None:
    """Who has answered, who is heard, who waits for an answer, and who is alone."""
    world = World(spec)
    seen = []
    for who, line in (
        ("a", "NAME alice"), ("b", "NAME bob"), ("a", "CHAT bob"),
        ("b", "CHAT alice"), ("b", "CHAT carol"), ("a", "QUIT"),
    ):  # fmt: skip
        world.feed(who, f"{line}\n".encode())
        seen.append([world.configuration(each) for each in world.connections])
    assert seen == [
        ["NAMED"],
        ["NAMED", "NAMED"],
        ["PAIRED+calling", "PAIRED+called"],
        ["PAIRED", "PAIRED"],
        ["PAIRED", "PAIRED+retracted"],
        ["CLOSED", "PAIRED+alone"],
    ]


def test_the_model_copies_worlds_apart(spec: Spec) -> None:
    """A copy's changes are its own."""
    world = World(spec)
    world.feed("a", b"NAME alice\n")
    other = world.copy()
    other.feed("a", b"QUIT\n")
    assert world.is_open("a")
    assert not other.is_open("a")
    assert world.key() != other.key()


def test_a_race_knows_every_order_of_its_requests(spec: Spec) -> None:
    """Three connections that send one line each: six orders, of which two each have the same result."""
    play = next(play for play in shipped_plays(spec) if play.id == "NAMED/CHAT/ring-of-three")
    race = next(op.action for op in Compiler(spec, play, 1).compile().ops if isinstance(op.action, Race))
    assert len(race.branches) == 3


def test_a_race_against_a_timer_has_the_timer_in_every_place(spec: Spec) -> None:
    """A call is answered or over; the timer is nobody's request, so it may come between two of one connection."""
    play = next(play for play in shipped_plays(spec) if play.id == "PAIRED/TIME/ringing-against-an-answer")
    race = next(op.action for op in Compiler(spec, play, 1).compile().ops if isinstance(op.action, Race))
    told = [str(dict(branch.dues)) for branch in race.branches]
    assert all(("unanswered" in each) != ("ACCEPTED" in each) for each in told)
    assert len(told) == 4, "of six orders two pairs have the same result"


def test_names_are_unique_where_names_stand_and_nowhere_else(spec: Spec) -> None:
    """Case and spelling stay; a text is left alone; a length at its limit stays at it."""
    names = Names(spec, 12345)
    assert names.in_request(b"NAME aLice\r\nMSG alice\nCHAT a.b\n") == b"NAME aLice-12345\r\nMSG alice\nCHAT a.b\n"
    assert names.in_reply("GONE alice left") == "GONE alice-12345 left"
    assert names.in_request(b"CHAT bob\rCHAT bob\nWHO\n") == b"CHAT bob\rCHAT bob\nWHO\n", "LF alone ends a line"
    exact = Names(spec, 12345, exact=True)
    assert len(exact.unique("a" * 32)) == 32
    assert len(exact.unique("a")) == 1
    written = Names(spec, 12345, written=["null"])
    assert written.in_request(b"NAME null\nNAME Null\n") == b"NAME null\nNAME Null-12345\n"


def test_many_values_go_in_one_segment_and_each_has_its_step(spec: Spec) -> None:
    """What is due by a value is looked at in the step that has sent it, so that a failure names the value."""
    play = next(play for play in Edges(spec).plays() if play.id == "NAMED/PING/token-edges")
    ops = [op for op in Compiler(spec, play, 1).compile().ops if op.part == "play"]
    (send,) = [op.action for op in ops if isinstance(op.action, Send)]
    assert b"\nPING 007\nPING " in send.octets
    assert Text("PONG 007") in [
        op.action.due for op in ops if isinstance(op.action, Receive) if op.step == "a> PING 007"
    ]


def test_no_two_plays_take_the_same_written_name(spec: Spec) -> None:
    """Such names stay as they are, and a server may be slow to see that their users have gone."""
    plays = [play for play in Edges(spec).plays() if play.written]
    owners = {spec.name_type.fold(name): play.id for play in plays for name in play.written}
    assert {"constructor", "tostring", "null"} <= set(owners)
    assert all(owners[spec.name_type.fold(name)] == play.id for play in plays for name in play.written)


def test_coalesced_octets_stand_between_two_barriers(spec: Spec) -> None:
    """The neighbours' answers are due around the line's own; the player asks for other answers itself."""
    play = next(play for play in Matrix(spec).plays() if play.id == "CONNECTED/HELLO/greeted")
    ops = [op.action for op in Compiler(spec, play, 1, segment="coalesced").compile().ops]
    assert isinstance(ops[0], Send)
    assert ops[0].octets == b"PING judge-1\nHELLO 1\nPING judge-3\n"
    due = [action.due for action in ops if isinstance(action, Receive)][:3]
    assert due == [Text("PONG judge-1"), Text("OK HELLO 1 core"), Text("PONG judge-3")]
    asked = Stage(spec, ("127.0.0.1", 0)).barrier
    assert not {Text(asked.answer(asked.token())) for _ in range(9)} & {*due}


def test_a_probe_changes_nothing(little: Spec) -> None:
    """Where the only ordinary name is free it would be taken; the phantom partner of a probe's model has it too."""
    world = World(little)
    world.open(SUBJECT)
    before = world.key()
    probe = probe_for(world, SUBJECT)
    assert probe is not None
    world.feed(SUBJECT, probe.request)
    assert world.key() == before


UNLIKE = [{"PAIRED", "PAIRED+calling"}, {"PAIRED+called", "PAIRED+retracted"}]
"""Configurations that no request distinguishes without a change: the plays ask them by LEAVE and by CHAT."""


def test_probes_tell_every_configuration_from_every_other(spec: Spec) -> None:
    """What is answered to the probe, in the connection's own state, is answered so in no other that can be told."""
    assert barrier_verb(spec) == "PING"
    answers = {}
    for configuration in configurations(spec):
        world = World(spec)
        for step in paths_of(spec).to_configuration(configuration):
            world.feed(step.who, step.octets)
        world.open(SUBJECT)
        probe = probe_for(world, SUBJECT)
        assert probe is not None
        for other in configurations(spec):
            elsewhere = World(spec)
            for step in paths_of(spec).to_configuration(other):
                elsewhere.feed(step.who, step.octets)
            elsewhere.open(SUBJECT)
            answers[configuration, other] = str(elsewhere.feed(SUBJECT, probe.request))
    for configuration, other in answers:
        if configuration != other and {configuration, other} not in UNLIKE:
            assert answers[configuration, configuration] != answers[configuration, other]


def test_every_row_and_every_rule_has_a_case(spec: Spec) -> None:
    """The table's rows are all reached, and nothing that the spec demands goes unasked."""
    cases = server_cases(spec, ("whole",))
    reached = {case.rules[0] for case in cases if case.kind == "cell"}
    assert {row.rule for _, row in spec.outcomes()} <= reached
    for of, some in (("server", cases), ("client", client_cases(spec, ("whole",)))):
        shown = {rule for case in some for rule in case.rules}
        assert {rule.id for rule in spec.rules.values() if rule.of in (of, "both")} - set(NOT_JUDGED) <= shown


def test_another_protocol_has_cases_of_its_own(little: Spec) -> None:
    """The suite knows no verb: what it knows comes from the spec that it is given."""
    cases = server_cases(little, ("whole",))
    assert len(cases) > 150
    assert not {case.message for case in cases} & {"NAME", "CHAT", "MSG", "WHO"}
    assert len(client_cases(little, ("whole",))) > 30
