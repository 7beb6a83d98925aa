"""From another tool's run to a measurement: the same statistics and tests as for infc's own, as far as the file goes.

Not every run is evidence about the spec. One that waits for answers (closed loop) hides queueing; one at a lower rate,
or with shorter requests than the spec's, cannot show that the SLO holds; one at a higher rate, or with longer ones,
cannot show that it does not. Such verdicts are inconclusive, and a note says why.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement, TokenMetric
from infc.ir.measurement import SloVerdict
from infc.ir.problem import LatencyTarget
from infc.sim.lengths import mean_length
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.load.settings import LlmLoadSettings
from infc.validate.llm.load.subject import STANDARD_PERCENTILES
from infc.validate.llm_import.run import Floats, ImportedRun, MetricSummary, RequestRecords
from infc.validate.load.result import NOT_TRUSTED
from infc.validate.sequential import SequentialResult, judge, overall, samples_needed
from infc.validate.statistics import exceedance_design_effect, percentile_summary

_MIN_JUDGED = 60
"""Samples below which dependence between them cannot be estimated, so that nothing is judged."""
_ASSUMED_EFFECT = 4.0
"""Samples taken as one independent one where a file has figures only, so that dependence cannot be estimated."""
_RATE_TOLERANCE = 0.05
"""What a rate may be off by; random arrivals of few requests may be off by more (twice their standard error)."""
_LENGTH_TOLERANCE = 0.1
_METRICS: tuple[TokenMetric, ...] = get_args(TokenMetric)


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What a run may show about the spec, and why not more."""

    can_pass: bool
    can_fail: bool
    notes: tuple[str, ...]


def measurement_of(run: ImportedRun, contract: LlmContract, settings: LlmLoadSettings) -> LlmMeasurement:
    """The measurement of a run, judged by the contract."""
    evidence = _evidence(run, contract)
    summary = _summary(run, contract, settings)
    judged: list[SloVerdict] = []
    missing: list[str] = []
    doubtful: list[str] = []
    for metric, target in ((metric, each) for metric, targets in contract.targets.items() for each in targets):
        measured = _measured(run, metric, target, summary)
        if measured is None:
            missing.append(f"{metric} {target.label}")
        else:
            judged.append(_verdict(run, metric, target, measured, contract, settings, evidence))
            if _result(run, metric, target, settings)[1]:
                doubtful.append(judged[-1].label)
    records = run.records
    lag_s = float(np.quantile(records.lag_s, 0.99)) if records is not None and records.has_lag else 0.0
    goodput = _goodput_rps(run, records, contract) if records is not None else run.goodput_rps
    completed_rps = (run.requests - run.errors) / run.duration_s
    return LlmMeasurement(
        name=contract.name,
        target=contract.target,
        tool=run.tool,
        offered_rps=run.offered_rps,
        completed_rps=completed_rps,
        goodput_rps=goodput or 0.0,
        output_tokens_per_s=run.output_tokens_per_s,
        requests=run.requests,
        errors=run.errors,
        duration_s=run.duration_s,
        percentiles_s=summary,
        predicted_s=contract.predicted_s,
        mean_prompt_tokens=run.mean_prompt_tokens,
        mean_output_tokens=run.mean_output_tokens,
        send_lag_p99_s=lag_s,
        verdicts=tuple(judged),
        verdict=overall([*(each.verdict for each in judged), *([Verdict.INCONCLUSIVE] if missing else [])]),
        stopped_by="imported",
        environment={"load": f"{run.tool} {run.version}".strip(), "model": run.model or contract.model.name},
        interval_confidence=settings.interval_confidence,
        notes=(*evidence.notes, *run.notes, *_notes(run, goodput, judged, missing, contract), *_doubts(doubtful)),
    )


def _evidence(run: ImportedRun, contract: LlmContract) -> _Evidence:
    notes: list[str] = []
    can_pass = can_fail = run.is_open_loop
    if not run.is_open_loop:
        notes.append("closed loop: requests waited for answers, which hides queueing, so that nothing is judged")
    share = run.offered_rps / contract.replica_rps
    tolerance = max(_RATE_TOLERANCE, 2.0 / math.sqrt(max(run.requests, 1)))
    if share < 1 - tolerance:
        can_pass = False
        notes.append(f"{run.offered_rps:.3g}/s were sent, the spec has {contract.replica_rps:.3g}/s: no pass by it")
    elif share > 1 + tolerance:
        can_fail = False
        notes.append(f"{run.offered_rps:.3g}/s were sent, the spec has {contract.replica_rps:.3g}/s: no failure by it")
    if run.asked_rps and abs(run.offered_rps / run.asked_rps - 1) > tolerance:
        notes.append(f"{run.tool} was asked for {run.asked_rps:.3g}/s and sent {run.offered_rps:.3g}/s")
    for what, mean, planned in (
        ("prompts", run.mean_prompt_tokens, mean_length(contract.tokens.prompt)),
        ("outputs", run.mean_output_tokens, mean_length(contract.tokens.output)),
    ):
        if mean < planned * (1 - _LENGTH_TOLERANCE):
            can_pass = False
            notes.append(
                f"{what} of {mean:.4g} tokens on average are shorter than the spec's {planned:.4g}: no pass by it"
            )
        elif mean > planned * (1 + _LENGTH_TOLERANCE):
            can_fail = False
            notes.append(
                f"{what} of {mean:.4g} tokens on average are longer than the spec's {planned:.4g}: no failure by it"
            )
    return _Evidence(can_pass=can_pass, can_fail=can_fail, notes=tuple(notes))


