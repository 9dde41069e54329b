"""The line contract of clients: how commands are written and what is printed, from the spec. Knows no word of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pychat.spec import Spec
from pychat.spec.model import Variable

from .frames import parse_reply


@dataclass
class Contract:
    """How commands are written and what is printed, from the spec."""

    spec: Spec
    words: dict[str, str] = field(init=False)  # request → command

    def __post_init__(self) -> None:
        self.words = {template.form.verb: word for word, template in self.spec.contract.commands.items()}

    def command(self, verb: str, values: dict[str, str]) -> str | None:
        """The command that sends this request, None if there is none."""
        word = self.words.get(verb)
        if word is None:
            return None
        template = self.spec.contract.commands[word]
        fields = [part.name for part in template.parts if isinstance(part, Variable)]
        return " ".join([word, *(values[name] for name in fields)])

    def width(self, text: str) -> int:
        """How long the last field of a command may be, in octets."""
        fields = self.spec.contract.commands[text.split(" ")[0]].form.fields
        return self.spec.types[fields[-1].type].octets[1]

    def printed(self, text: str) -> str | None:
        """The line that a frame of the server is printed as, None if it is not printed."""
        got = parse_reply(self.spec, text)
        template = self.spec.contract.prints.get(got.reply.key) if got else None
        return template.fill(got.values) if got and template else None
