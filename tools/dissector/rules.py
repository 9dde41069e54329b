"""The spec as data for the engine: plain dicts and lists, and their text in Lua. Knows no Lua program and no Wireshark.

What the engine needs for a frame is computed here: the rows of a request in a state, what a push changes at its
receiver, whether an answer is due. The engine only looks it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, Field, Form, Reply, Template, Type, Variable
from pychat.spec.model import Outcome
from pychat.spec.terms import Argument, Condition, Entry, Tell
from pychat.spec.view import Move, moves

Data = dict[str, Any]

# The violations that a capture can show besides the faults of the spec: code → (severity of Wireshark, words).
VIOLATIONS: Mapping[str, tuple[str, str]] = {
    "early": ("note", "Sent while the answer that makes room for it is still to come"),
    "one-unanswered": ("warn", "Sent while another such request is unanswered"),
    "not-allowed": ("warn", "The client's own view does not allow it"),
    "unknown-frame": ("error", "The server has no such frame"),
    "unknown-code": ("error", "The spec has no such code"),
    "unexpected-answer": ("error", "There is no request that it answers"),
    "out-of-order": ("error", "An earlier request is still unanswered"),
    "wrong-outcome": ("error", "The table has another outcome here"),
    "wrong-value": ("error", "A field is not what it must be here"),
    "wrong-push": ("error", "The push has no place here"),
    "interrupted": ("error", "Something came between the items of an answer"),
    "wrong-ending": ("error", "The server ends its frames otherwise"),
    "after-the-end": ("error", "The server's last frame was before"),
    "missing-goodbye": ("error", "The budget of faults is spent, and there was no goodbye"),
    "early-goodbye": ("error", "The budget of faults is not spent yet"),
    "unknown-line": ("error", "The partner has sent no such line"),
}

# The fields of every protocol. A message's field that has the name of one of them gets its verb in front.
OWN_FIELDS = (
    "line", "length", "from", "kind", "verb", "state", "state_after", "state_change", "request", "user", "partner",
    "partner_stream", "chat", "answered", "here", "response_in", "request_in", "time", "relayed_in", "relayed_from",
    "relay_time", "rule", "violation", "expert",
)  # fmt: skip


def rules(spec: Spec) -> Data:
    """All data of the engine."""
    return {
        "protocol": spec.protocol,
        "title": spec.title,
        "version": spec.version,
        "port": spec.transport.port,
        "max_octets": spec.framing.max_octets,
        "accepts_crlf": b"\r\n" in spec.framing.accepts,
        "writes_crlf": spec.framing.writes == b"\r\n",
        "ending_rule": spec.framing.rules.get("writes"),
        "length_rule": spec.framing.rules.get("max_octets"),
        "verb": _whole(spec.framing.verb),
        "any_case": spec.framing.any_case,
        "any_verb": ANY_VERB,
        "initial": spec.initial,
        "final": spec.final,
        "states": list(spec.live_states),
        "linked": _set(spec.link.held_in),
        "link": spec.link.name,
        "types": {name: _type(type_) for name, type_ in spec.types.items()},
        "fields": _fields(spec),
        "relations": _relations(spec),
        "requests": {verb: _request(spec, verb) for verb in spec.requests},
        "replies": _replies(spec),
        "rows": {
            state.name: {
                verb: [data for row in rows for data in (*_failure(row), _row(spec, row))]
                for verb, rows in state.recv.items()
            }
            for state in spec.states.values()
        },
        "faults": [
            {
                "fault": rule.fault,
                "error": rule.error,
                "rule": rule.rule,
                "uncounted": _set(rule.uncounted),
                "states": _states(rule.states),
                "verbs": _states(rule.verbs),
            }
            for rule in spec.faults
        ],
        "errors": {code: {"doc": error.doc, "general": error.general} for code, error in spec.errors.items()},
        "goodbyes": {code: {"doc": goodbye.doc, "why": _causes(spec, code)} for code, goodbye in spec.goodbyes.items()},
        "too_long": _too_long(spec)[0],
        "budgets": [
            {
                "states": _set(budget.states),
                "faults": budget.faults,
                "in_a_row": budget.in_a_row,
                "goodbye": budget.goodbye,
                "rule": budget.rule,
            }
            for budget in spec.budgets
        ],
        "client": _client(spec),
        "texts": {rule.id: rule.text for rule in spec.rules.values()},
        "violations": {
            code: {"severity": severity, "words": words} for code, (severity, words) in _codes(spec).items()
        },
    }


def _set(names: Iterable[str]) -> dict[str, bool]:
    return dict.fromkeys(sorted(names), True)


def _whole(pattern: str) -> str:
    """A pattern of Python as a pattern of PCRE2 for whole values; both take the same expressions."""
    return rf"(*UTF)\A(?:{pattern})\z"


def _type(type_: Type) -> Data:
    if type_.match is None and not type_.one_of:
        ranges = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in type_.forbid)
        pattern, wanted = f"[^{ranges}\\n]+", "without forbidden control characters"
    elif type_.one_of:
        pattern, wanted = type_.pattern, "one of " + ", ".join(type_.one_of)
    else:
        pattern, wanted = type_.pattern, f"of the form {type_.pattern}"
    return {
        "pattern": _whole(pattern),
        "wanted": wanted,
        "least": type_.octets[0],
        "most": type_.octets[1],
        "rest": type_.rest_of_line,
        "closed": bool(type_.one_of),
        "fold": type_.fold_case,
    }


def _is_number(type_: Type) -> bool:
    """Whether every value of the type is a number of at most 18 digits: its expression has only digits."""
    if type_.match is None or type_.octets[1] > 18:
        return False
    without_classes = re.sub(r"\[[0-9](-[0-9])?\]", "", type_.match)
    return re.fullmatch(r"[0-9{},|()?*+]*", without_classes) is not None


def _fields(spec: Spec) -> Data:
    """The message fields: abbreviation → the kind and the words of Wireshark's field."""
    found: Data = {}
    forms = [request.form for request in spec.requests.values()] + [reply.form for reply in spec.replies.values()]
    for form in forms:
        for field in form.fields:
            type_ = spec.types[field.type]
            abbreviation = _abbreviation(form, field)
            found[abbreviation] = {
                "name": field.name.capitalize() if abbreviation == field.name else f"{form.verb}'s {field.name}",
                "number": _is_number(type_),
                "doc": type_.doc,
            }
    return found


