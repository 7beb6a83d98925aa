"""The pull-request comment: read by a real Markdown parser, under its limit, inert."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from infc.ir.change import ChangedInput, ChangeSet, Effect, EmittedFile, Figure
from infc.report.change_markdown import SMALLEST_LIMIT, marker_line, render_comment
from infc.report.markdown_text import code, code_element, inline

from .changes import ADDED, DIGEST, INFEASIBLE, REBUILT, REMOVED, UNCHANGED, change_set, finding, many

ALL = change_set(REBUILT, ADDED, REMOVED, INFEASIBLE, *UNCHANGED)
INLINE_TAGS = ("br", "strong", "em", "code", "sub", "span", "a")
TABLE_TAGS = ("table", "thead", "tbody", "tr", "th", "td")
OUR_TAGS = frozenset(("h2", "p", "blockquote", "ul", "li", "details", "summary", *INLINE_TAGS, *TABLE_TAGS))
HOSTILE = (
    "a|b",
    "`rm -rf`",
    "```\n# heading\n```",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</details></td></table>",
    "--> <!-- infc-plan:other -->",
    "@org/security please merge",
    "fixes #123 and org/repo#4 GH-7 !8 %9 ~bug &10",
    "see https://evil.example/x and www.evil.example or mail a@evil.example",
    "[click](javascript:alert(1)) ![x](https://evil.example/p.png)",
    "**bold** _it_ ~~gone~~ \\| \\",
    ":tada: $x^2$ $$y$$",
    "/approve\n/merge",
    "- [ ] task",
    "1. one",
    "\u202egnp.exe\x1b[2J\u200b",
    "a" * 5000,
)


class _Page(HTMLParser):
    """Tags, links, text outside of code, and how deep everything nests."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.words: list[str] = []
        self.everything: list[str] = []
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())

    def handle_data(self, data: str) -> None:
        self.everything.append(data)
        if "code" not in self.open:
            self.words.append(data)


def page(text: str) -> _Page:
    """The comment rendered as GitHub does: tables, raw HTML, and links of bare addresses."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    read = _Page()
    read.feed(parser.render(text))
    read.close()
    assert read.open == [], "every tag is closed"
    return read


def rows(text: str) -> list[list[str]]:
    """The cells of the first table, as the parser sees them."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    found: list[list[str]] = []
    for index, token in enumerate(tokens):
        if token.type == "tr_open":
            found.append([])
        if token.type in ("td_open", "th_open"):
            found[-1].append(tokens[index + 1].content)
        if token.type == "table_close":
            break
    return found


def test_the_comment_begins_with_its_marker() -> None:
    """A later run finds it by the first line; the headline counts what changes."""
    first, _, headline = render_comment([ALL], marker="prod").splitlines()[:3]
    assert first == "<!-- infc-plan:prod -->"
    assert headline == "## infc plan: 1 to add, 1 to rebuild, 1 to remove, 1 without a plan, 4 unchanged"


def test_one_row_for_each_change() -> None:
    """What is refused first, then what is rebuilt; what stays is counted only."""
    head, *body = rows(render_comment([ALL], marker="prod"))
    assert head == ["", "deployment", "what changes", "what is promised", "cost"]
    assert [cells[1] for cells in body] == ["`detector`", "`resnet50 @ l4`", "`qwen3-8b @ h100-nvl`", "`old-ocr @ t4`"]
    assert body[1][0] == "±"
    assert "precision fp16 → int8<br>batching up to 16 → up to 8<br>replicas 3 → 2" in body[1][2]
    assert "p99 9.8 ms → 6.4 ms of 7 ms (measured, now analytic)" in body[1][3]
    assert "top1 76.1% → 75.8% of at least 75.5% (measured)" in body[1][3]
    assert html.unescape(re.sub("<.*?>", "", body[1][4])) == "$1,533/month → $1,022/month(-$511/month)"


def test_cost_before_and_after_and_what_is_not_counted() -> None:
    """One without a plan stays what it was; those without a price are said to be missing from the sum."""
    joined = "".join(page(render_comment([ALL], marker="prod")).words)
    assert "Cost $4,881/month → $6,180/month (+$1,299/month)" in joined
    assert "SLO 3 of 3 limits met, 2 by estimate only" in joined
    unpriced = replace(REBUILT, usd_per_month_before=None)
    joined = "".join(page(render_comment([change_set(unpriced, ADDED)], marker="prod")).words)
    assert "(+$3,212/month, without 1 deployment of unknown price)" in joined


def test_what_must_not_be_overlooked_comes_first() -> None:
    """Infeasible, refused by the policy and missed stand above the table; thresholds that only warn below them."""
    missed = tuple(replace(e, limit=6.0, is_met=False) if e.id == "p99" else e for e in REBUILT.effects)
    refused = replace(REBUILT, effects=missed, policy=(finding("fail"), finding("warn", "max_accelerators")))
    text = render_comment([change_set(refused, INFEASIBLE)], marker="prod")
    caution, warning, table = text.index("[!CAUTION]"), text.index("[!WARNING]"), text.index("| deployment |")
    assert caution < warning < table
    above = text[:table]
    assert "`detector` cannot meet its objective" in above
    assert "`resnet50 @ l4` is refused by the policy: max\\_cost" in above
    assert "`resnet50 @ l4` misses p99: 9.8 ms → 6.4 ms of 6 ms, missed" in above
    assert "max\\_accelerators" in text[warning:table]


def test_an_unchanged_deployment_that_is_infeasible_is_named() -> None:
    """Although it has no row."""
    text = render_comment([change_set(replace(INFEASIBLE, action="unchanged"))], marker="prod")
    assert "## infc plan: 1 without a plan" in text
    assert "`detector` cannot meet its objective" in text


