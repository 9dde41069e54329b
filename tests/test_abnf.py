"""The page's grammar: read by a second reader, and compared with the types and the codec from both sides."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat.core.codec import BadFrame, Codec
from pychat.spec import Spec, load, shipped
from pychat.spec.model import Type
from tools.docs import abnf
from tools.docs.grammar import ABNF, NotABNF
from tools.docs.reference import layout

from .conftest import ROOT

SPECS = {"shipped": shipped(), "little": load(ROOT / "tests" / "little.yaml")}
GRAMMARS = {name: ABNF("\n".join(layout(str(rule)) for rule in abnf.grammar(spec))) for name, spec in SPECS.items()}

both = pytest.mark.parametrize("name", SPECS)


def frames(spec: Spec) -> dict[str, bytes]:
    """The rule of each direction, and what the direction's frames end with."""
    return {"client-frame": b"\n", "server-frame": spec.framing.writes}


@both
def test_the_grammar_is_abnf(name: str) -> None:
    """It parses, every rule is defined once, and the rules that everything hangs on are there."""
    grammar = GRAMMARS[name]
    assert {"client-frame", "server-frame", "eol"} <= grammar.rules.keys()
    used = {kind.name for kind in SPECS[name].types.values()}
    assert {abnf.type_rule(kind) for kind in used} <= grammar.rules.keys()


@both
def test_every_frame_that_the_grammar_makes_is_a_frame(name: str) -> None:
    """What is made up from the grammar is understood by the codec, if it is not too long for its octets."""
    codec, grammar, random = Codec(SPECS[name]), GRAMMARS[name], Random(7)
    short = 0
    for _ in range(300):
        request = grammar.generate("client-frame", random)
        reply = grammar.generate("server-frame", random)
        for octets, decode in ((request, codec.decode_request), (reply, codec.decode_reply)):
            line = octets.removesuffix(b"\n").removesuffix(b"\r")
            if all(len(word) <= 16 for word in line.split(b" ")) and len(line) <= 60:
                short += 1
                assert not isinstance(decode(line), BadFrame), line
    assert short > 200


@both
def test_every_good_value_is_of_its_rule_and_no_bad_one(name: str) -> None:
    """The grammar and the types agree on the spec's own good and bad values."""
    grammar = GRAMMARS[name]
    for kind in SPECS[name].types.values():
        rule = abnf.type_rule(kind.name)
        for value in kind.good:
            assert grammar.accepts(rule, value.encode()), (kind.name, value)
        for value in kind.bad:
            assert not grammar.accepts(rule, value.encode()), (kind.name, value)


@both
def test_the_examples_are_of_the_grammar(name: str) -> None:
    """Each reply of an example is a server's frame; of what is sent, each line is one exactly if the codec reads it."""
    spec, grammar, codec = SPECS[name], GRAMMARS[name], Codec(SPECS[name])
    for example in spec.examples.values():
        for step in example.steps:
            if step.kind == "receive":
                frame = step.text.replace("…", "words").encode() + spec.framing.writes
                assert grammar.accepts("server-frame", frame), step
            for line in step.octets.split(b"\n")[:-1]:
                wrong = isinstance(codec.decode_request(line.removesuffix(b"\r")), BadFrame)
                assert grammar.accepts("client-frame", line + b"\n") is not wrong, step


def values_near(kind: Type) -> st.SearchStrategy[str]:
    """Values of a type, and values that are nearly of it."""
    near = st.text(st.characters(codec="utf-8"), max_size=6)
    if kind.match is None:
        return near
    return st.one_of(near, st.from_regex(kind.match, fullmatch=True), st.text("aZ09-_* .~!\té", max_size=6))


@both
@given(data=st.data())
def test_the_grammar_accepts_what_the_type_accepts(name: str, data: st.DataObject) -> None:
    """For any value that is not too long, the rule and the type say the same."""
    spec, grammar = SPECS[name], GRAMMARS[name]
    kind = data.draw(st.sampled_from(list(spec.types.values())))
    value = data.draw(values_near(kind))
    if len(value.encode()) <= kind.octets[1]:
        assert grammar.accepts(abnf.type_rule(kind.name), value.encode()) is kind.accepts(value), (kind.name, value)


@given(st.tuples(st.integers(0, 0x10FFFF), st.integers(0, 0x10FFFF)).map(sorted), st.characters(codec="utf-8"))
def test_a_range_of_characters_is_exactly_its_octets(ends: list[int], char: str) -> None:
    """A character is of the octet sequences of a range exactly if it is in the range."""
    low, high = (0xD7FF if 0xD800 <= end <= 0xDFFF else end for end in ends)
    sequences = list(abnf.utf8(low, high))
    octets = char.encode()
    inside = any(
        len(octets) == len(sequence) and all(a <= octet <= b for octet, (a, b) in zip(octets, sequence, strict=True))
        for sequence in sequences
    )
    assert inside is (low <= ord(char) <= high)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[A-Za-z][A-Za-z0-9_-]{0,31}", 'ALPHA *31( ALPHA / DIGIT / "_" / "-" )'),
        ("0|[1-9][0-9]{0,9}", '"0" / %x31-39 *9DIGIT'),
        ("(ab|c)+", '1*( %s"ab" / %s"c" )'),
        ("a{3}", '3%s"a"'),
        ("(ab){2,}", '2*( %s"ab" )'),
        ("x?", '*1%s"x"'),
        (r"\*", '"*"'),
        ("[é-ü]+", "1*( %xC3 %xA9-BC )"),
        (r"a\.é(b|)", '%x61.2E.C3.A9 ( %s"b" / "" )'),
        ("(a{2})+", '1*( 2%s"a" )'),
    ],
)
def test_a_regular_expression_in_abnf(pattern: str, expected: str) -> None:
    """Each part of the language of types has its form in ABNF."""
    assert abnf.translate(pattern) == expected


@pytest.mark.parametrize("pattern", ["(?=a)b", "^a", r"(a)\1", r"\d+", "(?i:a)"])
def test_what_abnf_cannot_say_is_refused(pattern: str) -> None:
    """A look-around, an anchor, a back-reference, a named class, a flag."""
    with pytest.raises(ValueError, match=r"begins with|has no place|not the same"):
        abnf.translate(pattern)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = b", "not defined"),
        ("a = a", "made of itself"),
        ('a = "x"\na = "y"', "defined twice"),
        ('a = ("x"', "never closed"),
        ("a = 3*", "missing"),
        ('a = "x" )', "no place"),
        ("a = {x}", "cannot read"),
        ("= x", "no rule"),
    ],
)
def test_a_broken_grammar_is_refused(text: str, reason: str) -> None:
    """The reader says what is wrong."""
    with pytest.raises(NotABNF, match=reason):
        ABNF(text)


def test_the_reader_knows_abnf() -> None:
    """Case, options, groups, ranges, sequences, incremental alternatives, comments and lines that go on."""
    grammar = ABNF('top = "ab" [ %s"C" ] / ; words\n  2*3( %x30-39 ) %x41.42\ntop =/ "z"\n')
    for octets in (b"ab", b"AB", b"abC", b"12AB", b"123AB", b"Z"):
        assert grammar.accepts("TOP", octets), octets
    for octets in (b"abc", b"1AB", b"12ab", b"1234AB", b""):
        assert not grammar.accepts("top", octets), octets
