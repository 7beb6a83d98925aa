"""The policies of the workspaces that a command meets, each read once. Imports are inside: most have none."""

from pathlib import Path
from typing import TYPE_CHECKING

from infc.diag import Diagnostic, Severity, has_errors
from infc.ir.plan import Decision, Plan
from infc.ir.problem import AnyProblem
from infc.spec import LoadedSpec, Workspace

if TYPE_CHECKING:
    from infc.ir.policy import PolicyFinding
    from infc.spec.policy import LoadedPolicy

_NAME = "infc-policy.yaml"


class Policies:
    """Judges plans by the policy of their workspace; `diagnostics` are the problems of the policy files."""

    def __init__(self) -> None:
        self._policies: dict[Path, LoadedPolicy | None] = {}
        self.diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_invalid(self) -> bool:
        """Whether a policy file has errors: no plan can be judged by it."""
        return has_errors(self.diagnostics)

    def of(self, workspace: Workspace) -> "LoadedPolicy | None":
        """The policy of a workspace, None where it has none."""
        if workspace.root not in self._policies:
            self._policies[workspace.root] = self._read(workspace)
        return self._policies[workspace.root]

    def judge(self, loaded: LoadedSpec, problem: AnyProblem, decision: Decision) -> "tuple[PolicyFinding, ...]":
        """What the policy says of a decision; nothing where there is no policy or no plan."""
        policy = self.of(loaded.workspace)
        if policy is None or not policy.thresholds or not isinstance(decision, Plan):
            return ()
        from infc.plan.policy import judge

        spec = loaded.path.resolve().relative_to(loaded.workspace.root).as_posix()
        return judge(policy.thresholds, problem, decision, spec)

    def _read(self, workspace: Workspace) -> "LoadedPolicy | None":
        if not (workspace.root / _NAME).is_file():
            return None
        from infc.pipeline.locking import shown_path
        from infc.spec.policy import load_policy

        policy = load_policy(workspace, shown_path(workspace.root / _NAME))
        self.diagnostics += policy.diagnostics if policy is not None else ()
        return policy


def policy_diagnostics(name: str, findings: "tuple[PolicyFinding, ...]") -> tuple[Diagnostic, ...]:
    """The findings about the plan of `name` as diagnostics, which point at the policy file."""
    return tuple(
        Diagnostic(
            id="policy-violated",
            severity=Severity.ERROR if finding.is_failure else Severity.WARNING,
            message=_message(name, finding),
            span=finding.threshold.span,
            notes=(finding.threshold.because,) if finding.threshold.because else (),
            help="change the spec until its plan keeps the threshold, or the threshold",
        )
        for finding in findings
    )


def _message(name: str, finding: "PolicyFinding") -> str:
    rule = f"{finding.threshold.rule} {finding.threshold.written}"
    if finding.outcome == "unknown":
        return f"the plan of {name} cannot be judged by {rule}: {finding.predicted}"
    return f"the plan of {name} is beyond {rule}: {finding.predicted}"
