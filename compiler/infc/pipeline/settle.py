"""From a decision to an accepted engine: lower, build, test the accuracy; a failed precision sends the plan back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build.builder import Builder
from infc.diag import Diagnostic, InternalError, Severity, has_errors
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.engine import Engine, LoweredModel, PendingEngine
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import HardwareOption, Problem
from infc.ir.spec import OnnxModel, Spec
from infc.lower import Calibration, fallbacks, lower, settings_for
from infc.lower.settings import LoweringSettings
from infc.pipeline.calibration_data import calibration_for
from infc.pipeline.engine_gain import engine_reasons, known_engines, with_refusal
from infc.pipeline.engines import EngineShop, build_planned, engine_shop, planned_hardware
from infc.plan import solve
from infc.plan.evidence import has_doubt
from infc.resolve.problem import stored_evidence
from infc.resolve.store import ProfileStore
from infc.spec import LoadedSpec
from infc.validate.accuracy import GateResult, MeasureOptions, gate

Announce = Callable[[str], None]
ProgressBar = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A plan whose precision was lowered, built and held against the accuracy goal (`evidence` is None without one)."""

    problem: Problem
    plan: Plan
    lowered: LoweredModel
    engine: Engine | PendingEngine
    evidence: AccuracyEvidence | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """Why there is no engine: the plan became infeasible, the evidence is inconclusive, or a stage has errors."""

    problem: Problem
    decision: Plan | Infeasible
    verdict: Verdict | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What settling needs besides the problem.

    `market` lists further hardware for relaxations, as `plan.solve` takes it. `is_read_only` leaves `infc-profiles/`
    alone: a locked compile must not change what it checks. `promised_key` is the key of an engine that the lock waits
    for, or must hold; `keeps_pending` says that it must hold one that was pending.
    """

    loaded: LoadedSpec
    store: ProfileStore
    is_read_only: bool
    market: Callable[[], tuple[HardwareOption, ...]] | None
    allow_code: bool
    builder: Builder
    build_timeout_s: float
    promised_key: str | None
    keeps_pending: bool
    announce: Announce
    progress: ProgressBar

    @property
    def spec(self) -> Spec:
        """The spec, which is valid by now."""
        assert self.loaded.spec is not None  # noqa: S101 - only valid specs are compiled
        return self.loaded.spec

    @property
    def engines(self) -> EngineShop:
        """Where its engines come from."""
        return engine_shop(self.loaded.workspace, self.builder, self.build_timeout_s, self.announce)

    @property
    def source(self) -> Path:
        """The model file."""
        model = self.spec.model
        assert isinstance(model, OnnxModel)  # noqa: S101 - other models are refused by the planner
        return self.loaded.file(model.onnx)


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """One lowering of the planned precision and what came of it; `measured` is the evidence of its fallbacks too."""

    lowered: LoweredModel | None
    engine: Engine | PendingEngine | None
    evidence: AccuracyEvidence | None
    diagnostics: tuple[Diagnostic, ...]
    measured: tuple[AccuracyEvidence, ...] = ()

    @property
    def built(self) -> Engine | None:
        return self.engine if isinstance(self.engine, Engine) else None

    @property
    def is_accepted(self) -> bool:
        return self.engine is not None and (self.evidence is None or self.evidence.verdict is Verdict.PASS)


def settle(problem: Problem, plan: Plan, shop: Workshop) -> Settled | Unsettled:
    """Take the plan to an accepted engine, planning again without a precision that is not shown to keep its accuracy.

    Evidence is stored as soon as it is had, so that the next plan knows it. The final plan is the one that follows from
    everything stored: compiling again changes nothing.
    """
    notes: list[Diagnostic] = []
    while True:
        attempt = _attempt(problem, plan, shop)
        notes += [d for d in attempt.diagnostics if d.severity is not Severity.ERROR and d not in notes]
        engines = known_engines(problem, plan, attempt.built, shop)
        if has_errors(attempt.diagnostics):
            recipe = "" if attempt.lowered is None else attempt.lowered.recipe_digest
            refused = with_refusal(problem, plan, recipe, attempt.diagnostics, shop)
            if refused is None:
                return Unsettled(problem=problem, decision=plan, verdict=None, diagnostics=attempt.diagnostics)
            engines = refused
        problem = replace(problem, evidence=_known_evidence(problem, attempt, shop), engines=engines)
        decision = solve(problem, shop.market) if shop.market else solve(problem)
        if isinstance(decision, Infeasible):
            verdict = Verdict.INCONCLUSIVE if has_doubt(problem) else Verdict.FAIL
            return Unsettled(problem=problem, decision=decision, verdict=verdict, diagnostics=tuple(notes))
        if attempt.is_accepted and decision.candidate == plan.candidate:
            assert attempt.lowered is not None  # noqa: S101 - an accepted attempt has both
            assert attempt.engine is not None  # noqa: S101
            return Settled(
                problem=problem,
                plan=decision,
                lowered=attempt.lowered,
                engine=attempt.engine,
                evidence=attempt.evidence,
                diagnostics=tuple(notes),
            )
        if decision.candidate == plan.candidate:
            raise InternalError(f"{plan.candidate.label} was refused, and planned again")
        shop.announce(f"planned again: {decision.candidate.label} in place of {plan.candidate.label}")
        for reason in engine_reasons(decision, plan):
            shop.announce(reason)
        plan = decision


def _is_settled_by(attempt: _Attempt, verdict: Verdict) -> bool:
    return attempt.evidence is not None and attempt.evidence.verdict is verdict


def _attempt(problem: Problem, plan: Plan, shop: Workshop) -> _Attempt:
    """Lower the planned precision, with the fallback settings of that precision until the accuracy goal holds."""
    hardware = planned_hardware(problem, plan)
    precision = plan.candidate.precision
    calibration, problems = calibration_for(problem, shop.loaded, shop.spec)
    if has_errors(problems):
        return _Attempt(lowered=None, engine=None, evidence=None, diagnostics=problems)
    settings = settings_for(hardware.kind, method=shop.spec.quantization.method)
    attempts: list[_Attempt] = []
    measured: tuple[AccuracyEvidence, ...] = ()
    for chosen in fallbacks(settings, precision):
        attempt = _one(problem, plan, shop, calibration, chosen)
        attempts.append(attempt)
        measured = tuple(a.evidence for a in attempts if a.evidence is not None)
        if attempt.is_accepted or has_errors(attempt.diagnostics):
            return replace(attempt, measured=measured)
        variant = "" if chosen.is_attention_quantized else " without the attention's products"
        shop.announce(f"{precision.value}{variant} does not show the accuracy that the spec asks for")
    inconclusive = [a for a in attempts if _is_settled_by(a, Verdict.INCONCLUSIVE)]
    return replace((inconclusive or attempts)[-1], measured=measured)


def _one(
    problem: Problem, plan: Plan, shop: Workshop, calibration: Calibration | None, settings: LoweringSettings
) -> _Attempt:
    """One lowering: on the CPU the built engine is tested, for a GPU the lowered model that is then built."""
    precision = plan.candidate.precision
    shop.announce(f"lowering {problem.model.name} to {precision.value}")
    lowered, problems = lower(
        shop.source, problem.model, precision, calibration, settings, shop.loaded.workspace.cache / "lowered"
    )
    if lowered is None:
        return _Attempt(lowered=None, engine=None, evidence=None, diagnostics=problems)
    if planned_hardware(problem, plan).kind == "cpu":
        engine, refused = _built(problem, plan, lowered, shop)
        if not isinstance(engine, Engine):
            return _Attempt(lowered=lowered, engine=None, evidence=None, diagnostics=(*problems, *refused))
        result = _tested(problem, engine, shop)
        problems = (*problems, *refused, *result.diagnostics)
        return _Attempt(lowered=lowered, engine=engine, evidence=result.evidence, diagnostics=problems)
    result = _tested(problem, lowered, shop)
    problems = (*problems, *result.diagnostics)
    if has_errors(problems) or (result.evidence is not None and result.evidence.verdict is not Verdict.PASS):
        return _Attempt(lowered=lowered, engine=None, evidence=result.evidence, diagnostics=problems)
    engine, refused = _built(problem, plan, lowered, shop)
    return _Attempt(lowered=lowered, engine=engine, evidence=result.evidence, diagnostics=(*problems, *refused))


def _built(
    problem: Problem, plan: Plan, lowered: LoweredModel, shop: Workshop
) -> tuple[Engine | PendingEngine | None, tuple[Diagnostic, ...]]:
    return build_planned(problem, plan, lowered, shop.engines, promised_key=shop.promised_key)


def _tested(problem: Problem, subject: LoweredModel | Engine, shop: Workshop) -> GateResult:
    """The accuracy gate; evidence of the same recipe, data and goal that is stored already is not measured again."""
    goal = problem.accuracy
    if goal is None:
        return GateResult(evidence=None, diagnostics=())
    kind = subject.kind if isinstance(subject, Engine) else "lowered"
    for known in problem.evidence:
        identity = (known.recipe_digest, known.subject, known.precision, known.metric)
        asked = (known.floor, known.max_drop, known.confidence)
        if identity == (subject.recipe_digest, kind, subject.precision, goal.metric) and asked == (
            goal.floor,
            goal.max_drop,
            goal.confidence,
        ):
            shop.announce(f"accuracy of {subject.precision.value} is known: {known.verdict.value}")
            return GateResult(evidence=known, diagnostics=())
    result = gate(
        shop.source,
        subject,
        shop.loaded.file(goal.dataset),
        goal,
        model=problem.model,
        options=MeasureOptions(
            is_calibration_source=shop.spec.quantization.calibration is None,
            allow_code=shop.allow_code,
            code_root=shop.loaded.path.parent,
            shown_as=goal.dataset,
            cache=shop.loaded.workspace.cache / "reference",
        ),
        progress=shop.progress,
    )
    if result.evidence is not None and not shop.is_read_only:
        shop.store.add_accuracy(result.evidence)
    return result


def _known_evidence(problem: Problem, attempt: _Attempt, shop: Workshop) -> tuple[AccuracyEvidence, ...]:
    """All evidence on the spec's dataset, what was just measured included."""
    stored = stored_evidence(shop.loaded, shop.spec, shop.store.accuracy(problem.model.digest))
    fresh = tuple(e for e in attempt.measured if e not in stored)
    return stored + fresh
