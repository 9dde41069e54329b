"""The examples of a spec as sequence diagrams need them: the people, and the cause of each frame. Draws nothing.

The causes are read off the table: an answer belongs to the oldest open request of its verb, a push to the frame whose
row has that push, of another end or of its own. Knows no verb and no state by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO

from pychat.core.replay import WILDCARD
from pychat.spec import Spec
from pychat.spec.documents import Example, ExampleStep
from pychat.spec.forms import ANY_VERB, Form, Reply, Template, Variable
from pychat.spec.model import Error, Goodbye, Outcome


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
        name: Interaction(example, _people(_names(spec, example)), tuple(_arrows(spec, example)))
        for name, example in spec.examples.items()
    }


def _values(form: Form, frame: str) -> dict[str, str]:
    """What stands in each field of a frame; what has more words than the form has parts is the last field's."""
    pairs = zip(form.parts, frame.split(" ", len(form.parts) - 1), strict=False)
    return {part.name: word for part, word in pairs if not isinstance(part, str)}


def _words_of(spec: Spec, frame: str) -> str:
    """A reply with the words that the server says in place of `…`."""
    reply = spec.reply_of(frame)
    if reply is None or not frame.endswith(WILDCARD):
        return frame
    code = reply.code or _values(reply.form, frame).get("code", "")
    told: Mapping[str, Error | Goodbye] = spec.errors if reply.kind == "refusal" else spec.goodbyes
    return frame.removesuffix(WILDCARD) + told[code].words if code in told else frame


def _names(spec: Spec, example: Example) -> dict[str, str]:
    """The first name of each person, "" for one without a name."""
    verb = spec.verb_that("bind")
    form = spec.requests[verb].answer if verb else None
    names: dict[str, str] = {}
    for step in example.steps:
        names.setdefault(step.who, "")
        if form is not None and step.kind == "receive" and step.text.startswith(form.key + " "):
            names[step.who] = names[step.who] or step.text.split(" ")[-1]
    return names


def _people(names: Mapping[str, str]) -> dict[str, str]:
    """What each person is called; a letter for one without a name, or with a name that another one had before."""
    people: dict[str, str] = {}
    for who, name in names.items():
        people[who] = name if name and name not in people.values() else who
    return people


