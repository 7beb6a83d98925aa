"""Predicting a language model under a closed loop of requests: the estimate behind `infc predict config.json`."""

from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, Severity, has_errors
from infc.ir.candidate import ContinuousBatching
from infc.ir.estimate import MemoryBreakdown
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.prediction import LlmPrediction, LlmQuestion
from infc.ir.step_time import StepTimeModel, StepTimeProfile
from infc.perf.llm import device_power_w, step_time
from infc.perf.llm.cache import block_tokens_of, sequence_cache_bytes
from infc.perf.llm.memory import DEFAULT_MEMORY_UTILIZATION, LlmMemory, llm_memory
from infc.perf.llm.serving import default_batching, served_cache_precision
from infc.perf.support import Unsupported
from infc.pipeline.plan import overlay_of, profile_store
from infc.pipeline.predict import power_mode_problem
from infc.resolve.hf_config import llm_profile
from infc.resolve.served_models import has_float16
from infc.resolve.targets import load_catalogue
from infc.sim.closed_loop import ClosedLoopFigures, closed_loop_figures, slower
from infc.spec import find_workspace

_GROUPS = (1, 2, 4, 8)
_UTILIZATIONS = (DEFAULT_MEMORY_UTILIZATION, 0.95)
_SMALLEST_BUDGET = 2048
_GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class _Setup:
    """Server settings with the memory that they leave."""

    batching: ContinuousBatching
    utilization: float
    memory: LlmMemory


def predict_llm(question: LlmQuestion, overlay: Path | None = None) -> LlmPrediction | tuple[Diagnostic, ...]:
    """The estimate, or the diagnostics that say why there is none.

    Raises:
        ToolError: step times of aiconfigurator are asked for and the extra `aic` is not installed.
    """
    workspace = find_workspace(question.model / "config.json" if question.model.is_dir() else question.model)
    catalogue = load_catalogue(overlay_of(workspace) if overlay is None else overlay)
    hardware = catalogue.find(question.hardware)
    if hardware is None:
        return (catalogue.unknown_hardware(question.hardware, None),)
    model, found = llm_profile(question.model)
    problems = (*found, *power_mode_problem(question.power_mode, hardware), *_length_problems(question, model))
    if model is None or has_errors(problems):
        return problems
    precision = question.precision or own_precision(model, hardware)
    if question.kv_precision is None:
        question = replace(question, kv_precision=served_cache_precision(model, hardware, precision, question.engine))
    if question.kv_precision is Precision.FP4 and Precision.FP4 not in hardware.peak_flops:
        return (*problems, _unsupported(hardware, Unsupported(reason="an FP4 cache needs FP4 units (Blackwell)")))
    measured = profile_store(workspace).step_times(model.digest)
    steps, source, notes = _steps(question, model, hardware, precision, measured)
    if isinstance(steps, Unsupported):
        return (*problems, _unsupported(hardware, steps))
    setup = _setup(question, model, hardware, precision)
    if setup is None:
        return (*problems, _too_large(question, model, hardware, precision))
    figures, fast, slow = (
        _run(question, each, setup, model, hardware) for each in (steps, slower(steps, -1), slower(steps, 1))
    )
    return LlmPrediction(
        question=question,
        profile=model,
        precision=precision,
        batching=setup.batching,
        memory_utilization=setup.utilization,
        ttft_s=_interval(figures.ttft_s, fast.ttft_s, slow.ttft_s),
        tpot_s=_tpot(figures, fast, slow),
        e2e_s=_interval(figures.e2e_s, fast.e2e_s, slow.e2e_s),
        throughput_per_s=_interval(figures.output_tokens_per_s, fast.output_tokens_per_s, slow.output_tokens_per_s),
        memory=_needed(question, model, setup),
        kv_cache_tokens=setup.memory.kv_cache_tokens,
        power_w=_power(question, hardware, figures.utilization),
        basis=steps.basis,
        step_source=source,
        diagnostics=(*problems, *notes),
    )


