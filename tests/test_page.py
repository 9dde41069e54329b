"""How the page looks and reads: its colours, its print, a phone, what is typed by hand, and what its words promise."""

from __future__ import annotations

import html as escaping
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pychat.core.session import RemoteProtocolError, Session
from pychat.spec import Spec, load
from tools.docs import html, markdown, minimal
from tools.docs.anchors import Anchors
from tools.docs.by_hand import piped
from tools.docs.content import Conversation, Facts, Page, Program, Rules, Span, Table, plain
from tools.docs.drawings import drawings
from tools.docs.interactions import interactions
from tools.docs.ladder import ladder
from tools.docs.page import page
from tools.docs.sequence import placed_label
from tools.docs.sources import PageSources

from .conftest import PATIENCE, ROOT, SPEC_FILE, Stage, need, output

STYLE = (ROOT / "tools" / "docs" / "page.css").read_text(encoding="utf-8")
WORDS = ("ink", "soft", "link", "client", "server", "error", "state")  # the colours of words
GROUNDS = ("paper", "raised", "line", "mark")
CONTRAST = 4.5  # of words to their ground: WCAG 2.2, 1.4.3
MOST_PAGES = 45
PHONE, DESK = 390, 1400  # pixels
ABOUT = ("shipped", "little", "board")
FILES = {"shipped": SPEC_FILE, "little": ROOT / "tests" / "little.yaml", "board": ROOT / "tests" / "board.yaml"}


@pytest.fixture(scope="module")
def sources(spec: Spec) -> PageSources:
    return PageSources(spec)


@pytest.fixture(scope="module")
def made(sources: PageSources) -> Page:
    return page(sources)


@pytest.fixture(params=ABOUT)
def any_sources(request: pytest.FixtureRequest) -> PageSources:
    return PageSources(load(FILES[request.param]))


@pytest.fixture(scope="module")
def whole(sources: PageSources, made: Page) -> str:
    """The page as HTML."""
    need("dot")
    return html.render(made, drawings(sources), (), 1)


# Colours


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_each_colour_of_words_can_be_read_on_each_ground(scheme: int) -> None:
    """With a contrast of 4.5 at least; a line that is no word has 3 on what the drawings stand on."""
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[scheme]))
    for word in WORDS:
        for ground in GROUNDS:
            assert contrast(colours[word], colours[ground]) >= CONTRAST, (word, ground)
    assert contrast(colours["faint"], colours["raised"]) >= 3
    assert not re.search(r"(?<!-)\b(?:color|fill): var\(--faint\)", STYLE)


MEASURE = """
const found = {};
const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const ground = (at) => {
  for (; at; at = at.parentElement) {
    const colour = numbers(at.ownerDocument.defaultView.getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, view = frame.contentWindow;
    for (const part of page.querySelectorAll("details")) part.open = true;
    const code = [...page.querySelectorAll("main pre")].filter((at) => at.scrollWidth > at.clientWidth);
    const wide = [...page.querySelectorAll("main table, main p, main dl, main li")]
      .filter((at) => at.getBoundingClientRect().right > view.innerWidth + 1)
      .concat(code).map((at) => at.textContent.slice(0, 60));
    const dim = new Set();
    const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      const at = node.parentElement, style = view.getComputedStyle(at);
      if (!node.data.trim() || !at.getClientRects().length || at.closest("script, style, .here, svg")) continue;
      const [one, other] = [light(numbers(style.color)), light(ground(at))].sort((a, b) => a - b);
      const ratio = (other + 0.05) / (one + 0.05);
      if (ratio < 4.5) dim.add(`${ratio.toFixed(2)} ${node.data.trim().slice(0, 40)}`);
      for (let up = at; up; up = up.parentElement)
        if (Number(view.getComputedStyle(up).opacity) < 1) dim.add(`opacity ${node.data}`);
    }
    found[frame.id] = { width: page.documentElement.scrollWidth, wide, dim: [...dim] };
  }
  document.body.textContent = JSON.stringify(found);
});
"""


def test_a_browser_shows_no_dim_word_and_nothing_that_is_too_wide(whole: str, tmp_path: Path) -> None:
    """On a desk and on a phone, light and dark; code is folded, and a drawing that is wide scrolls in its own box."""
    browser = need("chromium")
    frames = []
    for scheme, holds in (("light", "max-width: 0px"), ("dark", "min-width: 1px")):
        text = escaping.escape(whole.replace("prefers-color-scheme: dark", holds))
        frames += [
            f'<iframe id="{scheme} {width}" style="width:{width}px;height:900px;border:0" srcdoc="{text}"></iframe>'
            for width in (PHONE, DESK)
        ]
    file = tmp_path / "frames.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><script>{MEASURE}</script>{''.join(frames)}", encoding="utf-8")
    shown = re.search(r"<body>(.*)</body>", in_browser(browser, "--dump-dom", file), re.DOTALL)
    assert shown is not None
    found = json.loads(escaping.unescape(shown[1]))
    assert len(found) == 4
    for name, seen in found.items():
        assert seen["width"] <= int(name.split()[1]), name
        assert (seen["wide"], seen["dim"]) == ([], []), name


