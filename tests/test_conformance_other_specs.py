"""The judge asks a spec for what it needs: a case for each row, a proof of silence, names enough; else it says so."""

# ruff: noqa: E501  # rows of a spec

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance.cases.counting import Counting
from conformance.cases.matrix import Matrix
from conformance.cli import main
from conformance.client.contract import Contract
from conformance.engine.target import command_values, placeholders_of
from conformance.oracle.model import World
from conformance.oracle.names import Names, names_of
from conformance.oracle.paths import paths_of
from conformance.oracle.probe import UnjudgeableError
from conformance.suite import client_cases, server_cases
from pychat.spec import Spec, loads
from pychat.spec.reading import read

from .conftest import ROOT, changed
from .specs import octets_of
from .table import Table

LITTLE = (ROOT / "tests" / "little.yaml").read_text()
RESERVED = [
    "  name-taken: {words",
    "  name-reserved: {words: It is reserved., doc: Nobody may have it.}\n  name-taken: {words",
    "        - {if: <name> is taken,",
    "        - {if: '<name> is \"root\"', error: name-reserved, rule: R-NAME-2}\n        - {if: <name> is taken,",
]


def made(*replacements: str) -> Spec:
    """A copy of the little spec with texts replaced."""
    text = LITTLE
    for old, new in zip(replacements[::2], replacements[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return loads(text.encode(), "made.yaml")


def without_an_echo(tmp_path: Path) -> Path:
    """The little spec without the request that is answered alike in every state."""
    data = data_of(LITTLE)
    del data["requests"]["echo"], data["always"]["echo"]
    file = tmp_path / "made.yaml"
    file.write_bytes(octets_of(data))
    return file


def data_of(text: str) -> dict[str, Any]:
    data = read(text.encode(), "made.yaml").data
    assert isinstance(data, dict)
    return data


def test_a_row_that_compares_a_name_with_a_word_has_its_case() -> None:
    """The word stays as it is, while the other names of a play are made its own."""
    spec = changed(*RESERVED)
    plays = {play.id: play for play in Matrix(spec).plays()}
    assert plays["CONNECTED/NAME/name-reserved"].steps[-1].octets == b"NAME root\n"
    assert Names(spec, 12345).in_request(b"NAME root\nNAME alice\n") == b"NAME root\nNAME alice-12345\n"
    assert not paths_of(spec).missing
    assert any(case.id == "CONNECTED/NAME/name-reserved" for case in client_cases(spec, ("whole",)))


def test_a_row_to_which_nothing_leads_is_named() -> None:
    """The model never comes to a second condition that is never the first to hold; no case is left out in silence."""
    spec = made(
        "      say: [{", "      say: [{if: no partner, error: no-one, rule: R-RING-1}, {"
    )  # both ends are free when one hangs up
    assert [(state, row.error) for state, row in paths_of(spec).missing] == [("TALKING", "no-one")]


def test_two_names_of_one_length_stay_two() -> None:
    """Also where their last letters alone tell them apart."""
    names = Names(made(), 12345, exact=True)
    assert len({names.unique(name) for name in ("abx", "aby", "abz")}) == 3
    assert names.unique("abx") == names.unique("abx")


@pytest.mark.parametrize(
    ("match", "good"), [("[a-c]", "[a, b, c]"), ("ann|bob|cy|di|ed", "[ann, bob, cy, di, ed]"), ("u[0-9]", "[u1, u2]")]
)
def test_too_few_names_are_a_sentence(match: str, good: str, tmp_path: Path) -> None:
    """A name that cannot be changed is taken by the case before, or by another run."""
    file = tmp_path / "made.yaml"
    text = LITTLE.replace("match: '[a-z]{2,8}', good: [ab], bad: [a, AB]", f"match: '{match}', good: {good}, bad: [AB]")
    file.write_bytes(octets_of({**data_of(text), "examples": {}}))
    result = CliRunner().invoke(main, ["list", "--spec", str(file)])
    assert result.exit_code == 2
    assert "it cannot be judged: there are too few names of the type handle" in result.output


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "client"], ["explain", "x"], ["server", "--cmd", "x"], ["client", "--cmd", "x {port}"]],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_a_protocol_without_a_proof_of_silence_is_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    """No request is answered alike in every state."""
    result = CliRunner().invoke(main, [*arguments, "--spec", str(without_an_echo(tmp_path))])
    assert result.exit_code == 2
    assert "cannot be judged: no request is answered with its own field in every state" in result.output