def _summary(
    run: ImportedRun, contract: LlmContract, settings: LlmLoadSettings
) -> Mapping[TokenMetric, Mapping[str, Interval]]:
    """Percentiles with intervals from the requests; those that the file gives, without bounds, where it has no more."""
    percentiles = _percentiles(contract)
    found: dict[TokenMetric, Mapping[str, Interval]] = {}
    for metric in _METRICS:
        samples = _samples(run, metric)
        if samples is not None:
            done = samples[np.isfinite(samples)]
            if len(done):
                spacing = run.duration_s / len(done)
                known = percentile_summary(done, percentiles, settings.interval_confidence, spacing=spacing)
                found[metric] = known if metric == "itl" or len(done) == len(samples) else _with_lost(known, samples)
        elif metric in run.summaries:
            found[metric] = _given(run.summaries[metric])
    return found


def _with_lost(known: Mapping[str, Interval], samples: Floats) -> Mapping[str, Interval]:
    """Requests that failed are slower than any limit: nothing bounds percentiles above.

    A percentile among them is given as the slowest answer that came: it is at least that.
    """
    ordered = np.sort(samples)
    slowest = float(ordered[np.isfinite(ordered)][-1])
    found: dict[str, Interval] = {}
    for label, each in known.items():
        rank = math.ceil(float(label[1:]) / 100 * len(ordered) - 1e-9) if label != "mean" else 0
        value = min(float(ordered[max(rank, 1) - 1]), slowest) if rank else each.value
        found[label] = Interval(value=value, low=each.low, high=math.inf)
    return found


def _given(summary: MetricSummary) -> Mapping[str, Interval]:
    values = {"mean": summary.mean_s} | {f"p{p:g}": value for p, value in summary.percentiles_s.items() if p < 100}
    return {
        label: Interval(value=value, low=0.0, high=math.inf) for label, value in values.items() if value is not None
    }


def _percentiles(contract: LlmContract) -> tuple[float, ...]:
    asked = (target.percentile for targets in contract.targets.values() for target in targets)
    return tuple(sorted({*STANDARD_PERCENTILES, *asked}))


def _samples(run: ImportedRun, metric: TokenMetric) -> Floats | None:
    """A metric of every request, infinite where it failed; None where the file does not have it of each."""
    if run.records is not None:
        values = run.records.since_due(metric)
        return values if len(values) and not np.any(np.isnan(values)) else None
    return np.array(run.e2e_s) if metric == "e2e" and run.e2e_s else None


def _measured(
    run: ImportedRun,
    metric: TokenMetric,
    target: LatencyTarget,
    summary: Mapping[TokenMetric, Mapping[str, Interval]],
) -> Interval | None:
    """What the file says of a percentile: itself, or the nearest one that it has above it; None: nothing."""
    known = summary.get(metric, {}).get(target.label)
    if known is not None or metric not in run.summaries or _samples(run, metric) is not None:
        return known
    given = run.summaries[metric].percentiles_s
    above = min((p for p in given if p >= target.percentile), default=max(given, default=None))
    return None if above is None else Interval(value=given[above], low=0.0, high=math.inf)


def _verdict(
    run: ImportedRun,
    metric: TokenMetric,
    target: LatencyTarget,
    measured: Interval,
    contract: LlmContract,
    settings: LlmLoadSettings,
    evidence: _Evidence,
) -> SloVerdict:
    result, _ = _result(run, metric, target, settings)
    is_open = (result.verdict is Verdict.PASS and not evidence.can_pass) or (
        result.verdict is Verdict.FAIL and not evidence.can_fail
    )
    return SloVerdict(
        label=f"{metric} {target.label}",
        limit_s=target.limit_s,
        predicted_s=contract.predicted_s.get(metric, {}).get(target.label),
        measured_s=measured,
        confidence=settings.confidence,
        verdict=Verdict.INCONCLUSIVE if is_open else result.verdict,
        samples=result.samples,
        overs=result.overs,
        effective_samples=result.effective_samples,
        samples_needed=samples_needed(result, percentile=target.percentile, confidence=settings.confidence),
    )