def in_browser(browser: str, option: str, file: Path) -> str:
    """What a browser without a window prints for a file."""
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", option, file.as_uri()]
    return subprocess.run(words, capture_output=True, encoding="utf-8", check=True, timeout=12 * PATIENCE).stdout


# Paper


def test_a_print_is_short_and_breaks_no_word(whole: str, spec: Spec, tmp_path: Path) -> None:
    """Of 45 pages at most; no code is cut at its hyphen, and no word stands beyond the edge of the paper."""
    browser = need("chromium")
    file, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    file.write_text(whole, encoding="utf-8")
    in_browser(browser, f"--print-to-pdf={paper}", file)
    assert int(re.search(r"Pages: +(\d+)", output("pdfinfo", paper))[1]) <= MOST_PAGES  # type: ignore[index]
    file.write_text(whole.replace("</style>", "svg { display: none !important; }</style>", 1), encoding="utf-8")
    in_browser(browser, f"--print-to-pdf={paper}", file)  # the labels of drawings are turned
    codes = [code for code in (*spec.errors, *spec.goodbyes, *spec.rules, "UTF-8") if "-" in code]
    halves = {code[: place + 1] for code in codes for place, letter in enumerate(code) if letter == "-"}
    ends = [line.rpartition(" ")[2] for line in output("pdftotext", "-layout", paper, "-").splitlines()]
    assert halves.isdisjoint(ends)
    boxes = output("pdftotext", "-bbox", paper, "-")
    wide = float(re.search(r'<page width="([\d.]+)"', boxes)[1])  # type: ignore[index]
    words = re.findall(r'<word xMin="([\d.]+)" yMin="[\d.]+" xMax="([\d.]+)" yMax="[\d.]+">(.*?)</word>', boxes)
    assert [word for left, right, word in words if float(left) < 0 or float(right) > wide] == []
    text = {word for _, _, word in words}
    assert {code for code in codes if not any(code in word for word in text)} == set()


# By hand


def commands(made: Page) -> list[str]:
    """Every command line with netcat on the page."""
    found = []
    for part in made.walk():
        for block in part.blocks:
            spans = getattr(block, "spans", ())
            found += [span.text for span in spans if span.style == "code" and re.search(r"\bnc\b", span.text)]
            if isinstance(block, Program):
                found += [plain(line) for line in block.lines if "| nc " in plain(line)]
    return found


def test_each_command_by_hand_works(made: Page, start: Callable[..., Stage]) -> None:
    """With host, port and -N, in a real shell, exactly as it stands in the Markdown."""
    netcat = need("nc")
    stage = start()
    host, port = stage.server.address[:2]
    text = markdown.render(made)
    found = commands(made)
    assert len(found) >= 3
    said = []
    for command in found:
        assert "nc -N 127.0.0.1 8255" in command
        assert command in text
        typed = command.replace("nc -N 127.0.0.1 8255", f"{netcat} -N {host} {port}")
        done = subprocess.run(typed, shell=True, input="", capture_output=True, text=True, timeout=PATIENCE, check=True)
        said.append(done.stdout)
    assert "PONG t1\nOK QUIT\n" in said
    assert "OK NAME a\nUSER a free\nOK WHO 1\n" in said
    assert any(re.fullmatch(r"(ERR \* bad-syntax .*\n){5}BYE too-many-errors .*\n", words) for words in said)


def test_a_command_sends_the_octets_of_its_frames(spec: Spec, start: Callable[..., Stage]) -> None:
    """Also those that printf(1) or a shell would take for something else."""
    frames = [b"PING %s\\n'\"\n", "PONG é\r\n".encode(), b"QUIT\n"]
    command = piped(spec, frames).partition(" | ")[0]
    assert subprocess.run(command, shell=True, capture_output=True, check=True).stdout == b"".join(frames)


# Drawings in characters


def test_each_conversation_of_the_markdown_has_its_drawing(sources: PageSources, made: Page) -> None:
    """What the text promises is there: a lifeline for each person, and every frame."""
    text = markdown.render(made)
    for found in sources.interactions.values():
        assert "\n".join(ladder(found)) in text
    typed = [block for part in made.walk() for block in part.blocks if isinstance(block, Conversation) and block.typed]
    assert [block.example for block in typed] == ["private-chat"]
    assert text.count("\n".join(ladder(sources.interactions["private-chat"]))) == 2


