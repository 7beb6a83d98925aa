"""What a device's acceptance tells later plans: the service time of one execution, as a stored measurement."""

from collections.abc import Mapping
from typing import TypeAlias

from infc.ir.device_usage import DeviceUsage
from infc.ir.edge_acceptance import EdgeAcceptance
from infc.ir.edge_release import EdgeEngine, EdgeRelease
from infc.ir.model_profile import ModelProfile
from infc.ir.service_time import POWER_MODE, ServiceTimePoint, ServiceTimeProfile

Shape: TypeAlias = tuple[int, ...]
_MEDIAN = "p50"
ORIGIN = "acceptance on a device"
"""Where the times come from, in the environment of the profile: the engine alone, without a server."""


def service_times_of(
    acceptance: EdgeAcceptance,
    release: EdgeRelease,
    model: ModelProfile | None = None,
    timed: Mapping[str, Shape] | None = None,
) -> ServiceTimeProfile | None:
    """The engine's own times as a profile of this model, module and power mode; None where the device timed no engine.

    Times of a deep learning accelerator are none of the GPU's, which is what profiles are of. `model` is the profile of
    the unquantised model, which names the dynamic axes, and `timed` are the shapes of the inputs that were timed, by
    name: the bundle's first sample. Without them the model has to have no such axes. The times are the medians of
    single executions, copies between host and device included.
    """
    target = next((each for each in release.targets if each.hardware_id == acceptance.hardware_id), None)
    engine = next((each for each in release.engines if target is not None and each.name == target.engine), None)
    seconds = (acceptance.engine_latency_s or {}).get(_MEDIAN)
    if engine is None or seconds is None or acceptance.engine is None or engine.options.dla_core is not None:
        return None
    axes = {} if _is_fixed(engine) else _axes(model, timed)
    if axes is None:
        return None
    point = ServiceTimePoint(
        batch_size=release.load.batch_size, axes=axes, seconds=seconds, executions=acceptance.engine_executions
    )
    return ServiceTimeProfile(
        model_digest=engine.source_digest.removeprefix("sha256:"),
        precision=engine.precision,
        hardware_id=acceptance.hardware_id,
        engine_kind="tensorrt",
        instances=1,
        points=(point,),
        environment=_environment(acceptance, release, engine),
        usage=_usage(acceptance),
    )


def _is_fixed(engine: EdgeEngine) -> bool:
    """Whether no size but the batch is open."""
    return all(shape.minimum[1:] == shape.maximum[1:] for shape in engine.shapes)


def _axes(model: ModelProfile | None, timed: Mapping[str, Shape] | None) -> Mapping[str, int] | None:
    """Sizes of the dynamic axes at the shapes that were timed; None: not known."""
    if model is None or timed is None:
        return None
    axes: dict[str, int] = {}
    for tensor in model.inputs:
        sizes = timed.get(tensor.name)
        if sizes is None or len(sizes) != len(tensor.shape):
            return None
        axes |= {name: size for name, size in zip(tensor.shape, sizes, strict=True) if isinstance(name, str)}
    axes.pop(model.batch_axis or "", None)
    return axes


def _environment(acceptance: EdgeAcceptance, release: EdgeRelease, engine: EdgeEngine) -> Mapping[str, str]:
    """What ran, without anything that names one device or a time."""
    device = acceptance.device
    told = {
        "device": device.model,
        "l4t": device.l4t,
        "tensorrt": device.tensorrt,
        POWER_MODE: acceptance.power_mode,
        "recipe": engine.recipe_digest.removeprefix("sha256:")[:12],
        "release": f"{release.name} {release.version}",
        "origin": ORIGIN,
    }
    return {name: value for name, value in told.items() if value is not None}


def _usage(acceptance: EdgeAcceptance) -> DeviceUsage | None:
    """What the sensors said under the load; None where the device has none."""
    power, heat = acceptance.power_w, acceptance.temperature_c
    if power is None and heat is None:
        return None
    return DeviceUsage(
        source="tegrastats",
        samples=0,
        seconds=acceptance.load.seconds,
        power_w=None if power is None else power.mean,
        power_max_w=None if power is None else power.max,
        temperature_max_c=None if heat is None else heat.max,
    )