def _result(
    run: ImportedRun, metric: TokenMetric, target: LatencyTarget, settings: LlmLoadSettings
) -> tuple[SequentialResult, bool]:
    """What the requests show of a target, and whether it would fail only by requests that the tool sent late."""
    samples, records = _samples(run, metric), run.records
    if samples is None:
        return _tested_by_figures(run, run.summaries.get(metric), target, settings), False
    spacing_s = run.duration_s / max(len(samples), 1)
    result = _tested(samples, target, settings, spacing_s)
    if result.verdict is not Verdict.FAIL or records is None or not records.has_lag or metric == "tpot":
        return result, False
    in_time = replace(records, lag_s=np.full(len(records.lag_s), np.nan)).since_due(metric)
    if _tested(in_time, target, settings, spacing_s).verdict is Verdict.FAIL:
        return result, False
    return replace(result, verdict=Verdict.INCONCLUSIVE), True


def _tested(samples: Floats, target: LatencyTarget, settings: LlmLoadSettings, spacing_s: float) -> SequentialResult:
    effect = exceedance_design_effect(samples, target.percentile, limit=target.limit_s, spacing=spacing_s)
    return _judged(int(np.count_nonzero(samples > target.limit_s)), len(samples), target, settings, effect)


def _tested_by_figures(
    run: ImportedRun, summary: MetricSummary | None, target: LatencyTarget, settings: LlmLoadSettings
) -> SequentialResult:
    """What figures allow: how many requests were over the limit at least and at most, and whether either settles it.

    A pass must hold with the most, a failure with the fewest.
    """
    known = {} if summary is None else summary.percentiles_s
    within = max((p for p, value in known.items() if value <= target.limit_s), default=0.0)
    over = min((p for p, value in known.items() if value > target.limit_s), default=100.0)
    answered = run.requests - run.errors
    most = run.errors + math.ceil(answered * (1 - within / 100))
    fewest = run.errors + math.floor(answered * (1 - over / 100))
    passing = _judged(most, run.requests, target, settings, _ASSUMED_EFFECT)
    failing = _judged(fewest, run.requests, target, settings, _ASSUMED_EFFECT)
    if known and passing.verdict is Verdict.PASS:
        return passing
    return failing if failing.verdict is Verdict.FAIL else replace(failing, verdict=Verdict.INCONCLUSIVE)


def _judged(
    overs: int, samples: int, target: LatencyTarget, settings: LlmLoadSettings, effect: float
) -> SequentialResult:
    result = judge(
        overs=overs,
        samples=samples,
        percentile=target.percentile,
        confidence=settings.confidence,
        design_effect=effect,
    )
    return result if samples >= _MIN_JUDGED else replace(result, verdict=Verdict.INCONCLUSIVE)


def _goodput_rps(run: ImportedRun, records: RequestRecords, contract: LlmContract) -> float | None:
    """Requests within the loosest limit of every metric, each second; None where a metric is not known of each."""
    good = ~records.has_failed
    lag_s = records.lag_s if records.has_lag else np.zeros(len(records.lag_s))
    by_metric = {"ttft": records.ttft_s + lag_s, "e2e": records.e2e_s + lag_s, "tpot": records.tpot_s}
    for metric, targets in contract.targets.items():
        if metric not in by_metric or not targets:
            continue
        values = by_metric[metric]
        has_none = records.output_tokens < 2 if metric == "tpot" else np.zeros(len(values), dtype=np.bool_)
        if np.any(np.isnan(values) & good & ~has_none):
            return None
        good = good & (has_none | (values <= max(target.limit_s for target in targets)))
    return int(np.count_nonzero(good)) / run.duration_s


def _doubts(labels: list[str]) -> Iterator[str]:
    if labels:
        yield f"{NOT_TRUSTED}: {', '.join(labels)} would fail, but only with requests that the load generator sent late"


def _notes(
    run: ImportedRun, goodput_rps: float | None, verdicts: list[SloVerdict], missing: list[str], contract: LlmContract
) -> Iterator[str]:
    if missing:
        yield f"the file says nothing of {', '.join(missing)}: whether the SLO holds is not known from it"
    if run.model and run.model != contract.model.name:
        yield f"the run asked for the model {run.model}, the spec serves {contract.model.name}"
    if run.errors:
        yield f"{run.errors} of {run.requests} requests failed; each counts as over every limit"
    if goodput_rps is None:
        yield "the file does not tell how many requests met every target: the goodput is not known"
    known = {metric for metric in _METRICS if _samples(run, metric) is not None}
    figures = [each.label for each in verdicts if each.label.split()[0] not in known]
    if figures:
        yield (
            f"{', '.join(figures)}: judged by the file's own figures, without bounds, and {_ASSUMED_EFFECT:g} requests "
            "taken as one independent one"
        )
    if run.records is not None and not run.records.has_lag and run.tool == "vllm-bench":
        yield "vllm bench does not say when requests were due: times count from the sending, however late that was"
