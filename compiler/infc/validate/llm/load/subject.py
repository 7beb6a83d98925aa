"""What a load test of a language-model server is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infc.ir.interval import Interval
from infc.ir.llm_measurement import TokenMetric
from infc.ir.problem import LatencyTarget

STANDARD_PERCENTILES = (50.0, 90.0, 95.0, 99.0)


@dataclass(frozen=True, kw_only=True)
class LlmSubject:
    """A running server, what it is judged by, and what the report says of it.

    `url` is its HTTP address, `model` the name that requests ask for, `vocabulary` how many tokens that knows.
    `targets` may be empty: then the budget is spent and nothing is judged. `predicted_s` are the plan's percentiles.
    `environment` goes into the measurement.
    """

    name: str
    target: str
    url: str
    model: str
    vocabulary: int
    targets: Mapping[TokenMetric, tuple[LatencyTarget, ...]] = field(default_factory=dict)
    predicted_s: Mapping[TokenMetric, Mapping[str, Interval]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    is_rehearsal: bool = False

    @property
    def labelled_targets(self) -> tuple[tuple[TokenMetric, LatencyTarget], ...]:
        """Every target with its metric, in the order of the report."""
        return tuple((metric, target) for metric, targets in self.targets.items() for target in targets)

    @property
    def percentiles(self) -> tuple[float, ...]:
        """Percentiles to report, ascending: 50, 90, 95, 99 and those of the targets."""
        return tuple(sorted({*STANDARD_PERCENTILES, *(target.percentile for _, target in self.labelled_targets)}))

    def limit_s(self, metric: TokenMetric) -> float | None:
        """The loosest limit of a metric: a request beyond it misses the metric's targets whatever the others do."""
        return max((target.limit_s for target in self.targets.get(metric, ())), default=None)


def label_of(metric: TokenMetric, target: LatencyTarget) -> str:
    """`ttft p99`."""
    return f"{metric} {target.label}"
