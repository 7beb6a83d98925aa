"""What a change of a repository does to its deployments: the rows of a review."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from infc.ir.policy import PolicyFinding

ChangeAction: TypeAlias = Literal["added", "changed", "rebuilt", "removed", "unchanged"]
"""rebuilt: another engine or checkpoint. changed: the same one with other settings, numbers, inputs or files."""
InputKind: TypeAlias = Literal[
    "spec", "model", "dataset", "calibration", "trace", "tokenizer", "weights",
    "hardware", "catalogue", "prices", "profiles", "policy", "toolchain",
]  # fmt: skip
Cell: TypeAlias = str | int | float | bool | None


class Evidence(StrEnum):
    """Where a number comes from, best first: `Estimate.basis` for predictions, else how it came to be."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    ANALYTIC = "analytic"
    PRICE_BOOK = "price book"
    CHOSEN = "chosen"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number or word of a deployment. `low` and `high` are the bounds of a prediction or a confidence interval.

    `unit` is that of all three (empty: none), in which people read it: ms, GiB, W, USD/month, %.
    """

    value: Cell
    unit: str = ""
    low: float | None = None
    high: float | None = None
    evidence: Evidence = Evidence.CHOSEN


@dataclass(frozen=True, kw_only=True)
class ChangedInput:
    """One input that differs, as far down as it is known.

    `path` is the spec's path that changed (`slo.latency.p99`) or, of another input, its file or name. `file`, `line`
    and `column` are where it stands now (None: nowhere any more, or not in a text file). `old` and `new` are short
    words or digests, None where it is absent on that side.
    """

    kind: InputKind
    path: str
    old: str | None
    new: str | None
    file: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What differs in one respect.

    `id` is stable: hardware, precision, batching, replicas, p99, ttft-p99, tpot-p99, accuracy, cost, memory, power,
    utilization, engine, server, or the path of a choice such as `choice.kv_precision`.

    `old` or `new` is None where the deployment is not on that side, or does not have it. `limit` is what the spec
    allows, in the figure's unit; `is_met` None where nothing limits it.
    """

    id: str
    label: str
    old: Figure | None
    new: Figure | None
    limit: float | None = None
    is_met: bool | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the two sides differ in more than their evidence."""
        old, new = self.old, self.new
        return (old.value if old else None) != (new.value if new else None)


@dataclass(frozen=True, kw_only=True)
class EmittedFile:
    """A file of the bundle that differs. Of a deployment that is not built yet only what is known before is listed."""

    path: str
    action: Literal["added", "changed", "removed"]


@dataclass(frozen=True, kw_only=True)
class DeploymentChange:
    """One deployment before and after. `target` is None for one that has no plan.

    `status` is that of the plan after: feasible, infeasible, invalid, or removed. `effects` of a changed deployment
    hold every promised figure, changed or not, so that a reviewer sees the objective beside the prediction; of an
    unchanged one they may be empty. `is_pending`: the engine is known after the next build only, and so is what is
    measured with it. `words` say in one sentence each what a reader should know besides.
    """

    name: str
    target: str | None
    spec: str
    action: ChangeAction
    status: Literal["feasible", "infeasible", "invalid", "removed"]
    inputs: tuple[ChangedInput, ...] = ()
    effects: tuple[Effect, ...] = ()
    files: tuple[EmittedFile, ...] = ()
    policy: tuple[PolicyFinding, ...] = ()
    is_pending: bool = False
    usd_per_month_before: float | None = None
    usd_per_month_after: float | None = None
    words: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`name @ target`."""
        return self.name if self.target is None else f"{self.name} @ {self.target}"


@dataclass(frozen=True, kw_only=True)
class ChangeSet:
    """Everything that differs from a base. `changes` are sorted by name and target, unchanged ones among them.

    `base` is how a reader knows it: `infc.lock`, or `origin/main (1f2e3d4)`. `digest` is that of the inputs of every
    plan (`sha256:<hex>`): a saved plan is applied only while they are the same.
    """

    base: str
    digest: str
    changes: tuple[DeploymentChange, ...]

    @property
    def counts(self) -> Mapping[ChangeAction, int]:
        """How many deployments there are of each action; every action is there."""
        actions: tuple[ChangeAction, ...] = ("added", "changed", "rebuilt", "removed", "unchanged")
        return {action: sum(change.action == action for change in self.changes) for action in actions}

    @property
    def has_changes(self) -> bool:
        """Whether anything differs."""
        return any(change.action != "unchanged" for change in self.changes)

    @property
    def engine_builds(self) -> int:
        """Deployments whose engine or checkpoint is new and made by the next build."""
        return sum(c.is_pending and c.action in ("added", "rebuilt") for c in self.changes)

    @property
    def usd_per_month_before(self) -> float:
        """What all deployments cost at the base, where that is known."""
        return round(sum(c.usd_per_month_before or 0.0 for c in self.changes), 2)

    @property
    def usd_per_month_after(self) -> float:
        """What all of them will cost. One that cannot be planned stays what it was."""
        return round(sum(_month_after(c) or 0.0 for c in self.changes), 2)

    @property
    def promises(self) -> tuple[Effect, ...]:
        """Figures of added and changed deployments that their specs limit."""
        shown = (c for c in self.changes if c.action in ("added", "changed", "rebuilt"))
        return tuple(e for c in shown for e in c.effects if e.limit is not None)

    @property
    def met(self) -> int:
        """How many of the promises hold, as far as predicted or measured."""
        return sum(e.is_met is True for e in self.promises)

    @property
    def by_estimate(self) -> int:
        """How many of those rest on no measurement."""
        return sum(e.is_met is True and _is_estimate(e) for e in self.promises)


def _month_after(change: DeploymentChange) -> float | None:
    return change.usd_per_month_before if change.status in ("infeasible", "invalid") else change.usd_per_month_after


def _is_estimate(effect: Effect) -> bool:
    return effect.new is not None and effect.new.evidence in (Evidence.CALIBRATED, Evidence.ANALYTIC)
