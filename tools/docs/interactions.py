"""The examples of a spec as sequence diagrams need them: the people, and the cause of each frame. Draws nothing.

The causes are read off the table: an answer belongs to the oldest open request of its verb, a push to the frame of
another end whose row has that push. Knows no verb and no state by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO

from pychat.core.replay import WILDCARD
from pychat.spec import Spec
from pychat.spec.forms import Template, Variable
from pychat.spec.model import Example, ExampleStep


@dataclass(slots=True)
class Arrow:
    """One line of an example; `cause` is the index of the arrow that made it happen."""

    who: str
    kind: str  # send, finish, reset, receive, end
    text: str
    label: str  # in a diagram: the text without the words of a refusal
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """An example: its people (letter → name) and what passes between them and the server."""

    example: Example
    people: dict[str, str]
    arrows: tuple[Arrow, ...]


def interactions(spec: Spec) -> dict[str, Interaction]:
    """Every example of the spec, by its id."""
    return {
        name: Interaction(example, _people(spec, example), tuple(_arrows(spec, example)))
        for name, example in spec.examples.items()
    }


def _words_of(spec: Spec, frame: str) -> str:
    """A reply with the words that the server says in place of `…`."""
    for form, table in ((spec.refusal, spec.errors), (spec.goodbye, spec.goodbyes)):
        parts = frame.split(" ")
        if parts[0] == form.verb and parts[-1] == WILDCARD and parts[-2] in table:
            return " ".join([*parts[:-1], table[parts[-2]].words])
    return frame


def _people(spec: Spec, example: Example) -> dict[str, str]:
    """The first name of each person; a letter for a person without one, or with a name that another one had before."""
    verb = spec.verb_that("bind")
    form = spec.requests[verb].answer if verb else None
    names: dict[str, str] = {}
    for step in example.steps:
        names.setdefault(step.who, "")
        if form is None or step.kind != "receive" or names[step.who] or not step.text.startswith(form.key + " "):
            continue
        name = step.text.split(" ")[-1]
        if name not in names.values():
            names[step.who] = name
    return {who: name or who for who, name in names.items()}


def _arrows(spec: Spec, example: Example) -> Iterator[Arrow]:
    arrows: list[Arrow] = []
    for step in example.steps:
        if step.kind == "send":
            arrows += _sent(spec, step)
        else:
            arrows.append(Arrow(step.who, step.kind, _words_of(spec, step.text), step.text))
    causes = _Causes(spec, arrows)
    for index, arrow in enumerate(arrows):
        if arrow.kind in ("receive", "end"):
            arrow.cause = causes.of(index)
        yield arrow


def _sent(spec: Spec, step: ExampleStep) -> Iterator[Arrow]:
    """The lines of a step that sends; a CR and octets that are not UTF-8 are made visible."""
    for line in BytesIO(step.octets):
        bare = line.removesuffix(spec.framing.writes).removesuffix(b"\n")
        text = bare.decode("utf-8", "backslashreplace").replace("\r", "␍")
        text += "" if line.endswith(b"\n") else " (no LF)"
        yield Arrow(step.who, "send", text, text)


@dataclass(slots=True)
class _Causes:
    """Finds the cause of each arrow to a person; the arrows are asked for in their order."""

    spec: Spec
    arrows: list[Arrow]
    used: set[tuple[str, int]] = field(default_factory=set)  # (who, cause): the cause has had its effect on this person
    refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for index, arrow in enumerate(self.arrows):
            cause = self.of(index) if arrow.kind == "receive" else None
            reply = self.spec.reply_of(arrow.text)
            if cause is not None and reply is not None and reply.kind == "refusal":
                self.refused.add(cause)
        self.used.clear()

    def of(self, index: int) -> int | None:
        arrow = self.arrows[index]
        if arrow.kind == "end":
            return self._last(index)
        reply = self.spec.reply_of(arrow.text)
        if reply is None or reply.kind == "goodbye":
            return self._last(index)
        if reply.kind == "refusal":
            return self._request(index, arrow.text.split(" ")[1])
        if reply.kind == "push":
            return self._pushed(index, reply.key)
        return self._request(index, reply.verb or "", item=reply.kind == "item")

    def _last(self, index: int) -> int | None:
        """The last frame of this person: it ended the connection."""
        who = self.arrows[index].who
        found = [i for i in range(index) if self.arrows[i].who == who and self.arrows[i].kind in ("send", "finish")]
        return found[-1] if found else None

    def _request(self, index: int, verb: str, *, item: bool = False) -> int | None:
        """The oldest unanswered request of this person that the answer can be for; answers come in order."""
        who = self.arrows[index].who
        for earlier in range(index):
            arrow = self.arrows[earlier]
            if arrow.who != who or arrow.kind != "send" or (who, earlier) in self.used:
                continue
            first = arrow.text.split(" ")[0].rstrip("␍")
            if first == verb or (
                verb not in self.spec.requests and (first not in self.spec.requests or "\\x" in arrow.text)
            ):
                if not item:
                    self.used.update((who, i) for i in range(earlier + 1) if self.arrows[i].who == who)
                return earlier
        return None

    def _pushed(self, index: int, key: str) -> int | None:
        """The oldest frame of another person that can have caused the push, and has caused none to this person yet."""
        who, text = self.arrows[index].who, self.arrows[index].text
        for earlier in range(index):
            arrow = self.arrows[earlier]
            if arrow.who == who or (who, earlier) in self.used or earlier in self.refused:
                continue
            if any(_fits(template, text, arrow.text) for template in self._templates(arrow)):
                self.used.add((who, earlier))
                return earlier
        return None

    def _templates(self, arrow: Arrow) -> list[Template]:
        if arrow.kind in ("finish", "reset"):
            return [self.spec.ending.partner.push]
        verb = arrow.text.split(" ")[0].rstrip("␍")
        rows = (outcome for _, outcome in self.spec.outcomes() if outcome.verb == verb)
        return [outcome.partner.push for outcome in rows if arrow.kind == "send" and outcome.partner is not None]


def _fits(template: Template, text: str, request: str) -> bool:
    """Whether a push is of this template; a field of the request must be the same in both."""
    asked = {part.name for part in template.form.fields}
    parts = []
    for part in template.parts:
        if isinstance(part, Variable) and part.name in asked and part.name == template.form.fields[-1].name:
            rest = request.partition(" ")[2].rstrip("␍")
            parts.append(f"(?:{re.escape(rest)})" if rest else ".*")
        elif isinstance(part, Variable):
            parts.append(".*" if part is template.parts[-1] else "[^ ]*")  # only the last field may hold a space
        else:
            parts.append(re.escape(part))
    return re.fullmatch(" ".join(parts), text) is not None
