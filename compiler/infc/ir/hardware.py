"""An accelerator or CPU as the catalogue describes it, in base units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.ir.precision import Precision

HardwareKind: TypeAlias = Literal["gpu", "jetson", "cpu", "other"]


@dataclass(frozen=True, kw_only=True)
class PowerMode:
    """One nvpmodel mode of a Jetson module: what is left of the silicon under it.

    `watts` is None for uncapped modes (MAXN). `peak_flops` holds dense peaks at the mode's clocks.
    """

    name: str
    nvpmodel_id: int
    is_default: bool
    watts: float | None
    sm_count: int
    clock_hz: float
    peak_flops: Mapping[Precision, float]
    memory_bandwidth_bytes_per_s: float
    dla_int8_flops: float


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One catalogued device; a row of `targets/hardware/<id>.yaml`.

    `peak_flops[p]` is the dense peak in operations per second (2 per multiply-add) at precision `p`; a precision that
    is absent is not supported by the matrix units. `tdp_w`, `idle_w` and `memory_bytes` are per device. `is_emittable`
    is False for devices that infc only compares with (TPU, Inferentia, AMD, Intel accelerators).
    `power_modes` is empty but for Jetson modules. Memory of a `jetson` is shared with the operating system.
    """

    id: str
    name: str
    vendor: str
    kind: HardwareKind
    architecture: str
    compute_capability: str | None
    memory_bytes: float
    memory_bandwidth_bytes_per_s: float
    peak_flops: Mapping[Precision, float]
    l2_bytes: float | None
    sm_count: int | None
    boost_clock_hz: float | None
    tdp_w: float | None
    idle_w: float | None
    form: str
    is_emittable: bool
    dla: str | None
    power_modes: tuple[PowerMode, ...]
    aliases: tuple[str, ...]
    sources: tuple[str, ...]
    notes: str
    recalled_fields: tuple[str, ...]
