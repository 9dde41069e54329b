"""All that the client says to people stands in one file, so that another language is one more file of its shape."""

from __future__ import annotations

import ast
import re
from string import Formatter

import pytest

from pychat.client.input_line import COMMANDS, InputLine
from pychat.client.phrases import Phrases
from pychat.client.talk import Talk
from pychat.core.hub import Hub
from pychat.spec import Spec

from .conftest import ROOT
from .desk import Desk, come_back, settle

CLIENT = ROOT / "pychat" / "client"
# The connection is for programs too: its errors, and those of the session, are told to people as they are.
FOR_PROGRAMS = {"client.py", "connecting.py"}
PHRASES = {name for name in vars(Phrases) if not name.startswith("_")}


def sentences(tree: ast.AST) -> list[str]:
    """The texts of a file that have two words or more, without its docstrings and what it asserts."""
    aside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assert))
        for part in ast.walk(node if isinstance(node, ast.Assert) else node.body[0])
        if isinstance(node, ast.Assert) or isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside
    ]
    return [text for text in texts if re.search(r"[a-z]{2,} [a-z]{2,}", text)]


@pytest.mark.parametrize("file", sorted(path.name for path in CLIENT.glob("*.py")))
def test_no_other_file_has_words_for_people(file: str) -> None:
    """A sentence that is typed there would not be translated."""
    found = sentences(ast.parse((CLIENT / file).read_text()))
    assert bool(found) == (file.startswith("phrases") or file in FOR_PROGRAMS), found


def test_every_phrase_is_used_and_names_its_fields() -> None:
    """A dead phrase would be translated for nothing; a field without a name cannot change its place."""
    used = {
        node.attr
        for path in CLIENT.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert used >= PHRASES
    for name in PHRASES:
        phrase = getattr(Phrases, name)
        if isinstance(phrase, str):
            assert all(field.isidentifier() for _, field, _, _ in Formatter().parse(phrase) if field is not None), name


def test_every_command_says_how_it_is_typed() -> None:
    """What the table of commands has, and what /help shows, are the same."""
    assert Phrases.commands.keys() == COMMANDS.keys()
    for word, command in COMMANDS.items():
        usage, _ = Phrases.commands[word]
        assert usage.split()[0] == f"/{word}"
        assert (len(usage.split()) > 1) == command.takes_name


def test_words_for_reasons_are_of_reasons_that_there_are(spec: Spec) -> None:
    """All of them are reasons of the shipped spec, and the partner is named."""
    (words,) = (kind.one_of for kind in spec.types.values() if spec.ending.gone in kind.one_of)
    assert Phrases.call_ended.keys() == Phrases.chat_ended.keys()
    assert Phrases.call_ended.keys() < {*words}
    for how, phrase in (*Phrases.call_ended.items(), *Phrases.chat_ended.items()):
        assert "carol" in phrase.format(name="carol"), how


class German(Phrases):
    """Another language; what it lacks is said in English."""

    you_are = "Du bist {name}."
    prompt_call = "Mit wem? "


def test_another_language_is_spoken(spec: Spec) -> None:
    """The talk is given its phrases."""
    hub = Hub(spec)
    desk = Desk(hub, None)
    desk.talk = Talk(desk.session.protocol, German(), "alice")
    desk.line = InputLine(desk.talk)
    desk = come_back(hub, desk)
    settle(desk)
    assert desk.shown() == ["Du bist alice.", "Nobody else is here yet. Others can call you: you are alice."]
    assert desk.line.prompt == "Mit wem? "