def test_a_drawing_has_every_frame_once_or_twice(any_sources: PageSources) -> None:
    """Twice and dotted, where its sender had not read yet what the server had done."""
    for found in interactions(any_sources.spec).values():
        head, *lines = ladder(found)
        dotted = [line for line in lines if "┄" in line]
        assert len(lines) - len(dotted) // 2 == len(found.arrows)
        for name in (*found.people.values(), "server"):
            assert name in head
        for arrow in found.arrows:
            assert any(placed_label(arrow) in line for line in lines)


@pytest.mark.parametrize(
    ("example", "crossed"),
    [
        ("private-chat", []),
        ("crossing-calls", ["CHAT alice"]),
        ("call-and-line-against-a-call", ["CHAT bob", "MSG for bob alone"]),
        ("line-against-leave", ["MSG are you there?"]),
        ("leave-against-leave", ["LEAVE"]),
        ("answer-against-leave", ["CHAT alice"]),
    ],
)
def test_a_frame_that_crosses_another_is_dotted(sources: PageSources, example: str, crossed: list[str]) -> None:
    """Where it is sent, and where it is handled: between them its sender reads what the server did before."""
    lines = [line for line in ladder(sources.interactions[example]) if "┄" in line]
    heads = [bool(re.search("[▶◀]", line)) for line in lines]
    assert sorted(heads) == [False] * len(crossed) + [True] * len(crossed)
    for words in crossed:
        assert [words in line for line in lines].count(True) == 2


# What words say and where they lead


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("the server MUST send the push PING once", "push-ping"),
        ("A client MUST answer the server's PING", "push-ping"),
        ("with a PONG of the same token", "request-pong"),
        ("with the answer PONG and the same token", "answer-pong"),
        ("The push MSG of a chat", "push-msg"),
        ("MSG of an end that is accepted", "request-msg"),
        ("`quit`, `timeout` or `lost`", "type-reason"),
        ("MUST get BYE timeout", "goodbye-timeout"),
        ("the request `MSG <text>`", "request-msg"),
    ],
)
def test_a_name_of_two_things_leads_to_the_one_that_is_meant(spec: Spec, text: str, target: str) -> None:
    """The word before it says which of them it is; without one, it is the request."""
    assert target in [span.target for span in Anchors(spec).prose(text)]


ABOUT_WHICH = {
    "R-ANS-1": {"request-msg", "request-pong"},
    "R-ERR-9": {"request-msg"},
    "R-MSG-1": {"request-msg"},
    "R-MSG-2": {"request-msg"},
    "R-MSG-3": {"request-msg"},
    "R-MSG-4": {"push-msg"},
    "R-PING-1": {"request-ping", "answer-pong"},
    "R-PING-2": {"request-pong"},
    "R-TIME-2": {"push-ping"},
    "R-CLIENT-2": {"request-pong"},
    "R-CLIENT-4": {"request-msg"},
    "R-CLIENT-7": {"push-ping", "request-pong"},
}  # all rules that name a frame which both sides send, and where its links must lead


def test_a_rule_leads_to_the_frame_that_it_is_about(spec: Spec) -> None:
    """A push is not the request of the same name."""
    twice = spec.requests.keys() & spec.replies.keys()
    found = {
        rule.id: {span.target for span in Anchors(spec).rule_text(rule.text) if span.text in twice}
        for rule in spec.rules.values()
    }
    assert {rule: targets for rule, targets in found.items() if targets} == ABOUT_WHICH


def test_a_rule_leads_to_its_rows_and_each_row_to_its_rule(any_sources: PageSources) -> None:
    """The rule's home names its rows, timers, limits and errors, with links."""
    spec, anchors = any_sources.spec, any_sources.anchors
    blocks = [block for part in page(any_sources).walk() for block in part.blocks]
    homes = [rule for block in blocks if isinstance(block, Rules) and block.home for rule in block.rules]
    targets = {rule.id: {span.target for span in rule.shown} for rule in homes}
    table_rows = [row for block in blocks if isinstance(block, Table) for row in block.rows]
    back = {row.anchor: {span.target for cell in row.cells for span in cell} for row in table_rows}
    wanted = {(row.rule, anchors.row(row)) for _, row in spec.outcomes()}
    wanted |= {(timer.rule, anchors.timer(timer.name)) for timer in spec.timers.values()}
    wanted |= {(rule, anchors.limit(name)) for name, rule in spec.limits.rules.items()}
    for rule, anchor in wanted:
        assert anchor in targets[rule]
        assert rule in back[anchor]
    assert all(anchors.error(fault.error) in targets[fault.rule] for fault in spec.faults)


