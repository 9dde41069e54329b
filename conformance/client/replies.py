"""Cells for clients: every frame of a server, in every view that a client can have of itself and its partner.

A frame that may come there is taken and printed; after one that may not, the client should close. Knows no verb.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from conformance.cases.matrix import ANY_LINE
from conformance.cases.play import CLIENT, Play, Step
from conformance.cases.values import BAD_UTF8
from conformance.oracle.frames import write_form
from conformance.oracle.model import Text

from .cells import ODD_WORDS, ClientCells, received, sent

VERBS = ("XYZZY", "xyzzy")  # words of no spec


class Replies(ClientCells):
    """The cells of a spec in which the server speaks first."""

    def cells(self) -> Iterator[Play]:
        yield from self._probes()
        yield from self._pushes()
        yield from self._goodbyes()
        yield from self._unknown()
        yield from self._unasked()
        yield from self._strange()

    def _probes(self) -> Iterator[Play]:
        """What comes by itself and wants a reply, in every configuration."""
        for push in self.spec.pushes.values():
            if push.reply is None:
                continue
            fields = self._plain(push.form)
            pushed = received(write_form(push.form, fields), self.spec)
            reply = sent(push.reply.fill(fields).encode() + self.ending)
            for configuration in self.configurations:
                _, steps = self._led_into(configuration)
                title = f"{push.verb} of the server in {configuration} is answered with {push.reply}"
                rules = ("R-CLIENT-7",)
                yield self._cell(configuration, push.verb, "from-the-server", title, rules, steps, pushed, reply)

    def _pushes(self) -> Iterator[Play]:
        """Every other push in every view, with each of its words: taken and printed where it may come.

        Where it may not, since of what both ends of the chat know or with another user's name, the client should close.
        """
        pushes = [push for push in self.spec.pushes.values() if push.reply is None]
        for (view, path), push in itertools.product(self.views.items(), pushes):
            world, steps = self._led(path)
            for name, values in self._said(world, push.form):
                line = write_form(push.form, values)
                if self._may_come(world, push.form, values):
                    says, variant, rule = f"{line} in {view} is taken", f"comes{name}", "R-FRAME-8"
                    due = self.given(Text(line))
                else:
                    says, variant, rule = f"the client closes after {line} in {view}", f"not{name}", "R-CLIENT-10"
                    due = self._closing(line)
                yield self._cell(view, push.verb, variant, says, (rule,), steps, *due)

    def _goodbyes(self) -> Iterator[Play]:
        """The server's last frame in every view."""
        at_once = [goodbye.code for goodbye in self.spec.goodbyes.values() if goodbye.when in ("full", "share")]
        found = [(view, code, "comes") for view, code in self._goodbye_in_each_view()]
        for view, code, name in [*found, *((self.spec.initial, code, f"comes-{code}") for code in at_once)]:
            _, steps = self._led(self.views[view])
            frame, *printed = self.given(Text(self.spec.goodbye_line(code, ODD_WORDS)))
            due = [frame, Step(CLIENT, "end"), *printed]
            title = f"{code} in {view} ends the connection"
            yield self._cell(view, self.spec.goodbye.verb, name, title, ("R-ANS-5",), steps, *due)

    def _goodbye_in_each_view(self) -> Iterator[tuple[str, str]]:
        """Each view with the code of a goodbye that may come there; the codes take turns."""
        for turn, view in enumerate(self.views):
            codes = self.goodbyes(view.partition("+")[0])
            if codes:
                yield view, codes[turn % len(codes)]

    def _unknown(self) -> Iterator[Play]:
        """Frames of a later version, in every view: nothing follows from them."""
        verbs = [word for word in VERBS if re.fullmatch(self.spec.framing.verb, word)]
        variants = (("unknown-push", ""), ("unknown-push-with-fields", " of 2 words"))
        for (view, path), verb, (name, fields) in itertools.product(self.views.items(), verbs, variants):
            _, steps = self._led(path)
            title = f"{verb}{fields} in {view} is ignored"
            frame = received(f"{verb}{fields}", self.spec)
            yield self._cell(view, ANY_LINE, name, title, ("R-CLIENT-12",), steps, frame)
        heard = {reply.form.verb for reply in self.spec.replies.values()}
        asked = [request for verb, request in self.spec.requests.items() if verb not in heard]
        frames = [received(write_form(request.form, self._plain(request.form)), self.spec) for request in asked]
        title = "what only a client says is unknown from a server, and ignored"
        yield self._cell(self.spec.initial, ANY_LINE, "requests-from-the-server", title, ("R-CLIENT-12",), [], *frames)

    def _unasked(self) -> Iterator[Play]:
        """Answers, items and refusals of requests that the client has not sent, in every state."""
        for state in [state for state in self.spec.live_states if state in self.views]:
            lines = {
                reply.key: write_form(reply.form, self._plain(reply.form))
                for reply in self.spec.replies.values()
                if reply.kind in ("answer", "item")
            }
            for row in (row for rows in self.spec.states[state].recv.values() for row in rows):
                if row.error is not None:
                    lines.setdefault(f"refused {row.verb}", self.spec.refusal_line(row.verb, row.error))
            for key, line in lines.items():
                _, steps = self._led(self.views[state])
                name = f"{key.lower().replace(' ', '-')}-unasked"
                title = f"the client closes after an answer that nobody has asked for: {line}"
                yield self._cell(state, ANY_LINE, name, title, ("R-CLIENT-10",), steps, *self._closing(line))

    def _strange(self) -> Iterator[Play]:
        """What is no frame of a server: the client should close, and prints nothing of it."""
        octets = {f"not-utf8-{name}": bad + b"\n" for name, bad in BAD_UTF8.items()}
        octets |= {"empty": b"\n", "too-long": b"x" * self.spec.framing.max_octets}
        for word in VERBS:
            if not re.fullmatch(self.spec.framing.verb, word):
                octets["no-verb"] = word.encode() + b"\n"
        for reply in self.spec.replies.values():
            name = reply.key.lower().replace(" ", "-")
            if reply.form.fields:
                octets[f"{name}-without-fields"] = reply.key.encode() + b"\n"
            if reply.key != reply.form.verb:
                octets[f"{reply.form.verb.lower()}-of-nothing"] = f"{reply.form.verb} {VERBS[0]}\n".encode()
        for name, line in octets.items():
            steps = [Step(CLIENT, "receive", line, line.decode("utf-8", "replace")), *self._closed()]
            title = f"the client closes after a frame that no server may send: {name}"
            yield self._cell(self.spec.initial, ANY_LINE, name, title, ("R-CLIENT-10",), [], *steps)