def own_precision(model: LlmProfile, hardware: Hardware) -> Precision:
    """What the checkpoint runs in on this device: its quantised weights, else its dtype, or the other 16-bit format."""
    if model.quantization is not None:
        return model.quantization.weight_precision
    wanted = (model.dtype, Precision.BF16, Precision.FP16) if has_float16(model) else (Precision.BF16, model.dtype)
    return next((precision for precision in wanted if precision in hardware.peak_flops), model.dtype)


def _steps(
    question: LlmQuestion,
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    measured: tuple[StepTimeProfile, ...],
) -> tuple[StepTimeModel | Unsupported, str, tuple[Diagnostic, ...]]:
    """Step times, where they come from, and what there is to say about it."""
    ours = step_time(
        model,
        hardware,
        precision,
        tensor_parallel=question.tensor_parallel,
        kv_precision=question.kv_precision,
        measurements=measured,
        power_mode=question.power_mode,
        engine=question.engine,
    )
    if question.step_times == "model" or isinstance(ours, Unsupported):
        return ours, "infc", ()
    from infc.perf.llm.aic import aic_step_time

    tabled = aic_step_time(
        question.model,
        model,
        hardware,
        precision,
        ours,
        tensor_parallel=question.tensor_parallel,
        kv_precision=question.kv_precision,
        engine=question.engine,
    )
    if isinstance(tabled, Unsupported):
        return ours, "infc", (_not_tabled(hardware, tabled),)
    return tabled, "aiconfigurator", ()


def _setup(question: LlmQuestion, model: LlmProfile, hardware: Hardware, precision: Precision) -> _Setup | None:
    """The first settings, from the defaults on, that cache all the asked requests; else those that cache most.

    None when no settings hold one request. An operator whose server does not start lowers the same settings.
    """
    length = question.prompt_tokens + question.output_tokens
    best: _Setup | None = None
    for utilization in _UTILIZATIONS:
        for batching in _settings(question, hardware):
            memory = llm_memory(
                model,
                hardware,
                precision,
                tensor_parallel=question.tensor_parallel,
                kv_precision=question.kv_precision,
                max_num_seqs=batching.max_num_seqs,
                max_num_batched_tokens=batching.max_num_batched_tokens,
                memory_utilization=utilization,
                context_tokens=length,
            )
            setup = _Setup(batching=batching, utilization=utilization, memory=memory)
            if memory.kv_cache_tokens >= question.concurrency * length * _LONGEST:
                return setup
            if best is None or memory.kv_cache_tokens > best.memory.kv_cache_tokens:
                best = setup
    if best is None or best.memory.kv_cache_tokens < length * _LONGEST:
        return None
    return best


_LONGEST = 1.1
"""The longest request of the simulated benchmark as a multiple of the asked length."""


def _settings(question: LlmQuestion, hardware: Hardware) -> tuple[ContinuousBatching, ...]:
    """The server's defaults for the device, then fewer sequences, then a smaller token budget."""
    default = default_batching(hardware)
    sequences = question.max_num_seqs or default.max_num_seqs
    budget = max(question.max_num_batched_tokens or default.max_num_batched_tokens, sequences)
    base = replace(default, max_num_seqs=sequences, max_num_batched_tokens=budget, kv_precision=question.kv_precision)
    if question.max_num_seqs is not None and question.max_num_batched_tokens is not None:
        return (base,)
    fewer = base if question.max_num_seqs else replace(base, max_num_seqs=min(sequences, question.concurrency))
    small = max(min(budget, _SMALLEST_BUDGET), fewer.max_num_seqs)
    smaller = fewer if question.max_num_batched_tokens else replace(fewer, max_num_batched_tokens=small)
    return tuple(dict.fromkeys((base, fewer, smaller)))


def _run(
    question: LlmQuestion, steps: StepTimeModel, setup: _Setup, model: LlmProfile, hardware: Hardware
) -> ClosedLoopFigures:
    return closed_loop_figures(
        steps,
        setup.batching,
        setup.memory.kv_cache_tokens,
        concurrency=question.concurrency,
        prompt_tokens=question.prompt_tokens,
        output_tokens=question.output_tokens,
        block_tokens=block_tokens_of(model, hardware.kind),
        has_async_scheduling=hardware.kind != "cpu",
    )


