"""The hardware catalogue for people: one table of all devices, one page per device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from infc.ir.hardware import Hardware, HardwareKind, PowerMode
from infc.ir.precision import Precision
from infc.ir.price import Price
from infc.resolve.jetson import jetpacks, modules

WIDTH = 100
_RECALLED, _DERIVED = "*", "~"
_SECTIONS: Mapping[HardwareKind, str] = {
    "gpu": "GPUs",
    "jetson": "Jetson modules",
    "cpu": "CPUs (ONNX Runtime)",
    "other": "For comparison only: infc emits nothing for these",
}
COLUMNS = ("id", "SM", "GB", "GB/s", "FP16", "FP8", "INT8", "W", "$/hour", "from")


@dataclass(frozen=True, kw_only=True)
class ListedDevice:
    """A device with the price that a plan without a provider would use."""

    hardware: Hardware
    price: Price | None


def sections(devices: Sequence[ListedDevice]) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    """Titles with the rows under them, in the order of `COLUMNS`; empty sections are left out."""
    grouped = (
        (title, tuple(_row(device) for device in devices if device.hardware.kind == kind))
        for kind, title in _SECTIONS.items()
    )
    return tuple((title, rows) for title, rows in grouped if rows)


def render_list(devices: Sequence[ListedDevice]) -> str:
    """The table as plain text: no more than 100 columns, numbers flush right."""
    blocks = sections(devices)
    every = [row for _, rows in blocks for row in rows]
    widths = [max(len(row[column]) for row in [COLUMNS, *every]) for column in range(len(COLUMNS))]
    lines = [_aligned(COLUMNS, widths)]
    for title, rows in blocks:
        lines += ["", f"{title}:", *(_aligned(row, widths) for row in rows)]
    return "\n".join([*lines, "", *LEGEND])


LEGEND = (
    "FP16 (or BF16), FP8, INT8: dense peaks, TFLOPS or TOPS. W: highest sustained power.",
    "$/hour: the cheapest on-demand list price of a cloud, or what owning the device costs.",
)


def render_device(hardware: Hardware, prices: Sequence[Price]) -> str:
    """Everything that is known of one device, with units; recalled and derived figures are marked."""
    facts = _facts(hardware)
    label = max(len(name) for name, _ in facts)
    lines = [f"{hardware.name} ({hardware.id})", ""]
    for name, value in facts:
        first, *more = wrap(value, WIDTH - label - 4) or [""]
        lines += [f"  {name:<{label}}  {first}", *(f"  {'':<{label}}  {line}" for line in more)]
    if hardware.power_modes:
        lines += [
            "",
            "power modes:",
            *_table(("mode", "id", "W", "SMs", "MHz", "FP16", "INT8", "DLA INT8", "GB/s"), _modes(hardware)),
        ]
    lines += ["", "prices (one device):" if prices else "prices: none in the books"]
    if prices:
        lines += _table(
            ("$/hour", "provider", "terms", "sku", "region", "devices", "date"), [_price_row(p) for p in prices]
        )
    lines += ["", "sources:", *_bullets((*hardware.sources, *dict.fromkeys(f"prices: {p.source}" for p in prices)))]
    if hardware.notes:
        lines += ["", "notes:", *(f"  {line}" for line in wrap(hardware.notes, WIDTH - 2))]
    if hardware.recalled_fields or hardware.details.derived_fields:
        lines += ["", f"{_RECALLED} from recall alone; {_DERIVED} recalled and checked by arithmetic, or derived."]
    return "\n".join(lines)


def _row(device: ListedDevice) -> tuple[str, ...]:
    hardware, price = device.hardware, device.price
    peaks = hardware.peak_flops
    half = peaks.get(Precision.FP16, peaks.get(Precision.BF16))
    return (
        hardware.id,
        hardware.compute_capability or "-",
        _number(hardware.memory_bytes, 1e9),
        _number(hardware.memory_bandwidth_bytes_per_s, 1e9),
        _number(half, 1e12),
        _number(peaks.get(Precision.FP8), 1e12),
        _number(peaks.get(Precision.INT8), 1e12),
        _number(hardware.tdp_w, 1.0),
        "-" if price is None else f"{price.usd_per_hour:.2f}",
        "-" if price is None else price.provider,
    )


def _facts(hardware: Hardware) -> list[tuple[str, str]]:
    details = hardware.details

    def fact(name: str, key: str, value: float | None, scale: float, unit: str) -> tuple[str, str] | None:
        return None if value is None else (name, f"{_number(value, scale)} {unit}{_mark(hardware, key)}")

    kind = hardware.architecture + (
        f", compute capability {hardware.compute_capability}" if hardware.compute_capability else ""
    )
    cores = "cores" if hardware.kind == "cpu" else "SMs"
    optional = (
        fact("L2 cache", "l2_mb", hardware.l2_bytes, 2**20, "MB"),
        fact(cores, "sm_count", hardware.sm_count, 1, ""),
        fact("clock", "boost_clock_mhz", hardware.boost_clock_hz, 1e6, "MHz"),
        fact("power", "tdp_w", hardware.tdp_w, 1, "W"),
        fact("lowest limit", "minimum_power_w", details.minimum_power_w, 1, "W"),
        fact("idle power", "idle_w", hardware.idle_w, 1, "W"),
        fact("NVLink", "nvlink_gb_per_s", details.nvlink_bytes_per_s, 1e9, "GB/s, both directions"),
        fact("NVLink bridge", "nvlink_devices", details.nvlink_devices, 1, "cards"),
    )
    texts = (
        ("PCIe", details.pcie),
        ("2:4 sparsity", {True: "yes", False: "no", None: None}[details.has_structured_sparsity]),
        ("DLA", hardware.dla),
        *_jetson_facts(hardware),
        ("released", details.released),
        ("aliases", ", ".join(hardware.aliases) or None),
    )
    return [
        ("vendor", f"{hardware.vendor}, {hardware.form}"),
        ("architecture", kind),
        ("infc emits", "yes" if hardware.is_emittable else "no: for comparison only"),
        (
            "memory",
            f"{_number(hardware.memory_bytes, 1e9)} GB{_mark(hardware, 'memory_gb')} {details.memory_type or ''}",
        ),
        (
            "bandwidth",
            f"{_number(hardware.memory_bandwidth_bytes_per_s, 1e9)} GB/s{_mark(hardware, 'memory_bandwidth_gb_per_s')}",
        ),
        ("dense peaks", _peaks(hardware)),
        *(item for item in optional if item is not None),
        *((name, text) for name, text in texts if text is not None),
    ]


def _peaks(hardware: Hardware) -> str:
    parts = [
        f"{precision.value.upper()} {_number(value, 1e12)}{_mark(hardware, f'dense_tflops.{precision.value}')}"
        for precision, value in hardware.peak_flops.items()
    ]
    return ", ".join(parts) + " (TFLOPS, TOPS)"


def _jetson_facts(hardware: Hardware) -> tuple[tuple[str, str], ...]:
    """How a Jetson module names itself, from where on it throttles, and what software it runs."""
    module = modules().get(hardware.id) if hardware.kind == "jetson" else None
    if module is None:
        return ()
    runs = [jetpack for jetpack in jetpacks() if hardware.id in jetpack.hardware_ids]
    facts = [("module", f"{', '.join(module.modules)} ({module.soc})")]
    if module.throttle_c is not None:
        mark = _RECALLED if "throttle_c" in module.recalled_fields else ""
        facts.append(("throttles", f"from {module.throttle_c:g} C{mark} at the junction"))
    facts.append(("JetPack", ", ".join(jetpack.version for jetpack in runs)))
    usable = {jetpack.dla[hardware.id]: jetpack.version for jetpack in runs if hardware.id in jetpack.dla}
    if usable:
        ways = [f"{' or '.join(versions)} (up to JetPack {last})" for versions, last in usable.items()]
        facts.append(("DLA runs with", f"TensorRT {', '.join(ways)}"))
    return tuple(facts)


def _mark(hardware: Hardware, key: str) -> str:
    if key in hardware.recalled_fields:
        return _RECALLED
    return _DERIVED if key in hardware.details.derived_fields else ""


def _modes(hardware: Hardware) -> list[tuple[str, ...]]:
    return [_mode_row(mode) for mode in sorted(hardware.power_modes, key=lambda mode: (mode.watts or 1e9, mode.name))]


def _mode_row(mode: PowerMode) -> tuple[str, ...]:
    return (
        mode.name + (" (default)" if mode.is_default else ""),
        str(mode.nvpmodel_id),
        "-" if mode.watts is None else f"{mode.watts:g}",
        str(mode.sm_count),
        _number(mode.clock_hz, 1e6),
        _number(mode.peak_flops.get(Precision.FP16), 1e12),
        _number(mode.peak_flops.get(Precision.INT8), 1e12),
        _number(mode.dla_int8_flops or None, 1e12),
        _number(mode.memory_bandwidth_bytes_per_s, 1e9),
    )


def _price_row(price: Price) -> tuple[str, ...]:
    return (
        f"{price.usd_per_hour:.4g}",
        price.provider,
        price.commitment,
        price.sku,
        price.region,
        str(price.accelerators_per_unit),
        price.date,
    )


def _number(value: float | None, scale: float) -> str:
    """A figure in its unit with at most four significant digits, `-` when unknown."""
    if value is None:
        return "-"
    scaled = value / scale
    return f"{scaled:.0f}" if scaled >= 1000 else f"{scaled:.4g}"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]


def _aligned(row: tuple[str, ...], widths: Sequence[int]) -> str:
    first, *middle, last = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in middle), last[0]]
    return "  ".join(cells).rstrip()


def _bullets(items: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for item in items:
        first, *more = wrap(item, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
        lines += [f"  - {first}", *(f"    {line}" for line in more)]
    return lines