def _relations(spec: Spec) -> Data:
    """The relations that have users in their keys: the abbreviation and the words of Wireshark's field.

    Where a field of a message has the same name, the relation's has `relation.` in front.
    """
    taken = {*OWN_FIELDS, *_fields(spec)}
    return {
        name: {"abbreviation": f"relation.{name}" if name in taken else name, "doc": relation.doc}
        for name, relation in spec.relations.items()
        if any(column.type == "user" for column in relation.keys)
    }


def _abbreviation(form: Form, field: Field) -> str:
    return f"{form.verb.lower()}.{field.name}" if field.name in OWN_FIELDS else field.name


def _form(form: Form) -> list[str | Data]:
    return [
        part
        if isinstance(part, str)
        else {"name": part.name, "type": part.type, "abbreviation": _abbreviation(form, part)}
        for part in form.parts
    ]


def _template(template: Template | None) -> list[str | Data] | None:
    """The words of a frame that is written, and the sources of its values."""
    if template is None:
        return None
    result: list[str | Data] = []
    for part, shape in zip(template.parts, template.form.parts, strict=True):
        if isinstance(shape, str):
            result.append(shape)
        elif isinstance(part, Variable):
            result.append({"field": shape.name, "variable": part.name})
        else:
            result.append({"field": shape.name, "word": part})
    return result


def _request(spec: Spec, verb: str) -> Data:
    request = spec.requests[verb]
    rows = [spec.states[state].recv.get(verb, ()) for state in spec.live_states]
    return {
        "kind": "request",
        "verb": verb,
        "doc": request.doc,
        "parts": _form(request.form),
        "any_case": spec.framing.any_case,
        "answered": request.answer is not None,
        "relays": any(row.does("relay") for found in rows for row in found),
        "ends": all(len(found) == 1 and found[0].to == spec.final for found in rows),
    }


def _replies(spec: Spec) -> Data:
    """The server's frames by their first word; those with more fixed words come first."""
    found: dict[str, list[Data]] = {}
    legal = moves(spec)
    for reply in sorted(spec.replies.values(), key=lambda reply: -len(reply.key.split(" "))):
        data: Data = {"kind": reply.kind, "key": reply.key, "parts": _form(reply.form), "verb": reply.verb}
        if reply.kind == "push":
            push = next(push for push in spec.pushes.values() if push.form is reply.form)
            data["reply"] = _template(push.reply)
            data["moves"] = _moves(spec, [move for move in legal if move.key == reply.key])
        if reply.kind in ("refusal", "goodbye"):
            data |= _names_of_a_refusal(reply)
        found.setdefault(reply.form.verb, []).append(data)
    return found


