"""`infc calibrate` of a language model: its server's steps are measured, fitted and stored for later plans."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, Severity, has_errors
from infc.ir.bundle import Bundle
from infc.ir.candidate import ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.hardware import Hardware
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, LatencyTarget, LlmProblem
from infc.ir.step_time import StepTimeProfile
from infc.perf import Unsupported
from infc.perf.llm import step_time
from infc.perf.llm.step_fit import fit
from infc.pipeline.bundles import bundle_of
from infc.pipeline.checkpoints import source_checkpoint
from infc.pipeline.plan import overlay_of, profile_store, resolve_loaded
from infc.pipeline.settled import SettledLlm
from infc.plan import solve
from infc.resolve.pricing import priced_option
from infc.resolve.targets import Catalogue, load_catalogue
from infc.serve.other_work import NOISY_SHARE
from infc.spec import LoadedSpec
from infc.validate.calibrate import device_for
from infc.validate.gpu.device import GpuDevice
from infc.validate.llm.burst import BurstClient
from infc.validate.llm.calibrate import StepCalibration, measure_steps
from infc.validate.llm.calibrated_server import LOGGING_STEPS, CalibratedServer, running_server, started_server
from infc.validate.llm.design import ServerLimits
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm.step_comparison import StepComparison, compare_steps
from infc.validate.llm.step_log import kv_cache_tokens
from infc.validate.service_time import processor_name

DEFAULT_BUDGET_S = 60.0
HEADROOM = 2
"""A server that is started takes this multiple of the planned sequences: with its steps known a plan may want more."""
UNSTEADY = 1.15
"""From this spread of its pace on a machine is called unsteady."""
_FREELY = 1e3
"""By how much the SLO is loosened where no plan meets it: the server's settings are those of a plan all the same."""


@dataclass(frozen=True, kw_only=True)
class LlmCalibrationQuestion:
    """What the user asked to measure. `precision` None is the planned one.

    `endpoint` names a server that runs already and writes its steps to `log`; None starts one.
    """

    loaded: LoadedSpec
    hardware: str
    precision: Precision | None = None
    budget_s: float = DEFAULT_BUDGET_S
    endpoint: str | None = None
    log: Path | None = None


@dataclass(frozen=True, kw_only=True)
class CalibratedSteps:
    """What was measured and where it is stored, None where nothing could be measured, and what to know of it."""

    comparison: StepComparison | None
    path: Path | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationSetup:
    """What is served: the plan for one device alone, and the checkpoint in the planned precision."""

    problem: LlmProblem
    plan: Plan
    hardware: Hardware
    device: GpuDevice | None

    @property
    def batching(self) -> ContinuousBatching:
        """The plan's settings of the scheduler."""
        assert isinstance(self.plan.candidate.batching, ContinuousBatching)  # noqa: S101 - of a language model
        return self.plan.candidate.batching


def _ready(_: CalibratedServer) -> None:
    """Nothing is to be done when the server is up."""


def calibrate_llm(
    question: LlmCalibrationQuestion,
    progress: Callable[[str], None],
    on_start: Callable[[CalibratedServer], None] = _ready,
) -> CalibratedSteps:
    """Measure the server of a spec on this machine and store its profile.

    Nothing is stored before all is measured. `on_start` is called when the server is up.

    Raises:
        ToolError: vLLM is not installed, does not start, or fails while it is measured.
    """
    setup, problems = calibration_setup(question)
    if setup is None:
        return _nothing(*problems)
    progress(f"the plan for {setup.hardware.id} is {setup.plan.candidate.label}")
    serving, more = _serving(question, setup, progress)
    problems = (*problems, *more)
    if serving is None:
        return _nothing(*problems)
    with serving as server:
        on_start(server)
        measured = _measured(question, setup, server, progress)
    if isinstance(measured, Diagnostic):
        return _nothing(*problems, measured)
    profile = profile_from(measured, setup.problem, setup.plan, environment=_environment(setup, server, measured))
    profile = replace(profile, load_s=server.load_s)
    comparison = _comparison(profile, setup)
    if isinstance(comparison, Diagnostic):
        return _nothing(*problems, comparison)
    path = profile_store(question.loaded.workspace).add_step_times(profile)
    return CalibratedSteps(comparison=comparison, path=path, diagnostics=(*problems, *_doubts(measured)))


