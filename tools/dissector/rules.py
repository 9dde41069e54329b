"""The spec as data for the engine: plain dicts and lists, and their text in Lua. Knows no Lua program and no Wireshark.

What the engine needs for a frame is computed here: the rows of a request in a state, what a push changes at its
receiver, whether an answer is due. The engine only looks it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pychat.spec import Spec
from pychat.spec.forms import ANY_VERB, Field, Form, Template, Type, Variable
from pychat.spec.model import Condition, Outcome, PartnerEffect

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
    "wrong-push": ("error", "The push has no place in this state"),
    "interrupted": ("error", "Something came between the items of an answer"),
    "wrong-ending": ("error", "The server ends its frames otherwise"),
    "after-the-end": ("error", "The server's last frame was before"),
    "missing-goodbye": ("error", "The budget of faults is spent, and there was no goodbye"),
    "early-goodbye": ("error", "The budget of faults is not spent yet"),
    "unknown-line": ("error", "The partner has sent no such line"),
}

# The fields of every protocol. A message's field that has the name of one of them gets its verb in front.
OWN_FIELDS = (
    "line", "length", "from", "kind", "verb", "state", "state_after", "request", "user", "partner", "partner_stream",
    "chat", "response_in", "request_in", "time", "relayed_in", "relayed_from", "relay_time", "rule", "violation",
    "expert",
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
        "any_verb": ANY_VERB,
        "initial": spec.initial,
        "final": spec.final,
        "states": list(spec.live_states),
        "linked": _set(spec.link.held_in),
        "link": spec.link.name,
        "types": {name: _type(type_) for name, type_ in spec.types.items()},
        "fields": _fields(spec),
        "requests": {verb: _request(spec, verb) for verb in spec.requests},
        "replies": _replies(spec),
        "rows": {
            state.name: {verb: [_row(row) for row in rows] for verb, rows in state.recv.items()}
            for state in spec.states.values()
        },
        "faults": [
            {"fault": rule.fault, "error": rule.error, "rule": rule.rule, "uncounted": _set(rule.uncounted)}
            for rule in spec.faults
        ],
        "errors": {code: {"doc": error.doc, "general": error.general} for code, error in spec.errors.items()},
        "goodbyes": {code: {"doc": goodbye.doc, "why": _causes(spec, code)} for code, goodbye in spec.goodbyes.items()},
        "too_long": spec.goodbye_when("too-long").code,
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
        "answered": request.answer is not None,
        "relays": any(row.does("relay") for found in rows for row in found),
        "ends": all(len(found) == 1 and found[0].to == spec.final for found in rows),
    }


def _replies(spec: Spec) -> Data:
    """The server's frames by their first word; those with more fixed words come first."""
    found: dict[str, list[Data]] = {}
    for reply in sorted(spec.replies.values(), key=lambda reply: -len(reply.key.split(" "))):
        data: Data = {"kind": reply.kind, "key": reply.key, "parts": _form(reply.form), "verb": reply.verb}
        if reply.kind == "push":
            push = spec.pushes[reply.key]
            data["reply"] = _template(push.reply)
            data["moves"] = _moves(spec, reply.key)
        if reply.kind in ("refusal", "goodbye"):
            names = [field.name for field in reply.form.fields]
            data["code"] = names[-2]
            data["about"] = names[0]
        found.setdefault(reply.form.verb, []).append(data)
    return found


def _condition(condition: Condition | None) -> Data | None:
    if condition is None:
        return None
    return {"kind": condition.kind, "field": condition.field, "value": condition.value, "text": str(condition)}


def _row(row: Outcome) -> Data:
    return {
        "label": row.label,
        "error": row.error,
        "when": _condition(row.condition),
        "answer": _template(row.answer),
        "to": row.to,
        "does": {effect.kind: effect.field or True for effect in row.effects},
        "rule": row.rule,
    }


def _move(partner: PartnerEffect, does: Iterable[str], rule: str) -> Data:
    """What a push changes at its receiver, and the words and the sender's name by which it is told from others."""
    parts = [part for part in _template(partner.push) or [] if not isinstance(part, str)]
    words = {part["field"]: part["word"] for part in parts if "word" in part}
    names = {part["variable"]: part["field"] for part in parts if "variable" in part}
    return {
        "source": partner.source,
        "to": partner.to,
        "does": _set(set(does) & {"link", "unlink", "relay"}),
        "me": names.get("me"),
        "words": words,
        "rule": rule,
    }


def _moves(spec: Spec, key: str) -> list[Data]:
    """The possible causes of this push; the end of a connection is tried last."""
    moves: list[Data] = []
    for _, row in spec.outcomes():
        if row.partner is not None and row.partner.push.form.key == key:
            move = _move(row.partner, (effect.kind for effect in row.effects), row.rule)
            if move not in moves:
                moves.append(move)
    if spec.ending.partner.push.form.key == key:
        effects = (effect.kind for effect in spec.ending.effects)
        moves.append(_move(spec.ending.partner, effects, spec.ending.rule))
    timers = (timer for timer in spec.timers.values() if timer.push == key)
    moves += [{"does": {}, "words": {}, "rule": timer.rule, "states": _states(timer.states)} for timer in timers]
    return moves


def _states(states: frozenset[str] | None) -> dict[str, bool] | None:
    return None if states is None else _set(states)


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
            state: {verb: _condition(condition) for verb, condition in table.items()}
            for state, table in client.only_if.items()
        },
        "only_if_rule": client.only_if_rule,
        "may_follow": dict(client.may_follow),
    }


def _codes(spec: Spec) -> Mapping[str, tuple[str, str]]:
    """All violations: the faults of the spec, then those of a capture."""
    faults = {rule.error: ("warn", spec.errors[rule.error].doc) for rule in spec.faults}
    too_long = spec.goodbye_when("too-long")
    return {**faults, too_long.code: ("warn", too_long.doc), **VIOLATIONS}


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
