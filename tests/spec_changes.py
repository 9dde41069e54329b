"""Changes of a spec as data: of its names, rows, numbers, types and shapes.

A change is a function of the data and of the dice. It may leave a spec that makes no sense; it raises LookupError or
ValueError where it has no place.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from random import Random
from typing import Any

from .spec_data import WORDS, Change, Data, a_rule, a_verb, drop_request, each_text, live, rename, tables, texts

# Other names


def rename_a_verb(data: Data, dice: Random) -> None:
    rename(data, dice.choice([*data["requests"], *data["pushes"]]), a_verb(data, dice))


def rename_a_state(data: Data, dice: Random) -> None:
    rename(data, dice.choice(list(data["states"])), dice.choice(["In-1_x", "S2", "Out", "busy-State", "a"]))


def rename_a_code(data: Data, dice: Random) -> None:
    rename(data, dice.choice([*data["errors"], *data["goodbyes"]]), f"{dice.choice(WORDS)}-{dice.choice(WORDS)}")


def rename_a_field(data: Data, dice: Random) -> None:
    names = {name for text in texts(data["requests"]) for name in re.findall(r"<([a-z]+):", text)}
    old, new = dice.choice(sorted(names)), dice.choice(WORDS)
    changed = each_text(data, lambda text: re.sub(rf"<{old}([:>])", rf"<{new}\1", text))
    data.update(changed)


def rename_a_type(data: Data, dice: Random) -> None:
    old, new = dice.choice(list(data["types"])), dice.choice(WORDS)
    data.update(each_text(data, lambda text: text.replace(f":{old}>", f":{new}>")))
    data["types"] = {new if name == old else name: value for name, value in data["types"].items()}
    data["names"] = new if data["names"] == old else data["names"]


def rename_a_timer(data: Data, dice: Random) -> None:
    old, new = dice.choice(list(data["timers"])), dice.choice([*WORDS, "port", "max", "spec"])
    data["timers"] = {new if name == old else name: value for name, value in data["timers"].items()}


# … fewer things


def drop_a_request(data: Data, dice: Random) -> None:
    drop_request(data, dice.choice(list(data["requests"])))


def drop_a_timer(data: Data, dice: Random) -> None:
    del data["timers"][dice.choice(list(data["timers"]))]


def drop_all_timers(data: Data, dice: Random) -> None:
    data["timers"] = {}


def drop_a_row(data: Data, dice: Random) -> None:
    table, verb = dice.choice(list(tables(data)))
    if len(table[verb]) > 1:
        table[verb].pop(dice.randrange(len(table[verb]) - 1))


def drop_a_budget(data: Data, dice: Random) -> None:
    data["budgets"].pop(dice.randrange(len(data["budgets"])))


def drop_prose(data: Data, dice: Random) -> None:
    for key in dice.sample(["chapters", "hints", "security"], 2):
        data.pop(key, None)
    data["examples"] = {}


def drop_the_contract(data: Data, dice: Random) -> None:
    part = data["contract"][dice.choice(["commands", "prints", "notices"])]
    for key in dice.sample(list(part), dice.randint(1, len(part))):
        del part[key]


def drop_client_rules(data: Data, dice: Random) -> None:
    client, rule = data["client"], data["client"]["only_if"]["rule"]
    key = dice.choice(["only_if", "may_follow", "one_unanswered"])
    client[key] = {"of": [], "rule": rule} if key == "one_unanswered" else {"rule": rule}


def drop_gone(data: Data, dice: Random) -> None:
    data["goodbyes"][dice.choice(list(data["goodbyes"]))].pop("gone")


# … other numbers and other characters


def change_a_timer(data: Data, dice: Random) -> None:
    timer = data["timers"][dice.choice(list(data["timers"]))]
    timer["after"] = dice.choice(["700 ms", "3 s", "1.5 s", "20 s", "2 min", "999999999 s"])
    if dice.random() < 0.3:
        timer["in"] = dice.sample(list(data["states"]), 2)


def change_limits(data: Data, dice: Random) -> None:
    data["limits"]["queue_mark"]["octets"] = dice.choice([1, 100, 2048, 65536])
    data["limits"]["queue_stop"]["octets"] = dice.choice([1, 4096, 65536, 1 << 20])
    data["limits"]["address_share"]["one_in"] = dice.choice([1, 3, 1000])
    data["framing"]["max_octets"] = dice.choice([100, 160, 400, 5000, 65536])


def change_a_budget(data: Data, dice: Random) -> None:
    budget = dice.choice(data["budgets"])
    budget["faults"] = dice.choice([1, 2, 3, 7, 40])
    budget["counted"] = dice.choice(["in-all", "in-succession"])
    if dice.random() < 0.5:
        budget["in"] = dice.sample(live(data), dice.randint(1, len(live(data))))


def change_the_endings(data: Data, dice: Random) -> None:
    framing = data["framing"]
    framing["writes"], framing["accepts"] = dice.choice(
        [("LF", ["LF"]), ("LF", ["LF", "CRLF"]), ("CRLF", ["LF", "CRLF"]), ("CRLF", ["CRLF", "LF"])]
    )


NAMES = (
    ("[a-z]{1,6}", ["ann", "bob", "cy"]), ("[A-Z][a-z]{2,9}", ["Ann", "Bob"]), ("[0-9]{1,8}", ["1", "22"]),
    ("[!-~]{1,12}", ["a!", "b~"]), ("x[a-z0-9]*", ["x", "x1"]), ("[a-zä-ü]{2,12}", ["müller", "ab"]),
    ("[a-d]", ["a", "b"]), ("u-[0-9]{1,5}", ["u-1", "u-2"]),
)  # fmt: skip


def change_names(data: Data, dice: Random) -> None:
    kind = data["types"][data["names"]]
    match, good = dice.choice(NAMES)
    kind.update(match=match, good=good, bad=[" "])
    kind.pop("one_of", None)
    if "*" in match:
        kind["octets"] = "1..9"
    if dice.random() < 0.5:
        kind["fold"] = "case"
    else:
        kind.pop("fold", None)


def change_a_text(data: Data, dice: Random) -> None:
    kind = data["types"][dice.choice([name for name, value in data["types"].items() if "rest_of_line" in value])]
    kind["octets"] = dice.choice(["1..1", "1..20", "3..60", "1..200"])
    kind["good"], kind["bad"] = ["hi you"] if kind["octets"] != "1..1" else ["h"], []
    if dice.random() < 0.5:
        kind.pop("match", None)
        kind["forbid"] = dice.choice(
            [
                ["U+0000..U+001F"],
                ["U+000D"],
                ["U+0000..U+001F", "U+0080..U+FFFF"],
                ["U+0000..U+001F", "U+007F..U+10FFFF"],
                ["U+0000..U+001F", "U+D800..U+DFFF"],
                ["U+000A", "U+E000..U+FFFF"],
            ]
        )


def change_a_type(data: Data, dice: Random) -> None:
    kind = data["types"][dice.choice(list(data["types"]))]
    kind.pop("forbid", None)
    kind.pop("one_of", None)
    kind.pop("holds", None)
    match, good = dice.choice([("[a-z]{1,9}", ["ab"]), ("[0-9]{1,9}", ["1"]), ("[!-~]{1,20}", ["a", "1"])])
    kind.update(match=match, good=good, bad=[])


def change_words(data: Data, dice: Random) -> None:
    kind = dice.choice([value for value in data["types"].values() if "one_of" in value])
    kind["one_of"] = dice.sample(WORDS, dice.randint(1, 4))
    if "holds" in kind:
        kind["holds"] = dict.fromkeys(kind["one_of"][1:], "linked")


# … more things


def add_an_echo(data: Data, dice: Random) -> None:
    verb, kind = a_verb(data, dice), dice.choice(list(data["types"]))
    data["requests"][verb] = {"wire": f"{verb} <it:{kind}>", "answer": f"ED{verb} <it:{kind}>", "doc": "Says it."}
    if not re.fullmatch(data["framing"]["verb"], f"ED{verb}"):
        data["requests"][verb]["answer"] = f"ed{verb} <it:{kind}>"
    answer = data["requests"][verb]["answer"].replace(f":{kind}", "")
    table = data["always"] if dice.random() < 0.5 else data["states"][dice.choice(live(data))].setdefault("recv", {})
    table[verb] = [{"outcome": "echoed", "answer": answer, "rule": a_rule(data)}]


def add_a_condition(data: Data, dice: Random) -> None:
    """A row that compares a field, a name among them, with a word."""
    table, verb = dice.choice(list(tables(data)))
    field, kind = dice.choice(re.findall(r"<([a-z]+):([a-z]+)>", data["requests"][verb]["wire"]))
    word = dice.choice(data["types"][kind].get("good") or data["types"][kind]["one_of"])
    error = dice.choice([row["error"] for t, v in tables(data) for row in t[v] if "error" in row])
    row = {"if": f'<{field}> is {dice.choice(["", "not "])}"{word}"', "error": error, "rule": a_rule(data)}
    table[verb].insert(dice.randint(0, len(table[verb]) - 1), row)


def add_a_state(data: Data, dice: Random) -> None:
    """A state like another one, and a request that goes there and back."""
    source, verb = dice.choice(live(data)), a_verb(data, dice)
    state = copy.deepcopy(data["states"][source])
    state.pop("initial", None)
    data["states"] = {"Extra": state, **data["states"]}
    data["requests"][verb] = {"wire": verb, "answer": f"{verb}{verb}", "doc": "There and back."}
    for place, to in ((source, "Extra"), ("Extra", source)):
        row = {"outcome": "went", "to": to, "answer": f"{verb}{verb}", "rule": a_rule(data)}
        data["states"][place].setdefault("recv", {})[verb] = [row]
    if source in data["link"]["held_in"] and dice.random() < 0.9:
        data["link"]["held_in"] = [*data["link"]["held_in"], "Extra"]
    if dice.random() < 0.5 and data["budgets"]:
        dice.choice(data["budgets"])["in"].append("Extra")


def add_a_list(data: Data, dice: Random) -> None:
    """One more request that lists the users, in other words."""
    verb, key = a_verb(data, dice), data["names"]
    upper = verb.isupper()
    end, item = ("ALLOF", "ONEOF") if upper else ("allof", "oneof")
    wire = dice.choice([verb, f"{verb} ALL", f"{verb} <whom:{key}>"])
    data["requests"][verb] = {"wire": wire, "answer": end, "item": f"{item} <who:{key}>", "doc": "Lists."}
    place = data["states"][dice.choice(live(data))].setdefault("recv", {})
    place[verb] = [{"outcome": "listed", "answer": end, "do": ["list"], "rule": a_rule(data)}]


def add_a_logout(data: Data, dice: Random) -> None:
    """The name is given back, and the connection begins anew."""
    initial = next(name for name, state in data["states"].items() if "initial" in state)
    state = data["states"][dice.choice(live(data))]
    verb = a_verb(data, dice)
    data["requests"][verb] = {"wire": verb, "answer": f"{verb}{verb}", "doc": "Gives the name back."}
    row = {"outcome": "out", "to": initial, "answer": f"{verb}{verb}", "do": ["release"], "rule": a_rule(data)}
    state.setdefault("recv", {})[verb] = [row]


def add_an_uncounted_verb(data: Data, dice: Random) -> None:
    dice.choice(data["faults"])["uncounted"] = [dice.choice(list(data["requests"]))]


def add_a_timer(data: Data, dice: Random) -> None:
    action = dice.choice(["goodbye", "push", "gone"])
    pushes = [re.sub(r"<[a-z]+:[a-z]+>", "<number>", push["wire"]) for push in data["pushes"].values()]
    value = {"goodbye": list(data["goodbyes"]), "push": pushes, "gone": [data["ending"]["gone"]]}[action]
    since = dice.choice(["accept", "silence", "full", "goodbye"])
    data["timers"]["added"] = {"since": since, "after": "40 s", action: dice.choice(value), "rule": a_rule(data)}


# … and another shape


def reword_a_reply(data: Data, dice: Random) -> None:
    """Another word at its beginning, or one more."""
    answers = [value for value in data["requests"].values() if "answer" in value]
    value = dice.choice([*answers, data["refusal"], data["goodbye"]])
    key = "answer" if "answer" in value else "wire"
    old = value[key].partition(" <")[0]
    word = "FINE" if old.isupper() else "fine"
    new = dice.choice([f"{old} {word}", f"{word} {old}", f"{word}{old.replace(' ', '')}"])
    data.update(
        each_text(data, lambda text: new + text[len(old) :] if text == old or text.startswith(f"{old} ") else text)
    )


def add_a_field(data: Data, dice: Random) -> None:
    """A field more in a request, before the others, or a word."""
    verb = dice.choice(list(data["requests"]))
    kind = dice.choice([name for name, value in data["types"].items() if "rest_of_line" not in value])
    part = dice.choice([f"<more:{kind}>", "THE", "a,b"])
    wire = data["requests"][verb]["wire"]
    data["requests"][verb]["wire"] = f"{verb} {part}{wire[len(verb) :]}"
    for command in data["contract"]["commands"].values():
        if command["sends"].split(" ")[0] == verb:
            command["sends"] = f"{verb} {part.replace(f':{kind}', '')}{command['sends'][len(verb) :]}"


def tell_more(data: Data, dice: Random) -> None:
    """A push has one's name too."""
    key = data["names"]
    verb = dice.choice(list(data["pushes"]))
    wire = data["pushes"][verb]["wire"]
    data["pushes"][verb]["wire"] = f"{verb} <sender:{key}>{wire[len(verb) :]}"
    rows = [row for table, v in tables(data) for row in table[v]]
    for partner in [row["partner"] for row in (*rows, *data["timers"].values(), data["ending"]) if "partner" in row]:
        if partner["push"].split(" ")[0] == verb:
            partner["push"] = f"{verb} <me>{partner['push'][len(verb) :]}"


