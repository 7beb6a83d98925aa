"""The search for exceptions: which operators of a quantised model must keep a higher precision, and as few as possible.

What each operator's quantisation costs is measured on calibration samples, never on test samples. That fixes a sequence
of recipes, from many exceptions to few, before the test data is looked at; the recipes are tested in that order, and
the search ends with the last before the first that does not pass. `docs/decisions/` says why no correction of the
confidence is needed for that, and what it costs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import onnx

from infc.diag import Diagnostic, Severity
from infc.ir.accuracy import AccuracyEvidence, PrecisionSearch, RaisedOperator, SearchLook, Verdict
from infc.ir.precision import Precision
from infc.lower.lowering import lower, quantized_operators
from infc.lower.settings import LoweringSettings
from infc.pipeline.trial import Bench, Trial
from infc.validate.accuracy import ceiling, said_of
from infc.validate.accuracy.sensitivity import Sensitivity, measure_sensitivity, order
from infc.validate.accuracy.sensitivity_file import kept_sensitivity

MOST_LOOKS = 8
MOST_RAISED = 0.5
"""Share of the operators that may be raised back; a model with more exceptions than that is not in the precision."""
LIMIT_S = 1800.0
MOST_LISTED = 8


def find_exceptions(
    bench: Bench, settings: LoweringSettings, plain: Trial, clock: Callable[[], float] = time.monotonic
) -> Trial:
    """The trial with the fewest exceptions that keeps the accuracy goal, or the plain one with what was tried.

    `plain` missed the goal or left it open. Every step is kept in `.infc/` by what decides it, so that a search which
    was interrupted goes on where it was. When `LIMIT_S` seconds are over, the best recipe so far is taken, and the
    evidence says so.
    """
    shop, goal, evidence = bench.shop, bench.problem.accuracy, plain.evidence
    if goal is None or evidence is None:
        return plain
    name = f"{bench.problem.model.name} {bench.precision.value}"
    candidates = quantized_operators(shop.source, bench.problem.model, bench.precision, settings)
    search = PrecisionSearch(
        candidates=len(candidates), samples=0, raised=(), left_error=1.0, looks=(_look(evidence, 0),)
    )
    dataset = shop.loaded.file(goal.dataset)
    options = bench.measure_options()
    if ceiling(shop.source, dataset, goal, model=bench.problem.model, options=options) is not Verdict.PASS:
        return _refused(plain, search)
    end = clock() + LIMIT_S
    measured = _sensitivity(bench, settings, candidates, name)
    if isinstance(measured, Trial):
        return measured
    ordering = order(measured)
    best: Trial | None = None
    careful: Trial | None = None
    for count in steps(ordering.left):
        if clock() > end:
            search = replace(search, is_cut_short=True)
            break
        raised = _raised(measured, ordering.units[:count])
        shop.announce(f"{name}: trying {len(raised)} of {len(candidates)} operators raised back")
        wanted = {operator.name for operator in raised}
        kept = tuple(operator for operator in candidates if operator in wanted)
        trial = bench.look(replace(settings, kept=kept))
        if trial.evidence is None:
            return trial if best is None else best
        search = replace(search, looks=(*search.looks, _look(trial.evidence, len(raised))))
        found = replace(search, samples=measured.samples, raised=raised, left_error=ordering.left[count])
        careful = careful or _with_search(trial, found)
        if not trial.holds:
            break
        best = _with_search(trial, found)
    if best is None or best.evidence is None or best.evidence.search is None:
        tried = search if careful is None or careful.evidence is None else careful.evidence.search or search
        return _refused(plain, replace(tried, is_cut_short=search.is_cut_short), careful)
    final = replace(best.evidence.search, looks=search.looks, is_cut_short=search.is_cut_short)
    return _with_search(best, final)


def steps(left: Sequence[float]) -> tuple[int, ...]:
    """How many units to raise, from the most careful recipe to the boldest: at most `MOST_LOOKS`, fixed beforehand.

    `left[k]` is the share of the output error that k exceptions leave. The first recipe raises half of the units; the
    others are the smallest that reach shares at even ratios between what that one leaves and everything, so that each
    look differs from the one before by about the same factor of error.

    >>> steps((1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.01, 0.004, 0.0))
    (4, 3, 2, 1)
    >>> steps((1.0, 0.01, 0.005, 0.002, 0.0005, 0.0002, 0.0))
    (3, 2, 1)
    >>> steps((1.0, 0.0))
    ()
    """
    most = int((len(left) - 1) * MOST_RAISED)
    if most < 1:
        return ()
    least = max(left[most], 1e-12)
    wanted = [least ** (step / MOST_LOOKS) for step in range(MOST_LOOKS, 0, -1)]
    counts = {next((k for k in range(1, most) if left[k] <= share * (1 + 1e-9)), most) for share in wanted[1:]}
    return tuple(sorted({most, *counts}, reverse=True))


def search_notes(evidence: AccuracyEvidence, remainder: Precision) -> tuple[Diagnostic, ...]:
    """What the user should know of the evidence that decides, exceptions and the search for them included."""
    said = said_of(evidence)
    if evidence.search is None:
        return said
    if evidence.verdict is Verdict.PASS:
        return (*said, *_accepted(evidence, evidence.search, remainder))
    extra = tuple(_refusal_words(evidence, evidence.search))
    return tuple(replace(diagnostic, notes=(*diagnostic.notes, *extra)) for diagnostic in said)


def _accepted(evidence: AccuracyEvidence, search: PrecisionSearch, remainder: Precision) -> tuple[Diagnostic, ...]:
    """The note that a precision was accepted with exceptions: the operators, and what each of them costs."""
    listed = tuple(f"{each.name}: {each.error_share:.1%} of the output error" for each in search.raised[:MOST_LISTED])
    more = len(search.raised) - len(listed)
    return (
        Diagnostic(
            id="accuracy-exceptions",
            severity=Severity.NOTE,
            message=f"{evidence.precision.value} keeps the accuracy with {len(evidence.kept)} of {search.candidates} "
            f"operators raised back to {remainder.value}",
            notes=(
                *listed,
                *((f"and {more} more",) if more > 0 else ()),
                *(("the search ran out of time: fewer exceptions may do",) if search.is_cut_short else ()),
            ),
            help=None,
        ),
    )


def _refusal_words(evidence: AccuracyEvidence, search: PrecisionSearch) -> Iterator[str]:
    """What the search came to when it found no exceptions that were good enough."""
    if len(search.looks) > 1:
        careful = search.looks[1]
        yield (
            f"with {careful.raised} of {search.candidates} operators raised back, which leaves {search.left_error:.1%} "
            f"of the output error: {evidence.metric} {careful.value.value:.4f} ({careful.value.low:.4f} to "
            f"{careful.value.high:.4f}), drop {careful.drop.value:.2%} ({careful.drop.low:.2%} to "
            f"{careful.drop.high:.2%}): {careful.verdict.value}"
        )
    elif search.samples == 0:
        yield "the unquantised model itself would not pass on this data, so no exceptions were looked for"
    if search.is_cut_short:
        yield "the search ran out of time; its steps are kept in .infc/"


def _sensitivity(bench: Bench, settings: LoweringSettings, candidates: Sequence[str], name: str) -> Sensitivity | Trial:
    """Single errors of the operators, with an FP32 remainder, so that quantisation alone is measured.

    A CPU engine's operators are measured as TensorRT's: its chains of quantised outputs cannot be taken apart
    (onnxruntime.quantization 1.31 folds activation functions into them), and the order of sensitivity is what matters.
    """
    probe = replace(settings, dialect="tensorrt", remainder=Precision.FP32)
    shop, model, folder = bench.shop, bench.problem.model, bench.shop.cache / "lowered"
    quantised, problems = lower(shop.source, model, bench.precision, bench.calibration, probe, folder)
    if quantised is None:
        return Trial(diagnostics=problems)
    exact, problems = lower(shop.source, model, Precision.FP32, None, settings, folder)
    if exact is None:
        return Trial(diagnostics=problems)
    calibration = bench.calibration
    assert calibration is not None  # noqa: S101 - quantised precisions are planned where there is data only
    shop.announce(f"{name}: measuring the sensitivity of {len(candidates)} operators")

    def measured() -> Sensitivity:
        return measure_sensitivity(
            onnx.load(quantised.path),
            onnx.load(exact.path),
            candidates,
            calibration,
            model,
            lambda done, total: shop.progress(f"sensitivity of {name}", done, total),
        )

    return kept_sensitivity(shop.cache / "sensitivity" / f"{quantised.recipe_digest}.json", measured)


def _raised(sensitivity: Sensitivity, units: Sequence[int]) -> tuple[RaisedOperator, ...]:
    """The operators of some units, most sensitive unit first; a unit of several shares its error among them."""
    ranked = sorted(units, key=lambda unit: -sensitivity.share(unit))
    return tuple(
        RaisedOperator(name=name, error_share=sensitivity.share(unit) / len(sensitivity.units[unit]))
        for unit in ranked
        for name in sensitivity.units[unit]
    )


def _look(evidence: AccuracyEvidence, raised: int) -> SearchLook:
    return SearchLook(raised=raised, value=evidence.value, drop=evidence.drop, verdict=evidence.verdict)


def _with_search(trial: Trial, search: PrecisionSearch) -> Trial:
    return replace(trial, measured=tuple(replace(evidence, search=search) for evidence in trial.measured))


def _refused(plain: Trial, search: PrecisionSearch, careful: Trial | None = None) -> Trial:
    """The plain trial with the record of the search; the most careful recipe's evidence is kept beside it."""
    beside = () if careful is None else _with_search(careful, search).measured
    return replace(plain, measured=(*beside, *_with_search(plain, search).measured))
