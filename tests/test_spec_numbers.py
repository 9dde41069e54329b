"""Each number of a spec is written once: texts and plays take it from there by a placeholder."""

from __future__ import annotations

import copy
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from conformance.cases import play as plays
from conformance.cases.play import Play, example_plays
from conformance.cases.reader import PlayError, plays_of, shipped_plays
from conformance.cli import main
from conformance.engine.script import Compiler
from pychat.spec import Spec, SpecError, loads
from pychat.spec.placeholders import fill_texts, numbers_of
from pychat.spec.reading import Data, Document, read

from .conftest import SPEC_FILE, changed, replaced
from .specs import octets_of

TEXT = SPEC_FILE.read_text()
PLAY_FILES = sorted(Path(plays.__file__).with_name("plays").glob("*.yaml"))
PARTS = ("transport", "framing", "types", "budgets", "relations", "timers", "limits")

# Each number and another one that is as good. All of them differ, and none stands in the shipped spec.
OTHERS: dict[str, int | float | str] = {
    "transport.port": 8263,
    "transport.keepalive.idle": "53 s",
    "transport.keepalive.interval": "11 s",
    "transport.keepalive.probes": 6,
    "framing.max_octets": 2711,
    "types.text.octets": "1..2503",
    "types.profiles.octets": "1..223",
    "types.verb.octets": "1..37",
    "types.code.octets": "1..43",
    "types.words.octets": "1..227",
    "budgets.CONNECTED.faults": 7,
    "budgets.NAMED.faults": 89,
    "relations.missed.keep.busy": 97,
    "timers.registration.after": "41 s",
    "timers.probe.after": "131 s",
    "timers.silence.after": "11 min",
    "timers.ring.after": "67 s",
    "timers.stalled.after": "37 s",
    "timers.linger.after": "1700 ms",
    "limits.tolerance.seconds": 1.5,
    "limits.shutdown.seconds": 7,
    "limits.queue_mark.octets": 271829,
    "limits.queue_stop.octets": 1414213,
    "limits.address_share.one_in": 13,
    "limits.address_share.at_least": 61,
}
OTHER_BRACES = '{n} {} { } {"a.b": 1} [a-z]{0,31} {{}} {port} {framing'
IN_WORDS = r"fifth|hundred(th)?|tenth|ninety|five faults"


@cache
def data_of(file: Path) -> Any:
    """The data of a file, unfilled; not to be changed."""
    return read(file.read_bytes(), file.name).data


def shipped_data() -> dict[str, Any]:
    """The data of the shipped spec, unfilled, to be changed."""
    return cast("dict[str, Any]", copy.deepcopy(data_of(SPEC_FILE)))


def put(data: dict[str, Any], path: str, value: int | float | str) -> int | float | str:
    """Another number at a path; gives the one that stood there."""
    *names, last = path.split(".")
    place: Any = data
    for name in names:
        place = place[name] if isinstance(place, dict) else next(entry for entry in place if name in entry["in"])
    old: int | float | str = place[last]
    place[last] = value
    return old


