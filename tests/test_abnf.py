"""The page's grammar: read by a library for ABNF, and compared with the types and the codec from both sides."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from abnf import ParseError, Rule
from hypothesis import given
from hypothesis import strategies as st

from pychat.core.codec import BadFrame, Codec
from pychat.spec import Spec, load, shipped
from pychat.spec.forms import Form, Type
from tools.docs import abnf
from tools.docs.reference import layout

from .conftest import ROOT

SPECS = {"shipped": shipped()} | {name: load(ROOT / "tests" / f"{name}.yaml") for name in ("little", "board")}
OCTETS = [bytes([octet]) for octet in range(256)]

each = pytest.mark.parametrize("name", SPECS)


@cache
def grammar(name: str) -> type[Rule]:
    """The grammar as the page has it, but for the core rules: the library brings these, and lets nobody define them."""
    return parsed([rule for rule in abnf.grammar(SPECS[name]) if rule.name not in abnf.CORE])


def parsed(rules: list[abnf.GrammarRule]) -> type[Rule]:
    """Raises ParseError for what is no grammar; a rule that is defined twice is a warning, which fails a test."""
    grammar: type[Rule] = type("Grammar", (Rule,), {})
    grammar.load_grammar("".join(f"{layout(str(rule))}\n" for rule in rules).replace("\n", "\r\n"))
    return grammar


def accepts(grammar: type[Rule], rule: str, octets: bytes) -> bool:
    """Whether the octets are of the rule; to the library each of them is a character."""
    try:
        grammar(rule).parse_all(octets.decode("latin-1"))
    except ParseError:
        return False
    return True


@each
def test_the_grammar_is_abnf(name: str) -> None:
    """It parses, every name in it is defined, and the rules that everything hangs on are there."""
    rules = {rule.name: rule.definition for rule in grammar(name).rules()}
    assert {"client-frame", "server-frame", "eol"} <= rules.keys()
    assert {abnf.type_rule(kind) for kind in SPECS[name].types} <= rules.keys()


def test_the_core_rules_are_those_of_the_rfc() -> None:
    """The page repeats the ones that it uses, so that it can be read alone."""
    own = parsed([abnf.GrammarRule(f"own-{name}", elements) for name, elements in abnf.CORE.items()])
    for name in abnf.CORE:
        assert [accepts(own, f"own-{name}", octet) for octet in OCTETS] == [
            accepts(Rule, name, octet) for octet in OCTETS
        ]


@each
def test_every_good_value_is_of_its_rule_and_no_bad_one(name: str) -> None:
    """The grammar and the types agree on the spec's own good and bad values."""
    for kind in SPECS[name].types.values():
        rule = abnf.type_rule(kind.name)
        for value in kind.good:
            assert accepts(grammar(name), rule, value.encode()), (kind.name, value)
        for value in kind.bad:
            assert not accepts(grammar(name), rule, value.encode()), (kind.name, value)


@each
def test_the_examples_are_of_the_grammar(name: str) -> None:
    """Each reply of an example is a server's frame; of what is sent, each line is one exactly if the codec reads it."""
    spec, codec = SPECS[name], Codec(SPECS[name])
    for example in spec.examples.values():
        for step in example.steps:
            if step.kind == "receive":
                frame = step.text.replace("…", "words").encode() + spec.framing.writes
                assert accepts(grammar(name), "server-frame", frame), step
            for line in step.octets.split(b"\n")[:-1]:
                wrong = isinstance(codec.decode_request(line.removesuffix(b"\r")), BadFrame)
                assert accepts(grammar(name), "client-frame", line + b"\n") is not wrong, step


def values(kind: Type) -> st.SearchStrategy[str]:
    """Values of a type."""
    known = st.sampled_from(kind.good or kind.one_of)
    if kind.match is None:
        return known
    return known | st.from_regex(kind.match, fullmatch=True).filter(kind.accepts)


def values_near(kind: Type) -> st.SearchStrategy[str]:
    """Values of a type, and values that are nearly of it."""
    near = st.text(st.characters(codec="utf-8"), max_size=6) | st.text("aZ09-_* .~!\té", max_size=6)
    return near if kind.match is None else near | st.from_regex(kind.match, fullmatch=True)


@st.composite
def lines_near(draw: st.DrawFn, spec: Spec, form: Form) -> bytes:
    """Frames of a form without their ending, and lines that are nearly one: other values, a part more or less."""
    chosen = values if draw(st.booleans()) else values_near
    parts = [part if isinstance(part, str) else draw(chosen(spec.types[part.type])) for part in form.parts]
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(parts) - 1))
        parts[place : place + 1] = draw(st.sampled_from([[], [parts[place], "more"], [parts[place].swapcase()]]))
    return " ".join(parts).replace("\n", "").rstrip("\r").encode()


def uncounted(spec: Spec) -> Spec:
    """The spec without limits of octets: they are comments of the grammar."""
    types = {name: replace(kind, octets=(0, spec.framing.max_octets)) for name, kind in spec.types.items()}
    return replace(spec, types=types)


@each
@given(data=st.data())
def test_the_grammar_accepts_what_the_codec_decodes(name: str, data: st.DataObject) -> None:
    """And refuses what is a fault to it, in both directions; but ABNF cannot count the octets of a value."""
    spec = SPECS[name]
    if data.draw(st.booleans()):
        rule, ending, forms = "client-frame", b"\n", [request.form for request in spec.requests.values()]
    else:
        rule, ending, forms = "server-frame", spec.framing.writes, [reply.form for reply in spec.replies.values()]
    line = data.draw(lines_near(spec, data.draw(st.sampled_from(forms))))
    strict, loose = (
        not isinstance(codec.decode_request(line) if rule == "client-frame" else codec.decode_reply(line), BadFrame)
        for codec in (Codec(spec), Codec(uncounted(spec)))
    )
    assert strict <= accepts(grammar(name), rule, line + ending) <= loose


@each
@given(data=st.data())
def test_the_grammar_accepts_what_the_type_accepts(name: str, data: st.DataObject) -> None:
    """For any value that is not too long, the rule and the type say the same."""
    kind = data.draw(st.sampled_from(list(SPECS[name].types.values())))
    value = data.draw(values_near(kind))
    if len(value.encode()) <= kind.octets[1]:
        rule = abnf.type_rule(kind.name)
        assert accepts(grammar(name), rule, value.encode()) is kind.accepts(value), (kind.name, value)


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
