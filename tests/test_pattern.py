"""Only expressions whose matching takes time that grows as the line does; shown by counting steps, not by a clock."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest

from pychat.spec import Spec, load, shipped
from pychat.spec.expression import Alternatives, Characters, Node, Sequence, parse
from pychat.spec.forms import Type
from pychat.spec.pattern import LARGEST, LONGEST, can_hold, check, width
from tools.dissector.rules import _whole as whole
from tools.dissector.rules import lua

from .conftest import ROOT, need

ALPHABET = "abcé-"
ENOUGH = 3000  # steps that no expression of these tests needs, if it is accepted

# A program for a backtracking matcher: ("take", ranges), ("fork", first, second), ("jump", there); places are relative.
Program: TypeAlias = list[tuple[str, Any, int]]

END: tuple[str, Any, int] = ("end", 0, 0)


def program(node: Node) -> Program:
    """The expression as a program that tries what Python's `re` tries, in its order; repetitions are written out."""
    if isinstance(node, Characters):
        return [("take", node.ranges, 0)]
    if isinstance(node, Sequence):
        return [step for part in node.parts for step in program(part)]
    if isinstance(node, Alternatives):
        made = program(node.parts[-1])
        for part in map(program, reversed(node.parts[:-1])):
            made = [("fork", 1, len(part) + 2), *part, ("jump", len(made) + 1, 0), *made]
        return made
    part, rest = program(node.part), []
    if node.most is None:
        rest = [("fork", 1, len(part) + 2), *part, ("jump", -len(part) - 1, 0)]
    for _ in range(0 if node.most is None else node.most - node.least):
        rest = [("fork", 1, len(part) + len(rest) + 1), *part, *rest]
    return part * node.least + rest


def run(made: Program, text: str) -> tuple[bool | None, Counter[tuple[int, int]]]:
    """Whether the whole text matches (None: given up), and how often each place of the program met each of the text."""
    met: Counter[tuple[int, int]] = Counter()
    waiting = [(0, 0)]
    for _ in range(ENOUGH):
        if not waiting:
            return False, met
        at, place = waiting.pop()
        met[at, place] += 1
        kind, one, other = made[at] if at < len(made) else END
        if kind == "fork":
            waiting += [(at + other, place), (at + one, place)]
        elif kind == "jump":
            waiting.append((at + one, place))
        elif kind == "end" and place == len(text):
            return True, met
        elif kind == "take" and any(low <= ord(char) <= high for char in text[place : place + 1] for low, high in one):
            waiting.append((at + 1, place + 1))
    return None, met


def an_expression(random: Random, depth: int = 3) -> str:
    """An expression of a few small parts, made up."""
    if depth == 0 or random.random() < 0.2:
        return random.choice([*ALPHABET, "[ab]", "[a-c]", "[^a]", "[^b-é]", ".", r"\-", r"\x61"])
    kind = random.choice(["sequence", "sequence", "alternatives", "repeat", "repeat"])
    if kind == "repeat":
        times = random.choice(["?", "*", "+", "{2}", "{0,2}", "{1,3}", "{2,}", "{1}"])
        return f"({an_expression(random, depth - 1)}){times}"
    parts = [an_expression(random, depth - 1) for _ in range(random.randint(2, 3))]
    if kind == "sequence":
        return "".join(f"({part})" if "|" in part else part for part in parts)
    return "(" + "|".join([*parts, *random.choice([[], [], [""]])]) + ")"


def a_word(node: Node, random: Random) -> str:
    """A text that the expression matches, made up."""
    if isinstance(node, Characters):
        fitting = [char for char in ALPHABET if any(low <= ord(char) <= high for low, high in node.ranges)]
        return random.choice(fitting or [chr(node.ranges[0][0])])
    if isinstance(node, Alternatives):
        return a_word(random.choice(node.parts), random)
    if isinstance(node, Sequence):
        return "".join(a_word(part, random) for part in node.parts)
    times = random.randint(node.least, node.least + 6 if node.most is None else node.most)
    return "".join(a_word(node.part, random) for _ in range(times))


def texts(node: Node, random: Random) -> list[str]:
    """A word of the expression, words that are nearly of it, and any text."""
    word = a_word(node, random)
    junk = "".join(random.choices(ALPHABET, k=random.randint(1, 4)))
    return [word, word + junk, word * 5 + junk, word[: random.randint(0, len(word))] + junk, junk * 8]


def is_accepted(expression: str) -> bool:
    try:
        check(expression)
    except ValueError:
        return False
    return True


