"""Accuracy in pictures: the metric against the floor, the loss against max_drop, each with its interval."""

from dataclasses import replace

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, Problem
from infc.report.charts.drawing import Absent, Line, Path, Picture
from infc.report.pictures.accuracy import accuracy_pictures
from tests.plan.problems import problem

GOAL = AccuracyGoal(dataset="d.npz", metric="top1", floor=0.9, max_drop=0.01, confidence=0.95)
INT8 = AccuracyEvidence(
    model_digest="sha256:" + "1" * 64,
    precision=Precision.INT8,
    recipe_digest="2" * 64,
    subject="lowered",
    dataset_digest="3" * 64,
    metric="top1",
    samples=2000,
    confidence=0.95,
    reference=0.93,
    value=Interval(value=0.91, low=0.895, high=0.925),
    drop=Interval(value=0.0215, low=0.015, high=0.028),
    floor=0.9,
    max_drop=0.01,
    verdict=Verdict.FAIL,
    samples_needed=None,
)
FP16 = replace(
    INT8,
    precision=Precision.FP16,
    value=Interval(value=0.93, low=0.92, high=0.94),
    drop=Interval(value=0.0, low=-0.001, high=0.001),
    verdict=Verdict.PASS,
)


def asked(*evidence: AccuracyEvidence) -> Problem:
    """A problem with this evidence."""
    return replace(problem(), accuracy=GOAL, evidence=evidence)


def test_value_and_loss_are_two_pictures() -> None:
    """A dot for each precision in the color of its verdict; floor and reference on one, max_drop on the other."""
    value, drop = accuracy_pictures(asked(INT8), FP16, chosen="fp16")
    assert isinstance(value, Picture)
    assert isinstance(drop, Picture)
    for picture, marks in ((value, ["limit", "reference"]), (drop, ["limit", "reference"])):
        kinds = [s.kind for s in picture.drawing.shapes if isinstance(s, Path)]
        assert kinds == ["dot ok", "dot missed"]
        assert [s.kind for s in picture.drawing.shapes if isinstance(s, Line) and s.kind in marks] == marks
    assert value.sentence == (
        "fp16 (chosen), lowered model 0.9300 pass; int8, lowered model 0.9100 fail. Intervals at 95%."
    )
    assert "int8, lowered model loses 2.15% (1.50% to 2.80%)" in drop.sentence
    assert drop.table.rows[1][:2] == ("int8", "lowered model")


def test_without_evidence_a_line_says_what_provides_it() -> None:
    """No goal, or nothing measured yet."""
    for without, words in ((problem(), "`accuracy:`"), (asked(), "`infc compile SPEC`")):
        (absent,) = accuracy_pictures(without)
        assert isinstance(absent, Absent)
        assert words in absent.sentence
