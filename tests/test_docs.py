"""The protocol's page: fresh, whole, true, without a dangling link, and about any protocol."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.engine.target import Address, Command, Target
from pychat.core.machine import client_machine, server_machine
from pychat.server.server import Server
from pychat.spec import Spec, load, shipped
from tools.docs import html, markdown
from tools.docs.__main__ import MARKDOWN, main
from tools.docs.anchors import Anchors
from tools.docs.cases import CaseText, cases
from tools.docs.content import Conversation, Facts, Page, Table, plain
from tools.docs.drawings import drawings
from tools.docs.interactions import interactions
from tools.docs.machines import changes, stays
from tools.docs.page import page
from tools.docs.sequence import draw
from tools.docs.sources import PageSources
from tools.docs.verify import SHIPPED_SERVER, ExampleError, Played, verify_examples

from .conftest import ROOT, SPEC_FILE, changed, need

LITTLE = ROOT / "tests" / "little.yaml"
BOARD = ROOT / "tests" / "board.yaml"
BOARD_SERVER = Command(f"{sys.executable} -m tests.board_server --port 0 --spec {{spec}}")
FEW = (
    CaseText("PAIRED/MSG/one", "One", "", ("R-MSG-1",), ("a> MSG hi",)),
    CaseText("CONNECTED/*/two", "Two", "Why.", ("R-ERR-3",), ()),
)


@pytest.fixture(scope="module")
def made(spec: Spec) -> Page:
    return page(PageSources(spec, FEW))


@pytest.fixture(params=[SPEC_FILE, LITTLE, BOARD], ids=["pychat", "little", "board"])
def any_spec(request: pytest.FixtureRequest) -> Spec:
    return load(request.param)


def cells(made: Page, anchor: str) -> list[str]:
    """The cells of a row, as they are read."""
    rows = [row for part in made.walk() for block in part.blocks if isinstance(block, Table) for row in block.rows]
    return next([plain(cell) for cell in row.cells] for row in rows if row.anchor == anchor)


def facts(made: Page, anchor: str) -> dict[str, str]:
    """The facts of a section."""
    part = next(part for part in made.walk() if part.anchor == anchor)
    return {name: plain(value) for block in part.blocks if isinstance(block, Facts) for name, value in block.rows}


class Links(HTMLParser):
    """The anchors of a page, what its links lead to, what it loads, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: Counter[str] = Counter()
        self.targets: set[str] = set()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "input", "br", "link", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.anchors[value] += 1
            elif name == "href" and value and tag == "a":
                self.targets.add(value)
            elif name in ("src", "href") and value:
                self.loaded.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "input", "br", "link", "img"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def test_the_markdown_is_fresh(spec: Spec) -> None:
    """What is committed is what the spec and the judge say now."""
    assert MARKDOWN.read_text(encoding="utf-8") == markdown.render(page(PageSources(spec, cases(spec)))), (
        "run python -m tools.docs"
    )


def test_the_markdown_has_no_dangling_link(made: Page) -> None:
    """Each link leads to an anchor of the page, and no anchor stands twice."""
    text = markdown.render(made)
    anchors = Counter(re.findall(r'<a id="([^"]+)"></a>', text))
    assert [anchor for anchor, count in anchors.items() if count > 1] == []
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors.keys()


def test_the_page_loads_nothing_and_leads_nowhere_outside(made: Page, any_spec: Spec) -> None:
    """One file: every element closed, every link answered, nothing from the network."""
    need("dot")
    sources = PageSources(any_spec, FEW)
    whole = page(sources)
    index = Links(html.render(whole, drawings(sources), FEW, 1))
    judged = Links(html.render_cases(whole, FEW))
    assert index.open == judged.open == []
    assert index.loaded == judged.loaded == []
    assert max(index.anchors.values()) == 1
    for target in index.targets | judged.targets:
        file, _, anchor = target.partition("#")
        where = {"": index, "index.html": index, "cases.html": judged}[file]
        if any_spec.protocol == sources.spec.protocol and anchor.startswith("R-") and anchor not in any_spec.rules:
            continue  # the cases are the shipped protocol's
        assert not anchor or anchor in where.anchors, target


