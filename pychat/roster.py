"""The list of all users, as the items of a request that lists them. No sockets, no clock, no verb by name."""

from __future__ import annotations

from collections.abc import Mapping

from .connection import Connection
from .spec.model import Form, Request, Spec


class Roster:
    """The items for all users, made once and kept until somebody comes, goes or changes his state."""

    def __init__(self, spec: Spec, names: Mapping[str, Connection]) -> None:
        self._spec = spec
        self._names = names
        self._kept: dict[str, bytes] = {}

    def items(self, request: Request) -> bytes:
        """The items of all users for a request that lists them."""
        kept = self._kept.get(request.verb)
        if kept is None:
            assert request.item is not None, "the loader has seen to it"
            free, busy = (self._item(request.item, linked) for linked in (False, True))
            held_in = self._spec.link.held_in
            kept = self._kept[request.verb] = b"".join(
                (busy if user.state in held_in else free).replace(b"\0", user.name.encode())
                for user in self._names.values()
            )
        return kept

    def forget(self) -> None:
        """Somebody came, went or changed his state."""
        self._kept.clear()

    def __len__(self) -> int:
        """How many users there are."""
        return len(self._names)

    def _item(self, form: Form, linked: bool) -> bytes:
        """The item of a user, with NUL for the name: the first word of another type says free, the second busy."""
        words = []
        for part in form.parts:
            if isinstance(part, str):
                words.append(part)
            elif part.type == self._spec.link.key:
                words.append("\0")
            else:
                words.append(self._spec.types[part.type].one_of[linked])
        return " ".join(words).encode() + self._spec.framing.writes
