"""A change at the lines that changed: SARIF, GitHub's annotations, GitLab's code quality report."""

import json
from dataclasses import replace

import jsonschema

from infc.diag import Severity
from infc.diag.catalogue import find_kind
from infc.report.change_annotations import annotations
from infc.report.diagnostics_codequality import diagnostics_codequality
from infc.report.diagnostics_github import diagnostics_github, first_of_each_severity
from infc.report.diagnostics_sarif import diagnostics_sarif

from .changes import ADDED, INFEASIBLE, REBUILT, REMOVED, UNCHANGED, change_set, finding, many
from .sarif_subset import SARIF_SUBSET

ALL = change_set(replace(REBUILT, policy=(finding("fail"), finding("warn"))), ADDED, REMOVED, INFEASIBLE, *UNCHANGED)


def test_a_changed_line_says_what_it_does() -> None:
    """At its line: decision, promises and cost; the label is the change itself."""
    (effect, estimate) = annotations([change_set(REBUILT)])
    assert effect.id == "change-effect"
    assert effect.span is not None
    assert (effect.span.path, effect.span.line) == ("services/vision/resnet50.infc.yaml", 12)
    assert effect.message == (
        "resnet50 @ l4 is rebuilt: precision fp16 -> int8, batching up to 16 -> up to 8, replicas 3 -> 2, "
        "p99 9.8 ms -> 6.4 ms of 7 ms, top1 76.1% -> 75.8% of at least 75.5%, cost -$511/month"
    )
    assert effect.label == "spec slo.latency.p99: 12ms -> 7ms"
    assert effect.notes[0] == "together with 1 other changed input"
    assert estimate.id == "change-estimate"
    assert "p99 9.8 ms -> 6.4 ms of 7 ms by estimate only (analytic)" in estimate.message


def test_what_is_refused_is_an_error_and_comes_first() -> None:
    """Infeasible deployments and failed policies are errors, thresholds that warn are warnings, the rest notes."""
    found = annotations([ALL])
    assert [d.severity for d in found if d.id in ("change-infeasible", "policy-violated")] == [
        Severity.ERROR,
        Severity.ERROR,
        Severity.WARNING,
    ]
    assert {d.severity for d in found if d.id.startswith("change-e")} == {Severity.NOTE}
    assert [d.id for d in found[:3]] == ["change-infeasible", "policy-violated", "policy-violated"]
    assert all(find_kind(d.id) is not None and d.span is not None for d in found)


def test_a_missed_limit_of_a_plan_is_an_error() -> None:
    """Also where the plan as such is feasible."""
    effects = tuple(replace(each, is_met=False) if each.id == "accuracy" else each for each in REBUILT.effects)
    found = [d for d in annotations([change_set(replace(REBUILT, effects=effects))]) if d.severity is Severity.ERROR]
    assert [d.message for d in found] == ["resnet50 @ l4 misses its top1: 76.1% -> 75.8% of 75.5%, missed"]


def test_removed_and_unlocated_changes_stand_at_the_head_of_their_spec() -> None:
    """Every result has a place; unchanged deployments say nothing."""
    found = annotations([change_set(REMOVED, replace(REBUILT, inputs=REBUILT.inputs[1:]), ADDED, *UNCHANGED)])
    assert [(d.span.path, d.span.line) for d in found if d.span and d.id == "change-effect"] == [
        ("services/llm/qwen3.infc.yaml", 3),
        ("services/ocr.infc.yaml", 1),
        ("services/vision/resnet50.infc.yaml", 1),
    ]
    assert found[1].message == "old-ocr @ t4 is removed: cost -$380/month"
    assert "prices aws g6.xlarge: sha256:1a -> sha256:2b" in found[2].notes


def test_github_keeps_ten_of_each_severity() -> None:
    """Nine, and one that counts the rest; ten are ten."""
    found = annotations([many(12)])
    kept = first_of_each_severity(found)
    assert len(kept) == 10
    assert kept[-1].message == "15 more notes like this in the SARIF and the plan's artifact"
    assert first_of_each_severity(kept) == kept
    lines = diagnostics_github(kept).splitlines()
    assert lines[0].startswith("::notice file=services/vision/resnet50.infc.yaml,line=12,col=17,title=change-effect,")
    assert lines[-1].startswith("::notice title=change-effect::15 more")


def test_the_reports_of_a_change_fit_their_schemas() -> None:
    """SARIF as code scanning takes it, a code quality report with unique fingerprints."""
    found = annotations([ALL])
    log = json.loads(diagnostics_sarif(found))
    jsonschema.Draft202012Validator(SARIF_SUBSET).validate(log)
    issues = json.loads(diagnostics_codequality(found))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == len(found)
    assert {issue["severity"] for issue in issues} == {"major", "minor", "info"}


def test_hostile_names_cannot_break_out_of_an_annotation() -> None:
    """One line each, whatever the texts hold."""
    evil = "x\n::error file=a::b%0A,line=3\r"
    inputs = (replace(REBUILT.inputs[0], path=evil, old=evil, new=evil, file=evil),)
    found = annotations([change_set(replace(REBUILT, name=evil, inputs=inputs, words=(evil,)))])
    text = diagnostics_github(found)
    assert "\r" not in text
    assert len(text.split("\n")) == len(found)
    jsonschema.Draft202012Validator(SARIF_SUBSET).validate(json.loads(diagnostics_sarif(found)))
