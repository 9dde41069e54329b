"""The anchors of all names in a spec, and the links to them in prose. Knows no Markdown and no HTML."""

from __future__ import annotations

import re

from pychat.spec import Spec
from pychat.spec.forms import Form, Reply, Template
from pychat.spec.model import Outcome

from .content import Span, Spans, code

_PROSE = re.compile(
    r"`(?P<quoted>[^`]+)`"
    r"|(?P<rule>\bR-[A-Z]+-[0-9]+\b)"
    r"|(?P<caps>\b[A-Z][A-Z]+(?: (?:[A-Z]+|[a-z]+(?:-[a-z]+)*)\b)?)"
    r"|(?P<code>\b[a-z]+(?:-[a-z]+)+\b)"
)
_KINDS = re.compile(r"(?:\b(request|push|answer|state) |\b(server's|client's) )$")
"""The word before a name that says which of two things of this name is meant; without one it is the request."""
_LEVELS = re.compile(r"\b(MUST NOT|MUST|SHOULD NOT|SHOULD|MAY)\b")


def slug(name: str) -> str:
    """A name as a part of an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class Anchors:
    """The anchors of one spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def request(self, verb: str) -> str:
        return f"request-{slug(verb)}"

    def reply(self, reply: Reply) -> str:
        kind = "error-frame" if reply.kind == "refusal" else "last-frame" if reply.kind == "goodbye" else reply.kind
        return f"{kind}-{slug(reply.key)}"

    def state(self, name: str) -> str:
        return f"state-{slug(name)}"

    def error(self, code: str) -> str:
        return f"error-{slug(code)}"

    def goodbye(self, code: str) -> str:
        return f"goodbye-{slug(code)}"

    def type(self, name: str) -> str:
        return f"type-{slug(name)}"

    def timer(self, name: str) -> str:
        return f"timer-{slug(name)}"

    def relation(self, name: str) -> str:
        return f"relation-{slug(name)}"

    def limit(self, name: str) -> str:
        return f"limit-{slug(name)}"

    def example(self, name: str) -> str:
        return f"example-{slug(name)}"

    def outcome(self, state: str | None, outcome: Outcome) -> str:
        """The anchor of a row. `state` None: it is the same in every state. A second row of one label has a number."""
        words = ["row", *([slug(state)] if state else []), slug(outcome.verb), slug(outcome.label)]
        tables = (held.recv.get(outcome.verb, ()) for held in self.spec.states.values())
        rows = next(rows for rows in tables if outcome in rows)
        same = [row for row in rows if row.label == outcome.label]
        return "-".join(words if same[0] == outcome else [*words, str(same.index(outcome) + 1)])

    def row(self, outcome: Outcome) -> str:
        """The anchor of a row in the table of its request, wherever the row stands."""
        tables = [state.recv[outcome.verb] for state in self.spec.states.values() if outcome.verb in state.recv]
        state = next(name for name, held in self.spec.states.items() if outcome in held.recv.get(outcome.verb, ()))
        return self.outcome(state if len(set(tables)) > 1 else None, outcome)

    # Links

    def form(self, form: Form) -> Spans:
        """The form of a frame; each field is a link to its type."""
        spans: list[Span] = []
        for part in form.parts:
            if spans:
                spans.append(Span(" ", "code"))
            if isinstance(part, str):
                spans.append(Span(part, "code"))
            else:
                spans.append(Span(f"<{part.name}>", "code", self.type(part.type)))
        return tuple(spans)

    def template(self, template: Template) -> Spans:
        """A frame that the server writes, as a link."""
        return code(str(template), self.frame(template.form.key))

    def request_template(self, template: Template) -> Spans:
        """A frame that a client writes, as a link."""
        return code(str(template), self.request(template.form.verb))

    def frame(self, key: str) -> str | None:
        """The anchor of the frame that begins with these words: a reply, or else a request."""
        if key in self.spec.replies:
            return self.reply(self.spec.replies[key])
        return self.request(key) if key in self.spec.requests else None

    def line(self, words: str, *, sent: bool) -> Spans:
        """A frame of an example; its first words are a link."""
        if sent:
            key = words.partition(" ")[0]
            target = self.request(key) if key in self.spec.requests else None
        else:
            reply = self.spec.reply_of(words)
            key = reply.key if reply is not None else ""
            target = self.frame(key)
        if target is None:
            return code(words)
        rest = words[len(key) :]
        return (*code(key, target), *(code(rest) if rest else ()))

    # Prose

    def prose(self, words: str) -> Spans:
        """Prose of the spec: quoted words are code, and each name is a link.

        A name that is both a request and something that the server sends leads to the request, unless `push`, `answer`
        or `server's` stands before it.
        """
        spans: list[Span] = []
        last = 0
        for found in _PROSE.finditer(words):
            before = _KINDS.search(words, 0, found.start())
            kind = before[1] or before[2] if before is not None else ""
            for start, end, span in self._spans(found, kind):
                if start > last:
                    spans.append(Span(words[last:start]))
                spans.append(span)
                last = end
        if last < len(words):
            spans.append(Span(words[last:]))
        return tuple(spans)

    def rule_text(self, words: str) -> Spans:
        """The text of a rule: prose, with its levels in bold."""
        spans: list[Span] = []
        for span in self.prose(words):
            if span.style != "text" or span.target:
                spans.append(span)
                continue
            parts = _LEVELS.split(span.text)
            spans += [Span(part, "strong" if index % 2 else "text") for index, part in enumerate(parts) if part]
        return tuple(spans)

    def _spans(self, found: re.Match[str], kind: str) -> list[tuple[int, int, Span]]:
        start, end = found.span()
        if found["quoted"] is not None:
            return [(start, end, Span(found["quoted"], "code", self.find(found["quoted"], kind)))]
        if found["rule"] is not None:
            known = found["rule"] in self.spec.rules
            return [(start, end, Span(found["rule"], "text", found["rule"]))] if known else []
        if found["code"] is not None:
            target = self._code(found["code"])
            return [(start, end, Span(found["code"], "code", target))] if target else []
        return self._capitals(start, found["caps"], kind)

    def _capitals(self, start: int, words: str, kind: str) -> list[tuple[int, int, Span]]:
        first, _, second = words.partition(" ")
        if (second and words in self.spec.replies) or (
            first == self.spec.goodbye.verb and second in self.spec.goodbyes
        ):
            return [(start, start + len(words), Span(words, "code", self.find(words)))]
        spans = []
        for word in re.finditer(r"[A-Z]+|[a-z-]+", words):
            target = (
                self.find(word[0], kind if not word.start() else "") if word[0].isupper() or "-" in word[0] else None
            )
            if target is not None:
                spans.append((start + word.start(), start + word.end(), Span(word[0], "code", target)))
        return spans

    def _code(self, word: str) -> str | None:
        if word in self.spec.errors:
            return self.error(word)
        return self.goodbye(word) if word in self.spec.goodbyes else None

    def find(self, words: str, kind: str = "") -> str | None:
        """The anchor of the thing that has this name, None if there is none. `kind`: the word before the name."""
        spec = self.spec
        reply = spec.reply_of(words)
        if reply is not None and (kind == reply.kind or kind == "server's"):
            return self.reply(reply)
        if words in spec.requests and kind in ("request", "client's"):
            return self.request(words)
        if words in spec.states:
            return self.state(words)
        if words in spec.requests:
            return self.request(words)
        if words in spec.types:
            return None  # an ordinary word: only a form leads to a type
        holder = next((type_.name for type_ in spec.types.values() if words in type_.one_of), None)
        if holder is not None and words in spec.goodbyes:
            return self.type(holder)  # the goodbye of this name has the verb before it
        parts = words.split(" ")
        if parts[0] == spec.goodbye.verb and len(parts) > 1 and parts[1] in spec.goodbyes:
            return self.goodbye(parts[1])
        if parts[0] in spec.requests:
            return self.request(parts[0])
        return self._code(words) if reply is None else self.frame(reply.key)
