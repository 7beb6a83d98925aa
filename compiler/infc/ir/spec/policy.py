"""`infc-policy.yaml`: thresholds that a team sets once for every plan of a repository."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from infc.ir.policy import PolicyAction
from infc.ir.spec.base import (
    ONE_LINE,
    Fraction,
    PowerW,
    Ratio,
    SpecModel,
    Usd,
    UsdPerHour,
    custom_error,
    tuple_from_list,
)
from infc.ir.spec.spec import API_VERSION

POLICY_KIND: Literal["InferencePolicy"] = "InferencePolicy"
_Globs: TypeAlias = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(tuple_from_list)]


def _folded(value: object) -> object:
    """Text of several lines (`because: >`) as one."""
    return " ".join(value.split("\n")).strip() if isinstance(value, str) else value


class PolicyRule(SpecModel):
    """Thresholds with one action for the specs that they are for. At least one threshold."""

    action: PolicyAction = Field(
        default="warn",
        description="What a plan beyond a threshold gets: a warning, or failure. Default: warn.",
    )
    specs: _Globs | None = Field(
        default=None,
        description="Specs the thresholds are for, as patterns of paths from this file; `*` matches slashes too; "
        "quote a pattern that starts with it. "
        "Default: all.",
        examples=[["production/*"]],
        json_schema_extra={"minItems": 1},
    )
    because: Annotated[str, BeforeValidator(_folded), Field(min_length=1, max_length=300), ONE_LINE] | None = Field(
        default=None, description="Why the team wants this, for whoever runs into it."
    )
    max_cost: UsdPerHour | None = Field(default=None, description="Most money for one deployment.")
    max_cost_per_million_requests: Usd | None = Field(
        default=None, description="Most money for a million requests at the mean rate.", examples=["$2.50"]
    )
    max_cost_per_million_tokens: Usd | None = Field(
        default=None, description="LLM: most money for a million generated tokens.", examples=["$3"]
    )
    max_cost_per_inference: Usd | None = Field(
        default=None, description="Most money for one request at the mean rate.", examples=["$0.0001"]
    )
    min_tokens_per_dollar: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="LLM: fewest generated tokens for a dollar.", examples=[500000]
    )
    min_utilization: Fraction | None = Field(
        default=None, description="Least busy share of an instance at the peak: below it a deployment is too large."
    )
    max_utilization: Fraction | None = Field(
        default=None, description="Largest busy share of an instance at the peak: above it there is no room."
    )
    max_memory: Fraction | None = Field(default=None, description="Largest share of a device's memory in use.")
    max_power: PowerW | None = Field(default=None, description="Most predicted power of all devices at the peak.")
    max_interval_width: Ratio | None = Field(
        default=None,
        description="Widest 90% interval of a percentile of the SLO: high less low, as a share of the value.",
        examples=["80%", "150%"],
    )
    min_basis: Literal["measured", "calibrated", "analytic"] | None = Field(
        default=None, description="What the prediction must rest on at least."
    )
    min_redundancy: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Fewest replicas that may be lost with the SLO still met."
    )


THRESHOLDS: tuple[str, ...] = tuple(
    name for name in PolicyRule.__annotations__ if name not in ("action", "specs", "because")
)
"""The keys of a rule that are thresholds."""


def _rules(value: object) -> object:
    if isinstance(value, list):
        if not value:
            raise custom_error("spec-empty-value", "the list is empty", help="write at least one rule")
        return tuple(value)
    if isinstance(value, dict):
        raise custom_error("spec-type", "expected a list of rules", help="put `- ` before the first key of each rule")
    return value


class Policy(SpecModel):
    """Thresholds for every plan of a repository; the file lies beside infc.lock."""

    model_config = ConfigDict(defer_build=False)

    api_version: Literal["infc.dev/v1"] = Field(
        default=API_VERSION, alias="apiVersion", description="Version of this format."
    )
    kind: Literal["InferencePolicy"] = Field(default=POLICY_KIND, description="Always InferencePolicy.")
    rules: Annotated[tuple[PolicyRule, ...], Field(strict=False), BeforeValidator(_rules)] = Field(
        description="Each rule holds thresholds, an action and the specs that it is for.",
        json_schema_extra={"minItems": 1},
    )
