"""What any container of the server needs, whoever starts it: image, environment, memory for its processes, times."""

from dataclasses import dataclass

from infc.emit.vllm.release import VllmRelease
from infc.emit.vllm.settings import DRAFTER_FOLDER, ServeSettings
from infc.ir.candidate import Candidate
from infc.ir.checkpoint import Checkpoint
from infc.ir.spec import Vllm

BUNDLE_MOUNT = "/bundle"
ENTRYPOINT = ("vllm", "serve")
HEALTH_PATH = "/health"
MODELS_PATH = "/v1/models"
START_BUDGET_S = 1800
"""How long a server may take to load: what KServe's own runtime grants it (60 probes, 30 s apart)."""
STOP_MARGIN_S = 15
"""Seconds that a server gets to end after its requests are done."""
_GIB = 2**30
_SHARED_ALONE_BYTES = 2 * _GIB
_SHARED_SEVERAL_BYTES = 10 * _GIB


@dataclass(frozen=True, kw_only=True)
class Container:
    """One replica as a container. `devices` are its GPUs, 0 on a CPU; `environment` is in the order of names.

    `is_from_hub`: it fetches something when it starts; `has_hub_drafter`: the model that drafts is of the hub.
    """

    image: str
    is_cpu: bool
    devices: int
    environment: tuple[tuple[str, str], ...]
    is_from_hub: bool
    has_hub_drafter: bool
    shared_memory_bytes: int
    drain_s: int

    @property
    def stop_s(self) -> int:
        """Seconds from the request to stop until it is killed."""
        return self.drain_s + STOP_MARGIN_S


def container_of(
    candidate: Candidate,
    checkpoint: Checkpoint,
    settings: ServeSettings,
    release: VllmRelease,
    options: Vllm | None,
    image: str | None = None,
) -> Container:
    """The container of one replica; `image` goes before the spec's and the release's."""
    pinned = release.cpu_image if settings.is_cpu else release.image
    asked = image or (options.image if options else None)
    has_hub_drafter = _has_hub_drafter(settings)
    is_from_hub = checkpoint.folder is None or has_hub_drafter
    environment = {"DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    if not is_from_hub:
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return Container(
        image=asked or pinned,
        is_cpu=settings.is_cpu,
        devices=0 if settings.is_cpu else candidate.devices,
        environment=tuple(sorted(environment.items())),
        is_from_hub=is_from_hub,
        has_hub_drafter=has_hub_drafter,
        # torch's processes, and NCCL's between several devices, share memory; a container's default is 64 MB.
        shared_memory_bytes=_SHARED_SEVERAL_BYTES if candidate.devices > 1 else _SHARED_ALONE_BYTES,
        drain_s=settings.drain_s,
    )


def _has_hub_drafter(settings: ServeSettings) -> bool:
    config = settings.all.get("speculative-config")
    model = config.get("model") if isinstance(config, dict) else None
    return model is not None and model != DRAFTER_FOLDER
