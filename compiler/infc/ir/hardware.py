"""An accelerator or CPU as the catalogue describes it, in base units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.ir.precision import Precision

HardwareKind: TypeAlias = Literal["gpu", "jetson", "cpu", "other"]


@dataclass(frozen=True, kw_only=True)
class PowerMode:
    """One nvpmodel mode of a Jetson module: what is left of the silicon under it.

    `watts` is None for uncapped modes (MAXN). `peak_flops` holds dense peaks at the mode's clocks, `dla_int8_flops` is
    that of all deep learning accelerators together and `dla_core0_int8_flops` that of the first (0 where there is none,
    or where no source tells them apart).
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
    cpu_cores: int | None = None
    cpu_clock_hz: float | None = None
    dla_core0_int8_flops: float = 0.0

    def is_named(self, name: str) -> bool:
        """Whether a person means this mode by `name`: `30W` is nvpmodel's `MODE_30W`, too."""
        return self.name.lower().removeprefix("mode_") == name.lower().removeprefix("mode_")


@dataclass(frozen=True, kw_only=True)
class HardwareDetails:
    """What a data sheet also says: shown to people; the links and the kind of memory also count for language models.

    None where no source says it. `minimum_power_w` is the lowest power limit that can be set; `nvlink_bytes_per_s` sums
    both directions, and joins `nvlink_devices` cards by a bridge (None: all devices of a host).
    `derived_fields` were recalled and then checked by arithmetic, or follow from sourced values.
    """

    released: str | None = None
    memory_type: str | None = None
    minimum_power_w: float | None = None
    nvlink_bytes_per_s: float | None = None
    nvlink_devices: int | None = None
    pcie: str | None = None
    has_structured_sparsity: bool | None = None
    derived_fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One catalogued device; a row of `targets/hardware/<id>.yaml`.

    `peak_flops[p]` is the dense peak in operations per second (2 per multiply-add) at precision `p`; a precision that
    is absent is not supported by the matrix units. `tdp_w`, `idle_w` and `memory_bytes` are per device. `is_emittable`
    is False for devices that infc only compares with (TPU, Inferentia, AMD, Intel accelerators).
    `power_modes` is empty but for Jetson modules. Memory of a `jetson` is shared with the operating system.
    `sm_count` counts the cores of a `cpu`. `recalled_fields` are keys of the file whose values rest on recall alone.
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
    details: HardwareDetails = HardwareDetails()