def test_no_place_of_an_accepted_expression_meets_a_place_of_a_text_twice(rounds: int, seed: int) -> None:
    """So there are at most as many steps as places of both. The tree is what `re` reads, as both match the same."""
    random = Random(seed)
    accepted = slow = 0
    for _ in range(600 * rounds):
        expression = an_expression(random)
        node = parse(expression)
        made = program(node)
        linear = is_accepted(expression)
        accepted += linear
        for text in texts(node, random):
            matched, met = run(made, text)
            if linear:
                assert max(met.values()) == 1, (seed, expression, text)
            slow += not linear and max(met.values()) > 1
            if matched is not None:
                assert matched is (re.fullmatch(expression, text) is not None), (seed, expression, text)
    assert accepted > 50 * rounds
    assert slow > 50 * rounds, "the refused ones do meet places twice, so the count can tell"


SLOW = [
    ("(([A-Za-z0-9_-])+)+", "both [A-Za-z0-9_-] and [A-Za-z0-9_-] take 'A'"),
    ("(a?){30}a{30}", "repeats something that may be empty"),
    ("(a{1,5}){1,5}", "a{1,5} may go on with it, or end before it"),
    ("a{2,5}a", "both a and a take 'a'"),
    ("(a|ab)(c|bcd)*", "two alternatives of a|ab may begin with it"),
    ("(a*)*", "repeats something that may be empty"),
    ("(a?)?", "repeats something that may be empty"),
    ("(|a|)b", "two alternatives of |a| may be empty"),
    ("(a|)a", "a| may begin with it, or be empty before it"),
    ("[!-~]([ -~]{0,100}[!-~])?", "both [ -~] and [!-~] take '!'"),
    ("(.|x)+", "both . and x take 'x'"),
]


