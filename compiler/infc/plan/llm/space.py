"""The search space of a language model: devices, precisions of weights and cache, tensor parallelism."""

from collections.abc import Iterator, Sequence

from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import LlmProblem, Origin
from infc.plan.devices import accuracy_refusal, is_price_needed, no_mode, ruled_out
from infc.plan.evidence import QUANTISED, passed_evidence
from infc.plan.llm.site import LlmSite, native_kv_precision, native_precision
from infc.plan.site import power_modes

TENSOR_PARALLEL = (1, 2, 4, 8)
"""Devices of one replica: what one host has."""
_WIDE = (Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16)
_SIXTEEN = (Precision.BF16, Precision.FP16)


def sites(problem: LlmProblem) -> tuple[tuple[LlmSite, ...], tuple[Rejection, ...]]:
    """Every site by ascending label, and the rejections of those that need no model of performance to be ruled out.

    The order of `problem.options` and of the precisions does not matter.
    """
    needs_price = is_price_needed(problem)
    found: list[LlmSite] = []
    rejected: list[Rejection] = []
    for option in sorted(problem.options, key=lambda o: o.hardware.id):
        hardware = option.hardware
        reason = ruled_out(problem, option, needs_price=needs_price)
        if reason is not None:
            rejected.append(reason)
            continue
        modes = power_modes(hardware, problem.limits.max_power_w, problem.limits.power_mode)
        if not modes:
            rejected.append(no_mode(problem, option))
        for precision in _precisions(problem, hardware):
            refusal = _refusal(problem, hardware, precision)
            if refusal is not None:
                rejected.append(refusal)
                continue
            found += [
                LlmSite(
                    problem=problem,
                    option=option,
                    power_mode=mode,
                    precision=precision,
                    kv_precision=kv_precision,
                    tensor_parallel=devices,
                )
                for mode in modes
                for devices in _parallel_sizes(hardware)
                for kv_precision in _kv_precisions(problem, hardware)
            ]
    return tuple(sorted(found, key=lambda s: s.label)), tuple(rejected)


def _precisions(problem: LlmProblem, hardware: Hardware) -> Sequence[Precision]:
    """The allowed precisions; by default the checkpoint's own, and those that accuracy evidence has passed.

    A 16-bit checkpoint runs in the other 16-bit format where the device lacks its own. A precision that the spec does
    not name and nobody has tested is not taken: what it does to the model's answers is not known.
    """
    if problem.origins.get("constraints.precision") is not Origin.DEFAULT:
        return sorted(set(problem.limits.precisions))
    wanted = {_own_precision(problem, hardware)}
    wanted |= {p for p in QUANTISED if passed_evidence(problem, hardware, p) is not None}
    return sorted(wanted.intersection(problem.limits.precisions))


def _own_precision(problem: LlmProblem, hardware: Hardware) -> Precision:
    native = native_precision(problem)
    if native not in _WIDE:
        return native
    preferred = (native, *_SIXTEEN) if native in _SIXTEEN else _SIXTEEN
    return next((p for p in preferred if p in hardware.peak_flops), native)


def _refusal(problem: LlmProblem, hardware: Hardware, precision: Precision) -> Rejection | None:
    native = native_precision(problem)
    if native not in _WIDE and precision is not native:
        return Rejection(
            candidate=f"{precision.value}/{hardware.id}",
            constraint="precision-support",
            predicted=f"the checkpoint is quantised to {native.value}; infc does not convert it",
            limit="",
        )
    return accuracy_refusal(problem, hardware, precision)


def _parallel_sizes(hardware: Hardware) -> Sequence[int]:
    return TENSOR_PARALLEL if hardware.kind == "gpu" else (1,)


def _kv_precisions(problem: LlmProblem, hardware: Hardware) -> Iterator[Precision | None]:
    """The cache as the checkpoint has it; in FP8 too where the spec names FP8 and the device computes it."""
    yield None
    names_fp8 = problem.origins.get("constraints.precision") is not Origin.DEFAULT
    names_fp8 = names_fp8 and Precision.FP8 in problem.limits.precisions
    if names_fp8 and native_kv_precision(problem) is None and Precision.FP8 in hardware.peak_flops:
        yield Precision.FP8
