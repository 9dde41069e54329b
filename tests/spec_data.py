"""Specs as data, for the changes of them: the tables, the texts and the names in a file's data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from pychat.spec.placeholders import fill_texts, numbers_of
from pychat.spec.reading import Document

Data = dict[str, Any]
Change = Callable[[Data, Random], None]

WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "zeta", "theta", "iota")


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same data with each text and each key changed."""
    if isinstance(value, dict):
        return {change(key): each_text(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [each_text(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def rename(data: Data, old: str, new: str) -> None:
    """Renames a word everywhere, also in texts."""
    pattern = re.compile(rf"(?<![A-Za-z0-9_-]){re.escape(old)}(?![A-Za-z0-9_-])")
    changed = each_text(data, lambda text: pattern.sub(new.replace("\\", r"\\"), text))
    data.clear()
    data.update(changed)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def tables(data: Data) -> Iterator[tuple[Data, str]]:
    """Each table of rows, with the verb of each list in it."""
    shared = [group["recv"] for group in data.get("shared", ())]
    for table in [data.get("always", {}), *shared, *(state.get("recv", {}) for state in data["states"].values())]:
        for verb in list(table):
            yield table, verb


def live(data: Data) -> list[str]:
    return [name for name, state in data["states"].items() if "final" not in state]


def a_rule(data: Data) -> str:
    return next(iter(data["rules"]))


def a_verb(data: Data, dice: Random) -> str:
    word = dice.choice(WORDS)
    return word.upper() if "A-Z" in data["framing"]["verb"] else word


def drop_request(data: Data, verb: str) -> None:
    """Takes a request away, and all that is about it."""
    del data["requests"][verb]
    for table, other in list(tables(data)):
        if other == verb:
            del table[verb]
    client = data.get("client", {"one_unanswered": {"of": []}, "may_follow": {}, "only_if": {}})
    client["one_unanswered"]["of"] = [other for other in client["one_unanswered"]["of"] if other != verb]
    client["may_follow"] = {k: v for k, v in client["may_follow"].items() if k == "rule" or verb not in (k, v)}
    for table in client["only_if"].values():
        if isinstance(table, dict):
            table.pop(verb, None)
    for fault in data["faults"]:
        fault["uncounted"] = [other for other in fault.get("uncounted", []) if other != verb]
    contract = data.get("contract", {"commands": {}})
    kept = {k: v for k, v in contract["commands"].items() if v["sends"].split(" ")[0] != verb}
    contract["commands"] = kept


def tidy(data: Data) -> None:
    """Takes away the errors, goodbyes, pushes, types and printed lines that nothing uses any more.

    A text that names a number that is not there any more says 1 instead.
    """
    rows = [row for table, verb in tables(data) for row in table[verb]]
    errors = {row.get("error") for row in rows} | {fault["error"] for fault in data["faults"]}
    data["errors"] = {code: value for code, value in data["errors"].items() if code in errors}
    ends = {value.get("goodbye") for value in (*data.get("budgets", ()), *data["timers"].values())}
    goodbyes = data.get("goodbyes", {})
    for code in [code for code, value in goodbyes.items() if "when" not in value and code not in ends]:
        del goodbyes[code]
    timers = list(data["timers"].values())
    pushed = [row["partner"]["push"] for row in (*rows, *timers, data["ending"]) if "partner" in row]
    pushed += [timer["push"] for timer in timers if "push" in timer] + data.get("greeting", [])
    pushed += [tell["push"] for row in rows for tell in row.get("tell", ())]
    pushed += [text for relation in data.get("relations", {}).values() for text in relation.get("tells", {}).values()]
    verbs = {push.split(" ")[0] for push in pushed}
    data["pushes"] = {verb: value for verb, value in data["pushes"].items() if verb in verbs}
    wires = [text for key in ("requests", "pushes", "refusal", "goodbye") for text in texts(data[key])]
    used = {name for text in wires for name in re.findall(r":([a-z]+)>", text)} | {data["names"]}
    data["types"] = {name: value for name, value in data["types"].items() if name in used}
    forms = [value[key] for value in data["requests"].values() for key in ("answer", "item") if key in value]
    forms += [value["wire"] for value in (*data["pushes"].values(), data["refusal"], data["goodbye"])]
    keys = {form.partition(" <")[0] for form in forms}
    contract = data.get("contract", {"prints": {}})
    contract["prints"] = {key: line for key, line in contract["prints"].items() if key in keys}
    for path, _ in fill_texts(Document("", data=data), numbers_of(data)):
        place: Any = data
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = re.sub(r"\{[^{}]*\}", "1", place[path[-1]])
