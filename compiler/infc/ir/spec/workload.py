"""`workload`: the traffic that the SLO must hold under."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, WithJsonSchema

from infc.ir import quantity
from infc.ir.arrival import DAY_S, MAX_STREAMS, PARTS
from infc.ir.spec.base import (
    DurationS,
    Fraction,
    Percentile,
    RateRps,
    RelativePath,
    SpecModel,
    custom_error,
    tuple_from_list,
)

MAX_SIZE = 100_000_000
HOURS_PER_DAY = PARTS

_Size: TypeAlias = Annotated[int, Field(ge=1, le=MAX_SIZE)]


class SizeDistribution(SpecModel):
    """Sizes over requests: percentiles of the distribution, and the largest that ever comes.

    `percentiles` maps 0-100 (exclusive) to a size; empty when only `max` was given (then every request has that size).
    """

    percentiles: dict[Percentile, _Size] = Field(default_factory=dict)
    max: _Size


def _size_distribution(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"max": value}
    if not isinstance(value, dict):
        return value
    sizes = {key: size for key, size in value.items() if key != "max"}
    folded: dict[str, object] = {"percentiles": sizes} if sizes else {}
    if "max" in value:
        folded["max"] = value["max"]
    return folded


_SIZE_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}
Sizes: TypeAlias = Annotated[
    SizeDistribution,
    BeforeValidator(_size_distribution),
    WithJsonSchema(
        {
            "anyOf": [
                _SIZE_SCHEMA,
                {
                    "type": "object",
                    "properties": {"max": {**_SIZE_SCHEMA, "description": "The largest size that ever comes."}},
                    "patternProperties": {quantity.PERCENTILE_PATTERN: _SIZE_SCHEMA},
                    "required": ["max"],
                    "additionalProperties": False,
                },
            ],
            "examples": [{"p50": 24, "p90": 80, "max": 128}],
        }
    ),
]
"""`{p50: 24, p90: 80, max: 128}`, or one number for a fixed size."""


class ConstantShape(SpecModel):
    """Evenly spaced requests of several senders."""

    streams: Annotated[int, Field(ge=1, le=MAX_STREAMS)] = Field(
        description="Senders that know nothing of each other, such as cameras; the rate is of all of them together.",
        examples=[4],
    )


class ConstantSpec(SpecModel):
    """Arrivals at a constant rate from several senders."""

    constant: ConstantShape = Field(description="Evenly spaced requests of each of several senders.")


class BurstyShape(SpecModel):
    """Gamma-distributed gaps."""

    cv: Annotated[float, Field(gt=0, le=20)] = Field(
        description="Coefficient of variation of the gaps between requests; 1 is Poisson, above 1 is bursty.",
        examples=[2.5],
    )


class BurstySpec(SpecModel):
    """Arrivals in bursts."""

    bursty: BurstyShape = Field(description="Gamma-distributed gaps between requests.")


def _hourly(value: object) -> object:
    if isinstance(value, list) and len(value) != HOURS_PER_DAY:
        raise custom_error(
            "spec-hourly",
            f"hourly needs {HOURS_PER_DAY} multipliers, found {len(value)}",
            help="write one multiplier of the rate for each hour of the day, starting at midnight",
        )
    return tuple_from_list(value)


_Multiplier: TypeAlias = Annotated[float, Field(ge=0, le=1000)]
_DAY_SCHEMA: dict[str, JsonValue] = {"minItems": HOURS_PER_DAY, "maxItems": HOURS_PER_DAY}


class DiurnalShape(SpecModel):
    """The course of the rate over a period: either its hours or its peak."""

    hourly: Annotated[tuple[_Multiplier, ...], Field(strict=False), BeforeValidator(_hourly)] | None = Field(
        default=None,
        description="24 weights, one for each hour of the day from midnight; their mean counts as the rate.",
        json_schema_extra=_DAY_SCHEMA,
    )
    peak_to_mean: Annotated[float, Field(ge=1, le=20)] | None = Field(
        default=None,
        description="Instead of `hourly`: the peak as a multiple of the mean rate, one smooth peak a period.",
        examples=[2.5],
    )
    period: DurationS = Field(
        default=DAY_S, description="With `peak_to_mean`: how long a course takes, up to 24h. Default: 24h."
    )
    cv: Annotated[float, Field(gt=0, le=20)] = Field(
        default=1.0,
        description="Coefficient of variation of the gaps while the rate holds; 1, the default, is Poisson.",
    )


class DiurnalSpec(SpecModel):
    """Arrivals whose rate follows the time of day."""

    diurnal: DiurnalShape = Field(
        description="A rate that runs the same course every period; the SLO is judged at its peak."
    )


class TraceSpec(SpecModel):
    """Arrivals replayed from a file."""

    trace: RelativePath = Field(
        description="Recorded traffic, relative to this spec, scaled to the rate: a CSV with a `timestamp_s` column, "
        "an access log, or an LLM trace (Mooncake/AIPerf, BurstGPT, Azure, vLLM bench). Sizes in it are replayed too.",
        examples=["traffic/monday.csv"],
    )


ARRIVAL_KEYS = ("constant", "bursty", "diurnal", "trace")


def _arrival_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, ConstantSpec):
        return "<constant>"
    if isinstance(value, BurstySpec):
        return "<bursty>"
    if isinstance(value, DiurnalSpec):
        return "<diurnal>"
    if isinstance(value, TraceSpec):
        return "<trace>"
    present = [key for key in ARRIVAL_KEYS if key in value] if isinstance(value, dict) else []
    return f"<{present[0]}>" if len(present) == 1 else None


ArrivalSpec: TypeAlias = Annotated[
    Annotated[Literal["poisson", "constant"], Tag("<name>")]
    | Annotated[ConstantSpec, Tag("<constant>")]
    | Annotated[BurstySpec, Tag("<bursty>")]
    | Annotated[DiurnalSpec, Tag("<diurnal>")]
    | Annotated[TraceSpec, Tag("<trace>")],
    Discriminator(_arrival_tag, custom_error_type="spec-arrival", custom_error_message="arrival"),
]


class Workload(SpecModel):
    """Offered load over the whole deployment."""

    rate_rps: RateRps = Field(alias="rate", description="Mean request rate.")
    peak_rps: RateRps | None = Field(
        default=None,
        alias="peak",
        description="Highest rate at which the SLO must hold. "
        "Default: the rate (times the largest of hourly or diurnal).",
    )
    arrival: ArrivalSpec = Field(
        default="poisson",
        description="How requests arrive: poisson, constant, {constant: {streams: 4}}, {bursty: {cv: 2.5}}, "
        "{diurnal: {peak_to_mean: 2.5}} or {trace: file.csv}. Default: poisson.",
        examples=["poisson", {"constant": {"streams": 4}}, {"bursty": {"cv": 2.5}}, {"diurnal": {"peak_to_mean": 2.5}}],
    )
    hourly: Annotated[tuple[_Multiplier, ...], Field(strict=False), BeforeValidator(_hourly)] | None = Field(
        default=None,
        description="24 multipliers of the rate, one for each hour of the day: reserved baseline, on-demand peak.",
        json_schema_extra=_DAY_SCHEMA,
    )
    axes: dict[str, Sizes] = Field(
        default_factory=dict, description="Sizes of the model's dynamic axes over requests, by axis name."
    )
    prompt_tokens: Sizes | None = Field(default=None, description="LLM: tokens of a prompt over requests.")
    output_tokens: Sizes | None = Field(default=None, description="LLM: generated tokens over requests.")
    shared_prefix: Fraction | None = Field(
        default=None, description="LLM: share of the prompt tokens that requests have in common (prefix caching)."
    )
