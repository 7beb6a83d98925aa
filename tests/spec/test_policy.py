"""The policy file: what it sets with its place in the text, and every problem of it at once."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from infc.ir.spec.policy import THRESHOLDS
from infc.spec import find_workspace
from infc.spec.policy import LoadedPolicy, load_policy, policy_schema

GOOD = """\
# yaml-language-server: $schema=../schemas/policy.schema.json
apiVersion: infc.dev/v1
kind: InferencePolicy
rules:
  - action: fail
    specs: [production/*]
    because: agreed with finance in spring
    max_cost: $7300/month
    max_cost_per_million_tokens: $3
    min_basis: calibrated
  - {min_utilization: 20%, max_utilization: 85%, max_interval_width: 150%, min_tokens_per_dollar: 250000}
"""


def loaded(tmp_path: Path, text: str) -> LoadedPolicy:
    """The policy of a repository with this file."""
    (tmp_path / ".git").mkdir(exist_ok=True)
    (tmp_path / "infc-policy.yaml").write_text(text, encoding="utf-8")
    policy = load_policy(find_workspace(tmp_path / "specs" / "a.infc.yaml"), Path("infc-policy.yaml"))
    assert policy is not None
    return policy


def test_thresholds_are_in_base_units_with_their_place_and_their_words(tmp_path: Path) -> None:
    """Each carries the action, the specs and the reason of its rule, and the text it was written as."""
    policy = loaded(tmp_path, GOOD)
    assert policy.diagnostics == ()
    by_rule = {threshold.rule: threshold for threshold in policy.thresholds}
    cost = by_rule["max_cost"]
    assert cost.limit == pytest.approx(10.0)
    assert (cost.written, cost.action, cost.specs) == ("$7300/month", "fail", ("production/*",))
    assert (cost.span.path, cost.span.line, cost.span.column) == ("infc-policy.yaml", 8, 15)
    assert cost.because == "agreed with finance in spring"
    assert by_rule["min_basis"].limit == "calibrated"
    assert by_rule["max_interval_width"].limit == 1.5
    assert (by_rule["min_utilization"].action, by_rule["min_utilization"].specs) == ("warn", None)


def test_a_repository_without_a_policy_has_none(tmp_path: Path) -> None:
    """No file, no thresholds, no complaint."""
    assert load_policy(find_workspace(tmp_path / "a.infc.yaml")) is None


BAD = """\
rules:
  - action: explode
    max_cost: 2000
    max_cost_per_million_requests: 2 dollars
    min_utilisation: 20%
  - specs: production/*
    max_interval_width: 0.5
  - action: fail
  - max_memory: 120%
max_memory: 90%
"""


def test_every_problem_of_the_file_is_reported_at_once(tmp_path: Path) -> None:
    """Wrong values, unknown keys, rules without a threshold: each with line, column and fix."""
    policy = loaded(tmp_path, BAD)
    assert policy.thresholds == ()
    seen = [(d.span.line, d.span.column, d.id) for d in policy.diagnostics if d.span is not None]
    assert seen == [
        (2, 13, "spec-unknown-value"),
        (3, 15, "spec-quantity"),
        (4, 36, "spec-quantity"),
        (5, 5, "spec-unknown-key"),
        (6, 12, "spec-type"),
        (7, 25, "spec-quantity"),
        (8, 5, "policy-rule"),
        (9, 17, "spec-quantity"),
        (10, 1, "spec-unknown-key"),
    ]
    fixes = [diagnostic.help for diagnostic in policy.diagnostics]
    assert "write $2000/month" in fixes
    assert "did you mean `min_utilization`?" in fixes
    assert "write [production/*]" in fixes
    assert "write 50%" in fixes


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("", "spec-type"),
        ("- a\n", "spec-type"),
        ("apiVersion: infc.dev/v1\n", "spec-missing-key"),
        ("rules: []\n", "spec-empty-value"),
        ("rules: {max_cost: $1/hour}\n", "spec-type"),
        ("rules: [3]\n", "spec-type"),
        ("rules: [{min_utilization: 80%, max_utilization: 20%}]\n", "policy-rule"),
        ("rules: [{max_cost: $1/hour}\n", "spec-syntax"),
        ("kind: Other\nrules: [{max_cost: $1/hour}]\n", "spec-unknown-value"),
        ("rules: [{max_cost: $1/hour}]\nrules: [{max_cost: $2/hour}]\n", "spec-duplicate-key"),
    ],
)
def test_odd_files_are_refused_with_a_diagnostic(tmp_path: Path, text: str, id: str) -> None:
    """Whatever is in the file: a diagnostic with a place and a fix, and no threshold."""
    policy = loaded(tmp_path, text)
    assert [d.id for d in policy.diagnostics] == [id]
    assert policy.diagnostics[0].span is not None
    assert policy.diagnostics[0].help
    assert policy.thresholds == ()


def test_the_schema_takes_what_the_loader_takes() -> None:
    """Editors accept a good file, and know every threshold."""
    schema = policy_schema()
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"rules": [{"max_costs": "$1/hour"}]}, schema)
    assert len(THRESHOLDS) == 12
