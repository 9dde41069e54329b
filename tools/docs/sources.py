"""The sources of every part of the page: the spec, its anchors, phrases, examples and conformance cases."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pychat.spec import Spec
from pychat.spec.forms import Form, Reply
from pychat.spec.model import Outcome
from pychat.spec.view import Move, moves

from .anchors import Anchors
from .cases import CaseText
from .content import Block, Paragraph, Rules, RuleText, Spans, code, join, link, text
from .interactions import Interaction, interactions
from .phrases import Phrases


@dataclass(frozen=True)
class PageSources:
    """A spec with everything that is derived from it for the page, and the conformance cases of its rules.

    `played`: its examples were played against a server.
    """

    spec: Spec
    cases: tuple[CaseText, ...] = ()
    played: bool = True

    @cached_property
    def cases_of(self) -> dict[str, tuple[CaseText, ...]]:
        """The cases of each rule."""
        return {rule: tuple(case for case in self.cases if rule in case.rules) for rule in self.spec.rules}

    @cached_property
    def anchors(self) -> Anchors:
        return Anchors(self.spec)

    @cached_property
    def phrases(self) -> Phrases:
        return Phrases(self.spec, self.anchors)

    @cached_property
    def interactions(self) -> dict[str, Interaction]:
        return interactions(self.spec)

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        return moves(self.spec)

    @cached_property
    def rows(self) -> tuple[Outcome, ...]:
        """Each row once: those of the states, then those of the timers."""
        rows = [outcome for _, outcome in self.spec.outcomes()]
        rows += [timer.row for timer in self.spec.timers.values() if timer.row is not None]
        return tuple(dict.fromkeys(rows))

    # Prose and rules

    def chapter(self, name: str) -> list[Block]:
        """The prose of a chapter, then the rules that it explains."""
        return [*self.chapter_prose(name), *self.chapter_rules(name)]

    def chapter_prose(self, name: str) -> list[Block]:
        chapter = self.spec.chapters.get(name)
        return [Paragraph(self.anchors.prose(line)) for line in chapter.text] if chapter is not None else []

    def chapter_rules(self, name: str) -> list[Block]:
        chapter = self.spec.chapters.get(name)
        return [self.rules(chapter.rules)] if chapter is not None and chapter.rules else []

    def rules(self, ids: Iterable[str]) -> Rules:
        return Rules(tuple(self.rule(id_) for id_ in ids))

    def rule(self, id_: str, shown: Spans = ()) -> RuleText:
        rule = self.spec.rules[id_]
        cases = tuple((case.id, case.anchor) for case in self.cases_of[id_])
        return RuleText(id_, rule.level, rule.of, self.anchors.rule_text(rule.text), shown, cases)

    def rule_links(self, ids: Iterable[str]) -> Spans:
        return join([link(id_, id_) for id_ in ids])

    def rules_about(self, verb: str) -> list[str]:
        """The rules of a verb's rows, and those of the same groups if no other row has a rule of the group."""
        own = {row.rule for row in self.rows if row.verb == verb}
        others = {_group(row.rule) for row in self.rows if row.verb != verb}
        groups = {_group(rule) for rule in own} - others
        return [id_ for id_ in self.spec.rules if id_ in own or _group(id_) in groups]

    # Frames

    def longest(self, form: Form) -> int:
        """The octets of the longest frame of this form, with the ending that is written."""
        sizes = [len(p) if isinstance(p, str) else self.spec.types[p.type].octets[1] for p in form.parts]
        return sum(sizes) + len(sizes) - 1 + len(self.spec.framing.writes)

    def _sample(self, form: Form) -> str:
        """A frame of this form from the good values of its types, for a frame that no example has."""
        parts = []
        for part in form.parts:
            kind = None if isinstance(part, str) else self.spec.types[part.type]
            parts.append(str(part) if kind is None else (kind.good or kind.one_of)[0])
        return " ".join(parts)

    def sent_example(self, verb: str) -> bytes:
        """The first frame of this verb in the examples that is not refused, with its ending."""
        sent: list[str] = []
        for arrows in (found.arrows for found in self.interactions.values()):
            bad = {arrow.cause for arrow in arrows if arrow.kind == "receive" and self._refuses(arrow.text)}
            sent += [arrow.text for index, arrow in enumerate(arrows) if arrow.kind == "send" and index not in bad]
        return self._first(self.spec.requests[verb].form, sent)

    def _refuses(self, line: str) -> bool:
        reply = self.spec.reply_of(line)
        return reply is not None and reply.kind == "refusal"

    def got_example(self, reply: Reply) -> bytes:
        """The first such frame of a server in the examples, with its ending."""
        arrows = (arrow for found in self.interactions.values() for arrow in found.arrows)
        return self._first(reply.form, (arrow.text for arrow in arrows if arrow.kind == "receive"))

    def _first(self, form: Form, lines: Iterable[str]) -> bytes:
        """The first line of this form, or a sample of it, with its ending."""
        parts = [
            re.escape(part) if isinstance(part, str) else f"(?:{self.spec.types[part.type].pattern})"
            for part in form.parts
        ]
        fits = re.compile(" ".join(parts)).fullmatch
        return next(filter(fits, lines), self._sample(form)).encode() + self.spec.framing.writes

    # States

    def legal(self, verb: str) -> list[str]:
        """The states that have rows for a request."""
        return [name for name in self.spec.live_states if verb in self.spec.states[name].recv]

    def grouped(self, verb: str) -> list[tuple[list[str], tuple[Outcome, ...]]]:
        """The rows of a request with all states that have the same ones."""
        groups: dict[tuple[Outcome, ...], list[str]] = {}
        for state in self.legal(verb):
            groups.setdefault(self.spec.states[state].recv[verb], []).append(state)
        return [(states, rows) for rows, states in groups.items()]

    def misplaced(self, state: str, verb: str) -> str:
        """The error of a request that has no rows in the state."""
        rule = self.spec.first_fault(state, None, verb)
        assert rule is not None, "it has rows there"
        return rule.error

    def in_states(self, names: list[str]) -> Spans:
        """These states as a phrase; all of them are `any state`."""
        if names == list(self.spec.live_states):
            return text("any state")
        return join([self.phrases.state(name) for name in names], " or ")

    def relation(self, name: str) -> Spans:
        return code(name, self.anchors.relation(name))

    def frame_link(self, key: str) -> Spans:
        return code(key, self.anchors.frame(key))


def _group(rule: str) -> str:
    """The group of a rule: `R-CHAT` of `R-CHAT-1`."""
    return rule.rpartition("-")[0]
