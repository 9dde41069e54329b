"""The Lua script for Wireshark: the rules of a spec and the engine in one file. Knows the contents of neither."""

from __future__ import annotations

from pathlib import Path

from pychat.spec import Spec

from .rules import lua, rules

ENGINE = Path(__file__).with_name("engine")
PARTS = (  # the parts of the engine in the order in which they require one another, and what each is given
    ("gaps", ""),
    ("frames", "spec, rex_pcre2"),
    ("recognition", "spec, frames"),
    ("views", "spec"),
    ("connections", "spec, views"),
    ("requests", "spec, views, connections"),
    ("replies", "spec, views, connections"),
    ("showing", "spec"),
    ("dissect", "spec, gaps, frames, recognition, connections, requests, replies, showing"),
)
HEADER = """\
-- {title}: a dissector for Wireshark 4, written by `python -m tools.dissector`. Do not edit it: change the spec.
-- Spec: {protocol} version {version}, SHA-256 {sha256}
"""


def script(spec: Spec) -> str:
    """The whole dissector for a spec."""
    header = HEADER.format(title=spec.title, protocol=spec.protocol, version=spec.version, sha256=spec.sha256)
    parts = [header, f"local spec = {lua(rules(spec))}\n"]
    for name, given in PARTS:
        body = (ENGINE / f"{name}.lua").read_text(encoding="utf-8")
        parts.append(f"local {name} = (function(...)\n{body}end)({given})\n")
    return "\n".join(parts)
