"""The same machines in Promela, for SPIN: a second opinion by another program, from the same tables.

    python -m tools.check --promela model.pml
    spin -a model.pml && gcc -DSAFETY -o pan pan.c && ./pan     stops at the first fault; its number stands in the file
    spin -a -DALL model.pml && …                               says each fault and each row that fires once, and goes on

Every rule is written out for every verb, name and state, so that each option of a process is one indivisible step with
a guard, as each step of `tools.check.model` is. Instead of the shortest trace there is SPIN's trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pychat.spec.model import Condition

from .explore import Bounds
from .properties import (
    ANSWERS,
    ASYMMETRIC,
    DEAD_END,
    DEADLOCK,
    MISDELIVERED,
    OTHER_CHAT,
    UNPLACED,
    UNSPECIFIED,
    VIEWS,
    Fault,
)
from .rows import Change, Row, Tables, Verb

HEAD = """\
#define N {clients}          /* connections, and names */
#define NOBODY {clients}
#define UP {up}         /* frames in a queue to the server */
#define DOWN {down}       /* … and from it */
#define NONE 255

#ifdef ALL              /* say each fault and each row once, and go on */
c_decl {{ static unsigned char said[512]; }}
#define FAULT(k) c_code {{ if (!said[k]) {{ said[k] = 1; printf("FAULT %d\\n", k); }} }}
#define FIRED(k) c_code {{ if (!said[256 + k]) {{ said[256 + k] = 1; printf("FIRED %d\\n", k); }} }}
#else                   /* stop at any fault, or at the one whose number is ONLY */
#ifdef ONLY
#define FAULT(k) assert(k != ONLY)
#else
#define FAULT(k) assert(k == NONE)
#endif
#define FIRED(k) skip
#endif

/* what the server knows of each connection */
byte state[N] = {initial};
byte name[N] = NOBODY;
byte partner[N] = NOBODY;
bool accepted[N];

/* what its client believes; fresh: that the chat which it sees is still the server's */
byte view[N] = {initial};
byte own[N] = NOBODY;
byte peer[N] = NOBODY;
byte peer_name[N] = NOBODY;
bool heard[N];
bool fresh[N];

chan up[N] = [UP] of {{ byte, byte, byte, byte, byte, bool }};   /* verb, name, words; meant, meant by name, fresh */
chan down[N] = [DOWN] of {{ byte, byte, byte, bool }};           /* reply, name; whose name it is, fresh */
chan open[N] = [UP + DOWN] of {{ byte, byte }};                  /* verb, name of what is unanswered */

bool broken;            /* after a step that makes no sense nothing more happens */
byte leaving = NOBODY;  /* who tries to come to his end, while nobody else does anything */
byte from;              /* … the state in which he began */
byte tried = NONE;      /* … and the one in which he has sent the request that leads on */

hidden byte v, n, w, m, mn, r, o, k, f;


#define LINKED(s) ({linked})
#define QUIET ({quiet})
#define OVER ({over})
#define HOLDER(x) {holder}

inline age(e) {{ /* a chat of e's begins or is over: what is about one is about an old one now */
  fresh[e] = 0;
  k = len(up[e]);
  do :: k > 0 -> up[e]?v,n,w,m,mn,f; up[e]!v,n,w,m,mn,0; k-- :: else -> break od;
  k = len(down[e]);
  do :: k > 0 -> down[e]?r,n,w,f; down[e]!r,n,w,0; k-- :: else -> break od
}}