def texts(value: Data, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each text of the data that is not itself a number of the spec, by its path."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(part, (*path, key))
    elif isinstance(value, str) and not any(key in path for key in ("after", "octets", "idle", "interval")):
        yield path, value


def filled(data: dict[str, Any], other: Data = None) -> dict[tuple[str | int, ...], str]:
    """The filled texts of a spec; or those of a file of plays, with the numbers of the spec."""
    document = Document("x", data=data if other is None else other)
    assert not fill_texts(document, numbers_of(data))
    return dict(texts(document.data))


def citing(path: str, value: Data) -> set[tuple[str | int, ...]]:
    """The places of the texts that name the number."""
    return {where for where, text in texts(value) if re.search(rf"\{{{path}(\.most)?( [+-] [0-9]+)?\}}", text)}


def judged(spec: Spec) -> Iterator[Play]:
    yield from (play for play in [*shipped_plays(spec), *example_plays(spec)] if play.of == "server")


# What a placeholder is

KNOWN: dict[str, int | str] = {  # the numbers of the spec in these tests, whatever the shipped ones are
    "framing.max_octets": 4096, "timers.probe.after": "120 s", "budgets.CONNECTED.faults": 5,
    "budgets.NAMED.faults": 100, "types.text.octets": "1..2000", "limits.tolerance.seconds": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at most {framing.max_octets} octets", "at most 4096 octets"),
        ("{framing.max_octets - 1} and {framing.max_octets + 2}", "4095 and 4098"),
        ("after {timers.probe.after}", "after 120 s"),
        ("{budgets.CONNECTED.faults}, {budgets.NAMED.faults}, {budgets.PAIRED.faults}", "5, 100, 100"),
        ("{types.text.octets.least} to {types.text.octets.most}", "1 to 2000"),
        ("{limits.tolerance.seconds} s", "1 s"),
        ("{{framing.max_octets}} stands for {framing.max_octets}", "{framing.max_octets} stands for 4096"),
        (OTHER_BRACES, OTHER_BRACES),
        ("{budgets.CONNECTED.faults - 5}", "0"),
    ],
)  # fmt: skip
def test_a_placeholder_is_filled_and_other_braces_stay(text: str, said: str) -> None:
    """One syntax, in every text."""
    data = {**shipped_data(), "title": text}
    for path, value in KNOWN.items():
        put(data, path, value)
    assert loads(octets_of(data)).title == said


@pytest.mark.parametrize(
    ("placeholder", "reason"),
    [
        ("{framing.max_octet}", "{framing.max_octet} names no number of the spec; there are framing.max_octets ("),
        ("{timers.probe}", "there are timers.registration.after, timers.probe.after, timers.silence.after"),
        ("{budgets.CLOSED.faults}", "there are budgets.CONNECTED.faults, budgets.NAMED.faults, budgets.PAIRED.faults"),
        ("{budgets.0.faults}", "{budgets.0.faults} names no number"),
        ("{rules.R-FRAME-1.text}", "there are transport, framing, types, budgets, relations, timers, limits"),
        ("{states.CONNECTED.initial}", "{states.CONNECTED.initial} names no number"),
        ("{history.1.version}", "{history.1.version} names no number"),
        ("{framing.max_octets+1}", "{framing.max_octets+1} names no number"),
        ("{framing.max_octets - x}", "{framing.max_octets - x} names no number"),
        ("{framing.max_octets }", "{framing.max_octets } names no number"),
        ("{framing.max_octets:,}", "{framing.max_octets:,} names no number"),
        ("{framing.max_octets - 4097}", "{framing.max_octets - 4097} is -1, and no amount is below 0"),
        ("{timers.probe.after + 1}", "a number is added to whole numbers alone, not to 120 s"),
    ],
)
def test_a_placeholder_that_names_no_number_is_refused_with_its_place(placeholder: str, reason: str) -> None:
    """Line and column of the text, and what there is instead."""
    text = replaced(TEXT, "max_octets: {framing.max_octets} ", f"max_octets: {KNOWN['framing.max_octets']} ")
    text = replaced(text, "silence, after: {timers.probe.after}", f"silence, after: {KNOWN['timers.probe.after']}")
    text = text.replace("A request that has no place in the", f"A {placeholder} request that has no place in the")
    text = text.replace(f"text: A {placeholder}", f"text: 'A {placeholder}").replace("wrong-state.}", "wrong-state.'}")
    with pytest.raises(SpecError) as caught:
        loads(text.encode(), "x")
    (fault,) = caught.value.faults
    line = next(index for index, line in enumerate(text.splitlines(), 1) if "R-ERR-5: {of" in line)
    assert str(fault).startswith(f"x:{line}:{text.splitlines()[line - 1].index(chr(39)) + 1}: ")
    assert reason in fault.reason


def test_another_fault_is_shown_without_what_follows_from_it() -> None:
    """A timer that has another name is no number that is missing, before all else is right."""
    with pytest.raises(SpecError) as caught:
        changed("  probe: {since: silence, after: 120 s", "  probe: {since: silence, after: 120 h")
    assert ["not of the form" in fault.reason for fault in caught.value.faults] == [True]