def profile_from(
    measured: StepCalibration, problem: LlmProblem, plan: Plan, *, environment: dict[str, str]
) -> StepTimeProfile:
    """What is stored of a measurement of the plan's server."""
    candidate = plan.candidate
    assert isinstance(candidate.batching, ContinuousBatching)  # noqa: S101 - of a language model
    return StepTimeProfile(
        model_digest=problem.model.digest,
        precision=candidate.precision,
        hardware_id=candidate.hardware_id,
        tensor_parallel=candidate.tensor_parallel,
        kv_precision=candidate.batching.kv_precision,
        points=measured.points,
        overhead_s=round(measured.overhead_s, 7),
        sequence_overhead_s=round(measured.sequence_overhead_s, 7),
        request_s=round(measured.request_s, 7),
        pace_spread=None if measured.pace_spread is None else round(measured.pace_spread, 3),
        environment=environment,
    )


def limits_of(problem: LlmProblem, plan: Plan, server: CalibratedServer) -> ServerLimits:
    """What the plan's server accepts, as the server itself says where it does."""
    batching = plan.candidate.batching
    assert isinstance(batching, ContinuousBatching)  # noqa: S101 - of a language model
    planned = plan.estimate.tokens.kv_cache_tokens if plan.estimate.tokens else problem.tokens.longest
    logged = kv_cache_tokens(server.log.read_text(encoding="utf-8", errors="replace"))
    longest = batching.max_model_len or problem.tokens.longest
    return ServerLimits(
        max_num_seqs=batching.max_num_seqs,
        max_num_batched_tokens=batching.max_num_batched_tokens,
        max_model_len=min(longest, server.max_model_len or longest),
        kv_cache_tokens=logged or planned,
    )


def calibration_setup(question: LlmCalibrationQuestion) -> tuple[CalibrationSetup | None, tuple[Diagnostic, ...]]:
    """The plan to measure, or why there is none."""
    catalogue = load_catalogue(overlay_of(question.loaded.workspace))
    hardware = catalogue.find(question.hardware)
    if hardware is None:
        return None, (catalogue.unknown_hardware(question.hardware, None),)
    device = None if question.endpoint is not None else device_for(hardware, catalogue.all())
    if isinstance(device, Diagnostic):
        return None, (device,)
    catalogues: dict[Path | None, Catalogue] = {}
    resolved, catalogue, problems = resolve_loaded(question.loaded, catalogues)
    if resolved is None or question.loaded.spec is None or not isinstance(resolved.problem, LlmProblem):
        return None, problems
    option = replace(priced_option(question.loaded.spec, catalogue, hardware), is_named_target=True)
    problem, plan = _planned(resolved.problem, option, question.precision)
    if plan is None:
        return None, (*problems, _does_not_fit(resolved.problem, hardware))
    if plan.candidate.pipeline_parallel > 1:
        return None, (*problems, _pipelined(plan))
    return CalibrationSetup(problem=problem, plan=plan, hardware=hardware, device=device), problems


def _planned(
    problem: LlmProblem, option: HardwareOption, precision: Precision | None
) -> tuple[LlmProblem, Plan | None]:
    """The plan for one device alone; with a loose SLO and one request at a time where none meets it."""
    limits = problem.limits if precision is None else replace(problem.limits, precisions=(precision,))
    limits = replace(limits, max_accelerators=None, max_usd_per_hour=None, max_power_w=None)
    here = replace(problem, options=(option,), limits=limits)
    decision = solve(here)
    if not isinstance(decision, Plan):
        loose = replace(
            here,
            ttft=_loosened(here.ttft),
            tpot=_loosened(here.tpot),
            e2e=_loosened(here.e2e),
            traffic=replace(here.traffic, rate_rps=here.traffic.rate_rps / _FREELY, peak_rps=1.0 / _FREELY),
        )
        decision = solve(loose)
    if not isinstance(decision, Plan):
        return problem, None
    return _chosen(here, decision), decision