def test_details_name_the_line_the_interval_and_the_evidence() -> None:
    """Folded, with what a reviewer may ask for."""
    text = render_comment([change_set(REBUILT)], marker="prod")
    assert "- spec `slo.latency.p99`: `12ms` → `7ms` (`services/vision/resnet50.infc.yaml:12`)" in text
    assert (
        "| p99 | 9.8 ms (9.31 ms .. 10.3 ms) | 6.4 ms (5.12 ms .. 7.68 ms) | of 7 ms | measured, now analytic |" in text
    )
    assert "- changed `model_repository/resnet50/config.pbtxt`" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_nothing_changed_is_a_short_comment() -> None:
    """Without a table."""
    text = render_comment([change_set(*UNCHANGED)], marker="prod")
    assert "## infc plan: no changes, 4 unchanged" in text
    assert "|" not in text
    assert DIGEST in text


@pytest.mark.parametrize("limit", [60_000, 20_000, SMALLEST_LIMIT])
def test_a_large_change_stays_under_the_limit(limit: int) -> None:
    """Details go first, then whole rows, and the comment says how many."""
    text = render_comment([many(300)], marker="prod", limit=limit, details_url="https://ci.example/runs/1?x=2")
    assert len(text) <= limit
    body = rows(text)
    assert all(len(cells) == 5 for cells in body)
    left_out = re.search(r"_(\d+) more changes in \[the plan's artifact\]", text)
    assert left_out is not None
    assert len(body) - 1 + int(left_out[1]) == 300
    page(text)


def test_details_are_left_out_before_rows() -> None:
    """All rows are there as long as they fit."""
    text = render_comment([many(100)], marker="prod")
    assert len(rows(text)) == 101
    assert "shortened here; everything is in the plan's artifact" in text
    assert 0 < text.count("<details>") <= 100


@pytest.mark.parametrize("marker", ["", "a--b", "a b", "-->", "x" * 65])
def test_a_marker_cannot_end_its_comment(marker: str) -> None:
    """It is a plain name, or refused."""
    with pytest.raises(ValueError, match="cannot name a comment"):
        marker_line(marker)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x/a)b", "https://x/|", "x", "https://x/" + "a" * 500])
def test_an_address_that_is_none_is_left_out(url: str) -> None:
    """A link leads to http or https, or is not there."""
    read = page(render_comment([ALL], marker="prod", details_url=url))
    assert read.links == []


def test_the_artifact_is_linked_where_something_is_left_out() -> None:
    """In the notes and in the footer, also with underscores in its address."""
    url = "https://github.example/my_team/my_repo_/actions/runs/5"
    read = page(render_comment([many(300)], marker="prod", details_url=url))
    assert read.links == [url] * 3


def hostile_set(evil: str) -> ChangeSet:
    """Every text of a change is the same hostile one."""
    return change_set(
        replace(
            REBUILT,
            name=evil,
            spec=evil,
            inputs=(ChangedInput(kind="spec", path=evil, old=evil, new=evil, file=evil, line=1, column=1),),
            effects=(
                Effect(id="precision", label=evil, old=Figure(value=evil), new=Figure(value=evil, unit=evil)),
                Effect(
                    id="p99", label=evil, old=Figure(value=evil), new=Figure(value="x" + evil), limit=1.0, is_met=False
                ),
            ),
            files=(EmittedFile(path=evil, action="added"),),
            policy=(finding("fail", evil, because=evil), finding("warn", evil, because=evil)),
            words=(evil, evil),
        ),
        replace(INFEASIBLE, name=evil, words=(evil,)),
        base=evil,
    )


@pytest.mark.parametrize("evil", HOSTILE)
def test_text_of_others_does_nothing(evil: str) -> None:
    """No tag, link, mention, reference, emoji or command of theirs; the table keeps its columns."""
    text = render_comment([hostile_set(evil)], marker="prod")
    read = page(text)
    assert read.tags <= OUR_TAGS
    assert read.attributes <= {"style"}
    assert read.links == []
    assert read.comments == ["infc-plan:prod"]
    assert all(len(cells) == 5 for cells in rows(text))
    words = "\n".join(read.words)
    assert not re.search(r"(?<!\w)@\w|#\d|GH-\d|!\d|%\d|&\d|~\w|:\w+:|https?://|www\.", words)
    assert not re.search(r"\w@\w", words)
    assert not any(line.startswith("/") for line in text.splitlines())
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)


@pytest.mark.parametrize("evil", HOSTILE)
def test_text_of_others_is_shown_as_it_is(evil: str) -> None:
    """What a reader sees is what was written, but for breaks and what cannot be shown."""
    for render in (inline, code, code_element):
        seen = "".join(page(f"x {render(evil)}").everything).replace("\u200b", "").strip()
        wanted = (
            " ".join(evil.split()).replace("\u202e", "\ufffd").replace("\x1b", "\ufffd").replace("\u200b", "\ufffd")
        )
        assert seen.removeprefix("x ") == (wanted if len(wanted) <= 300 else f"{wanted[:297]}...")


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=40), st.integers(min_value=SMALLEST_LIMIT, max_value=12_000))
def test_no_text_breaks_the_comment(evil: str, limit: int) -> None:
    """Whatever is in a name, a value or a path."""
    text = render_comment([hostile_set(evil)], marker="prod", limit=limit)
    assert len(text) <= limit
    read = page(text)
    assert read.tags <= OUR_TAGS
    assert read.links == []
    assert all(len(cells) == 5 for cells in rows(text))
