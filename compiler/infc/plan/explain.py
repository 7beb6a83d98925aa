"""Why this candidate: sentences for the reviewer, and comments for whoever reads the emitted configuration."""

from collections.abc import Sequence

from infc.ir.accuracy import AccuracyEvidence
from infc.ir.candidate import DynamicBatching
from infc.ir.estimate import Estimate
from infc.ir.hardware import Hardware
from infc.ir.interval import Basis
from infc.ir.plan import Rejection, RunnerUp
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.plan.evidence import QUANTISED, passed_evidence
from infc.plan.jetson_words import dla_reason, jetson_comments
from infc.plan.objective_reason import objective_reason
from infc.plan.shadow_words import shadow_comments
from infc.plan.site import Setup
from infc.plan.sizing import Sized, Sizer
from infc.plan.tune import DelayFinding, Tuning
from infc.plan.words import counted, duration_text, money_text, rate_text


def reasons(
    problem: Problem,
    sized: Sized,
    estimate: Estimate,
    runners_up: Sequence[RunnerUp],
    rejections: Sequence[Rejection],
    sizer: Sizer,
) -> tuple[str, ...]:
    """Why this one, in order of weight."""
    said = [
        objective_reason(
            problem,
            estimate,
            runners_up,
            rejections,
            is_quantised=sized.site.precision in QUANTISED,
            places="places (device and precision) that can meet",
            counted="replicas",
        ),
        _replica_reason(problem, sized, sizer),
        _precision_reason(problem, sized, runners_up, rejections),
        _slo_reason(problem, estimate),
        _accuracy_reason(problem, sized.site.hardware, sized.site.precision),
        _padding_reason(problem, sized),
        dla_reason(problem, sized.site.hardware.id, sized.site.power_mode, sized.site.dla_core, rejections),
    ]
    return tuple(sentence for sentence in said if sentence)


def comments(problem: Problem, sized: Sized, tuning: Tuning) -> tuple[str, ...]:
    """What the emitted scheduler settings rest on, one sentence each."""
    batching = sized.settings.batching
    said: list[str] = []
    if batching.max_batch_size > 1:
        said.append(
            f"Simulated at {rate_text(problem.traffic.peak_rps / sized.needed)} per replica:"
            f" mean batch {sized.load.mean_batch_size:.2g}, largest {sized.load.largest_batch}."
        )
    elif problem.model.batch_axis is not None:
        said.append("No dynamic batching: under this load a larger batch never shortens the tail.")
    if tuning.delays is not None:
        said.append(_delay_comment(tuning.delays, batching))
    site = sized.site
    memory = site.memory(Setup(max_batch_size=batching.max_batch_size, instances=sized.settings.instances))
    on_module = jetson_comments(problem, site.hardware, site.power_mode, memory.total_bytes)
    return (*said, *on_module, *shadow_comments(problem, site, batching.max_batch_size))


def _delay_comment(finding: DelayFinding, batching: DynamicBatching) -> str:
    """What the simulation shows of a queue delay, and what was made of it."""
    label = f"p{finding.percentile:g}"
    numbers = f"{label} {duration_text(finding.without_delay_s)} without a delay"
    if finding.with_prefetch_s is not None:
        numbers += f", {duration_text(finding.with_prefetch_s)} with {duration_text(finding.delay_s)}"
    if finding.without_prefetch_s is not None:
        numbers += f", {duration_text(finding.without_prefetch_s)} with it and batch prefetch off"
    if batching.max_queue_delay_s == 0.0:
        is_worse = finding.with_prefetch_s is not None and finding.with_prefetch_s > finding.without_delay_s
        return f"No queue delay, for it would be {'worse' if is_worse else 'no clear gain'}: {numbers} (simulated)."
    if batching.has_prefetch:
        return f"A queue delay of {duration_text(finding.delay_s)} pays here: {numbers} (simulated)."
    return (
        f"A queue delay of {duration_text(finding.delay_s)} pays here with a queue policy that never fires, which turns"
        f" batch prefetch off: {numbers} (simulated)."
    )


