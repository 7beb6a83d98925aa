"""From a settled decision to its bundle and its lock entry, for every kind of model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, assert_never

from infc.diag import Diagnostic, DiagnosticError
from infc.emit.manifest import bundle_digests
from infc.emit.supply.bundle import ABOUT_THE_BUNDLE
from infc.ir.bundle import Bundle
from infc.ir.candidate import ContinuousBatching, ServerName
from infc.ir.checkpoint import Checkpoint
from infc.ir.engine import DeviceEngine
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, LlmProblem, Problem
from infc.ir.spec import OnnxModel
from infc.lock import Lock, LockEntry, entry_from, input_digests, locked_checkpoint, locked_engine, repeatable_files
from infc.lock.values import InputDigests
from infc.pipeline.checkpoints import checkpoint_files, drafter_files
from infc.pipeline.plan import spec_path_in_workspace
from infc.pipeline.settled import Settled, SettledLlm, SettledOnnx
from infc.report.plan_json import render_plan_json
from infc.report.planned import PlannedEntry
from infc.resolve.store import ProfileStore
from infc.spec import LoadedSpec

if TYPE_CHECKING:  # what it needs is loaded where a release is made
    from infc.emit.triton.shadow import ShadowSource
    from infc.pipeline.jetson_release import JetsonRelease, ReleaseSource

Emitted: TypeAlias = tuple[Bundle | None, tuple[Diagnostic, ...]]


@dataclass(frozen=True, kw_only=True)
class Emission:
    """One output folder, for one decision or, where one release serves several kinds of edge devices, for several.

    `release` is set where the folder holds a release for edge devices.
    """

    decided: tuple[tuple[str | None, Settled], ...]
    bundle: Bundle
    release: "JetsonRelease | None" = None

    @property
    def folder(self) -> str:
        """What the folder is called: the spec's name, behind it the target unless it is the free choice."""
        targets = [target for target, _ in self.decided]
        if None in targets:
            return self.bundle.name
        return f"{self.bundle.name}@{targets[0] if len(targets) == 1 else self.bundle.target}"


def groups(decided: Sequence[tuple[str | None, Settled]]) -> tuple[tuple[tuple[str | None, Settled], ...], ...]:
    """What goes into one folder each: every decision by itself, but engines for edge devices together.

    A language model's release is for one kind of module: limits of its scheduler and its precision are of that module.
    """
    together = [each for each in decided if is_for_devices(each[1]) and isinstance(each[1], SettledOnnx)]
    alone = [(each,) for each in decided if each not in together]
    return tuple(sorted([*alone, *([tuple(together)] if together else [])], key=lambda group: decided.index(group[0])))


def is_for_devices(settled: Settled) -> bool:
    """Whether what is emitted is a release that edge devices install themselves."""
    return settled.plan.candidate.server == "jetson"


def emitted(
    decided: tuple[tuple[str | None, Settled], ...], source: "ReleaseSource"
) -> tuple[Emission | None, tuple[Diagnostic, ...]]:
    """What is emitted, with what is needed to judge it; no path in it leaves the workspace."""
    if is_for_devices(decided[0][1]):
        return _edge_emission(decided, source)
    ((target, settled),) = decided
    bundle, problems = bundle_of(source.loaded, target, settled)
    if bundle is None:
        return None, problems
    from infc.pipeline.supply import with_supply

    candidate = settled.plan.candidate
    inputs = inputs_of(
        source.loaded, settled.problem, candidate.hardware_id, source.lock.find(bundle.name, candidate.target)
    )
    return Emission(decided=decided, bundle=with_supply(bundle, source.loaded, settled, inputs)), problems


def bundle_of(loaded: LoadedSpec, target: str | None, settled: Settled) -> Emitted:
    """What is emitted for one decision that no edge device builds for itself."""
    problem, plan = _placed(settled, loaded)
    match settled:
        case SettledOnnx():
            assert isinstance(problem, Problem)  # noqa: S101 - it is the same problem
            return _triton_bundle(loaded, target, problem, plan, settled)
        case SettledLlm():
            assert isinstance(problem, LlmProblem)  # noqa: S101 - it is the same problem
            return _vllm_bundle(loaded, target, problem, plan, settled.checkpoint)
        case _:
            assert_never(settled)


