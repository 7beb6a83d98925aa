"""What stored accuracy evidence says of a precision, judged against the goal as the spec states it now."""

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, AnyProblem

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


def own_evidence(problem: AnyProblem, hardware: Hardware, precision: Precision) -> tuple[AccuracyEvidence, ...]:
    """Evidence that speaks for this precision on this kind of device, in the stored order.

    A CPU runs the ONNX Runtime engine itself, which is quantised in its own way; for a GPU the lowered model speaks.
    """
    goal = problem.accuracy
    if goal is None:
        return ()
    is_cpu = hardware.kind == "cpu"
    return tuple(
        e
        for e in problem.evidence
        if (e.model_digest, e.precision, e.metric) == (problem.model.digest, precision, goal.metric)
        and (e.subject == "onnxruntime") == is_cpu
    )


def refusing_evidence(problem: AnyProblem, hardware: Hardware, precision: Precision) -> AccuracyEvidence | None:
    """Evidence that `precision` misses the goal, or that it could not be shown to keep it.

    None when nothing stands against it, or when other evidence (another way to quantise) shows that it holds. Doubt
    goes before failure: more samples may still settle it.
    """
    goal = problem.accuracy
    if goal is None:
        return None
    judged = [(judge(e, goal), e) for e in own_evidence(problem, hardware, precision)]
    if any(verdict is Verdict.PASS for verdict, _ in judged):
        return None
    doubtful = [e for verdict, e in judged if verdict is Verdict.INCONCLUSIVE]
    return next(iter(doubtful), None) or next((e for _, e in judged), None)


def passed_evidence(problem: AnyProblem, hardware: Hardware, precision: Precision) -> AccuracyEvidence | None:
    """Evidence that `precision` keeps the goal, None when it was never shown."""
    goal = problem.accuracy
    if goal is None:
        return None
    return next((e for e in own_evidence(problem, hardware, precision) if judge(e, goal) is Verdict.PASS), None)


def kept_operators(problem: AnyProblem, hardware: Hardware, precision: Precision) -> tuple[str, ...]:
    """Operators that the accepted engine of a quantised precision leaves unquantised, by name.

    They were raised back so that the accuracy holds; what they cost is predicted at the remainder's precision.
    """
    passed = passed_evidence(problem, hardware, precision) if precision in QUANTISED else None
    return () if passed is None else passed.kept


def has_doubt(problem: AnyProblem) -> bool:
    """Whether some precision of some device is out only because its evidence is inconclusive."""
    goal = problem.accuracy
    if goal is None:
        return False
    for option in problem.options:
        for precision in problem.limits.precisions:
            refusing = refusing_evidence(problem, option.hardware, precision)
            if refusing is not None and judge(refusing, goal) is Verdict.INCONCLUSIVE:
                return True
    return False
