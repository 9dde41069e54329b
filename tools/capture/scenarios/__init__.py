"""The scenarios by name. Each is a function of a stage; its docstring says what it shows."""

from __future__ import annotations

from collections.abc import Callable

from tools.capture.stage import Stage

from .chat import chat
from .long import long
from .loss import loss
from .nagle import nagle
from .segmentation import segmentation
from .trouble import trouble

Scenario = Callable[[Stage], None]

SCENARIOS: dict[str, Scenario] = {
    "chat": chat,
    "segmentation": segmentation,
    "trouble": trouble,
    "nagle": nagle,
    "loss": loss,
    "long": long,
}
ALL = tuple(name for name in SCENARIOS if name != "long")  # what a reader of one capture wants to see
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
