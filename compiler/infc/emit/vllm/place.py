"""Whether the plan's place can be served by what is emitted: the image, the host, the cluster."""

from collections.abc import Iterator

from infc.diag import Diagnostic
from infc.emit.vllm.release import VllmRelease
from infc.ir.candidate import Candidate
from infc.ir.checkpoint import Checkpoint
from infc.ir.hardware import Hardware
from infc.ir.problem import LlmProblem
from infc.ir.spec import Deploy

DEVICES_PER_HOST = 8
"""The most devices that one host has."""


def place_problems(
    problem: LlmProblem,
    candidate: Candidate,
    hardware: Hardware,
    checkpoint: Checkpoint,
    deploy: Deploy,
    release: VllmRelease,
    has_drafter_folder: bool,
) -> tuple[Diagnostic, ...]:
    """Errors about devices that vLLM's images do not run on, replicas wider than a host, and models out of reach."""
    return (
        *_device_problems(hardware, release),
        *_width_problems(candidate, hardware),
        *_cluster_problems(problem, checkpoint, deploy, has_drafter_folder),
    )


def _device_problems(hardware: Hardware, release: VllmRelease) -> Iterator[Diagnostic]:
    if hardware.kind == "cpu":
        return
    least = tuple(map(int, release.minimum_compute_capability.split(".")))
    own = tuple(map(int, (hardware.compute_capability or "0").split(".")))
    if hardware.kind != "gpu" or hardware.vendor != "NVIDIA":
        reason = "its images are for NVIDIA GPUs and for CPUs"
    elif own < least:
        reason = (
            f"it needs compute capability {release.minimum_compute_capability}, this has {hardware.compute_capability}"
        )
    else:
        return
    yield Diagnostic(
        id="vllm-device",
        message=f"vLLM {release.version} is not emitted for {hardware.id}",
        notes=(reason,),
        help="leave it out of constraints.hardware and deploy.targets",
    )


def _width_problems(candidate: Candidate, hardware: Hardware) -> Iterator[Diagnostic]:
    if candidate.devices <= DEVICES_PER_HOST:
        return
    yield Diagnostic(
        id="vllm-several-hosts",
        message=f"a replica of {candidate.devices} x {hardware.id} takes more than one host",
        notes=(
            f"a host has at most {DEVICES_PER_HOST} devices; servers that span hosts need a launcher on each of them "
            "(LeaderWorkerSet, Ray), which infc does not emit",
        ),
        help="allow devices with more memory, or a lower precision, so that a replica fits a host",
    )


def _cluster_problems(
    problem: LlmProblem, checkpoint: Checkpoint, deploy: Deploy, has_drafter_folder: bool
) -> Iterator[Diagnostic]:
    options = deploy.kubernetes
    if options is None:
        return
    span = problem.spans.get("deploy.kubernetes")
    if checkpoint.folder is not None and options.storage is None:
        yield Diagnostic(
            id="vllm-model-volume",
            message="the model is a folder of files, and the cluster does not know where to find it",
            span=span,
            notes=("a checkpoint is too large for a ConfigMap, and the image does not hold it",),
            help="copy the bundle's model/ to a volume, an image or a bucket and name it: deploy.kubernetes.model, or "
            "for the root of a volume deploy.kubernetes.model_volume",
        )
    if has_drafter_folder:
        yield Diagnostic(
            id="vllm-model-volume",
            message="the model that drafts is a folder of files, which a cluster cannot be given",
            span=span,
            notes=("deploy.kubernetes.model is the place of one model",),
            help="name a repository of the hub as deploy.vllm.speculative.model, or leave out deploy.kubernetes",
        )
