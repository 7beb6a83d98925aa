"""Rules across fields. One function is one rule; `CHECKS` is the whole list."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import TypeAlias

from infc.ir.spec import OnnxModel, SizeDistribution, Spec
from infc.ir.spec.slo import TARGET_KEYS
from infc.spec.accuracy_checks import (
    accuracy_has_a_bound,
    metric_fits_the_model,
    quantization_fits_the_model,
    quantization_has_data,
)
from infc.spec.arrival_checks import diurnal_has_one_shape
from infc.spec.findings import Finding
from infc.spec.model_checks import (
    candidates_are_several,
    candidates_state_accuracy,
    revisions_are_pinned,
    runtime_fits_the_model,
)
from infc.spec.money_checks import pricing_terms_apply, rollout_keeps_the_slo

Check: TypeAlias = Callable[[Spec], Iterator[Finding]]
_TOKEN_TARGETS = ("ttft", "tpot", "e2e")
_TOKEN_WORKLOAD = ("prompt_tokens", "output_tokens", "shared_prefix")


def has_a_target(spec: Spec) -> Iterator[Finding]:
    """An SLO without a latency promise cannot be planned for."""
    if all(getattr(spec.slo, key) is None for key in TARGET_KEYS):
        yield Finding(
            id="spec-slo-missing",
            paths=("slo",),
            message="the slo promises no latency",
            help="add `latency: {p99: 25ms}` (or ttft, tpot, e2e for an LLM)",
            is_about_key=True,
        )


def percentiles_rise(spec: Spec) -> Iterator[Finding]:
    """A higher percentile is never faster than a lower one."""
    for key in TARGET_KEYS:
        targets: Mapping[float, float] = getattr(spec.slo, key) or {}
        for (low, low_s), (high, high_s) in pairwise(sorted(targets.items())):
            if high_s < low_s:
                yield Finding(
                    id="spec-slo-order",
                    paths=(f"slo.{key}.p{high:g}", f"slo.{key}.p{low:g}"),
                    message=f"the {key} target of p{high:g} is below that of p{low:g}",
                    label=f"{_ms(high_s)} is less than {_ms(low_s)} at p{low:g}",
                    help=f"set p{high:g} to at least {_ms(low_s)}, or lower p{low:g}",
                )


def peak_is_the_highest_rate(spec: Spec) -> Iterator[Finding]:
    """The peak is at least the rate, and at least the busiest hour."""
    workload = spec.workload
    if workload.peak_rps is not None and workload.peak_rps < workload.rate_rps:
        yield Finding(
            id="spec-peak-below-rate",
            paths=("workload.peak", "workload.rate"),
            message="the peak is below the mean rate",
            label=f"less than {workload.rate_rps:g}/s",
            help=f"set the peak to at least {workload.rate_rps:g}/s, or leave it out",
        )
    if workload.hourly is None:
        return
    busiest = max(workload.hourly)
    if busiest == 0:
        yield Finding(
            id="spec-hourly",
            paths=("workload.hourly",),
            message="every hour has rate 0",
            help="give at least one hour a multiplier above 0",
            is_about_key=True,
        )
    elif workload.peak_rps is not None and workload.peak_rps < workload.rate_rps * busiest * (1 - 1e-9):
        hour = workload.hourly.index(busiest)
        yield Finding(
            id="spec-peak-below-rate",
            paths=("workload.peak", "workload.rate", "workload.hourly"),
            message=f"the peak is below the rate of hour {hour}",
            label=f"less than {workload.rate_rps * busiest:g}/s",
            notes=(f"hour {hour} asks for {busiest:g} times {workload.rate_rps:g}/s",),
            help=f"set the peak to at least {workload.rate_rps * busiest:g}/s, or leave it out",
        )


def sizes_rise(spec: Spec) -> Iterator[Finding]:
    """Percentiles of a size rise, and `max` is the largest."""
    for path, sizes in _distributions(spec):
        steps = sorted(sizes.percentiles.items())
        for (low, low_size), (high, high_size) in pairwise(steps):
            if high_size < low_size:
                yield Finding(
                    id="spec-sizes-order",
                    paths=(f"{path}.p{high:g}", f"{path}.p{low:g}"),
                    message=f"p{high:g} of `{path.rpartition('.')[2]}` is below its p{low:g}",
                    label=f"less than {low_size}",
                    help=f"set p{high:g} to at least {low_size}",
                )
        largest = max(sizes.percentiles.values(), default=0)
        if sizes.max < largest:
            yield Finding(
                id="spec-sizes-order",
                paths=(f"{path}.max", path),
                message=f"`max` of `{path.rpartition('.')[2]}` is below one of its percentiles",
                label=f"less than {largest}",
                help=f"set max to at least {largest}",
            )


def keys_fit_the_model(spec: Spec) -> Iterator[Finding]:
    """Token targets and token workloads are for LLMs; axes are for ONNX models."""
    if isinstance(spec.model, OnnxModel):
        for key in _TOKEN_TARGETS:
            if getattr(spec.slo, key) is not None:
                help = "write `latency`: it is end to end" if key == "e2e" else "write `latency` instead"
                yield _mismatch(f"slo.{key}", "is for models that generate tokens; this one is ONNX", help)
        for key in _TOKEN_WORKLOAD:
            if getattr(spec.workload, key) is not None:
                help = "describe the input's sizes with `axes: {<axis>: {p50: 24, max: 128}}`"
                yield _mismatch(f"workload.{key}", "is for models that generate tokens; this one is ONNX", help)
        if spec.deploy.server == "vllm":
            yield _mismatch(
                "deploy.server", "vllm does not serve ONNX models", "write auto, triton or jetson", whole=True
            )
        return
    if spec.slo.latency is not None:
        help = "write `e2e` for the time to the last token, or `ttft` and `tpot`"
        yield _mismatch("slo.latency", "is for ONNX models; this one generates tokens", help)
    if spec.workload.axes:
        yield _mismatch("workload.axes", "is for ONNX models", "describe requests with prompt_tokens and output_tokens")
    if spec.deploy.server == "triton":
        yield _mismatch("deploy.server", "triton does not serve this model", "write auto, vllm or jetson", whole=True)


def llm_has_token_counts(spec: Spec) -> Iterator[Finding]:
    """The work of an LLM request is its tokens."""
    if isinstance(spec.model, OnnxModel):
        return
    for key, example in (("prompt_tokens", "{p50: 512, max: 4096}"), ("output_tokens", "{p50: 128, max: 1024}")):
        if getattr(spec.workload, key) is None:
            yield Finding(
                id="spec-llm-workload",
                paths=("workload", f"workload.{key}"),
                message=f"an LLM workload needs `{key}`",
                label=f"has no `{key}`",
                help=f"add `{key}: {example}`",
                is_about_key=True,
            )


def lists_hold_each_once(spec: Spec) -> Iterator[Finding]:
    """A list of names holds each once."""
    lists = {
        "constraints.hardware": spec.constraints.hardware,
        "constraints.precision": spec.constraints.precision,
        "deploy.targets": spec.deploy.targets,
        "deploy.jetson.ota": spec.deploy.jetson.ota if spec.deploy.jetson else (),
    }
    for path, names in lists.items():
        for index, name in enumerate(names or ()):
            if name in (names or ())[:index]:
                message = f"`{name}` is listed twice"
                yield Finding(id="spec-duplicate-item", paths=(f"{path}[{index}]",), message=message, help="remove one")


def replicas_can_be_lost(spec: Spec) -> Iterator[Finding]:
    """More accelerators than replicas that may be lost."""
    most, lost = spec.constraints.max_accelerators, spec.constraints.redundancy
    if most is not None and lost >= most:
        yield Finding(
            id="spec-redundancy",
            paths=("constraints.redundancy", "constraints.max_accelerators"),
            message="redundancy leaves no replica to serve",
            label=f"at most {most} accelerators are allowed",
            help=f"set redundancy below {most}, or allow more accelerators",
        )


def deploy_is_consistent(spec: Spec) -> Iterator[Finding]:
    """Options belong to the server that is deployed."""
    deploy = spec.deploy
    if deploy.jetson is not None and deploy.server in {"triton", "vllm"}:
        yield _mismatch(
            "deploy.jetson", f"has no meaning with server {deploy.server}", "remove it, or write server: jetson"
        )
    if deploy.kubernetes is not None and deploy.server == "jetson":
        yield _mismatch("deploy.kubernetes", "has no meaning with server jetson", "remove it, or choose another server")
    if deploy.shadow is not None and (deploy.server in {"vllm", "jetson"} or not isinstance(spec.model, OnnxModel)):
        yield _mismatch("deploy.shadow", "is for an ONNX model that Triton serves", "remove it, or write triton")
    options = deploy.kubernetes
    if options is not None and options.model is not None and options.model_volume is not None:
        yield Finding(
            id="spec-model-storage",
            paths=("deploy.kubernetes.model_volume", "deploy.kubernetes.model"),
            message="model and model_volume both say where the model is",
            help="remove model_volume",
            is_about_key=True,
        )
    scale = options.autoscale if options else None
    if scale and scale.min_replicas and scale.max_replicas and scale.min_replicas > scale.max_replicas:
        path = "deploy.kubernetes.autoscale"
        yield Finding(
            id="spec-autoscale",
            paths=(f"{path}.max_replicas", f"{path}.min_replicas"),
            message="max_replicas is below min_replicas",
            label=f"less than {scale.min_replicas}",
            help=f"set it to at least {scale.min_replicas}",
        )


CHECKS: tuple[Check, ...] = (
    has_a_target,
    percentiles_rise,
    peak_is_the_highest_rate,
    diurnal_has_one_shape,
    sizes_rise,
    keys_fit_the_model,
    runtime_fits_the_model,
    llm_has_token_counts,
    accuracy_has_a_bound,
    metric_fits_the_model,
    quantization_has_data,
    quantization_fits_the_model,
    lists_hold_each_once,
    replicas_can_be_lost,
    deploy_is_consistent,
    pricing_terms_apply,
    rollout_keeps_the_slo,
    revisions_are_pinned,
    candidates_are_several,
    candidates_state_accuracy,
)


def _distributions(spec: Spec) -> Iterator[tuple[str, SizeDistribution]]:
    for axis, sizes in spec.workload.axes.items():
        yield f"workload.axes.{axis}", sizes
    if spec.workload.prompt_tokens is not None:
        yield "workload.prompt_tokens", spec.workload.prompt_tokens
    if spec.workload.output_tokens is not None:
        yield "workload.output_tokens", spec.workload.output_tokens


def _mismatch(path: str, what: str, help: str, *, whole: bool = False) -> Finding:
    message = what if whole else f"`{path.rpartition('.')[2]}` {what}"
    return Finding(id="spec-model-mismatch", paths=(path, "model"), message=message, help=help, is_about_key=not whole)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.10g}ms" if seconds < 1 else f"{seconds:.10g}s"