def test_everything_with_a_name_has_an_anchor(any_spec: Spec) -> None:
    """Verbs, replies, states, rows, types, codes, timers, relations, rules, examples, grammar rules, commands."""
    need("dot")
    sources, anchors = PageSources(any_spec), Anchors(any_spec)
    found = Links(html.render(page(sources), drawings(sources), (), 1)).anchors
    wanted = {anchors.request(verb) for verb in any_spec.requests}
    wanted |= {anchors.reply(reply) for reply in any_spec.replies.values()}
    wanted |= {anchors.state(state) for state in any_spec.states}
    wanted |= {anchors.type(kind) for kind in any_spec.types}
    wanted |= {anchors.error(code) for code in any_spec.errors} | {anchors.goodbye(code) for code in any_spec.goodbyes}
    wanted |= {anchors.timer(name) for name in any_spec.timers} | {anchors.example(name) for name in any_spec.examples}
    wanted |= {anchors.relation(name) for name in any_spec.relations}
    wanted |= any_spec.rules.keys() | {f"command-{name}" for name in any_spec.contract.commands}
    assert wanted <= found.keys()


def test_every_rule_stands_on_the_page_with_its_cases(made: Page, spec: Spec) -> None:
    """In full, and with what shows it."""
    text = markdown.render(made)
    for rule in spec.rules:
        assert f'<a id="{rule}"></a>' in text
    assert "Judged by `PAIRED/MSG/one`" in text


def test_every_example_stands_on_the_page_with_the_words_that_are_said(made: Page, spec: Spec) -> None:
    """No line is left out, and no `…` is left in."""
    conversations = [
        block for part in made.walk() for block in part.blocks if isinstance(block, Conversation) and not block.typed
    ]
    assert [found.example for found in conversations] == list(spec.examples)
    for found in conversations:
        frames = [plain(line.frame) for line in found.lines]
        assert not any(frame.endswith("…") for frame in frames)
        assert len(frames) >= len(spec.examples[found.example].steps)


def test_the_pages_words_are_all_of_the_spec(little: Spec, spec: Spec) -> None:
    """A page of another protocol has none of the first one's verbs, states and codes."""
    text = markdown.render(page(PageSources(little)))
    first = {*spec.requests, *spec.states, *spec.pushes, spec.refusal.verb, spec.goodbye.verb}
    first |= {code for code in {*spec.errors, *spec.goodbyes} if "-" in code}
    first -= {*little.requests, *little.states}
    found = {word for word in first if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)}
    assert found == set()


# Rows, timers and relations in words


@pytest.mark.parametrize(
    ("anchor", "when", "then"),
    [
        (
            "row-named-chat-user-busy",
            "the user <name> is PAIRED and there is no missed(<name>, me)",
            "missed(<name>, me) is added; the user <name> gets MISSED <me>",
        ),
        (
            "row-named-chat-opened",
            "otherwise",
            (
                "this connection is PAIRED; this end and <name> are each other's partner; this end has answered and is "
                "accepted, <name> not yet; the partner is PAIRED and gets CALL <me>"
            ),
        ),
        (
            "row-paired-chat-accepted",
            "<name> is the present partner and this end has not answered",
            "this end has answered and is accepted; the partner gets ACCEPTED <me>",
        ),
        ("row-paired-chat-already-paired", "otherwise", "while there is a partner, this end is accepted no longer"),
        (
            "row-leave-declined",
            "the partner is still there and this end has not answered",
            (
                "this connection is NAMED; the other end has no partner any more; every missed(me, *) is dropped; the "
                "other end gets GONE <me> declined"
            ),
        ),
    ],
)
def test_a_row_reads_like_a_sentence(made: Page, anchor: str, when: str, then: str) -> None:
    """All its conditions, what it changes, and every connection that it tells."""
    assert (cells(made, anchor)[1], cells(made, anchor)[3]) == (when, then)