def _chosen(problem: LlmProblem, plan: Plan) -> LlmProblem:
    """The problem of the model that the plan takes, where the spec names several."""
    if not problem.alternatives:
        return problem
    from infc.plan.llm.fleet import chosen_model

    return chosen_model(problem, plan)


def _loosened(targets: tuple[LatencyTarget, ...]) -> tuple[LatencyTarget, ...]:
    return tuple(replace(target, limit_s=target.limit_s * _FREELY) for target in targets)


def _serving(
    question: LlmCalibrationQuestion, setup: CalibrationSetup, progress: Callable[[str], None]
) -> tuple[AbstractContextManager[CalibratedServer] | None, tuple[Diagnostic, ...]]:
    """The server: the one that is named, or the plan's own bundle served here."""
    if question.endpoint is not None and question.log is not None:
        name = setup.problem.source.served_name
        return nullcontext(running_server(question.endpoint, question.log, name)), ()
    served, problems = planned_bundle(question, setup, progress)
    if served is None:
        return None, problems
    progress("starting vLLM, which takes half a minute and more")
    return started_server(*served, calibrated_settings(setup)), problems


def calibrated_settings(setup: CalibrationSetup) -> dict[str, str | int | bool]:
    """What a server that is started to be measured has over the plan's settings."""
    most = HEADROOM * setup.batching.max_num_seqs
    budget = max(setup.batching.max_num_batched_tokens, most)
    return {**LOGGING_STEPS, "max-num-seqs": most, "max-num-batched-tokens": budget}


def planned_bundle(
    question: LlmCalibrationQuestion, setup: CalibrationSetup, progress: Callable[[str], None]
) -> tuple[tuple[Bundle, Checkpoint] | None, tuple[Diagnostic, ...]]:
    """What compile would emit for this device, with the checkpoint that it serves."""
    checkpoint, problems = _checkpoint(question, setup, progress)
    if checkpoint is None or has_errors(problems):
        return None, problems
    settled = SettledLlm(
        problem=setup.problem, plan=setup.plan, checkpoint=checkpoint, evidence=None, diagnostics=problems
    )
    bundle, more = bundle_of(question.loaded, setup.hardware.id, settled)
    return (None if bundle is None else (bundle, checkpoint)), (*problems, *(more if bundle is None else ()))


def _checkpoint(
    question: LlmCalibrationQuestion, setup: CalibrationSetup, progress: Callable[[str], None]
) -> tuple[Checkpoint | None, tuple[Diagnostic, ...]]:
    """The checkpoint in the planned precision; without weights where they are not here."""
    source, problems = source_checkpoint(question.loaded, setup.problem)
    if source is None:
        return None, problems
    if source.is_pending:
        return source, ()  # a step's time does not depend on the weights: random ones are served
    from infc.lower.llm import lower_checkpoint, quantization_settings

    settings = quantization_settings(question.loaded)
    folder = question.loaded.workspace.cache / "checkpoints"
    lowered, more = lower_checkpoint(source, setup.problem, setup.plan, settings, folder, progress)
    return lowered, (*problems, *more)


def _measured(
    question: LlmCalibrationQuestion, setup: CalibrationSetup, server: CalibratedServer, progress: Callable[[str], None]
) -> StepCalibration | Diagnostic:
    prompts = PromptSource(
        model=server.model,
        vocabulary=setup.problem.model.vocabulary,
        run=0,
        longest_prefix=0,
        is_detokenized=server.has_tokenizer,
    )
    limits = limits_of(setup.problem, setup.plan, server)
    if question.endpoint is None:
        limits = replace(limits, max_num_seqs=HEADROOM * limits.max_num_seqs)
    with BurstClient(server.endpoint, prompts) as client:
        return measure_steps(client, server.log, limits, question.budget_s, progress, processes=server.processes)


