"""The client's end of one connection: which requests it may send now, and what each frame that comes means to it.

Sans-I/O: octets go in and come out. No socket, no thread, no clock, and no verb, state or code but those of the spec.

A client moves only on what it receives: every change of its state at the server is told by exactly one frame, in
order, so at each answer the view here is the server's view when it took the request. That makes everything the server
may send checkable: a frame must fit one of the moves that the spec has for it. A frame whose verb is no reply's is
ignored, so that pushes can be added (R-CLIENT-12). Whose fault an error is, is its type: `LocalProtocolError` is raised
by `request` and nothing was sent; `RemoteProtocolError` is raised by `receive` and the connection should be closed
(R-CLIENT-10).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from transitions import MachineError

from pychat.spec.forms import ANY_VERB, ReplyKind
from pychat.spec.terms import Condition, ConditionKind, EffectKind
from pychat.spec.view import By, Move

from .codec import BadFrame, LineTooLong, Splitter
from .protocol import Encoded, Protocol, Shape, shipped_protocol

VIEWED = frozenset({"bind", "link", "accept", "retract", "unlink"})  # effects that change what a client knows
MAX_UNANSWERED = 1000  # requests: what a client remembers is bounded, however slow its server is


class LocalProtocolError(Exception):
    """The caller asked for something that the rules forbid now. Nothing was sent.

    `waiting` says whether an answer is still to come, so that the same request may be allowed after it.
    """

    def __init__(self, message: str, *, waiting: bool = False) -> None:
        super().__init__(message)
        self.waiting = waiting


class RemoteProtocolError(Exception):
    """The server sent what it may not send. Nothing more can be received."""


@dataclass(frozen=True, slots=True)
class View:
    """What a client knows about itself, and of its partner.

    `answered`: it has called this partner, or answered its call. `accepted`: its lines are relayed. `here`: the partner
    has called it, or answered its call.
    """

    state: str
    name: str | None = None
    partner: str | None = None
    answered: bool = False
    accepted: bool = False
    here: bool = False


OWN_END: Mapping[ConditionKind, Callable[[View], bool]] = {
    "no partner": lambda view: view.partner is None,
    "a partner": lambda view: view.partner is not None,
    "not accepted": lambda view: not view.accepted,
    "not answered": lambda view: not view.answered,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A frame that came from the server, and what it means.

    `key` are the words that it begins with (`OK CHAT`), `line` its octets without the ending. `verb` and `request` are
    the request that it answers and the fields of that request. `effects` say what has changed, `by` who caused it, with
    the request `cause` (None: without one), and `view` what the client knows after it. `reply` must be sent: it answers
    a push that wants an answer. `name`, `text` and `code` are the field with a user's name, the rest of the line, and
    an error's code.
    """

    kind: ReplyKind
    key: str
    fields: Mapping[str, str]
    line: bytes
    view: View
    verb: str | None = None
    request: Mapping[str, str] = field(default_factory=dict)
    effects: tuple[EffectKind, ...] = ()
    by: By = "server"
    cause: str | None = None
    reply: bytes = b""
    name: str | None = None
    text: str = ""
    code: str | None = None

    @property
    def mirrored(self) -> bool:
        """Whether the partner caused it."""
        return self.by == "partner"


@dataclass(slots=True)
class _Open:
    """A request that will be answered, and the requests before it that are answered only when they are refused."""

    verb: str
    fields: Mapping[str, str]
    before: dict[str, int]


