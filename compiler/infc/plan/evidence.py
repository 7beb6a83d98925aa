"""What stored accuracy evidence says of a precision, judged against the goal as the spec states it now."""

from infc.ir.accuracy import EMULATED, LOWERED, AccuracyEvidence, Verdict, is_lower_better
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, AnyProblem, LlmProblem, Problem

QUANTISED = frozenset({Precision.INT8, Precision.FP8, Precision.INT4, Precision.FP4})
"""Precisions that need calibration data and are not taken unless they gain something."""


def judge(evidence: AccuracyEvidence, goal: AccuracyGoal) -> Verdict:
    """The verdict on this evidence: as stored when the goal is unchanged, else from its bounds."""
    if is_for(evidence, goal):
        return evidence.verdict
    slices = () if goal.max_slice_drop is None else evidence.slices
    value = evidence.value
    best, worst = (value.low, value.high) if is_lower_better(evidence.metric) else (value.high, value.low)
    fails = (
        (goal.floor is not None and _misses(evidence.metric, best, goal.floor))
        or (goal.max_drop is not None and evidence.drop.low > goal.max_drop)
        or any(part.drop.low > (goal.max_slice_drop or 0.0) for part in slices)
    )
    if fails:
        return Verdict.FAIL
    holds = (
        (goal.floor is None or not _misses(evidence.metric, worst, goal.floor))
        and (goal.max_drop is None or evidence.drop.high <= goal.max_drop)
        and (goal.max_slice_drop is None or bool(slices))
        and all(part.drop.high <= (goal.max_slice_drop or 0.0) for part in slices)
    )
    return Verdict.PASS if holds else Verdict.INCONCLUSIVE


def _misses(metric: str, value: float, floor: float) -> bool:
    """Whether a value is on the wrong side of the floor, which is a ceiling where less is better."""
    return value > floor if is_lower_better(metric) else value < floor


def is_for(evidence: AccuracyEvidence, goal: AccuracyGoal) -> bool:
    """Whether evidence was had for this very goal."""
    return (evidence.floor, evidence.max_drop, evidence.max_slice_drop, evidence.confidence) == (
        goal.floor,
        goal.max_drop,
        goal.max_slice_drop,
        goal.confidence,
    )


def own_evidence(problem: AnyProblem, hardware: Hardware, precision: Precision) -> tuple[AccuracyEvidence, ...]:
    """Evidence that speaks for this precision on this kind of device, in the stored order.

    A CPU runs the engine itself, ONNX Runtime's quantised in its own way; for a GPU the lowered model speaks.
    """
    goal = problem.accuracy
    if goal is None:
        return ()
    is_cpu = hardware.kind == "cpu"
    return tuple(
        e
        for e in problem.evidence
        if (e.model_digest, e.precision, e.metric) == (problem.model.digest, precision, goal.metric)
        and _is_subject(e.subject, problem, is_cpu=is_cpu)
    )


def _is_subject(subject: str, problem: AnyProblem, *, is_cpu: bool) -> bool:
    """Whether what was tested is what would run: the engine itself on a CPU, what a GPU engine is built from.

    A language model has one lowered checkpoint for every device.
    """
    if isinstance(problem, LlmProblem):
        return True
    is_torch = isinstance(problem, Problem) and problem.engine == "torch"
    if is_cpu:
        return subject == ("torch_inductor" if is_torch else "onnxruntime")
    return subject != "onnxruntime" and (is_torch or subject != "torch_inductor")


def refusing_evidence(problem: AnyProblem, hardware: Hardware, precision: Precision) -> AccuracyEvidence | None:
    """Evidence that `precision` misses the goal, or that it could not be shown to keep it.

    None when nothing stands against it, or when another way to quantise is shown to hold. A quantised precision that
    missed an earlier goal is open again: exceptions were never looked for under this one. Doubt goes before failure:
    more samples may still settle it.
    """
    goal = problem.accuracy
    if goal is None or passed_evidence(problem, hardware, precision) is not None:
        return None
    judged = [
        (judge(e, goal), e)
        for e in own_evidence(problem, hardware, precision)
        if precision not in QUANTISED or is_for(e, goal)
    ]
    doubtful = [e for verdict, e in judged if verdict is Verdict.INCONCLUSIVE]
    failed = [e for verdict, e in judged if verdict is Verdict.FAIL]
    return next(iter(doubtful), None) or next(iter(failed), None)


def passed_evidence(problem: AnyProblem, hardware: Hardware, precision: Precision) -> AccuracyEvidence | None:
    """Evidence that `precision` keeps the goal, None when it was never shown.

    One recipe must hold in all that was tested of it: an engine that misses the goal speaks against the lowered model
    that it was built from. Of several recipes the one with the fewest exceptions counts, of its evidence the engine's.
    """
    goal = problem.accuracy
    if goal is None:
        return None
    own = [(judge(e, goal), e) for e in own_evidence(problem, hardware, precision)]
    missed = {e.recipe_digest for verdict, e in own if verdict is not Verdict.PASS}
    holding = [e for verdict, e in own if verdict is Verdict.PASS and e.recipe_digest not in missed]
    return min(holding, key=lambda e: (len(e.kept), e.recipe_digest, e.subject in (LOWERED, EMULATED)), default=None)


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
