"""The decision: what was chosen and why, or what stands in the way."""

from dataclasses import dataclass
from typing import TypeAlias

from infc.ir.candidate import Candidate
from infc.ir.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A candidate that was not chosen: the constraint that killed it, what was predicted and the limit, in words.

    `constraint` is one of: precision-support, accuracy, memory, latency, utilization, max-accelerators, max-cost,
    max-power, price, objective, emit, batch.
    """

    candidate: str
    constraint: str
    predicted: str
    limit: str


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """The smallest change of one constraint that makes the spec feasible, and what the plan would then be."""

    path: str
    current: str
    needed: str
    candidate: str
    usd_per_month: float | None


@dataclass(frozen=True, kw_only=True)
class RunnerUp:
    """A feasible candidate that lost on the objective, with its estimate."""

    candidate: Candidate
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A feasible decision. `reasons` say why this one, in order of weight; `comments` go into what is emitted."""

    name: str
    spec_path: str
    candidate: Candidate
    estimate: Estimate
    reasons: tuple[str, ...]
    comments: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    runners_up: tuple[RunnerUp, ...]

    @property
    def accelerators(self) -> int:
        """Devices of the whole deployment."""
        return self.candidate.replicas * self.candidate.tensor_parallel


@dataclass(frozen=True, kw_only=True)
class Infeasible:
    """No candidate holds every constraint: which ones bind, every rejection, and the nearest feasible relaxations."""

    name: str
    spec_path: str
    binding: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    relaxations: tuple[Relaxation, ...]


Decision: TypeAlias = Plan | Infeasible
