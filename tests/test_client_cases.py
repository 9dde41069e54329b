"""What the cases for clients send: a right server could send each frame that is to be taken, and none that is not."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.cases.case import Case
from conformance.cases.play import CLIENT, Play, Step
from conformance.client.walks import walks
from conformance.suite import client_cases
from pychat.spec import Spec

from .client_view import ClientView, WrongFrameError


def _closes(steps: list[Step], place: int) -> bool:
    """Whether the client closes the connection after the frame at this place."""
    return [step.kind for step in steps[place + 1 : place + 2]] == ["finish"] and steps[place + 1].who == CLIENT


def _wrong(spec: Spec, play: Play, *, held: bool) -> Iterator[str]:
    """The frames that are not as the case takes them. `held`: what may be held is, and is sent later."""
    view, rest = ClientView(spec), b""
    unprinted = any(step.kind == "unprinted" for step in play.steps) and not play.terminal
    steps = [step for step in play.steps if held or not step.held]
    steps = [step for step in steps if step.who == CLIENT or step.kind == "flood"]
    for place, step in enumerate(steps):
        view.any_lines = view.any_lines or step.kind == "flood"
        if step.kind == "send":
            view.sent(step.octets.removesuffix(b"\n"))
        elif step.kind == "receive":
            *lines, rest = (rest + step.octets).split(b"\n")
            last = _closes(steps, place)
            for number, line in enumerate([*lines, rest] if last and not lines else lines):
                bad = last and number == max(len(lines) - 1, 0)
                try:
                    view.take(line.decode("utf-8").removesuffix("\r"))
                except (WrongFrameError, UnicodeDecodeError) as error:
                    if not bad and not unprinted and view.state != "CLOSED":
                        yield f"{play.id}: {line[:60]!r}: {error}"
                else:
                    if bad and len(line) < spec.framing.max_octets:
                        yield f"{play.id}: {line[:60]!r} may come"


def _all_wrong(spec: Spec, cases: list[Case]) -> list[str]:
    plays = {case.id: case.play for case in cases if case.play is not None}.values()
    return [said for play in plays for held in (True, False) for said in _wrong(spec, play, held=held)]


def test_a_right_server_could_send_what_a_case_sends(spec: Spec) -> None:
    """By all that a client can know: its state, its names, its partner and what it has asked."""
    assert not _all_wrong(spec, client_cases(spec))


def test_a_right_server_could_send_what_a_walk_sends(spec: Spec) -> None:
    """Walks are answered by the model."""
    assert not _all_wrong(spec, list(walks(spec, 30, 1)))
