"""`python -m tools.check`: searches all states of a server and a few clients for violations of the properties."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import click

from conformance.cases.play import numbered, to_yaml
from pychat.command import Command, say
from pychat.spec import Spec, SpecError, load, shipped

from .explore import Bounds, Search, SearchResult
from .properties import AMBIGUOUS, NEVER, PROPERTIES
from .rows import Tables, UnsupportedSpecError, compile_tables
from .trace import Trace, trace

SOUND, FAULTY, MISUSE, INCOMPLETE = range(4)  # exit codes
QUEUE = re.compile(r"([1-9])/([1-9])")
WORDS = (
    "A state is what the server and each client know at one moment, with the frames in the queues between them.\n"
    "A queue holds the frames that one side has sent and the other has not yet taken; for each connection at most "
    "{up} to the server and {down} to the client."
)
CUT_SHORT = "The search was cut short: not all states were seen, and what it has not refuted is not proved."
REPORT_SECONDS = 5.0  # between two lines of progress

File = click.Path(dir_okay=False, path_type=Path)


def _lengths(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """The lengths of the queues to and from the server, read from `2/3`."""
    matched = QUEUE.fullmatch(value)
    if matched is None:
        raise click.BadParameter(f"{value!r} is not like 2/3, two lengths from 1 to 9")
    return int(matched[1]), int(matched[2])


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--clients", type=click.IntRange(1, 4), default=2, show_default=True, help="How many clients there are.")
@click.option(
    "--queue",
    callback=_lengths,
    default="2/2",
    show_default=True,
    metavar="UP/DOWN",
    help="Frames in a queue to and from the server.",
)
@click.option("--wild", type=click.IntRange(0, 4), default=0, help="How many of them keep no rule for clients.")
@click.option("--named", is_flag=True, help="Begin when each client has taken a name: fewer states.")
@click.option("--tuples", type=click.IntRange(0), help="Forget tuples beyond so many: fewer states.")
@click.option("--spec", "path", type=File, help="Another spec than the shipped one.")
@click.option("--limit", type=click.IntRange(1), metavar="STATES", help="Give up after so many states.")
@click.option("--export", type=File, help="Write the traces as conformance plays.")
def main(
    clients: int,
    queue: tuple[int, int],
    wild: int,
    named: bool,
    tuples: int | None,
    path: Path | None,
    limit: int | None,
    export: Path | None,
) -> None:
    """Search every state that a server and a few clients can come to, over bounded queues, built from the spec.

    A state is what the server and each client know at one moment, with the frames in the queues between them. A queue
    holds the frames that one side has sent and the other has not yet taken.

    Prints a shortest trace to each fault. Exits with 0 if there is none, with 1 if there is one, with 2 on misuse, and
    with 3 if --limit ended the search before all was seen.
    """
    if named and export is not None:
        raise click.UsageError("a play begins before the names: leave out --named, or --export")
    bounds = Bounds(clients, *queue, wild, named, tuples)
    try:
        spec = shipped() if path is None else load(path)
        tables = compile_tables(spec)
        sys.exit(_search(spec, tables, bounds, limit, export))
    except (OSError, SpecError, UnsupportedSpecError) as error:
        say(str(error), err=True)
        sys.exit(MISUSE)


def _search(spec: Spec, tables: Tables, bounds: Bounds, limit: int | None, export: Path | None) -> int:
    search = Search(tables, bounds)
    found = search.run(limit=limit, progress=_Reporter())
    traces = [trace(search, violation) for violation in found.traces]
    for each in traces:
        say(f"{each.diagram()}\n")
    if export is not None:
        export.write_text(to_yaml(numbered([each.play() for each in traces if each.steps])), encoding="utf-8")
        say(f"wrote {export}")
    say(_summary(spec, tables, found, traces))
    return FAULTY if traces else SOUND if found.complete else INCOMPLETE


class _Reporter:
    """Prints the progress of a long search."""

    def __init__(self) -> None:
        self.due = REPORT_SECONDS

    def __call__(self, found: SearchResult) -> None:
        if found.seconds >= self.due:
            self.due = found.seconds + REPORT_SECONDS
            pace = found.states / found.seconds
            words = f"{found.states:,} states, {found.waiting:,} waiting, depth {found.depth}, {pace:,.0f} states/s"
            say(words, err=True)


def _summary(spec: Spec, tables: Tables, found: SearchResult, traces: list[Trace]) -> str:
    bounds = found.bounds
    names = f"{bounds.clients} client{'s' if bounds.clients > 1 else ''}"
    size = f"{found.states:,} states, {found.steps:,} steps, depth {found.depth}, {found.seconds:.1f} s"
    lines = [f"{spec.title} {spec.version}: {names}, queues of {bounds.up} up and {bounds.down} down: {size}"]
    if bounds.wild:
        lines[0] += f"; {bounds.wild} without rules"
    lines += [WORDS.format(up=bounds.up, down=bounds.down)]
    lines += ["Every state within these bounds was seen." if found.complete else CUT_SHORT]
    broken = Counter(each.violation.property for each in traces)
    for name, sentence in PROPERTIES.items():
        faults = f"{broken[name]} fault{'s' if broken[name] > 1 else ''}"
        said = faults if broken[name] else _verdict(name, found)
        lines.append(f"  {said:15} {name}: {sentence}")
    rows = [row for row in tables.rows if not row.misplaced]
    fired = sum(row.index in found.fired for row in rows)
    lines.append(f"  {fired} of {len(rows)} rows fired")
    return "\n".join(lines)


def _verdict(name: str, found: SearchResult) -> str:
    """What a search says about a property against which it has found nothing."""
    if name == AMBIGUOUS:
        return "holds"  # it is seen in the tables alone
    if not found.complete:
        return "not refuted yet"
    return "not asked" if name == NEVER and found.bounds.named else "holds"  # rows before the names did not fire


if __name__ == "__main__":
    main()