def entry_of(loaded: LoadedSpec, settled: Settled, emission: Emission, store: ProfileStore, lock: Lock) -> LockEntry:
    """What the lock holds of one decision of what was emitted."""
    candidate, name = settled.plan.candidate, emission.bundle.name
    inputs = inputs_of(loaded, settled.problem, candidate.hardware_id, lock.find(name, candidate.target))
    match settled:
        case SettledOnnx():
            engine = locked_engine(name, settled.engine, candidate, inputs)
        case SettledLlm():
            engine = locked_checkpoint(settled.checkpoint, candidate, inputs)
        case _:
            assert_never(settled)
    release = emission.release
    return entry_from(
        name=name,
        target=candidate.target,
        spec=spec_path_in_workspace(loaded),
        profile=profile_of(loaded, settled.problem, store),
        inputs=inputs,
        problem=settled.problem,
        plan=settled.plan,
        engine=engine,
        files=release.digests if release is not None else _repeatable(emission.bundle, settled),
        accuracy=settled.evidence,
        release=None if release is None else release.locked,
    )


def _repeatable(bundle: Bundle, settled: Settled) -> dict[str, str]:
    made = settled.engine if isinstance(settled, SettledOnnx) else settled.checkpoint
    digests = {path: digest for path, digest in bundle_digests(bundle).items() if path not in ABOUT_THE_BUNDLE}
    return repeatable_files(digests, made)


def _edge_emission(
    decided: tuple[tuple[str | None, Settled], ...], source: "ReleaseSource"
) -> tuple[Emission | None, tuple[Diagnostic, ...]]:
    from infc.emit.jetson.device.layout import can_be_name
    from infc.pipeline.jetson_release import jetson_release
    from infc.pipeline.llm_release import llm_release

    if not can_be_name(source.loaded.name):
        return None, (_name_taken(source.loaded),)
    entries = [_planned_entry(*_placed(settled, source.loaded), target) for target, settled in decided]
    plan_json = (render_plan_json(entries) + "\n").encode()
    first = decided[0][1]
    if isinstance(first, SettledLlm):
        release, problems = llm_release(first, source, plan_json, _own_files(source.loaded, first.plan))
    else:
        onnx = [settled for _, settled in decided if isinstance(settled, SettledOnnx)]
        release, problems = jetson_release(onnx, source, plan_json)
    if release is None:
        return None, problems
    return Emission(decided=decided, bundle=release.bundle, release=release), problems


def _name_taken(loaded: LoadedSpec) -> Diagnostic:
    return Diagnostic(
        id="edge-name-taken",
        message=f"devices keep a folder of their own under the name {loaded.name}",
        span=loaded.span("metadata.name"),
        help="give the spec another metadata.name",
    )


def _placed(settled: Settled, loaded: LoadedSpec) -> tuple[AnyProblem, Plan]:
    """Problem and plan with the spec's path in its workspace."""
    path = spec_path_in_workspace(loaded)
    return replace(settled.problem, spec_path=path), replace(settled.plan, spec_path=path)


def inputs_of(loaded: LoadedSpec, problem: AnyProblem, hardware_id: str, known: LockEntry | None) -> InputDigests:
    """The digests of everything that decides a deployment; those of absent files are taken from what is locked."""
    files = checkpoint_files(loaded, problem) if isinstance(problem, LlmProblem) else None
    server = _server_of(problem, hardware_id)
    locked = known.inputs if known else None
    return input_digests(loaded, problem, hardware_id, server=server, files=files, locked=locked)


def profile_of(loaded: LoadedSpec, problem: AnyProblem, store: ProfileStore) -> str:
    """Where the committed profile of a problem's model is, relative to the lock."""
    path = store.llm_path(problem.model) if isinstance(problem, LlmProblem) else store.model_path(problem.model)
    return path.relative_to(loaded.workspace.root).as_posix()


def add_profile(problem: AnyProblem, store: ProfileStore) -> None:
    """Commit the profile of a problem's model: later plans need no weights."""
    if isinstance(problem, LlmProblem):
        store.add_llm(problem.model)
    else:
        store.add_model(problem.model)


def _server_of(problem: AnyProblem, hardware_id: str) -> str:
    """Name and version of what is emitted for; on edge devices that is the format of the bundle, and what serves."""
    setup = problem.jetson_of(hardware_id)
    if setup is None:
        return release_words("vllm" if isinstance(problem, LlmProblem) else "triton")
    if not isinstance(problem, LlmProblem):
        return release_words("jetson")
    from infc.resolve.jetson_llm import runtime_version

    hardware = next(o.hardware for o in problem.options if o.hardware.id == hardware_id)
    return f"{release_words('jetson')}, {runtime_version(problem.jetson_runtime, hardware, setup)}"


