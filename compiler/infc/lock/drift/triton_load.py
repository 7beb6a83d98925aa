"""What a Triton is asked, how fast it is, and whether it keeps the SLO, against spec and prediction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from infc.ir.interval import Interval
from infc.ir.problem import LatencyTarget, Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.lock.drift.objective import judged, percentile_bounds, predicted_s, prediction_item
from infc.lock.drift.slug import slug
from infc.lock.drift.summary import REQUEST_SUMMARY, SURELY_WITHIN_S, Summary, judged_by_summary, summary_of
from infc.lock.drift.triton_window import TritonWindow, mean_bounds_s
from infc.lock.drift.values import DriftItem, DriftVerdict, ObjectiveItem
from infc.lock.drift.workload import failure_item, rate_item, workload_item
from infc.lock.values import LockEntry
from infc.serve.histogram import Histogram
from infc.serve.statistics import ModelStatistics

HISTOGRAM = "nv_inference_first_response_histogram_ms"
_MS_PER_S = 1e3
_ROWS_TOLERANCE = 0.01
_EDGE_HELP = "put it on an edge with model_metrics in config.pbtxt"
_TOO_FEW = "too few readings with requests to bound the mean: watch for longer"
_ONE_READING = "one reading has a mean, but not how sure it is: watch for a while (--window)"
_LAST_MINUTE = (
    "the server's summary is of the last minute, of as many requests as a look does not tell: watch (--window)"
)
_NO_METRICS = (
    "neither a histogram nor a summary of latencies was found: start the server as launch.sh does "
    "(--metrics-config=summary_latencies=true), and name its metrics with --metrics"
)


@dataclass(frozen=True, kw_only=True)
class PredictedLoad:
    """The locked decision at the peak, predicted again: latency by label ("mean", "p99"), its two parts as means.

    `service_time` is that of one execution by batch size. `is_locked` says whether it comes to what the lock holds;
    else other measurements are known now, and intervals are of these.
    """

    latency_s: Mapping[str, Interval]
    queue_s: Interval
    compute_s: Interval
    service_time: ServiceTimeCurve
    mean_batch_size: float
    is_locked: bool


def triton_workload_items(problem: Problem, entry: LockEntry, window: TritonWindow) -> tuple[DriftItem, ...]:
    """Everything about the requests, in a fixed order.

    Raises:
        ToolError: the model was loaded again within the window.
    """
    counted = window.counted
    ended = counted.requests + counted.failures
    return (
        rate_item(
            problem.traffic.peak_rps,
            entry,
            ended,
            window.duration_s,
            "/v2/models/<name>/stats",
            "a server does not say since when it counts: watch for a while (--window)",
        ),
        _rows(counted),
        *_axes(problem),
        failure_item(problem.availability, counted.failures, ended, "/v2/models/<name>/stats"),
    )


def _rows(counted: ModelStatistics) -> DriftItem:
    """Plans are made for requests of one row: more rows each are more work at the same rate."""
    id, name, source = "rows-per-request", "rows a request", "/v2/models/<name>/stats"
    if not counted.requests:
        return workload_item(id, name, 1, None, DriftVerdict.NOT_VISIBLE, note="no request finished")
    rows = counted.rows / counted.requests
    is_more = rows > 1.0 + _ROWS_TOLERANCE and counted.rows - counted.requests > 1
    return workload_item(
        id,
        name,
        1,
        float(f"{rows:.4g}"),
        DriftVerdict.DRIFTED if is_more else DriftVerdict.SAME,
        source=source,
        note="the plan was made for requests of one row" if is_more else "",
    )


def _axes(problem: Problem) -> Iterator[DriftItem]:
    for axis in sorted(problem.model.axes):
        planned = problem.traffic.axes.get(axis)
        expected = "not stated" if planned is None else f"up to {planned.maximum}"
        note = "no Triton shows the shapes of its requests: give recorded traffic with --trace"
        yield workload_item(f"axis-{slug(axis)}", axis, expected, None, DriftVerdict.NOT_VISIBLE, note=note)


def triton_prediction_items(
    problem: Problem, entry: LockEntry, predicted: PredictedLoad | None, window: TritonWindow
) -> tuple[DriftItem, ...]:
    """Queue, execution and whole latency against the prediction: only slower than predicted is drift.

    Predictions are made at the peak. The mean and its parts come from the statistics, percentiles from the metrics.
    """
    return (
        *_means(entry, predicted, window),
        *_services(predicted, window),
        *_percentiles(problem, entry, predicted, window),
    )


def _means(entry: LockEntry, predicted: PredictedLoad | None, window: TritonWindow) -> Iterator[DriftItem]:
    stretches = window.stretches
    parts = {
        "latency": mean_bounds_s([(each.server_s, each.requests) for each in stretches]),
        "queue": mean_bounds_s([(each.queue_s, each.requests) for each in stretches]),
        "compute": mean_bounds_s([(each.server_s - each.queue_s, each.requests) for each in stretches]),
    }
    source, why = "/v2/models/<name>/stats", _why_unbounded(window, window.counted.requests)
    locked_s = predicted_s(entry.predicted, "e2e", "mean")
    if locked_s is not None:
        high_s = predicted.latency_s["mean"].high if predicted is not None else 0.0
        yield prediction_item(
            "e2e-mean", "latency mean", locked_s, parts["latency"], source, slowest_s=high_s, why_silent=why
        )
    if predicted is not None:
        for id, name, part in (
            ("queue", "in the queue mean", predicted.queue_s),
            ("compute", "computing mean", predicted.compute_s),
        ):
            yield prediction_item(
                f"{id}-mean", name, part.value, parts[id], source, slowest_s=part.high, why_silent=why
            )


def _services(predicted: PredictedLoad | None, window: TritonWindow) -> Iterator[DriftItem]:
    """The time of one execution, for the batch sizes that occurred."""
    if predicted is None:
        return
    for batch in window.counted.batches:
        if batch.batch_size > len(predicted.service_time.seconds):
            continue  # larger than any that was planned: the configuration shows why
        expected = predicted.service_time.at(batch.batch_size)
        each = [_of_size(stretch, batch.batch_size) for stretch in window.stretches]
        yield prediction_item(
            f"service-batch{batch.batch_size}",
            f"execution of {batch.batch_size}",
            expected.value,
            mean_bounds_s(each),
            "/v2/models/<name>/stats",
            slowest_s=expected.high,
            why_silent=_why_unbounded(window, batch.executions),
        )


def _of_size(stretch: ModelStatistics, size: int) -> tuple[float, int]:
    """Seconds of all executions of one batch size in a stretch, and how many there were."""
    found = next((batch for batch in stretch.batches if batch.batch_size == size), None)
    return (0.0, 0) if found is None else (found.service_s * found.executions, found.executions)


def _why_unbounded(window: TritonWindow, count: int) -> str:
    if not count:
        return "no request finished"
    return _ONE_READING if window.is_since_start else _TOO_FEW


def _percentiles(
    problem: Problem, entry: LockEntry, predicted: PredictedLoad | None, window: TritonWindow
) -> Iterator[DriftItem]:
    histogram, summary = _histogram(entry.name, window), _summary(entry.name, window)
    for percentile in dict.fromkeys((50.0, *(target.percentile for target in problem.latency))):
        label = f"p{percentile:g}"
        locked_s = predicted_s(entry.predicted, "e2e", label)
        if locked_s is None:
            continue
        bounds, source, why = None, "", _why_no_percentile(window)
        if histogram is not None:
            bounds = percentile_bounds(histogram, percentile) if histogram.count else None
            source = HISTOGRAM
        elif summary is not None:
            bounds, source = summary.bounds_s(percentile), REQUEST_SUMMARY
        known = predicted.latency_s.get(label) if predicted is not None else None
        yield prediction_item(
            f"e2e-{label}",
            f"latency {label}",
            locked_s,
            bounds,
            source,
            slowest_s=0.0 if known is None else known.high,
            why_silent=why,
        )


def triton_objective_items(problem: Problem, entry: LockEntry, window: TritonWindow) -> tuple[ObjectiveItem, ...]:
    """Every target of the spec against the window's histogram, or the last minute's summary."""
    histogram, summary = _histogram(entry.name, window), _summary(entry.name, window)

    def item(target: LatencyTarget) -> ObjectiveItem:
        expected_s = predicted_s(entry.predicted, "e2e", target.label)
        if histogram is None and summary is not None:
            return judged_by_summary(target, expected_s, summary)
        found = judged("e2e", target, expected_s, histogram, _EDGE_HELP)
        return found if histogram is not None else replace(found, note=_why_no_percentile(window))

    return tuple(map(item, problem.latency))


def _why_no_percentile(window: TritonWindow) -> str:
    if not window.counted.requests:
        return "no request finished"
    has_summary = window.last.metrics is not None and REQUEST_SUMMARY in window.last.metrics.samples
    return _LAST_MINUTE if window.is_since_start and has_summary else _NO_METRICS


def _histogram(model: str, window: TritonWindow) -> Histogram | None:
    """The latencies of the window in seconds, where the server has them as a histogram."""
    last = None if window.last.metrics is None else window.last.metrics.histogram(HISTOGRAM, model=model)
    if last is None:
        return None
    earlier = window.readings[0].metrics
    first = None if window.is_since_start or earlier is None else earlier.histogram(HISTOGRAM, model=model)
    found = last if first is None else last.minus(first)
    return Histogram(
        edges=tuple(edge / _MS_PER_S for edge in found.edges),
        counts=found.counts,
        sum=found.sum / _MS_PER_S,
        count=found.count,
    )


def _summary(model: str, window: TritonWindow) -> Summary | None:
    """The summary, of at least as many requests as the last 48 s surely had."""
    if window.last.metrics is None or window.is_since_start:
        return None
    return summary_of(window.last.metrics, model, window.count_since(SURELY_WITHIN_S))
