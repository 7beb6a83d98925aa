"""Compiling, end to end: a spec in; engines, bundles and lock entries out, all written at the end or not at all.

Per decision: `settle` (lower, build, gate accuracy, plan again if it must), emit, then one atomic write per bundle and
one of the lock. `.infc/` and `infc-profiles/` get content-addressed results on the way: a run that is killed
leaves results that the next one uses, never half a bundle or half a lock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build import LOCAL, TIMEOUT_S
from infc.build.builder import Builder
from infc.diag import Diagnostic, has_errors
from infc.emit.write import write_bundle
from infc.ir.accuracy import Verdict
from infc.ir.edge_release import EdgeRelease
from infc.ir.plan import Decision, Infeasible, Plan
from infc.ir.problem import AnyProblem, Problem
from infc.lock import EntryDiff, Lock, LockEntry, diff_entries, holds, read_lock, update_lock
from infc.pipeline.bundle_report import bundle_report
from infc.pipeline.bundles import Emission, add_profile, emitted, entry_of, groups, is_for_devices
from infc.pipeline.jetson_release import ReleaseSource, with_signatures
from infc.pipeline.locked_plan import locked_plan
from infc.pipeline.model_places import shared_places
from infc.pipeline.plan import (
    PlannedSpec,
    PlannedTarget,
    locked_digest_from,
    overlay_of,
    plan_spec,
    profile_store,
)
from infc.pipeline.policies import Policies, policy_diagnostics
from infc.pipeline.saved_plan import SavedPlan
from infc.pipeline.settle import settle
from infc.pipeline.settle_llm import settle_llm
from infc.pipeline.settled import Settled, Unsettled
from infc.pipeline.workshop import Announce, ProgressBar, Workshop
from infc.plan.evidence import has_doubt
from infc.resolve.problem import market_options
from infc.resolve.store import ProfileStore
from infc.resolve.targets import Catalogue, load_catalogue
from infc.spec import LoadedSpec


def _quiet(_line: str) -> None:
    """Announce nothing."""


def _no_progress(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class CompileOptions:
    """How to compile.

    `output` is the folder that holds one folder per bundle. `is_locked` refuses (exit 4) unless the result is what
    infc.lock says, and writes neither lock nor profiles. `overlay` is the user's own targets folder (None: the
    workspace's). `allow_code` lets a `python:` metric run. `builder` is where engines are built, each in at
    most `build_timeout_s`. `delta_from` is an older archive for edge devices: what it lacks is packed by itself, too.
    `saved_plan` is what was reviewed: another plan is refused (exit 4).
    """

    output: Path = Path("dist")
    is_locked: bool = False
    overlay: Path | None = None
    allow_code: bool = False
    builder: Builder = LOCAL
    build_timeout_s: float = TIMEOUT_S
    delta_from: Path | None = None
    saved_plan: SavedPlan | None = None
    announce: Announce = _quiet
    progress: ProgressBar = _no_progress


@dataclass(frozen=True, kw_only=True)
class CompiledTarget:
    """One decision and its bundle on disk, with its `files`.

    `target` is None for the free choice; `change` is how its lock entry differs from before. `release` is what edge
    devices get; the decisions that it serves have one bundle.
    """

    target: str | None
    settled: Settled
    folder: Path
    entry: LockEntry
    change: EntryDiff
    files: tuple[str, ...]
    release: EdgeRelease | None = None


@dataclass(frozen=True, kw_only=True)
class CompiledSpec:
    """What a compile came to. `compiled` is empty unless every target succeeded: nothing was written then.

    `unsettled` are the targets that did not; `is_stale` says that a locked compile found the lock not to hold,
    `is_policy_invalid` that infc-policy.yaml has errors.
    """

    planned: PlannedSpec
    compiled: tuple[CompiledTarget, ...]
    unsettled: tuple[Unsettled, ...]
    diagnostics: tuple[Diagnostic, ...]
    is_stale: bool = False
    is_policy_invalid: bool = False

    @property
    def is_inconclusive(self) -> bool:
        """Whether nothing is feasible because some precision's accuracy cannot be settled with the data at hand."""
        refused = (d.problem for d in self.planned.decisions if isinstance(d.decision, Infeasible))
        return any(u.verdict is Verdict.INCONCLUSIVE for u in self.unsettled) or any(map(has_doubt, refused))

    @property
    def exit_code(self) -> int:
        """The documented exit code of this result: 0, 1, 3, 4, 5 or 6."""
        if self.is_stale:
            return 4
        if self.is_policy_invalid:
            return 5
        if self.planned.status == "invalid":
            return 5 if self.planned.is_spec_invalid else 1
        if self.is_inconclusive:
            return 6
        if self.planned.status == "infeasible" or any(isinstance(u.decision, Infeasible) for u in self.unsettled):
            return 3
        return 0 if self.compiled else 1


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A settled target before anything is written."""

    target: str | None
    settled: Settled
    emission: Emission
    folder: Path
    entry: LockEntry


def compile_spec(path: Path, options: CompileOptions) -> CompiledSpec:
    """Compile one spec for its best hardware and every `deploy.targets` entry.

    Raises:
        ToolError: a package, a tool or the file system is missing or refuses.
    """
    loaded_lock, lock_problems = read_lock(_lock_path(path))
    if options.is_locked:
        planned = locked_plan(path, loaded_lock, options.overlay)
    else:
        planned = plan_spec(path, overlay=options.overlay, locked_digest=locked_digest_from(loaded_lock))
    if loaded_lock is None:
        return _stopped(planned, lock_problems, is_stale=True)
    if not planned.decisions or has_errors(planned.diagnostics):
        return _stopped(planned, planned.diagnostics)
    if options.saved_plan is not None and (refusal := options.saved_plan.mismatch(planned, loaded_lock)):
        return _stopped(planned, (*planned.diagnostics, refusal), is_stale=True)
    if any(isinstance(d.decision, Infeasible) for d in planned.decisions):
        return _stopped(planned, planned.diagnostics)
    policies = Policies()
    judged = _judged(policies, planned, ((d.problem, d.decision) for d in planned.decisions))
    if policies.is_invalid or has_errors(judged):
        stopped = _stopped(planned, (*planned.diagnostics, *policies.diagnostics, *judged))
        return replace(stopped, is_policy_invalid=policies.is_invalid)
    store = profile_store(planned.loaded.workspace)
    drafts, unsettled, diagnostics = _drafts(planned, store, loaded_lock, options)
    judged = _judged(policies, planned, ((d.settled.problem, d.settled.plan) for d in drafts))
    places = shared_places(planned.loaded, (draft.entry for draft in drafts))
    diagnostics = (*planned.diagnostics, *diagnostics, *places, *policies.diagnostics, *judged)
    if unsettled or has_errors(diagnostics):
        return replace(_stopped(planned, diagnostics), unsettled=tuple(unsettled))
    if options.saved_plan is not None:
        refusal = options.saved_plan.betrayed(planned, loaded_lock, [draft.entry for draft in drafts])
        if refusal is not None:
            return _stopped(planned, (*diagnostics, refusal), is_stale=True)
    if options.is_locked:
        stale = tuple(_stale(draft, loaded_lock) for draft in drafts)
        if any(stale):
            return _stopped(planned, (*diagnostics, *(d for d in stale if d is not None)), is_stale=True)
    return _written(planned, drafts, store, loaded_lock, options, diagnostics)


def refused_spec(loaded: LoadedSpec, refusal: Diagnostic) -> CompiledSpec:
    """What comes of a spec that is not even planned."""
    diagnostics = (*loaded.diagnostics, refusal)
    return _stopped(PlannedSpec(loaded=loaded, decisions=(), diagnostics=diagnostics), diagnostics)


def _lock_path(path: Path) -> Path:
    from infc.spec import find_workspace

    return find_workspace(path).lock


def _judged(
    policies: Policies, planned: PlannedSpec, decisions: Iterable[tuple[AnyProblem, Decision]]
) -> tuple[Diagnostic, ...]:
    """What the team's policy says of the decisions; an error stops the compile before anything is built or written."""
    found = (
        policy_diagnostics(planned.loaded.name, policies.judge(planned.loaded, problem, decision))
        for problem, decision in decisions
    )
    return tuple(dict.fromkeys(diagnostic for each in found for diagnostic in each))


