"""The search space of a language model: devices, precisions of weights and cache, parallelism."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import LlmProblem, Origin
from infc.perf.llm.place import precision_reason
from infc.plan.devices import accuracy_refusal, is_price_needed, no_mode, ruled_out
from infc.plan.evidence import QUANTISED
from infc.plan.llm.drafting import with_drafting
from infc.plan.llm.site import WIDE, LlmSite, native_kv_precision, native_precision, own_precision
from infc.plan.site import power_modes
from infc.resolve.jetson_llm import serving_refusal

TENSOR_PARALLEL = (1, 2, 4, 8)
"""Devices of one replica: what one host has."""
PIPELINE_STAGES = (2, 3, 4, 6, 8, 12, 16)
"""Numbers of pipeline stages that are considered where no host holds the model."""
_PIPELINES = 2
"""Of those that hold the model, the fewest so many."""


def sites(problem: LlmProblem) -> tuple[tuple[LlmSite, ...], tuple[Rejection, ...]]:
    """Every site by ascending label, and the rejections of those that need no model of performance to be ruled out.

    Pipelines are among them only where no allowed device holds the model in the largest group that one host has. The
    order of `problem.options` and of the precisions does not matter.
    """
    needs_price = is_price_needed(problem)
    found: list[LlmSite] = []
    rejected: list[Rejection] = []
    for option in sorted(problem.options, key=lambda o: o.hardware.id):
        hardware = option.hardware
        reason = ruled_out(problem, option, needs_price=needs_price) or _wrong_server(problem, hardware)
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
    if not any(site.is_supported and site.holds_longest for site in found):
        found += _pipelines(found)
    found += [drafted for site in found if _may_draft(problem, site) for drafted in with_drafting(problem, site)]
    return tuple(sorted(found, key=lambda s: s.label)), tuple(rejected)


def _pipelines(found: Sequence[LlmSite]) -> Iterator[LlmSite]:
    """Pipelines of the largest groups that the heads allow: the fewest stages that hold the model, and some more."""
    largest: dict[tuple[str, str | None, Precision, Precision | None], LlmSite] = {}
    for site in found:
        key = (site.hardware.id, site.power_mode, site.precision, site.kv_precision)
        known = largest.get(key)
        is_larger = known is None or site.tensor_parallel > known.tensor_parallel
        if is_larger and site.hardware.kind == "gpu" and site.is_supported:
            largest[key] = site
    for site in largest.values():
        longer = (replace_stages(site, stages) for stages in PIPELINE_STAGES)
        yield from [each for each in longer if each.is_supported and each.holds_longest][:_PIPELINES]


def replace_stages(site: LlmSite, stages: int) -> LlmSite:
    """The site with so many pipeline stages, each as large as its group of devices was."""
    return replace(site, pipeline_parallel=stages, _steps=[], _memories={})


def _precisions(problem: LlmProblem, hardware: Hardware) -> Sequence[Precision]:
    """The allowed precisions; by default the checkpoint's own, and the lower ones that an accuracy goal will judge.

    A 16-bit checkpoint runs in the other 16-bit format where the device lacks its own. Without a goal a precision that
    the spec does not name is not taken: what it does to the model's answers would never be known. With one, compile
    measures what the plan takes, and plans again without what missed.
    """
    if problem.origins.get("constraints.precision") is not Origin.DEFAULT:
        return sorted(set(problem.limits.precisions))
    wanted = {own_precision(problem, hardware)}
    if problem.accuracy is not None and native_precision(problem) in WIDE:
        wanted |= {p for p in QUANTISED if precision_reason(problem.model, hardware, p) is None}
    return sorted(wanted.intersection(problem.limits.precisions))


def _wrong_server(problem: LlmProblem, hardware: Hardware) -> Rejection | None:
    """A Jetson module is served by a bundle of its own, and nothing else is."""
    is_jetson = hardware.kind == "jetson"
    if problem.server == "auto" or (problem.server == "jetson") == is_jetson:
        return None
    words = "a Jetson module is served by server: jetson" if is_jetson else "it is no Jetson module"
    return Rejection(
        candidate=hardware.id, constraint="server", predicted=words, limit=f"deploy.server: {problem.server}"
    )


def _refusal(problem: LlmProblem, hardware: Hardware, precision: Precision) -> Rejection | None:
    native = native_precision(problem)
    if hardware.kind == "jetson":
        setup = problem.jetson_of(hardware.id)
        reason = serving_refusal(problem.model, hardware, precision, problem.jetson_runtime, setup)
        if reason is not None:
            name = f"{precision.value}/{hardware.id}"
            return Rejection(candidate=name, constraint="server", predicted=reason, limit="")
    if native not in WIDE and precision is not native:
        return Rejection(
            candidate=f"{precision.value}/{hardware.id}",
            constraint="precision-support",
            predicted=f"the checkpoint is quantised to {native.value} and stays as it is",
            limit="",
        )
    return accuracy_refusal(problem, hardware, precision)


def _may_draft(problem: LlmProblem, site: LlmSite) -> bool:
    """Whether drafting is considered: TensorRT Edge-LLM batches requests in flight, or drafts, not both."""
    return site.hardware.kind != "jetson" or problem.jetson_runtime == "vllm"


def _parallel_sizes(hardware: Hardware) -> Sequence[int]:
    return TENSOR_PARALLEL if hardware.kind == "gpu" else (1,)


def _kv_precisions(problem: LlmProblem, hardware: Hardware) -> Iterator[Precision | None]:
    """The cache as the checkpoint has it; in FP8 too where the spec names FP8 and the device computes it."""
    yield None
    names_fp8 = problem.origins.get("constraints.precision") is not Origin.DEFAULT
    names_fp8 = names_fp8 and Precision.FP8 in problem.limits.precisions
    if names_fp8 and native_kv_precision(problem) is None and Precision.FP8 in hardware.peak_flops:
        yield Precision.FP8
