"""What comes from the network is shown, never obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat.visible import hexdump, visible, visible_lines, visible_octets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello", "hello"),
        ("Grüße, 世界 🙂", "Grüße, 世界 🙂"),
        ("👩\u200d🚀", "👩\u200d🚀"),  # one astronaut, written with a joiner
        ("a\tb", "a    b"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b2J", "\\x9b2J"),
        ("bell\x07\x7f", "bell\\x07\\x7f"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"),
        ("in\u200bvisible\ufeff", "in\\u200bvisible\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\U000e0041", "\\U000e0041"),
        ("half \ud83d", "half \\ud83d"),
        ("C:\\x1b", "C:\\x1b"),
    ],
)
def test_a_text_is_shown_as_it_is(text: str, shown: str) -> None:
    """Letters of every script pass; what would act or hide is written out."""
    assert visible(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_no_control_or_bidirectional_character_is_left(text: str) -> None:
    """Nothing that a terminal obeys, and nothing that turns the reading order round."""
    for char in visible(text):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.category(char) != "Cf" or char in "\u200c\u200d"
    visible(text).encode()


@given(st.binary())
def test_any_octets_can_be_shown(octets: bytes) -> None:
    """What is no UTF-8 is shown octet by octet."""
    shown = visible_octets(octets)
    assert shown.isprintable() or "\u200c" in shown or "\u200d" in shown or any(map(_odd, shown))


def _odd(char: str) -> bool:
    """What Python calls unprintable though it harms nobody: other spaces, private use, unassigned."""
    return unicodedata.category(char) in ("Zs", "Co", "Cn")


def test_lf_alone_ends_a_line() -> None:
    """Of several lines each is shown; what other programs take for a line's end is not one."""
    assert visible_lines("a\nb\r\u2028c\x85d\n") == "a\nb\\r\\u2028c\\x85d\n"


def test_octets_of_the_wire_show_their_ending() -> None:
    """A student sees where a frame ends, and what is broken in it."""
    assert visible_octets(b"MSG a\tb\r\n\xff") == "MSG a\\tb\\r\\n\\xff"


def test_a_dump_has_the_form_of_a_capture() -> None:
    """Offset, two groups of eight octets, ASCII."""
    assert hexdump(b"MSG Hello, Bob!\x80\n") == [
        "0000  4d 53 47 20 48 65 6c 6c  6f 2c 20 42 6f 62 21 80  MSG Hello, Bob!.",
        "0010  0a                                                .",
    ]
