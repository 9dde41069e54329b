"""The glossary: the words of the spec language that a spec uses, and its own ones. Knows no verb and no state."""

from __future__ import annotations

from collections.abc import Callable

from pychat.spec import Spec

from .content import Facts, Paragraph, Section, Spans, both, code, join, link, one_of, sentence, text
from .phrases import FAULTS
from .sources import PageSources

WORDS = "What the words of this page mean where it speaks of connections and frames."
Definition = str | Callable[[PageSources], Spans]


def _linked(spec: Spec) -> bool:
    return bool(spec.linked_states)


def _link(sources: PageSources) -> Spans:
    spec = sources.spec
    held = one_of([sources.phrases.state(name) for name in spec.states if name in spec.link.held_in])
    return sentence("{} A connection that has one is in {}.", sources.anchors.prose(spec.link.doc), held)


def _end(sources: PageSources) -> Spans:
    return text(
        "One of the two connections of a link. This end is the connection whose frame is handled, or whose timer runs "
        f"out; the other end is its {sources.spec.link.name}."
    )


def _fault(sources: PageSources) -> Spans:
    kinds = join([text(FAULTS[kind]) for kind in dict.fromkeys(rule.fault for rule in sources.spec.faults)], "; ")
    counted = ", and is not counted" if sources.spec.budgets else ""
    return sentence(
        f"What can be wrong with any frame: {{}} ({{}}). What a request's own table refuses is no fault{counted}.",
        kinds,
        link("table", "errors"),
    )


def _budget(sources: PageSources) -> Spans:
    budgets = both([link(budget.rule, budget.rule) for budget in sources.spec.budgets])
    return sentence(
        "How many faults a connection may send before the server ends it: in all, or in succession, without a frame "
        "between them that is not counted ({}).",
        budgets,
    )


def _goodbye(sources: PageSources) -> Spans:
    goodbye = code(sources.spec.goodbye.verb, sources.anchors.frame(sources.spec.goodbye.key))
    return sentence("{}, the last frame of a server that ends the connection by itself.", goodbye)


def _reply(sources: PageSources) -> Spans:
    kinds = dict.fromkeys(reply.kind for reply in sources.spec.replies.values())
    return sentence("Any frame of the server: {}.", one_of([text(kind) for kind in kinds]))


def _view(sources: PageSources) -> Spans:
    return sentence(
        "What a client knows by the frames that it has read: its {}, and the rest that the server keeps for it. It is "
        "what the server knows, but later by the frames in flight.",
        link("state", "client-machine"),
    )


def _state(sources: PageSources) -> Spans:
    states = [sources.phrases.state(name) for name in sources.spec.states]
    return sentence("{}: which requests have rows, and which pushes may come.", one_of(states))


TERMS: dict[str, Definition] = {
    "answer": "The frame with which the server answers a request; when it succeeds, its own, else a refusal.",
    "budget": _budget,
    "end": _end,
    "fault": _fault,
    "frame": "One line with its ending, in either direction.",
    "goodbye": _goodbye,
    "item": "One of the frames of a list. What ends the list is the answer, if the request has one.",
    "link": _link,
    "push": "A frame that the server sends by itself: it answers no request of its receiver.",
    "refusal": "The answer to a request that does not succeed, or to a line that is no request; it has a code.",
    "relation": "A table of tuples that connections share; each tuple has a value for each column.",
    "reply": _reply,
    "request": "A frame of a client.",
    "row": "A line of a request's table: in which state and when it is taken, what is answered, and what is done.",
    "send queue": "What the server has still to send to a connection, and the network has not taken yet.",
    "state": _state,
    "verb": "The first word of a frame.",
    "view": _view,
}
"""What each word of the spec language means."""

USED: dict[str, Callable[[Spec], bool]] = {
    "budget": lambda spec: bool(spec.budgets),
    "end": _linked,
    "goodbye": lambda spec: bool(spec.goodbyes),
    "item": lambda spec: any(request.item is not None for request in spec.requests.values()),
    "link": _linked,
    "push": lambda spec: bool(spec.pushes),
    "relation": lambda spec: bool(spec.relations),
}
"""Whether a spec has what a word stands for; every spec has the others."""


def section(sources: PageSources) -> Section:
    """All words in the order of the alphabet."""
    spec = sources.spec
    found = {
        word: text(said) if isinstance(said, str) else said(sources)
        for word, said in TERMS.items()
        if word not in USED or USED[word](spec)
    }
    found |= {word: sources.anchors.prose(doc) for word, doc in spec.glossary.items()}
    rows = tuple(sorted(found.items(), key=lambda item: item[0].removeprefix("to ").lower()))
    return Section("glossary", text("Glossary"), (Paragraph(text(WORDS)), Facts(rows)), "what the words mean")