def test_what_is_forbidden_is_said_so(spec: Spec) -> None:
    """RFC 2119 has MUST NOT and SHOULD NOT; it has no `nothing MUST`, and no `MUST get none`."""
    for rule in spec.rules.values():
        for part in re.split(r"[.;:]", rule.text):
            assert not re.search(r"\b(nothing|none|nor|neither|nobody)\b[^,]* (MUST|SHOULD)\b(?! NOT)", part), rule.text
            assert not re.search(r"\b(MUST|SHOULD) (?!NOT\b)[^,]*\b(nothing|none|no second|no other)\b", part), (
                rule.text
            )


def test_a_row_is_a_row_of_a_table(made: Page) -> None:
    """Faults are counted in succession; the word has one meaning."""
    assert not re.search(r"\bin a row\b(?!,)|\bends a row\b", markdown.render(made).replace("In a row", ""))


def test_the_glossary_has_the_words_that_a_stranger_asks_for(any_sources: PageSources) -> None:
    """In the order of the alphabet; a protocol without links has none of their words."""
    part = next(part for part in page(any_sources).walk() if part.anchor == "glossary")
    words = [word for block in part.blocks if isinstance(block, Facts) for word, _ in block.rows]
    spec = any_sources.spec
    assert {"fault", "frame", "push", "request", "row", "state"} <= set(words)
    assert ("link" in words) == ("end" in words) == bool(spec.linked_states)
    assert ("budget" in words) == bool(spec.budgets)
    assert ("goodbye" in words) == bool(spec.goodbyes)
    bare = [word.removeprefix("to ") for word in words]
    assert bare == sorted(bare)


# The minimal server


def programs(sources: PageSources) -> str:
    """All of the pseudo-code."""
    blocks = [block for part in minimal.section(sources).walk() for block in part.blocks]
    return "\n".join(plain(line) for block in blocks if isinstance(block, Program) for line in block.lines)


def test_the_minimal_server_does_what_each_row_says(any_sources: PageSources) -> None:
    """Every row with its conditions, changes and answer, in the words of its table."""
    text = programs(any_sources)
    for row in dict.fromkeys(row for _, row in any_sources.spec.outcomes()):
        phrases = any_sources.phrases
        for part in phrases.changes(row):
            assert plain(part) in text
        if row.answer is not None or row.error is not None:
            assert f"answer {plain(phrases.answer(row))}" in text
    for fault in any_sources.spec.faults:
        assert f"fault(c, {fault.error}); stop" in text
    for budget in any_sources.spec.budgets:
        assert f"c.faults is {budget.faults}: goodbye(c, {budget.goodbye})" in text
    assert f"first {any_sources.spec.framing.max_octets} octets" in text


def test_only_time_and_flow_can_wait(any_sources: PageSources) -> None:
    """All requests are needed tonight; no timer is, but what belongs to the close."""
    text = markdown.render(page(any_sources))
    start, end = text.index('<a id="minimal-order"></a>'), text.index('<a id="minimal-engine"></a>')
    steps = text[start:end].splitlines()
    tonight = [line for line in steps if "| tonight |" in line]
    later = [line for line in steps if "| later |" in line]
    for verb in any_sources.spec.requests:
        assert any(f"[`{verb}`]" in line for line in tonight)
    for timer in any_sources.spec.timers.values():
        assert any(f"(#timer-{timer.name})" in line for line in later) == (timer.since != "goodbye")


# What a client does with a line


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (b"NEWS", True),
        (b"NEWS at nine, with anything \x01 behind it", True),
        ("NEWS é".encode(), True),
        (b"BYE later-code x", True),
        (b"CALL", False),
        (b"OK LATER x", False),
        (b"news x", False),
        (b"", False),
        (b"NEWS \xff", False),
        (b"CALL bob", False),
    ],
)
def test_a_client_does_what_the_page_says(made: Page, line: bytes, taken: bool) -> None:
    """With a push that it does not know, and with what no server may send; `taken` or ignored, without a fault."""
    session = Session()
    if taken:
        list(session.receive(line + b"\n"))
    else:
        with pytest.raises(RemoteProtocolError):
            list(session.receive(line + b"\n"))
    assert "ignores the line" in markdown.render(made)


def test_an_unknown_push_in_a_list_is_a_fault(made: Page) -> None:
    """The items of a list and its answer stand together."""
    session = Session()
    session.request("NAME", "alice")
    list(session.receive(b"OK NAME alice\n"))
    session.request("WHO")
    with pytest.raises(RemoteProtocolError):
        list(session.receive(b"USER alice free\nNEWS x\n"))


def test_code_in_the_markdown_is_what_is_read() -> None:
    """A backslash in it would be read; in a table alone a bar has one."""
    spans = (Span("printf 'a\\n' | nc", "code"),)
    assert markdown.spans(spans) == "`printf 'a\\n' | nc`"
