"""A runner of exported cases, written from `export.schema.json` alone: it imports nothing of this project.

    python tests/export_runner.py CASES.json HOST PORT      prints what failed; exit code 1 if anything did

It runs the cases of a shared server that need no clock and no amounts, in order, their octets whole.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

KNOWN = {"send", "finish", "settle", "receive", "quiet", "race", "open", "reset"}
PATIENCE = 10.0  # seconds


class MismatchError(Exception):
    """What came is not what is due."""


class Connection:
    """One connection: the units that have come, each a frame, or a list with its answer."""

    def __init__(self, address: tuple[str, int], barrier: dict[str, Any], items: set[str]) -> None:
        self.socket, self.barrier, self.item_verbs = socket.create_connection(address, PATIENCE), barrier, items
        self.units: list[list[str]] = []
        self.total, self.rest, self.ended, self.finished = 0, b"", False, False
        self.tokens = (f"j{number}" for number in itertools.count(1))
        self.items: list[str] = []
        self.waiting = ""

    def read(self) -> None:
        """Takes in what comes next."""
        octets = self.socket.recv(65536)
        self.ended = not octets
        *lines, self.rest = (self.rest + octets).split(b"\n")
        for line in (raw.decode() for raw in lines):
            if self.waiting and line == self.barrier["answer"].replace("{token}", self.waiting):
                self.waiting = ""
            elif line.split(" ")[0] in self.item_verbs:
                self.items.append(line)
            else:
                self.units.append([*self.items, line])
                self.total, self.items = self.total + 1, []

    def wait(self, done: Any) -> None:
        """Reads until it is done; what can prove that nothing comes is a barrier."""
        while not done() and not self.ended:
            self.read()

    def ask(self) -> None:
        """A barrier: all that the server had to say before is here."""
        if not self.ended and not self.finished:
            self.waiting = next(self.tokens)
            self.socket.sendall(self.barrier["request"].replace("{token}", self.waiting).encode("latin-1"))
            self.wait(lambda: not self.waiting)


class Run:
    """One run of a case."""

    def __init__(self, document: dict[str, Any], address: tuple[str, int]) -> None:
        self.address, self.barrier = address, document["barrier"]
        found = re.findall(r'"items": \["(\S+) ', json.dumps(document))
        self.items = set(found)
        self.connections: dict[str, Connection] = {}

    def of(self, who: str) -> Connection:
        if who not in self.connections:
            self.connections[who] = Connection(self.address, self.barrier, self.items)
        return self.connections[who]

    def run(self, ops: list[dict[str, Any]]) -> None:
        for op in ops:
            getattr(self, "on_" + op["do"])(op)

    def on_send(self, op: dict[str, Any]) -> None:
        self.of(op["who"]).socket.sendall(op["octets"].encode("latin-1"))

    def on_finish(self, op: dict[str, Any]) -> None:
        self.of(op["who"]).finished = True
        self.connections[op["who"]].socket.shutdown(socket.SHUT_WR)

    def on_reset(self, op: dict[str, Any]) -> None:
        connection = self.of(op["who"])
        connection.finished = connection.ended = True
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.socket.close()

    def on_open(self, op: dict[str, Any]) -> None:
        self.of(op["who"]).ask()

    def on_settle(self, op: dict[str, Any]) -> None:
        for who, total in op["units"].items():
            connection = self.of(who)
            connection.wait(lambda c=connection, t=total, e=who in op["ended"]: c.ended if e else c.total >= t)

    def on_receive(self, op: dict[str, Any]) -> None:
        connection = self.of(op["who"])
        if not connection.units:
            connection.wait(lambda: connection.units)
        unit = connection.units.pop(0) if connection.units else ["the end"]
        if not fits(op, unit):
            raise MismatchError(f"{op['step']}: wanted {op}, got {unit} ({op['rule']})")

    def on_quiet(self, op: dict[str, Any]) -> None:
        for who in op["who"]:
            self.of(who).ask()
        left = {who: self.of(who).units for who in op["who"] if self.of(who).units}
        if left:
            raise MismatchError(f"{op['step']}: nothing more is due, got {left} ({op['rule']})")

    def on_race(self, op: dict[str, Any]) -> None:
        self.run(op["sends"])
        for _ in range(2):
            for connection in self.connections.values():
                connection.ask()
                connection.wait(lambda c=connection: not c.finished)
        came = {who: connection.units for who, connection in self.connections.items()}
        for branch in op["branches"]:
            if all(self.is_due(branch["due"].get(who, []), who) for who in came):
                for units in came.values():
                    units.clear()
                self.run(branch["then"])
                return
        raise MismatchError(f"{op['step']}: {came} is no result of the race ({op['rule']})")

    def is_due(self, dues: list[dict[str, Any]], who: str) -> bool:
        wanted = [due for due in dues if "end" not in due]
        units = self.connections[who].units
        ended = len(wanted) == len(dues) or self.connections[who].ended
        return ended and len(wanted) == len(units) and all(map(fits, wanted, units))


def fits(due: dict[str, Any], unit: list[str]) -> bool:
    """Whether a unit is what is due."""
    if "end" in due:
        return unit == ["the end"]
    *items, last = unit
    if "items" in due:
        own = [item for item in items if item in due["items"]]
        wanted = due["answer"].replace(str(len(due["items"])), str(len(items)))
        return sorted(own) == sorted(due["items"]) and last == wanted
    parts = [re.escape(part) for part in due["frame"].removesuffix(" …").split(" … ")]
    any_words = " .+" if due["frame"].endswith(" …") else ""
    return not items and re.fullmatch(" [^ ]+ ".join(parts) + any_words, last) is not None


def main(file: str, host: str, port: str) -> int:
    document = json.loads(Path(file).read_text(encoding="utf-8"))
    passed = failed = skipped = 0
    for case in document["cases"]:
        if case.get("lane") != "shared" or {op["do"] for op in case.get("ops", [{"do": ""}])} - KNOWN:
            skipped += 1
            continue
        number = str(int(time.time() * 1000) % 900_000 + 100_000)
        run = Run(document, (host, int(port)))
        try:
            run.run(json.loads(json.dumps(case["ops"]).replace(document["unique"], number)))
            passed += 1
        except (MismatchError, OSError, UnicodeDecodeError) as problem:
            failed += 1
            print(f"FAIL {case['id']}: {problem!r}")
        for connection in run.connections.values():
            if not connection.finished:
                connection.socket.shutdown(socket.SHUT_WR)
                connection.finished = True
            if connection.socket.fileno() >= 0:
                connection.wait(lambda: False)
                connection.socket.close()
    print(f"{passed} passed, {failed} failed, {skipped} are not for this runner")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
