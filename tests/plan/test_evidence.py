"""What stored evidence says: recipes, engines, exceptions, slices, and goals that changed."""

from dataclasses import replace

from infc.ir.accuracy import EMULATED, LOWERED, AccuracyEvidence, SliceDelta, Verdict
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, Problem
from infc.plan.evidence import judge, passed_evidence, refusing_evidence
from tests.plan.problems import network, problem

GOAL = AccuracyGoal(dataset="d.npz", metric="top1", floor=0.9, max_drop=None, confidence=0.95)


def evidence(recipe: str, value: float, verdict: Verdict, **changes: object) -> AccuracyEvidence:
    """Evidence of INT8 on a GPU, two points wide."""
    base = AccuracyEvidence(
        model_digest=network().digest,
        precision=Precision.INT8,
        recipe_digest=recipe,
        subject=EMULATED,
        dataset_digest="d",
        metric="top1",
        samples=2000,
        confidence=0.95,
        reference=0.92,
        value=Interval(value=value, low=value - 0.01, high=value + 0.01),
        drop=Interval(value=0.92 - value, low=0.91 - value, high=0.93 - value),
        floor=0.9,
        max_drop=None,
        verdict=verdict,
        samples_needed=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def with_evidence(*known: AccuracyEvidence, goal: AccuracyGoal = GOAL) -> tuple[Problem, Hardware]:
    """A problem that knows it, and its first GPU."""
    made = problem(model=network(), accuracy=goal, evidence=known)
    return made, next(o.hardware for o in made.options if o.hardware.kind == "gpu")


def test_a_recipe_with_exceptions_makes_up_for_the_plain_one() -> None:
    """The plain recipe failed, the one with an exception passed: the precision is in, with that exception."""
    plain = evidence("a", 0.8, Verdict.FAIL)
    mixed = evidence("b", 0.92, Verdict.PASS, kept=("conv3",))
    known, gpu = with_evidence(plain, mixed)
    assert refusing_evidence(known, gpu, Precision.INT8) is None
    assert passed_evidence(known, gpu, Precision.INT8) == mixed


def test_the_fewest_exceptions_and_the_engine_count() -> None:
    """Of recipes that hold, that with the fewest exceptions; of its evidence, that of the engine."""
    many = evidence("a", 0.92, Verdict.PASS, kept=("conv1", "conv2", "conv3"))
    few = evidence("c", 0.92, Verdict.PASS, kept=("conv1",))
    engine = replace(few, subject="tensorrt")
    for order in ((many, few, engine), (engine, few, many)):
        known, gpu = with_evidence(*order)
        assert passed_evidence(known, gpu, Precision.INT8) == engine


def test_an_engine_that_misses_speaks_against_its_lowered_model() -> None:
    """The lowered model passed and the engine built from it did not: the precision is out."""
    lowered = evidence("a", 0.92, Verdict.PASS, subject=LOWERED)
    engine = evidence("a", 0.8, Verdict.FAIL, subject="tensorrt")
    known, gpu = with_evidence(lowered, engine)
    assert passed_evidence(known, gpu, Precision.INT8) is None
    assert refusing_evidence(known, gpu, Precision.INT8) == engine


def test_a_changed_goal_opens_a_quantised_precision_again() -> None:
    """INT8 passed a floor of 0.7 and misses the new one by its bounds: exceptions were never looked for."""
    old = evidence("a", 0.8, Verdict.PASS, floor=0.7)
    known, gpu = with_evidence(old)
    assert judge(old, GOAL) is Verdict.FAIL
    assert passed_evidence(known, gpu, Precision.INT8) is None
    assert refusing_evidence(known, gpu, Precision.INT8) is None
    unquantised = replace(old, precision=Precision.FP16)
    known, gpu = with_evidence(unquantised)
    assert refusing_evidence(known, gpu, Precision.FP16) == unquantised


def test_a_limit_on_slices_is_judged_from_their_bounds() -> None:
    """A new limit on slices: judged where slices are stored, open where none are."""
    part = SliceDelta(
        name="class 6", samples=200, reference=0.9, value=0.8, drop=Interval(value=0.11, low=0.02, high=0.15)
    )
    measured = evidence("a", 0.92, Verdict.PASS, slices=(part,), slices_judged=10)
    assert judge(measured, replace(GOAL, max_slice_drop=0.2)) is Verdict.PASS
    assert judge(measured, replace(GOAL, max_slice_drop=0.1)) is Verdict.INCONCLUSIVE
    assert judge(measured, replace(GOAL, max_slice_drop=0.01)) is Verdict.FAIL
    assert judge(replace(measured, slices=()), replace(GOAL, max_slice_drop=0.2)) is Verdict.INCONCLUSIVE


def test_where_less_is_better_the_floor_is_a_ceiling() -> None:
    """A perplexity of 12 was measured: under 13 it holds, over 11 it fails, near 12 nothing is settled."""
    measured = evidence("a", 12.0, Verdict.PASS, metric="perplexity", floor=20.0, drop=Interval.exact(0.0))
    verdicts = [judge(measured, replace(GOAL, metric="perplexity", floor=floor)) for floor in (13.0, 11.0, 12.0)]
    assert verdicts == [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]