def shuffle_rows(data: Data, dice: Random) -> None:
    table, verb = dice.choice([(t, v) for t, v in tables(data) if len(t[v]) > 2])
    rows = table[verb]
    rows[:-1] = dice.sample(rows[:-1], len(rows) - 1)


def shuffle_tables(data: Data, dice: Random) -> None:
    for key in ("requests", "pushes", "states", "timers", "types"):
        data[key] = dict(dice.sample(list(data[key].items()), len(data[key])))


def move_to_always(data: Data, dice: Random) -> None:
    state = data["states"][dice.choice(live(data))]
    verb = dice.choice(list(state.get("recv", {})))
    for other in data["states"].values():
        rows = other.get("recv", {}).pop(verb, None)
        data.setdefault("always", {})[verb] = rows or data["always"].get(verb)


def lead_elsewhere(data: Data, dice: Random) -> None:
    table, verb = dice.choice(list(tables(data)))
    row = dice.choice(table[verb])
    dice.choice([row, row.get("partner", row)])["to"] = dice.choice(list(data["states"]))


def change_effects(data: Data, dice: Random) -> None:
    table, verb = dice.choice(list(tables(data)))
    row = dice.choice(table[verb])
    row["do"] = dice.sample(["accept", "retract", "relay", "unlink", "release", "list"], dice.randint(0, 2))