def test_a_timer_that_does_what_a_row_does(made: Page) -> None:
    """Its condition, both ends, and the link."""
    assert cells(made, "timer-ring")[4] == (
        "if the partner is still there and this end has not answered: this end gets GONE <peer> unanswered; neither "
        "end has a partner any more; the other end gets GONE <me> unanswered"
    )
    assert cells(made, "timer-probe")[4] == "this end gets one PING <number>"


@pytest.mark.parametrize(
    ("push", "only"),
    [
        ("push-accepted", "the partner has not answered"),
        ("push-msg", "the partner has answered"),
        (
            "push-gone",
            (
                "declined: the partner has not answered; left: the partner has answered; unanswered: this end has not "
                "answered, or the partner has not answered"
            ),
        ),
    ],
)
def test_a_push_says_what_a_client_must_know_for_it(made: Page, push: str, only: str) -> None:
    """By the words in it; a push that may come at any time says nothing of the kind."""
    assert facts(made, push)["only while"] == only
    assert "only while" not in facts(made, "push-call") | facts(made, "push-missed") | facts(made, "push-ping")


def test_a_relation_says_what_changes_it() -> None:
    """The rows, whom it tells, where it lives, and how many tuples there may be."""
    made = page(PageSources(load(BOARD)))
    subscriber, note, pinned = (facts(made, f"relation-{name}") for name in ("subscriber", "note", "pinned"))
    assert subscriber["added by"] == "SUB/subscribed"
    assert subscriber["asked by"] == "SUB/reading, SUB/topic-full, SUB/too-many, UNSUB/not-reading"
    assert subscriber["when dropped"] == "each other user with the same topic gets LOSS <topic> <reader> <cause>"
    assert "slow" in subscriber["overflow"]
    assert note["lives"].startswith("on disk")
    assert pinned["lives"] == "while note has a tuple with the same topic"
    assert cells(made, "row-post-posted")[3] == (
        "note(<topic>, *, me, *, <text>) is added; each other user in subscriber(<topic>, *) gets NEWS <topic> "
        "<number> <me> <text>; it is answered when this is on disk, and with NO POST try-later if the disk fails"
    )
    assert cells(made, "row-sub-topic-full")[1] == "there are 3 of subscriber(<topic>, *) already"
    assert facts(made, "state-new")["greets with"] == "WELCOME to the notice board"


def test_a_spec_without_a_part_has_a_page_without_it() -> None:
    """No section, no column and no sentence speaks of a link, of goodbyes, of budgets, of a contract."""
    made = page(PageSources(load(BOARD)))
    assert {section.anchor for section in made.sections}.isdisjoint({"client", "contract", "hints", "security"})
    text = markdown.render(made)
    assert not re.search(
        r"partner|goodbye|budget|counted", text.replace("(#goodbyes)", "").replace('id="goodbyes"', "")
    )
    assert "How a connection ends" in text


# What caused what


def test_each_frame_of_an_example_has_a_cause(any_spec: Spec) -> None:
    """An answer comes from its own end, a push from another one."""
    for found in interactions(any_spec).values():
        for arrow in found.arrows:
            if arrow.kind not in ("receive", "end"):
                continue
            if arrow.text in map(str, any_spec.greeting):
                assert arrow.cause is None
                continue
            assert arrow.cause is not None, (found.example.id, arrow)
            cause, reply = found.arrows[arrow.cause], any_spec.reply_of(arrow.text)
            assert cause.kind in ("send", "finish", "reset")
            assert (cause.who != arrow.who) == (reply is not None and reply.kind == "push"), (found.example.id, arrow)


