"""The content of a bundle for a language model: vLLM in the module's container, or TensorRT Edge-LLM.

One bundle serves one kind of module: its scheduler's limits and its precision are of that module.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from infc.diag import Diagnostic, InternalError, has_errors
from infc.emit.jetson.emit import Drafted, program_files
from infc.emit.jetson.llm_edge import edge_llm_files
from infc.emit.jetson.llm_part import LlmPart
from infc.emit.jetson.llm_place import ModelPlace, model_place
from infc.emit.jetson.llm_release import llm_release_of
from infc.emit.jetson.llm_vllm import image_of, vllm_files
from infc.emit.jetson.systemd import MOST_STOP_S, unit_files
from infc.emit.vllm.container import STOP_MARGIN_S
from infc.emit.vllm.settings import CHAT_TEMPLATE, drain_seconds
from infc.ir.problem import LlmProblem
from infc.ir.spec import Deploy, Jetson
from infc.ir.spec.names import name_problem
from infc.resolve.jetson_llm import edge_llm, serving_refusal, vllm_image_for


def emit_jetson_llm(
    part: LlmPart, deploy: Deploy, extra_files: Mapping[str, bytes | Path] = MappingProxyType({})
) -> tuple[Drafted | None, tuple[Diagnostic, ...]]:
    """The content of one bundle; same values, same bytes, nothing of this machine in them.

    Args:
        part: the plan and its checkpoint for one kind of module.
        deploy: the spec's section of that name.
        extra_files: a chat template that the spec names as `CHAT_TEMPLATE`, a drafter's files under `drafter/`.

    Returns:
        The content, to be `numbered`; or None with the errors that stand in the way.
    """
    problem, jetson = part.problem, deploy.jetson or Jetson()
    for name in (problem.name, problem.source.served_name):
        if name_problem(name):
            raise InternalError(f"{name!r} cannot name a release")
    problems = refusals(part, deploy)
    place, missing = model_place(problem, part.checkpoint)
    problems = (*problems, *missing)
    if place is None or has_errors(problems):
        return None, problems
    served, faults = _served(part, deploy, place, extra_files)
    problems = (*problems, *faults)
    if served is None:
        return None, problems
    image = None
    if problem.jetson_runtime == "vllm":
        known = vllm_image_for(part.hardware, part.jetpack)
        image = None if known is None else image_of(known, deploy.vllm)
    files = {**served, **place.files, **extra_files, **program_files()}
    release = llm_release_of(part, files, jetson)
    return Drafted(release=release, files=dict(sorted(files.items())), varying=frozenset(), image=image), problems


def refusals(part: LlmPart, deploy: Deploy) -> tuple[Diagnostic, ...]:
    """Why no recipe is written for a plan: software, model, precision, or an option of the spec."""
    problem, plan = part.problem, part.plan
    setup = problem.jetson_of(part.hardware.id)
    reason = serving_refusal(problem.model, part.hardware, plan.candidate.precision, problem.jetson_runtime, setup)
    if reason is not None:
        help = "choose another JetPack (deploy.jetson.jetpack), runtime, precision or model"
        return (_refused(problem, reason, "deploy.jetson", help),)
    if deploy.kubernetes is not None:
        reason = "deploy.kubernetes has no meaning on a device of its own"
        return (_refused(problem, reason, "deploy.kubernetes", "remove it, or choose hardware of a cluster"),)
    if problem.jetson_runtime == "vllm" or deploy.vllm is None:
        return ()
    if deploy.vllm.args:
        reason = "deploy.vllm.args are flags of vLLM, and deploy.jetson.runtime is edge-llm"
        return (_refused(problem, reason, "deploy.vllm", "remove deploy.vllm.args, or write runtime: vllm"),)
    if deploy.vllm.chat_template is not None:
        reason = "TensorRT Edge-LLM takes the chat template of the checkpoint alone"
        help = f"put {CHAT_TEMPLATE} into the checkpoint's folder, or write runtime: vllm"
        return (_refused(problem, reason, "deploy.vllm.chat_template", help),)
    return ()


def _served(
    part: LlmPart, deploy: Deploy, place: ModelPlace, extra_files: Mapping[str, bytes | Path]
) -> tuple[dict[str, bytes | Path] | None, tuple[Diagnostic, ...]]:
    problem = part.problem
    if problem.jetson_runtime == "edge-llm":
        return edge_llm_files(problem, part.plan, place, edge_llm()), ()
    image = vllm_image_for(part.hardware, part.jetpack)
    assert image is not None  # noqa: S101 - refused before
    files, problems = vllm_files(
        problem, part.plan, part.checkpoint, place, image, deploy.vllm, part.service_memory_bytes, extra_files
    )
    unit = unit_files(problem.name, min(drain_seconds(problem) + STOP_MARGIN_S, MOST_STOP_S))
    return (None if files is None else {**files, **unit}), problems


def _refused(problem: LlmProblem, reason: str, path: str, help: str) -> Diagnostic:
    return Diagnostic(
        id="edge-llm-refused",
        message=f"no recipe for {problem.name} on this module: {reason}",
        span=problem.spans.get(path),
        help=help,
    )