def _stopped(planned: PlannedSpec, diagnostics: tuple[Diagnostic, ...], *, is_stale: bool = False) -> CompiledSpec:
    return CompiledSpec(planned=planned, compiled=(), unsettled=(), diagnostics=diagnostics, is_stale=is_stale)


def _drafts(
    planned: PlannedSpec, store: ProfileStore, lock: Lock, options: CompileOptions
) -> tuple[list[_Draft], list[Unsettled], tuple[Diagnostic, ...]]:
    """Settle and emit every decision; nothing is written outside the caches."""
    settled: list[tuple[str | None, Settled]] = []
    unsettled: list[Unsettled] = []
    diagnostics: list[Diagnostic] = []
    catalogue = load_catalogue(options.overlay or overlay_of(planned.loaded.workspace))
    for decided in planned.decisions:
        shop = _workshop(planned.loaded, decided, store, catalogue, lock, options)
        assert isinstance(decided.decision, Plan)  # noqa: S101 - infeasible specs were stopped before
        result = _settled(decided, decided.decision, shop)
        diagnostics += [d for d in result.diagnostics if d not in diagnostics]
        if isinstance(result, Unsettled):
            unsettled.append(result)
        else:
            _take(settled, decided.target, result, options)
    if unsettled:
        return [], unsettled, tuple(diagnostics)
    source = ReleaseSource(
        loaded=planned.loaded,
        lock=lock,
        delta_base=options.delta_from,
        announce=options.announce,
        progress=options.progress,
    )
    drafts: list[_Draft] = []
    for group in groups(settled):
        emission, problems = emitted(group, source)
        diagnostics += problems
        if emission is not None:
            drafts += _drafts_of(emission, planned.loaded, store, lock, options)
    return drafts, unsettled, tuple(diagnostics)


