"""What holds for every node of a cluster: which engines its worker builds, with what, and whether it is the device."""

import json
from collections.abc import Mapping

from infc.build.builder import BuildTarget
from infc.build.builders.devices import DeviceNames
from infc.build.job_folder import WORKER_KINDS
from infc.build.job_json import environment_from_json
from infc.build.libraries import LIBRARIES
from infc.build.strict_json import FieldProblem, Fields
from infc.build.toolchain import TOOLS
from infc.diag import Diagnostic, ToolError
from infc.ir.job import Attestation, BuildJob


def builds_for(name: str, target: BuildTarget) -> Diagnostic | None:
    """None when the standalone worker builds such engines, on the right node at least."""
    if target.kind not in WORKER_KINDS:
        return Diagnostic(
            id="builder-cannot",
            message=f"{name} builds TensorRT engines; a {target.kind} engine for {target.hardware_id} is none",
            help="add --builder local: this engine is built where infc runs",
        )
    library = LIBRARIES[target.kind]
    if library.capabilities and target.compute_capability not in library.capabilities:
        return Diagnostic(
            id="build-capability-unsupported",
            message=f"{library.title} has no target for {target.hardware_id} "
            f"(compute capability {target.compute_capability})",
            notes=(f"it builds for compute capabilities {', '.join(library.capabilities)}",),
        )
    return None


def toolchain_from_probe(name: str, target: BuildTarget, said: str) -> Mapping[str, str]:
    """The toolchain that the worker's `probe` comes to, from the last line that it said.

    Raises ToolError when it is not readable, or when the node cannot build for the target.
    """
    problems: list[FieldProblem] = []
    try:
        document = Fields(json.loads(said), "$", problems)
    except ValueError as error:
        raise ToolError(f"{name}: the probe of a node did not answer with JSON: {said[:200]}") from error
    environment = environment_from_json(document.nested("environment"))
    if problems:
        raise ToolError(f"{name}: the probe of a node is not readable: {problems[0].path} {problems[0].message}")
    package = TOOLS[target.kind].package
    if package not in environment.versions:
        raise ToolError(
            f"{name}: the node for {target.hardware_id} has no {package}",
            help=f"install {package} in the image or environment of the nodes",
        )
    return {package: environment.versions[package]}


def device_problem(name: str, attestation: Attestation, job: BuildJob, known: DeviceNames | None) -> Diagnostic | None:
    """Why an engine whose kernels were timed on its builder's GPU is not for the job's device; None when it is."""
    found = attestation.environment.gpu
    if not LIBRARIES[job.kind].needs_gpu or known is None or not known.driver_names or found in known.driver_names:
        return None
    return Diagnostic(
        id="builder-cannot",
        message=f"{name} built on {found or 'no GPU'}, which is not {job.hardware_id}",
        notes=(f"{job.hardware_id} is {' or '.join(known.driver_names)} to its driver",),
        help="label the nodes by their exact GPU, or add the driver's name to targets/builders/devices.yaml",
    )
