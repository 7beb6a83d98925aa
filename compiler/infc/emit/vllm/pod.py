"""The pod of one replica, whichever object it stands in."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from infc.emit.kubernetes.devices import GPU_RESOURCE, gpu_tolerations, node_selector
from infc.emit.kubernetes.objects import Identity, Manifest
from infc.emit.vllm.container import (
    BUNDLE_MOUNT,
    ENTRYPOINT,
    HEALTH_PATH,
    MODELS_PATH,
    START_BUDGET_S,
    Container,
)
from infc.emit.vllm.release import VllmRelease
from infc.emit.vllm.serve_yaml import SERVE_FILE
from infc.emit.vllm.settings import MODEL_FOLDER, PORT, ServeSettings
from infc.emit.yaml_text import YamlValue
from infc.ir.spec import Kubernetes

CONFIG_VOLUME = "configmap"
TOKEN_SECRET = "hf-token"  # noqa: S105 - the name of a Secret, not its content
_GIB = 2**30
_DRAIN_SLEEP_S = 5
_PROBE_S = 10
_PROCESSES_BYTES = 4 * _GIB
"""What a server on a CPU takes beside the planned memory: three Python processes with torch, 2.4 GB measured."""


class ModelPlace(Enum):
    """Where a pod finds the model. VOLUME: mounted by infc; KSERVE: mounted by KServe, under its own path."""

    HUB = None
    VOLUME = MODEL_FOLDER
    KSERVE = "/mnt/models"


@dataclass(frozen=True, kw_only=True)
class PodParts:
    """What a pod is made of. `config_files` are the keys of the ConfigMap `config_name`, files of the bundle."""

    identity: Identity
    options: Kubernetes
    settings: ServeSettings
    release: VllmRelease
    container: Container
    config_name: str
    config_files: tuple[str, ...]
    memory_bytes: float

    @property
    def home(self) -> str:
        """The home of the user that the server runs as."""
        return "/root" if self.container.is_cpu else self.release.home


def pod_spec(parts: PodParts, place: ModelPlace, *, container_name: str) -> Manifest:
    """The pod's specification."""
    container = parts.container
    spec: Manifest = {
        "automountServiceAccountToken": False,
        # Kubernetes would set VLLM_PORT for a Service called vllm, and vLLM would take it for its own.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": container.stop_s + _DRAIN_SLEEP_S,
        "securityContext": _pod_security(parts),
        "containers": [_server(parts, place, container_name)],
        "volumes": list(_volumes(parts, place)),
    }
    if parts.options.service_account is not None:
        spec["serviceAccountName"] = parts.options.service_account
    selector = node_selector(parts.settings.hardware, parts.options.node_selector)
    if selector:
        spec["nodeSelector"] = selector
    if container.devices:
        spec["tolerations"] = gpu_tolerations()
    return spec


def _server(parts: PodParts, place: ModelPlace, name: str) -> Manifest:
    container = parts.container
    # The model on the command line goes before the one in the file.
    model = [] if place is ModelPlace.HUB else [str(place.value)]
    return {
        "name": name,
        "image": container.image,
        "command": list(ENTRYPOINT),
        "args": [*model, "--config", f"{BUNDLE_MOUNT}/{SERVE_FILE}"],
        "workingDir": BUNDLE_MOUNT,
        "env": list(_environment(parts, place)),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(parts),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        # The address leaves the Service before the server stops taking requests.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_DRAIN_SLEEP_S)]}}},
        "startupProbe": _probe(HEALTH_PATH, period_s=_PROBE_S, failures=START_BUDGET_S // _PROBE_S),
        "readinessProbe": _probe(MODELS_PATH, period_s=5, failures=3),
        "livenessProbe": _probe(HEALTH_PATH, period_s=_PROBE_S, failures=6),
        "volumeMounts": list(_mounts(parts, place)),
    }


def _environment(parts: PodParts, place: ModelPlace) -> Iterator[YamlValue]:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    known = dict(parts.container.environment)
    if place is not ModelPlace.HUB and not parts.container.has_hub_drafter:
        known |= offline
    known["HOME"] = parts.home
    for name, value in sorted(known.items()):
        yield {"name": name, "value": value}
    if not offline.keys() & known.keys():
        secret: Manifest = {"name": TOKEN_SECRET, "key": "token", "optional": True}
        yield {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": secret}}


def _resources(parts: PodParts) -> Manifest:
    if parts.container.devices:
        devices: Manifest = {GPU_RESOURCE: str(parts.container.devices)}
        return {"requests": devices, "limits": dict(devices)}
    memory = f"{math.ceil((parts.memory_bytes + _PROCESSES_BYTES) / _GIB)}Gi"
    cores = parts.settings.hardware.sm_count
    requests: Manifest = {"memory": memory} if cores is None else {"cpu": str(cores), "memory": memory}
    return {"requests": requests, "limits": dict(requests)}


def _pod_security(parts: PodParts) -> Manifest:
    security: Manifest = {"seccompProfile": {"type": "RuntimeDefault"}}
    if not parts.container.is_cpu:
        security |= {
            "runAsNonRoot": True,
            "runAsUser": parts.release.user,
            "runAsGroup": parts.release.group,
            "fsGroup": parts.release.group,
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    return security


def _probe(path: str, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _mounts(parts: PodParts, place: ModelPlace) -> Iterator[YamlValue]:
    for path in parts.config_files:
        yield {"name": CONFIG_VOLUME, "mountPath": f"{BUNDLE_MOUNT}/{path}", "subPath": path, "readOnly": True}
    if place is ModelPlace.VOLUME:
        yield {"name": "model", "mountPath": f"{BUNDLE_MOUNT}/{MODEL_FOLDER}", "readOnly": True}
    yield {"name": "cache", "mountPath": f"{parts.home}/.cache"}
    yield {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - memory that processes of a container share


def _volumes(parts: PodParts, place: ModelPlace) -> Iterator[YamlValue]:
    yield {"name": CONFIG_VOLUME, "configMap": {"name": parts.config_name}}
    if place is ModelPlace.VOLUME:
        claim: Manifest = {"claimName": parts.options.model_volume, "readOnly": True}
        yield {"name": "model", "persistentVolumeClaim": claim}
    yield {"name": "cache", "emptyDir": {}}
    size = f"{parts.container.shared_memory_bytes // _GIB}Gi"
    yield {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}