class Session:
    """One connection, as its client sees it. Not thread-safe.

    `view` is what the client knows; `state` is the same view's state, moved by the machine.
    """

    __slots__ = ("_failure", "_items", "_open", "_splitter", "_tail", "protocol", "quitting", "state", "view")

    def __init__(self, protocol: Protocol | None = None) -> None:
        self.protocol = protocol or shipped_protocol()
        self.state = self.protocol.spec.initial
        self.view = View(self.state)
        self.quitting = False
        self._splitter = Splitter(self.protocol.spec.framing)
        self._open: deque[_Open] = deque()  # in the order of the wire
        self._tail: dict[str, int] = {}  # requests without an answer that were sent after the last of them
        self._failure: RemoteProtocolError | None = None
        self._items: int | None = None  # of the list that is coming in, None between lists

    @property
    def closed(self) -> bool:
        """Whether the last frame has come."""
        return self.state == self.protocol.spec.final

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The requests whose answers are still to come, oldest first."""
        return tuple(request.verb for request in self._open)

    # What one may send

    def request(self, verb: str | Encoded, *values: str, **fields: str) -> bytes:
        """The octets of a request, to be sent now. Its fields are given in the order of the wire, or by their names.

        A request that `Protocol.encode` has encoded before has its fields already.

        Raises:
            LocalProtocolError: the rules forbid it now, or it is no request of this protocol.
        """
        try:
            request = verb if isinstance(verb, Encoded) else self.protocol.encode(verb, *values, **fields)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from None
        self.check(request.verb, request.fields)
        self._remember(request.verb, request.fields)
        self.quitting = self.quitting or request.verb == self.protocol.quit
        return request.octets

    def check(self, verb: str, fields: Mapping[str, str]) -> None:
        """Raises LocalProtocolError if the rules for clients forbid this request now."""
        spec, rules = self.protocol.spec, self.protocol.spec.client
        unanswered = {request.verb for request in self._open}
        waiting = bool(unanswered)
        if self.closed:
            raise LocalProtocolError("the connection is over")
        if self.quitting:
            raise LocalProtocolError(f"nothing follows {self.protocol.quit}")
        if len(self._open) >= MAX_UNANSWERED:
            raise LocalProtocolError(f"{MAX_UNANSWERED} requests are unanswered", waiting=True)
        if verb in rules.one_unanswered and unanswered & rules.one_unanswered:
            other = " or ".join(sorted(unanswered & rules.one_unanswered))
            raise LocalProtocolError(f"{verb} must wait for the answer to {other}", waiting=True)
        if verb not in spec.states[self.state].recv and rules.may_follow.get(verb) not in unanswered:
            raise LocalProtocolError(f"{verb} is not possible in {self.state}", waiting=waiting)
        condition = rules.only_if.get(self.state, {}).get(verb)
        if condition is not None and not self._holds(condition, fields):
            wanted = str(condition).replace(f"<{condition.field}>", fields.get(condition.field or "", ""))
            raise LocalProtocolError(f"{verb} is possible in {self.state} only if {wanted}", waiting=waiting)

    def _holds(self, condition: Condition, fields: Mapping[str, str]) -> bool:
        value = fields.get(condition.field or "", "")
        if condition.kind == "the partner":
            return self.view.partner is not None and self.protocol.same_name(value, self.view.partner)
        if condition.kind in OWN_END:
            return OWN_END[condition.kind](self.view)
        return (value == condition.value) == (condition.kind == "equals")

    def _remember(self, verb: str, fields: Mapping[str, str]) -> None:
        if verb in self.protocol.silent:
            self._tail[verb] = self._tail.get(verb, 0) + 1
        else:
            self._open.append(_Open(verb, fields, self._tail))
            self._tail = {}

    # What comes

    def receive(self, octets: bytes) -> Iterator[Event]:
        """The frames in `octets`, however the stream was cut. The view moves with each event that is taken.

        Raises:
            RemoteProtocolError: while iterating, at the frame that the server may not send.
        """
        self._splitter.feed(octets)
        return self._events()

    def _events(self) -> Iterator[Event]:
        if self._failure is not None:
            raise self._failure
        try:
            while (line := self._next_line()) is not None:
                event = self._event(line)
                if event is not None:
                    yield event
        except RemoteProtocolError as error:
            self._failure = error
            raise

    def _next_line(self) -> bytes | None:
        if self.closed and self._splitter:
            raise RemoteProtocolError("the server went on after its last frame")
        try:
            return self._splitter.take()
        except LineTooLong:
            raise RemoteProtocolError("the server sent a line that is too long") from None

    def _event(self, line: bytes) -> Event | None:
        frame = self.protocol.codec.decode_reply(line)
        if isinstance(frame, BadFrame):
            if frame.fault == "verb" and self._items is None:
                return None
            if frame.fault == "verb":
                raise RemoteProtocolError(f"the server sent {_shown(line)}, but {self._unfinished}")
            raise RemoteProtocolError(f"the server sent what is no frame ({frame.fault}): {_shown(line)}")
        got = _Got(line, frame.fields, self.protocol.shapes[frame.key])
        kind = got.shape.reply.kind
        if self._items is not None and kind != "goodbye" and got.shape.reply.verb != self._open[0].verb:
            raise got.unexpected(self._unfinished)
        if kind == "refusal":
            return self._refused(got)
        if kind == "answer":
            return self._answered(got)
        if kind == "item":
            return self._listed(got)
        return self._pushed(got)

    @property
    def _unfinished(self) -> str:
        return f"the answer to {self._open[0].verb} is not finished"

    def _answered(self, got: _Got) -> Event:
        request = self._next_answered(got)
        self._check_echo(got, request)
        self._open.popleft()
        count = got.shape.count
        if count is not None and int(got.fields[count]) != (self._items or 0):
            raise got.unexpected(f"the number of items was {self._items or 0}")
        self._items = None
        return self._apply(got, self._move(got), request.verb, request.fields)

    def _next_answered(self, got: _Got) -> _Open:
        """The request that is to be answered next, which must be the one that this answers."""
        if not self._open:
            raise got.unexpected("no request is unanswered")
        if self._open[0].verb != got.shape.reply.verb:
            raise got.unexpected(f"{self._open[0].verb} is to be answered first")
        return self._open[0]

    def _check_echo(self, got: _Got, request: _Open) -> None:
        """A field that an answer has from its request holds the same, or another user's name as that one spells it."""
        for part in got.shape.reply.form.fields:
            if part.name in got.shape.echoed:
                said, asked = got.fields[part.name], request.fields[part.name]
                other = request.verb != self.protocol.bind and self.protocol.spec.types[part.type].same(said, asked)
                if said != asked and not other:
                    raise got.unexpected(f"the {part.name} in the request was {asked}")

    def _listed(self, got: _Got) -> Event:
        verb = got.shape.reply.verb
        if verb in self.protocol.silent:  # a list without an end
            if verb not in self._unanswerable():
                raise got.unexpected(f"no {verb} is to be answered now")
            return self._apply(got, self._move(got), verb, {})
        request = self._next_answered(got)
        self._items = (self._items or 0) + 1
        return self._apply(got, self._move(got), request.verb, request.fields)

    def _unanswerable(self) -> dict[str, int]:
        """The requests without an answer that the server may be at now, and their numbers."""
        return self._open[0].before if self._open else self._tail

    def _refused(self, got: _Got) -> Event:
        code = got.code or ""
        verb = got.fields[got.shape.verb] if got.shape.verb is not None else self._refusable(code)
        refusals = self.protocol.refusals
        moves = (*refusals.get((self.state, code, verb), ()), *refusals.get((self.state, code, None), ()))
        if not moves and code not in self.protocol.spec.errors:
            moves = (Move(self.state, got.shape.reply.key, code=code),)  # a later version may add codes
        if not moves:
            raise got.unexpected(f"{verb} cannot be refused so in {self.state}")
        move = self._fitting(got, moves)
        return self._apply(got, move, *self._take_refused(got, verb))

    def _refusable(self, code: str) -> str:
        """The request that a refusal is about which does not name it: the first one that has this error."""
        asked = [*self._unanswerable(), *(request.verb for request in list(self._open)[:1])]
        own = [verb for verb in asked if (self.state, code, verb) in self.protocol.refusals]
        return next(iter(own), ANY_VERB)

    def _take_refused(self, got: _Got, verb: str) -> tuple[str, Mapping[str, str]]:
        """The request that was refused. Requests before it without an answer have succeeded.

        Which one of several such requests in a row was refused cannot be known, so only their number is kept.
        """
        silent = self._unanswerable()
        if verb in silent:
            silent[verb] -= 1
            if not silent[verb]:
                del silent[verb]
            return verb, {}
        if self._open and verb in (ANY_VERB, self._open[0].verb):
            request = self._open.popleft()
            return request.verb, request.fields
        if verb == ANY_VERB and silent:
            return self._take_refused(got, next(iter(silent)))
        raise got.unexpected(f"no {verb} is to be answered now")

    def _pushed(self, got: _Got) -> Event:
        move = self._move(got)
        if move.mirrored and "link" not in move.effects:
            self._check_partner(got)  # lines and ends come from the partner alone (R-MSG-4)
        reply = b""
        if got.shape.template is not None:
            reply = self.protocol.codec.encode(got.shape.template.fill(got.fields))
            self._remember(got.shape.template.form.verb, got.shape.template.fields(got.fields))
        if got.shape.reply.kind == "goodbye":  # its code is not checked: the connection ends with any code
            self._open.clear()
            self._tail, self._items = {}, None
        return self._apply(got, move, None, {}, reply)

    def _check_partner(self, got: _Got) -> None:
        partner, link = self.view.partner, self.protocol.spec.link.name
        if partner is None:
            raise got.unexpected(f"there is no {link}")
        if got.name is not None and not self.protocol.same_name(got.name, partner):
            raise got.unexpected(f"the {link} is {partner}")

    def _move(self, got: _Got) -> Move:
        moves = self.protocol.moves.get((self.state, got.shape.reply.key))
        if moves is None:
            raise got.unexpected(f"it has no place in {self.state}")
        return self._fitting(got, moves)

    def _fitting(self, got: _Got, moves: Sequence[Move]) -> Move:
        """The first of these moves whose words are those that came, and of which all is so that the view can check."""
        against = f"no {got.shape.reply.form.verb} of {self.state} has these words"
        for move in moves:
            if all(got.fields[name] in words for name, words in move.words):
                wrong = self._against(move)
                if wrong is None:
                    return move
                against = wrong
        raise got.unexpected(against)

    def _against(self, move: Move) -> str | None:
        """What the view says against a move, None if it fits."""
        for kind, holds in move.known:
            if OWN_END[kind](self.view) is not holds:
                return f"that is not so: {kind}" if holds else f"it is so: {kind}"
        if move.here is not None and move.here is not self.view.here:
            return f"the {self.protocol.spec.link.name} has {'not ' if move.here else ''}answered"
        return None

    def _apply(self, got: _Got, move: Move, verb: str | None, request: Mapping[str, str], reply: bytes = b"") -> Event:
        """Moves the view by what came. The machine alone decides about states."""
        shape = got.shape
        if "accept" in move.effects and not move.mirrored:
            self._check_partner(got)
        try:
            self.protocol.machine.events[shape.reply.key].trigger(self)
        except MachineError:
            raise got.unexpected(f"it has no place in {self.state}") from None
        if move.to is not None or not VIEWED.isdisjoint(move.effects):
            self.view = self._viewed(got.name, move)
        return Event(
            kind=shape.reply.kind,
            key=shape.reply.key,
            fields=got.fields,
            line=got.line,
            view=self.view,
            verb=verb,
            request=request,
            effects=move.effects,
            by=move.by,
            cause=move.verb,
            reply=reply,
            name=got.name,
            text=got.fields[shape.text] if shape.text is not None else "",
            code=got.code,
        )

    def _viewed(self, name: str | None, move: Move) -> View:
        """The view after a move: what the effects of its row change for this end."""
        view, effects = replace(self.view, state=self.state), move.effects
        if "link" in effects:
            caller = not move.mirrored  # it has answered, and is accepted, from the beginning
            view = replace(view, partner=name, answered=caller, accepted=caller, here=move.mirrored)
        if "unlink" in effects or self.state not in self.protocol.spec.link.held_in:
            view = replace(view, partner=None, answered=False, accepted=False, here=False)
        if move.mirrored:
            return replace(view, here=True) if "accept" in effects else view
        if "bind" in effects:
            view = replace(view, name=name)
        if "accept" in effects:
            view = replace(view, answered=True, accepted=True)
        if "retract" in effects:
            view = replace(view, accepted=False)
        return view


@dataclass(frozen=True, slots=True)
class _Got:
    """A frame that came, before it is known what it means."""

    line: bytes
    fields: Mapping[str, str]
    shape: Shape

    @property
    def name(self) -> str | None:
        return self.fields[self.shape.name] if self.shape.name is not None else None

    @property
    def code(self) -> str | None:
        """The code of a refusal or a goodbye: what the frame says, or is of itself."""
        return self.fields[self.shape.code] if self.shape.code is not None else self.shape.reply.code

    def unexpected(self, why: str) -> RemoteProtocolError:
        return RemoteProtocolError(f"the server sent {_shown(self.line)}, but {why}")


def _shown(line: bytes) -> str:
    return ascii(line.decode("utf-8", "backslashreplace"))[1:-1][:100]
