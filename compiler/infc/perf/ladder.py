"""The service-time curve on the best basis there is: measured, calibrated, analytic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import ModelProfile, OperatorClass
from infc.ir.precision import Precision
from infc.ir.service_time import NeighbourMeasurement, ServiceTimeCurve, ServiceTimePoint, ServiceTimeProfile
from infc.perf.analytic import StepTime, large_work_share, step_time
from infc.perf.coefficients import Coefficients, Spread, coefficients
from infc.perf.device import device_limits
from infc.perf.neighbours import DeviceCorrection, device_correction
from infc.perf.server_cost import copy_s, server_s
from infc.perf.support import Unsupported, unsupported_reason
from infc.perf.work import FloatArray, KernelWork, kernel_work

_SMALL_WORK = 0.35
"""Below this share of device-bound time an execution counts as small work when its interval is chosen."""


@dataclass(frozen=True, kw_only=True)
class _Base:
    """Engine seconds by batch size with their interval, copies included, server excluded."""

    seconds: FloatArray
    low: FloatArray
    high: FloatArray
    basis: Basis
    has_server: bool


def service_time(
    model: ModelProfile,
    hardware: Hardware,
    precision: Precision,
    axes: Mapping[str, int],
    max_batch_size: int,
    measurements: Sequence[ServiceTimeProfile] = (),
    power_mode: str | None = None,
    *,
    instances: int = 1,
    with_server: bool = True,
    with_copies: bool = True,
    neighbours: Sequence[NeighbourMeasurement] = (),
    work: KernelWork | None = None,
    fitted: Coefficients | None = None,
) -> ServiceTimeCurve | Unsupported:
    """Seconds per execution for batch sizes 1..`max_batch_size` while `instances` of them run on the device at once.

    `measurements` may hold profiles of any model and device; those of another model are not used. `neighbours` are
    measurements of other models; those on this device correct the prediction where this model was not measured.
    `with_server` adds what Triton itself costs, `with_copies` the way of the inputs and outputs between host and
    device. `work` saves recomputing `kernel_work(model, axes)`. The curve never falls with the
    batch size.
    """
    work = kernel_work(model, axes) if work is None else work
    reason = unsupported_reason(hardware, precision, work.classes)
    if reason is not None:
        return Unsupported(reason=reason)
    fitted = coefficients() if fitted is None else fitted
    predict = _Predictor(work, hardware, power_mode, fitted, with_copies=with_copies)
    here = [m for m in measurements if m.model_digest == model.digest and m.hardware_id == hardware.id]
    own = [m for m in here if m.is_of_mode(power_mode)]
    correction = None if own else _correction(model, hardware, power_mode, neighbours, fitted)
    base = _best_base(predict, precision, axes, max_batch_size, own, instances, correction)
    return _curve(base, with_server=with_server)


class _Predictor:
    """The analytic model bound to one model and device."""

    def __init__(
        self,
        work: KernelWork,
        hardware: Hardware,
        power_mode: str | None,
        fitted: Coefficients,
        *,
        with_copies: bool = True,
    ) -> None:
        self._with_copies = with_copies
        self._work = work
        self._hardware = hardware
        self._device = device_limits(hardware, power_mode)
        is_cpu = hardware.kind == "cpu"
        self._fitted = fitted.cpu if is_cpu else fitted.gpu
        self.spread: Spread = fitted.cpu_spread if is_cpu else fitted.gpu_spread
        self._steps: dict[tuple[Precision, bytes], StepTime] = {}

    def engine_s(self, precision: Precision, batches: FloatArray, instances: int) -> FloatArray:
        """Seconds of one execution, copies included, with `instances` sharing the device."""
        step = self._step(precision, batches)
        seconds = step.seconds
        if self._with_copies:
            seconds = seconds + copy_s(self._work, self._hardware, batches)
        if self._hardware.kind == "cpu":
            return seconds * max(1.0, instances / self._device.parallel)
        return np.maximum(seconds, instances * step.device_s)

    def spread_factors(self, precision: Precision, batches: FloatArray, *, is_corrected: bool) -> FloatArray:
        """Interval factor (> 1) for each batch size; narrower where other models' measurements correct the device."""
        is_seen = self._hardware.id in self._fitted.device_factor
        by_regime = self.spread.seen if is_seen else self.spread.unseen
        if is_corrected:
            by_regime = {name: min(width, self.spread.similar[name]) for name, width in by_regime.items()}
        share = large_work_share(self._step(precision, batches))
        large = by_regime["attention" if OperatorClass.ATTENTION in self._work.classes else "large"]
        return np.where(share < _SMALL_WORK, by_regime["small"], large)

    def _step(self, precision: Precision, batches: FloatArray) -> StepTime:
        key = (precision, batches.tobytes())
        if key not in self._steps:
            self._steps[key] = step_time(self._work, self._device, precision, batches, self._fitted)
        return self._steps[key]


