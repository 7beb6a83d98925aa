"""The deployments of one planned spec beside those of its base: what changed, by which inputs, to what effect."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from infc.ir.change import ChangeAction, ChangedInput, DeploymentChange, EmittedFile
from infc.ir.plan import Infeasible, Plan
from infc.ir.policy import PolicyFinding
from infc.ir.problem import AnyProblem, LlmProblem
from infc.lock import Lock, LockEntry, diff_entries
from infc.lock.blocks import LockBlock
from infc.lock.inputs import spec_digest
from infc.lock.values import InputDigests
from infc.pipeline.bundles import inputs_of
from infc.pipeline.causes import PlanAgain, Sides, cause_words
from infc.pipeline.changed_inputs import Known, changed_inputs
from infc.pipeline.locking import decided_entries
from infc.pipeline.plan import PlannedSpec, PlannedTarget, spec_path_in_workspace
from infc.pipeline.spec_base import OldSpecs, SpecBase
from infc.plan.evidence import passed_evidence
from infc.report.change_figures import Measure, effects_between, judged, measures_of
from infc.spec import LoadedSpec

if TYPE_CHECKING:
    from infc.report.review import Review

_POLICY = "infc-policy.yaml"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment on the new side. `decided` is the decision behind it."""

    decided: PlannedTarget
    entry: LockEntry


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One planned spec and what it is compared with.

    `fresh` are the deployments that it would lock, `before` the entries of its base, `old` the spec as it was there;
    `plan` plans it with one input changed.
    """

    planned: PlannedSpec
    base: SpecBase
    fresh: tuple[Deployment, ...]
    before: tuple[LockEntry, ...]
    old: LoadedSpec | None
    plan: PlanAgain


def comparison(
    planned: PlannedSpec,
    lock: Lock,
    base: SpecBase,
    texts: OldSpecs,
    plan: PlanAgain,
) -> Comparison:
    """The two sides of a spec.

    Args:
        planned: the spec with its decisions.
        lock: the lock as it is: engines that are known are kept.
        base: what to compare with. Where it has no entry, but a commit where the spec was, that text is planned.
        texts: reads the spec as it was.
        plan: plans that text.
    """
    loaded = planned.loaded
    before = base.lock().entries
    old = _old_text(planned, before, base, texts)
    if not before and old is not None:
        before = tuple(entry for _, entry in decided_entries(plan(old, None), Lock()))
    fresh = tuple(Deployment(decided=d, entry=entry) for d, entry in decided_entries(planned, lock))
    return Comparison(planned=planned, base=base, fresh=fresh, before=before, old=_if_known(old, loaded), plan=plan)


def changes_of(compared: Comparison, reviews: "Mapping[str | None, Review]") -> tuple[DeploymentChange, ...]:
    """Every deployment of the spec on either side, sorted by name and target."""
    planned = compared.planned
    if not planned.decisions:
        return (_invalid(compared),)
    pairs, gone = _paired(compared)
    changes = [_change(compared, fresh, old, reviews) for fresh, old in pairs]
    for decided in planned.decisions:
        if isinstance(decided.decision, Infeasible):
            old = _match(decided, gone)
            if old is not None:
                gone.remove(old)
            changes.append(_infeasible(compared, decided, decided.decision, old))
    changes += [_removed(entry, planned.loaded.path.as_posix()) for entry in gone]
    return tuple(sorted(changes, key=lambda change: (change.name, change.target or "")))


def removed_change(entry: LockEntry, spec: str) -> DeploymentChange:
    """A deployment whose spec is gone."""
    return _removed(entry, spec)


def unplanned_change(block: LockBlock, spec: str) -> DeploymentChange:
    """A deployment of which nothing differs, as the lock has it."""
    month = block.value("predicted", "usd_per_month")
    cost = None if month is None else float(month)
    return DeploymentChange(
        name=block.name,
        target=block.target,
        spec=spec,
        action="unchanged",
        status="feasible",
        is_pending=block.value("engine", "pending") == "true",
        usd_per_month_before=cost,
        usd_per_month_after=cost,
    )


def _old_text(planned: PlannedSpec, before: Sequence[LockEntry], base: SpecBase, texts: OldSpecs) -> LoadedSpec | None:
    """The spec as it was at the base: at its commit, else the version in git that was locked."""
    loaded = planned.loaded
    path, workspace = loaded.path, loaded.workspace
    inside = before[0].spec if before else spec_path_in_workspace(loaded)
    was = path if inside == spec_path_in_workspace(loaded) else workspace.root / inside
    if base.commit is not None:
        return texts.at(base.commit, was, workspace)
    if not before or not _has_other_text(planned, before):
        return None
    return texts.locked(before[0].inputs.spec, was, workspace)


def _has_other_text(planned: PlannedSpec, before: Sequence[LockEntry]) -> bool:
    spec = planned.loaded.spec
    return spec is not None and any(entry.inputs.spec != spec_digest(spec) for entry in before)


def _if_known(old: LoadedSpec | None, loaded: LoadedSpec) -> LoadedSpec | None:
    return old if old is not None and old.merged != loaded.merged else None


def _paired(compared: Comparison) -> tuple[list[tuple[Deployment, LockEntry | None]], list[LockEntry]]:
    """Each new deployment with its old one, if any, and the old ones that are left.

    They belong together by address, else by target (the spec has another name), else by what the target takes the place
    of.
    """
    left = list(compared.before)
    pairs: dict[tuple[str, str], LockEntry] = {}
    for is_same in (_is_same_address, _is_same_target, _takes_place):
        for fresh in compared.fresh:
            found = [entry for entry in left if is_same(fresh, entry)]
            if fresh.entry.address not in pairs and len(found) == 1:
                pairs[fresh.entry.address] = found[0]
                left.remove(found[0])
    return [(fresh, pairs.get(fresh.entry.address)) for fresh in compared.fresh], left


def _is_same_address(fresh: Deployment, entry: LockEntry) -> bool:
    return fresh.entry.address == entry.address


def _is_same_target(fresh: Deployment, entry: LockEntry) -> bool:
    return fresh.entry.target == entry.target


def _takes_place(fresh: Deployment, entry: LockEntry) -> bool:
    return _is_of(fresh.decided, entry)


def _is_of(decided: PlannedTarget, entry: LockEntry) -> bool:
    """Whether a decision can be about a locked deployment: a target's is about its own device."""
    return decided.target is None or entry.choice.hardware == decided.problem.options[0].hardware.id


