"""vLLM: a plan and its checkpoint as a folder that `vllm serve --config serve.yaml` starts in, unedited.

An emitter for another server of language models (TensorRT-LLM, SGLang, Dynamo) would be a folder beside this one with
the same `emit`, and one line where the pipeline chooses the emitter.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from infc.diag import Diagnostic, InternalError, has_errors
from infc.emit.vllm.compose import COMPOSE_FILE, compose_yaml
from infc.emit.vllm.container import container_of
from infc.emit.vllm.place import place_problems
from infc.emit.vllm.release import VllmRelease, default_release, vllm_releases
from infc.emit.vllm.schema import argument_schema
from infc.emit.vllm.serve_yaml import SERVE_FILE, serve_yaml
from infc.emit.vllm.settings import CHAT_TEMPLATE, DRAFTER_FOLDER, MODEL_FOLDER, serve_settings
from infc.emit.vllm.texts import readme
from infc.emit.vllm.user_arguments import argument_problems, with_arguments
from infc.ir.bundle import Bundle
from infc.ir.checkpoint import Checkpoint
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.ir.spec import Deploy
from infc.ir.spec.names import name_problem

__all__ = [
    "CHAT_TEMPLATE",
    "DRAFTER_FOLDER",
    "SERVE_FILE",
    "VllmRelease",
    "argument_problems",
    "default_release",
    "emit",
    "vllm_releases",
]


def emit(
    problem: LlmProblem,
    plan: Plan,
    checkpoint: Checkpoint,
    deploy: Deploy,
    *,
    plan_json: bytes | None = None,
    extra_files: Mapping[str, bytes | Path] = MappingProxyType({}),
    release: VllmRelease | None = None,
    target: str | None = None,
) -> tuple[Bundle | None, tuple[Diagnostic, ...]]:
    """The deployable bundle of one plan; same values, same bytes, nothing of this machine in them.

    Args:
        problem: what was asked: names, workload and SLO.
        plan: the decision for vLLM; `plan.comments` go into serve.yaml.
        checkpoint: the model that is served: its files go into the bundle, or the server fetches them.
        deploy: the spec's section of that name.
        plan_json: content of `plan.json`, left out when None.
        extra_files: more files by path, such as what validation needs. A chat template that the spec names comes as
            `CHAT_TEMPLATE`, a drafter that is a folder under `DRAFTER_FOLDER`.
        release: the vLLM release; default: the pinned one.
        target: the device, where it is one that the spec names besides the free choice: objects in a cluster are called
            after it, too.

    Returns:
        The bundle, or None with the errors that stand in the way; warnings come with a bundle.
    """
    for name in (problem.name, problem.source.served_name):
        if name_problem(name):
            raise InternalError(f"{name!r} cannot name a server")
    if problem.name != plan.name:
        raise InternalError(f"{problem.name!r} is not what {plan.name!r} is a plan of")
    options = deploy.vllm
    if options is not None and (options.chat_template is not None) != (CHAT_TEMPLATE in extra_files):
        raise InternalError(f"a chat template comes as {CHAT_TEMPLATE} in extra_files, where the spec names one")
    release = release or default_release()
    schema = argument_schema(release.version)
    settings = serve_settings(problem, plan, checkpoint, schema, frozenset(extra_files))
    has_drafter_folder = any(path.startswith(f"{DRAFTER_FOLDER}/") for path in extra_files)
    problems = place_problems(
        problem, plan.candidate, settings.hardware, checkpoint, deploy, release, has_drafter_folder
    )
    complete, faults = with_arguments(settings, options.args if options else {}, schema, problem.spans.get)
    problems = (*problems, *faults)
    if complete is None or has_errors(problems):
        return None, problems
    container = container_of(plan.candidate, checkpoint, complete, release, options)
    serve = serve_yaml(problem, plan, complete, schema)
    files: dict[str, bytes | Path] = {
        SERVE_FILE: serve,
        COMPOSE_FILE: compose_yaml(problem.name, container),
        "README.md": readme(problem, plan, checkpoint, complete, container, deploy, release),
    }
    if checkpoint.folder is not None:
        files |= {f"{MODEL_FOLDER}/{path}": checkpoint.folder / path for path in checkpoint.files}
    if plan_json is not None:
        files["plan.json"] = plan_json
    files |= extra_files
    if deploy.kubernetes is not None:
        from infc.emit.vllm.kubernetes import vllm_kubernetes

        files |= vllm_kubernetes(problem, plan, checkpoint, complete, deploy, release, files, target=target)
    bundle = Bundle(name=problem.name, target=plan.candidate.target, files=dict(sorted(files.items())))
    return bundle, problems
