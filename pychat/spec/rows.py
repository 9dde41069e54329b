"""Builds the states of a spec and their rows: what follows from a request. Knows no timer and no example."""

from __future__ import annotations

from typing import Any

from .forms import FRAME_FAULTS, Form, Request
from .frames import Values, types_of
from .model import Budget, Ending, Error, FaultRule, Goodbye, Link, Outcome, PartnerEffect, State
from .reading import Document, Path
from .relations import COUNTS, Fields, RelationBuilder
from .terms import Effect, Tell


class RowBuilder(RelationBuilder):
    """Builds codes, the link, states and their outcomes."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.errors: dict[str, Error] = {}
        self.goodbyes: dict[str, Goodbye] = {}
        self.link: Link

    def _goodbye_code(self, path: Path, code: str, value: dict[str, Any]) -> Goodbye:
        profile = self._profile(path, value)
        return Goodbye(code, value["words"], value["doc"], value.get("when"), value.get("gone"), profile)

    def _error(self, path: Path, code: str, value: dict[str, Any]) -> Error:
        general = {fault["error"] for fault in self.data["faults"]}
        form = self._form((*path, "wire"), value["wire"]) if "wire" in value else None
        if form is not None:
            self._expect_fields((*path, "wire"), form, ("verb", "code", "words", "me"), ())
        elif "refusal" not in self.data:
            self._blame(path, "without a refusal for all errors, each has a wire of its own", key=True)
        return Error(code, value["words"], value["doc"], code in general, form, self._profile(path, value))

    def _link(self, value: dict[str, Any] | None) -> Link:
        """The link; a spec without one has a link that no state holds."""
        if value is None:
            return Link("partner", "No two connections share anything.", frozenset())
        return Link(value["name"], value["doc"], self._states(("link", "held_in"), value["held_in"]))

    def _state(self, path: Path, name: str, value: dict[str, Any]) -> State:
        final = value.get("final", False)
        if final and "recv" in value:
            self._blame((*path, "recv"), "a final state receives nothing", key=True)
        recv: dict[str, tuple[Outcome, ...]] = {}
        for source, table, what in [] if final else self._tables_of(path, name, value):
            for verb, rows in table.items():
                if verb not in self.requests:
                    self._blame((*source, verb), f"there is no request {verb}", key=True)
                elif verb in recv:
                    self._blame((*source, verb), f"{verb} has its outcomes under {what} already", key=True)
                else:
                    recv[verb] = self._rows((*source, verb), verb, rows)
        profile = self._profile(path, value)
        linked = name in self.link.held_in
        return State(name, value["doc"], value.get("initial", False), final, linked, recv, profile)

    def _tables_of(self, path: Path, name: str, value: dict[str, Any]) -> list[tuple[Path, dict[str, Any], str]]:
        """The tables of a state, each with its place, and with the word for those before it."""
        tables: list[tuple[Path, dict[str, Any], str]] = [(("always",), self.data.get("always", {}), "always")]
        for index, group in enumerate(self.data.get("shared", ())):
            if name in group["in"]:
                tables.append((("shared", index, "recv"), group["recv"], "always"))
        return [*tables, ((*path, "recv"), value.get("recv", {}), "always or shared")]

    def _rows(self, path: Path, verb: str, rows: list[dict[str, Any]]) -> tuple[Outcome, ...]:
        outcomes = [self._outcome((*path, index), verb, row) for index, row in enumerate(rows)]
        for index, outcome in enumerate(outcomes):
            last = index == len(outcomes) - 1
            if last and outcome.conditions:
                self._blame((*path, index), f"the last outcome of {verb} has a condition, so there may be none at all")
            if not last and not outcome.conditions:
                self._blame((*path, index), "this outcome has no condition, so those after it are never reached")
        return tuple(outcomes)

    def _outcome(self, path: Path, verb: str, row: dict[str, Any]) -> Outcome:
        request, error = self.requests[verb], row.get("error")
        fields = types_of(request.form)
        effects = self._effects((*path, "do"), row.get("do", []), fields)
        self._check_answered(path, row, request, effects)
        kinds = {effect.kind for effect in effects}
        values: Values = {**fields, "me": self.names, **self._given_values(effects)}
        values = {**values, "peer": self.names} if kinds & {"link", "accept"} else values
        answer = None
        if "answer" in row and request.answer is not None:
            more = {"profiles": (" ".join(self.profiles),)} | ({"count": COUNTS} if "list" in kinds else {})
            answer = self._template((*path, "answer"), row["answer"], [request.answer], {**values, **more})
        if "to" in row:
            self._known((*path, "to"), row["to"], self.data["states"], "state")
        outcome = self._row(
            path, verb, row, error or row["outcome"], effects, values, fields, error=error, answer=answer
        )
        if kinds & {"link", "unlink", "relay"} and outcome.partner is None and "link" in self.data:
            self._blame(path, "what happens to the partner is missing")
        partner_to = outcome.partner.to if outcome.partner is not None else None
        for where, state in (("to", outcome.to), ("partner", partner_to)) if "link" in kinds else ():
            if outcome.partner is not None and state not in self.link.held_in:
                self._blame((*path, where), "a linked connection must be in a state that holds the link")
        return outcome

    def _row(
        self,
        path: Path,
        verb: str,
        row: dict[str, Any],
        label: str,
        effects: tuple[Effect, ...],
        values: Values,
        fields: Fields | None,
        **more: Any,
    ) -> Outcome:
        """What a row of the table and the row of a timer have in common."""
        about, profile = verb or label, self._profile(path, row, self.requests[verb].profile if verb else "core")
        conditions = self._conditions((*path, "if"), row["if"], fields, about) if "if" in row else ()
        slow = any(condition.kind == "closed" for condition in conditions) or any(map(self._is_slow, effects))
        if "fails" in row:
            self._known((*path, "fails"), row["fails"], self.errors, "error")
        durable = any(self._is_slow(effect) for effect in effects)
        if durable != ("fails" in row):
            reason = "an error (fails) for a disk that fails is missing" if durable else "nothing here waits for a disk"
            self._blame((*path, "fails") if "fails" in row else path, reason, key=True)
        return Outcome(
            verb=verb,
            label=label,
            rule=self._rule_of(path, row),
            conditions=conditions,
            to=row.get("to"),
            effects=effects,
            partner=self._partner((*path, "partner"), row["partner"], values) if "partner" in row else None,
            tells=self._tells((*path, "tell"), row.get("tell", []), values, fields, profile),
            cause=row.get("cause"),
            slow=slow,
            fails=row.get("fails"),
            profile=profile,
            **more,
        )

    def _is_slow(self, effect: Effect) -> bool:
        """Whether an effect waits for a hash or for the disk."""
        if effect.entry is None or effect.kind not in ("add", "drop"):
            return False
        relation = self.relations[effect.entry.relation]
        return relation.durable or (
            effect.kind == "add" and any(column.type == "secret" for column in relation.columns)
        )

    def _check_answered(self, path: Path, row: dict[str, Any], request: Request, effects: tuple[Effect, ...]) -> None:
        """A refusal changes neither the state nor the link, and a success is answered."""
        error, verb, lists = row.get("error"), request.verb, any(effect.kind == "list" for effect in effects)
        if error is not None:
            self._known((*path, "error"), error, self.errors, "error")
            for key in ("answer", "to", "partner"):
                if key in row:
                    self._blame((*path, key), f"a refusal has no {key}", key=True)
            for index, effect in enumerate(effects):
                if effect.kind not in ("retract", "add", "drop"):
                    reason = f"a refusal can retract, add and drop, and cannot {effect}"
                    self._blame((*path, "do", index), reason)
        elif (request.answer is None) != ("answer" not in row):
            wanted = "no answer" if request.answer is None else f"the answer {request.answer}"
            self._blame(path, f"{verb} has {wanted} when it succeeds")
        if lists and request.item is None:
            self._blame((*path, "do"), f"{verb} has no items to list")
        if request.item is not None and error is None and not lists:
            self._blame(path, f"{verb} has items when it succeeds, so it must list")
        for index, effect in enumerate(effects):
            if effect.kind == "list" and request.item is not None:
                self._check_item((*path, "do", index), request.item, effect)

    def _check_item(self, path: Path, item: Form, effect: Effect) -> None:
        """Each field of an item is filled from the user or the tuple that it is about."""
        if effect.entry is None:
            for field in item.fields:
                if field.type != self.names and not self.types[field.type].holds:
                    words = self.types[field.type].one_of
                    hint = f"; write in it `holds: {{{words[1]}: linked}}`" if len(words) == 2 else ""
                    reason = f"<{field.name}> is no {self.names}, and no word of {field.type} says when it holds{hint}"
                    self._blame(path, f"an item is about a user: {reason}")
            return
        columns = self._columns_as_values(self.relations[effect.entry.relation])
        for field in item.fields:
            if field.name not in (*columns, "count"):
                self._blame(path, f"{effect.entry.relation} has no column {field.name} for the item")

    def _partner(self, path: Path, value: dict[str, Any], values: Values) -> PartnerEffect:
        for key in ("in", "to"):
            if key in value:
                self._known((*path, key), value[key], self.data["states"], "state")
        pushes = [push.form for push in self.pushes.values()]
        push = self._template((*path, "push"), value["push"], pushes, values)
        return PartnerEffect(push, value.get("in"), value.get("to"))

    def _tells(
        self, path: Path, tells: list[dict[str, Any]], values: Values, fields: Fields | None, profile: str
    ) -> tuple[Tell, ...]:
        found = [self._tell((*path, index), value, values, fields, profile) for index, value in enumerate(tells)]
        return tuple(tell for tell in found if tell is not None)

    def _tell(
        self, path: Path, value: dict[str, Any], values: Values, fields: Fields | None, profile: str
    ) -> Tell | None:
        pushes, profile = [push.form for push in self.pushes.values()], self._profile(path, value, profile)
        if "each" in value:
            entry = self._entry((*path, "each"), value["each"], fields)
            columns = self._columns_as_values(self.relations[entry.relation]) if entry is not None else {}
            push = self._template((*path, "push"), value["push"], pushes, {**values, **columns})
            return Tell("each", push, None, entry, profile)
        push = self._template((*path, "push"), value["push"], pushes, values)
        to: str = value["to"]
        if to.startswith("<"):
            if (fields or {}).get(to[1:-1]) != self.names:
                self._blame((*path, "to"), f"{to} is no field of the type {self.names}, so it is no user")
            return Tell("user", push, to[1:-1], None, profile)
        entry = self._entry((*path, "to"), to.removeprefix("others "), fields)
        if entry is not None and self.relations[entry.relation].user_column is None:
            self._blame((*path, "to"), f"no column of {entry.relation} is a user, so there is nobody to tell")
        return Tell("others", push, None, entry, profile)

    def _ending(self, path: Path, value: dict[str, Any]) -> Ending:
        self._known((*path, "to"), value["to"], self.data["states"], "state")
        sources = (value, *self.data.get("goodbyes", {}).values(), *self.data["timers"].values())
        reasons = tuple(dict.fromkeys(source["gone"] for source in sources if "gone" in source))
        values: Values = {"me": self.names, "reason": reasons}
        partner = self._partner((*path, "partner"), value["partner"], values) if "partner" in value else None
        effects = self._effects((*path, "do"), value["do"], None)
        return Ending(value["to"], effects, partner, value["gone"], self._rule_of(path, value))

    def _fault(self, path: Path, value: dict[str, Any]) -> FaultRule:
        self._known((*path, "error"), value["error"], self.errors, "error")
        for key in ("uncounted", "of"):
            for index, verb in enumerate(value.get(key, [])):
                self._known((*path, key, index), verb, self.requests, "request")
        verbs = frozenset(value["of"]) if "of" in value else None
        if verbs is not None and value["fault"] in FRAME_FAULTS[:2]:
            self._blame((*path, "of"), f"a line with the fault {value['fault']} names no request", key=True)
        return FaultRule(
            value["fault"],
            value["error"],
            self._rule_of(path, value),
            frozenset(value.get("uncounted", [])),
            self._states((*path, "in"), value["in"]) if "in" in value else None,
            verbs,
        )

    def _budget(self, path: Path, value: dict[str, Any]) -> Budget:
        self._known((*path, "goodbye"), value["goodbye"], self.goodbyes, "goodbye")
        states = self._states((*path, "in"), value["in"])
        in_a_row = value["counted"] == "in-succession"
        return Budget(states, value["faults"], in_a_row, value["goodbye"], self._rule_of(path, value))
