"""From a followed run to the measurement: percentiles, layers, service times, verdicts, notes."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.ir.distribution import curve_of
from infc.ir.interval import Interval
from infc.ir.measurement import Measurement, SloVerdict
from infc.ir.service_time import ServiceTimeProfile
from infc.validate.contract import ValidationContract
from infc.validate.load.layers import service_time_points
from infc.validate.load.settings import LoadSettings
from infc.validate.load.watch import Watch
from infc.validate.sequential import overall, samples_needed
from infc.validate.statistics import percentile_summary

NOT_TRUSTED = "not trusted"
"""How the note begins that voids a failure."""
MIN_TOLD_SLOWDOWN = 1.25
"""Ratio of slept to planned service times from which on the report speaks of it."""
MIN_TOLD_EFFECT = 1.5
"""Design effect from which on the report speaks of it."""


def measurement_from(
    watch: Watch,
    contract: ValidationContract,
    settings: LoadSettings,
    *,
    axes: Mapping[str, int] | None,
    environment: Mapping[str, str],
    is_rehearsal: bool,
) -> Measurement:
    """Everything that a run showed.

    Args:
        watch: the run, followed to its end.
        contract: what it was judged by.
        settings: what it was run with.
        axes: sizes of the dynamic axes of all requests; None when they varied (then no service times are kept).
        environment: of the measurement.
        is_rehearsal: service times were slept; they are not kept.

    Raises:
        ToolError: nothing was measured, or not one request succeeded.
    """
    generator = watch.generator
    latencies = watch.latencies_s(watch.first, generator.sent)
    if not np.any(np.isfinite(latencies)):
        raise _all_failed(watch)
    waited_s = _waited_s(watch, latencies, settings.timeout_s)
    summary = percentile_summary(
        waited_s, contract.percentiles, settings.interval_confidence, spacing=watch.spacing_s()
    )
    lag_s = watch.send_lag_p99_s()
    total = watch.snapshots[-1].since(watch.snapshots[0])
    measured_s = watch.stop_s - watch.start_s
    verdicts = tuple(_verdicts(watch, contract, settings, summary))
    return Measurement(
        name=contract.name,
        target=contract.target,
        offered_rps=len(latencies) / measured_s,
        completed_rps=_completed(watch) / measured_s,
        requests=len(latencies),
        errors=int(np.count_nonzero(generator.codes[watch.first : generator.sent] > 0)),
        duration_s=measured_s,
        e2e_s=summary,
        layers=total.layers(float(np.mean(latencies[np.isfinite(latencies)]))),
        mean_batch_size=total.mean_batch_size,
        send_lag_p99_s=lag_s,
        verdicts=verdicts,
        verdict=overall(each.verdict for each in verdicts),
        stopped_by=watch.stopped_by,
        is_rehearsal=is_rehearsal,
        service_time=None if is_rehearsal or axes is None else _service_time(watch, contract, dict(axes), environment),
        environment=environment,
        batch_sizes={batch.batch_size: batch.executions for batch in total.batches},
        predicted_s=contract.predicted_s,
        interval_confidence=settings.interval_confidence,
        warmup_s=watch.start_s - float(generator.sent_s[0]),
        notes=tuple(_notes(watch, contract, settings, lag_s=lag_s, is_rehearsal=is_rehearsal)),
        curve_s=curve_of(np.sort(waited_s).tolist()),
    )


def _waited_s(watch: Watch, latencies: NDArray[np.float64], timeout_s: float) -> NDArray[np.float64]:
    """How long each client waited, at the least.

    A failed request counts as the whole timeout: a client that retries would have waited. One that was dropped when
    the test gave up counts as its age at that moment.
    """
    generator = watch.generator
    age_s = np.minimum(generator.now_s - generator.sent_s[watch.first : generator.sent], timeout_s)
    has_failed = generator.codes[watch.first : generator.sent] > 0
    return np.where(np.isfinite(latencies), latencies, np.where(has_failed, timeout_s, age_s))


def _verdicts(
    watch: Watch,
    contract: ValidationContract,
    settings: LoadSettings,
    summary: Mapping[str, Interval],
) -> Iterator[SloVerdict]:
    for target in contract.latency:
        result = watch.results[target.label]
        verdict = result.verdict
        if watch.stopped_by == "saturated":
            verdict = Verdict.FAIL
        yield SloVerdict(
            label=target.label,
            limit_s=target.limit_s,
            predicted_s=contract.predicted_s.get(target.label),
            measured_s=summary[target.label],
            confidence=settings.confidence,
            verdict=verdict,
            samples=result.samples,
            overs=result.overs,
            effective_samples=result.effective_samples,
            samples_needed=samples_needed(result, percentile=target.percentile, confidence=settings.confidence),
        )


def _service_time(
    watch: Watch, contract: ValidationContract, axes: dict[str, int], environment: Mapping[str, str]
) -> ServiceTimeProfile | None:
    points = service_time_points(watch.snapshots, axes)
    if not points:
        return None
    model = contract.model
    return ServiceTimeProfile(
        model_digest=model.digest,
        precision=model.precision,
        hardware_id=model.hardware_id,
        engine_kind=model.engine_kind,
        instances=model.instances,
        points=points,
        environment=environment,
    )


def _completed(watch: Watch) -> int:
    """Successful answers between the first measured send and the last send."""
    generator = watch.generator
    done_s: NDArray[np.float64] = generator.done_s[: generator.sent][generator.codes[: generator.sent] == 0]
    return int(np.count_nonzero((done_s >= watch.start_s) & (done_s < watch.stop_s)))


def _slowest_stand_in(watch: Watch, contract: ValidationContract) -> str:
    """What to say when the stand-in takes clearly longer than planned: short times drown in its own overhead."""
    planned = contract.service_time.values
    worst, text = MIN_TOLD_SLOWDOWN, ""
    for point in service_time_points(watch.snapshots, {}):
        if point.batch_size <= len(planned) and point.seconds.value > worst * planned[point.batch_size - 1]:
            worst = point.seconds.value / planned[point.batch_size - 1]
            text = (
                f"the stand-in took {point.seconds.value * 1e3:.2g} ms for a batch of {point.batch_size} "
                f"(planned: {planned[point.batch_size - 1] * 1e3:.2g} ms), so this rehearsal is pessimistic"
            )
    return text


def _notes(
    watch: Watch, contract: ValidationContract, settings: LoadSettings, *, lag_s: float, is_rehearsal: bool
) -> Iterator[str]:
    codes = watch.generator.codes[watch.first : watch.generator.sent]
    if watch.stopped_by == "saturated":
        dropped = int(np.count_nonzero(codes < 0))
        yield (
            "saturated: the backlog kept growing, so percentiles grow with the length of the run; "
            f"{dropped} requests were still unanswered when the test gave up"
        )
    if watch.doubtful and watch.stopped_by != "saturated":
        yield (
            f"{NOT_TRUSTED}: {', '.join(sorted(watch.doubtful))} would fail, but only with requests that the load "
            f"generator sent late (p99 of the lag {lag_s * 1e3:.2g} ms); this machine is too busy for the test"
        )
    elif lag_s > watch.lag_limit_s:
        yield f"the load generator sent late (p99 {lag_s * 1e3:.2g} ms); verdicts count that as latency"
    if is_rehearsal and (slow := _slowest_stand_in(watch, contract)):
        yield slow
    if failed := _counts(codes[codes > 0]):
        named = ", ".join(f"{count} x {_status(code)}" for code, count in failed)
        yield f"requests failed ({named}); each counts as {settings.timeout_s:g} s long and over every limit"
    effects = [r.samples / r.effective_samples for r in watch.results.values() if r.effective_samples]
    if effects and max(effects) > MIN_TOLD_EFFECT:
        yield (
            f"latencies in a queue depend on each other: up to {max(effects):.1f} samples count as one independent"
            " sample in verdicts and intervals"
        )


def _all_failed(watch: Watch) -> ToolError:
    """Why there is nothing to report."""
    codes = watch.generator.codes[watch.first : watch.generator.sent]
    if not len(codes):
        return ToolError(
            "no request was sent in the measured time",
            help="give a longer --budget, or a higher --rate than the spec's",
        )
    named = ", ".join(f"{count} x {_status(code)}" for code, count in _counts(codes))
    return ToolError(f"every request failed: {named}", help="the server's log says why")


def _counts(codes: NDArray[np.int16]) -> list[tuple[int, int]]:
    values, counts = np.unique(codes, return_counts=True)
    return [(int(value), int(count)) for value, count in zip(values, counts, strict=True)]


def _status(code: int) -> str:
    """The name of a gRPC status code."""
    import grpc

    names: dict[int, str] = {int(status.value[0]): str(status.name) for status in grpc.StatusCode}
    return names.get(code, "no answer")