def hold_elsewhere(data: Data, dice: Random) -> None:
    data["link"]["held_in"] = dice.sample(list(data["states"]), dice.randint(1, 2))


def swap_two_values(data: Data, dice: Random) -> None:
    """Any value stands where another one of its kind was."""
    leaves = [(table, key) for table, key in _leaves(data) if key not in ("protocol", "doc", "title")]
    (one, first), (other, second) = dice.sample(leaves, 2)
    if type(one[first]) is type(other[second]):
        one[first], other[second] = other[second], one[first]


def drop_anything(data: Data, dice: Random) -> None:
    table, key = dice.choice([(table, key) for table, key in _leaves(data) if isinstance(table, dict)])
    del table[key]


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(part, dict | list):
            yield from _leaves(part)
        else:
            yield value, key


CHANGES: tuple[Change, ...] = (
    rename_a_verb, rename_a_state, rename_a_code, rename_a_field, rename_a_type, rename_a_timer, drop_a_request,
    drop_a_timer, drop_all_timers, drop_a_row, drop_a_budget, drop_prose, drop_the_contract, drop_client_rules,
    drop_gone, change_a_timer, change_limits, change_a_budget, change_the_endings, change_names, change_a_text,
    change_a_type, change_words, add_an_echo, add_a_condition, add_a_state, add_a_list, add_a_logout,
    add_an_uncounted_verb, add_a_timer, reword_a_reply, add_a_field, tell_more, shuffle_rows, shuffle_tables,
    move_to_always, lead_elsewhere, change_effects, hold_elsewhere,
)  # fmt: skip
