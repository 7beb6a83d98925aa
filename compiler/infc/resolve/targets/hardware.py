"""`targets/hardware/<id>.yaml` -> Hardware, in base units."""

import re
from collections.abc import Mapping

from infc.diag import Diagnostic
from infc.ir.hardware import Hardware, HardwareDetails, HardwareKind, PowerMode
from infc.ir.precision import Precision
from infc.resolve.targets.fields import HARDWARE_FIELDS
from infc.resolve.targets.records import Record, read_record

GIGA = 1e9
TERA = 1e12
MEGA = 1e6

_CAPABILITY = re.compile(r"\d+\.\d")
_KINDS: Mapping[str, HardwareKind] = {"gpu": "gpu", "jetson": "jetson", "cpu": "cpu", "other": "other"}


def hardware_id_from_name(name: str) -> str:
    """The id of a device: its name in lower case, every run of other characters a hyphen.

    >>> hardware_id_from_name("A100 SXM 80GB"), hardware_id_from_name("AWS Inferentia2 (chip)")
    ('a100-sxm-80gb', 'aws-inferentia2-chip')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def hardware_from_text(
    text: str, id: str, path: str, *, is_untrusted: bool = True
) -> tuple[Hardware | None, tuple[Diagnostic, ...]]:
    """Read one hardware file; `id` is its file name without the ending, `path` names it in diagnostics.

    Returns: the device, or None and every problem of the file.
    """
    record, problems = read_record(text, path, HARDWARE_FIELDS, is_untrusted=is_untrusted)
    if record is None:
        return None, problems
    problems = _cross_check(record, id)
    return (None, problems) if problems else (_hardware(record, id), ())


def _hardware(record: Record, id: str) -> Hardware:
    return Hardware(
        id=id,
        name=record.required_text("name"),
        vendor=record.required_text("vendor"),
        kind=_KINDS[record.required_text("kind")],
        architecture=record.required_text("architecture"),
        compute_capability=record.text("compute_capability"),
        memory_bytes=record.required_number("memory_gb", GIGA),
        memory_bandwidth_bytes_per_s=record.required_number("memory_bandwidth_gb_per_s", GIGA),
        peak_flops=_peaks(record),
        l2_bytes=record.number("l2_mb", 2**20),
        sm_count=record.count("sm_count"),
        boost_clock_hz=record.number("boost_clock_mhz", MEGA),
        tdp_w=record.number("tdp_w"),
        idle_w=record.number("idle_w"),
        form=record.required_text("form"),
        is_emittable=bool(record.flag("is_emittable")),
        dla=record.text("dla"),
        power_modes=tuple(_power_mode(mode) for mode in record.records("power_modes")),
        aliases=record.texts("aliases"),
        sources=record.texts("sources"),
        notes=record.text("notes") or "",
        recalled_fields=record.texts("recalled_fields"),
        details=HardwareDetails(
            released=record.text("released"),
            memory_type=record.text("memory_type"),
            minimum_power_w=record.number("minimum_power_w"),
            nvlink_bytes_per_s=record.number("nvlink_gb_per_s", GIGA),
            nvlink_devices=record.count("nvlink_devices"),
            pcie=record.text("pcie"),
            has_structured_sparsity=record.flag("has_structured_sparsity"),
            derived_fields=record.texts("derived_fields"),
        ),
    )


def _power_mode(record: Record) -> PowerMode:
    return PowerMode(
        name=record.required_text("name"),
        nvpmodel_id=int(record.required_number("nvpmodel_id")),
        is_default=bool(record.flag("is_default")),
        watts=record.number("watts"),
        sm_count=int(record.required_number("sm_count")),
        clock_hz=record.required_number("clock_mhz", MEGA),
        peak_flops=_peaks(record),
        memory_bandwidth_bytes_per_s=record.required_number("memory_bandwidth_gb_per_s", GIGA),
        dla_int8_flops=record.number("dla_int8_tops", TERA) or 0.0,
        cpu_cores=record.count("cpu_cores"),
        cpu_clock_hz=record.number("cpu_clock_mhz", MEGA),
        dla_core0_int8_flops=record.number("dla_core0_int8_tops", TERA) or 0.0,
    )


def _peaks(record: Record) -> Mapping[Precision, float]:
    peaks = record.record("dense_tflops")
    return {} if peaks is None else {Precision(key): value for key, value in peaks.numbers(TERA).items()}


def _cross_check(record: Record, id: str) -> tuple[Diagnostic, ...]:
    """What no single field shows: the file's name, a GPU's compute capability, names of fields, doubled modes."""
    problems: list[Diagnostic] = []

    def problem(key: str, message: str, help: str) -> None:
        problems.append(Diagnostic(id="target-value", message=message, span=record.span_of(key), help=help))

    if hardware_id_from_name(id) != id:
        problem("name", f"the file name {id}.yaml is not a hardware id", f"name it {hardware_id_from_name(id)}.yaml")
    kind, capability = record.required_text("kind"), record.text("compute_capability")
    if kind in ("gpu", "jetson") and capability is None:
        problem(
            "kind",
            f"a {kind} needs a compute_capability",
            'add compute_capability: "8.9" with the value of this device',
        )
    if capability is not None and not _CAPABILITY.fullmatch(capability):
        problem("compute_capability", f"{capability} is not a compute capability", 'write major.minor, such as "8.9"')
    if not _peaks(record):
        problem("dense_tflops", "dense_tflops names no precision", "give at least fp32")
    keys = _field_paths()
    for list_key in ("recalled_fields", "derived_fields"):
        for name in record.texts(list_key):
            if name not in keys:
                problem(list_key, f"{name} is not a key of this file", "name keys as in dense_tflops.int8 or memory_gb")
    names = [mode.required_text("name") for mode in record.records("power_modes")]
    if len(names) != len(set(names)):
        problem("power_modes", "two power modes have the same name", "nvpmodel's names are unique")
    return tuple(problems)


def _field_paths() -> frozenset[str]:
    paths = {field.key for field in HARDWARE_FIELDS}
    paths.update(f"{field.key}.{inner.key}" for field in HARDWARE_FIELDS for inner in field.fields)
    return frozenset(paths)
