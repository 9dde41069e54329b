"""Changes of a spec as data: relations, tells, lists of conditions, and what a spec may leave out."""

from __future__ import annotations

import copy
import re
from random import Random

from .spec_data import Change, Data, a_rule, a_verb, live, tables


def _word(data: Data, word: str) -> str:
    """A word with the case of the verbs of this spec."""
    return word.upper() if "A-Z" in data["framing"]["verb"] else word


def _state_of_users(data: Data, dice: Random) -> str:
    """A state in which a connection has a name, in most specs."""
    return dice.choice(live(data)[1:])


def add_a_relation(data: Data, dice: Random) -> None:
    """Users in groups: a request that enters, one that goes out, and one that lists; the others may be told."""
    names, rule = data["names"], a_rule(data)
    enter, leave, show = (_word(data, word) for word in ("enter", "exit", "show"))
    done, item, told, gone = (_word(data, word) for word in ("done", "member", "entered", "exited"))
    kinds = [name for name, value in data["types"].items() if "rest_of_line" not in value]
    data["types"]["group"] = {"match": "[a-z]{1,12}", "good": ["red", "blue"], "bad": ["A"], "doc": "A group."}
    kind, error = dice.choice([*kinds, *["group"] * len(kinds)]), dice.choice(list(data["errors"]))
    data["requests"][enter] = {
        "wire": f"{enter} <it:{kind}>",
        "answer": f"{done} {enter} <it:{kind}>",
        "doc": "Enters.",
    }
    data["requests"][leave] = {"wire": f"{leave} <it:{kind}>", "answer": f"{done} {leave} <it:{kind}>", "doc": "Exits."}
    data["requests"][show] = {
        "wire": f"{show} <it:{kind}>",
        "item": f"{item} <user:{names}>",
        "answer": f"{done} {show} <it:{kind}>",
        "doc": "Shows.",
    }
    relation: Data = {"of": {"it": kind, "user": "user"}, "doc": "Users in groups."}
    first: list[Data] = [{"if": "grouped(<it>, me)", "error": error, "rule": rule}]
    if dice.random() < 0.5:
        relation["most"] = {"it": dice.choice([1, 2])}
        first.append({"if": "full grouped(<it>, *)", "error": error, "rule": rule})
    elif dice.random() < 0.5:
        relation["keep"] = {"it": dice.choice([1, 2])}
    if dice.random() < 0.6:
        relation["tells"] = {"add": f"{told} <it> <user>", "drop": f"{gone} <it> <user>"}
        for push in (told, gone):
            data["pushes"][push] = {"wire": f"{push} <it:{kind}> <name:{names}>", "doc": "Tells."}
    data.setdefault("relations", {})["grouped"] = relation
    for table, verb in tables(data):
        for row in table[verb]:
            if "release" in row.get("do", ()):
                row["cause"] = "gone"
    add: Data = {"outcome": "entered", "answer": f"{done} {enter} <it>", "do": ["add grouped(<it>, me)"], "rule": rule}
    drop: Data = {"outcome": "exited", "answer": f"{done} {leave} <it>", "do": ["drop grouped(<it>, me)"], "rule": rule}
    place = data["states"][_state_of_users(data, dice)].setdefault("recv", {})
    place[enter] = [*first, add]
    place[leave] = [{**drop, "cause": "out"}]
    place[show] = [{"outcome": "shown", "answer": f"{done} {show} <it>", "do": ["list grouped(<it>, *)"], "rule": rule}]


def tell_the_user(data: Data, dice: Random) -> None:
    """A refusal, or a success, tells the user that it names."""
    names, push = data["names"], _word(data, "told")
    found = [
        (row, field)
        for table, verb in tables(data)
        for row in table[verb]
        for field in re.findall(rf"<([a-z]+):{names}>", data["requests"][verb]["wire"])
        if "bind" not in str(row.get("do"))
    ]
    row, field = dice.choice(found)
    data["pushes"][push] = {"wire": f"{push} <name:{names}>", "doc": "Tells."}
    row["tell"] = [{"to": f"<{field}>", "push": f"{push} <me>"}]


