"""Triton Inference Server: a plan and its engine as a model repository, with what is needed to start it.

The histogram of `model_metrics` is left out: Triton records it only for decoupled models, and release 24.10 refuses the
field. The launch command exports the SLO's percentiles as latency summaries instead.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from infc.build.far.options import version_number
from infc.diag import Diagnostic, InternalError, Severity
from infc.emit.release import TritonRelease, default_release
from infc.emit.triton.comments import comment_header
from infc.emit.triton.config import config_pbtxt
from infc.emit.triton.own_backends import own_backend_files
from infc.emit.triton.settings import ModelSettings, model_settings
from infc.emit.triton.shadow import ShadowSource, shadow_files
from infc.emit.triton.texts import text_files
from infc.ir.bundle import Bundle
from infc.ir.engine import Engine, PendingEngine
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.ir.spec import Deploy
from infc.ir.spec.names import name_problem

__all__ = ["TritonRelease", "default_release", "emit"]


def emit(
    problem: Problem,
    plan: Plan,
    engine: Engine | PendingEngine,
    *,
    deploy: Deploy | None = None,
    plan_json: bytes | None = None,
    extra_files: Mapping[str, bytes | Path] = MappingProxyType({}),
    release: TritonRelease | None = None,
    shadow: ShadowSource | None = None,
    target: str | None = None,
) -> tuple[Bundle | None, tuple[Diagnostic, ...]]:
    """The deployable bundle of one plan; same values, same bytes, nothing of this machine in them.

    Args:
        problem: what was asked: names, tensors, workload and SLO.
        plan: the decision for Triton; `plan.comments` go into config.pbtxt.
        engine: the built engine, or a pending one: then the engine file is missing and the README says how to add it.
        deploy: the spec's section of that name; None is one without any option.
        plan_json: content of `plan.json`, left out when None.
        extra_files: more files by path, such as what validation needs.
        release: the Triton release; default: the pinned one.
        shadow: the unquantised model, where the problem asks for a quality shadow.
        target: the device, where it is one that the spec names besides the free choice: objects in a cluster are called
            after it, too.

    Returns:
        The bundle, or None with the errors that stand in the way; warnings come with a bundle.
    """
    if name_problem(problem.name) or problem.name != plan.name:
        raise InternalError(f"{problem.name!r} cannot name a model repository of plan {plan.name!r}")
    release = release or default_release()
    settings, problems = model_settings(problem, plan, engine)
    if settings is None:
        return None, problems
    options = deploy.kubernetes if deploy else None
    repository = f"model_repository/{problem.name}"
    files: dict[str, bytes | Path] = {
        f"{repository}/config.pbtxt": config_pbtxt(settings, comment_header(problem, plan, settings)),
        **text_files(problem, plan, engine, settings, release, options.flavor if options else None),
    }
    if isinstance(engine, Engine):
        files[f"{repository}/1/{ENGINE_NAMES[engine.kind]}"] = engine.path
    files |= own_backend_files(engine, release)
    if problem.shadow is not None:
        if shadow is None:
            raise InternalError(f"the quality shadow of {problem.name!r} has no reference model")
        files |= shadow_files(problem, settings, shadow, plan.candidate.precision)
    if plan_json is not None:
        files["plan.json"] = plan_json
    files |= extra_files
    warnings = _version_warnings(problem, engine, settings, release)
    if options is not None:
        from infc.emit.triton.kubernetes import triton_kubernetes

        manifests, told = triton_kubernetes(problem, plan, engine, settings, options, release, files, target=target)
        files |= manifests
        warnings = (*warnings, *told)
    bundle = Bundle(name=problem.name, target=plan.candidate.target, files=dict(sorted(files.items())))
    return bundle, warnings


def _loads_later(built: str, served: str) -> bool:
    """Whether an engine that is version compatible loads in another TensorRT: a later one of the same major version."""
    return version_number(built)[:1] == version_number(served)[:1] and version_number(built) < version_number(served)


def _version_warnings(
    problem: Problem, engine: Engine | PendingEngine, settings: ModelSettings, release: TritonRelease
) -> tuple[Diagnostic, ...]:
    if settings.engine_kind != "tensorrt" or not isinstance(engine, Engine):
        return ()
    built = engine.facts.toolchain.get("tensorrt", "")
    if built.split(".")[:2] == release.tensorrt.split(".")[:2]:
        return ()
    if problem.build_options.is_version_compatible and _loads_later(built, release.tensorrt):
        return ()
    return (
        Diagnostic(
            id="emit-tensorrt-version",
            severity=Severity.WARNING,
            message=f"the engine was built with TensorRT {built or 'of unknown version'}, "
            f"but Triton {release.release} runs TensorRT {release.tensorrt}",
            notes=("a TensorRT engine loads only in the version that built it",),
            help=f"build it with TensorRT {release.tensorrt} (the container {release.container} has it)",
        ),
    )
