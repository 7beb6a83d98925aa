"""What build places call the devices of the catalogue: `targets/builders/devices.yaml`, built in and of the user."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import DiagnosticError, InternalError
from infc.resolve.targets.fields import Field, FieldKind
from infc.resolve.targets.location import data_directory
from infc.resolve.targets.records import Record, read_record

_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_. -]")

_FIELDS = (
    Field(
        key="devices",
        kind=FieldKind.RECORDS,
        description="One row per device of the catalogue.",
        is_required=True,
        fields=(
            Field(key="hardware", kind=FieldKind.TEXT, description="Id of the device.", is_required=True),
            Field(key="driver_names", kind=FieldKind.TEXTS, description="Names as nvidia-smi -L shows them."),
            Field(key="ray_types", kind=FieldKind.TEXTS, description="Ray's accelerator types, best first."),
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class DeviceNames:
    """One device elsewhere: the names that the driver gives it, and Ray's accelerator types, best first."""

    hardware_id: str
    driver_names: tuple[str, ...] = ()
    ray_types: tuple[str, ...] = ()

    @property
    def product_labels(self) -> tuple[str, ...]:
        """Values of the node label `nvidia.com/gpu.product`.

        >>> DeviceNames(hardware_id="h100-sxm", driver_names=("NVIDIA H100 80GB HBM3",)).product_labels
        ('NVIDIA-H100-80GB-HBM3',)

        Source: gpu-feature-discovery, which drops other characters and turns spaces into hyphens.
        """
        return tuple(_NOT_IN_LABELS.sub("", name).strip().replace(" ", "-") for name in self.driver_names)


def device_names(overlay: Path | None) -> Mapping[str, DeviceNames]:
    """Every known device by its id; rows of the overlay's `builders/devices.yaml` replace the built-in ones.

    Raises DiagnosticError when the user's file has problems; all of them.
    """
    builtin = data_directory("targets") / "builders" / "devices.yaml"
    record, problems = read_record(builtin.read_text("utf-8"), builtin.name, _FIELDS, is_untrusted=False)
    if record is None:
        raise InternalError(f"built-in {builtin.name}: {problems[0].message}")
    names = _rows(record)
    own = None if overlay is None else overlay / "builders" / "devices.yaml"
    if own is not None and own.is_file() and own.resolve() != builtin.resolve():
        text = own.read_bytes().decode("utf-8", errors="replace")
        record, problems = read_record(text, own.as_posix(), _FIELDS)
        if record is None:
            raise DiagnosticError(problems, exit_code=1)
        names |= _rows(record)
    return names


def _rows(record: Record) -> dict[str, DeviceNames]:
    rows = [
        DeviceNames(
            hardware_id=row.required_text("hardware"),
            driver_names=row.texts("driver_names"),
            ray_types=row.texts("ray_types"),
        )
        for row in record.records("devices")
    ]
    return {row.hardware_id: row for row in rows}
