"""The `trtexec` command that builds a job's engine, for people and scripts on machines without infc."""

import json

from infc.build.far.trtexec import trtexec_arguments
from infc.build.job_json import bytes_from_job
from infc.build.libraries import LIBRARIES, library_entry, refused_options
from infc.diag import Diagnostic
from infc.ir.job import BuildJob

TOOLS = {"tensorrt": "trtexec", "tensorrt_rtx": "tensorrt_rtx"}
RTX_OPTIONS = ("is_refittable", "is_weight_streaming", "optimization_level", "workspace_bytes")
"""Options whose names in TensorRT-RTX's tool are not documented; its Python package has them all."""


def trtexec_command(
    job: BuildJob,
    version: str,
    *,
    engine: str = "model.plan",
    layers: str = "layers.json",
    timing_cache: str | None = None,
    is_static: bool = False,
) -> tuple[str, ...] | Diagnostic:
    """The command line, without a shell, that builds `engine` beside the job's model with an exact library version.

    Layers of the built engine go to `layers` as JSON. `is_static`: no size of the model's inputs is open, so the tool
    takes no shapes. A Diagnostic names an option that the version lacks.
    """
    library = LIBRARIES[job.kind]
    versions = library.at(version)
    if versions is None:
        return Diagnostic(
            id="build-option-unsupported",
            message=f"infc does not know {library.title} {version}",
            notes=(f"it knows {library.title} from {'.'.join(map(str, library.versions[0].at_least))} on",),
            help="use a version that infc knows, or a newer infc",
        )
    for refused in refused_options(job.kind, version, job.options, job.hardware_id):
        head, _, way_out = refused.rpartition("; ")
        return Diagnostic(id="build-option-unsupported", message=head, help=way_out)
    document = json.loads(bytes_from_job(job))
    if job.kind == "tensorrt_rtx":
        undocumented = [option for option in RTX_OPTIONS if document["options"][option]]
        if undocumented:
            return Diagnostic(
                id="build-option-unsupported",
                message=f"the tool of {library.title} has no documented flag for {', '.join(undocumented)}",
                help="build with its Python package: infc worker build",
            )
    entry = library_entry(job.kind, library, versions)
    arguments = trtexec_arguments(document, entry, job.model.name, engine, layers, timing_cache, is_static=is_static)
    return (TOOLS[job.kind], *arguments)
