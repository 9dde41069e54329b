"""What a spec must have to be judged; whatever it lacks is said before anything is started. Knows no verb."""

from __future__ import annotations

from collections.abc import Iterator

from pychat.spec import Spec
from pychat.spec.forms import Field, Template, Variable

from .names import Names
from .probe import UnjudgeableError, barrier_verb


def require_judgeable(spec: Spec) -> None:
    """Raises UnjudgeableError: nothing proves silence, or plays that share a server would meet in a relation."""
    barrier_verb(spec)
    written = _written_types(spec)
    for relation in spec.relations.values():
        for column in relation.keys:
            kind = spec.types.get(column.type)
            if kind is None or kind.name == spec.names:
                continue
            if kind.name in written:
                reason = f"the server fills fields of the type {kind.name} by itself too: give the column its own type"
            elif any(len({Names(spec, n).unique(value, kind) for n in (10_000, 99_999)}) < 2 for value in kind.good):
                reason = f"a number is added to each good value, which the type {kind.name} does not take"
            else:
                continue
            raise UnjudgeableError(
                f"{spec.source}: it cannot be judged: plays share a server, so what {relation.name} keeps under "
                f"<{column.name}> must differ from play to play, and {reason}"
            )


def _written_types(spec: Spec) -> set[str]:
    """The types of the fields whose values the server chooses: codes, numbers, reasons, words of the spec."""
    forms = [spec.refusal, spec.goodbye, *(error.form for error in spec.errors.values() if error.form is not None)]
    found = {field.type for form in forms for field in form.fields}
    columns = {
        column.name
        for relation in spec.relations.values()
        for column in relation.columns
        if column.type == "user" or column.type in spec.types
    }
    for verb, template in _templates(spec):
        given = {field.name for field in spec.requests[verb].form.fields} if verb else set()
        known = {"me", "peer", *columns, *given}
        found |= {
            shape.type
            for shape, part in zip(template.form.parts, template.parts, strict=True)
            if isinstance(shape, Field) and not (isinstance(part, Variable) and part.name in known)
        }
    return found


def _templates(spec: Spec) -> Iterator[tuple[str, Template]]:
    """Each template of a frame of the server, with the request that leads to it ("": none does)."""
    rows = [row for _, row in spec.outcomes()]
    rows += [timer.row for timer in spec.timers.values() if timer.row is not None]
    for row in rows:
        if row.answer is not None:
            yield row.verb, row.answer
        if row.partner is not None:
            yield row.verb, row.partner.push
        for tell in row.tells:
            yield row.verb, tell.push
    if spec.ending.partner is not None:
        yield "", spec.ending.partner.push
    for relation in spec.relations.values():
        yield from (("", template) for template in (relation.added, relation.dropped) if template is not None)
