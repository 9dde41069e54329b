"""What later lines tell of earlier ones where the beginning is missing: names, partners, and which chats are one.

The dissector shows what is known when a line comes; a report can look ahead. Nothing that a line shows is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from tools.report.packets import Line


def complete(lines: Sequence[Line], begun: Collection[int], ends: Mapping[int, str]) -> None:
    """Fills `who`, `other` and `talk` of the lines.

    `begun`: the streams of which the capture has the beginning. `ends`: the client's end of each stream, in words.
    """
    streams: dict[int, list[Line]] = {}
    for line in lines:
        streams.setdefault(line.stream, []).append(line)
    talks = _talks(lines, streams)
    for stream, own in streams.items():
        first = next((line.user for line in own if line.user), "")
        user = "" if stream in begun else first
        for line in own:
            user = line.user or user
            line.who = user or ends[stream]
            line.talk = None if line.chat is None else _root(talks, line.chat)
    _spoken(lines)
    _name_partners(lines)


def _talks(lines: Sequence[Line], streams: Mapping[int, list[Line]]) -> dict[int, int]:
    """For each number of a chat a lower one of the same chat, or itself.

    A chat has two numbers when its ends were known before it was known that they are the ends of one chat: a line that
    was relayed has shown it.
    """
    parents = {line.chat: line.chat for line in lines if line.chat is not None}
    for own in streams.values():
        for before, line in pairwise(own):
            stays = before.state_after == line.state_after
            if line.relayed_from is not None and stays and before.chat is not None and line.chat is not None:
                low, high = sorted((_root(parents, before.chat), _root(parents, line.chat)))
                parents[high] = low
    return parents


def _root(parents: Mapping[int, int], number: int) -> int:
    while parents[number] != number:
        number = parents[number]
    return number


def _spoken(lines: Sequence[Line]) -> None:
    """A line that came out at the partner belongs to the chat in which it came out."""
    waiting: dict[tuple[int, str], Line] = {}
    for line in lines:
        if line.from_client and line.talk is None:
            waiting[line.number, line.whole] = line
        elif line.relayed_from is not None:
            sent = waiting.pop((line.relayed_from, line.whole), None)
            if sent is not None:
                sent.talk = line.talk


def _name_partners(lines: Sequence[Line]) -> None:
    """The partner of each line of a chat: as the line shows it, or who else is in the chat."""
    ends: dict[int, dict[int, str]] = {}
    for line in lines:
        if line.talk is not None:
            ends.setdefault(line.talk, {})[line.stream] = line.who
    partners: dict[tuple[int, int], str] = {}
    for line in lines:
        if line.talk is not None and line.partner:
            partners.setdefault((line.talk, line.stream), line.partner)
    for line in lines:
        others = [] if line.talk is None else [who for stream, who in ends[line.talk].items() if stream != line.stream]
        shown = line.partner or (partners.get((line.talk, line.stream), "") if line.talk is not None else "")
        line.other = shown or (others[0] if len(others) == 1 else "an unknown user" if line.talk is not None else "")