def test_a_number_is_filled_once_and_in_few_steps() -> None:
    """What is filled is not looked at again, and a file at its bounds takes no longer than another one."""
    data = {**shipped_data(), "hints": ["{budgets.NAMED.faults - 1}{{framing.max_octets}}{a" * 18_000]}
    assert loads(octets_of(data)).hints == ("99{framing.max_octets}{a" * 18_000,)
    data["hints"] = [f"1..{'9' * 5000}"]
    assert loads(octets_of(data)).hints == (f"1..{'9' * 5000}",)
    data["budgets"][0]["in"].append("x" * 100_000)
    data["hints"] = [f"{{budgets.{number}}}{{{number}." for number in range(3000)]
    unfilled = fill_texts(Document("x", data=data), numbers_of(data))
    assert len(unfilled) == 3000
    assert all(len(reason) < 1000 for _, reason in unfilled)


@pytest.mark.parametrize("times", ["0", "2", "{budgets.CONNECTED.faults}"])
def test_a_step_of_an_example_may_be_done_several_times(times: str) -> None:
    """`9* a> frame` is nine steps."""
    data = shipped_data()
    data["examples"] = {
        "x": {"title": "X", "doc": "X", "rules": ["R-PING-2"], "steps": ["a> PONG x", f"{times}* a> PONG y"]}
    }
    steps = loads(octets_of(data)).examples["x"].steps
    assert [step.octets for step in steps] == [b"PONG x\n", *[b"PONG y\n"] * (int(times) if times.isdigit() else 5)]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["0* a> PONG x"], "an example needs a step"),
        (["99999* a> PONG x"], "all examples together have at most 40000 steps"),
        (["{timers.probe.after}* a> PONG x"], "begins with their number"),
        (["{budgets.NAMED.fault}* a> PONG x"], "names no number"),
    ],
)
def test_a_number_of_steps_that_makes_no_sense_is_refused(steps: list[str], reason: str) -> None:
    """With the place of the example."""
    data = shipped_data()
    data["examples"] = {"x": {"title": "X", "doc": "X", "rules": ["R-PING-2"], "steps": steps}}
    with pytest.raises(SpecError, match=reason):
        loads(octets_of(data))


# Changing a number in one place changes it everywhere


def test_every_number_of_the_spec_is_in_the_table() -> None:
    """A number that is added has a row there."""
    found = {".".join(path) for path in numbers_of(shipped_data()) if path[0] in PARTS}
    found = {re.sub(r"\.octets\.(least|most)$", ".octets", path) if path[0] == "t" else path for path in found}
    assert found - {"budgets.PAIRED.faults"} == OTHERS.keys()  # the budget of NAMED, under another name


@pytest.mark.parametrize("path", OTHERS)
def test_a_number_that_is_changed_in_one_place_is_changed_in_every_text(path: str) -> None:
    """The texts that name it say the new one, no longer the old one, and no other text changes; plays too."""
    data = shipped_data()
    old = str(put(data, path, OTHERS[path])).rpartition("..")[2]
    new = str(OTHERS[path]).rpartition("..")[2]
    for file in (SPEC_FILE, *PLAY_FILES):
        by_hand = None if file == SPEC_FILE else data_of(file)
        was, now, cited = filled(data_of(SPEC_FILE), by_hand), filled(data, by_hand), citing(path, data_of(file))
        assert {where for where, text in was.items() if now[where] != text} == cited
        for where in cited:
            assert not re.search(rf"\b{old}\b", now[where]), now[where]
    spec = loads(octets_of(data))
    rule = next((rule for rule in rules_of(path, spec)), None)
    if rule is not None:
        assert re.search(rf"\b{new}\b", spec.rules[rule].text), f"{rule} does not say {new}"


