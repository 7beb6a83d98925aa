"""From a settled decision to its bundle and its lock entry, for every kind of model."""

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, assert_never

from infc.diag import Diagnostic
from infc.emit.manifest import bundle_digests
from infc.ir.bundle import Bundle
from infc.ir.candidate import ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.engine import Engine, PendingEngine
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, LlmProblem, Problem
from infc.lock import Lock, LockEntry, entry_from, input_digests, locked_checkpoint, locked_engine, repeatable_files
from infc.lock.values import InputDigests
from infc.pipeline.checkpoints import checkpoint_files, drafter_files
from infc.pipeline.plan import spec_path_in_workspace
from infc.pipeline.settled import Settled, SettledLlm, SettledOnnx
from infc.report.plan_json import render_plan_json
from infc.report.planned import PlannedEntry
from infc.resolve.store import ProfileStore
from infc.spec import LoadedSpec

Emitted: TypeAlias = tuple[Bundle | None, tuple[Diagnostic, ...]]


def bundle_of(loaded: LoadedSpec, target: str | None, settled: Settled) -> Emitted:
    """What is emitted, with what `infc validate` needs to judge it; no path in it leaves the workspace."""
    spec_path = spec_path_in_workspace(loaded)
    plan = replace(settled.plan, spec_path=spec_path)
    match settled:
        case SettledOnnx():
            return _triton_bundle(loaded, target, replace(settled.problem, spec_path=spec_path), plan, settled.engine)
        case SettledLlm():
            return _vllm_bundle(loaded, target, replace(settled.problem, spec_path=spec_path), plan, settled.checkpoint)
        case _:
            assert_never(settled)


def entry_of(loaded: LoadedSpec, settled: Settled, bundle: Bundle, store: ProfileStore, lock: Lock) -> LockEntry:
    """What the lock holds of a bundle."""
    known = lock.find(bundle.name, bundle.target)
    candidate = settled.plan.candidate
    inputs = inputs_of(loaded, settled.problem, candidate.hardware_id, known)
    match settled:
        case SettledOnnx():
            engine = locked_engine(bundle.name, settled.engine, candidate, inputs)
            files = repeatable_files(bundle_digests(bundle), settled.engine)
        case SettledLlm():
            engine = locked_checkpoint(settled.checkpoint, candidate, inputs)
            files = repeatable_files(bundle_digests(bundle), settled.checkpoint)
        case _:
            assert_never(settled)
    return entry_from(
        spec=spec_path_in_workspace(loaded),
        profile=profile_of(loaded, settled.problem, store),
        inputs=inputs,
        problem=settled.problem,
        plan=settled.plan,
        engine=engine,
        bundle=bundle,
        files=files,
        accuracy=settled.evidence,
    )


def inputs_of(loaded: LoadedSpec, problem: AnyProblem, hardware_id: str, known: LockEntry | None) -> InputDigests:
    """The digests of everything that decides a deployment; those of absent files are taken from what is locked."""
    server, files = (
        (_vllm_server(), checkpoint_files(loaded, problem))
        if isinstance(problem, LlmProblem)
        else (_triton_server(), None)
    )
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


def _triton_server() -> str:
    from infc.emit.release import default_release

    return f"triton {default_release().release}"


def _vllm_server() -> str:
    from infc.emit.vllm.release import default_release

    return f"vllm {default_release().version}"


def _triton_bundle(
    loaded: LoadedSpec, target: str | None, problem: Problem, plan: Plan, engine: Engine | PendingEngine
) -> Emitted:
    from infc.emit.triton import emit
    from infc.validate.contract import CONTRACT_NAME, SAMPLES_NAME, contract_from
    from infc.validate.contract_json import to_json
    from infc.validate.samples import request_samples

    bundle, problems = emit(problem, plan, engine, plan_json=_plan_json(problem, plan, target))
    if bundle is None:
        return None, problems
    extra: dict[str, bytes] = {CONTRACT_NAME: to_json(contract_from(problem, plan, engine.kind))}
    if problem.accuracy is not None:
        samples = request_samples(loaded.file(problem.accuracy.dataset), problem.model)
        if samples is not None:
            extra[SAMPLES_NAME] = samples
    return replace(bundle, files=dict(sorted({**bundle.files, **extra}.items()))), problems


def _vllm_bundle(
    loaded: LoadedSpec, target: str | None, problem: LlmProblem, plan: Plan, checkpoint: Checkpoint
) -> Emitted:
    from infc.emit.vllm import CHAT_TEMPLATE, emit
    from infc.emit.vllm.release import default_release
    from infc.validate.llm.contract import CONTRACT_NAME, llm_contract_from, to_json

    assert loaded.spec is not None  # noqa: S101 - it was planned
    deploy = loaded.spec.deploy
    contract = llm_contract_from(problem, plan, checkpoint, server_version=default_release().version)
    extra: dict[str, bytes | Path] = {CONTRACT_NAME: to_json(contract)}
    if deploy.vllm is not None and deploy.vllm.chat_template is not None:
        extra[CHAT_TEMPLATE] = loaded.file(deploy.vllm.chat_template)
    batching = plan.candidate.batching
    speculation = batching.speculation if isinstance(batching, ContinuousBatching) else None
    if speculation is not None and speculation.model is not None:
        extra |= drafter_files(loaded, speculation.model)
    return emit(problem, plan, checkpoint, deploy, plan_json=_plan_json(problem, plan, target), extra_files=extra)


def _plan_json(problem: AnyProblem, plan: Plan, target: str | None) -> bytes:
    entry = PlannedEntry(
        name=plan.name,
        path=plan.spec_path,
        target=target,
        status="feasible",
        problem=problem,
        decision=plan,
        changes=(),
        diagnostics=(),
    )
    return (render_plan_json([entry]) + "\n").encode()