def test_a_push_has_the_cause_that_is_addressed_to_its_receiver(spec: Spec) -> None:
    """A request that was refused tells the busy user; a call reaches the user that it names, not an earlier one's."""
    arrows = interactions(spec)["missed-call"].arrows
    causes = {arrow.text: arrows[arrow.cause] for arrow in arrows if arrow.cause is not None}
    assert (causes["MISSED carol"].who, causes["MISSED carol"].text) == ("c", "CHAT bob")
    assert (causes["CALL bob"].who, causes["CALL bob"].text) == ("b", "CHAT carol")
    assert (causes["ACCEPTED bob"].who, causes["ACCEPTED bob"].text) == ("b", "CHAT alice")


def crossings(svg: str) -> int:
    """How often a frame to an end crosses one from it."""
    found = re.findall(r'class="frame ([a-z]+)" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', svg)
    lines = [(kind, *map(float, numbers)) for kind, *numbers in found]
    sent = [(x1, y1, y2) for kind, x1, y1, _, y2 in lines if kind == "in"]
    got = [(x2, y1, y2) for kind, _, y1, x2, y2 in lines if kind == "out"]
    return sum(abs(a - b) < 10 and left < came and gone < seen for a, gone, came in sent for b, left, seen in got)


def test_lf_alone_ends_a_line_that_an_example_sends() -> None:
    """A CR within it is shown."""
    example = changed('a> "MSG \\xff\\n"', 'a> "MSG a\\rb\\nWHO\\r\\n"').examples
    shown = [
        arrow.label for found in interactions(replace(shipped(), examples=example)).values() for arrow in found.arrows
    ]
    assert "MSG a␍b" in shown
    assert shown[shown.index("MSG a␍b") + 1] == "WHO␍"


def test_frames_that_crossed_cross_in_the_drawing(spec: Spec) -> None:
    """They do where an example is about a crossing, and nowhere in a plain chat."""
    found = {name: crossings(draw(example)) for name, example in interactions(spec).items()}
    assert found["private-chat"] == found["greeting"] == found["refusals"] == found["missed-call"] == 0
    assert found["crossing-calls"] == found["line-against-leave"] == found["leave-against-leave"] == 1
    assert found["answer-against-leave"] == 1
    assert found["call-and-line-against-a-call"] >= 2


def test_every_step_of_an_example_is_drawn(any_spec: Spec) -> None:
    """One arrow for each, and every one at a place."""
    for found in interactions(any_spec).values():
        svg = draw(found)
        assert svg.count("<g>") == len(found.arrows)
        assert "nan" not in svg


# The machines


def test_the_diagram_has_every_event_of_the_machine(any_spec: Spec) -> None:
    """Edges and boxes together say all that the machine does, and side by side runs no edge."""
    for machine in (server_machine(any_spec), client_machine(any_spec)):
        edges = changes(machine)
        assert len({(edge.source, edge.target) for edge in edges}) == len(edges)
        shown = {event for edge in edges for event in edge.events} | {
            e for kept in stays(machine).values() for e in kept
        }
        assert shown == set(machine.events)


def test_a_timer_stands_in_the_diagram_by_its_name(spec: Spec) -> None:
    """Where its row is done, and at the other end; each of them is a link to the timer."""
    need("dot")
    svg = drawings(PageSources(spec))["server-machine"]
    assert svg.count(">ring</text>") == svg.count(">ring of the partner</text>") == 1
    assert svg.count('href="#timer-ring"') == 2
    assert svg.count(">probe</text>") == len(spec.live_states)


# Played


@pytest.mark.parametrize(
    ("file", "server"),
    [(SPEC_FILE, SHIPPED_SERVER), (LITTLE, SHIPPED_SERVER), (BOARD, BOARD_SERVER)],
    ids=["pychat", "little", "board"],
)
def test_the_examples_are_true(file: Path, server: Target) -> None:
    """Each of all protocols, against the real server; what the board keeps is on a fake disk."""
    spec = load(file)
    assert verify_examples(spec, file, server) == Played(len(spec.examples))


