"""The object that runs the pods: a Deployment, or what KServe makes one from."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.emit.kubernetes.objects import Identity, Manifest
from infc.emit.kubernetes.pod import PodParts, pod_spec
from infc.emit.yaml_text import YamlValue

_PULL_S = 900
"""How long a node may take to fetch a server's image: 10 to 20 GB, at a few tens of MB/s."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What the object says beside its pod.

    `update` is how replicas are replaced. `replicas` is None where an autoscaler sets them: an object that says so
    would set them back when it is applied. `release` and `bundle` are annotations: see `emit.kubernetes.digests`.
    """

    parts: PodParts
    update: Manifest
    replicas: int | None
    release: Mapping[str, str]
    bundle: Mapping[str, str]

    @property
    def identity(self) -> Identity:
        """What all objects share."""
        return self.parts.identity

    def metadata(self) -> Manifest:
        """Of the object itself."""
        annotations: dict[str, YamlValue] = dict(sorted({**self.bundle, **self.release}.items()))
        return self.identity.metadata() | {"annotations": annotations}


def deployment(workload: Workload, *, container_name: str) -> Manifest:
    """A plain Deployment."""
    parts = workload.parts
    spec: Manifest = {} if workload.replicas is None else {"replicas": workload.replicas}
    spec |= {
        "selector": {"matchLabels": parts.identity.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": dict(workload.update)},
        "progressDeadlineSeconds": parts.server.load.budget_s + _PULL_S,
        "template": {
            "metadata": {"labels": parts.identity.all_labels, "annotations": dict(workload.release)},
            "spec": pod_spec(parts, container_name=container_name),
        },
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": workload.metadata(), "spec": spec}
