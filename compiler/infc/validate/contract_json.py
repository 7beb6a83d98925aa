"""`validation.json` <-> `ValidationContract`. Latencies in seconds, rates per second; same contract, same bytes."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, assert_never

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, DiurnalArrival, PoissonArrival, TraceArrival
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution, LatencyTarget, Traffic
from infc.ir.service_time import ServiceTimeCurve
from infc.validate.contract import ServedModel, ValidationContract

FORMAT_VERSION = "1.0"

C = TypeVar("C")


def to_json(contract: ValidationContract) -> bytes:
    """The file's content."""
    model = contract.model
    document = {
        "format_version": FORMAT_VERSION,
        "name": contract.name,
        "spec_path": contract.spec_path,
        "target": contract.target,
        "model": {
            "name": model.name,
            "digest": model.digest,
            "precision": model.precision.value,
            "engine_kind": model.engine_kind,
            "device": "cpu" if model.is_cpu else "gpu",
            "hardware_id": model.hardware_id,
            "inputs": [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in model.inputs],
            "batch_axis": model.batch_axis,
            "max_batch_size": model.max_batch_size,
            "instances": model.instances,
        },
        "replicas": contract.replicas,
        "latency_limits_s": {target.label: float(target.limit_s) for target in contract.latency},
        "traffic": traffic_to_json(contract.traffic),
        "predicted_e2e_s": {label: interval_to_json(value) for label, value in contract.predicted_s.items()},
        "service_time": {
            "basis": contract.service_time.basis.value,
            "seconds": [interval_to_json(value) for value in contract.service_time.seconds],
        },
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def from_json(content: bytes) -> ValidationContract:
    """Read a file's content.

    Raises:
        ValueError: it is not a contract that this version reads; the message says why.
    """
    return parsed_contract(content, _contract)


def parsed_contract(content: bytes, read: Callable[[Mapping[str, Any]], C]) -> C:
    """What `read` makes of a file's document.

    Raises:
        ValueError: the file is of another version, or not as `read` expects it; the message says why.
    """
    try:
        document = json.loads(content)
        version = str(document["format_version"])
        if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise ValueError(f"format version {version} is not read by this version of infc")
        return read(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a field is missing or has the wrong type: {error}") from error


def _contract(document: Mapping[str, Any]) -> ValidationContract:
    model = document["model"]
    curve = document["service_time"]
    return ValidationContract(
        name=str(document["name"]),
        spec_path=str(document["spec_path"]),
        target=str(document["target"]),
        model=ServedModel(
            name=str(model["name"]),
            digest=str(model["digest"]),
            precision=Precision(model["precision"]),
            engine_kind=model["engine_kind"],
            is_cpu=model["device"] == "cpu",
            hardware_id=str(model["hardware_id"]),
            inputs=tuple(
                TensorSpec(name=str(t["name"]), dtype=str(t["dtype"]), shape=tuple(t["shape"])) for t in model["inputs"]
            ),
            batch_axis=model["batch_axis"],
            max_batch_size=int(model["max_batch_size"]),
            instances=int(model["instances"]),
        ),
        replicas=int(document["replicas"]),
        latency=tuple(
            LatencyTarget(percentile=float(label.removeprefix("p")), limit_s=float(limit_s))
            for label, limit_s in document["latency_limits_s"].items()
        ),
        traffic=traffic_from_json(document["traffic"]),
        predicted_s={label: interval_from_json(value) for label, value in document["predicted_e2e_s"].items()},
        service_time=ServiceTimeCurve(
            seconds=tuple(interval_from_json(value) for value in curve["seconds"]), basis=Basis(curve["basis"])
        ),
    )


def traffic_to_json(traffic: Traffic) -> dict[str, Any]:
    """Rates in requests per second, arrivals by kind, axes by name."""
    return {
        "arrival": _arrival_to_json(traffic.arrival),
        "rate_rps": float(traffic.rate_rps),
        "peak_rps": float(traffic.peak_rps),
        "hourly": None if traffic.hourly is None else [float(value) for value in traffic.hourly],
        "axes": {name: sizes_to_json(axis) for name, axis in sorted(traffic.axes.items())},
    }


def traffic_from_json(document: Mapping[str, Any]) -> Traffic:
    """The reverse of `traffic_to_json`."""
    hourly = document["hourly"]
    return Traffic(
        arrival=_arrival_from_json(document["arrival"]),
        rate_rps=float(document["rate_rps"]),
        peak_rps=float(document["peak_rps"]),
        hourly=None if hourly is None else tuple(float(value) for value in hourly),
        axes={name: sizes_from_json(axis) for name, axis in document["axes"].items()},
    )


def sizes_to_json(sizes: AxisDistribution) -> dict[str, Any]:
    """Sizes by percentile, and the largest."""
    return {"percentiles": {f"{p:g}": size for p, size in sorted(sizes.percentiles.items())}, "maximum": sizes.maximum}


def sizes_from_json(document: Mapping[str, Any]) -> AxisDistribution:
    """The reverse of `sizes_to_json`."""
    return AxisDistribution(
        percentiles={float(p): int(size) for p, size in document["percentiles"].items()},
        maximum=int(document["maximum"]),
    )


def _arrival_to_json(arrival: Arrival) -> dict[str, Any]:
    match arrival:
        case ConstantArrival(streams=1):
            return {"kind": "constant"}
        case ConstantArrival(streams=streams):
            return {"kind": "constant", "streams": streams}
        case PoissonArrival():
            return {"kind": "poisson"}
        case BurstyArrival(cv=cv):
            return {"kind": "bursty", "cv": float(cv)}
        case DiurnalArrival(multipliers=multipliers, period_s=period_s, cv=cv):
            return {
                "kind": "diurnal",
                "multipliers": [float(value) for value in multipliers],
                "period_s": float(period_s),
                "cv": float(cv),
            }
        case TraceArrival(path=path, timestamps_s=timestamps_s):
            sizes = {name: list(values) for name, values in sorted(arrival.sizes.items())}
            known = {"path": path, "timestamps_s": list(timestamps_s), "sizes": sizes}
            return {"kind": "trace", **known, "starts_at_s": arrival.starts_at_s}
        case _:
            assert_never(arrival)


def _arrival_from_json(document: Mapping[str, Any]) -> Arrival:
    match document["kind"]:
        case "constant":
            return ConstantArrival(streams=int(document.get("streams", 1)))
        case "poisson":
            return PoissonArrival()
        case "bursty":
            return BurstyArrival(cv=float(document["cv"]))
        case "diurnal":
            multipliers = tuple(float(value) for value in document["multipliers"])
            return DiurnalArrival(
                multipliers=multipliers, period_s=float(document["period_s"]), cv=float(document["cv"])
            )
        case "trace":
            starts_at_s = document.get("starts_at_s")
            return TraceArrival(
                path=str(document["path"]),
                timestamps_s=tuple(float(value) for value in document["timestamps_s"]),
                sizes={str(k): tuple(int(v) for v in values) for k, values in document.get("sizes", {}).items()},
                starts_at_s=None if starts_at_s is None else float(starts_at_s),
            )
        case kind:
            raise ValueError(f"arrival {kind!r} is not known")


def interval_to_json(interval: Interval) -> dict[str, float]:
    """Value and bounds."""
    return {"value": float(interval.value), "low": float(interval.low), "high": float(interval.high)}


def interval_from_json(document: Mapping[str, Any]) -> Interval:
    """The reverse of `interval_to_json`."""
    return Interval(value=float(document["value"]), low=float(document["low"]), high=float(document["high"]))
