"""A spec that names several models, from its text to every report."""

import json

import jsonschema
import pytest

from infc.pipeline.plan import PlannedSpec, plan_spec, why_of
from infc.report.plan_json import render_plan_json
from infc.report.plan_markdown import render_plan_markdown
from infc.report.plan_schema import plan_schema
from infc.report.plan_text import render_plan_text, render_why_text
from infc.report.planned import PlannedEntry
from tests.cli.test_plan_language_models import HEAD, SLO, TRAFFIC
from tests.resolve.hf_config.models import CONFIGS

MODEL = """\
model:
  name: chat
  min_accuracy: 0.65
  candidates:
    - {name: large, checkpoint: qwen3-8b, accuracy: 0.74}
    - {name: small, checkpoint: qwen3-4b, accuracy: 0.69}
    - {name: tiny, checkpoint: qwen3-0.6b, accuracy: 0.5}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> PlannedSpec:
    """Three sizes of a family on one kind of device."""
    folder = tmp_path_factory.mktemp("fleet")
    for name in ("qwen3-8b", "qwen3-4b", "qwen3-0.6b"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_bytes((CONFIGS / f"{name}.json").read_bytes())
    path = folder / "fleet.infc.yaml"
    path.write_text(HEAD + MODEL + SLO + TRAFFIC.replace("6/s", "20/s") + "constraints: {hardware: [l4]}\n")
    return plan_spec(path)


@pytest.fixture
def entry(planned: PlannedSpec) -> PlannedEntry:
    """Its one decision as reports take it."""
    (decided,) = planned.decisions
    return PlannedEntry(
        name="fleet",
        path="fleet.infc.yaml",
        target=None,
        status=planned.status,
        problem=decided.problem,
        decision=decided.decision,
        changes=(),
        diagnostics=(),
    )


def test_after_planning_there_is_one_model_and_the_others_are_remembered(planned: PlannedSpec) -> None:
    """Whatever follows a plan sees the chosen model's problem."""
    (decided,) = planned.decisions
    assert decided.problem.name == "fleet"
    assert [model.source.name for model in decided.models] == ["large", "small", "tiny"]
    assert decided.problem in decided.models


def test_json_holds_the_choice_and_the_alternatives(entry: PlannedEntry) -> None:
    """The document validates; the cheapest that is accurate enough is taken, the others stand beside it."""
    document = json.loads(render_plan_json([entry]))
    jsonschema.validate(document, plan_schema())
    (shown,) = document["specs"]
    assert shown["decision"]["model"] == "small"
    assert shown["decision"]["candidate"].startswith("small:bf16/l4/")
    assert [(m["name"], m["accuracy"]) for m in shown["models"]] == [("large", 0.74), ("small", 0.69), ("tiny", 0.5)]
    assert [m["verdict"] for m in shown["models"]][1:] == ["chosen", "inaccurate"]
    assert shown["models"][2]["usd_per_hour"] < shown["models"][1]["usd_per_hour"]
    assert any(r["candidate"] == "tiny" and r["constraint"] == "accuracy" for r in shown["rejected"])


def test_text_and_markdown_show_a_table_of_the_models(entry: PlannedEntry) -> None:
    """With what became of each, within a hundred columns."""
    text = render_plan_text([entry], color=False)
    table = text[text.index("  models") : text.index("  why")]
    assert "chosen" in table
    assert "not accurate enough" in table
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "| large | 0.74 |" in render_plan_markdown([entry])


def test_why_answers_about_any_of_them(planned: PlannedSpec) -> None:
    """By name before the candidate; without a name about the chosen one."""
    (decided,) = planned.decisions
    answer = why_of(decided, "tiny:bf16/l4/tp1")
    assert answer is not None
    assert "model.min_accuracy  broken" in render_why_text([answer], color=False)
    assert why_of(decided, "nobody:bf16/l4") is None
