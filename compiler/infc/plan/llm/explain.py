"""Why this deployment of a language model: sentences for the reviewer, and what the emitted settings rest on."""

import math
from collections.abc import Sequence

from infc.ir.estimate import Estimate
from infc.ir.interval import Basis
from infc.ir.plan import Rejection, RunnerUp
from infc.ir.problem import LlmProblem
from infc.plan.capacity_words import LOW_UTILIZATION
from infc.plan.evidence import passed_evidence
from infc.plan.llm.load import TokenLoad, targets_of
from infc.plan.llm.site import LlmSite, native_precision
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
        _precision_reason(problem, sized),
        _utilization_reason(sized, estimate, problem),
        _carried_reason(),
    ]
    return tuple(sentence for sentence in said if sentence)


def comments(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> tuple[str, ...]:
    """What the emitted scheduler settings rest on, one sentence each."""
    batching, load = sized.trial.batching, sized.trial.load
    running = f"a replica served {load.running:.3g} requests at once on average, {load.most_running} at most"
    if load.most_running >= batching.max_num_seqs:
        running += "; the limit holds others back so that those keep their pace"
    said = [f"max_num_seqs {batching.max_num_seqs}: {running} (simulated)."]
    said.append(_budget_comment(problem, sized, sizer))
    preempted = "none was preempted" if load.preemptions == 0 else f"{load.preemptions:.2g} preemptions a request"
    cached = f"{sized.trial.kv_cache_tokens:,} tokens a replica, {load.kv_cache_utilization:.0%} in use on average"
    said.append(f"KV cache: {cached}; {preempted}. max_model_len {problem.tokens.longest}.")
    return tuple(said)


def _budget_comment(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """The token budget against the other ones that were simulated for as many replicas."""
    batching = sized.trial.batching
    chosen = batching.max_num_batched_tokens
    words = f"max_num_batched_tokens {chosen}"
    quick = {t.batching.max_num_batched_tokens: t for t in sizer.compared(sized.site, sized.needed)}
    if len(quick) < 2 or chosen not in quick:
        return f"{words}: {_tails(problem, sized.trial.load)} (simulated)."
    tails = [f"{_tails(problem, trial.load)} with {budget}" for budget, trial in sorted(quick.items())]
    return f"{words}: {'; '.join(tails)} (short runs)."


def _tails(problem: LlmProblem, load: TokenLoad) -> str:
    """The highest percentile of each metric that the spec limits."""
    parts = []
    for metric, targets in targets_of(problem).items():
        if targets:
            parts.append(
                f"{metric} {targets[-1].label} {duration_text(load.percentile_s(metric, targets[-1].percentile))}"
            )
    return ", ".join(parts)


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
    devices = count * sized.site.tensor_parallel
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
    devices = sized.site.tensor_parallel
    return "" if devices == 1 else f"each replica divides the model over {devices} devices (tensor parallel)"


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


def _precision_reason(problem: LlmProblem, sized: LlmSized) -> str:
    site = sized.site
    if site.precision is native_precision(problem) and site.kv_precision is None:
        return ""
    words = f"{site.precision.value}: the checkpoint is {native_precision(problem).value}"
    if site.kv_precision is not None:
        words += f", and its KV cache is kept in {site.kv_precision.value}"
    if not site.is_lowered:
        return words
    evidence = passed_evidence(problem, site.hardware, site.precision)
    if evidence is not None:
        measured = f"{evidence.metric} {evidence.value.value:.4g} against {evidence.reference:.4g}"
        return f"{words}; {measured}, {evidence.verdict.value}"
    return f"{words}; constraints.precision allows it, and no accuracy evidence is stored"


def _utilization_reason(sized: LlmSized, estimate: Estimate, problem: LlmProblem) -> str:
    share = problem.traffic.peak_rps / estimate.throughput_rps.value
    if share >= LOW_UTILIZATION:
        return ""
    words = f"over-provisioned: the peak is {share:.0%} of what the replicas sustain"
    if sized.needed > 1:
        return words + "; the SLO, not the load, sets their count"
    return words + ("; one replica would carry it, the rest is redundancy" if sized.total > 1 else "")


def _carried_reason() -> str:
    return "a vLLM deployment is not emitted by this version: the plan is"
