"""The keys of the catalogue's files: the reader checks against these tables, the JSON Schemas come from them."""

from dataclasses import dataclass
from enum import StrEnum

from infc.ir.precision import Precision


class FieldKind(StrEnum):
    """What a value must look like."""

    TEXT = "text"
    TEXTS = "texts"
    LABELS = "labels"
    DATE = "date"
    NUMBER = "number"
    FRACTION = "fraction"
    COUNT = "count"
    INDEX = "index"
    FLAG = "flag"
    RECORD = "record"
    RECORDS = "records"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One key. `fields` are the keys inside a record or of each record in a list; `choices` closes a text."""

    key: str
    kind: FieldKind
    description: str
    is_required: bool = False
    choices: tuple[str, ...] = ()
    fields: tuple["Field", ...] = ()


_PEAKS = tuple(
    Field(
        key=precision.value,
        kind=FieldKind.NUMBER,
        description=f"Dense peak at {precision.value.upper()}, in 10^12 operations per second (2 per multiply-add).",
    )
    for precision in Precision
)

_T, _N = FieldKind.TEXT, FieldKind.NUMBER

POWER_MODE_FIELDS: tuple[Field, ...] = (
    Field(key="name", kind=_T, description="nvpmodel's name of the mode.", is_required=True),
    Field(key="nvpmodel_id", kind=FieldKind.INDEX, description="nvpmodel's number of the mode.", is_required=True),
    Field(key="is_default", kind=FieldKind.FLAG, description="Whether the module boots into this mode."),
    Field(key="watts", kind=_N, description="Power cap in watts; absent for uncapped modes (MAXN)."),
    Field(key="sm_count", kind=FieldKind.COUNT, description="Streaming multiprocessors in use.", is_required=True),
    Field(key="clock_mhz", kind=_N, description="Highest GPU clock.", is_required=True),
    Field(key="memory_bandwidth_gb_per_s", kind=_N, description="Memory bandwidth, 10^9 bytes/s.", is_required=True),
    Field(
        key="dense_tflops",
        kind=FieldKind.RECORD,
        description="Dense peaks in this mode.",
        is_required=True,
        fields=_PEAKS,
    ),
    Field(key="dla_int8_tops", kind=_N, description="Dense INT8 peak of all DLAs together."),
    Field(key="dla_core0_int8_tops", kind=_N, description="Dense INT8 peak of the first DLA alone."),
    Field(key="cpu_cores", kind=FieldKind.COUNT, description="CPU cores online."),
    Field(key="cpu_clock_mhz", kind=_N, description="Highest CPU clock."),
)

HARDWARE_FIELDS: tuple[Field, ...] = (
    Field(key="name", kind=_T, description="The device's name; the file is named after it.", is_required=True),
    Field(key="vendor", kind=_T, description="Who makes it.", is_required=True),
    Field(
        key="kind",
        kind=_T,
        description="gpu and jetson run TensorRT, cpu runs ONNX Runtime; other is for comparison only.",
        is_required=True,
        choices=("gpu", "jetson", "cpu", "other"),
    ),
    Field(key="architecture", kind=_T, description="Architecture name, such as Ada Lovelace.", is_required=True),
    Field(key="compute_capability", kind=_T, description='CUDA compute capability, such as "8.9"; quote it.'),
    Field(key="form", kind=_T, description="datacenter, workstation, consumer, edge, cpu.", is_required=True),
    Field(key="released", kind=FieldKind.DATE, description="Date of release: YYYY, YYYY-MM or YYYY-MM-DD."),
    Field(
        key="is_emittable", kind=FieldKind.FLAG, description="Whether infc emits deployments for it.", is_required=True
    ),
    Field(key="aliases", kind=FieldKind.TEXTS, description="Other names for it, in lower case."),
    Field(
        key="memory_gb",
        kind=_N,
        description="Memory as the data sheet states it, read as 10^9 bytes (never more than there is).",
        is_required=True,
    ),
    Field(key="memory_type", kind=_T, description="Such as GDDR6 or HBM3."),
    Field(key="memory_bandwidth_gb_per_s", kind=_N, description="Memory bandwidth, 10^9 bytes/s.", is_required=True),
    Field(
        key="dense_tflops",
        kind=FieldKind.RECORD,
        description="Dense peaks by precision (sparsity never counted); an absent precision has no matrix units.",
        is_required=True,
        fields=_PEAKS,
    ),
    Field(key="l2_mb", kind=_N, description="Last-level GPU cache, 2^20 bytes."),
    Field(key="sm_count", kind=FieldKind.COUNT, description="Streaming multiprocessors; cores of a CPU."),
    Field(key="boost_clock_mhz", kind=_N, description="Boost clock; the base clock of a CPU."),
    Field(key="tdp_w", kind=_N, description="Highest sustained power of the device."),
    Field(key="idle_w", kind=_N, description="Power when idle with a model loaded."),
    Field(key="minimum_power_w", kind=_N, description="The lowest power limit that can be set."),
    Field(key="nvlink_gb_per_s", kind=_N, description="NVLink bandwidth, both directions, 10^9 bytes/s."),
    Field(
        key="nvlink_devices",
        kind=FieldKind.COUNT,
        description="How many cards an NVLink bridge joins; absent where NVLink joins all devices of a host.",
    ),
    Field(key="pcie", kind=_T, description='PCIe generation and lanes, such as "4.0 x16".'),
    Field(key="has_structured_sparsity", kind=FieldKind.FLAG, description="Whether 2:4 sparsity is supported."),
    Field(key="dla", kind=_T, description="Deep learning accelerators beside the GPU."),
    Field(
        key="power_modes",
        kind=FieldKind.RECORDS,
        description="nvpmodel modes of a Jetson module.",
        fields=POWER_MODE_FIELDS,
    ),
    Field(key="sources", kind=FieldKind.TEXTS, description="Where the figures come from.", is_required=True),
    Field(key="notes", kind=_T, description="What a reader must know of the figures."),
    Field(key="recalled_fields", kind=FieldKind.TEXTS, description="Keys whose values rest on recall alone."),
    Field(
        key="derived_fields",
        kind=FieldKind.TEXTS,
        description="Keys whose values were recalled and checked by arithmetic, or derived from sourced ones.",
    ),
)

_DATED: tuple[Field, ...] = (
    Field(
        key="date", kind=FieldKind.DATE, description="When this held: YYYY, YYYY-MM or YYYY-MM-DD.", is_required=True
    ),
    Field(key="source", kind=_T, description="Who says so: a key of `sources`, or text.", is_required=True),
    Field(key="notes", kind=_T, description="What a reader must know of the figure."),
)

PRICE_FIELDS: tuple[Field, ...] = (
    Field(key="hardware", kind=_T, description="Id of the device in the catalogue.", is_required=True),
    Field(key="sku", kind=_T, description="The provider's name of what is rented.", is_required=True),
    Field(key="region", kind=_T, description="Region, or any.", is_required=True),
    Field(
        key="commitment",
        kind=_T,
        description="The terms.",
        is_required=True,
        choices=("on-demand", "1y", "3y", "spot", "owned", "capacity-block"),
    ),
    Field(
        key="usd_per_accelerator_hour",
        kind=_N,
        description="Price of the sku per hour divided by its accelerators.",
        is_required=True,
    ),
    Field(key="accelerators", kind=FieldKind.COUNT, description="Accelerators in the sku.", is_required=True),
    *_DATED,
)

PRICE_BOOK_FIELDS: tuple[Field, ...] = (
    Field(key="provider", kind=_T, description="Short name; the file is named after it.", is_required=True),
    Field(key="title", kind=_T, description="Full name."),
    Field(
        key="kind",
        kind=_T,
        description="cloud: list prices; marketplace: typical offers; model: modelled costs; owned: bought devices.",
        is_required=True,
        choices=("cloud", "marketplace", "model", "owned"),
    ),
    Field(key="sources", kind=FieldKind.LABELS, description="Sources by short name."),
    Field(
        key="reserved_discounts",
        kind=FieldKind.RECORDS,
        description="Share of the on-demand price that a commitment saves, where no row names that commitment.",
        fields=(
            Field(key="term", kind=_T, description="Length.", is_required=True, choices=("1y", "3y")),
            Field(
                key="payment",
                kind=_T,
                description="When it is paid.",
                is_required=True,
                choices=("no-upfront", "partial-upfront", "all-upfront"),
            ),
            Field(key="fraction", kind=FieldKind.FRACTION, description="Saved share, 0 to 1.", is_required=True),
            *_DATED,
        ),
    ),
    Field(key="prices", kind=FieldKind.RECORDS, description="One row per sku and terms.", fields=PRICE_FIELDS),
    Field(
        key="amortisation",
        kind=FieldKind.RECORD,
        description="Hourly cost of an owned device: usd / (years x 8760) + watts / 1000 x pue x usd_per_kwh.",
        fields=(
            Field(key="years", kind=_N, description="Years of use.", is_required=True),
            Field(key="usd_per_kwh", kind=_N, description="Price of electricity.", is_required=True),
            Field(key="pue", kind=_N, description="Power of the site over that of its machines. Default: 1."),
            Field(key="pue_source", kind=_T, description="Who says so: a key of `sources`, or text."),
            *_DATED,
        ),
    ),
    Field(
        key="purchases",
        kind=FieldKind.RECORDS,
        description="What a device costs to buy (usd), or already amortised without electricity (usd_per_hour).",
        fields=(
            Field(key="hardware", kind=_T, description="Id of the device in the catalogue.", is_required=True),
            Field(key="usd", kind=_N, description="Purchase price of one device."),
            Field(key="usd_per_hour", kind=_N, description="Amortised purchase, electricity not included."),
            *_DATED,
        ),
    ),
)
