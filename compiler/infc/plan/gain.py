"""Whether a quantised engine gains anything over an unquantised one, by what the builder says of both.

A builder may give integer convolutions FP32 outputs and requantise them in layers of their own: such an engine moves
more bytes than the FP16 one, and on a memory-bound model no arithmetic makes up for it. Why and when, with figures:
docs/decisions/0011-engine-evidence.md.
"""

from collections.abc import Iterator, Mapping, Sequence

from infc.ir.engine_evidence import EngineEvidence
from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.perf import KernelWork, unsupported_reason
from infc.perf.built import BuiltEngine, built_seconds
from infc.perf.memory import device_memory, usable_memory_bytes
from infc.plan.built import builder_refusal, built_engines
from infc.plan.devices import accuracy_refusal
from infc.plan.evidence import QUANTISED, passed_evidence
from infc.plan.words import figure_text

NEEDED = 1.0
"""How many times as fast a quantised engine must be, at best, to be worth its accuracy risk at all.

More gain than that is asked for where latency or energy is the objective (`plan.objective.GAIN_NEEDED`).
"""
PLAIN = (Precision.FP16, Precision.BF16, Precision.FP32)
MB = 1e6
_COMPARED_BATCHES = (1, 2, 4, 8, 16, 32, 64)


def gain_refusal(
    problem: Problem,
    hardware: Hardware,
    power_mode: str | None,
    precision: Precision,
    allowed: Sequence[Precision],
    work: KernelWork,
    axes: Mapping[str, int],
) -> Rejection | None:
    """Why the built engine of a quantised precision gains nothing on a device; None when it does or nothing is known.

    It is compared with engines of the allowed unquantised precisions at equal shapes. Each way that figures are
    uncertain is resolved in its favour: the batch size and the cache behaviour at which it does best. Measured service
    times on the device go before this comparison.
    """
    if precision not in QUANTISED or _is_measured(problem, hardware, precision):
        return None
    others = plain_precisions(problem, hardware, allowed, work)
    best: tuple[float, EngineEvidence, EngineEvidence] | None = None
    for quantised in _accepted(problem, hardware, precision, axes):
        pairs = list(_pairs(problem, hardware, quantised, others, axes))
        if not pairs:
            continue
        compared = [(_gain(work, hardware, power_mode, quantised, plain), plain) for plain in pairs]
        gain, plain = min(compared, key=lambda pair: pair[0])
        if best is None or gain > best[0]:
            best = (gain, quantised, plain)
    if best is None or best[0] > NEEDED:
        return None
    return _rejection(hardware, power_mode, *best)


def plain_precisions(
    problem: Problem, hardware: Hardware, allowed: Sequence[Precision], work: KernelWork
) -> tuple[Precision, ...]:
    """The allowed unquantised precisions that could be taken on a device, those of fewest bytes first."""
    plain = [p for p in PLAIN if p in allowed and _is_possible(problem, hardware, p, work)]
    return tuple(plain)


def _is_measured(problem: Problem, hardware: Hardware, precision: Precision) -> bool:
    return any(m.hardware_id == hardware.id and m.precision is precision for m in problem.measurements)


def _is_possible(problem: Problem, hardware: Hardware, precision: Precision, work: KernelWork) -> bool:
    """Whether the unquantised precision could be taken instead: supported, accurate, and small enough."""
    if unsupported_reason(hardware, precision, work.classes) is not None:
        return False
    smallest = device_memory(work, hardware, precision, 1, 1).total_bytes
    fits = smallest <= usable_memory_bytes(hardware, problem.reserved_bytes(hardware.id))
    refusal = accuracy_refusal(problem, hardware, precision) or builder_refusal(problem, hardware, precision)
    return fits and refusal is None


def _accepted(
    problem: Problem, hardware: Hardware, precision: Precision, axes: Mapping[str, int]
) -> tuple[EngineEvidence, ...]:
    """Engines of the recipe whose accuracy was accepted, all of the precision where none of that recipe is known."""
    engines = tuple(e for e in built_engines(problem, hardware, precision, axes) if e.moved_bytes)
    passed = passed_evidence(problem, hardware, precision)
    own = tuple(e for e in engines if passed is not None and e.recipe_digest == passed.recipe_digest)
    return own or engines


def _pairs(
    problem: Problem,
    hardware: Hardware,
    quantised: EngineEvidence,
    others: Sequence[Precision],
    axes: Mapping[str, int],
) -> Iterator[EngineEvidence]:
    """Unquantised engines of the same builder and the same largest shapes."""
    for other in others:
        for engine in built_engines(problem, hardware, other, axes):
            is_same = (engine.kind, engine.max_batch_size) == (quantised.kind, quantised.max_batch_size)
            if is_same and engine.moved_bytes:
                yield engine


def _gain(
    work: KernelWork, hardware: Hardware, power_mode: str | None, quantised: EngineEvidence, plain: EngineEvidence
) -> float:
    """How many times as fast the quantised engine is at best, over batch sizes, with the cache and without."""
    batches = _COMPARED_BATCHES if quantised.max_batch_size > 1 else (1,)
    ratios = []
    for has_cache in (True, False):
        slow, fast = (
            built_seconds(work, hardware, power_mode, _built(engine), batches, has_cache=has_cache)
            for engine in (plain, quantised)
        )
        ratios.append(float((slow / fast).max()))
    return max(ratios)


def _built(engine: EngineEvidence) -> BuiltEngine:
    assert engine.moved_bytes is not None  # noqa: S101 - engines without it are not compared
    return BuiltEngine(
        precision=engine.precision,
        batch=engine.max_batch_size,
        moved_bytes=float(engine.moved_bytes),
        layers=engine.layers,
    )


def _rejection(
    hardware: Hardware, power_mode: str | None, gain: float, quantised: EngineEvidence, plain: EngineEvidence
) -> Rejection:
    name, other = quantised.precision.value, plain.precision.value
    wide = dict(quantised.layer_types).get("Float", 0)
    words = (
        f"{name} engine: {_mb(quantised.activation_bytes)} activations against {_mb(plain.activation_bytes)} in"
        f" {other}, {wide} of {quantised.layers} layers emit Float; it moves {_mb(quantised.moved_bytes)} against"
        f" {_mb(plain.moved_bytes)} at batch {quantised.max_batch_size}, {gain:.2g} times as fast at best"
    )
    mode = f"@{power_mode}" if power_mode else ""
    return Rejection(candidate=f"{name}/{hardware.id}{mode}", constraint="gain", predicted=words, limit="")


def _mb(size_bytes: float | None) -> str:
    return f"{figure_text((size_bytes or 0.0) / MB)} MB"
