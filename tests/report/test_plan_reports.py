"""The plan reports: text that fits, JSON that its schema accepts, Markdown for a pull request."""

import json
from dataclasses import replace

import jsonschema
import pytest

from infc.ir.plan import Infeasible, Plan
from infc.plan import solve
from infc.plan.why import why
from infc.report.plan_json import render_plan_json
from infc.report.plan_markdown import render_plan_markdown
from infc.report.plan_schema import plan_schema
from infc.report.plan_text import render_plan_text, render_why_text
from infc.report.planned import PlannedEntry
from tests.plan.problems import LIMITS, problem

FEASIBLE = problem(limits=replace(LIMITS, redundancy=1))
INFEASIBLE = problem(p99_ms=0.2)


@pytest.fixture(scope="module")
def entries() -> list[PlannedEntry]:
    """A feasible decision, an infeasible one, and a spec without any."""
    decided = [
        PlannedEntry(
            name="test",
            path="test.infc.yaml",
            target=None,
            status="feasible" if isinstance(decision, Plan) else "infeasible",
            problem=asked,
            decision=decision,
            changes=(),
            diagnostics=(),
        )
        for asked in (FEASIBLE, INFEASIBLE)
        for decision in (solve(asked),)
    ]
    broken = replace(decided[0], status="invalid", problem=None, decision=None)
    return [*decided, broken]


def test_text_fits_a_hundred_columns_and_shows_prediction_beside_slo(entries: list[PlannedEntry]) -> None:
    """Percentiles with their interval, cost and reasons stand in lines of at most 100 characters."""
    text = render_plan_text(entries, color=False)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "90% interval" in text
    assert "per million requests" in text
    assert "\x1b" not in text
    assert "\x1b[" in render_plan_text(entries, color=True)


def test_an_infeasible_plan_names_what_binds_and_what_would_do(entries: list[PlannedEntry]) -> None:
    """The binding constraint and the relaxations are shown."""
    decision = entries[1].decision
    assert isinstance(decision, Infeasible)
    text = render_plan_text(entries[1:2], color=False)
    assert "slo.latency.p99" in text
    assert "makes it feasible" in text


def test_json_matches_its_schema_and_the_fixed_shape(entries: list[PlannedEntry]) -> None:
    """The report validates, and fields that do not apply are null."""
    document = json.loads(render_plan_json(entries))
    jsonschema.validate(document, plan_schema())
    first = document["specs"][0]
    assert first["decision"]["replicas"] == 2
    assert first["decision"]["max_num_seqs"] is None
    assert first["estimate"]["latency_ms"]["p99"]["low"] <= first["estimate"]["latency_ms"]["p99"]["value"]
    assert document["specs"][2]["decision"] is None
    assert document["summary"] == {"decisions": 3, "feasible": 1, "infeasible": 1, "invalid": 1}


def test_markdown_is_one_table_row_per_decision(entries: list[PlannedEntry]) -> None:
    """The table has a row for each decision, and its cells hold no stray bar."""
    rows = [line for line in render_plan_markdown(entries).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(entries)
    assert {row.count("|") for row in rows} == {7}


def test_why_shows_every_constraint_of_a_candidate() -> None:
    """A full label is taken as it is; broken constraints are marked."""
    answer = why(problem(p99_ms=3.0), "fp16/t4/b8/i1/d2000us")
    assert answer is not None
    text = render_why_text([answer], color=False)
    assert "slo.latency.p99" in text
    assert "broken" in text
    assert why(FEASIBLE, "int8/no-such-device") is None
    assert why(FEASIBLE, "nonsense") is None