inline over(e) {{
  do :: nempty(up[e]) -> up[e]?_,_,_,_,_,_ :: empty(up[e]) -> break od;
  do :: nempty(down[e]) -> down[e]?_,_,_,_ :: empty(down[e]) -> break od;
  do :: nempty(open[e]) -> open[e]?_,_ :: empty(open[e]) -> break od;
  state[e] = {final}; view[e] = {final}; accepted[e] = 0; heard[e] = 0; fresh[e] = 0;
  own[e] = NOBODY; peer[e] = NOBODY; peer_name[e] = NOBODY
}}
"""


@dataclass(frozen=True, slots=True)
class Promela:
    """A model for SPIN. `faults` are those that it can find, by their numbers in it."""

    text: str
    faults: tuple[Fault, ...]


def promela(tables: Tables, bounds: Bounds) -> Promela:
    """The tables in Promela."""
    return _Writer(tables, bounds).write()


class _Writer:
    def __init__(self, tables: Tables, bounds: Bounds) -> None:
        self.tables = tables
        self.spec = tables.spec
        self.bounds = bounds
        self.faults: dict[Fault, int] = {}
        self.states = {state: number for number, state in enumerate(self.spec.states)}
        self.verbs = {verb: number for number, verb in enumerate(tables.verbs)}
        self.replies = {reply: number for number, reply in enumerate(tables.reactions)}
        self.final = self.states[self.spec.final]
        self.rows = tables.by_request()
        self.uncounted = self.spec.fault_rule("state").uncounted
        self.forced = {push.reply.form.verb for push in self.spec.pushes.values() if push.reply is not None}

    def write(self) -> Promela:
        everybody = range(self.bounds.clients)
        holder = "NOBODY"
        for i in reversed(everybody):
            holder = f"(name[{i}] == x -> {i} : {holder})"
        head = HEAD.format(
            clients=self.bounds.clients,
            up=self.bounds.up,
            down=self.bounds.down,
            initial=self.states[self.spec.initial],
            final=self.final,
            linked=_any(f"s == {self.states[state]}" for state in self.spec.states if state in self.spec.link.held_in),
            quiet=_all(f"empty(up[{i}]) && empty(down[{i}]) && empty(open[{i}])" for i in everybody),
            over=_all(f"state[{i}] == {self.final}" for i in everybody),
            holder=holder,
        )
        body = [
            *self._process("Client", "_pid", [*self._sends(), *self._reads(), *self._looks(), *self._asides()]),
            *self._process("Server", "(_pid - N)", [*self._takes(), *self._closes(), *self._leaves()]),
            *self._watch(),
        ]
        title = [
            f"/* {self.spec.title}, version {self.spec.version}: made by tools.check from the spec. */",
            "",
            *(f"/* state {number}: {state} */" for state, number in self.states.items()),
            *(f"/* verb {number}: {verb} */" for verb, number in self.verbs.items()),
            *(f"/* reply {number}: {reply} */" for reply, number in self.replies.items()),
            *(f"/* row {row.index}: {row} */" for row in self.tables.rows if not row.misplaced),
            *(f"/* fault {number}: {fault} */" for fault, number in self.faults.items()),
            "",
            head,
        ]
        return Promela("\n".join([*title, *body, ""]), tuple(self.faults))

    def _process(self, role: str, me: str, options: Iterable[str]) -> Iterator[str]:
        yield f"#define me {me}"
        yield f"active [N] proctype {role}() {{\nend: do"
        for option in options:
            yield option if option.startswith("#") else f"  {option}"
        yield "  od\n}\n#undef me\n"

    def _option(self, guards: Iterable[str], body: Iterable[str], step: str = "d_step") -> str:
        return f":: {step} {{ {_all(('!broken', *guards))} -> {'; '.join(body)} }}"

    def _fault(self, name: str, about: str) -> str:
        number = self.faults.setdefault(Fault(name, about), len(self.faults))
        return f"FAULT({number})"

    # The client

    def _sends(self) -> Iterator[str]:
        for verb in self.tables.verbs.values():
            if verb.inert:
                continue
            for name in range(self.bounds.clients) if verb.name_field else ("NOBODY",):
                for words in range(len(verb.words)):
                    for guards, meant, meant_name in self._meant(verb):
                        yield self._send(verb, str(name), words, guards, meant, meant_name)

    def _meant(self, verb: Verb) -> Iterator[tuple[list[str], str, str]]:
        """Whom it may be meant for: the guard, the connection and the name."""
        if not verb.relays:
            yield [], "NOBODY", "NOBODY"
            return
        yield [self._seen_in(verb.verb)], "peer[me]", "NOBODY"
        called = self.spec.client.may_follow.get(verb.verb)
        for name in range(self.bounds.clients) if called is not None else ():
            yield [f"open[me]??[{self.verbs[str(called)]}, {name}]"], "NOBODY", str(name)

    def _send(self, verb: Verb, name: str, words: int, guards: list[str], meant: str, meant_name: str) -> str:
        number = self.verbs[verb.verb]
        body = [f"up[me]!{number}, {name}, {words}, {meant}, {meant_name}, {'fresh[me]' if verb.unlinks else '0'}"]
        conditions = ["nfull(up[me])", *self._may_send(verb), *guards]
        if verb.answered:
            conditions.append("nfull(open[me])")
            body.append(f"open[me]!{number}, {name}")
        for view, table in self.spec.client.only_if.items():
            if verb.verb in table:
                held = self._condition(table[verb.verb], verb, words, name, client=True)
                conditions.append(f"(view[me] != {self.states[view]} || {held})")
        ways = _any(f"view[me] == {self.states[state]}" for state, way in self._ways().items() if way == verb.verb)
        conditions.append(f"(leaving == NOBODY || leaving == me && tried != state[me] && {ways})")
        body.append("tried = (leaving == me -> state[me] : NONE)")
        return self._option(conditions, body)

    def _may_send(self, verb: Verb) -> Iterator[str]:
        yield f"state[me] != {self.final}"
        ending = [other.verb for other in self.tables.verbs.values() if other.ends]
        exclusive = self.spec.client.one_unanswered if verb.verb in self.spec.client.one_unanswered else ()
        for other in dict.fromkeys((*ending, *sorted(exclusive))):
            yield f"!(open[me]??[{self.verbs[other]}, n])"
        called = self.spec.client.may_follow.get(verb.verb)
        follows = f" || open[me]??[{self.verbs[called]}, n]" if called is not None else ""
        yield f"({self._seen_in(verb.verb)}{follows})"

    def _seen_in(self, verb: str) -> str:
        """That the client sees itself in a state that has a place for the verb."""
        states = [state for state in self.spec.states.values() if verb in state.recv]
        return _any(f"view[me] == {self.states[state.name]}" for state in states)

    def _ways(self) -> dict[str, str]:
        """The request that leads from each state towards the end, by the shortest way through the table."""
        ways: dict[str, str] = {}
        reached = {self.spec.final}
        while True:
            steps = [
                (row.state, row.verb)
                for row in self.tables.rows
                if row.verb and row.to in reached and row.state not in reached
            ]
            if not steps:
                return ways
            for state, verb in steps:
                ways.setdefault(state, verb)
            reached |= {state for state, _ in steps}

    def _reads(self) -> Iterator[str]:
        for reply, reaction in self.tables.reactions.items():
            body = [f"down[me]?{self.replies[reply]}, n, o, f"]
            if reaction.verb is not None and self.tables.verbs[reaction.verb].answered:
                verb = self.verbs[reaction.verb]
                fault = self._fault(UNPLACED, f"{reply} answers nothing that is to be answered now")
                body.append(f"if :: open[me]?[{verb}, k] -> open[me]?{verb}, k :: else -> {fault}; broken = 1 fi")
            options = [f":: broken || state[me] == {self.final} -> skip"]
            for state in self.spec.live_states:
                change = reaction.changes.get(state)
                if change is None:
                    steps = [self._fault(UNPLACED, f"{reply} in {state}"), "broken = 1"]
                else:
                    steps = list(self._change(reply, state, change))
                options.append(f":: !broken && view[me] == {self.states[state]} -> {'; '.join(steps)}")
            body.append(f"if {' '.join(options)} fi")
            yield self._option([f"down[me]?[{self.replies[reply]}, n, o, f]"], body)

    def _change(self, reply: str, state: str, change: Change) -> Iterator[str]:
        linked = (change.to or state) in self.spec.link.held_in
        if change.mirrored and "link" not in change.effects:
            about = f"{reply} in {state}, of somebody who is not the partner there"
            yield f"if :: peer[me] != o -> {self._fault(UNPLACED, about)}; broken = 1 :: else -> skip fi"
        if change.to is not None:
            yield f"view[me] = {self.states[change.to]}"
        if "link" in change.effects:
            yield f"peer[me] = o; peer_name[me] = n; heard[me] = {int(not change.mirrored)}; fresh[me] = f"
        left = not linked and (change.to is not None or "link" in change.effects)
        if "unlink" in change.effects or left:
            yield "peer[me] = NOBODY; peer_name[me] = NOBODY; heard[me] = 0"
        if left:
            yield "fresh[me] = 0"
        if "bind" in change.effects:
            yield "own[me] = n"
        if "accept" in change.effects or "retract" in change.effects:
            yield f"heard[me] = {int('accept' in change.effects)}"
        yield "skip"

    def _looks(self) -> Iterator[str]:
        """The faults that an end shows by itself."""
        for state, number in self.states.items():
            here = f"state[me] == {number}"
            if state not in self.spec.link.held_in:
                yield self._look([here, "partner[me] != NOBODY"], ASYMMETRIC, f"{state} with a partner")
            if number == self.final:
                yield self._look([here, "name[me] != NOBODY"], VIEWS, f"{state} with a name that is not free")
                continue
            differs = (
                "view[me] != state[me] || own[me] != name[me] || peer[me] != partner[me] || heard[me] != accepted[me]"
            )
            yield self._look([here, "empty(down[me])", f"({differs})"], VIEWS, f"in {state}")
        for verb in self.tables.verbs.values():
            if verb.answered and not verb.inert:
                waits = [f"open[me]?[{self.verbs[verb.verb]}, n]", "empty(up[me])", "empty(down[me])"]
                yield self._look(waits, ANSWERS, f"{verb.verb} is never answered")

    def _look(self, guards: list[str], name: str, about: str) -> str:
        return self._option([*guards, "leaving == NOBODY"], [self._fault(name, about)])

    def _asides(self) -> Iterator[str]:
        """The inert requests, judged where the server might take them."""
        for verb in self.tables.verbs.values():
            for state in self.spec.live_states if verb.inert else ():
                guards = [f"state[me] == {self.states[state]}", "empty(up[me])", "leaving == NOBODY"]
                if verb.verb not in self.forced:
                    guards += self._may_send(verb)
                rows = self.rows[state, verb.verb]
                if not rows[0].misplaced:
                    for words in range(len(verb.words)):
                        for row, conditions in self._choices(rows, verb, words, "NOBODY"):
                            yield self._option([*guards, *conditions], [f"FIRED({row.index})"])
                elif verb.verb not in self.uncounted:
                    fault = self._fault(UNSPECIFIED, f"{verb.verb} in {state}")
                    yield self._option(guards, [f"FIRED({rows[0].index})", fault])

    # The server

    def _choices(self, rows: Iterable[Row], verb: Verb, words: int, name: str) -> Iterator[tuple[Row, list[str]]]:
        """Each row with what must hold for it to be the first one that holds."""
        refused: list[str] = []
        for row in rows:
            if row.condition is None:
                yield row, refused
                return
            held = self._condition(row.condition, verb, words, name)
            yield row, [*refused, held]
            refused = [*refused, f"!({held})"]

    def _condition(self, condition: Condition, verb: Verb, words: int, name: str, client: bool = False) -> str:
        match condition.kind:
            case "taken":
                return f"(HOLDER({name}) != NOBODY && HOLDER({name}) != me)"
            case "unknown":
                return f"HOLDER({name}) == NOBODY"
            case "oneself":
                return f"HOLDER({name}) == me"
            case "linked":
                return _any(f"(name[{i}] == {name} && LINKED(state[{i}]))" for i in range(self.bounds.clients))
            case "the partner" if client:
                return f"(peer[me] != NOBODY && peer_name[me] == {name})"
            case "the partner":
                return f"(partner[me] != NOBODY && HOLDER({name}) == partner[me])"
            case "no partner":
                return f"{'peer' if client else 'partner'}[me] == NOBODY"
            case "not accepted":
                return f"!{'heard' if client else 'accepted'}[me]"
            case _:
                value = verb.words[words][str(condition.field)]
                return "true" if (value == condition.value) == (condition.kind == "equals") else "false"

    def _takes(self) -> Iterator[str]:
        for (state, verb_name), rows in self.rows.items():
            verb = self.tables.verbs[verb_name]
            for name in range(self.bounds.clients) if verb.name_field else ("NOBODY",):
                for words in range(len(verb.words)) if not verb.inert else ():
                    for row, conditions in self._choices(rows, verb, words, str(name)):
                        head = f"up[me]?[{self.verbs[verb_name]}, {name}, {words}, m, mn, f]"
                        guards = [f"state[me] == {self.states[state]}", head, *conditions, *self._room(row, str(name))]
                        body = [f"up[me]?{self.verbs[verb_name]}, {name}, {words}, m, mn, f", f"FIRED({row.index})"]
                        yield self._option(
                            guards, [*body, *self._faults_of_taking(row, verb), *self._fire(row, str(name))]
                        )

    def _room(self, row: Row, name: str) -> Iterator[str]:
        if row.answers and row.to != self.spec.final:
            yield f"len(down[me]) + {len(row.answers)} <= DOWN"
        if row.push is not None:
            other = f"HOLDER({name})" if row.links else "partner[me]"
            yield _all(f"({other} != {i} || nfull(down[{i}]))" for i in range(self.bounds.clients))

    def _faults_of_taking(self, row: Row, verb: Verb) -> Iterator[str]:
        if row.misplaced and verb.verb not in self.uncounted:
            yield self._fault(UNSPECIFIED, f"{verb.verb} in {row.state}")
        wanted = int(row.refuses or verb.answered)
        if len(row.answers) != wanted:
            yield self._fault(ANSWERS, f"{row} has {len(row.answers)} instead of {wanted}")
        if row.unlinks and row.to != self.spec.final:
            yield f"if :: partner[me] != NOBODY && !f -> {self._fault(OTHER_CHAT, str(row))} :: else -> skip fi"
        if row.relays and row.push is not None:
            wrong = "partner[me] != NOBODY && m != partner[me] && (mn == NOBODY || mn != name[partner[me]])"
            yield f"if :: {wrong} -> {self._fault(MISDELIVERED, str(row))} :: else -> skip fi"

    def _fire(self, row: Row, name: str) -> Iterator[str]:
        """What a row changes, first at this end, then at the other one."""
        yield f"o = {'HOLDER(' + name + ')' if row.links else 'partner[me]'}"
        steps = [*self._own(row, name)]
        if row.push is not None:
            steps.append(f"if :: o != NOBODY && !broken -> {'; '.join(self._other(row))} :: else -> skip fi")
        if not row.links:
            yield from steps
            return
        fault = self._fault(ASYMMETRIC, f"{row} without a free other end")
        lonely = "partner[me] != NOBODY || o == NOBODY || o == me"
        yield f"if :: {lonely} -> {fault}; broken = 1 :: else -> {'; '.join(steps)} fi"

    def _own(self, row: Row, name: str) -> Iterator[str]:
        for kind in row.effects:
            match kind:
                case "bind":
                    yield f"name[me] = {name}"
                case "link":
                    yield "partner[me] = o; accepted[me] = 1"
                case "accept" | "retract":
                    yield f"accepted[me] = {int(kind == 'accept')}"
                case "unlink":
                    yield "partner[me] = NOBODY; accepted[me] = 0"
                case "release":
                    yield "name[me] = NOBODY"
                case _:
                    pass
        if row.to == self.spec.final:
            yield "over(me)"
            return
        if row.to is not None:
            yield f"state[me] = {self.states[row.to]}"
        if row.links or row.unlinks or (row.to is not None and row.to not in self.spec.link.held_in):
            yield "age(me)"
        told = name if row.links or "bind" in row.effects else "NOBODY"
        for reply in row.answers:
            yield f"down[me]!{self.replies[reply]}, {told}, {'o' if row.links else 'NOBODY'}, {int(row.links)}"

    def _other(self, row: Row) -> Iterator[str]:
        states = [state for state in self.spec.states if state not in row.partner_states]
        if row.links:
            fault = self._fault(ASYMMETRIC, f"{row} with the partner of somebody else")
            yield f"if :: partner[o] != NOBODY -> {fault}; broken = 1 :: else -> skip fi"
        for state in states:
            fault = self._fault(UNSPECIFIED, f"{row} at an other end in {state}")
            yield f"if :: state[o] == {self.states[state]} -> {fault}; broken = 1 :: else -> skip fi"
        if row.links:
            yield "age(o); partner[o] = me; accepted[o] = 0"
        if row.unlinks:
            yield "partner[o] = NOBODY; accepted[o] = 0"
        if row.partner_to is not None:
            yield f"state[o] = {self.states[row.partner_to]}"
        if not ({row.partner_to} if row.partner_to else row.partner_states) <= self.spec.link.held_in:
            yield "if :: LINKED(state[o]) -> skip :: else -> age(o) fi"
        told = "name[me]" if row.links else "NOBODY"
        yield f"if :: !broken -> down[o]!{self.replies[str(row.push)]}, {told}, me, {int(row.links)} :: else -> skip fi"

    def _closes(self) -> Iterator[str]:
        row = self.tables.ending
        yield "#ifndef NOCLOSE"
        guards = [f"state[me] != {self.final}", "leaving == NOBODY", *self._room(row, "NOBODY")]
        yield self._option(guards, [f"FIRED({row.index})", *self._fire(row, "NOBODY")])
        yield "#endif"

    # What needs the whole

    def _leaves(self) -> Iterator[str]:
        """When all is quiet, somebody may try to come to his end; each of his requests must lead on."""
        yield "#ifndef NOLEAVE"
        yield self._option(
            ["leaving == NOBODY", "QUIET", f"state[me] != {self.final}"], ["leaving = me", "from = state[me]"]
        )
        yield "#endif"

    def _watch(self) -> Iterator[str]:
        """No step is left: all must be over, and whoever tried to come to his end must have come there."""
        yield "active proctype Watch() {\nend: do"
        everybody = range(self.bounds.clients)
        stuck = _any(f"(leaving == {i} && state[{i}] != {self.final})" for i in everybody)
        for state in self.spec.live_states:
            fault = self._fault(DEAD_END, f"from {state}")
            yield "  " + self._option(
                ["timeout", stuck, f"from == {self.states[state]}"], [fault, "broken = 1"], "atomic"
            )
        fault = self._fault(DEADLOCK, "before all connections are over")
        yield "  " + self._option(["timeout", "leaving == NOBODY", "!OVER"], [fault, "broken = 1"], "atomic")
        yield "  od\n}\n"


def _any(parts: Iterable[str]) -> str:
    return f"({' || '.join(parts) or 'false'})"


def _all(parts: Iterable[str]) -> str:
    return " && ".join(parts) or "true"
