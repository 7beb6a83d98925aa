"""`deploy.kubernetes.autoscale`: how many replicas run."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infc.ir.spec.base import DurationS, Fraction, SpecModel, custom_error

_URL = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]{0,200})?$"
_LONGEST_WINDOW_S = 3_600.0


def _window(value: float) -> float:
    if value > _LONGEST_WINDOW_S:
        raise custom_error("spec-range", "Kubernetes takes no window above an hour", help="write at most 3600s")
    return value


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
    scaler: Literal["keda", "hpa"] = Field(
        default="keda",
        description="KEDA's ScaledObject, or a HorizontalPodAutoscaler that reads from prometheus-adapter.",
    )
    prometheus: Annotated[str, Field(pattern=_URL)] = Field(
        default="http://prometheus-operated.monitoring.svc:9090",
        description="Prometheus that KEDA asks. Default: the operator's own Service in the namespace monitoring.",
    )
    start_time: DurationS | None = Field(
        default=None,
        description="How long a new replica takes until it serves, its image and node at hand. Default: as measured, "
        "else estimated from the model's size.",
    )
    scale_down_window: Annotated[DurationS, AfterValidator(_window)] | None = Field(
        default=None,
        description="How long fewer replicas must do before one goes. Default: the shortest with which the course of "
        "the traffic takes none away that it needs back within the hour.",
    )