@lru_cache(maxsize=3)
def release_words(server: ServerName) -> str:
    """The pinned release of a server, such as `triton 24.10`; of edge devices the format of bundles."""
    match server:
        case "triton":
            from infc.emit.release import default_release as triton_release

            return f"triton {triton_release().release}"
        case "vllm":
            from infc.emit.vllm.release import default_release as vllm_release

            return f"vllm {vllm_release().version}"
        case "jetson":
            from infc.build.edge_release_json import FORMAT_VERSION

            return f"jetson {FORMAT_VERSION}"


def _triton_bundle(
    loaded: LoadedSpec, target: str | None, problem: Problem, plan: Plan, settled: SettledOnnx
) -> Emitted:
    from infc.emit.triton import emit
    from infc.validate.contract import CONTRACT_NAME, SAMPLES_NAME, contract_from
    from infc.validate.contract_json import to_json
    from infc.validate.samples import request_samples

    engine = settled.engine
    assert not isinstance(engine, DeviceEngine)  # noqa: S101 - those go out in a release
    assert loaded.spec is not None  # noqa: S101 - it was planned
    extra: dict[str, bytes | Path] = {CONTRACT_NAME: to_json(contract_from(problem, plan, engine.kind))}
    if problem.accuracy is not None:
        samples = request_samples(loaded.file(problem.accuracy.dataset), problem.model)
        if samples is not None:
            extra[SAMPLES_NAME] = samples
    plan_json = _plan_json(problem, plan, target)
    return emit(
        problem,
        plan,
        engine,
        deploy=loaded.spec.deploy,
        plan_json=plan_json,
        extra_files=extra,
        shadow=_shadow_source(loaded, problem, settled),
        target=None if target is None else plan.candidate.hardware_id,
    )


def _shadow_source(loaded: LoadedSpec, problem: Problem, settled: SettledOnnx) -> "ShadowSource | None":
    """What a quality shadow compares with, where one is asked for: the model as the spec names it."""
    if problem.shadow is None:
        return None
    from infc.emit.triton.shadow import ShadowSource
    from infc.resolve.model_file import open_model

    assert loaded.spec is not None  # noqa: S101 - it was planned
    assert isinstance(loaded.spec.model, OnnxModel)  # noqa: S101 - Triton serves no other
    model, problems = open_model(loaded.file(loaded.spec.model.onnx))
    if model is None:
        raise DiagnosticError(problems)
    return ShadowSource(model=model.path, external_files=model.external_files, evidence=settled.evidence)


def _vllm_bundle(
    loaded: LoadedSpec, target: str | None, problem: LlmProblem, plan: Plan, checkpoint: Checkpoint
) -> Emitted:
    from infc.emit.vllm import emit
    from infc.emit.vllm.release import default_release
    from infc.validate.contract import CONTRACT_NAME
    from infc.validate.llm.contract import llm_contract_from
    from infc.validate.llm.contract_json import to_json

    assert loaded.spec is not None  # noqa: S101 - it was planned
    contract = llm_contract_from(problem, plan, checkpoint, server_version=default_release().version)
    extra = {CONTRACT_NAME: to_json(contract), **_own_files(loaded, plan)}
    plan_json = _plan_json(problem, plan, target)
    return emit(
        problem,
        plan,
        checkpoint,
        loaded.spec.deploy,
        plan_json=plan_json,
        extra_files=extra,
        target=None if target is None else plan.candidate.hardware_id,
    )


def _own_files(loaded: LoadedSpec, plan: Plan) -> dict[str, bytes | Path]:
    """Files of the user's own that a language model's server loads besides the checkpoint: a template, a drafter."""
    from infc.emit.vllm import CHAT_TEMPLATE

    assert loaded.spec is not None  # noqa: S101 - it was planned
    vllm, files = loaded.spec.deploy.vllm, {}
    if vllm is not None and vllm.chat_template is not None:
        files[CHAT_TEMPLATE] = loaded.file(vllm.chat_template)
    batching = plan.candidate.batching
    speculation = batching.speculation if isinstance(batching, ContinuousBatching) else None
    if speculation is not None and speculation.model is not None:
        files |= drafter_files(loaded, speculation.model)
    return dict(files)


def _plan_json(problem: AnyProblem, plan: Plan, target: str | None) -> bytes:
    return (render_plan_json([_planned_entry(problem, plan, target)]) + "\n").encode()


def _planned_entry(problem: AnyProblem, plan: Plan, target: str | None) -> PlannedEntry:
    return PlannedEntry(
        name=plan.name,
        path=plan.spec_path,
        target=target,
        status="feasible",
        problem=problem,
        decision=plan,
        changes=(),
        diagnostics=(),
    )
