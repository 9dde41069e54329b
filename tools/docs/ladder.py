"""Drawings of examples in characters, for pages that hold no picture. Knows no spec and no protocol.

The server stands between the people, and time runs downwards. A frame that was sent before its sender read what the
server had already done is drawn twice: dotted where it is sent, and again where it is handled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .interactions import Arrow, Interaction
from .sequence import placed_label, sides

SERVER = "server"
EDGE = 3  # characters between a lifeline and a label


def ladder(interaction: Interaction) -> tuple[str, ...]:
    """The lines of the drawing: the names, then a line for each event."""
    left, right = sides(list(interaction.people))
    return tuple(_Ladder(interaction, left, right).lines())


class _Ladder:
    def __init__(self, interaction: Interaction, left: Sequence[str], right: Sequence[str]) -> None:
        self.interaction = interaction
        self.left = set(left)
        self.order = [*left, "", *right]
        longest = max(len(placed_label(arrow)) for arrow in interaction.arrows)
        lane = longest + EDGE + 5
        self.columns = {who: 6 + index * lane for index, who in enumerate(self.order)}

    def lines(self) -> Iterator[str]:
        yield self._names()
        for index, dotted, arrives in _events(self.interaction.arrows):
            yield self._line(self.interaction.arrows[index], dotted, arrives)

    def _names(self) -> str:
        cells = list(" " * (max(self.columns.values()) + 12))
        for who, column in self.columns.items():
            name = self.interaction.people.get(who, SERVER)
            start = max(0, column - len(name) // 2)
            cells[start : start + len(name)] = name
        return "".join(cells).rstrip()

    def _line(self, arrow: Arrow, dotted: bool, arrives: bool) -> str:
        cells = list(" " * (max(self.columns.values()) + 1))
        for column in self.columns.values():
            cells[column] = "│"
        person, server = self.columns[arrow.who], self.columns[""]
        low, high = min(person, server), max(person, server)
        outward = arrow.kind in ("send", "finish", "reset")
        to_right = outward == (person < server)
        shaft = "┄" if dotted else "─"
        label = placed_label(arrow)
        cells[low + 2 : high - 1] = shaft * (high - low - 3)
        for column in self.columns.values():
            if low < column < high:
                cells[column] = "┼"
        if arrives or not dotted:
            cells[high - 2 if to_right else low + 2] = "▶" if to_right else "◀"
        at = low + 2 if person == low else high - 1 - len(label)  # at the person whose frame it is
        if not to_right and person == low:
            at = low + 4  # behind the arrow's head
        if to_right and person == high:
            at = high - 3 - len(label)
        cells[at : at + len(label)] = label
        for place in (at - 1, at + len(label)):
            if low + 1 < place < high - 1 and cells[place] == shaft:
                cells[place] = " "
        return "".join(cells).rstrip()


def _events(arrows: Sequence[Arrow]) -> Iterator[tuple[int, bool, bool]]:
    """Each arrow as (index, dotted, arrives), in the order of time; one that crosses others arrives later."""
    waiting: list[int] = []  # sent, and not yet handled
    for index, arrow in enumerate(arrows):
        if arrow.kind in ("send", "finish", "reset"):
            if _crosses(arrows, index):
                waiting.append(index)
                yield index, True, False
            else:
                yield index, False, True
            continue
        while waiting and arrow.cause is not None and waiting[0] <= arrow.cause:
            yield waiting.pop(0), True, True
        yield index, False, True
    for index in waiting:
        yield index, True, True


def _crosses(arrows: Sequence[Arrow], index: int) -> bool:
    """Whether its sender still reads something that the server did before it handled this."""
    who = arrows[index].who
    for later in arrows[index + 1 :]:
        if later.who == who and later.cause is not None:
            return later.kind in ("receive", "end") and later.cause < index and arrows[later.cause].who != who
    return False
