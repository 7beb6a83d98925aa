"""The HTML report: one file that needs nothing else, and shows what the plan says."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from infc.ir.plan import Infeasible, Plan
from infc.plan import solve
from infc.report.plan_html import render_plan_html
from infc.report.planned import PlannedEntry
from tests.plan.problems import LIMITS, problem

VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not open; keeps every text and tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens a tag."""
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself."""
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Closes the innermost open tag."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data


def entry(*, name: str = "test", p99_ms: float = 25.0) -> PlannedEntry:
    """A decision as the command line hands it over."""
    asked = problem(p99_ms=p99_ms, limits=replace(LIMITS, redundancy=1))
    decision = solve(asked)
    return PlannedEntry(
        name=name,
        path="test.infc.yaml",
        target=None,
        status="feasible" if isinstance(decision, Plan) else "infeasible",
        problem=asked,
        decision=decision,
        changes=({"path": "replicas", "old": "2", "new": "3"},),
        diagnostics=(),
    )


@pytest.fixture(scope="module")
def feasible() -> PlannedEntry:
    """A feasible decision."""
    return entry()


def parsed(page: str) -> Balanced:
    """The page, its tags balanced."""
    found = Balanced()
    found.feed(page)
    assert not found.open
    return found


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(feasible: PlannedEntry) -> None:
    """Tags are balanced; there is no script, no link to a file and no address but anchors of the page."""
    page = render_plan_html([feasible, replace(feasible, name="other")])
    tags = parsed(page).tags
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]*)"', page))
    assert "url(" not in page


def test_a_feasible_plan_shows_its_choice_prediction_and_alternatives(feasible: PlannedEntry) -> None:
    """The candidate, the SLO, the cost, the change and both charts are there; the chosen point is marked once."""
    page = render_plan_html([feasible])
    decision = feasible.decision
    assert isinstance(decision, Plan)
    assert decision.candidate.label in page
    assert page.count('<path class="mark chosen" transform') == 1
    assert "/month" in page
    assert "replicas" in page
    assert page.count("<svg viewBox") > 2


def test_an_infeasible_plan_shows_what_binds_and_what_would_do() -> None:
    """The binding constraint and every relaxation stand in the page."""
    missed = entry(p99_ms=0.2)
    assert isinstance(missed.decision, Infeasible)
    text = parsed(render_plan_html([missed])).text
    assert "slo.latency.p99" in text
    assert all(relaxation.needed in text for relaxation in missed.decision.relaxations)


def test_a_hostile_name_stays_text(feasible: PlannedEntry) -> None:
    """Names and paths are escaped."""
    page = render_plan_html([replace(feasible, name="<script>alert(1)</script>", path='"><b>')])
    assert "<script" not in page
    assert "<b>" not in page


def test_the_same_plan_gives_the_same_page(feasible: PlannedEntry) -> None:
    """The page is deterministic."""
    assert render_plan_html([feasible]) == render_plan_html([feasible])
