"""Commands with which a server is asked by hand: netcat, with the host, the port and the octets of frames."""

from __future__ import annotations

from collections.abc import Sequence

from pychat.spec import Spec

HOST = "127.0.0.1"


def typed(spec: Spec) -> str:
    """The command that makes a terminal a client. `-N` ends the sending half at the end of the input."""
    return f"nc -N {HOST} {spec.transport.port}"


def piped(spec: Spec, frames: Sequence[bytes]) -> str:
    """The command that sends these frames, with their endings, and prints what comes; nothing without a frame."""
    shown = "".join(map(_printf, b"".join(frames)))
    return f"printf '{shown}' | {typed(spec)}" if frames else ""


def _printf(octet: int) -> str:
    """An octet in the format of printf(1), inside the single quotes of a shell."""
    special = {ord("\n"): r"\n", ord("\r"): r"\r", ord("\\"): r"\\", ord("%"): "%%", ord("'"): r"'\''"}
    return special.get(octet) or (chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03o}")
