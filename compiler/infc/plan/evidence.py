"""What stored accuracy evidence says of a precision, judged against the goal as the spec states it now."""

from collections.abc import Sequence

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal

QUANTISED = frozenset({Precision.INT8, Precision.FP8, Precision.INT4, Precision.FP4})
"""Precisions that need calibration data and are not taken unless they gain something."""


def judge(evidence: AccuracyEvidence, goal: AccuracyGoal) -> Verdict:
    """The verdict on this evidence: as stored when the goal is unchanged, else from its bounds."""
    if (evidence.floor, evidence.max_drop, evidence.confidence) == (goal.floor, goal.max_drop, goal.confidence):
        return evidence.verdict
    fails = (goal.floor is not None and evidence.value.high < goal.floor) or (
        goal.max_drop is not None and evidence.drop.low > goal.max_drop
    )
    if fails:
        return Verdict.FAIL
    holds = (goal.floor is None or evidence.value.low >= goal.floor) and (
        goal.max_drop is None or evidence.drop.high <= goal.max_drop
    )
    return Verdict.PASS if holds else Verdict.INCONCLUSIVE


def failed_evidence(
    evidence: Sequence[AccuracyEvidence], goal: AccuracyGoal | None, model_digest: str, precision: Precision
) -> AccuracyEvidence | None:
    """Evidence that `precision` misses the goal, unless other evidence shows that it holds.

    None when nothing speaks against it.
    """
    if goal is None:
        return None
    own = [
        e for e in evidence if e.model_digest == model_digest and e.precision is precision and e.metric == goal.metric
    ]
    verdicts = [judge(e, goal) for e in own]
    if Verdict.PASS in verdicts or Verdict.FAIL not in verdicts:
        return None
    return own[verdicts.index(Verdict.FAIL)]


def passed_evidence(
    evidence: Sequence[AccuracyEvidence], goal: AccuracyGoal | None, model_digest: str, precision: Precision
) -> AccuracyEvidence | None:
    """Evidence that `precision` keeps the goal, None when it was never shown."""
    if goal is None:
        return None
    own = (
        e for e in evidence if e.model_digest == model_digest and e.precision is precision and e.metric == goal.metric
    )
    return next((e for e in own if judge(e, goal) is Verdict.PASS), None)
