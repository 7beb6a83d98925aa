"""Measured service times beside what was predicted, as text and as JSON."""

import json
import math
from collections.abc import Iterator, Sequence

from infc.ir.device_usage import DeviceUsage
from infc.ir.interval import Interval
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.validate.comparison import ComparedPoint, Comparison

_SENSORS = {"nvml": "NVML", "tegrastats": "tegrastats"}


def render_calibration_text(comparisons: Sequence[Comparison]) -> str:
    """A table per precision: medians with their 90% bounds, what was predicted, and what the device did meanwhile."""
    return "\n\n".join("\n".join(_lines(comparison)) for comparison in comparisons)


def render_calibration_json(comparisons: Sequence[Comparison]) -> str:
    """The profiles as one JSON object; times in milliseconds."""
    return json.dumps({"format_version": "1.0", "profiles": [_profile_json(c) for c in comparisons]}, indent=2)


def _profile_json(comparison: Comparison) -> dict[str, object]:
    profile = comparison.profile
    predicted = {id(compared.point): compared for compared in comparison.points}
    return {
        "model_digest": profile.model_digest,
        "precision": profile.precision.value,
        "hardware": profile.hardware_id,
        "engine": profile.engine_kind,
        "instances": profile.instances,
        "environment": dict(profile.environment),
        "points": [_point_json(point, predicted.get(id(point))) for point in profile.points],
        "predicted_basis": None if comparison.basis is None else comparison.basis.value,
        "usage": None if profile.usage is None else _usage_json(profile.usage),
    }


def _point_json(point: ServiceTimePoint, compared: ComparedPoint | None) -> dict[str, object]:
    return {
        "batch_size": point.batch_size,
        "axes": dict(point.axes),
        "ms": _ms_json(point.seconds),
        "executions": point.executions,
        "device_ms": None if point.device_s is None else _ms_json(point.device_s),
        "power_w": point.power_w,
        "predicted_ms": None if compared is None else _ms_json(compared.predicted),
        "prediction_error": None if compared is None else compared.error,
        "is_inside_prediction": None if compared is None else compared.is_inside,
    }


def _ms_json(seconds: Interval) -> dict[str, float | None]:
    return {
        "value": seconds.value * 1e3,
        "low": seconds.low * 1e3,
        "high": seconds.high * 1e3 if math.isfinite(seconds.high) else None,
    }


def _usage_json(usage: DeviceUsage) -> dict[str, object]:
    return {
        "source": usage.source,
        "samples": usage.samples,
        "seconds": usage.seconds,
        "utilization": usage.utilization,
        "memory_utilization": usage.memory_utilization,
        "power_w": usage.power_w,
        "power_max_w": usage.power_max_w,
        "energy_j": usage.energy_j,
        "memory_gib": None if usage.memory_bytes is None else usage.memory_bytes / 2**30,
        "clock_mhz": None if usage.clock_hz is None else usage.clock_hz / 1e6,
        "memory_clock_mhz": None if usage.memory_clock_hz is None else usage.memory_clock_hz / 1e6,
        "temperature_max_c": usage.temperature_max_c,
        "slowdowns": dict(usage.slowdowns),
        "missing": list(usage.missing),
    }


def _lines(comparison: Comparison) -> Iterator[str]:
    profile = comparison.profile
    yield _title(profile)
    has_device = any(point.device_s is not None for point in profile.points)
    has_power = any(point.power_w is not None for point in profile.points)
    predicted = {id(compared.point): compared for compared in comparison.points}
    value = "mean ms" if "server" in profile.environment else "median ms"  # a server tells sums, not single executions
    header = ["batch", *_axis_names(profile), value, "90% bounds"]
    header += [*(["device ms"] if has_device else []), "items/s", *(["W"] if has_power else []), "executions"]
    header += ["predicted ms (90%)", "off by"] if predicted else []
    rows = [header]
    for point in profile.points:
        row = [str(point.batch_size), *(str(size) for size in point.axes.values())]
        row += [f"{point.seconds.value * 1e3:.3f}", _bounds(point.seconds)]
        row += [_value(point.device_s)] if has_device else []
        row += [f"{point.batch_size / point.seconds.value:.0f}"]
        row += ["" if point.power_w is None else f"{point.power_w:.0f}"] if has_power else []
        row += [str(point.executions), *_prediction(predicted.get(id(point)))] if predicted else [str(point.executions)]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    yield from ("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    yield from _verdict(comparison)
    if profile.usage is not None:
        yield from _usage(profile.usage)


def _title(profile: ServiceTimeProfile) -> str:
    instances = f"{profile.instances} instance{'s' if profile.instances > 1 else ''}"
    device = profile.environment.get("device", "unknown device")
    title = f"{profile.precision.value} on {profile.hardware_id} ({device}), {instances}"
    threads = profile.environment.get("threads")
    if threads is not None:
        title += f", {threads} thread{'s' if threads != '1' else ''} each"
    server = profile.environment.get("server")
    return title + (f", inside {server}" if server else f", {profile.engine_kind} alone")


def _prediction(compared: ComparedPoint | None) -> list[str]:
    if compared is None:
        return ["", ""]
    outside = "" if compared.is_inside else ", outside"
    return [f"{compared.predicted.value * 1e3:.3f} ({_bounds(compared.predicted)})", f"{compared.error:+.0%}{outside}"]


def _verdict(comparison: Comparison) -> Iterator[str]:
    """How good the prediction was that this measurement replaces."""
    if comparison.basis is None:
        yield f"not predicted: {comparison.reason}"
        return
    inside = sum(compared.is_inside for compared in comparison.points)
    errors = [abs(compared.error) for compared in comparison.points]
    yield (
        f"predicted ({comparison.basis.value}): {inside} of {len(errors)} points inside the 90% interval, "
        f"mean error {sum(errors) / len(errors):.0%}"
    )


def _usage(usage: DeviceUsage) -> Iterator[str]:
    """What the device did, with what it did not tell."""
    parts = []
    if usage.utilization is not None:
        parts.append(f"{usage.utilization:.0%} busy")
    if usage.power_w is not None:
        highest = "" if usage.power_max_w is None else f" (at most {usage.power_max_w:.0f} W)"
        parts.append(f"{usage.power_w:.0f} W{highest}")
    if usage.energy_j is not None:
        parts.append(f"{usage.energy_j:.0f} J")
    if usage.memory_bytes is not None:
        parts.append(f"{usage.memory_bytes / 2**30:.2f} GiB in use")
    if usage.clock_hz is not None:
        parts.append(f"{usage.clock_hz / 1e6:.0f} MHz")
    if usage.temperature_max_c is not None:
        parts.append(f"at most {usage.temperature_max_c:.0f} °C")
    told = ", ".join(parts) or "it told nothing"
    yield f"device over {usage.seconds:.1f} s ({_SENSORS[usage.source]}, {usage.samples} samples): {told}"
    if usage.slowdowns:
        held = ", ".join(f"{why} in {share:.0%} of samples" for why, share in usage.slowdowns.items())
        yield f"clocks held back: {held}"
    if usage.missing:
        yield f"the device does not tell: {', '.join(usage.missing)}"


def _axis_names(profile: ServiceTimeProfile) -> tuple[str, ...]:
    return tuple(profile.points[0].axes) if profile.points else ()


def _value(seconds: Interval | None) -> str:
    return "" if seconds is None else f"{seconds.value * 1e3:.3f}"


def _bounds(seconds: Interval) -> str:
    return f"{seconds.low * 1e3:.3f} - {seconds.high * 1e3:.3f}"