def _names_of_a_refusal(reply: Reply) -> Data:
    """The fields with the code and with the verb of a refusal or a goodbye; `error` is the code of one without it."""
    fields = {"code": "code", "about": "verb"}
    found: Data = {name: field for name, field in fields.items() if reply.form.type_of(field) is not None}
    return found | {"error": reply.code}


def _when(conditions: Iterable[Condition]) -> Data | None:
    """The conditions of a row, of which all must hold, and the same in words."""
    listed = [{"kind": one.kind, "field": one.field, "value": one.value} for one in conditions]
    return {"all": listed, "text": " and ".join(map(str, conditions))} if listed else None


def _row(spec: Spec, row: Outcome) -> Data:
    return {
        "label": row.label,
        "error": row.error,
        "when": _when(row.conditions),
        "answer": _template(row.answer),
        "to": row.to,
        "respelled": _set(_in_entries(row)),
        "does": {effect.kind: effect.field or True for effect in row.effects if effect.entry is None},
        "tuples": [
            {"drop": effect.kind == "drop", "relation": effect.entry.relation, "others": others}
            for effect in row.effects
            if effect.entry is not None and effect.kind in ("add", "drop")
            for others in _others(spec, effect.entry, Argument("me"))
        ],
        "rule": row.rule,
    }


def _failure(row: Outcome) -> list[Data]:
    """The refusal in place of a row when the disk fails, as a row of its own: nobody can tell whether it holds."""
    if row.fails is None:
        return []
    words = {"label": row.fails, "error": row.fails, "when": _when(row.conditions), "rule": row.rule}
    return [{**words, "maybe": True, "respelled": {}, "does": {}, "tuples": []}]


def _in_entries(row: Outcome) -> Iterable[str]:
    """The fields that stand in entries of a row: the answer may have them as they were first written."""
    entries = [one.entry for part in (row.conditions, row.effects, row.tells) for one in part]
    return {one.field for entry in entries if entry is not None for one in entry.arguments if one.field is not None}


def _others(spec: Spec, entry: Entry, user: Argument) -> list[list[str | bool]]:
    """The fields of the other columns, True for any value; nothing if the first column of users holds another one."""
    column = spec.relations[entry.relation].user_column
    if column is None or entry.arguments[column] != user:
        return []
    others = [one for place, one in enumerate(entry.arguments) if place != column]
    return [["me" if one.kind == "me" else one.field or True for one in others]]


# What a push means at its receiver


def _moves(spec: Spec, legal: Iterable[Move]) -> list[Data]:
    """The possible causes of a push: where it has its place, what it changes, and how it is told from others.

    `me` is the field that holds the name of the other user, `here` and `known` what must be so of the two ends before.
    """
    found: dict[str, Data] = {}
    for move in legal:
        template, rule, told = _origin(spec, move)
        fields = {part.name: shape.name for part, shape in _variables(template)}
        data: Data = {
            "to": move.to,
            "does": _set({"link", "accept", "unlink", "relay"} & set(move.effects)) if move.mirrored else {},
            "me": fields.get("me") or fields.get("peer"),
            "words": {field: _set(words) for field, words in move.words},
            "known": [{"kind": kind, "holds": holds} for kind, holds in move.known],
            "here": move.here,
            "tuples": told,
            "rule": rule or None,
        }
        found.setdefault(repr(data), data | {"states": {}})["states"][move.state] = True
    return list(found.values())


def _variables(template: Template) -> list[tuple[Variable, Field]]:
    pairs = zip(template.parts, template.form.parts, strict=True)
    return [(part, shape) for part, shape in pairs if isinstance(part, Variable) and isinstance(shape, Field)]


