"""Builds the states of a spec and their rows: what follows from a request. Knows no timer and no example."""

from __future__ import annotations

from typing import Any, cast

from .forms import Request
from .frames import FrameBuilder, Values, sample_numbers, types_of
from .model import (
    Budget,
    Condition,
    ConditionKind,
    Effect,
    EffectKind,
    Ending,
    Error,
    FaultRule,
    Goodbye,
    Link,
    Outcome,
    PartnerEffect,
    State,
)
from .reading import Document, Path

COUNTS = ("0", *sample_numbers(4))  # of users; a server with more of them needs a type for it
USER_CONDITIONS = ("taken", "unknown", "oneself", "linked", "the partner")


class RowBuilder(FrameBuilder):
    """Builds codes, the link, states and their outcomes."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.errors: dict[str, Error] = {}
        self.goodbyes: dict[str, Goodbye] = {}
        self.link: Link

    def _goodbye_code(self, path: Path, code: str, value: dict[str, Any]) -> Goodbye:
        profile = self._profile(path, value)
        return Goodbye(code, value["words"], value["doc"], value.get("when"), value.get("gone"), profile)

    def _link(self, value: dict[str, Any]) -> Link:
        self._known(("link", "key"), value["key"], self.types, "type")
        return Link(value["name"], value["key"], value["doc"], self._states(("link", "held_in"), value["held_in"]))

    def _state(self, path: Path, name: str, value: dict[str, Any]) -> State:
        final = value.get("final", False)
        if final and "recv" in value:
            self._blame((*path, "recv"), "a final state receives nothing", key=True)
        recv: dict[str, tuple[Outcome, ...]] = {}
        sources: list[tuple[Path, dict[str, Any]]] = [((*path, "recv"), value.get("recv", {}))]
        if not final:
            sources.append((("always",), self.data.get("always", {})))
        for source, table in sources:
            for verb, rows in table.items():
                where = (*source, verb)
                if verb not in self.requests:
                    self._blame(where, f"there is no request {verb}", key=True)
                    continue
                if verb in recv:
                    self._blame((*path, "recv", verb), f"{verb} has its outcomes under always", key=True)
                    continue
                recv[verb] = self._rows(where, verb, rows)
        profile = self._profile(path, value)
        linked = name in self.link.held_in
        return State(name, value["doc"], value.get("initial", False), final, linked, recv, profile)

    def _rows(self, path: Path, verb: str, rows: list[dict[str, Any]]) -> tuple[Outcome, ...]:
        outcomes = [self._outcome((*path, index), verb, row) for index, row in enumerate(rows)]
        for index, outcome in enumerate(outcomes):
            last = index == len(outcomes) - 1
            if last and outcome.condition is not None:
                self._blame((*path, index), f"the last outcome of {verb} has a condition, so there may be none at all")
            if not last and outcome.condition is None:
                self._blame((*path, index), "this outcome has no condition, so those after it are never reached")
        return tuple(outcomes)

    def _outcome(self, path: Path, verb: str, row: dict[str, Any]) -> Outcome:
        request = self.requests[verb]
        error = row.get("error")
        if error is not None:
            self._check_refusal(path, row)
        elif (request.answer is None) != ("answer" not in row):
            wanted = "no answer" if request.answer is None else f"the answer {request.answer}"
            self._blame(path, f"{verb} has {wanted} when it succeeds")
        effects = self._effects((*path, "do"), row.get("do", []), request)
        kinds = {effect.kind for effect in effects}
        if "list" in kinds and request.item is None:
            self._blame((*path, "do"), f"{verb} has no items to list")
        if request.item is not None and error is None and "list" not in kinds:
            self._blame(path, f"{verb} has items when it succeeds, so it must list")
        values: Values = {**types_of(request.form), "me": self.link.key}
        values = {**values, "peer": self.link.key} if kinds & {"link", "accept"} else values
        answers = [request.answer] if request.answer else []
        answer = None
        if "answer" in row:
            more = {"profiles": (" ".join(self.profiles),)} | ({"count": COUNTS} if "list" in kinds else {})
            answer = self._template((*path, "answer"), row["answer"], answers, {**values, **more})
        to = row.get("to")
        if to is not None:
            self._known((*path, "to"), to, self.data["states"], "state")
        partner = self._partner((*path, "partner"), row["partner"], values) if "partner" in row else None
        if kinds & {"link", "unlink", "relay"} and partner is None:
            self._blame(path, "what happens to the partner is missing")
        for where, state in (("to", to), ("partner", partner.to)) if "link" in kinds and partner is not None else ():
            if state not in self.link.held_in:
                self._blame((*path, where), "a linked connection must be in a state that holds the link")
        return Outcome(
            verb=verb,
            label=row["outcome"] if error is None else error,
            rule=self._rule_of(path, row),
            condition=self._condition((*path, "if"), row["if"], request) if "if" in row else None,
            error=error,
            answer=answer,
            to=to,
            effects=effects,
            partner=partner,
            profile=self._profile(path, row),
        )

    def _check_refusal(self, path: Path, row: dict[str, Any]) -> None:
        self._known((*path, "error"), row["error"], self.errors, "error")
        for key in ("answer", "to", "partner"):
            if key in row:
                self._blame((*path, key), f"a refusal has no {key}", key=True)
        for index, effect in enumerate(row.get("do", [])):
            if effect != "retract":
                self._blame((*path, "do", index), f"a refusal can retract, and cannot {effect}")

    def _partner(self, path: Path, value: dict[str, Any], values: Values) -> PartnerEffect:
        for key in ("in", "to"):
            if key in value:
                self._known((*path, key), value[key], self.data["states"], "state")
        pushes = [push.form for push in self.pushes.values()]
        push = self._template((*path, "push"), value["push"], pushes, values)
        return PartnerEffect(push, value.get("in"), value.get("to"))

    def _condition(self, path: Path, text: str, request: Request | None) -> Condition:
        if not text.startswith("<"):
            return Condition(cast("ConditionKind", text))
        field, _, rest = text[1:].partition("> is ")
        kind, value = rest, None
        if rest.endswith('"'):
            kind = "differs" if rest.startswith("not ") else "equals"
            value = rest.removeprefix("not ")[1:-1]
        form = request.form if request else None
        type_name = form.type_of(field) if form else None
        if type_name is None:
            self._blame(path, f"{request.verb if request else 'it'} has no field {field}")
        elif kind in USER_CONDITIONS and type_name != self.link.key:
            self._blame(path, f"<{field}> is no {self.link.key}, so it names no user")
        elif value is not None and not self.types[type_name].accepts(value):
            self._blame(path, f"{value!r} is not of the type {type_name}")
        return Condition(cast("ConditionKind", kind), field, value)

    def _effects(self, path: Path, texts: list[str], request: Request | None) -> tuple[Effect, ...]:
        effects = []
        for index, text in enumerate(texts):
            kind, _, field = text.partition(" ")
            name = field.strip("<>") or None
            if name is not None and (request is None or request.form.type_of(name) != self.link.key):
                self._blame((*path, index), f"<{name}> is no field of the type {self.link.key}")
            effects.append(Effect(cast("EffectKind", kind), name))
        return tuple(effects)

    def _ending(self, path: Path, value: dict[str, Any]) -> Ending:
        self._known((*path, "to"), value["to"], self.data["states"], "state")
        sources = (value, *self.data["goodbyes"].values(), *self.data["timers"].values())
        reasons = tuple(dict.fromkeys(source["gone"] for source in sources if "gone" in source))
        values: Values = {"me": self.link.key, "reason": reasons}
        partner = self._partner((*path, "partner"), value["partner"], values)
        effects = self._effects((*path, "do"), value["do"], None)
        return Ending(value["to"], effects, partner, value["gone"], self._rule_of(path, value))

    def _fault(self, path: Path, value: dict[str, Any]) -> FaultRule:
        self._known((*path, "error"), value["error"], self.errors, "error")
        uncounted = value.get("uncounted", [])
        for index, verb in enumerate(uncounted):
            self._known((*path, "uncounted", index), verb, self.requests, "request")
        return FaultRule(value["fault"], value["error"], self._rule_of(path, value), frozenset(uncounted))

    def _budget(self, path: Path, value: dict[str, Any]) -> Budget:
        self._known((*path, "goodbye"), value["goodbye"], self.goodbyes, "goodbye")
        states = self._states((*path, "in"), value["in"])
        in_a_row = value["counted"] == "in-a-row"
        return Budget(states, value["faults"], in_a_row, value["goodbye"], self._rule_of(path, value))
