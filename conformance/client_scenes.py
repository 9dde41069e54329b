"""The cases that no script can tell: timers, slow readers, shutdown, limits."""

from __future__ import annotations

from pychat.spec import Spec

from .suite import Case


def client_scenes(spec: Spec) -> list[Case]:
    return []
