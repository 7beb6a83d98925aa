"""From a settled plan of a language model for a Jetson module to its release."""

import os
from collections.abc import Mapping
from pathlib import Path

from infc.diag import Diagnostic
from infc.emit.jetson.llm import emit_jetson_llm
from infc.emit.jetson.llm_part import LlmPart
from infc.emit.jetson.llm_place import model_place
from infc.emit.jetson.numbered import numbered
from infc.emit.jetson.readme import readme
from infc.emit.supply.provenance import build_time
from infc.emit.supply.sbom import BundledModel
from infc.emit.vllm.settings import MODEL_FOLDER
from infc.pipeline.dependencies import dependencies_of
from infc.pipeline.jetson_release import (
    JetsonRelease,
    ReleaseSource,
    packed_release,
    unknown_module,
)
from infc.pipeline.settled import SettledLlm


def llm_release(
    settled: SettledLlm, source: ReleaseSource, plan_json: bytes, extra_files: Mapping[str, bytes | Path]
) -> tuple[JetsonRelease | None, tuple[Diagnostic, ...]]:
    """The release of a language model for one kind of module, or what stands in the way.

    `extra_files` are those of the user's own that the server loads besides the checkpoint.
    """
    hardware_id = settled.plan.candidate.hardware_id
    setup, spec = settled.problem.jetson_of(hardware_id), source.loaded.spec
    assert spec is not None  # noqa: S101 - only valid specs are compiled
    if setup is None or setup.jetpack is None or setup.module is None or setup.tensorrt is None:
        return None, (unknown_module(hardware_id),)
    part = LlmPart(
        problem=settled.problem,
        plan=settled.plan,
        checkpoint=settled.checkpoint,
        jetpack=setup.jetpack,
        tensorrt=setup.tensorrt,
        module=setup.module,
    )
    drafted, problems = emit_jetson_llm(part, spec.deploy, extra_files)
    if drafted is None:
        return None, problems
    full, raised = numbered(
        drafted.release,
        drafted.files,
        varying=drafted.varying,
        wanted=source.jetson.version,
        prior=source.prior(hardware_id),
        models=(_model_of(part, drafted.files),),
        image=drafted.image,
        spec=source.spec,
        dependencies=dependencies_of(source.loaded),
        timestamp=build_time(os.environ),
    )
    place, _ = model_place(settled.problem, settled.checkpoint)
    page = readme(full, (part,), source.jetson, drafted.image, model_folder=place.folder if place else None)
    return packed_release(full, source, {"README.md": page, "plan.json": plan_json}), (*problems, *raised)


def _model_of(part: LlmPart, files: Mapping[str, bytes | Path]) -> BundledModel:
    """What the SBOM says of the model: its files where it travels in the bundle, where it comes from where not."""
    source = part.problem.source
    origin = source.checkpoint or (f"{source.repo}@{source.revision}" if source.revision else source.repo)
    return BundledModel(
        name=source.served_name,
        files=tuple(path for path in sorted(files) if path.startswith(f"{MODEL_FOLDER}/")),
        precision=part.plan.candidate.precision.value,
        origin=origin,
    )
