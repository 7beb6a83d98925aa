"""Planning, end to end: spec files in, decisions and diagnostics out. No GPU, no network, no server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from infc.diag import Diagnostic, has_errors
from infc.ir.plan import Decision, Plan
from infc.ir.problem import AnyProblem, LlmProblem
from infc.plan import solve
from infc.resolve.problem import Resolved, market_options, resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import Catalogue, data_directory, load_catalogue
from infc.spec import LoadedSpec, Workspace, load_spec

if TYPE_CHECKING:
    from infc.lock import Lock
    from infc.plan.curve_book import CurveBook
    from infc.plan.why import Why

PlanStatus: TypeAlias = Literal["feasible", "infeasible", "invalid"]
LockedDigest: TypeAlias = Callable[[LoadedSpec], str | None]
"""The model digest that a lock holds for a spec, if any: a stored profile then stands in for an absent model file."""


@dataclass(frozen=True, kw_only=True)
class PlannedTarget:
    """One decision: the free choice (`target` None), or the one restricted to a hardware id of `deploy.targets`.

    Where the spec names several models, `problem` is that of the chosen one (of the first where nothing is feasible),
    and `models` are those of all of them; else `models` is empty.
    """

    target: str | None
    problem: AnyProblem
    decision: Decision
    models: tuple[LlmProblem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedSpec:
    """A spec with its decisions, the free choice first; none when the spec is invalid or cannot be planned."""

    loaded: LoadedSpec
    decisions: tuple[PlannedTarget, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def status(self) -> PlanStatus:
        """Invalid when the spec has errors, infeasible when any decision is, else feasible."""
        if not self.decisions:
            return "invalid"
        return "feasible" if all(isinstance(d.decision, Plan) for d in self.decisions) else "infeasible"

    @property
    def problems(self) -> tuple[AnyProblem, ...]:
        """The problem of each model that was considered, once."""
        each = [problem for decided in self.decisions for problem in decided.models or (decided.problem,)]
        return tuple({problem.model.digest: problem for problem in each}.values())

    @property
    def is_spec_invalid(self) -> bool:
        """Whether the spec itself is wrong; False when it is valid and only cannot be planned."""
        return self.loaded.spec is None or any(not d.id.startswith("plan-") for d in self.errors)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors."""
        return tuple(d for d in self.diagnostics if has_errors((d,)))


def plan_specs(
    paths: Sequence[Path], *, overlay: Path | None = None, locked_digest: LockedDigest | None = None
) -> Iterator[PlannedSpec]:
    """Plan each spec file in order; an invalid one does not stop the others."""
    catalogues: dict[Path | None, Catalogue] = {}
    for path in paths:
        loaded = load_spec(path)
        yield plan_loaded(loaded, catalogues, overlay=overlay, locked_digest=locked_digest)


def plan_spec(
    path: Path,
    *,
    overlay: Path | None = None,
    locked_digest: LockedDigest | None = None,
    only_measurements: frozenset[str] | None = None,
) -> PlannedSpec:
    """Plan one spec file and the targets that it names.

    `only_measurements` are the names of the stored service times that the plan may know (None: all).

    Raises:
        ToolError: the model must be analysed and the extra `onnx` is not installed.
    """
    return plan_loaded(
        load_spec(path), {}, overlay=overlay, locked_digest=locked_digest, only_measurements=only_measurements
    )