def rules_of(path: str, spec: Spec) -> Iterator[str]:
    """The rule that demands what the number says."""
    part, name, *_ = path.split(".")
    if part == "timers":
        yield spec.timers[name].rule
    elif part == "limits" and name in spec.limits.rules:
        yield spec.limits.rules[name]
    elif part == "relations":
        yield str(spec.relations[name].rule)
    elif part == "budgets":
        yield next(budget.rule for budget in spec.budgets if name in budget.states)
    elif part == "framing":
        yield spec.framing.rules[name]
    elif path.startswith("transport.keepalive"):
        yield "R-TIME-4"


def test_no_text_writes_out_a_number_of_the_spec() -> None:
    """With every number changed, nothing says an old one: no count above ten, no time, no word for one of them."""
    data = shipped_data()
    old = {str(put(data, path, value)).rpartition("..")[2] for path, value in OTHERS.items()}
    numbers = {number for number in old if not number.isdigit() or int(number) > 10}
    numbers |= {str(int(number) + more) for number in old if number.isdigit() and int(number) > 90 for more in (-1, 1)}
    written = re.compile(rf"(?<![0-9A-Fa-f{{+.])({'|'.join(sorted(numbers))})(?![0-9}}])|{IN_WORDS}", re.IGNORECASE)
    for other in (None, *map(data_of, PLAY_FILES)):
        for where, text in filled(data, other).items():
            if not {"match", "good", "bad", "forbid"} & {*where}:
                found = written.search(text)
                assert found is None, f"{where}: {found[0]!r} in {text[:200]!r}"


def test_the_longest_name_is_as_long_as_its_text_says() -> None:
    """The number that an expression holds has no path, so it is compared."""
    kind = changed().types["name"]
    assert f"up to {kind.octets[1] - 1} letters" in kind.doc


# Machines, plays and judge follow


SMALL: dict[str, int | str] = {
    "framing.max_octets": 600,
    "types.text.octets": "1..500",
    "budgets.CONNECTED.faults": 3,
    "budgets.NAMED.faults": 12,
}


@pytest.mark.parametrize("others", [OTHERS, SMALL], ids=["other numbers", "small numbers"])
def test_the_plays_say_what_the_model_of_a_changed_spec_says(others: dict[str, Any]) -> None:
    """Lengths and budgets in the scripts are those of the spec that is judged."""
    data = shipped_data()
    for path, value in others.items():
        put(data, path, value)
    spec = loads(octets_of(data), "changed.yaml")
    for play in judged(spec):
        Compiler(spec, play, 7).compile()


def test_a_play_with_a_placeholder_that_names_nothing_is_refused(tmp_path: Path, spec: Spec) -> None:
    """Line and column, as for every fault of a play."""
    file = tmp_path / "own.yaml"
    file.write_text("plays:\n  - {id: A/B/c, title: T, rules: [R-PING-1], steps: ['a> \"x\"*{framing.most}']}\n")
    with pytest.raises(PlayError, match=r"own\.yaml:2:54: \{framing\.most\} names no number of the spec"):
        plays_of(file, spec)


def test_the_judge_finds_no_fault_in_a_server_and_a_client_that_follow_a_changed_spec(tmp_path: Path) -> None:
    """The shipped programs with every number changed: frames as long as may be, budgets, marks and the share."""
    data = shipped_data()
    for path, value in {**OTHERS, **SMALL}.items():
        put(data, path, value)
    file = tmp_path / "changed.yaml"
    file.write_bytes(octets_of(data))
    program = f"{shlex.quote(sys.executable)} -m pychat"
    server = f"{program} server --host {{host}} --port {{port}} --spec {{spec}} --max-connections {{max}}"
    client = f"{program} client {{host}}:{{port}} --plain --spec {{spec}}"
    for of, command, cases in (
        ("server", server, ("R-FRAME-4", "R-FRAME-5", "R-ERR-7", "R-ERR-8", "R-OPEN-2", "R-TIME-4")),
        ("client", client, ("*/as-long-as-may-be", "*/longer-than-any-frame")),
    ):
        selected = [word for case in cases for word in ("--select", case)]
        options = ["--cmd", command, "--spec", str(file), "--segment", "whole"]
        result = CliRunner().invoke(main, [of, *options, *selected])
        assert result.exit_code == 0, result.output
        assert "conforms" in result.output
