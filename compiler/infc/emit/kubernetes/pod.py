"""The pod of one replica, whichever object it stands in."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from infc.emit.kubernetes.devices import GPU_RESOURCE, gpu_tolerations, node_selector
from infc.emit.kubernetes.objects import Identity, Manifest
from infc.emit.kubernetes.server import Server
from infc.emit.kubernetes.storage import ModelFiles
from infc.emit.yaml_text import YamlValue
from infc.ir.hardware import Hardware
from infc.ir.spec.kubernetes import Kubernetes

CONFIG_VOLUME = "configmap"
DRAIN_SLEEP_S = 5
"""Seconds between the order to stop and the server's end of listening: the address leaves the Service meanwhile."""
_STOP_MARGIN_S = 5
_GIB, _MIB = 2**30, 2**20


@dataclass(frozen=True, kw_only=True)
class PodParts:
    """What a pod is made of. `config_name` is the ConfigMap of the server's files, None without any.

    `is_spread`: several replicas may run, which should not share a host or a zone.
    """

    identity: Identity
    options: Kubernetes
    server: Server
    model: ModelFiles
    hardware: Hardware
    config_name: str | None
    is_spread: bool

    @property
    def stop_s(self) -> int:
        """Seconds from the order to stop until the pod is killed."""
        return DRAIN_SLEEP_S + self.server.stop_s + _STOP_MARGIN_S


def pod_spec(parts: PodParts, *, container_name: str) -> Manifest:
    """The pod's specification."""
    options, spec = parts.options, _rights(parts)
    if parts.server.needs.devices:
        spec["tolerations"] = gpu_tolerations()
    selector = node_selector(parts.hardware, options.node_selector)
    if selector:
        spec["nodeSelector"] = selector
    if parts.is_spread:
        spec["topologySpreadConstraints"] = [
            _spread(parts.identity, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ]
    if options.priority_class is not None:
        spec["priorityClassName"] = options.priority_class
    if parts.model.init_containers:
        spec["initContainers"] = [
            {**container, "securityContext": _container_security()} for container in parts.model.init_containers
        ]
    spec["containers"] = [_container(parts, container_name)]
    spec["volumes"] = list(_volumes(parts))
    return spec


def _rights(parts: PodParts) -> Manifest:
    options, server = parts.options, parts.server
    spec: Manifest = {
        "automountServiceAccountToken": False,
        # Kubernetes would set variables such as VLLM_PORT for a Service of that name, and servers would take them.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": parts.stop_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": server.user,
            "runAsGroup": server.group,
            "fsGroup": server.group,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if options.service_account is not None:
        spec["serviceAccountName"] = options.service_account
    pull = [secret for secret in (options.pull_secret, *parts.model.pull_secrets) if secret is not None]
    if pull:
        spec["imagePullSecrets"] = [{"name": name} for name in dict.fromkeys(pull)]
    return spec


def _container(parts: PodParts, name: str) -> Manifest:
    server, health = parts.server, parts.server.health
    budget_s = server.load.budget_s
    period_s = 5 if budget_s <= 300 else 10
    container: Manifest = {
        "name": name,
        "image": server.image,
        "command": list(server.command),
        "args": list(server.arguments),
    }
    if server.files:
        container["workingDir"] = server.files_path
    environment = list(_environment(parts))
    if environment:
        container["env"] = environment
    return container | {
        "ports": [{"name": port.name, "containerPort": port.number, "protocol": "TCP"} for port in server.ports],
        "resources": _resources(parts),
        "securityContext": _container_security(),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(DRAIN_SLEEP_S)]}}},
        "startupProbe": _probe(health.started, period_s=period_s, failures=budget_s // period_s),
        "readinessProbe": _probe(health.ready, period_s=5, failures=3),
        "livenessProbe": _probe(health.alive, period_s=10, failures=6),
        "volumeMounts": list(_mounts(parts)),
    }


def _container_security() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _environment(parts: PodParts) -> Iterator[YamlValue]:
    for name, value in sorted(parts.server.environment.items()):
        yield {"name": name, "value": value}
    for name, (secret, key) in sorted(parts.server.secrets.items()):
        yield {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
    if not parts.model.init_containers:
        yield from parts.model.environment


def _resources(parts: PodParts) -> Manifest:
    """Of a GPU pod the memory is a request alone: it is for the scheduler, and keeps the pod from being evicted first.

    On a CPU everything is a limit too: the plan holds for exactly these cores.
    """
    needs = parts.server.needs
    folders = sum(size_bytes for _, size_bytes in parts.server.memory_folders.values())
    memory = f"{math.ceil((needs.memory_bytes + needs.shared_memory_bytes + folders) / _GIB)}Gi"
    requests: Manifest = {} if needs.cores is None else {"cpu": str(needs.cores)}
    requests["memory"] = memory
    if not needs.devices:
        return {"requests": requests, "limits": dict(requests)}
    devices: Manifest = {GPU_RESOURCE: str(needs.devices)}
    return {"requests": requests | devices, "limits": devices}


def _probe(path: str, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _spread(identity: Identity, key: str) -> Manifest:
    """Apart where the cluster has room: GPUs are scarce, and a replica beside another beats one that waits."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": identity.selector},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _scratch(parts: PodParts) -> dict[str, str]:
    return {"tmp": "/tmp", **parts.server.scratch}  # noqa: S108 - of a container


def _mounts(parts: PodParts) -> Iterator[YamlValue]:
    for path in parts.server.files:
        mount = f"{parts.server.files_path}/{path}"
        yield {"name": CONFIG_VOLUME, "mountPath": mount, "subPath": path, "readOnly": True}
    yield from parts.model.mounts
    for name, path in _scratch(parts).items():
        yield {"name": name, "mountPath": path}
    for name, (path, _) in parts.server.memory_folders.items():
        yield {"name": name, "mountPath": path}
    yield {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - memory that processes of a container share


def _volumes(parts: PodParts) -> Iterator[YamlValue]:
    if parts.config_name is not None:
        yield {"name": CONFIG_VOLUME, "configMap": {"name": parts.config_name}}
    yield from parts.model.volumes
    for name in _scratch(parts):
        yield {"name": name, "emptyDir": {}}
    for name, (_, size_bytes) in parts.server.memory_folders.items():
        yield {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": _size(size_bytes)}}
    yield {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _size(parts.server.needs.shared_memory_bytes)}}


def _size(size_bytes: int) -> str:
    return f"{size_bytes // _GIB}Gi" if size_bytes % _GIB == 0 else f"{size_bytes // _MIB}Mi"