def _match(decided: PlannedTarget, left: Sequence[LockEntry]) -> LockEntry | None:
    """The old deployment that a decision takes the place of, where there is one only."""
    found = [entry for entry in left if _is_of(decided, entry)]
    return found[0] if len(found) == 1 else None


def _change(
    compared: Comparison, fresh: Deployment, old: LockEntry | None, reviews: "Mapping[str | None, Review]"
) -> DeploymentChange:
    planned, decided, entry = compared.planned, fresh.decided, fresh.entry
    policy = reviews[decided.target].policy
    inputs = _inputs(compared, decided, old, policy) if old is not None else ()
    action = _action(old, entry)
    measures = _measures(fresh)
    is_same = old is not None and _is_same_engine(old, entry)
    effects = effects_between(measures_of(old) if old is not None else {}, measures, is_same_engine=is_same)
    if action == "unchanged":
        effects = tuple(effect for effect in effects if effect.limit is not None)
    diff = diff_entries(old, entry)
    return DeploymentChange(
        name=entry.name,
        target=entry.target,
        spec=planned.loaded.path.as_posix(),
        action=action,
        status="feasible",
        inputs=inputs,
        effects=effects,
        files=tuple(EmittedFile(path=f.path, action=f.action) for f in diff.files) if entry.files else (),
        policy=policy,
        is_pending=entry.engine.is_pending,
        usd_per_month_before=old.predicted.usd_per_month if old is not None else None,
        usd_per_month_after=entry.predicted.usd_per_month,
        words=tuple(_words(compared, fresh, old, inputs)),
    )


def _action(old: LockEntry | None, new: LockEntry) -> ChangeAction:
    if old is None:
        return "added"
    kind = diff_entries(old, new).kind
    if kind == "rebuilt" and _is_same_engine(old, new):
        return "changed"
    return kind


def _is_same_engine(old: LockEntry, new: LockEntry) -> bool:
    """Whether both come from the same inputs, and one of them is only not built yet."""
    one, other = old.engine, new.engine
    return (one.kind, one.inputs) == (other.kind, other.inputs) and None in (one.key, other.key)


def _measures(fresh: Deployment) -> dict[str, Measure]:
    problem, plan = fresh.decided.problem, fresh.decided.decision
    assert isinstance(plan, Plan)  # noqa: S101 - it has an entry
    hardware = next(o.hardware for o in problem.options if o.hardware.id == plan.candidate.hardware_id)
    evidence = passed_evidence(problem, hardware, plan.candidate.precision)
    return judged(measures_of(fresh.entry), problem, plan, evidence)