def _origin(spec: Spec, move: Move) -> tuple[Template, str, list[Data]]:
    """The template of a move and its rule, and the tuples of the receiver that its row adds."""
    for row in [row for _, row in spec.outcomes()] + [timer.row for timer in spec.timers.values() if timer.row]:
        if (row.verb or None) == move.verb or (move.verb is None and move.by == "other"):
            for tell in row.tells:
                if move.by == "other" and _is_of(tell.push, move):
                    return tell.push, row.rule, _told(spec, row, tell)
            own = row.answer if not row.verb else None
            for template in (own, row.partner.push if row.partner is not None else None):
                if template is not None and move.by != "other" and _is_of(template, move):
                    return template, row.rule, []
    if spec.ending.partner is not None and _is_of(spec.ending.partner.push, move):
        return spec.ending.partner.push, spec.ending.rule, []
    for relation in spec.relations.values():
        for told in (relation.added, relation.dropped):
            if told is not None and _is_of(told, move):
                return told, relation.rule or "", []
    return next(template for template in spec.greeting if _is_of(template, move)), "", []


def _is_of(template: Template, move: Move) -> bool:
    """Whether a move is that of a template: the same frame, with the same words."""
    fixed = {
        shape.name: (part,)
        for part, shape in zip(template.parts, template.form.parts, strict=True)
        if isinstance(shape, Field) and isinstance(part, str)
    }
    chosen = {shape.name for _, shape in _variables(template)}
    words = {field: words for field, words in move.words if field in fixed or field not in chosen}
    return template.form.key == move.key and fixed == words


def _told(spec: Spec, row: Outcome, tell: Tell) -> list[Data]:
    """The tuples of the user that a row tells which the row adds, with the fields of the push."""
    fields = {part.name: shape.name for part, shape in _variables(tell.push)}
    return [
        {"drop": False, "relation": effect.entry.relation, "others": [fields.get(str(one), "") for one in others]}
        for effect in row.effects
        if effect.entry is not None and effect.kind == "add"
        for others in _others(spec, effect.entry, Argument("field", tell.field))
    ]


def _states(names: frozenset[str] | None) -> dict[str, bool] | None:
    """Names as a set; None for all of them."""
    return None if names is None else _set(names)


def _too_long(spec: Spec) -> tuple[str, str]:
    """The code of a line that is too long, and what is wrong with it."""
    goodbye = spec.goodbye_when("too-long")
    return ("too-long", "The line is too long.") if goodbye is None else (goodbye.code, goodbye.doc)


def _causes(spec: Spec, code: str) -> list[Data]:
    """The rules that call for a goodbye, with the states in which they do; the narrower ones first."""
    causes = [{"states": _set(budget.states), "rule": budget.rule} for budget in spec.budgets if budget.goodbye == code]
    timers = sorted(spec.timers.values(), key=lambda timer: timer.states is None)
    return causes + [{"states": _states(timer.states), "rule": timer.rule} for timer in timers if timer.goodbye == code]


def _client(spec: Spec) -> Data:
    client = spec.client
    return {
        "one_unanswered": _set(client.one_unanswered),
        "one_unanswered_rule": client.one_unanswered_rule,
        "only_if": {
            state: {verb: _when([condition]) for verb, condition in table.items()}
            for state, table in client.only_if.items()
        },
        "only_if_rule": client.only_if_rule,
        "may_follow": dict(client.may_follow),
    }


def _codes(spec: Spec) -> Mapping[str, tuple[str, str]]:
    """All violations: the faults of the spec, then those of a capture."""
    faults = {rule.error: ("warn", spec.errors[rule.error].doc) for rule in spec.faults}
    code, words = _too_long(spec)
    return {**faults, code: ("warn", words), **VIOLATIONS}


def lua(value: object, indent: str = "") -> str:
    """The Lua expression of dicts, lists, texts, numbers and booleans; None inside is left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _lua_text(value)
    deeper = indent + "  "
    if isinstance(value, Mapping):
        items = [f"[{_lua_text(key)}] = {lua(item, deeper)}" for key, item in value.items() if item is not None]
    elif isinstance(value, list):
        items = [lua(item, deeper) for item in value if item is not None]
    else:
        raise TypeError(f"no data of Lua: {value!r}")
    line = "{" + ", ".join(items) + "}"
    if len(indent) + len(line) <= 110 and "\n" not in line:
        return line
    return "{\n" + "".join(f"{deeper}{item},\n" for item in items) + indent + "}"


def _lua_text(text: str) -> str:
    """A quoted text: octets that are not printable ASCII as decimal escapes, which all versions of Lua read."""
    quoted = "".join(
        chr(octet) if 32 <= octet < 127 and octet not in b'"\\' else f"\\{octet:03d}" for octet in text.encode()
    )
    return f'"{quoted}"'
