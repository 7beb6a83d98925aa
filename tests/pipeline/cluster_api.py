"""A stand-in for a cluster's API server, for the real kubectl: discovery, objects by name, lists by label.

It knows no method but GET. Objects are as an API server returns them: what it fills in, what controllers and GitOps
tools add. There is no cluster in the tests; the shapes follow the API reference.
"""

import copy
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Object = dict[str, Any]
RESOURCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "v1": (("services", "Service"), ("configmaps", "ConfigMap"), ("pods", "Pod")),
    "apps/v1": (("deployments", "Deployment"),),
    "networking.k8s.io/v1": (("networkpolicies", "NetworkPolicy"),),
    "policy/v1": (("poddisruptionbudgets", "PodDisruptionBudget"),),
    "autoscaling/v2": (("horizontalpodautoscalers", "HorizontalPodAutoscaler"),),
    "keda.sh/v1alpha1": (("scaledobjects", "ScaledObject"),),
    "monitoring.coreos.com/v1": (("podmonitors", "PodMonitor"), ("prometheusrules", "PrometheusRule")),
}
DIGEST = "sha256:" + "5" * 64


@dataclass
class Cluster:
    """Objects by kind and name, the kinds that may not be read, and the methods and paths that were asked for."""

    objects: dict[tuple[str, str], Object]
    forbidden: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def at(self, kind: str) -> Object:
        """The only object of a kind."""
        (found,) = (each for (own, _), each in self.objects.items() if own == kind)
        return found


def stored(manifest: Mapping[str, Any]) -> Object:
    """An emitted object as an API server and those around it store it."""
    made = copy.deepcopy(dict(manifest))
    metadata = made["metadata"]
    metadata |= {"uid": "0d4d", "resourceVersion": "812", "generation": 3, "creationTimestamp": "2026-11-01T08:00:00Z"}
    metadata["managedFields"] = [{"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]
    metadata.setdefault("annotations", {})["argocd.argoproj.io/tracking-id"] = "vision:apps/Deployment:shop/x"
    metadata["labels"]["app.kubernetes.io/instance"] = "vision"
    {"Deployment": _deployment, "Service": _service, "NetworkPolicy": _network_policy}.get(made["kind"], _other)(made)
    return made


def _deployment(made: Object) -> None:
    made["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "7"
    spec = made["spec"]
    spec.setdefault("replicas", 1)
    spec["revisionHistoryLimit"] = 10
    pod = spec["template"]["spec"]
    spec["template"]["metadata"]["creationTimestamp"] = None
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
    for container in pod["containers"]:
        container["imagePullPolicy"] = "IfNotPresent"
        container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
        container["resources"]["limits"]["memory"] = "3072Mi"  # the same quantity in other words
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            container[name]["successThreshold"] = 1
    made["status"] = {"replicas": spec["replicas"], "readyReplicas": spec["replicas"], "observedGeneration": 3}


def _service(made: Object) -> None:
    made["spec"] |= {
        "clusterIP": "10.96.4.7",
        "clusterIPs": ["10.96.4.7"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
    }
    made["status"] = {"loadBalancer": {}}


def _network_policy(made: Object) -> None:
    made["spec"].pop("egress", None)  # an empty list is not stored


def _other(made: Object) -> None:
    made["status"] = {"conditions": []}


def pod_of(deployment: Object) -> Object:
    """A pod that runs, with the digest that its node resolved the image to."""
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x-7d", "namespace": "shop", "labels": dict(labels), "ownerReferences": [{"kind": "RS"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "triton", "imageID": f"nvcr.io/x@{DIGEST}"}]},
    }


def cluster_of(manifests: list[Mapping[str, Any]]) -> Cluster:
    """A cluster that these were applied to, and whose pods run."""
    objects = {(each["kind"], each["metadata"]["name"]): stored(each) for each in manifests}
    cluster = Cluster(objects=objects)
    cluster.objects["Pod", "x-7d"] = pod_of(cluster.at("Deployment"))
    return cluster


@contextmanager
def serving(cluster: Cluster, folder: Path) -> Iterator[Path]:
    """The cluster on loopback; yields a kubeconfig for it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            cluster.asked.append(f"{self.command} {self.path}")
            status, document = _answer(cluster, self.path)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield _kubeconfig(folder / "kubeconfig", f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


def _kubeconfig(path: Path, url: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stand-in", "cluster": {"server": url}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
        "current-context": "stand-in",
    }
    path.write_text(json.dumps(document))
    return path


def _answer(cluster: Cluster, target: str) -> tuple[int, Object]:
    parts = urlsplit(target)
    path, query = unquote(parts.path), parse_qs(parts.query)
    if path == "/api":
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(v) for v in RESOURCES if "/" in v]}
    segments = path.strip("/").split("/")
    version = segments[1] if segments[0] == "api" else "/".join(segments[1:3])
    rest = segments[2:] if segments[0] == "api" else segments[3:]
    if version not in RESOURCES:
        return 404, _status(404, "NotFound", "the server could not find the requested resource")
    if not rest:
        return 200, _resources(version)
    if len(rest) == 2:  # kubectl asks for the namespace where an object is not found
        return 200, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": rest[1]}}
    kind = dict(RESOURCES[version])[rest[2]]
    if kind in cluster.forbidden:
        return 403, _status(403, "Forbidden", f'{rest[2]} is forbidden: User "ci" cannot list resource "{rest[2]}"')
    if len(rest) == 4:
        found = cluster.objects.get((kind, rest[3]))
        missing = _status(404, "NotFound", f'{rest[2]} "{rest[3]}" not found')
        return (404, missing) if found is None else (200, found)
    wanted = dict(pair.split("=") for pair in query.get("labelSelector", [""])[0].split(",") if pair)
    items = [each for (own, _), each in cluster.objects.items() if own == kind and _has_labels(each, wanted)]
    return 200, {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": items}


def _has_labels(manifest: Object, wanted: Mapping[str, str]) -> bool:
    return all(manifest["metadata"]["labels"].get(key) == value for key, value in wanted.items())


def _group(version: str) -> Object:
    group, number = version.split("/")
    named = {"groupVersion": version, "version": number}
    return {"name": group, "versions": [named], "preferredVersion": named}


def _resources(version: str) -> Object:
    resources = [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
        for plural, kind in RESOURCES[version]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _status(code: int, reason: str, message: str) -> Object:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**status, "message": message, "reason": reason, "code": code}