def _replica_reason(problem: Problem, sized: Sized, sizer: Sizer) -> str:
    setup = Setup(max_batch_size=sized.settings.batching.max_batch_size, instances=sized.settings.instances)
    limited = "by its server's front end" if sizer.is_front_end_bound(sized.site, setup) else "at full batches"
    words = (
        f"{counted(sized.needed, 'replica')} for the peak of {rate_text(problem.traffic.peak_rps)}"
        f" (one sustains {rate_text(sizer.capacity_rps(sized.site, setup))} {limited})"
    )
    floor = sizer.fewest(sized.site)
    if sized.needed > floor:
        words += f"; {floor} would carry the load but not the latency"
    if problem.limits.redundancy:
        judged = max(problem.latency, key=lambda t: t.percentile)
        left = duration_text(sized.load.percentile_s(judged.percentile))
        words += (
            f"; {problem.limits.redundancy} more may be lost (constraints.redundancy),"
            f" {judged.label} is {left} without them"
        )
    return words


def _precision_reason(
    problem: Problem, sized: Sized, runners_up: Sequence[RunnerUp], rejections: Sequence[Rejection]
) -> str:
    """Why a quantised precision, or what ruled quantised ones out; empty where the default was taken."""
    precision, hardware = sized.site.precision, sized.site.hardware.id
    if precision not in QUANTISED:
        gainless = [r for r in rejections if r.constraint == "gain"]
        here = [r for r in gainless if r.candidate.partition("/")[2].partition("@")[0] == hardware]
        failed = sorted({r.candidate.split("/")[0] for r in rejections if r.constraint == "accuracy"})
        said = [f"{' and '.join(failed)} is ruled out by accuracy"] if failed else []
        for rejection in (here or gainless)[:1]:
            name, _, place = rejection.candidate.partition("/")
            said.append(f"{name} gains nothing on {place} ({rejection.predicted})")
        for rejection in [r for r in rejections if r.constraint == "build"][:1]:
            said.append(f"{rejection.candidate.partition('/')[0]} was not built ({rejection.predicted})")
        return f"{precision.value}: {'; '.join(said)}" if said else ""
    for runner_up in runners_up:
        other, cost = runner_up.candidate, runner_up.estimate.cost
        if other.hardware_id == hardware and other.precision not in QUANTISED:
            price = "" if cost is None else f" at {money_text(cost.usd_per_hour)}"
            return f"{precision.value}: {other.precision.value} here needs {counted(other.replicas, 'replica')}{price}"
    for rejection in rejections:
        name, _, place = rejection.candidate.partition("/")
        if place.partition("@")[0] == hardware and name not in {q.value for q in QUANTISED}:
            words = f"{rejection.predicted} against {rejection.limit}" if rejection.limit else rejection.predicted
            return f"{precision.value}: {name} is out here ({words})"
    return f"{precision.value}: no unquantised precision is allowed"


def _slo_reason(problem: Problem, estimate: Estimate) -> str:
    parts, crossing = [], []
    for target in problem.latency:
        predicted = estimate.e2e_s[target.label]
        parts.append(f"{target.label} {duration_text(predicted.value)} of {duration_text(target.limit_s)}")
        if predicted.high > target.limit_s:
            crossing.append(target.label)
    words = f"predicted {', '.join(parts)} ({estimate.basis.value})"
    if crossing:
        remedy = "" if estimate.basis is Basis.MEASURED else "; a measurement would narrow it"
        words += f"; the 90% interval of {' and '.join(crossing)} crosses the limit{remedy}"
    return words


def _accuracy_reason(problem: Problem, hardware: Hardware, precision: Precision) -> str:
    if problem.accuracy is None:
        return "accuracy: the spec sets no goal, so none is checked" if precision in QUANTISED else ""
    evidence = passed_evidence(problem, hardware, precision)
    if evidence is None:
        return f"accuracy of {precision.value}: to be measured by compile"
    return f"accuracy of {precision.value}: {_evidence_words(evidence)}"


def _evidence_words(evidence: AccuracyEvidence) -> str:
    kept = f", {counted(len(evidence.kept), 'operator')} raised back" if evidence.kept else ""
    return (
        f"{evidence.metric} {evidence.value.value:.4g} (reference {evidence.reference:.4g}) on"
        f" {counted(evidence.samples, 'sample')}, {evidence.verdict.value}{kept}"
    )


def _padding_reason(problem: Problem, sized: Sized) -> str:
    if not sized.site.axes:
        return ""
    sizes = ", ".join(f"{axis}={size}" for axis, size in sorted(sized.site.axes.items()))
    return f"planned at {sizes}: the server batches only requests of equal shape, so clients pad to it"
