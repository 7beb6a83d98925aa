"""`constraints`, `objective` and `pricing`: what a plan may use, and what makes one better."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from infc.ir.precision import Precision
from infc.ir.spec.base import (
    LABEL_PATTERN,
    Bytes,
    Fraction,
    Name,
    PowerW,
    SpecModel,
    Usd,
    UsdPerHour,
    UsdPerKwh,
    Years,
    precision_from_text,
    tuple_from_list,
)

Objective: TypeAlias = Literal["cost", "latency", "energy"]
PricingCommitment: TypeAlias = Literal["on-demand", "1y", "3y", "spot", "mixed", "owned"]
_HardwareId: TypeAlias = Annotated[
    Name, WithJsonSchema({"type": "string", "pattern": LABEL_PATTERN, "examples": ["l4"]})
]
HardwareIds: TypeAlias = Annotated[tuple[_HardwareId, ...], Field(strict=False), BeforeValidator(tuple_from_list)]
_PrecisionValue: TypeAlias = Annotated[Precision, Field(strict=False), BeforeValidator(precision_from_text)]
_Precisions: TypeAlias = Annotated[tuple[_PrecisionValue, ...], Field(strict=False), BeforeValidator(tuple_from_list)]


class Constraints(SpecModel):
    """Hard constraints: a plan that breaks one is never chosen."""

    hardware: HardwareIds | None = Field(
        default=None,
        description="Allowed hardware, by catalogue id (`infc targets list`). Default: the whole catalogue.",
        examples=[["l4", "l40s"]],
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    precision: _Precisions | None = Field(
        default=None,
        description="Allowed precisions. Default: every one that the hardware and the accuracy allow.",
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    max_accelerators: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Most devices in the whole deployment."
    )
    max_usd_per_hour: UsdPerHour | None = Field(
        default=None, alias="max_cost", description="Most money for the whole deployment."
    )
    max_power_w: PowerW | None = Field(
        default=None,
        alias="max_power",
        description="Most power of all devices at full draw; on a Jetson module it also selects the power mode.",
    )
    max_memory_bytes: Bytes | None = Field(
        default=None, alias="max_memory", description="Most memory used on one device. Default: what the device has."
    )
    redundancy: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="Replicas that may be lost with the SLO still met. Default: 0."
    )


class Owned(SpecModel):
    """What owning a device costs; what is left out comes from the price book `owned`."""

    purchase_usd: Usd | None = Field(
        default=None,
        alias="purchase",
        description="Price of one device, with its share of the host if that is to count. Default: the price book's.",
    )
    years: Years | None = Field(
        default=None,
        alias="lifetime",
        description="Years over which the purchase is written off in equal parts. Default: the price book's.",
    )
    usd_per_kwh: UsdPerKwh | None = Field(
        default=None, alias="electricity", description="Price of electricity. Default: the price book's."
    )
    pue: Annotated[float, Field(ge=1, le=5)] | None = Field(
        default=None,
        description="Power of the whole site over that of its machines: cooling and losses. "
        "Default: the price book's; 1 for a Jetson module.",
        examples=[1.4],
    )
    hosting_usd_per_hour: UsdPerHour | None = Field(
        default=None,
        alias="hosting",
        description="Space, network and staff for one device. Default: none.",
        examples=["$60/month"],
    )
    utilization: Fraction = Field(
        default=1.0,
        description="Share of their hours in which the devices are assigned to some deployment; the others are "
        "charged to these. Default: 100%.",
    )


class Pricing(SpecModel):
    """Whose prices and on which terms."""

    provider: Name | None = Field(
        default=None,
        description="Price book, such as aws. Default: the cheapest list price of any provider.",
        examples=["aws"],
    )
    commitment: PricingCommitment = Field(
        default="on-demand",
        description="on-demand, 1y or 3y reserved, spot, mixed (reserved baseline, "
        "on-demand peak) or owned. Default: on-demand.",
    )
    baseline: Literal["1y", "3y"] | None = Field(
        default=None, description="Commitment mixed: the term of the reserved baseline. Default: 1y."
    )
    burst: Literal["on-demand", "spot"] | None = Field(
        default=None,
        description="Commitment mixed: what is rented above the baseline. Spot capacity can be withdrawn at short "
        "notice. Default: on-demand.",
    )
    owned: Owned | None = Field(default=None, description="Commitment owned: the terms of your own devices.")
