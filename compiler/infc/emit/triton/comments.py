"""The header of config.pbtxt: which part of the spec set what, and why, as comments that nothing can break out of."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from infc.emit.comment import comment_lines
from infc.emit.triton.settings import ENGINE_PARAMETER, ModelSettings
from infc.ir.plan import Plan
from infc.ir.problem import Problem


def comment_header(problem: Problem, plan: Plan, settings: ModelSettings) -> str:
    """Comment lines for the top of config.pbtxt, ending with a newline."""
    lines = [
        f"{settings.name} on {plan.candidate.hardware_id}: {plan.candidate.precision}, {settings.engine_kind} engine.",
        f"Compiled by infc from {PurePosixPath(problem.spec_path).name}: change the spec and compile again.",
        "",
        *_settings_lines(problem, settings),
    ]
    if plan.comments:
        lines += ["", "Why this plan:", *(f"- {comment}" for comment in plan.comments)]
    return "".join(comment_lines(lines))


def _settings_lines(problem: Problem, settings: ModelSettings) -> Iterator[str]:
    slo = " and ".join(f"slo.latency.{target.label} {_milliseconds(target.limit_s)}" for target in problem.latency)
    peak = f"workload.peak {problem.traffic.peak_rps:g}/s"
    if settings.max_batch_size == 0:
        yield "- max_batch_size 0: the model's batch is fixed, so shapes are whole and nothing is batched"
    elif settings.batching is None:
        yield f"- max_batch_size 1, no dynamic batching: single requests meet {slo} at {peak}"
    else:
        yield f"- max_batch_size {settings.max_batch_size}, dynamic batching: set by {slo} at {peak}"
        if settings.batching.preferred_batch_sizes:
            sizes = ", ".join(map(str, settings.batching.preferred_batch_sizes))
            yield f"- preferred_batch_size {sizes}: batches that the server starts without waiting for more"
        yield _delay_line(settings)
    if settings.queue_timeout_us is not None:
        yield (
            f"- default_queue_policy: {settings.queue_timeout_us // 1_000_000} s is never reached and would only "
            "delay, never refuse. It is here because any queue timeout turns Triton's batch prefetch off: a batch is "
            "then formed only when an instance is free, so late requests still join it (simulated: a lower tail)"
        )
    device = "on the CPU" if settings.is_cpu else "on each GPU of the server"
    yield f"- instance_group count {settings.instances} {device}: set by {slo} at {peak}"
    yield from _warmup_line(problem, settings)
    if settings.engine_kind == "torch_inductor":
        if settings.parameters:
            yield "- parameters: what the package was compiled for; the backend refuses another torch or processor"
    else:
        for name, value in sorted(settings.parameters.items()):
            yield f"- {name} {value}: what the plan counted on for each instance"
    if settings.engine_key is not None:
        yield f"- {ENGINE_PARAMETER}: the engine's key of infc.lock, for `infc drift`; no backend reads it"
    if settings.accelerator:
        yield (
            "- execution_accelerators tensorrt: ONNX Runtime builds TensorRT engines for these shapes when the server "
            "first starts, and keeps them in its engine cache"
        )
    if settings.graph_level:
        who = (
            "TensorRT fuses the graph itself" if settings.accelerator else "the engine was optimised when it was built"
        )
        yield (
            f"- optimization.graph.level {settings.graph_level}: {who}; rewriting a quantised graph again can change "
            "its answers without an error"
        )


def _delay_line(settings: ModelSettings) -> str:
    delay_us = round(settings.batching.max_queue_delay_s * 1e6) if settings.batching else 0
    if delay_us == 0:
        return "- max_queue_delay_microseconds 0: a free instance takes what waits, at once"
    return f"- max_queue_delay_microseconds {delay_us}: how long a request may wait for company"


def _warmup_line(problem: Problem, settings: ModelSettings) -> Iterator[str]:
    if not settings.warmup:
        yield "- no model_warmup: the workload does not say how large the dynamic axes are"
        return
    sizes = sorted(problem.traffic.axes.items())
    axes = "".join(f", workload.axes.{name} up to {axis.maximum}" for name, axis in sizes)
    yield f"- model_warmup: batch sizes that the scheduler forms{axes}; zeros are valid for every input"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:g} ms"