def _take(
    settled: list[tuple[str | None, Settled]], target: str | None, result: Settled, options: CompileOptions
) -> None:
    """Keep a result. A target that is the free choice already takes its place: as `infc lock` sees it, too."""
    candidate = result.plan.candidate
    for index, (_, known) in enumerate(settled):
        other = known.plan.candidate
        is_same_module = is_for_devices(known) and other.hardware_id == candidate.hardware_id
        if other.target == candidate.target or is_same_module:
            options.announce(f"{target} is the free choice already: one bundle serves both")
            settled[index] = (None, result)
            return
    settled.append((target, result))


def _drafts_of(
    emission: Emission, loaded: LoadedSpec, store: ProfileStore, lock: Lock, options: CompileOptions
) -> Iterator[_Draft]:
    folder = options.output / emission.folder
    if emission.release is not None:
        emission = replace(emission, bundle=with_signatures(emission.release, folder))
    for target, settled in emission.decided:
        yield _Draft(
            target=target,
            settled=settled,
            emission=emission,
            folder=folder,
            entry=entry_of(loaded, settled, emission, store, lock),
        )


def _settled(decided: PlannedTarget, plan: Plan, shop: Workshop) -> Settled | Unsettled:
    if isinstance(decided.problem, Problem):
        return settle(decided.problem, plan, shop)
    return settle_llm(decided.problem, plan, shop, decided.models)


def _workshop(
    loaded: LoadedSpec,
    decided: PlannedTarget,
    store: ProfileStore,
    catalogue: Catalogue,
    lock: Lock,
    options: CompileOptions,
) -> Workshop:
    spec = loaded.spec
    assert spec is not None  # noqa: S101 - it was planned
    assert isinstance(decided.decision, Plan)  # noqa: S101 - infeasible specs were stopped before
    locked = lock.find(loaded.name, decided.decision.candidate.target)
    is_promised = locked is not None and (options.is_locked or locked.engine.is_pending)
    return Workshop(
        loaded=loaded,
        store=store,
        is_read_only=options.is_locked,
        market=(lambda: market_options(spec, catalogue)) if decided.target is None else None,
        allow_code=options.allow_code,
        builder=options.builder,
        build_timeout_s=options.build_timeout_s,
        promised_key=locked.engine.key if locked is not None and is_promised else None,
        keeps_pending=locked is not None and options.is_locked and locked.engine.is_pending,
        locked_kind=locked.engine.kind if locked is not None and options.is_locked else None,
        announce=options.announce,
        progress=options.progress,
    )


def _stale(draft: _Draft, lock: Lock) -> Diagnostic | None:
    """Why a locked compile must stop: this entry is not what the lock says."""
    known = lock.find(*draft.entry.address)
    if known is not None and holds(known, draft.entry):
        return None
    change = diff_entries(known, draft.entry)
    help = "run infc compile without --locked, review the change of infc.lock and commit it"
    if known is not None and known.engine.kind != draft.entry.engine.kind:
        help = f"compile where {known.engine.kind} engines are built (--builder), as the lock was; or {help}"
    return Diagnostic(
        id="lock-stale" if known else "lock-missing",
        message=f"infc.lock does not hold what {draft.entry.label} compiles to",
        notes=_notes(change),
        help=help,
    )


def _notes(change: EntryDiff) -> tuple[str, ...]:
    inputs = [f"input {c.name}: {c.old} -> {c.new}" for c in change.inputs]
    fields = [f"{c.path}: {c.old} -> {c.new}" for c in change.fields if change.old is not None]
    files = [f"file {c.path}: {c.action}" for c in change.files if change.old is not None]
    return tuple((inputs + fields + files)[:8])


def _written(
    planned: PlannedSpec,
    drafts: list[_Draft],
    store: ProfileStore,
    lock: Lock,
    options: CompileOptions,
    diagnostics: tuple[Diagnostic, ...],
) -> CompiledSpec:
    """Write profiles, bundles, then the lock; each step is atomic, and the lock never names what is not there."""
    problems: list[Diagnostic] = []
    if not options.is_locked:
        for problem in planned.problems:
            add_profile(problem, store)
    for folder, emission in {draft.folder: draft.emission for draft in drafts}.items():
        problems += write_bundle(emission.bundle, folder, bundle_report(planned.loaded, emission, folder))
    if not problems and not options.is_locked:
        addresses = {draft.entry.address for draft in drafts}
        spec = drafts[0].entry.spec
        removed = [entry.address for entry in lock.of_spec(spec) if entry.address not in addresses]
        problems += update_lock(planned.loaded.workspace.lock, [draft.entry for draft in drafts], removed)
    if problems:
        return _stopped(planned, (*diagnostics, *problems))
    compiled = tuple(
        CompiledTarget(
            target=draft.target,
            settled=draft.settled,
            folder=draft.folder,
            entry=draft.entry,
            change=diff_entries(lock.find(*draft.entry.address), draft.entry),
            files=tuple(sorted(draft.emission.bundle.files)),
            release=draft.emission.release.numbered.release if draft.emission.release else None,
        )
        for draft in drafts
    )
    return CompiledSpec(planned=planned, compiled=compiled, unsettled=(), diagnostics=diagnostics)