def join_two_conditions(data: Data, dice: Random) -> None:
    """A row needs both conditions; the last one stays without any."""
    rows = [rows for table, verb in tables(data) if len(rows := table[verb]) > 2]
    first, second = dice.sample(dice.choice(rows)[:-1], 2)
    parts = [one["if"] if isinstance(one["if"], list) else [one["if"]] for one in (first, second)]
    first["if"] = [part for part in parts[0] if part not in parts[1]] + parts[1]


def share_a_row(data: Data, dice: Random) -> None:
    """The rows of a request stand in one place for two states."""
    one, other = dice.sample(live(data), 2)
    verb = dice.choice([*data["states"][one].get("recv", {})])
    rows = data["states"][one]["recv"].pop(verb)
    data["states"][other].get("recv", {}).pop(verb, None)
    data.setdefault("shared", []).append({"in": [one, other], "recv": {verb: rows}})


def add_a_timer_of_calls(data: Data, dice: Random) -> None:
    """A call that is not answered ends; the ends stay as they are."""
    push = data["ending"]["partner"]["push"].replace("<reason>", data["ending"]["gone"])
    data["timers"]["rings"] = {
        "since": "call",
        "in": list(data["link"]["held_in"]),
        "if": dice.choice([["a partner", "not answered"], ["a partner", "not accepted"], "a partner"]),
        "after": dice.choice(["2 s", "40 s"]),
        "do": ["unlink"],
        "push": push.replace("<me>", "<peer>"),
        "partner": {"push": push},
        "rule": a_rule(data),
    }


def reorder_faults(data: Data, dice: Random) -> None:
    data["faults"] = dice.sample(data["faults"], len(data["faults"]))


def limit_a_fault(data: Data, dice: Random) -> None:
    """Another error answers a fault in one state, or of one request."""
    fault = copy.deepcopy(dice.choice(data["faults"]))
    fault["error"] = dice.choice(data["faults"])["error"]
    if fault["fault"] in ("syntax", "state") and dice.random() < 0.5:
        fault["of"] = [dice.choice(list(data["requests"]))]
    else:
        fault["in"] = [dice.choice(live(data))]
    data["faults"].insert(0, fault)


def own_frame(data: Data, dice: Random) -> None:
    """An error has a frame of its own."""
    code = dice.choice(list(data["errors"]))
    data["errors"][code]["wire"] = f"{_word(data, 'sorry')} {code}"


def greet(data: Data, dice: Random) -> None:
    text = dice.choice([_word(data, "hail"), f"{_word(data, 'hail')} and welcome"])
    data["pushes"][_word(data, "hail")] = {"wire": text, "doc": "The greeting."}
    data["greeting"] = [text]


def any_case(data: Data, dice: Random) -> None:
    data["framing"]["case"] = "any"


def end_no_list(data: Data, dice: Random) -> None:
    """Nothing ends the items of a list."""
    verb = dice.choice([name for name, value in data["requests"].items() if "item" in value])
    answer = data["requests"][verb].pop("answer")
    for table, other in tables(data):
        for row in table[other] if other == verb else ():
            row.pop("answer", None)
    data["contract"]["prints"].pop(answer.partition(" <")[0], None)


def leave_a_section_out(data: Data, dice: Random) -> None:
    section = dice.choice(["budgets", "client", "contract", "goodbyes"])
    del data[section]
    data.get("chapters", {}).pop(section, None)
    if section == "goodbyes":  # what said goodbye ends the connection without a frame
        data.pop("budgets", None)
        for timer in data["timers"].values():
            if timer.pop("goodbye", None) is not None:
                timer["gone"] = data["ending"]["gone"]


def another_verb(data: Data, dice: Random) -> None:
    """A request in any state says nothing and does nothing."""
    verb = a_verb(data, dice)
    data["requests"][verb] = {"wire": verb, "doc": "Nothing."}
    data.setdefault("always", {})[verb] = [{"outcome": "ignored", "rule": a_rule(data)}]


MORE_CHANGES: tuple[Change, ...] = (
    add_a_relation, add_a_relation, tell_the_user, join_two_conditions, share_a_row, add_a_timer_of_calls,
    reorder_faults, limit_a_fault, own_frame, greet, any_case, end_no_list, leave_a_section_out, another_verb,
)  # fmt: skip
