"""From the data of a spec file to the model. The shape is known to be right here; names and meanings are checked.

Each part is built by a small function that notes its faults in the document and goes on, so that one check shows all
of them. Knows nothing of what is done with a spec.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from .model import (
    ANY_VERB,
    Budget,
    Chapter,
    ClientRules,
    Condition,
    ConditionKind,
    Contract,
    Effect,
    EffectKind,
    Ending,
    Error,
    Example,
    FaultRule,
    Field,
    Form,
    Framing,
    Goodbye,
    Limits,
    Link,
    Outcome,
    PartnerEffect,
    Push,
    Request,
    Rule,
    Spec,
    State,
    Step,
    StepKind,
    Template,
    Timer,
    Transport,
    Type,
    Variable,
)
from .reading import Document, Path

T = TypeVar("T")

ENDINGS = {"LF": b"\n", "CRLF": b"\r\n"}
SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}
USER_CONDITIONS = ("taken", "unknown", "oneself", "linked", "the partner")
CLIENT_CONDITIONS = ("the partner", "equals", "differs", "no partner", "not accepted")
STEP = re.compile(r"(?P<who>[a-z]+)(?P<mark>>\||>!|<\||>|<)(?: (?P<text>.*))?", re.DOTALL)
STEP_KINDS: dict[str, StepKind] = {">": "send", ">|": "finish", ">!": "reset", "<": "receive", "<|": "end"}


def build(document: Document, sha256: str) -> Spec:
    """The model of a document whose shape the schema has accepted.

    Raises:
        SpecError: names that dangle, frames that do not fit, values that are not of their types.
    """
    return _Builder(document).build(sha256)


def seconds(duration: str) -> float:
    """`30 s` or `500 ms` in seconds."""
    number, unit = duration.split(" ")
    return float(number) * SECONDS[unit]


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.data = cast("dict[str, Any]", document.data)

    # The parts are built in the order in which they need one another.

    def build(self, sha256: str) -> Spec:
        data = self.data
        self.profiles = {name: value["doc"] for name, value in data["profiles"].items()}
        self.rules = self._table("rules", self._rule)
        self.framing = self._framing(data["framing"])
        self.types = self._table("types", self._type)
        self.document.check()  # every form needs the types
        self.requests = self._table("requests", self._request)
        self.pushes = {name: self._push(("pushes", name), value) for name, value in data["pushes"].items()}
        self.refusal = self._form(("refusal", "wire"), data["refusal"]["wire"])
        self.goodbye = self._form(("goodbye", "wire"), data["goodbye"]["wire"])
        self._expect_fields(("refusal", "wire"), self.refusal, ["the verb", "the code", "words"])
        self._expect_fields(("goodbye", "wire"), self.goodbye, ["the code", "words"])
        general = {fault["error"] for fault in data["faults"]}
        self.errors = {
            code: Error(code, value["words"], value["doc"], code in general, self._profile(("errors", code), value))
            for code, value in data["errors"].items()
        }
        self.goodbyes = self._table("goodbyes", self._goodbye_code)
        self.document.check()  # every row needs the frames
        self.link = self._link(data["link"])
        states = self._table("states", self._state)
        faults = tuple(self._fault(("faults", index), value) for index, value in enumerate(data["faults"]))
        budgets = tuple(self._budget(("budgets", index), value) for index, value in enumerate(data["budgets"]))
        ending = self._ending(("ending",), data["ending"])
        client = self._client(data["client"])
        timers = self._table("timers", self._timer)
        limits = self._limits(data["limits"])
        keepalive = data["transport"]["keepalive"]
        self._check_words()
        spec_examples = self._table("examples", self._example)
        contract = self._contract(data["contract"])
        chapters = {name: self._chapter(("chapters", name), value) for name, value in data.get("chapters", {}).items()}
        self.document.check()
        return Spec(
            source=self.document.source,
            sha256=sha256,
            protocol=data["protocol"],
            title=data["title"],
            version=data["version"],
            doc=data["doc"],
            history=tuple((entry["version"], entry["doc"]) for entry in data["history"]),
            profiles=self.profiles,
            transport=Transport(
                data["transport"]["port"],
                (seconds(keepalive["idle"]), seconds(keepalive["interval"]), keepalive["probes"]),
            ),
            framing=self.framing,
            types=self.types,
            requests=self.requests,
            pushes=self.pushes,
            refusal=self.refusal,
            refusal_doc=data["refusal"]["doc"],
            goodbye=self.goodbye,
            goodbye_doc=data["goodbye"]["doc"],
            errors=self.errors,
            faults=faults,
            budgets=budgets,
            goodbyes=self.goodbyes,
            link=self.link,
            states=states,
            ending=ending,
            client=client,
            timers=timers,
            limits=limits,
            rules=self.rules,
            examples=spec_examples,
            contract=contract,
            chapters=chapters,
            security=tuple(data.get("security", ())),
            hints=tuple(data.get("hints", ())),
            places={
                path: f"{self.document.source}:{place.line}:{place.column}"
                for path, place in self.document.values.items()
            },
        )

    def _table(self, name: str, make: Callable[[Path, str, dict[str, Any]], T]) -> dict[str, T]:
        return {key: make((name, key), key, value) for key, value in self.data[name].items()}

    def _blame(self, path: Path, reason: str, *, key: bool = False) -> None:
        self.document.blame(path, reason, key=key)

    def _known(self, path: Path, name: str, names: Iterable[str], what: str, *, key: bool = False) -> None:
        if name not in set(names):
            self._blame(path, f"there is no {what} {name}", key=key)

    def _profile(self, path: Path, value: Mapping[str, Any]) -> str:
        profile: str = value.get("profile", "core")
        self._known((*path, "profile"), profile, self.profiles, "profile")
        return profile

    def _rule_of(self, path: Path, value: Mapping[str, Any]) -> str:
        rule: str = value["rule"]
        self._known((*path, "rule"), rule, self.rules, "rule")
        return rule

    def _states(self, path: Path, names: list[str]) -> frozenset[str]:
        for index, name in enumerate(names):
            self._known((*path, index), name, self.data["states"], "state")
        return frozenset(names)

    def _rule(self, path: Path, name: str, value: dict[str, Any]) -> Rule:
        if value["level"] not in value["text"]:
            self._blame((*path, "text"), f"the text of a {value['level']} rule must say {value['level']}")
        return Rule(name, value["of"], value["level"], value["text"], self._profile(path, value))

    def _framing(self, value: dict[str, Any]) -> Framing:
        self._regex(("framing", "verb"), value["verb"])
        if value["writes"] not in value["accepts"]:
            self._blame(("framing", "accepts"), f"{value['writes']} is written, so it must be accepted")
        accepts = tuple(ENDINGS[ending] for ending in value["accepts"])
        return Framing("utf-8", ENDINGS[value["writes"]], accepts, value["max_octets"], value["verb"])

    # Types

    def _regex(self, path: Path, pattern: str) -> bool:
        try:
            re.compile(pattern)
        except re.error as error:
            self._blame(path, f"not a regular expression: {error}")
            return False
        return True

    def _type(self, path: Path, name: str, value: dict[str, Any]) -> Type:
        shapes = [key for key in ("match", "one_of", "forbid") if key in value]
        if len(shapes) > 1:
            self._blame((*path, shapes[1]), f"{shapes[0]} and {shapes[1]} exclude each other", key=True)
        match = value.get("match")
        if match is not None and not self._regex((*path, "match"), match):
            match = None
        result = Type(
            name=name,
            doc=value["doc"],
            octets=self._octets(path, value, match),
            match=match,
            one_of=tuple(value.get("one_of", ())),
            forbid=tuple(self._code_points((*path, "forbid", i), v) for i, v in enumerate(value.get("forbid", ()))),
            rest_of_line=value.get("rest_of_line", False),
            fold_case=value.get("fold") == "case",
            good=tuple(value.get("good", value.get("one_of", ()))),
            bad=tuple(value.get("bad", ())),
            profile=self._profile(path, value),
        )
        for index, text in enumerate(value.get("good", ())):
            if not result.accepts(text):
                self._blame((*path, "good", index), f"{text!r} is not of the type {name}")
        for index, text in enumerate(value.get("bad", ())):
            if result.accepts(text):
                self._blame((*path, "bad", index), f"{text!r} is of the type {name}")
        if not result.rest_of_line and any(" " in text for text in result.good):
            self._blame((*path, "good"), "only the rest of a line may hold a space")
        return result

    def _octets(self, path: Path, value: dict[str, Any], match: str | None) -> tuple[int, int]:
        if "octets" in value:
            low, high = (int(number) for number in value["octets"].split(".."))
            if not 0 < low <= high:
                self._blame((*path, "octets"), "the least must be at least 1, and at most the most")
            return low, high
        if "one_of" in value:
            lengths = [len(word) for word in value["one_of"]]
            return min(lengths), max(lengths)
        if match is None:
            self._blame(path, "a type without match or one_of needs octets")
            return 1, 1
        low, high = _width(match)
        if low < 1 or high > self.framing.max_octets:
            self._blame((*path, "match"), "the expression sets no bounds to the length; bound it, or add octets")
        return low, high

    def _code_points(self, path: Path, text: str) -> tuple[int, int]:
        points = [int(point.removeprefix("U+"), 16) for point in text.split("..")]
        if points[-1] < points[0] or points[-1] > 0x10FFFF:
            self._blame(path, f"{text} is no range of characters")
            return 0, 0
        return points[0], points[-1]

    # Frames

    def _form(self, path: Path, wire: str) -> Form:
        parts: list[str | Field] = []
        words = wire.split(" ")
        for index, word in enumerate(words):
            matched = re.fullmatch(r"<([a-z]+):([a-z]+)>", word)
            if matched is None:
                if not re.fullmatch(r"[!-;=?-~]+", word):
                    self._blame(path, f"{word!r} is neither a word nor a field like <name:type>")
                parts.append(word)
                continue
            parts.append(Field(matched[1], matched[2]))
            if matched[2] not in self.types:
                self._blame(path, f"there is no type {matched[2]}")
            elif self.types[matched[2]].rest_of_line and index != len(words) - 1:
                self._blame(path, f"<{matched[1]}> is the rest of the line, so it must be the last field")
        if isinstance(parts[0], Field) or not re.fullmatch(self.framing.verb, parts[0]):
            self._blame(path, f"a frame begins with a verb of the form {self.framing.verb}")
            return Form(("?",))
        form = Form(tuple(parts))
        names = [field.name for field in form.fields]
        if len(set(names)) < len(names):
            self._blame(path, "two fields have the same name")
        longest = sum(len(p) if isinstance(p, str) else self._longest(p) for p in parts) + len(parts) - 1
        if longest + len(self.framing.writes) > self.framing.max_octets:
            self._blame(path, f"the longest such frame has more than {self.framing.max_octets} octets")
        return form

    def _longest(self, field: Field) -> int:
        return self.types[field.type].octets[1] if field.type in self.types else 0

    def _expect_fields(self, path: Path, form: Form, meanings: list[str]) -> None:
        if len(form.fields) != len(meanings):
            self._blame(path, f"it has a field each for {', '.join(meanings)}")

    def _request(self, path: Path, verb: str, value: dict[str, Any]) -> Request:
        form = self._form((*path, "wire"), value["wire"])
        if form.verb != verb:
            self._blame((*path, "wire"), f"the wire form of {verb} must begin with it")
        answer = self._form((*path, "answer"), value["answer"]) if "answer" in value else None
        item = self._form((*path, "item"), value["item"]) if "item" in value else None
        if item is not None and answer is None:
            self._blame((*path, "item"), "items need an answer that ends them")
        return Request(verb, value["doc"], form, answer, item, self._profile(path, value))

    def _push(self, path: Path, value: dict[str, Any]) -> Push:
        verb = str(path[-1])
        form = self._form((*path, "wire"), value["wire"])
        if form.verb != verb:
            self._blame((*path, "wire"), f"the wire form of {verb} must begin with it")
        reply = None
        if "reply" in value:
            forms = [request.form for request in self.requests.values()]
            names = {field.name for field in form.fields}
            reply = self._template((*path, "reply"), value["reply"], forms, names)
        return Push(verb, value["doc"], form, reply, self._profile(path, value))

    def _template(self, path: Path, text: str, forms: Iterable[Form], names: Iterable[str]) -> Template:
        parts: list[str | Variable] = []
        for word in text.split(" "):
            if word.startswith("<") and word.endswith(">"):
                parts.append(Variable(word[1:-1]))
                if word[1:-1] not in set(names):
                    self._blame(path, f"{word} has no value here; there are {', '.join(sorted(names)) or 'none'}")
            else:
                parts.append(word)
        for form in forms:
            if self._fits(parts, form):
                return Template(tuple(parts), form)
        expected = " or ".join(str(form) for form in forms) or "no frame at all"
        self._blame(path, f"does not fit {expected}")
        return Template(tuple(parts), Form(("?",)))

    def _fits(self, parts: list[str | Variable], form: Form) -> bool:
        if len(parts) != len(form.parts):
            return False
        for part, shape in zip(parts, form.parts, strict=True):
            if isinstance(shape, str):
                if part != shape:
                    return False
            elif isinstance(part, str) and not self.types[shape.type].accepts(part):
                return False
        return True

    # Codes, states and their rows

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
            self._known((*path, "error"), error, self.errors, "error")
            for key in ("answer", "to", "partner"):
                if key in row:
                    self._blame((*path, key), f"a refusal has no {key}", key=True)
        elif (request.answer is None) != ("answer" not in row):
            wanted = "no answer" if request.answer is None else f"the answer {request.answer}"
            self._blame(path, f"{verb} has {wanted} when it succeeds")
        effects = self._effects((*path, "do"), row.get("do", []), request)
        kinds = {effect.kind for effect in effects}
        if "list" in kinds and request.item is None:
            self._blame((*path, "do"), f"{verb} has no items to list")
        names = {field.name for field in request.form.fields} | {"me"}
        names |= {"peer"} if kinds & {"link", "accept"} else set()
        names |= {"count"} if "list" in kinds else set()
        answers = [request.answer] if request.answer else []
        answer = None
        if "answer" in row:
            answer = self._template((*path, "answer"), row["answer"], answers, names | {"profiles"})
        to = row.get("to")
        if to is not None:
            self._known((*path, "to"), to, self.data["states"], "state")
        partner = self._partner((*path, "partner"), row["partner"], names) if "partner" in row else None
        if kinds & {"link", "unlink", "relay"} and partner is None:
            self._blame(path, "what happens to the partner is missing")
        if "link" in kinds and partner is not None:
            for where, state in (("to", to), ("partner", partner.to)):
                if state not in self.link.held_in:
                    self._blame((*path, where), "who is linked must be in a state that holds the link")
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

    def _partner(self, path: Path, value: dict[str, Any], names: Iterable[str]) -> PartnerEffect:
        for key in ("in", "to"):
            if key in value:
                self._known((*path, key), value[key], self.data["states"], "state")
        pushes = [push.form for push in self.pushes.values()]
        push = self._template((*path, "push"), value["push"], pushes, names)
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
        type_name = next((f.type for f in form.fields if f.name == field), None) if form else None
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
            if name is not None:
                types = {f.name: f.type for f in request.form.fields} if request else {}
                if types.get(name) != self.link.key:
                    self._blame((*path, index), f"<{name}> is no field of the type {self.link.key}")
            effects.append(Effect(cast("EffectKind", kind), name))
        return tuple(effects)

    def _ending(self, path: Path, value: dict[str, Any]) -> Ending:
        self._known((*path, "to"), value["to"], self.data["states"], "state")
        partner = self._partner((*path, "partner"), value["partner"], {"me", "reason"})
        reasons = {self.data["goodbyes"][code].get("gone") for code in self.goodbyes}
        reasons |= {timer.get("gone") for timer in self.data["timers"].values()} | {value["gone"]}
        for shape, part in zip(partner.push.form.parts, partner.push.parts, strict=False):
            if part == Variable("reason") and isinstance(shape, Field):
                for reason in reasons - {None}:
                    if not self.types[shape.type].accepts(reason):
                        self._blame(path, f"the reason {reason} is not of the type {shape.type}")
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

    # The client, time, examples

    def _client(self, value: dict[str, Any]) -> ClientRules:
        path: Path = ("client",)
        one, only, follow = value["one_unanswered"], dict(value["only_if"]), dict(value["may_follow"])
        for index, verb in enumerate(one["of"]):
            self._known((*path, "one_unanswered", "of", index), verb, self.requests, "request")
        rules = (
            self._rule_of((*path, "one_unanswered"), one),
            self._rule_of((*path, "only_if"), only),
            self._rule_of((*path, "may_follow"), follow),
        )
        del only["rule"], follow["rule"]
        conditions: dict[str, dict[str, Condition]] = {}
        for state, table in only.items():
            self._known((*path, "only_if", state), state, self.data["states"], "state", key=True)
            conditions[state] = {}
            for verb, text in table.items():
                where = (*path, "only_if", state, verb)
                if verb not in self.requests:
                    self._blame(where, f"there is no request {verb}", key=True)
                    continue
                condition = self._condition(where, text, self.requests[verb])
                if condition.kind not in CLIENT_CONDITIONS:
                    self._blame(where, "a client cannot know that")
                conditions[state][verb] = condition
        for verb, after in follow.items():
            self._known((*path, "may_follow", verb), verb, self.requests, "request", key=True)
            self._known((*path, "may_follow", verb), after, self.requests, "request")
        return ClientRules(frozenset(one["of"]), rules[0], conditions, rules[1], follow, rules[2])

    def _timer(self, path: Path, name: str, value: dict[str, Any]) -> Timer:
        actions = [key for key in ("goodbye", "push", "gone") if key in value]
        if value["since"] == "goodbye" and actions:
            self._blame((*path, actions[0]), "after the goodbye there is nothing but the close", key=True)
        if value["since"] != "goodbye" and len(actions) != 1:
            self._blame(path, "a timer has exactly one of goodbye, push and gone")
        if "goodbye" in value:
            self._known((*path, "goodbye"), value["goodbye"], self.goodbyes, "goodbye")
        if "push" in value:
            self._known((*path, "push"), value["push"], self.pushes, "push")
        return Timer(
            name=name,
            since=value["since"],
            after=seconds(value["after"]),
            rule=self._rule_of(path, value),
            states=self._states((*path, "in"), value["in"]) if "in" in value else None,
            goodbye=value.get("goodbye"),
            push=value.get("push"),
            gone=value.get("gone"),
        )

    def _limits(self, value: dict[str, Any]) -> Limits:
        units = {"tolerance": "seconds", "queue_mark": "octets", "queue_stop": "octets", "address_share": "one_in"}
        numbers: dict[str, Any] = {}
        for name, unit in units.items():
            extra = set(value[name]) & (set(units.values()) - {unit})
            if unit not in value[name] or extra:
                self._blame(("limits", name), f"{name} is given in {unit}")
            numbers[name] = value[name].get(unit, 1)
            if "rule" in value[name]:
                self._rule_of(("limits", name), value[name])
        if numbers["queue_stop"] < numbers["queue_mark"]:
            self._blame(("limits", "queue_stop"), "must not be below queue_mark")
        docs = {name: limit["doc"] for name, limit in value.items()}
        rules = {name: limit["rule"] for name, limit in value.items() if "rule" in limit}
        return Limits(**numbers, docs=docs, rules=rules)

    def _check_words(self) -> None:
        verb_type = self.types[self.refusal.fields[0].type]
        for verb in (*self.requests, ANY_VERB):
            if not verb_type.accepts(verb):
                self._blame(("refusal", "wire"), f"{verb} is not of the type {verb_type.name}")
        for table, form in (("errors", self.refusal), ("goodbyes", self.goodbye)):
            code_type, words_type = (self.types[field.type] for field in form.fields[-2:])
            for code, value in self.data[table].items():
                if not code_type.accepts(code):
                    self._blame((table, code), f"{code} is not of the type {code_type.name}", key=True)
                if not words_type.accepts(value["words"]):
                    self._blame((table, code, "words"), f"not of the type {words_type.name}")

    def _example(self, path: Path, name: str, value: dict[str, Any]) -> Example:
        for index, rule in enumerate(value["rules"]):
            self._known((*path, "rules", index), rule, self.rules, "rule")
        steps = tuple(self._step((*path, "steps", index), text) for index, text in enumerate(value["steps"]))
        return Example(name, value["title"], value["doc"], tuple(value["rules"]), steps, self._profile(path, value))

    def _step(self, path: Path, line: str) -> Step:
        matched = STEP.fullmatch(line)
        assert matched is not None, "the schema has a pattern for it"
        kind, text = STEP_KINDS[matched["mark"]], matched["text"] or ""
        if (kind in ("send", "receive")) != bool(matched["text"] is not None):
            self._blame(path, "a sent or received frame has a text, the other steps have none")
        octets = b""
        if kind == "send":
            octets = text.encode() + self.framing.writes
            if text.startswith('"'):
                octets = self._quoted(path, text)
        return Step(matched["who"], kind, octets, text)

    def _quoted(self, path: Path, text: str) -> bytes:
        try:
            value = ast.literal_eval("b" + text)
        except (SyntaxError, ValueError):
            self._blame(path, "octets are written in double quotes, in ASCII with \\n, \\r, \\t and \\x00 to \\xff")
            return b""
        return value if isinstance(value, bytes) else b""

    def _contract(self, value: dict[str, Any]) -> Contract:
        path: Path = ("contract",)
        forms = [request.form for request in self.requests.values()]
        replies: dict[str, Form] = {push.form.key: push.form for push in self.pushes.values()}
        replies |= {form.key: form for form in (self.refusal, self.goodbye)}
        for request in self.requests.values():
            replies |= {form.key: form for form in (request.answer, request.item) if form}
        commands, prints = {}, {}
        for name, command in value["commands"].items():
            names = re.findall(r"<([a-z]+)>", command["sends"])
            commands[name] = self._template((*path, "commands", name, "sends"), command["sends"], forms, names)
        for key, text in value["prints"].items():
            where = (*path, "prints", key)
            if key not in replies:
                self._blame(where, f"no reply begins with {key}", key=True)
                continue
            form = replies[key]
            known = {field.name for field in form.fields}
            for name in re.findall(r"<([a-z]+)>", text):
                if name not in known:
                    self._blame(where, f"{key} has no field {name}")
            parts = tuple(Variable(w[1:-1]) if w.startswith("<") else w for w in text.split(" "))
            prints[key] = Template(parts, form)
        notices = {name: notice["doc"] for name, notice in value["notices"].items()}
        return Contract(value["doc"], commands, prints, notices)

    def _chapter(self, path: Path, value: dict[str, Any]) -> Chapter:
        rules: list[str] = []
        for index, group in enumerate(value.get("rules", ())):
            found = [rule for rule in self.rules if rule.rpartition("-")[0] == group]
            if not found:
                self._blame((*path, "rules", index), f"there is no rule {group}-…")
            rules += found
        if "title" not in value and path[-1] not in self.data:
            self._blame(path, f"there is no part {path[-1]} of a spec, so the chapter needs a title", key=True)
        return Chapter(str(path[-1]), value.get("title"), tuple(value["text"]), tuple(rules))


def _width(pattern: str) -> tuple[int, int]:
    """The least and the most characters that a regular expression matches."""
    from re import _parser  # type: ignore[attr-defined]  # the only place where Python says it

    low, high = _parser.parse(pattern).getwidth()
    return int(low), int(high)
