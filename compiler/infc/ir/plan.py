"""The decision: what was chosen and why, or what stands in the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from infc.ir.candidate import Candidate
from infc.ir.estimate import Estimate
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A candidate that was not chosen: the constraint that killed it, what was predicted and the limit, in words.

    `constraint` is one of: precision-support, accuracy, memory, latency, utilization, max-accelerators, max-cost,
    max-power, power-mode, jetpack, dla, price, objective, emit, batch, gain, build, engine.
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


class ModelVerdict(StrEnum):
    """What became of one of several models."""

    CHOSEN = "chosen"
    FEASIBLE = "feasible"
    OUTBID = "outbid"
    INFEASIBLE = "infeasible"
    INACCURATE = "inaccurate"


@dataclass(frozen=True, kw_only=True)
class ModelOption:
    """One of the models that the spec names, as the plan saw it. `accuracy` is the stated figure.

    `candidate` and `estimate` are of its best place, None where it has none. Feasible ones were in reach of the choice;
    outbid and inaccurate ones need not be looked at to decide, so their figures are of short simulations. `words` say
    why it was not chosen.
    """

    name: str
    accuracy: float | None
    verdict: ModelVerdict
    words: str
    candidate: Candidate | None = None
    estimate: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """How the search went: why the choice is the best of all places, not only of those it looked at closely.

    A place is a device at one precision (and, for a language model, one tensor parallel size and precision of the KV
    cache). Of those `considered`, arithmetic ruled out the `pruned` ones, by the constraint or bound that did it
    ("objective": the best value the place can take is worse than what was reached), and the other `simulated` ones were
    sized by simulation, in so many `simulations` (0: not counted).
    """

    considered: int = 0
    simulated: int = 0
    simulations: int = 0
    pruned: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A feasible decision. `reasons` say why this one, in order of weight; `comments` go into what is emitted.

    `models` are those that the spec names, in its order, where it names several; else empty.
    """

    name: str
    spec_path: str
    candidate: Candidate
    estimate: Estimate
    reasons: tuple[str, ...]
    comments: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    runners_up: tuple[RunnerUp, ...]
    search: SearchSummary = SearchSummary()
    models: tuple[ModelOption, ...] = ()

    @property
    def accelerators(self) -> int:
        """Devices of the whole deployment."""
        return self.candidate.replicas * self.candidate.devices


@dataclass(frozen=True, kw_only=True)
class SmallestHardware:
    """The least memory in all that holds a model and its longest request, whatever the speed.

    `usd_per_month` is of one replica, None without a price.
    """

    candidate: str
    hardware_id: str
    devices: int
    precision: Precision
    memory_bytes: float
    usd_per_month: float | None


@dataclass(frozen=True, kw_only=True)
class NearestMode:
    """A power mode that comes near a power cap which no mode meets together with all else.

    `is_lowest`: it draws least of all modes; `is_nearest`: it comes nearest to meeting every constraint. `power_w` is
    what the devices may draw in it, `devices` of them. `misses` says what it does not hold,
    each with the limit: at least one.
    """

    candidate: str
    hardware_id: str
    power_mode: str
    devices: int
    power_w: float
    is_lowest: bool
    is_nearest: bool
    misses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Infeasible:
    """No candidate holds every constraint: which ones bind, every rejection, and the nearest feasible relaxations.

    `models` are those that the spec names where it names several. `smallest` is set where no allowed host holds the
    language model. `power_modes` are those that come nearest to a power cap, where devices have power modes.
    """

    name: str
    spec_path: str
    binding: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    relaxations: tuple[Relaxation, ...]
    search: SearchSummary = SearchSummary()
    models: tuple[ModelOption, ...] = ()
    smallest: SmallestHardware | None = None
    power_modes: tuple[NearestMode, ...] = ()


Decision: TypeAlias = Plan | Infeasible
