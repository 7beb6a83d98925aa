"""Why this deployment of a language model: sentences for the reviewer."""

import math
from collections.abc import Sequence

from infc.ir.estimate import Estimate
from infc.ir.interval import Basis
from infc.ir.plan import Rejection, RunnerUp
from infc.ir.problem import LlmProblem
from infc.perf.llm.measured import outside_measured
from infc.perf.llm.stages import HOST_DEVICES, PIPELINE_SPREAD
from infc.plan.capacity_words import LOW_UTILIZATION
from infc.plan.llm.drafting import speculation_reason
from infc.plan.llm.load import targets_of
from infc.plan.llm.precision_words import cache_precision_reason, precision_reason
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import SAFETY, LlmSized, LlmSizer, Trial
from infc.plan.objective_reason import objective_reason
from infc.plan.words import counted, duration_text, rate_text


def reasons(
    problem: LlmProblem,
    sized: LlmSized,
    estimate: Estimate,
    runners_up: Sequence[RunnerUp],
    rejections: Sequence[Rejection],
    sizer: LlmSizer,
) -> tuple[str, ...]:
    """Why this one, in order of weight."""
    said = [
        objective_reason(
            problem,
            estimate,
            runners_up,
            rejections,
            is_quantised=sized.site.is_lowered,
            places="places (device, precision, parallelism) that may meet",
            counted="devices",
        ),
        _replica_reason(problem, sized, sizer),
        _average_reason(problem, sized, sizer),
        _parallel_reason(sized),
        _slo_reason(problem, estimate, sizer),
        _unmeasured_reason(problem, sized),
        precision_reason(problem, sized, sizer),
        cache_precision_reason(problem, sized),
        speculation_reason(problem, sized, sizer),
        _runtime_reason(problem, sized),
        _utilization_reason(sized, estimate, problem),
    ]
    return tuple(sentence for sentence in said if sentence)


def _runtime_reason(problem: LlmProblem, sized: LlmSized) -> str:
    """What a plan for TensorRT Edge-LLM rests on."""
    if sized.site.hardware.kind != "jetson" or problem.jetson_runtime != "edge-llm":
        return ""
    return (
        "served by TensorRT Edge-LLM, planned with vLLM's scheduler and step times, for which there are data: its"
        " published decoding is a quarter faster or more (docs/predictions.md); the device measures before it serves"
    )


def _replica_reason(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    peak = problem.traffic.peak_rps
    deciding = sized.trial.load.worst(problem)
    sustained = rate_text(sizer.capacity_rps(sized.site))
    words = (
        f"{counted(sized.needed, 'replica')} for the peak of {rate_text(peak)}: {rate_text(peak / sized.needed)} each,"
    )
    words += f" of {sustained} that one sustains; {deciding.label} decides"
    if sized.fewer is not None and sized.fewer.ratio > SAFETY:
        miss = sized.fewer.load.worst(problem)
        words += f": with {sized.needed - 1} it is {_value_words(miss.label, deciding.label, miss.value_s)}"
    if problem.limits.redundancy:
        words += (
            f"; {problem.limits.redundancy} more may be lost (constraints.redundancy), {deciding.label} is"
            f" {duration_text(deciding.value_s)} without them"
        )
    return words


def _value_words(label: str, deciding: str, seconds: float) -> str:
    return duration_text(seconds) if label == deciding else f"{label} {duration_text(seconds)}"


def average_replicas(problem: LlmProblem, site: LlmSite, sizer: LlmSizer) -> int:
    """Replicas that a capacity by averages asks for: the rate by what one carries while its mean step keeps the SLO."""
    rate = min(sizer.mean_rate_rps(site), sizer.capacity_rps(site))
    return max(1, math.ceil(problem.traffic.peak_rps / rate - 1e-9))


def _average_reason(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """What an answer from mean step times would have missed; empty where it would be the same."""
    count = average_replicas(problem, sized.site, sizer)
    if count >= sized.needed:
        return ""
    devices = count * sized.site.devices
    words = f"by averages (rate / capacity) {counted(devices, 'device')} would do, but"
    trial: Trial | None = sizer.quick_trial(sized.site, count)
    if trial is None:
        return f"{words} that is beyond what they sustain"
    miss = trial.load.worst(problem)
    return (
        f"{words} simulated {miss.label} is {duration_text(miss.value_s)} of {duration_text(miss.target.limit_s)} there"
        f", and {1 - trial.load.good_share(problem):.0%} of the requests miss a target"
    )


def _parallel_reason(sized: LlmSized) -> str:
    """How a replica is divided, and that replicas are the data parallelism."""
    site = sized.site
    words = ""
    if site.pipeline_parallel > 1:
        each = "1 device" if site.tensor_parallel == 1 else f"{site.tensor_parallel} devices (tensor parallel)"
        words = (
            f"each replica is a pipeline of {site.pipeline_parallel} stages of {each}, for no allowed device holds the"
            " model in the largest group that its heads and one host allow"
        )
        if site.devices > HOST_DEVICES:
            words += f"; over {math.ceil(site.devices / HOST_DEVICES)} hosts, taken to be joined by 100 Gbit/s"
        words += (
            f"; its intervals are {PIPELINE_SPREAD:g} times as wide, for no pipeline was measured and vLLM does not"
            " even out the batches that follow each other"
        )
    elif site.tensor_parallel > 1:
        words = f"each replica divides the model over {site.tensor_parallel} devices (tensor parallel)"
    if sized.total == 1:
        return words
    apart = f"the {sized.total} replicas are data parallel: whole servers that share the requests"
    return f"{words}; {apart}" if words else apart


def _slo_reason(problem: LlmProblem, estimate: Estimate, sizer: LlmSizer) -> str:
    assert estimate.tokens is not None  # noqa: S101 - of a language model
    predicted = {"ttft": estimate.tokens.ttft_s, "tpot": estimate.tokens.tpot_s, "e2e": estimate.e2e_s}
    parts, crossing = [], []
    for metric, targets in targets_of(problem).items():
        for target in targets:
            value = predicted[metric][target.label]
            label = f"{metric} {target.label}"
            parts.append(f"{label} {duration_text(value.value)} of {duration_text(target.limit_s)}")
            if value.high > target.limit_s:
                crossing.append(label)
    draws = (
        f"the worse of {len(sizer.loaders.full)} draws of {sizer.loaders.judged // len(sizer.loaders.full):,} requests"
    )
    words = f"predicted {', '.join(parts)} ({estimate.basis.value}; {draws}, held to {SAFETY:.0%} of the limit)"
    if crossing:
        remedy = "" if estimate.basis is Basis.MEASURED else "; measured step times would narrow it"
        words += f"; the 90% interval of {' and '.join(crossing)} crosses the limit{remedy}"
    return words


def _unmeasured_reason(problem: LlmProblem, sized: LlmSized) -> str:
    """What of the deployment lies outside the stored measurement that its step times come from."""
    beyond = outside_measured(sized.site.known_steps(), sized.trial.batching, problem.tokens.longest)
    return "" if beyond is None else f"step times were measured, but go beyond it here: {beyond}"


def _utilization_reason(sized: LlmSized, estimate: Estimate, problem: LlmProblem) -> str:
    share = problem.traffic.peak_rps / estimate.throughput_rps.value
    if share >= LOW_UTILIZATION:
        return ""
    words = f"over-provisioned: the peak is {share:.0%} of what the replicas sustain"
    if sized.needed > 1:
        return words + "; the SLO, not the load, sets their count"
    return words + ("; one replica would carry it, the rest is redundancy" if sized.total > 1 else "")
