"""Drift as values: what was locked or expected, what is seen, and whether they agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from infc.ir.llm_measurement import TokenMetric
from infc.serve.prometheus import Metrics

DriftArea: TypeAlias = Literal["deployment", "workload", "prediction"]
AREAS: tuple[DriftArea, ...] = ("deployment", "workload", "prediction")
DriftSubject: TypeAlias = Literal["server", "device", "cluster", "folder", "trace"]
DriftCell: TypeAlias = str | int | float | bool | None


class DriftVerdict(StrEnum):
    """Whether what runs is what was locked. Not visible is never taken for the same."""

    SAME = "same"
    DRIFTED = "drifted"
    NOT_VISIBLE = "not visible"


class Observed(StrEnum):
    """An objective against what a server saw."""

    MET = "met"
    MISSED = "missed"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class DriftItem:
    """One comparison. `id` is kebab-case and stable; `unit` goes with both values (empty: none).

    `observed` None: it was not seen, and `note` says why. `low` and `high` bound an observed number where it is known
    by a bucket or a sample only (None: not bounded, or exact). `source` is the place that showed it.
    """

    id: str
    area: DriftArea
    name: str
    expected: DriftCell
    observed: DriftCell
    verdict: DriftVerdict
    source: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ObjectiveItem:
    """A percentile of the SLO against the requests that the server counted.

    `low_s` and `high_s` bound the percentile at `confidence`, infinite where nothing bounds it; both are None without
    requests. `fewest_within` and `most_within` bound how many of the `requests` kept the limit: they differ where the
    limit lies inside a bucket. `predicted_s` is the locked prediction at the peak, None where there is none.
    """

    metric: TokenMetric
    label: str
    limit_s: float
    predicted_s: float | None
    low_s: float | None
    high_s: float | None
    requests: int
    fewest_within: int
    most_within: int
    confidence: float
    verdict: Observed
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a server counted over some time: the difference of two readings, or one reading since it started.

    `first` None: since the start, `duration_s` None where the server does not say when that was. `usage` has the share
    of the KV cache in use at each reading, `running` the requests in work, each of the busiest engine.
    """

    first: Metrics | None
    last: Metrics
    duration_s: float | None
    usage: tuple[float, ...] = ()
    running: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ObservedPlan:
    """What a plan would decide for the observed workload. `candidate` None: nothing would meet the SLO under it.

    `workload` is that workload in words, `choice` the decision in words.
    """

    workload: Mapping[str, str]
    candidate: str | None
    choice: str
    replicas: int | None
    usd_per_month: float | None
    locked_candidate: str
    locked_replicas: int
    locked_usd_per_month: float | None

    @property
    def usd_per_month_change(self) -> float | None:
        """What the plan costs more than the locked one; None where either has no price."""
        if self.usd_per_month is None or self.locked_usd_per_month is None:
            return None
        return self.usd_per_month - self.locked_usd_per_month


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """Everything that `infc drift` found out about one server, device, cluster, folder or trace of one deployment.

    `endpoint` is where it is, `server` what it is, in words. `is_of_acceptance`: the requests are those with which an
    edge device judged the release, not those of a window.
    """

    name: str
    target: str
    spec: str
    endpoint: str
    server: str
    requests: int
    duration_s: float | None
    is_since_start: bool
    items: tuple[DriftItem, ...]
    objectives: tuple[ObjectiveItem, ...]
    plan: ObservedPlan | None = None
    notes: tuple[str, ...] = ()
    is_of_acceptance: bool = False
    subject: DriftSubject = "server"

    def of_area(self, area: DriftArea) -> tuple[DriftItem, ...]:
        """The items of one area."""
        return tuple(item for item in self.items if item.area == area)

    @property
    def drifted(self) -> tuple[DriftItem, ...]:
        """The items that differ."""
        return tuple(item for item in self.items if item.verdict is DriftVerdict.DRIFTED)

    @property
    def verdict(self) -> Literal["slo-missed", "drifted", "cannot-tell", "same"]:
        """The worst that is known: an objective is missed; else something drifted; else an objective is open."""
        if any(each.verdict is Observed.MISSED for each in self.objectives):
            return "slo-missed"
        if self.drifted:
            return "drifted"
        if any(each.verdict is Observed.CANNOT_TELL for each in self.objectives):
            return "cannot-tell"
        return "same"