def test_a_protocol_that_cannot_be_judged_has_a_page_too(tmp_path: Path) -> None:
    """Its examples are replayed without a server, and the page says so."""
    file = tmp_path / "mute.yaml"
    lines = LITTLE.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("  echo:")), encoding="utf-8")
    played = verify_examples(load(file), file)
    assert (played.examples, "cannot be judged" in played.reason) == (0, True)
    code, said = run(tmp_path / "site", file)
    assert (code, "no example played" in said) == (0, True), said
    assert "is what the shipped server's core did" in (tmp_path / "site" / "PROTOCOL.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("step", "changes", "reason"),
    [
        (1, {"text": "OK NAME alicia"}, "step 2: wanted a< OK NAME alicia, got a< OK NAME alice"),
        (4, {"text": "", "kind": "end"}, "step 5: wanted the end of the stream, got the state NAMED"),
        (-1, None, "wanted nothing more, got a< OK WHO 1"),
    ],
    ids=["another-frame", "no-end", "a-frame-is-left-out"],
)
def test_an_example_that_is_not_true_is_found(
    spec: Spec, step: int, changes: dict[str, str] | None, reason: str
) -> None:
    """The machines say so before a server is asked."""
    example = spec.examples["who-is-there"]
    steps = list(example.steps)
    steps[step:] = [replace(steps[step], **changes), *steps[step:][1:]] if changes else []  # type: ignore[arg-type]
    wrong = replace(spec, examples={example.id: replace(example, steps=tuple(steps))})
    with pytest.raises(ExampleError, match=f"who-is-there is not true: .*{reason}"):
        verify_examples(wrong, SPEC_FILE)


def test_a_server_that_does_not_play_an_example_is_found(spec: Spec) -> None:
    """It has another spec than the page: the step, what was wanted and what came."""
    other = changed("user-busy", "user-taken")
    with Server(other, "127.0.0.1", 0) as server:
        wrong = replace(spec, examples={"refusals": spec.examples["refusals"]})
        with pytest.raises(
            ExampleError, match=r"does not play the example refusals: .*wanted .*user-busy.* got .*user-taken"
        ):
            verify_examples(wrong, SPEC_FILE, Address(*server.address))


@pytest.mark.parametrize(("command", "reason"), [("false", "before it listened"), ("no-such-program", "no-such")])
def test_a_server_that_does_not_start_is_told(spec: Spec, command: str, reason: str) -> None:
    """The page is not made without its examples."""
    with pytest.raises(ExampleError, match=f"cannot be played: .*{reason}"):
        verify_examples(spec, SPEC_FILE, Command(command))


# The command


def run(out: Path, spec: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--out", str(out), "--spec", str(spec), *options])
    return result.exit_code, result.output


def test_the_command_writes_the_site(tmp_path: Path) -> None:
    """Both protocols; the second one's Markdown goes beside its page."""
    need("dot")
    code, said = run(tmp_path, LITTLE)
    assert code == 0, said
    assert {file.name for file in tmp_path.iterdir()} == {"index.html", "PROTOCOL.md"}
    assert "1 examples played" in said


def test_the_check_writes_nothing_and_says_what_is_stale(tmp_path: Path) -> None:
    """A page that is not what the spec says is a failure with a reason."""
    code, said = run(tmp_path, LITTLE, "--check")
    assert code == 1
    assert "run python -m tools.docs" in said
    assert list(tmp_path.iterdir()) == []


def test_the_build_fails_where_an_example_is_not_true(tmp_path: Path) -> None:
    """The message names the example, the step, and both frames; nothing is written."""
    text = SPEC_FILE.read_text(encoding="utf-8").replace("- a< OK WHO 1\n", "- a< OK WHO 2\n", 1)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text, encoding="utf-8")
    code, said = run(tmp_path / "site", wrong)
    assert code == 1
    assert "the example who-is-there is not true: step 5: wanted a< OK WHO 2, got a< OK WHO 1" in said
    assert not (tmp_path / "site").exists()


def test_a_spec_without_an_example_has_a_page(little: Spec) -> None:
    """It begins without a conversation."""
    sources = PageSources(replace(little, examples={}), ())
    assert "Start here" in markdown.render(page(sources))
    assert html.render(page(sources), drawings(sources), (), 0)
