"""Kubernetes objects as mappings, for a YAML library to write."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from infc.emit.comment import comment_lines
from infc.emit.yaml_text import YamlValue, yaml_text
from infc.ir.object_name import LABEL_LENGTH, letter_first

Manifest = dict[str, YamlValue]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What all objects of a deployment share.

    `name` is `ir.object_name.object_name`. `labels` are the user's own; infc's go before them.
    """

    name: str
    namespace: str
    component: Literal["triton", "vllm"]
    labels: Mapping[str, str]

    @property
    def selector(self) -> dict[str, YamlValue]:
        """The labels that pods are found by; they never change."""
        return {"app.kubernetes.io/name": self.name, "app.kubernetes.io/component": self.component}

    @property
    def all_labels(self) -> dict[str, YamlValue]:
        """The user's labels with infc's, by key."""
        merged = {**self.labels, **self.selector, "app.kubernetes.io/managed-by": "infc"}
        return dict(sorted(merged.items()))

    def suffixed(self, suffix: str) -> str:
        """The deployment's name with a suffix, within the 63 characters that a label may have.

        >>> len(Identity(name="a" * 63, namespace="default", component="vllm", labels={}).suffixed("-model"))
        63
        """
        return self.name[: LABEL_LENGTH - len(suffix)].rstrip("-") + suffix

    def metadata(self, name: str | None = None) -> Manifest:
        """Metadata of an object of the deployment; `name` None takes the deployment's."""
        return {"name": name or self.name, "namespace": self.namespace, "labels": self.all_labels}


def config_map(identity: Identity, files: Mapping[str, bytes]) -> Manifest:
    """A ConfigMap of text files, named after their content: another content is another object, and pods roll."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(identity.suffixed(f"-{digest.hexdigest()[:10]}")),
        "immutable": True,
        "data": {path: content.decode() for path, content in sorted(files.items())},
    }


def service(identity: Identity, ports: Mapping[str, int]) -> Manifest:
    """A Service inside the cluster in front of all replicas; `ports` are those of the container, by name."""
    rows: list[YamlValue] = [
        {"name": name, "port": number, "targetPort": name, "protocol": "TCP"} for name, number in ports.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(service_name(identity)),
        "spec": {"type": "ClusterIP", "selector": identity.selector, "ports": rows},
    }


def service_name(identity: Identity) -> str:
    """The deployment's name; a Service's must begin with a letter.

    >>> service_name(Identity(name="8b-chat", namespace="default", component="vllm", labels={}))
    'vllm-8b-chat'
    """
    return letter_first(identity.name, identity.component)[:LABEL_LENGTH].rstrip("-")


def kustomization(resources: Sequence[str]) -> Manifest:
    """What `kubectl apply -k` reads."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
    }


def manifest_bytes(manifest: Manifest, notes: Sequence[str] = ()) -> bytes:
    """A manifest as a file; `notes` stand above it as comments."""
    return ("".join(comment_lines(notes)) + yaml_text(manifest)).encode()