def _correction(
    model: ModelProfile,
    hardware: Hardware,
    power_mode: str | None,
    neighbours: Sequence[NeighbourMeasurement],
    fitted: Coefficients,
) -> DeviceCorrection | None:
    """What other models measured on this device say of it."""

    def ratio(other: ModelProfile, profile: ServiceTimeProfile, point: ServiceTimePoint) -> float | None:
        work = kernel_work(other, point.axes)
        if unsupported_reason(hardware, profile.precision, work.classes) is not None:
            return None
        predict = _Predictor(work, hardware, power_mode, fitted)
        return _ratio(predict, profile, point)

    return device_correction(model, hardware.id, neighbours, ratio)


def _best_base(
    predict: _Predictor,
    precision: Precision,
    axes: Mapping[str, int],
    max_batch_size: int,
    profiles: Sequence[ServiceTimeProfile],
    instances: int,
    correction: DeviceCorrection | None,
) -> _Base:
    batches = np.arange(1, max_batch_size + 1, dtype=np.float64)
    analytic = predict.engine_s(precision, batches, instances)
    same = [p for p in profiles if p.precision is precision and p.instances == instances]
    points = _points(same, axes)
    if points and points[-1].batch_size >= max_batch_size:
        return _measured(points, same, predict, batches)
    ratios, has_server = _calibration(predict, precision, axes, profiles)
    if ratios:
        ratio = math.exp(sum(math.log(r) for r in ratios) / len(ratios))
        seconds, spread = analytic * ratio, predict.spread.calibrated
        return _Base(
            seconds=seconds, low=seconds / spread, high=seconds * spread, basis=Basis.CALIBRATED, has_server=has_server
        )
    factors = predict.spread_factors(precision, batches, is_corrected=correction is not None)
    if correction is not None:
        seconds = analytic * correction.factor
        low, high = seconds / factors, seconds * factors
        return _Base(seconds=seconds, low=low, high=high, basis=Basis.CALIBRATED, has_server=False)
    return _Base(
        seconds=analytic, low=analytic / factors, high=analytic * factors, basis=Basis.ANALYTIC, has_server=False
    )


def _measured(
    points: Sequence[ServiceTimePoint], profiles: Sequence[ServiceTimeProfile], predict: _Predictor, batches: FloatArray
) -> _Base:
    """Measured points, batch sizes between them interpolated on a straight line."""
    sizes = np.array([p.batch_size for p in points], dtype=np.float64)
    spread = predict.spread.measured
    value = np.interp(batches, sizes, np.array([p.seconds.value for p in points]))
    low = np.interp(batches, sizes, np.array([min(p.seconds.low, p.seconds.value / spread) for p in points]))
    high = np.interp(batches, sizes, np.array([max(p.seconds.high, p.seconds.value * spread) for p in points]))
    return _Base(seconds=value, low=low, high=high, basis=Basis.MEASURED, has_server=_has_server(profiles[0]))


def _points(profiles: Sequence[ServiceTimeProfile], axes: Mapping[str, int]) -> list[ServiceTimePoint]:
    """Points at these axes by ascending batch size; of several at one size, the one with most executions."""
    best: dict[int, ServiceTimePoint] = {}
    for profile in profiles:
        for point in profile.points:
            if dict(point.axes) != dict(axes):
                continue
            known = best.get(point.batch_size)
            if known is None or (point.executions, -point.seconds.value) > (known.executions, -known.seconds.value):
                best[point.batch_size] = point
    return [best[size] for size in sorted(best)]


def _calibration(
    predict: _Predictor, precision: Precision, axes: Mapping[str, int], profiles: Sequence[ServiceTimeProfile]
) -> tuple[list[float], bool]:
    """Measured over predicted at the same points: this precision if it was measured at all, else the others."""
    own = [p for p in profiles if p.precision is precision]
    used = own or list(profiles)
    ratios: list[float] = []
    for profile in used:
        ratios += [_ratio(predict, profile, point) for point in _points([profile], axes)]
    return ratios, False


def _ratio(predict: _Predictor, profile: ServiceTimeProfile, point: ServiceTimePoint) -> float:
    """Measured over predicted engine seconds of one point."""
    batch = np.array([float(point.batch_size)])
    predicted = float(predict.engine_s(profile.precision, batch, profile.instances)[0])
    measured = point.seconds.value - (server_s(point.batch_size).value if _has_server(profile) else 0.0)
    return max(measured, 0.1 * point.seconds.value) / predicted


def _has_server(profile: ServiceTimeProfile) -> bool:
    """Whether the profile was taken inside a running server, so that its times include the server's own cost."""
    return "server" in profile.environment


def _curve(base: _Base, *, with_server: bool) -> ServiceTimeCurve:
    seconds: list[Interval] = []
    value = low = high = 0.0
    for index in range(len(base.seconds)):
        overhead = server_s(index + 1)
        add = with_server and not base.has_server
        value = max(value, float(base.seconds[index]) + (overhead.value if add else 0.0))
        low = max(low, float(base.low[index]) + (overhead.low if add else 0.0))
        high = max(high, float(base.high[index]) + (overhead.high if add else 0.0))
        seconds.append(Interval(value=value, low=low, high=high))
    return ServiceTimeCurve(seconds=tuple(seconds), basis=base.basis)
