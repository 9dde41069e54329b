"""From a capture to a document, and from there to files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pychat.spec import Spec
from tools.dissector.script import script
from tools.vocabulary import Vocabulary

from .appendix import with_appendix
from .document import Document, bracketed, listed, plural, quoted
from .findings import Findings
from .reading import read
from .sections import (
    calls,
    checking,
    closing,
    flows,
    gaps,
    handshake,
    losses,
    network,
    patterns,
    problems,
    repairs,
    routing,
    segmentation,
    session,
    small,
    sockets,
    summary,
    talk,
    transport,
    windows,
)
from .tshark import ReportError, Tshark, version

SECTIONS = (  # in their order
    summary,
    checking,
    gaps,
    sockets,
    handshake,
    flows,
    segmentation,
    small,
    transport,
    repairs,
    losses,
    windows,
    network,
    routing,
    session,
    patterns,
    calls,
    talk,
    closing,
    problems,
)
_NAMES_SHOWN = 12


def analyse(
    path: Path, spec: Spec, say: Callable[[str], None], decode_as: tuple[str, ...] = (), *, data: bool = True
) -> Document:
    """The report on a capture; without `data` only what is printed. Raises ReportError."""
    tshark_version = version()
    if not path.is_file():
        raise ReportError(f"there is no capture {path}")
    with tempfile.TemporaryDirectory(prefix="pychat-report-") as folder:
        dissector = Path(folder) / f"{spec.protocol}.lua"
        dissector.write_text(script(spec), encoding="utf-8")
        reader = Tshark(path, dissector, spec.protocol, tshark_version, spec.transport.port, decode_as=decode_as)
        capture = read(reader, spec.protocol, say)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        findings = Findings(capture, spec, Vocabulary.of(spec), digest)
        say("writing the sections")
        sections = [section for module in SECTIONS for section in module.sections(findings)]
        return Document(
            title="Analysis of a chat on the wire",
            subtitle=f"{spec.title}: TCP traffic from the handshake to the conversation",
            facts=_facts(findings),
            sections=with_appendix(sections),
            data=_data(findings) if data else {},
        )


def _facts(findings: Findings) -> list[tuple[str, str]]:
    return [
        ("Capture", quoted(findings.capture.original.name)),
        ("Recorded", f"{findings.begun:%d %B %Y, %H:%M:%S} UTC, {findings.duration:.1f} s"),
        ("Server", ", ".join(quoted(bracketed(end)) for end in findings.capture.servers[:3])),
        (
            "People",
            _named(findings.people) or "no user took a name",
        ),
        (
            "Content",
            f"{plural(len(findings.packets), 'packet')} on {plural(len(findings.established), 'TCP connection')}",
        ),
        ("Read with", f"TShark {findings.tshark.version} and the dissector made from the protocol's specification"),
        ("Checkable", "below each statement: frame numbers, and the display filter that shows them"),
    ]


def _named(people: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = [f"{len(people) - _NAMES_SHOWN} more"] if len(people) > _NAMES_SHOWN else []
    return listed([*people[:_NAMES_SHOWN], *more])


def _data(findings: Findings) -> dict[str, Any]:
    """What programs read: the figures behind the sections."""
    return {
        "preferences": findings.tshark.preferences[1::2],
        "counts": _counts(findings),
        "prepared": [{"command": step.shown, "frames": list(step.frames)} for step in findings.capture.prepared],
        "proofs": [asdict(proof) for proof in findings.proofs],
        "capture": {"packets": findings.capture.total, "sha256": findings.digest, "seconds": findings.duration},
        "connections": [
            {
                "stream": one.stream,
                "client": bracketed(one.client),
                "server": bracketed(one.server),
                "user": one.user,
                "first": one.first,
                "last": one.last,
                "packets": [one.packets_up, one.packets_down],
                "octets": [one.octets_up, one.octets_down],
                "exact": [findings.whole(one.stream, from_client=side) for side in (True, False)],
                "handshake": asdict(one.handshake) if one.handshake else None,
                "close": asdict(one.close),
                "states": [asdict(period) for period in findings.periods(one)],
                "unreadable": one.unreadable,
                "gaps": [asdict(hole) for hole in gap.holes],
                "unseen": [asdict(each) for each in gap.unseen],
                "begun": gap.begun,
                "ended": gap.ended,
                "one_way": gap.one_way,
            }
            for one, gap in zip(findings.connections, findings.gaps, strict=True)
        ],
        "calls": [asdict(call) | {"ringing": call.ringing, "lasted": call.lasted} for call in findings.calls],
        "think_times": [
            {"frame": each.frame, "since": each.since, "user": each.line.speaker, "seconds": each.took}
            for each in findings.thoughts
            if not each.disturbed
        ],
        "missed": [asdict(missed) for missed in findings.missed],
        "requests": [asdict(request) for request in findings.requests],
        "refusals": [
            {"frame": line.number, "user": line.user, "verb": line.request, "code": line.values.get("code", "")}
            for line in findings.of_kind("refusal")[0]
        ],
        "violations": [asdict(violation) for violation in findings.violations],
        "tcp_analysis": {sign.name: list(sign.evidence.frames) for sign in findings.signs},
        "sources": [asdict(sender) for sender in findings.senders],
        "segmentation": [
            {
                "stream": one.connection.stream,
                "from": one.sender,
                "exact": findings.whole(one.connection.stream, from_client=one.from_client),
                "segments": len(one.segments),
                "lines": len(one.lines),
                "spanning": [
                    {"frames": list(placed.frames), "complete": placed.line.number, "octets": placed.line.length}
                    for placed in one.spanning
                ],
                "most_in_one": one.most_in_one,
            }
            for one in findings.directions
        ],
    }


def _counts(findings: Findings) -> dict[str, Any]:
    """Each main figure with its bound: `exact`, or `at least` where what is missing can make it larger."""

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shown(each) for name, each in value.items()}
        return {"value": value.value, "bound": "exact" if value.exact else "at least"}

    return {each.name: shown(getattr(findings.counts, each.name)) for each in fields(findings.counts)}