def _environment(setup: CalibrationSetup, server: CalibratedServer, measured: StepCalibration) -> dict[str, str]:
    batching = setup.batching
    found = {
        "server": f"vllm {server.version}",
        "device": setup.hardware.name if setup.device is None else setup.device.name,
        "limits": f"max-num-seqs {batching.max_num_seqs}, max-num-batched-tokens {batching.max_num_batched_tokens}",
        "rounds": str(measured.rounds),
    }
    if setup.hardware.kind == "cpu" and server.processes:
        found["device"] = processor_name()
    if server.processes:
        found["other_work"] = f"{measured.others:.0%}"
    return found


def _comparison(profile: StepTimeProfile, setup: CalibrationSetup) -> StepComparison | Diagnostic:
    try:
        fitted = fit(profile.points)
    except ValueError as error:
        return _too_little(str(error))
    predicted = step_time(
        setup.problem.model,
        setup.hardware,
        profile.precision,
        tensor_parallel=profile.tensor_parallel,
        kv_precision=profile.kv_precision,
        power_mode=setup.plan.candidate.power_mode,
    )
    if isinstance(predicted, Unsupported):
        return compare_steps(profile, fitted, None, predicted.reason)
    return compare_steps(profile, fitted, predicted)


def _doubts(measured: StepCalibration) -> tuple[Diagnostic, ...]:
    found = []
    if measured.others > NOISY_SHARE:
        found.append(
            Diagnostic(
                id="calibrate-noisy",
                severity=Severity.WARNING,
                message=f"other work took {measured.others:.0%} of this machine's processor cores",
                notes=("step times of such a run are too long, and say little of an idle machine",),
                help="end other programs and measure again",
            )
        )
    pace = measured.pace_spread or 1.0
    if pace > UNSTEADY:
        found.append(
            Diagnostic(
                id="calibrate-unsteady",
                severity=Severity.WARNING,
                message=f"the same steps took up to {pace - 1:.0%} more or less time when they were repeated",
                notes=("no program of this machine did that: its processor goes now faster, now slower",),
                help="plans take the mean and a wider interval; give it more --budget, or a machine of its own",
            )
        )
    if measured.skipped:
        left = max(measured.skipped, key=lambda burst: (burst.requests, burst.prompt_tokens))
        found.append(
            Diagnostic(
                id="calibrate-short",
                severity=Severity.WARNING,
                message=f"no time was left for {len(measured.skipped)} of the planned bursts of requests",
                notes=(f"the largest of them: {left.requests} at once, of {left.prompt_tokens} tokens",),
                help="give it more time with --budget; plans extrapolate what was not measured, and say so",
            )
        )
    return tuple(found)


def _does_not_fit(problem: LlmProblem, hardware: Hardware) -> Diagnostic:
    return Diagnostic(
        id="calibrate-no-plan",
        message=f"{problem.model.name} cannot be served on {hardware.id}, whatever the SLO",
        help=f"infc plan --why {hardware.id} says what it lacks; --precision names another precision of the weights",
    )


def _pipelined(plan: Plan) -> Diagnostic:
    return Diagnostic(
        id="calibrate-pipeline",
        message=f"{plan.candidate.label} is a pipeline of {plan.candidate.pipeline_parallel} stages",
        notes=("steps of different stages overlap, so that their logged times do not add up",),
        help="measure it under load with infc validate",
    )


def _too_little(reason: str) -> Diagnostic:
    return Diagnostic(
        id="calibrate-no-steps",
        message="the steps that were measured do not tell a model of step times",
        notes=(reason,),
        help="give it more time with --budget",
    )


def _nothing(*problems: Diagnostic) -> CalibratedSteps:
    return CalibratedSteps(comparison=None, path=None, diagnostics=problems)