def plan_loaded(
    loaded: LoadedSpec,
    catalogues: dict[Path | None, Catalogue],
    *,
    overlay: Path | None = None,
    locked_digest: LockedDigest | None = None,
    only_measurements: frozenset[str] | None = None,
    books: "dict[int, CurveBook] | None" = None,
) -> PlannedSpec:
    """Plan a spec that is loaded.

    `catalogues` keeps the catalogues of earlier calls by overlay, `books` the service times that they predicted.
    """
    resolved, catalogue, diagnostics = resolve_loaded(
        loaded, catalogues, overlay=overlay, locked_digest=locked_digest, only_measurements=only_measurements
    )
    if resolved is None:
        return PlannedSpec(loaded=loaded, decisions=(), diagnostics=diagnostics)
    spec = loaded.spec
    assert spec is not None  # noqa: S101 - it was resolved
    book = None
    if books is not None:
        from infc.plan.curve_book import CurveBook

        book = books.setdefault(id(catalogue), CurveBook())  # `catalogues` keeps it alive
    free = solve(resolved.problem, lambda: market_options(spec, catalogue), book)
    decisions = [_planned(None, resolved.problem, free)]
    decisions += [_planned(name, problem, solve(problem, book=book)) for name, problem in resolved.targets.items()]
    return PlannedSpec(loaded=loaded, decisions=tuple(decisions), diagnostics=diagnostics)


def _planned(target: str | None, problem: AnyProblem, decision: Decision) -> PlannedTarget:
    """A decision with the problem that it answers: of several models, the chosen one's."""
    if not isinstance(problem, LlmProblem) or not problem.alternatives:
        return PlannedTarget(target=target, problem=problem, decision=decision)
    from infc.plan.llm.fleet import chosen_model, models_of  # most specs name one model

    chosen = chosen_model(problem, decision)
    return PlannedTarget(target=target, problem=chosen, decision=decision, models=models_of(problem))


def why_of(decided: PlannedTarget, label: str) -> "Why | None":
    """What is known of a candidate of a decision: of the chosen model, or of that whose name goes before a colon."""
    if decided.models:
        from infc.plan.llm.fleet import why_model

        return why_model(decided.models, decided.problem, label)
    from infc.plan.why import why

    return why(decided.problem, label)


def resolve_loaded(
    loaded: LoadedSpec,
    catalogues: dict[Path | None, Catalogue],
    *,
    overlay: Path | None = None,
    locked_digest: LockedDigest | None = None,
    only_measurements: frozenset[str] | None = None,
) -> tuple[Resolved | None, Catalogue, tuple[Diagnostic, ...]]:
    """The problems of a loaded spec, the catalogue they came from, and every diagnostic on the way."""
    own = overlay_of(loaded.workspace) if overlay is None else overlay
    if own not in catalogues:
        catalogues[own] = load_catalogue(own)
    catalogue = catalogues[own]
    store = replace(profile_store(loaded.workspace), only_measurements=only_measurements)
    digest = locked_digest(loaded) if locked_digest is not None else None
    resolved, found = resolve_problem(loaded, catalogue, store, locked_digest=digest)
    diagnostics = tuple(dict.fromkeys((*loaded.diagnostics, *catalogue.diagnostics, *found, *store.diagnostics)))
    return (None if has_errors(diagnostics) else resolved), catalogue, diagnostics


def locked_digest_from(lock: "Lock | None") -> LockedDigest:
    """Model digests by spec, as `lock` holds them; nothing without a lock."""

    def digest(loaded: LoadedSpec) -> str | None:
        entries = lock.of_spec(spec_path_in_workspace(loaded)) if lock is not None else ()
        return entries[0].model_digest if entries else None

    return digest


def spec_path_in_workspace(loaded: LoadedSpec) -> str:
    """The spec's path relative to the folder of its lock, POSIX."""
    return loaded.path.resolve().relative_to(loaded.workspace.root).as_posix()


def spec_path_in_repository(loaded: LoadedSpec) -> str:
    """The spec's path relative to the top of its repository, POSIX."""
    return loaded.path.resolve().relative_to(loaded.workspace.boundary).as_posix()


def overlay_of(workspace: Workspace) -> Path | None:
    """The workspace's own `targets/`, None where there is none (or where it is infc's own)."""
    own = workspace.targets
    if not own.is_dir() or own.resolve() == data_directory("targets").resolve():
        return None
    return own


def profile_store(workspace: Workspace) -> ProfileStore:
    """The profiles of a workspace."""
    return ProfileStore(root=workspace.root, cache=workspace.cache)