@pytest.mark.parametrize(("expression", "reason"), SLOW, ids=[row[0] for row in SLOW])
def test_an_expression_with_two_ways_for_one_character_is_refused(expression: str, reason: str) -> None:
    """The reason says which two parts take the same character, and where."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        check(expression)


@pytest.mark.parametrize("expression", ["(([ab])+)+c", "(a?){30}a{30}", "(a|b|ab)*c"])
def test_the_count_of_steps_finds_what_is_slow(expression: str) -> None:
    """The measure of the test above, on expressions that are known to be slow."""
    assert run(program(parse(expression)), "ab" * 20)[0] is None or run(program(parse(expression)), "a" * 29)[0] is None


LINEAR = [
    "[A-Za-z][A-Za-z0-9_-]{0,31}", "[!-~]{1,64}", "0|[1-9][0-9]{0,9}", "[a-z]+( [a-z]+)*", r"[A-Z]+|\*", "(ab?){2,5}",
    r"[A-Za-z\[\]\\`^{|}_][0-9A-Za-z\[\]\\`^{|}_-]{0,8}", "#[0-9A-Za-z]{1,20}", r"[0-9]{1,3}(\.[0-9]{1,3}){3}",
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "[!-~]+( +[!-~]+)*", r"[\x20-\x7e\t]+", "(a|)b", "",
]  # fmt: skip


@pytest.mark.parametrize("expression", LINEAR)
def test_what_protocols_are_made_of_is_accepted(expression: str) -> None:
    """Names, numbers, codes, times, lists of words."""
    check(expression)


REFUSED = [
    ("[a", "without its ]"), ("(a", "without its )"), ("a)", "without its ("), ("a]", r"write \]"), ("a}", r"write \}"),
    ("*a", "nothing of its own"), ("a+?", "nothing of its own"), ("a++", "nothing of its own"), ("a{,3}", "a count is"),
    ("a{1,99999}", "a count is"), ("a{2,1}", "repeats nothing"), ("a{0}", "repeats nothing"), ("[]", "a class without"),
    ("[^]", "without characters"), ("[z-a]", "runs backwards"), ("[[a]", r"write \["), ("[a-b-c]", r"written \-"),
    ("[a&&b]", "differ about &&"), ("[+--]", "differ about --"), ("[a||b]", "differ about ||"), ("(?i)a", "not with"),
    ("(?P<x>a)", "not with (?P"), ("(?=a)", "not with (?="), ("(?>a)", "not with (?>"), (r"\w", "not the same"),
    (r"(a)\1", "not the same"), (r"\u00e9", "not the same"), ("\\", "not the same"), (r"\bx", "not the same"),
    ("^a", "has no place"), ("a$", "has no place"), ("(" * 21 + "a" + ")" * 21, "nested too deeply"),
    ("a" * (LONGEST + 1), "at most 1000 characters"), ("((a[bc]{1,900}){900}){900}", "too large"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "reason"), REFUSED, ids=[row[0][:30] for row in REFUSED])
def test_what_programs_read_differently_is_refused(expression: str, reason: str) -> None:
    """Each with a sentence that says how to write it, if there is a way."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        check(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 500,
        "(" * 100_000,
        "a?" * 500,
        "|".join(chr(200 + index) for index in range(500)),
        "".join(f"{chr(200 + index)}?" for index in range(499)),
        "(" * 20 + "".join(f"{chr(200 + index)}?" for index in range(460)) + ")" * 20,
        "[" + "".join(f"{chr(200 + 3 * index)}-{chr(201 + 3 * index)}" for index in range(330)) + "]",
        "((((a{1,9999}b){9999}c){9999}d){9999}e){9999}",
        "((a*)*)*" * 100,
    ],
    ids=lambda expression: ascii(expression[:20]),
)
def test_the_check_itself_takes_few_steps(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the expression, what it begins with is asked for at most so often; nothing is written out or matched."""
    from pychat.spec import pattern

    asked, first = [0], pattern._first

    def counted(node: Node) -> list[Characters]:
        asked[0] += 1
        return first(node)

    monkeypatch.setattr(pattern, "_first", counted)
    is_accepted(expression)
    assert asked[0] <= LONGEST**2 / 2


# Near the limits: what PCRE2 has to copy most often, in groups and in optional groups.
LARGE = [
    "([!-~]){0,357}", "([!-~]é?x){333}", "((((a)))){357}", "([^é]é){0,357}", "(([ab](c|d|))b){250}", "[!-~]{1,9999}",
    "(" * 20 + "a" + ")" * 20, "|".join(chr(200 + index) for index in range(500)),
]  # fmt: skip


def test_wireshark_reads_each_accepted_expression_alike(seed: int, rounds: int, tmp_path: Path) -> None:
    """The dissector matches by PCRE2: it takes every expression that the loader takes, however large."""
    random = Random(seed)
    made = [
        expression for expression in (an_expression(random) for _ in range(300 * rounds)) if is_accepted(expression)
    ]
    for expression in LARGE:
        check(expression)
    rows = [
        [whole(expression), text, re.fullmatch(expression, text) is not None]
        for expression in [*made, *LARGE]
        for text in texts(parse(expression), random)
        if "\n" not in text
    ]
    script = tmp_path / "rows.lua"
    script.write_text(f"local rows = {lua(rows)}\n" + ROWS, encoding="utf-8")
    words = [need("tshark"), "-X", f"lua_script:{script}", "-v"]
    said = subprocess.run(
        words, capture_output=True, encoding="utf-8", check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert f"{len(rows)} rows, 0 differ" in said.stdout, said.stdout


ROWS = """
local differ = 0
for _, row in ipairs(rows) do
  local made, regex = pcall(rex_pcre2.new, row[1])
  if not made or (regex:find(row[2]) ~= nil) ~= row[3] then
    differ = differ + 1
    print(row[1]:sub(1, 200), row[2], row[3], made or regex)
  end
end
print(#rows .. " rows, " .. differ .. " differ")
"""


def test_width_and_characters_of_an_expression() -> None:
    """What the builder of types asks for."""
    assert width("[a-z]{2,5}(x|yz)?") == (2, 7)
    assert width("") == (0, 0)
    assert width("(a+){3}")[0] == 3
    assert width("(a+){3}")[1] > 1 << 31
    assert can_hold("a[!-~]?", "~")
    assert not can_hold("a[!-~]?", " ")
    assert can_hold("[^b]", " ")
    assert LARGEST >= LONGEST


@pytest.mark.parametrize("spec", [shipped(), load(ROOT / "tests" / "little.yaml")], ids=lambda spec: spec.protocol)
def test_the_next_character_decides_in_a_whole_frame_too(spec: Spec) -> None:
    """The codec matches all fields of a frame by one expression: a field cannot hold the space that follows it."""
    for form in [
        *(request.form for request in spec.requests.values()),
        *(reply.form for reply in spec.replies.values()),
    ]:
        check(" ".join(part if isinstance(part, str) else _expression(spec.types[part.type]) for part in form.parts))


def _expression(kind: Type) -> str:
    """The expression of a type in brackets; of one with a list of words, each of which is tried once, a word."""
    return f"({kind.one_of[0] if kind.one_of else kind.pattern})"
