"""From the data of a spec file to the model. The shape is known to be right here; names and meanings are checked.

Each part is built by a small function that notes its faults in the document and goes on, so that one check shows all
of them. Knows nothing of what is done with a spec.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from .documents import Chapter, Contract, Example, ExampleStep, StepKind, Transport
from .forms import ANY_VERB, Form, Template, Variable
from .frames import Values, sample_numbers, types_of
from .model import MOST_PUSHED, ClientRules, Limits, Outcome, Share, Spec, Timer
from .placeholders import Numbers
from .reading import Document, Path
from .rows import RowBuilder
from .terms import OWN_END, Argument, Condition, Invariant, Relation

T = TypeVar("T")

NUMBERS = sample_numbers(len(str(MOST_PUSHED)))
LONGEST_KEEPALIVE = 32767  # seconds: MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL of Linux (linux/tcp.h)
SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}
CLIENT_CONDITIONS = ("the partner", "equals", "differs", *OWN_END)
MOST_STEPS = 40_000  # of all examples
STEP = re.compile(
    r"(?:(?P<times>[0-9]{1,5}|\{.*?\})\* )?(?P<who>[a-z]+)(?P<mark>>\||>!|<\||>|<)(?: (?P<text>.*))?", re.DOTALL
)
STEP_KINDS: dict[str, StepKind] = {">": "send", ">|": "finish", ">!": "reset", "<": "receive", "<|": "end"}


def build(document: Document, sha256: str, numbers: Numbers) -> Spec:
    """The model of a document whose shape the schema has accepted, and whose placeholders are filled with `numbers`.

    Raises:
        SpecError: names that dangle, frames that do not fit, values that are not of their types.
    """
    return _Builder(document).build(sha256, numbers)


def seconds(duration: str) -> float:
    """`30 s` or `500 ms` in seconds."""
    number, unit = duration.split(" ")
    return float(number) * SECONDS[unit]


class _Builder(RowBuilder):
    steps_left = MOST_STEPS

    # The parts are built in the order in which they need one another.

    def build(self, sha256: str, numbers: Numbers) -> Spec:
        data = self.data
        self.profiles = {name: value["doc"] for name, value in data["profiles"].items()}
        self.rules = self._table("rules", self._rule)
        self.framing = self._framing(data["framing"])
        self.types = self._table("types", self._type)
        self.document.check()  # every form needs the types
        self.requests = self._table("requests", self._request)
        self.pushes = {name: self._push(("pushes", name), value) for name, value in data.get("pushes", {}).items()}
        self.refusal = self._frame_of("refusal", ("verb", "code", "words", "me"), ("code",))
        self.goodbye = self._frame_of("goodbye", ("code", "words"), ("code",))
        self.errors = self._table("errors", self._error)
        self.goodbyes = self._table("goodbyes", self._goodbye_code)
        if self.goodbyes and not self.goodbye.parts:
            self._blame(("goodbyes",), "the frame (goodbye) that says them is missing", key=True)
        self._known(("names",), data["names"], self.types, "type")
        self.names = data["names"]
        self.relations = self._table("relations", self._relation)
        self._check_lives()
        self.document.check()  # every row needs the frames and the relations
        self.link = self._link(data.get("link"))
        states = self._table("states", self._state)
        for index, group in enumerate(data.get("shared", ())):
            self._states(("shared", index, "in"), group["in"])
        faults = tuple(self._fault(("faults", index), value) for index, value in enumerate(data["faults"]))
        budgets = tuple(self._budget(("budgets", index), value) for index, value in enumerate(data.get("budgets", ())))
        ending = self._ending(("ending",), data["ending"])
        relations = {name: self._with_tells(("relations", name, "tells"), one) for name, one in self.relations.items()}
        invariants = tuple(map(self._invariant, range(len(data.get("invariants", ())))))
        forms = [push.form for push in self.pushes.values()]
        greeting = tuple(
            self._template(("greeting", index), text, forms, {}) for index, text in enumerate(data.get("greeting", ()))
        )
        client = self._client(data["client"]) if "client" in data else ClientRules()
        timers = self._table("timers", self._timer)
        limits = self._limits(data["limits"])
        keepalive = data["transport"]["keepalive"]
        for name in ("idle", "interval"):
            if seconds(keepalive[name]) > LONGEST_KEEPALIVE:
                self._blame(("transport", "keepalive", name), f"Linux takes at most {LONGEST_KEEPALIVE} s")
        self._check_words()
        spec_examples = self._table("examples", self._example)
        contract = self._contract(data["contract"]) if "contract" in data else Contract("", (), {}, {}, {})
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
            refusal_doc=data.get("refusal", {}).get("doc", ""),
            goodbye=self.goodbye,
            goodbye_doc=data.get("goodbye", {}).get("doc", ""),
            errors=self.errors,
            faults=faults,
            budgets=budgets,
            goodbyes=self.goodbyes,
            names=self.names,
            link=self.link,
            relations=relations,
            invariants=invariants,
            greeting=greeting,
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
            choices=tuple(data.get("choices", ())),
            glossary=dict(data.get("glossary", {})),
            numbers=numbers,
            places={
                path: f"{self.document.source}:{place.line}:{place.column}"
                for path, place in self.document.values.items()
            },
        )

    def _table(self, name: str, make: Callable[[Path, str, dict[str, Any]], T]) -> dict[str, T]:
        return {key: make((name, key), key, value) for key, value in self.data.get(name, {}).items()}

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
                condition = self._condition(where, text, types_of(self.requests[verb].form), verb)
                if condition.kind not in CLIENT_CONDITIONS:
                    self._blame(where, "a client cannot know that")
                conditions[state][verb] = condition
        for verb, after in follow.items():
            self._known((*path, "may_follow", verb), verb, self.requests, "request", key=True)
            self._known((*path, "may_follow", verb), after, self.requests, "request")
        return ClientRules(frozenset(one["of"]), rules[0], conditions, rules[1], follow, rules[2])

    def _timer(self, path: Path, name: str, value: dict[str, Any]) -> Timer:
        done = [key for key in ("if", "do", "push", "partner", "tell") if key in value]
        actions = [key for key in ("goodbye", "gone") if key in value] + done[:1]
        if value["since"] == "goodbye" and actions:
            self._blame((*path, actions[0]), "after the goodbye there is nothing but the close", key=True)
        if value["since"] != "goodbye" and (len(actions) != 1 or done == ["if"]):
            self._blame(path, "a timer has exactly one of goodbye, gone and a row (push, do, partner, tell)")
        if "goodbye" in value:
            self._known((*path, "goodbye"), value["goodbye"], self.goodbyes, "goodbye")
        return Timer(
            name=name,
            since=value["since"],
            after=seconds(value["after"]),
            rule=self._rule_of(path, value),
            states=self._states((*path, "in"), value["in"]) if "in" in value else None,
            goodbye=value.get("goodbye"),
            row=self._timer_row(path, name, value) if done else None,
            gone=value.get("gone"),
        )

    def _timer_row(self, path: Path, name: str, value: dict[str, Any]) -> Outcome:
        """What a timer does, as a row without a request: its push is what the connection itself is told."""
        effects = self._effects((*path, "do"), value.get("do", []), None)
        values: Values = {"me": self.names, "peer": self.names, "number": NUMBERS}
        push = None
        if "push" in value:
            forms = [push.form for push in self.pushes.values()]
            push = self._template((*path, "push"), value["push"], forms, values)
        row = self._row(path, "", value, name, effects, values, None, answer=push)
        if row.slow:
            self._blame(path, "a timer cannot wait for a hash or a disk: no frame is held back", key=True)
        return row

    def _with_tells(self, path: Path, relation: Relation) -> Relation:
        """A relation with what it tells, for which all rows that drop a tuple must be known."""
        tells: dict[str, str] = self.data["relations"][relation.name].get("tells", {})
        if tells and relation.user_column is None:
            self._blame(path, f"no column of {relation.name} is a user, so there is nobody to tell", key=True)
        values = self._columns_as_values(relation)
        causes = tuple(dict.fromkeys(self._causes(relation)))
        forms = [push.form for push in self.pushes.values()]
        told = {
            name: self._template((*path, name), text, forms, values | ({"cause": causes} if name == "drop" else {}))
            for name, text in tells.items()
        }
        return replace(relation, added=told.get("add"), dropped=told.get("drop"))

    def _causes(self, relation: Relation) -> Iterator[str]:
        """Every word that may say why a tuple was dropped."""
        rows = [row for table in self._all_tables() for rows in table.values() for row in rows]
        yield from (row["cause"] for row in rows if "cause" in row)
        sources = (self.data["ending"], *self.data.get("goodbyes", {}).values(), *self.data["timers"].values())
        yield from (source["gone"] for source in sources if "gone" in source)
        if relation.overflow is not None:
            yield relation.overflow

    def _all_tables(self) -> list[dict[str, Any]]:
        states = [state.get("recv", {}) for state in self.data["states"].values()]
        return [self.data.get("always", {}), *(group["recv"] for group in self.data.get("shared", ())), *states]

    def _invariant(self, index: int) -> Invariant:
        path: Path = ("invariants", index)
        value = self.data["invariants"][index]
        profile = self._profile(path, value)
        relation = self.relations.get(value["each"])
        if relation is None:
            self._blame((*path, "each"), f"there is no relation {value['each']}")
            return Invariant(value["each"], (), value["doc"], profile)
        fields = self._columns_as_fields(relation)
        conditions = self._conditions((*path, "holds"), value["holds"], fields, relation.name)
        for condition in conditions:
            arguments = condition.entry.arguments if condition.entry is not None else ()
            if condition.kind in (*OWN_END, "oneself", "the partner", "taken", "closed") or Argument("me") in arguments:
                self._blame((*path, "holds"), f"{condition} is about a connection, and an invariant is about a tuple")
        return Invariant(relation.name, conditions, value["doc"], profile)

    def _limits(self, value: dict[str, Any]) -> Limits:
        limits: dict[str, Any] = {name: self._limit(("limits", name), limit) for name, limit in value.items()}
        if limits["queue_stop"] < limits["queue_mark"]:
            self._blame(("limits", "queue_stop"), "must not be below queue_mark")
        docs = {name: limit["doc"] for name, limit in value.items()}
        rules = {name: limit["rule"] for name, limit in value.items() if "rule" in limit}
        return Limits(**limits, docs=docs, rules=rules)

    def _limit(self, path: Path, value: dict[str, Any]) -> float | Share:
        """Seconds as a float, octets as an int, or a share; the schema says which of them each limit is."""
        if "rule" in value:
            self._rule_of(path, value)
        if "seconds" in value:
            return float(value["seconds"])
        return int(value["octets"]) if "octets" in value else Share(value["one_in"], value["at_least"])

    def _check_words(self) -> None:
        """Every verb, code and text fits the field that holds it, in each frame that may say it."""
        for code, value in self.data["errors"].items():
            form = self.errors[code].form or self.refusal
            self._check_field(("errors", code), form, "code", code, key=True)
            self._check_field(("errors", code, "words"), form, "words", value["words"])
        for verb in (*self.requests, ANY_VERB):
            self._check_field(("refusal", "wire"), self.refusal, "verb", verb)
        for code, value in self.data.get("goodbyes", {}).items():
            self._check_field(("goodbyes", code), self.goodbye, "code", code, key=True)
            self._check_field(("goodbyes", code, "words"), self.goodbye, "words", value["words"])

    def _check_field(self, path: Path, form: Form, field: str, text: str, *, key: bool = False) -> None:
        type_name = form.type_of(field)
        if type_name is not None and not self.types[type_name].accepts(text):
            self._blame(path, f"{text!r} is not of the type {type_name}", key=key)

    def _example(self, path: Path, name: str, value: dict[str, Any]) -> Example:
        for index, rule in enumerate(value["rules"]):
            self._known((*path, "rules", index), rule, self.rules, "rule")
        steps = tuple(
            step for index, text in enumerate(value["steps"]) for step in self._steps((*path, "steps", index), text)
        )
        if not steps:
            self._blame((*path, "steps"), "an example needs a step")
        return Example(name, value["title"], value["doc"], tuple(value["rules"]), steps, self._profile(path, value))

    def _steps(self, path: Path, line: str) -> list[ExampleStep]:
        """The step of a line, as often as the line says."""
        matched = STEP.fullmatch(line)
        if matched is None:
            self._blame(path, "a step that is done several times begins with their number: `9* a> frame`")
            return []
        number = matched["times"] or "1"
        times = int(number) if number.isdecimal() else 1  # a placeholder that names nothing is blamed elsewhere
        self.steps_left -= times
        if self.steps_left < 0:
            self._blame(path, f"too large: all examples together have at most {MOST_STEPS} steps")
            return []
        if path in self.document.cut:
            self._blame(path, f"write the step in quotes: {self.document.cut[path]}")
        kind, text = STEP_KINDS[matched["mark"]], matched["text"] or ""
        if (kind in ("send", "receive")) != bool(matched["text"] is not None):
            self._blame(path, "a sent or received frame has a text, the other steps have none")
        octets = b""
        if kind == "send":
            octets = text.encode() + self.framing.writes
            if text.startswith('"'):
                octets = self._quoted(path, text)
        return [ExampleStep(matched["who"], kind, octets, text)] * times

    def _quoted(self, path: Path, text: str) -> bytes:
        try:
            value = ast.literal_eval("b" + text)
        except (SyntaxError, ValueError):
            self._blame(path, "octets are written in double quotes, in ASCII with \\n, \\r, \\t and \\x00 to \\xff")
            return b""
        return value if isinstance(value, bytes) else b""

    def _contract(self, value: dict[str, Any]) -> Contract:
        path: Path = ("contract",)
        replies: dict[str, Form] = {push.form.key: push.form for push in self.pushes.values()}
        own = [error.form for error in self.errors.values() if error.form is not None]
        replies |= {form.key: form for form in (self.refusal, self.goodbye, *own) if form.parts}
        for request in self.requests.values():
            replies |= {form.key: form for form in (request.answer, request.item) if form}
        commands, prints = {}, {}
        for name, command in value["commands"].items():
            commands[name] = self._command((*path, "commands", name, "sends"), command["sends"])
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
        return Contract(value["doc"], tuple(value.get("statements", ())), commands, prints, notices)

    def _command(self, path: Path, text: str) -> Template:
        """The request that a command sends; its words have the names of the request's fields."""
        verb = text.split(" ")[0]
        known = [self.requests[verb].form] if verb in self.requests else []
        forms = known or [request.form for request in self.requests.values()]
        return self._template(path, text, forms, types_of(forms[0]))

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
