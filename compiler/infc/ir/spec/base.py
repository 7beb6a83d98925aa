"""What every part of the spec shares: frozen, no unknown keys, no silent conversion of types."""

from collections.abc import Callable
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from infc.ir import money, quantity
from infc.ir.precision import Precision


class SpecModel(BaseModel):
    """A mapping of the spec. Validators are built once, with the root `Spec` (that halves the import time)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        defer_build=True,
        allow_inf_nan=False,
        populate_by_name=False,
    )


def custom_error(id: str, message: str, *, help: str) -> PydanticCustomError:
    """An error that keeps its diagnostic id and its fix on the way through pydantic."""
    return PydanticCustomError("infc", "{message}", {"id": id, "message": message, "help": help})


def _quantity(parse: Callable[[object], float], id: str = "spec-quantity") -> PlainValidator:
    def validate(value: object) -> float:
        try:
            return parse(value)
        except quantity.QuantityError as error:
            raise custom_error(id, error.message, help=error.help) from None

    return PlainValidator(validate)


def _text(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


DurationS: TypeAlias = Annotated[
    float, _quantity(quantity.parse_duration_s), _text(quantity.DURATION_PATTERN, "20ms", "1.5s", "250us")
]
RateRps: TypeAlias = Annotated[
    float, _quantity(quantity.parse_rate_rps), _text(quantity.RATE_PATTERN, "300/s", "5000/h")
]
Bytes: TypeAlias = Annotated[float, _quantity(quantity.parse_bytes), _text(quantity.BYTES_PATTERN, "24GiB", "16GB")]
PowerW: TypeAlias = Annotated[float, _quantity(quantity.parse_power_w), _text(quantity.POWER_PATTERN, "15W", "300W")]
TemperatureC: TypeAlias = Annotated[
    float, _quantity(quantity.parse_temperature_c), _text(quantity.TEMPERATURE_PATTERN, "85C")
]
UsdPerHour: TypeAlias = Annotated[
    float, _quantity(quantity.parse_usd_per_hour), _text(quantity.MONEY_PATTERN, "$3000/month", "$4.10/hour")
]
Usd: TypeAlias = Annotated[float, _quantity(money.parse_usd), _text(money.USD_PATTERN, "$30000", "$2.50")]
UsdPerKwh: TypeAlias = Annotated[
    float, _quantity(money.parse_usd_per_kwh), _text(money.USD_PER_KWH_PATTERN, "$0.12/kWh")
]
Ratio: TypeAlias = Annotated[float, _quantity(money.parse_ratio), _text(quantity.PERCENT_PATTERN, "80%", "150%")]
Years: TypeAlias = Annotated[float, _quantity(money.parse_years), _text(money.YEARS_PATTERN, "4y", "36 months")]
Fraction: TypeAlias = Annotated[
    float, _quantity(quantity.parse_fraction), _text(quantity.PERCENT_PATTERN, "99.9%", "30%")
]
Score: TypeAlias = Annotated[
    float,
    _quantity(quantity.parse_score),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": quantity.PERCENT_PATTERN}], "examples": [0.8]}
    ),
]
Percentile: TypeAlias = Annotated[float, _quantity(quantity.parse_percentile, "spec-percentile")]


def _latency_targets(value: object) -> object:
    if isinstance(value, str):
        raise custom_error("spec-type", "a target needs its percentile", help=f"write {{p99: {value[:20]}}}")
    if value == {}:
        raise custom_error("spec-empty-value", "no percentile is given", help="write {p99: 25ms}")
    return value


LatencyTargets: TypeAlias = Annotated[
    dict[Percentile, DurationS],
    BeforeValidator(_latency_targets),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {
                quantity.PERCENTILE_PATTERN: {
                    "type": "string",
                    "pattern": quantity.DURATION_PATTERN,
                    "examples": ["20ms", "1.5s"],
                }
            },
            "additionalProperties": False,
            "examples": [{"p50": "8ms", "p99": "25ms"}],
        }
    ),
]
"""Percentile (0-100, exclusive) -> seconds that it must not exceed."""


def tuple_from_list(value: object) -> object:
    """A YAML list as a tuple; a single value and an empty list are refused with the fix."""
    if isinstance(value, list):
        if not value:
            raise custom_error(
                "spec-empty-value", "the list is empty", help="write at least one item, or leave the key out"
            )
        return tuple(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        raise custom_error("spec-type", "expected a list, found a single value", help=f"write [{value}]")
    return value


def _name(value: str) -> str:
    from infc.ir.spec.names import name_problem

    problem = name_problem(value)
    if problem is not None:
        raise custom_error("spec-name", problem[0], help=problem[1])
    return value


def _path(value: str) -> str:
    from infc.ir.spec.names import path_problem

    problem = path_problem(value)
    if problem is not None:
        raise custom_error("spec-path", problem[0], help=problem[1])
    return value


def _one_line(value: str) -> str:
    from infc.ir.spec.names import hidden_character

    hidden = hidden_character(value)
    if hidden is not None:
        message = f"the text holds a character that cannot be seen (U+{ord(hidden):04X})"
        raise custom_error("spec-format", message, help="write one line of printable text")
    return value


_PRECISIONS = {precision.value: precision for precision in Precision}


def precision_from_text(value: object) -> object:
    """The precision of that name; anything else is left for pydantic to refuse."""
    return _PRECISIONS.get(value, value) if isinstance(value, str) else value


LABEL_PATTERN = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
Name: TypeAlias = Annotated[str, AfterValidator(_name), _text(LABEL_PATTERN, "product-encoder")]
"""An RFC 1123 label: it becomes a file name, a Kubernetes name and a label."""

ONE_LINE = AfterValidator(_one_line)
"""Of free text that reports and labels show: printable, on one line."""

RelativePath: TypeAlias = Annotated[str, AfterValidator(_path)]
"""A path relative to the spec file, with forward slashes."""
