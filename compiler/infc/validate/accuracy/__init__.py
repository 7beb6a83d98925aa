"""The accuracy gate: a lowered model, or the engine built from it, against the unquantised reference, on real samples.

`measure` gives evidence with bounds and a verdict; `gate` also says what to do about it.
"""

from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.ir.accuracy import AccuracyEvidence, SliceDelta, Verdict
from infc.ir.engine import Engine, LoweredModel
from infc.ir.model_profile import ModelProfile
from infc.ir.problem import AccuracyGoal
from infc.validate.accuracy.bootstrap import PairedIntervals
from infc.validate.accuracy.dataset import Dataset, check_classes, read_dataset
from infc.validate.accuracy.explain import said_of
from infc.validate.accuracy.inference import Outputs, Progress, run_model
from infc.validate.accuracy.python_metric import PREFIX, MetricFunction, load_metric
from infc.validate.accuracy.reference import reference_answers
from infc.validate.accuracy.scoring import Predictions, Scoring, joined_outputs
from infc.validate.accuracy.slices import judged_parts, output_errors, parts_of, reported
from infc.validate.accuracy.subject import Opened, Runnable, reference_session, runnable
from infc.validate.accuracy.verdict import judge, samples_needed

__all__ = ["GateResult", "MeasureOptions", "ceiling", "gate", "measure", "said_of"]


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How to measure. `is_calibration_source`: the dataset's first samples calibrated, so they are left out.

    `allow_code` lets a `python:` metric run; its module is searched in `code_root` first. `shown_as` is the dataset's
    path as the user wrote it. `cache` is a folder where the reference's answers stay for the next precision. `kept` are
    the operators that the subject's recipe raised back, which the evidence tells.
    """

    is_calibration_source: bool = False
    allow_code: bool = False
    code_root: Path | None = None
    shown_as: str | None = None
    cache: Path | None = None
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """Evidence (None when it could not be had) and what the user should know; the verdict decides."""

    evidence: AccuracyEvidence | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict; inconclusive without evidence."""
        return self.evidence.verdict if self.evidence is not None else Verdict.INCONCLUSIVE


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What both answered on the data, and how to score it (`function` is the user's metric where it is Python)."""

    data: Dataset
    function: MetricFunction | None
    reference: Predictions
    subject: Predictions


def measure(
    reference: Path,
    subject: LoweredModel | Engine,
    dataset: Path,
    goal: AccuracyGoal,
    *,
    model: ModelProfile,
    options: MeasureOptions | None = None,
    progress: Progress | None = None,
) -> tuple[AccuracyEvidence | None, tuple[Diagnostic, ...]]:
    """Run the FP32 reference and the subject over the dataset and compare them sample by sample.

    The reference and lowered models run on this CPU in ONNX Runtime, built engines where they are served: a TensorRT
    engine needs its GPU here, else a note says so. Same inputs, same evidence.
    """
    chosen = options or MeasureOptions()
    report = progress or _silent
    opened = runnable(subject)
    if isinstance(opened, Diagnostic):
        return None, (opened,)
    answers = _answers(reference, opened, dataset, goal, model, chosen, report)
    if isinstance(answers, tuple):
        return None, answers
    scored = _scored(goal, model, answers)
    if isinstance(scored, Diagnostic):
        return None, (scored,)
    return _evidence(subject, opened.name, model, goal, answers, *scored, chosen.kept), ()


def _answers(
    reference: Path,
    subject: Runnable | None,
    dataset: Path,
    goal: AccuracyGoal,
    model: ModelProfile,
    options: MeasureOptions,
    report: Progress,
) -> _Answers | tuple[Diagnostic, ...]:
    """The data, and what the reference and the subject (None: the reference again) answer on it."""
    function = None
    if goal.metric.startswith(PREFIX):
        loaded = load_metric(goal.metric, allow_code=options.allow_code, code_root=options.code_root)
        if isinstance(loaded, Diagnostic):
            return (loaded,)
        function = loaded
    data, diagnostics = read_dataset(
        dataset, model, goal.metric, is_calibration_source=options.is_calibration_source, shown_as=options.shown_as
    )
    if data is None:
        return diagnostics
    of_reference = reference_answers(
        model.digest,
        data,
        options.cache,
        lambda: _predict(lambda: reference_session(reference), model, data, report, "the reference"),
    )
    if isinstance(of_reference, Diagnostic):
        return (of_reference,)
    of_subject = of_reference if subject is None else _predict(subject.open, model, data, report, subject.words)
    if isinstance(of_subject, Diagnostic):
        return (of_subject,)
    for predictions in (of_reference, of_subject):
        problem = check_classes(data, goal.metric, predictions.first, options.shown_as or dataset.name)
        if problem is not None:
            return (problem,)
    return _Answers(data=data, function=function, reference=of_reference, subject=of_subject)


def _scored(
    goal: AccuracyGoal, model: ModelProfile, answers: _Answers
) -> tuple[PairedIntervals, tuple[SliceDelta, ...]] | Diagnostic:
    """The metric on all of the data, and on each of its parts."""
    scoring = Scoring(
        metric=goal.metric,
        function=answers.function,
        reference=answers.reference,
        subject=answers.subject,
        data=answers.data,
        model=model,
    )
    whole = scoring.whole(goal.confidence)
    if isinstance(whole, Diagnostic):
        return whole
    return whole, judged_parts(parts_of(answers.data, goal.metric), scoring.part, goal.confidence)


def _evidence(
    subject: LoweredModel | Engine,
    name: str,
    model: ModelProfile,
    goal: AccuracyGoal,
    answers: _Answers,
    scored: PairedIntervals,
    slices: tuple[SliceDelta, ...],
    kept: tuple[str, ...],
) -> AccuracyEvidence:
    data = answers.data
    return AccuracyEvidence(
        model_digest=model.digest,
        precision=subject.precision,
        recipe_digest=subject.recipe_digest,
        subject=name,
        dataset_digest=data.digest,
        metric=goal.metric,
        samples=data.samples,
        confidence=goal.confidence,
        reference=scored.reference,
        value=scored.value,
        drop=scored.drop,
        floor=goal.floor,
        max_drop=goal.max_drop,
        max_slice_drop=goal.max_slice_drop,
        verdict=judge(scored.value, scored.drop, slices, goal),
        samples_needed=samples_needed(scored.value, scored.drop, slices, goal, data.samples),
        kept=kept,
        slices=reported(slices),
        slices_judged=len(slices),
        errors=output_errors(joined_outputs(answers.reference), joined_outputs(answers.subject)),
    )


def ceiling(
    reference: Path, dataset: Path, goal: AccuracyGoal, *, model: ModelProfile, options: MeasureOptions
) -> Verdict:
    """The verdict on a model that answers exactly as the reference does: what no exception can improve on.

    Not pass where the data is too small for the goal, or the goal asks for more than the reference gives.
    """
    answers = _answers(reference, None, dataset, goal, model, options, _silent)
    if isinstance(answers, tuple):
        return Verdict.INCONCLUSIVE
    scored = _scored(goal, model, answers)
    return (
        Verdict.INCONCLUSIVE
        if isinstance(scored, Diagnostic)
        else judge(scored[0].value, scored[0].drop, scored[1], goal)
    )


def gate(
    reference: Path,
    subject: LoweredModel | Engine,
    dataset: Path,
    goal: AccuracyGoal,
    *,
    model: ModelProfile,
    options: MeasureOptions | None = None,
    progress: Progress | None = None,
) -> GateResult:
    """`measure`, with a warning that explains a verdict other than pass; the caller then tries the next settings."""
    evidence, diagnostics = measure(reference, subject, dataset, goal, model=model, options=options, progress=progress)
    said = () if evidence is None else said_of(evidence)
    return GateResult(evidence=evidence, diagnostics=(*diagnostics, *said))


def _predict(
    opened: Opened, model: ModelProfile, data: Dataset, report: Progress, what: str
) -> Predictions | Diagnostic:
    sides: list[Outputs] = []
    for inputs in data.sides:
        outputs = run_model(opened, model, inputs, progress=report, what=what)
        if isinstance(outputs, Diagnostic):
            return outputs
        sides.append(outputs)
    return Predictions(sides=tuple(sides))


def _silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
