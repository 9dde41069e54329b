"""The line contract of clients: how commands are written and what is printed, from the spec. Knows no word of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conformance.oracle.frames import parse_reply
from pychat.spec import Spec
from pychat.spec.forms import Field, Variable

CONNECTED, REFUSED, LOST = "connected", "refused", "lost"  # the notices of every contract


@dataclass
class Contract:
    """How commands are written and what is printed, from the spec."""

    spec: Spec

    def command(self, verb: str, values: Mapping[str, str]) -> str | None:
        """The command that sends this request, None if there is none."""
        for word, template in self.spec.contract.commands.items():
            if template.form.verb != verb:
                continue
            parts = zip(template.parts, template.form.parts, strict=True)
            fields = [(part, shape.name) for part, shape in parts if isinstance(shape, Field)]
            if all(isinstance(part, Variable) or part == values[name] for part, name in fields):
                return " ".join([word, *(values[name] for part, name in fields if isinstance(part, Variable))])
        return None

    def width(self, text: str) -> int:
        """How long the last field of a command may be, in octets."""
        fields = self.spec.contract.commands[text.split(" ")[0]].form.fields
        return self.spec.types[fields[-1].type].octets[1]

    def printed(self, text: str) -> str | None:
        """The line that a frame of the server is printed as, None if it is not printed."""
        got = parse_reply(self.spec, text)
        template = self.spec.contract.prints.get(got.reply.key) if got else None
        return template.fill(got.values) if got and template else None