def _arrows(spec: Spec, example: Example) -> Iterator[Arrow]:
    arrows: list[Arrow] = []
    for step in example.steps:
        if step.kind == "send":
            arrows += _sent(spec, step)
        else:
            arrows.append(Arrow(step.who, step.kind, _words_of(spec, step.text), step.text))
    causes = _Causes(spec, arrows, _names(spec, example))
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
    names: Mapping[str, str]
    used: set[tuple[str, int]] = field(default_factory=set)  # (who, cause): the cause has had its effect on this person
    refused: dict[int, str] = field(default_factory=dict)  # a request that was refused, and the error

    def __post_init__(self) -> None:
        for index, arrow in enumerate(self.arrows):
            cause = self.of(index) if arrow.kind == "receive" else None
            reply = self.spec.reply_of(arrow.text)
            if cause is not None and reply is not None and reply.kind == "refusal":
                self.refused[cause] = self._error(reply, arrow.text)
        self.used.clear()

    def _error(self, reply: Reply, text: str) -> str:
        return reply.code or _values(reply.form, text).get("code", "")

    def of(self, index: int) -> int | None:
        arrow = self.arrows[index]
        if arrow.kind == "end":
            return self._last(index)
        reply = self.spec.reply_of(arrow.text)
        if reply is None or reply.kind == "goodbye":
            return self._last(index)
        if reply.kind == "push":
            return self._pushed(index)
        if reply.kind != "refusal":
            return self._request(index, [reply.verb or ""], item=reply.kind == "item")
        verb, error = _values(reply.form, arrow.text).get("verb"), self.spec.errors.get(self._error(reply, arrow.text))
        if verb is not None or error is None:
            return self._request(index, [verb or ANY_VERB])
        rows = [row.verb for _, row in self.spec.outcomes() if row.error == error.code]
        return self._request(index, [*self.spec.requests, ANY_VERB] if error.general else rows)

    def _last(self, index: int) -> int | None:
        """The last frame of this person: it ended the connection."""
        who = self.arrows[index].who
        found = [i for i in range(index) if self.arrows[i].who == who and self.arrows[i].kind in ("send", "finish")]
        return found[-1] if found else None

    def _request(self, index: int, verbs: list[str], *, item: bool = False) -> int | None:
        """The oldest unanswered request of this person that the answer can be for; answers come in order."""
        who = self.arrows[index].who
        for earlier in range(index):
            arrow = self.arrows[earlier]
            if arrow.who != who or arrow.kind != "send" or (who, earlier) in self.used:
                continue
            first = self._verb(arrow)
            known = first in self.spec.requests
            if first in verbs or (ANY_VERB in verbs and (not known or "\\x" in arrow.text)):
                if not item:
                    self.used.update((who, i) for i in range(earlier + 1) if self.arrows[i].who == who)
                return earlier
        return None

    def _verb(self, arrow: Arrow) -> str:
        first = arrow.text.split(" ")[0].rstrip("␍")
        return first.upper() if self.spec.framing.any_case else first

    def _pushed(self, index: int) -> int | None:
        """The oldest frame that can have caused the push, and has caused no other one to this person."""
        who = self.arrows[index].who
        for earlier in range(index):
            cause = ("push to " + who, earlier)
            templates = self._pushes(earlier, to=who)
            if cause not in self.used and any(self._fits(push, index, earlier) for push in templates):
                self.used.add(cause)
                return earlier
        return None

    def _pushes(self, index: int, to: str) -> Iterator[Template]:
        """What a request, or the end of a connection, may push to a person."""
        arrow = self.arrows[index]
        for row in self._rows(index):
            yield from self._of_row(row, self._asked(index), to, itself=arrow.who == to)
        if arrow.kind in ("finish", "reset") and arrow.who != to:
            yield from filter(None, [self.spec.ending.partner and self.spec.ending.partner.push, *self._dropped()])

    def _dropped(self) -> Iterator[Template]:
        """What the end of a connection may push besides: its user's tuples go with it."""
        yield from filter(None, (relation.dropped for relation in self.spec.relations.values()))

    def _rows(self, index: int) -> list[Outcome]:
        """The rows that a request can have had."""
        verb, error = self._verb(self.arrows[index]), self.refused.get(index)
        rows = [row for _, row in self.spec.outcomes() if row.verb == verb and row.error == error]
        return rows if self.arrows[index].kind == "send" else []

    def _of_row(self, row: Outcome, asked: Mapping[str, str], to: str, *, itself: bool) -> Iterator[Template]:
        if itself:
            yield from (tell.push for tell in row.tells if tell.kind == "each")
            return
        called = row.field_for("link")
        if row.partner is not None and (called is None or self._is(to, asked.get(called))):
            yield row.partner.push
        for tell in row.tells:
            if tell.kind == "others" or (tell.kind == "user" and self._is(to, asked.get(tell.field or ""))):
                yield tell.push
        for effect in row.effects:
            if effect.kind == "release":
                yield from self._dropped()
            if effect.entry is not None:
                relation = self.spec.relations[effect.entry.relation]
                yield from filter(None, [relation.added if effect.kind == "add" else relation.dropped])

    def _is(self, who: str, name: str | None) -> bool:
        """Whether a person has this name, as far as the example shows it."""
        known = self.names[who]
        return not known or name is None or self.spec.name_type.same(known, name)

    def _asked(self, index: int) -> dict[str, str]:
        """The fields of a request; nothing where the line is none."""
        arrow = self.arrows[index]
        request = self.spec.requests.get(self._verb(arrow)) if arrow.kind == "send" else None
        return _values(request.form, arrow.text.rstrip("␍")) if request is not None else {}

    def _fits(self, template: Template, index: int, cause: int) -> bool:
        """Whether a push is of this template; what it has of the request and of the sender must be the same in both."""
        known = self._asked(cause) | {"me": self.names[self.arrows[cause].who]}
        parts = []
        for part in template.parts:
            word = known.get(part.name) if isinstance(part, Variable) else part
            parts.append(f"(?i:{re.escape(word)})" if word else "[^ ]*" if part is not template.parts[-1] else ".*")
        return re.fullmatch(" ".join(parts), self.arrows[index].text) is not None
