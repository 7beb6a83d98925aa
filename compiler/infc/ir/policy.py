"""A team's policy as the planner judges by it, and what it found."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.diag import Span

PolicyAction: TypeAlias = Literal["warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One limit of a policy file.

    `rule` is its key (`max_cost`), `limit` its value in base units or, for `min_basis`, the basis; `written` is the
    value as the file has it. `specs` are the patterns of the specs it is for, None for all.
    """

    rule: str
    limit: float | str
    written: str
    action: PolicyAction
    specs: tuple[str, ...] | None
    because: str | None
    span: Span


@dataclass(frozen=True, kw_only=True)
class PolicyFinding:
    """A threshold that a plan is beyond (violated), or that cannot be judged (unknown), with `predicted` in words."""

    threshold: Threshold
    outcome: Literal["violated", "unknown"]
    predicted: str

    @property
    def is_failure(self) -> bool:
        """Whether the plan must not be used."""
        return self.outcome == "violated" and self.threshold.action == "fail"