def test_an_echo_that_cannot_hold_a_number_is_no_proof(tmp_path: Path) -> None:
    """Its answers could not be told from one another."""
    text = LITTLE.replace("match: '[0-9]{1,4}', good: ['0'], bad: [x]", "match: '[0-9]', good: ['0'], bad: [x]")
    text = text.replace("answer: yes list <count>", "answer: yes list 1").replace("a< yes list 1", "a< yes list 1")
    (tmp_path / "made.yaml").write_text(text)
    result = CliRunner().invoke(main, ["list", "--spec", str(tmp_path / "made.yaml")])
    assert result.exit_code == 2
    assert "the field must take the numbers 1 to 999" in result.output


def test_a_contract_without_a_command_leaves_out_its_cases() -> None:
    """Where a client cannot be brought, nothing is asked of it."""
    whole = {case.state for case in client_cases(made(), ("whole",))}
    without = client_cases(made("am: {sends: iam <handle>}, ", ""), ("whole",))
    assert whole > {case.state for case in without} == {"NEW"}
    assert client_cases(made("talk: {sends: say <speech>}, ", ""), ("whole",))


def test_a_command_with_a_word_of_its_own_sends_that_word_alone() -> None:
    """Another value has no command, or another one."""
    contract = Contract(made("talk: {sends: say <speech>}", "yo: {sends: say yo}, talk: {sends: say <speech>}"))
    assert contract.command("say", {"speech": "yo"}) == "yo"
    assert contract.command("say", {"speech": "hi"}) == "talk hi"
    assert Contract(made("talk: {sends: say <speech>}", "yo: {sends: say yo}")).command("say", {"speech": "hi"}) is None


def test_two_lists_have_their_own_items() -> None:
    """Each request that lists has items of its own form."""
    spec = made(
        "  echo: {wire", "  who: {wire: who, item: 'x <handle:handle>', answer: that is all, doc: W.}\n  echo: {wire",
        "      list: [", "      who: [{outcome: all, answer: that is all, do: [list], rule: R-RING-1}]\n      list: [",
    )  # fmt: skip
    world = World(spec)
    world.feed("a", b"iam ann\n")
    assert "x ann" in str(world.feed("a", b"who\n"))
    assert "one ann idle" in str(world.feed("a", b"list\n"))
    table = Table(spec)
    table.say("a", "iam ann")
    assert table.say("a", "who") == "x ann / that is all"


def test_a_budget_of_several_states_counts_on_from_one_to_the_other() -> None:
    """The hub and the model agree: only another budget begins anew."""
    spec = made("faults: 3, counted: in-succession", "faults: 3, counted: in-all")
    table, world = Table(spec), World(spec)
    for line in ("?", "iam ann", "?"):
        assert "farewell" not in table.say("a", line)
        assert "farewell" not in str(world.feed("a", f"{line}\n".encode()))
    assert "farewell enough" in table.say("a", "?")
    assert "farewell enough" in str(world.feed("a", b"?\n"))


def test_a_timer_may_have_the_name_of_what_a_command_is_told() -> None:
    """`{max}` stays the number of connections."""
    spec = made("  quiet: {since", "  max: {since")
    assert placeholders_of(spec, "server")["max"] == "the most connections that it admits"
    assert command_values(spec, "x")["max"] == "1000"


