"""What stored evidence of built engines says of a place: which engines count there, and what memory they need."""

from collections.abc import Mapping
from dataclasses import replace

from infc.ir.engine_evidence import EngineEvidence
from infc.ir.estimate import MemoryBreakdown
from infc.ir.hardware import Hardware
from infc.ir.model_profile import ModelProfile
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import Problem


def built_engines(
    problem: Problem, hardware: Hardware, precision: Precision, axes: Mapping[str, int]
) -> tuple[EngineEvidence, ...]:
    """Engines of this model that were built for the device's compute capability and the planned sizes of the axes."""
    return tuple(
        engine
        for engine in problem.engines
        if _is_for(engine, problem, hardware, precision)
        and not engine.refusal
        and engine.maximum_elements == maximum_elements(problem.model, engine.max_batch_size, axes)
    )


def builder_refusal(problem: Problem, hardware: Hardware, precision: Precision) -> Rejection | None:
    """That a builder was asked for this precision on such a device and made none; None when it was not, or did.

    Another recipe of the precision may have been built: then it stands.
    """
    asked = [engine for engine in problem.engines if _is_for(engine, problem, hardware, precision)]
    refused = [engine for engine in asked if engine.refusal]
    if not refused or len(refused) < len(asked):
        return None
    return Rejection(
        candidate=f"{precision.value}/{hardware.id}", constraint="build", predicted=refused[0].refusal, limit=""
    )


def _is_for(engine: EngineEvidence, problem: Problem, hardware: Hardware, precision: Precision) -> bool:
    return (
        engine.model_digest == problem.model.digest
        and engine.precision is precision
        and engine.compute_capability == hardware.compute_capability
    )


def maximum_elements(model: ModelProfile, batch: int, axes: Mapping[str, int]) -> int:
    """Elements of all inputs at their largest shapes: batch and axes as given."""
    sizes = {**axes, model.batch_axis or "batch": batch}
    total = 0
    for tensor in model.inputs:
        elements = 1
        for size in tensor.shape:
            elements *= size if isinstance(size, int) else sizes[size]
        total += elements
    return total


def with_builders_figures(
    memory: MemoryBreakdown, engines: tuple[EngineEvidence, ...], batch: int, instances: int, copies_bytes: float
) -> MemoryBreakdown:
    """The estimate of a setup with the builder's figures in place of its own, as far as they reach.

    Weights do not depend on the batch. Activations are exact at a batch that was built for and on a straight line
    between two of them, because every tensor is proportional to the batch or does not depend on it. Beyond those the
    estimate stays, held to what must be: a smaller batch needs no more memory, a larger one no less.

    Args:
        memory: the estimate of all instances on a device.
        engines: those of `built_engines`.
        batch: largest batch of the setup.
        instances: how many run on the device.
        copies_bytes: inputs and outputs of one instance, which the builder does not count.
    """
    if not engines:
        return memory
    known: dict[int, int] = {}
    for engine in engines:
        known[engine.max_batch_size] = max(engine.activation_bytes, known.get(engine.max_batch_size, 0))
    estimated = memory.activations_bytes / instances - copies_bytes
    below = max((size for size in known if size <= batch), default=None)
    above = min((size for size in known if size >= batch), default=None)
    if below is not None and above is not None:
        share = 0.0 if above == below else (batch - below) / (above - below)
        activations = known[below] + share * (known[above] - known[below])
    elif above is not None:
        activations = min(estimated, float(known[above]))
    else:
        assert below is not None  # noqa: S101 - there is an engine
        activations = max(estimated, float(known[below]))
    return replace(
        memory,
        weights_bytes=float(instances * max(engine.weight_bytes for engine in engines)),
        activations_bytes=instances * (activations + copies_bytes),
        is_from_builder=below is not None and above is not None,
    )
