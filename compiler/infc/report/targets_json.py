"""The hardware catalogue as JSON, in base units, and the schema of that document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infc.ir.hardware import Hardware, PowerMode
from infc.ir.price import Price
from infc.resolve.jetson import jetpacks, modules

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"

FORMAT_VERSION = "1.0"


@dataclass(frozen=True, kw_only=True)
class DescribedDevice:
    """A device with the price that a plan without a provider would use, and every price in the books."""

    hardware: Hardware
    price: Price | None
    prices: tuple[Price, ...]


def targets_document(devices: Sequence[DescribedDevice]) -> dict[str, Json]:
    """What `infc targets list|show --format json` prints."""
    return {"format_version": FORMAT_VERSION, "hardware": [_device(device) for device in devices]}


def _device(device: DescribedDevice) -> dict[str, Json]:
    hardware, details = device.hardware, device.hardware.details
    return {
        "id": hardware.id,
        "name": hardware.name,
        "aliases": list(hardware.aliases),
        "vendor": hardware.vendor,
        "kind": hardware.kind,
        "architecture": hardware.architecture,
        "compute_capability": hardware.compute_capability,
        "form": hardware.form,
        "released": details.released,
        "is_emittable": hardware.is_emittable,
        "memory_bytes": hardware.memory_bytes,
        "memory_type": details.memory_type,
        "memory_bandwidth_bytes_per_s": hardware.memory_bandwidth_bytes_per_s,
        "peak_flops": {precision.value: peak for precision, peak in hardware.peak_flops.items()},
        "l2_bytes": hardware.l2_bytes,
        "sm_count": hardware.sm_count,
        "boost_clock_hz": hardware.boost_clock_hz,
        "tdp_w": hardware.tdp_w,
        "idle_w": hardware.idle_w,
        "minimum_power_w": details.minimum_power_w,
        "nvlink_bytes_per_s": details.nvlink_bytes_per_s,
        "nvlink_devices": details.nvlink_devices,
        "pcie": details.pcie,
        "has_structured_sparsity": details.has_structured_sparsity,
        "dla": hardware.dla,
        "power_modes": [_mode(mode) for mode in hardware.power_modes],
        "jetson": _jetson(hardware),
        "price": None if device.price is None else _price(device.price),
        "prices": [_price(price) for price in device.prices],
        "sources": list(hardware.sources),
        "notes": hardware.notes,
        "recalled_fields": list(hardware.recalled_fields),
        "derived_fields": list(details.derived_fields),
    }


def _mode(mode: PowerMode) -> Json:
    return {
        "name": mode.name,
        "nvpmodel_id": mode.nvpmodel_id,
        "is_default": mode.is_default,
        "watts": mode.watts,
        "sm_count": mode.sm_count,
        "clock_hz": mode.clock_hz,
        "peak_flops": {precision.value: peak for precision, peak in mode.peak_flops.items()},
        "memory_bandwidth_bytes_per_s": mode.memory_bandwidth_bytes_per_s,
        "dla_int8_flops": mode.dla_int8_flops,
        "dla_core0_int8_flops": mode.dla_core0_int8_flops,
        "cpu_cores": mode.cpu_cores,
        "cpu_clock_hz": mode.cpu_clock_hz,
    }


def _jetson(hardware: Hardware) -> Json:
    """What is known of a Jetson module besides its catalogue row; None for other devices."""
    module = modules().get(hardware.id) if hardware.kind == "jetson" else None
    if module is None:
        return None
    return {
        "modules": list(module.modules),
        "soc": module.soc,
        "dla_cores": module.dla_cores,
        "throttle_c": module.throttle_c,
        "os_memory_bytes": module.os_memory_bytes,
        "jetpacks": [
            {
                "version": jetpack.version,
                "l4t": jetpack.l4t,
                "cuda": jetpack.cuda,
                "tensorrt": jetpack.tensorrt,
                "tensorrt_also": list(jetpack.tensorrt_also),
                "dla_tensorrt": list(jetpack.dla.get(hardware.id, ())),
            }
            for jetpack in jetpacks()
            if hardware.id in jetpack.hardware_ids
        ],
        "sources": list(module.sources),
        "recalled_fields": list(module.recalled_fields),
    }


def _price(price: Price) -> dict[str, Json]:
    return {
        "provider": price.provider,
        "sku": price.sku,
        "region": price.region,
        "commitment": price.commitment,
        "usd_per_hour": price.usd_per_hour,
        "accelerators_per_unit": price.accelerators_per_unit,
        "date": price.date,
        "source": price.source,
        "is_marketplace": price.is_marketplace,
        "notes": price.notes,
    }


def targets_schema() -> dict[str, Json]:
    """The JSON Schema of `targets_document`."""
    number: dict[str, Json] = {"type": ["number", "null"], "minimum": 0}
    text: dict[str, Json] = {"type": ["string", "null"]}
    flag: dict[str, Json] = {"type": ["boolean", "null"]}
    texts: dict[str, Json] = {"type": "array", "items": {"type": "string"}}
    peaks: dict[str, Json] = {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}}
    price = _object(
        {
            "provider": text,
            "sku": text,
            "region": text,
            "commitment": text,
            "usd_per_hour": number,
            "accelerators_per_unit": number,
            "date": text,
            "source": text,
            "is_marketplace": flag,
            "notes": text,
        }
    )
    mode = _object(
        {
            "name": text,
            "nvpmodel_id": number,
            "is_default": flag,
            "watts": number,
            "sm_count": number,
            "clock_hz": number,
            "peak_flops": peaks,
            "memory_bandwidth_bytes_per_s": number,
            "dla_int8_flops": number,
            "dla_core0_int8_flops": number,
            "cpu_cores": number,
            "cpu_clock_hz": number,
        }
    )
    release = _object(
        {
            **dict.fromkeys(("version", "l4t", "cuda", "tensorrt"), text),
            **dict.fromkeys(("tensorrt_also", "dla_tensorrt"), texts),
        }
    )
    jetson = _object(
        {
            **dict.fromkeys(("modules", "sources", "recalled_fields"), texts),
            "soc": text,
            **dict.fromkeys(("dla_cores", "throttle_c", "os_memory_bytes"), number),
            "jetpacks": {"type": "array", "items": release},
        }
    )
    device = _object(
        {
            "id": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
            **dict.fromkeys(("name", "vendor", "architecture", "compute_capability", "form", "released"), text),
            "kind": {"enum": ["gpu", "jetson", "cpu", "other"]},
            **dict.fromkeys(("memory_type", "pcie", "dla", "notes"), text),
            **dict.fromkeys(("is_emittable", "has_structured_sparsity"), flag),
            **dict.fromkeys(
                ("memory_bytes", "memory_bandwidth_bytes_per_s", "l2_bytes", "sm_count", "boost_clock_hz"), number
            ),
            **dict.fromkeys(("tdp_w", "idle_w", "minimum_power_w", "nvlink_bytes_per_s", "nvlink_devices"), number),
            **dict.fromkeys(("aliases", "sources", "recalled_fields", "derived_fields"), texts),
            "peak_flops": peaks,
            "power_modes": {"type": "array", "items": mode},
            "jetson": {"anyOf": [jetson, {"type": "null"}]},
            "price": {"anyOf": [price, {"type": "null"}]},
            "prices": {"type": "array", "items": price},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/targets.schema.json",
        "title": "Output of infc targets list|show --format json",
        **_object({"format_version": {"const": FORMAT_VERSION}, "hardware": {"type": "array", "items": device}}),
    }


def _object(properties: dict[str, Json]) -> dict[str, Json]:
    return {"type": "object", "required": list(properties), "properties": properties}
