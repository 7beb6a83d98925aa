"""From a decision to an accepted engine: lower, build, test the accuracy; a failed precision sends the plan back."""

from collections.abc import Sequence
from dataclasses import replace

from infc.diag import Diagnostic, InternalError, Severity, has_errors
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import AnyProblem, Problem
from infc.lower.settings import LoweringSettings, settings_for
from infc.pipeline.calibration_data import calibration_for
from infc.pipeline.engine_gain import engine_reasons, known_engines, with_refusal
from infc.pipeline.engines import planned_hardware
from infc.pipeline.mixed_precision import find_exceptions, search_notes
from infc.pipeline.settled import SettledOnnx, Unsettled
from infc.pipeline.trial import Bench, Trial
from infc.pipeline.workshop import Workshop
from infc.plan import solve
from infc.plan.evidence import QUANTISED, has_doubt, passed_evidence
from infc.resolve.problem import stored_evidence


def settle(problem: Problem, plan: Plan, shop: Workshop) -> SettledOnnx | Unsettled:
    """Take the plan to an accepted engine, planning again without a precision that is not shown to keep its accuracy.

    Evidence is stored as soon as a precision is settled, so that the next plan knows it. The final plan is the one that
    follows from everything stored: compiling again changes nothing.
    """
    notes: list[Diagnostic] = []
    while True:
        attempt = _attempt(problem, plan, shop)
        notes += [d for d in attempt.diagnostics if d.severity is not Severity.ERROR and d not in notes]
        engines = known_engines(problem, plan, attempt.built, shop)
        if has_errors(attempt.diagnostics):
            recipe = "" if attempt.lowered is None else attempt.lowered.recipe_digest
            without = with_refusal(problem, plan, recipe, attempt.diagnostics, shop)
            if without is None:
                return Unsettled(problem=problem, decision=plan, verdict=None, diagnostics=attempt.diagnostics)
            engines = without
        problem = replace(problem, evidence=known_evidence(problem, attempt.measured, shop), engines=engines)
        decision = planned_again(problem, plan, shop, is_accepted=attempt.is_accepted)
        if isinstance(decision, Infeasible):
            return refused((problem,), decision, notes)
        if decision.candidate == plan.candidate:
            assert attempt.lowered is not None  # noqa: S101 - an accepted attempt has both
            assert attempt.engine is not None  # noqa: S101
            return SettledOnnx(
                problem=problem,
                plan=decision,
                lowered=attempt.lowered,
                engine=attempt.engine,
                evidence=attempt.evidence,
                diagnostics=tuple(notes),
            )
        for reason in engine_reasons(decision, plan):
            shop.announce(reason)
        plan = decision


def planned_again(problem: AnyProblem, plan: Plan, shop: Workshop, *, is_accepted: bool) -> Plan | Infeasible:
    """The plan that follows from what was found out about `plan`: another one, said aloud, unless that is accepted."""
    decision = solve(problem, shop.market) if shop.market else solve(problem)
    if isinstance(decision, Infeasible):
        return decision
    if decision.candidate != plan.candidate:
        shop.announce(f"planned again: {decision.candidate.label} in place of {plan.candidate.label}")
    elif not is_accepted:
        raise InternalError(f"{plan.candidate.label} was refused, and planned again")
    return decision


def refused(problems: Sequence[AnyProblem], decision: Infeasible, notes: Sequence[Diagnostic]) -> Unsettled:
    """No plan is left: some precision (of each model) missed its accuracy, or could not be shown to keep it."""
    verdict = Verdict.INCONCLUSIVE if any(map(has_doubt, problems)) else Verdict.FAIL
    return Unsettled(problem=problems[0], decision=decision, verdict=verdict, diagnostics=tuple(notes))


def known_evidence(
    problem: AnyProblem, measured: Sequence[AccuracyEvidence], shop: Workshop
) -> tuple[AccuracyEvidence, ...]:
    """All evidence on the spec's dataset, what was just measured included."""
    stored = stored_evidence(shop.loaded, shop.spec, shop.store.accuracy(problem.model.digest))
    return stored + tuple(e for e in measured if e not in stored)


def _attempt(problem: Problem, plan: Plan, shop: Workshop) -> Trial:
    """Try the planned precision: with the exceptions that are known to hold, or as a whole, or searching for them."""
    hardware = planned_hardware(problem, plan)
    calibration, problems = calibration_for(shop.loaded, shop.spec, problem.model.inputs)
    if has_errors(problems):
        return Trial(diagnostics=problems)
    bench = Bench(problem=problem, plan=plan, shop=shop, calibration=calibration)
    settings = settings_for(hardware.kind, method=shop.spec.quantization.method, choice=problem.engine)
    shop.announce(f"lowering {problem.model.name} to {bench.precision.value}")
    trial = _remembered(bench, settings) or bench.look(settings)
    if trial.evidence is not None and trial.evidence.verdict is not Verdict.PASS and not has_errors(trial.diagnostics):
        shop.announce(f"{bench.precision.value} does not show the accuracy that the spec asks for")
        if bench.precision in QUANTISED:
            trial = find_exceptions(bench, settings, trial)
    trial = bench.finish(trial)
    if not shop.is_read_only:
        for evidence in trial.measured:
            shop.store.add_accuracy(evidence)
    said = () if trial.evidence is None else search_notes(trial.evidence, settings.remainder)
    return replace(trial, diagnostics=(*trial.diagnostics, *said))


def _remembered(bench: Bench, settings: LoweringSettings) -> Trial | None:
    """The recipe with exceptions that earlier evidence accepted, if it still holds; None to start from the whole."""
    known = passed_evidence(bench.problem, planned_hardware(bench.problem, bench.plan), bench.precision)
    if known is None or not known.kept:
        return None
    trial = bench.look(replace(settings, kept=known.kept))
    if trial.evidence is None or not trial.holds:
        return None
    return replace(trial, measured=tuple(replace(e, search=e.search or known.search) for e in trial.measured))