def _needed(question: LlmQuestion, model: LlmProfile, setup: _Setup) -> MemoryBreakdown:
    """Memory of one device with the cache that the asked requests fill, at most what there is."""
    length = question.prompt_tokens + question.output_tokens
    each = sequence_cache_bytes(model, length, question.kv_precision, question.tensor_parallel)
    available = setup.memory.breakdown
    running = min(question.concurrency, setup.batching.max_num_seqs)
    return replace(available, kv_cache_bytes=min(available.kv_cache_bytes, running * each))


def _power(question: LlmQuestion, hardware: Hardware, utilization: float) -> Interval | None:
    one = device_power_w(hardware, utilization, question.power_mode)
    return None if one is None else one.scaled(question.tensor_parallel)


def _tpot(figures: ClosedLoopFigures, *ends: ClosedLoopFigures) -> Interval | None:
    found = [each.tpot_s for each in ends if each.tpot_s is not None]
    return None if figures.tpot_s is None else _interval(figures.tpot_s, *found)


def _interval(value: float, *ends: float) -> Interval:
    return Interval(value=value, low=min(value, *ends), high=max(value, *ends))


def _length_problems(question: LlmQuestion, model: LlmProfile | None) -> tuple[Diagnostic, ...]:
    length = question.prompt_tokens + question.output_tokens
    if model is None or length <= model.max_context_tokens:
        return ()
    return (
        Diagnostic(
            id="predict-context",
            message=f"{length} tokens are more than the model's context of {model.max_context_tokens}",
            notes=(f"{question.prompt_tokens} prompt tokens and {question.output_tokens} output tokens",),
            help=f"ask for at most {model.max_context_tokens} tokens with --isl and --osl together",
        ),
    )


def _unsupported(hardware: Hardware, refused: Unsupported) -> Diagnostic:
    return Diagnostic(
        id="predict-unsupported",
        message=f"{hardware.id} cannot run it: {refused.reason}",
        help="infc targets show prints the precisions of a device; --precision and --tp choose another way",
    )


def _too_large(question: LlmQuestion, model: LlmProfile, hardware: Hardware, precision: Precision) -> Diagnostic:
    """Says what is needed, and how many devices would do."""
    setups = {
        devices: _setup(replace(question, tensor_parallel=devices), model, hardware, precision)
        for devices in _GROUPS
        if devices > question.tensor_parallel
        and not isinstance(step_time(model, hardware, precision, tensor_parallel=devices), Unsupported)
    }
    enough = next((devices for devices, setup in setups.items() if setup is not None), None)
    tightest = _settings(question, hardware)[-1]
    memory = llm_memory(
        model,
        hardware,
        precision,
        tensor_parallel=question.tensor_parallel,
        kv_precision=question.kv_precision,
        max_num_seqs=tightest.max_num_seqs,
        max_num_batched_tokens=tightest.max_num_batched_tokens,
        memory_utilization=_UTILIZATIONS[-1],
    )
    parts = memory.breakdown
    length = question.prompt_tokens + question.output_tokens
    each = sequence_cache_bytes(model, length, question.kv_precision, question.tensor_parallel)
    how_many = f"--tp {question.tensor_parallel}"
    return Diagnostic(
        id="predict-memory",
        message=f"{model.name} in {precision.value} does not fit {hardware.id} with {how_many}",
        notes=(
            f"each device needs {parts.weights_bytes / _GIB:.1f} GiB of weights,"
            f" {parts.activations_bytes / _GIB:.1f} of activations, {parts.runtime_bytes / _GIB:.1f} of runtime and"
            f" {each / _GIB:.1f} for the cache of one request; a server may use {memory.budget_bytes / _GIB:.1f}",
        ),
        help=f"--tp {enough} holds it"
        if enough is not None
        else "choose a lower --precision, or a device with more memory (infc targets list)",
    )


def _not_tabled(hardware: Hardware, refused: Unsupported) -> Diagnostic:
    return Diagnostic(
        id="predict-step-times",
        severity=Severity.WARNING,
        message=f"aiconfigurator has no step times for this on {hardware.id}; infc's own model answers",
        notes=(refused.reason,),
        help="leave --step-times out to use infc's model without this note",
    )
