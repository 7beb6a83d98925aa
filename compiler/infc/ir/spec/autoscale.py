"""`deploy.kubernetes.autoscale`: how many replicas run."""

from typing import Annotated

from pydantic import Field

from infc.ir.spec.base import Fraction, SpecModel


class Autoscale(SpecModel):
    """Bounds of the autoscaler."""

    min_replicas: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Fewest replicas. Default: what the plan needs at the lowest hourly rate."
    )
    max_replicas: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Most replicas. Default: what the plan needs at the peak, with redundancy."
    )
    target_utilization: Fraction | None = Field(
        default=None, description="Busy share of an instance that scaling aims at."
    )
