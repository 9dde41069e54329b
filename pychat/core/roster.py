"""The list of all users, as the items of a request that lists them. No sockets, no clock, no verb by name.

The list is kept in blocks. When a user comes, goes or changes, only the block of that user is made anew; all
others are shared by every list that waits in a queue, so that an unread list costs little memory. The number of lists
that wait is bounded by the queues: after a long one, no frame is taken from its connection above the mark
(`Hub.is_blocked`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pychat.spec.forms import Form, Request, Type
from pychat.spec.model import Spec

from .connection import Connection

BLOCK = 128  # users of one block: about 2 KiB, so that a list of thousands is a few dozen buffers for the network


class Block:
    """Some of the users, and their items for each request that lists them, as far as they are made."""

    __slots__ = ("items", "users")

    def __init__(self) -> None:
        self.users: dict[Connection, None] = {}  # in the order of their coming
        self.items: dict[str, bytes] = {}


class Roster:
    """All users. The cost of every method but `items` does not depend on their number.

    `holds` says whether what a word of a type says (`Type.holds`) is so of a user.
    """

    def __init__(self, spec: Spec, holds: Callable[[str, Connection], bool]) -> None:
        self._spec = spec
        self._holds = holds
        self._blocks: dict[Connection, Block] = {}  # the block of each user
        self._used: dict[Block, None] = {}  # all that are not empty
        self._open: dict[Block, None] = {}  # those of them with a free place
        self._lists: dict[str, tuple[bytes, ...]] = {}

    def add(self, user: Connection) -> None:
        """Adds a user."""
        block = next(iter(self._open), None)
        if block is None:
            block = Block()
            self._used[block] = self._open[block] = None
        block.users[user] = None
        self._blocks[user] = block
        if len(block.users) == BLOCK:
            del self._open[block]
        self.changed(user)

    def remove(self, user: Connection) -> None:
        """Removes a user."""
        self.changed(user)
        block = self._blocks.pop(user)
        del block.users[user]
        if block.users:
            self._open[block] = None
        else:
            del self._used[block]
            self._open.pop(block, None)

    def changed(self, user: Connection) -> None:
        """The item of a user has changed; does nothing for a connection that is no user."""
        block = self._blocks.get(user)
        if block is not None and block.items:
            block.items.clear()
        self._lists.clear()

    def items(self, request: Request) -> Sequence[bytes]:
        """The items of all users for a request that lists them, in pieces that all answers share."""
        kept = self._lists.get(request.verb)
        if kept is None:
            kept = self._lists[request.verb] = tuple(self._made(block, request) for block in self._used)
        return kept

    def __len__(self) -> int:
        """How many users there are."""
        return len(self._blocks)

    def _made(self, block: Block, request: Request) -> bytes:
        items = block.items.get(request.verb)
        if items is None:
            assert request.item is not None, "the loader checks it"
            text = "".join(self._texts(request.item, block))
            items = block.items[request.verb] = text.encode()
        return items

    def _texts(self, form: Form, block: Block) -> Iterator[str]:
        """The items of a block: each user's name, and in fields of other types the words that are said of it."""
        kinds = [self._spec.types[field.type] for field in form.fields if field.type != self._spec.names]
        shapes: dict[tuple[str, ...], str] = {}  # by these words, the item with NUL for the name
        for user in block.users:
            words = tuple([self._word(kind, user) for kind in kinds])
            shape = shapes.get(words)
            if shape is None:
                left = iter(words)
                said = [next(left) if field.type != self._spec.names else "\0" for field in form.fields]
                shape = shapes[words] = form.fill(*said) + self._spec.framing.writes.decode()
            yield shape.replace("\0", user.name)

    def _word(self, kind: Type, user: Connection) -> str:
        """The first word that holds of a user, or the one that says that none of the others does."""
        for word, what in kind.holds:
            if self._holds(what, user):
                return word
        others = {word for word, _ in kind.holds}
        return next(word for word in kind.one_of if word not in others)