def _inputs(
    compared: Comparison, decided: PlannedTarget, old: LockEntry, policy: tuple[PolicyFinding, ...]
) -> tuple[ChangedInput, ...]:
    loaded, base = compared.planned.loaded, compared.base
    now = _inputs_now(compared, decided, old)
    known = Known(loaded=loaded, old=compared.old, catalogue=base.catalogue)
    found = changed_inputs(old, now, known)
    path = spec_path_in_workspace(loaded)
    if old.spec != path:
        shown = loaded.path.as_posix()
        found = (*found, ChangedInput(kind="spec", path="file", old=old.spec, new=path, file=shown, line=1, column=1))
    if base.is_policy_changed and policy:
        span = policy[0].threshold.span
        found = (*found, ChangedInput(kind="policy", path=_POLICY, old=None, new=None, file=span.path, line=span.line))
    return found


def _inputs_now(compared: Comparison, decided: PlannedTarget, old: LockEntry) -> InputDigests:
    """What would decide the old deployment's device today."""
    loaded, chosen = compared.planned.loaded, (old.choice.hardware, old.choice.model_name)
    for fresh in compared.fresh:
        if (fresh.entry.choice.hardware, fresh.entry.choice.model_name) == chosen and fresh.decided is decided:
            return fresh.entry.inputs
    problem: AnyProblem = decided.problem
    if isinstance(problem, LlmProblem) and decided.models:
        problem = next((m for m in decided.models if m.source.name == old.choice.model_name), problem)
    if problem.jetson_of(old.choice.hardware) is None and all(
        option.hardware.id != old.choice.hardware for option in problem.options
    ):
        return replace(inputs_of(loaded, problem, old.choice.hardware, old), toolchain=old.inputs.toolchain)
    return inputs_of(loaded, problem, old.choice.hardware, old)


def _words(
    compared: Comparison, fresh: Deployment, old: LockEntry | None, inputs: tuple[ChangedInput, ...]
) -> Iterator[str]:
    if old is None or compared.old is None:
        return
    text = compared.old.spec or compared.old.partial
    if compared.base.commit is not None and text is not None and spec_digest(text) != old.inputs.spec:
        yield "the lock of the base is not of its spec: `infc lock` had not been run there"
    if compared.base.has_causes:
        new = compared.planned.loaded
        sides = Sides(old=compared.old, new=new, before=old, after=fresh.entry, decided=fresh.decided)
        yield from cause_words(sides, inputs, compared.plan)


def _infeasible(
    compared: Comparison, decided: PlannedTarget, decision: Infeasible, old: LockEntry | None
) -> DeploymentChange:
    loaded = compared.planned.loaded
    action: Literal["added", "changed"] = "added" if old is None else "changed"
    words = [f"cannot be planned: {', '.join(decision.binding) or 'no single constraint'} stands in the way"]
    for relaxation in decision.relaxations[:3]:
        cost = "" if relaxation.usd_per_month is None else f", ${relaxation.usd_per_month:,.0f} a month"
        words.append(
            f"{relaxation.path} {relaxation.current} -> {relaxation.needed} would do: {relaxation.candidate}{cost}"
        )
    return DeploymentChange(
        name=loaded.name,
        target=old.target if old is not None else decided.target,
        spec=loaded.path.as_posix(),
        action=action,
        status="infeasible",
        inputs=_inputs(compared, decided, old, ()) if old is not None else (),
        effects=effects_between(measures_of(old), {}) if old is not None else (),
        usd_per_month_before=old.predicted.usd_per_month if old is not None else None,
        words=tuple(words),
    )


def _invalid(compared: Comparison) -> DeploymentChange:
    planned, before = compared.planned, compared.before
    costs = [entry.predicted.usd_per_month for entry in before if entry.predicted.usd_per_month is not None]
    return DeploymentChange(
        name=before[0].name if before else planned.loaded.name,
        target=None,
        spec=planned.loaded.path.as_posix(),
        action="changed" if before else "added",
        status="invalid",
        usd_per_month_before=sum(costs) if costs else None,
        words=tuple(_error_words(planned))[:3],
    )


def _error_words(planned: PlannedSpec) -> Iterator[str]:
    for error in planned.errors:
        place = "" if error.span is None else f"{error.span.path}:{error.span.line}: "
        yield f"{place}{error.message} [{error.id}]"


def _removed(entry: LockEntry, spec: str) -> DeploymentChange:
    return DeploymentChange(
        name=entry.name,
        target=entry.target,
        spec=spec,
        action="removed",
        status="removed",
        effects=effects_between(measures_of(entry), {}),
        usd_per_month_before=entry.predicted.usd_per_month,
    )