def test_every_protocol_of_the_repository_can_be_judged(little: Spec, spec: Spec) -> None:
    """Each row of theirs has a case, and each name is another one."""
    for each in (little, spec):
        assert server_cases(each, ("whole",))
        assert not paths_of(each).missing
        assert len(set(names_of(each, 4))) == 4


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("count", "the server fills fields of the type count by itself too"), ("coin", "does not take")],
)
def test_a_relation_whose_keys_plays_would_share_is_not_judged(kind: str, reason: str) -> None:
    """A number is added to the keys of each play, so it must be possible, and nothing else may have their type."""
    spec = changed(
        "types:\n", "types:\n  coin: {one_of: [heads, tails], doc: A side.}\n",
        "  LEAVE:\n    wire: LEAVE\n", f"  BET:\n    wire: BET <side:{kind}>\n    answer: OK BET\n    doc: Bets.\n"
        "  TOSS:\n    wire: TOSS <coin:coin>\n    answer: OK TOSS\n    doc: Tosses.\n  LEAVE:\n    wire: LEAVE\n",
        "relations:\n", f"relations:\n  bet:\n    of: {{side: {kind}, user: user}}\n    doc: Bets.\n",
        "    doc: The user has a name and can be called.\n    recv:\n",
        "    doc: The user has a name and can be called.\n    recv:\n"
        "      TOSS:\n        - {outcome: tossed, answer: OK TOSS, rule: R-WHO-1}\n"
        "      BET:\n        - {if: 'bet(<side>, me)', error: user-busy, rule: R-WHO-1}\n"
        "        - {outcome: bet, answer: OK BET, do: ['add bet(<side>, me)'], rule: R-WHO-1}\n",
    )  # fmt: skip
    with pytest.raises(UnjudgeableError, match=f"keeps under <side> must differ from play to play, .*{reason}"):
        server_cases(spec, ("whole",))


def test_a_state_to_which_the_model_comes_alone_has_its_cases() -> None:
    """It holds the link, and nobody is linked in it; its budget is asked about all the same."""
    spec = changed(
        "held_in: [PAIRED]", "held_in: [PAIRED, AWAY]", "in: [NAMED, PAIRED], faults", "in: [NAMED, PAIRED, AWAY], faults",
        "  LEAVE:\n    wire: LEAVE\n",
        "  REST:\n    wire: REST\n    answer: OK REST\n    doc: Goes away.\n"
        "  BACK:\n    wire: BACK\n    answer: OK BACK\n    doc: Comes back.\n  LEAVE:\n    wire: LEAVE\n",
        "  CLOSED:\n    final",
        "  AWAY:\n    doc: Away.\n    recv:\n"
        "      BACK:\n        - {outcome: back, to: NAMED, answer: OK BACK, do: [unlink, 'drop missed(me, *)'], partner: {push: GONE <me> left}, rule: R-LEAVE-1}\n"
        "  CLOSED:\n    final",
        "    doc: The user has a name and can be called.\n    recv:\n",
        "    doc: The user has a name and can be called.\n    recv:\n"
        "      REST:\n        - {outcome: away, to: AWAY, answer: OK REST, rule: R-LEAVE-1}\n",
    )  # fmt: skip
    assert [name for name in paths_of(spec).configurations if name.startswith("AWAY")] == ["AWAY+alone"]
    assert "AWAY/LINE/too-many-errors" in {play.id for play in Counting(spec).plays()}


@pytest.mark.parametrize("ends", [(0x7F, 0x10FFFF), (0xD800, 0xDFFF), (0x7F, 0xD7FF), (0xE000, 0xFFFF)])
def test_any_range_of_characters_may_be_forbidden(ends: tuple[int, int]) -> None:
    """Also one that ends where there is no next character, or at those that no line can hold."""
    kind = replace(changed().types["text"], forbid=((0x00, 0x1F), ends))
    spec = changed()
    assert server_cases(replace(spec, types={**spec.types, "text": kind}), ("whole",))
