"""The scenarios by name. Each is a function of a stage; its docstring says what it shows."""

from __future__ import annotations

from collections.abc import Callable

from tools.capture.stage import Stage

from .chat import chat
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
}
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
