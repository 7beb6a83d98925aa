"""What schemas do not see: whether the objects of a release fit together, and whether their fields add up."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from infc.ir.bundle import Bundle
from tests.emit.kubernetes import KINDS, kubernetes_faults

Manifest = Mapping[str, Any]
GPU = "nvidia.com/gpu"
POD_PATHS = {
    "Deployment": ("spec", "template"),
    "InferenceService": ("spec", "predictor"),
    "LLMInferenceService": ("spec", "template"),
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def text(bundle: Bundle, path: str) -> str:
    """The content of a text file."""
    content = bundle.files[path]
    assert isinstance(content, bytes)
    return content.decode()


def release_of(bundle: Bundle) -> dict[str, Any]:
    """File name -> object, of everything that the kustomization names."""
    listed = loaded(text(bundle, "kubernetes/kustomization.yaml"))["resources"]
    return {path.removesuffix(".yaml"): loaded(text(bundle, f"kubernetes/{path}")) for path in listed}


def loaded(document: str) -> Any:
    """A document as its readers see it, by the loader in C where there is one."""
    return yaml.load(document, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one


def workload_of(objects: Mapping[str, Any]) -> Any:
    """The object that runs the pods."""
    (workload,) = [each for each in objects.values() if each["kind"] in POD_PATHS]
    return workload


def pod_of(workload: Manifest) -> Any:
    """The pod's specification, wherever the object has it."""
    found: Any = workload
    for key in POD_PATHS[workload["kind"]]:
        found = found[key]
    return found["spec"] if workload["kind"] == "Deployment" else found


def pod_labels(workload: Manifest) -> Any:
    """The labels that pods get."""
    match workload["kind"]:
        case "Deployment":
            return workload["spec"]["template"]["metadata"]["labels"]
        case "InferenceService":
            return workload["spec"]["predictor"]["labels"]
        case _:
            return workload["spec"]["labels"]


def release_faults(bundle: Bundle, provided: Sequence[str] = ()) -> list[str]:
    """Everything that is wrong with a release.

    `provided` are the names of claims and Secrets that the user brings, as the release's README says.
    """
    objects = release_of(bundle)
    found = list(_folder_faults(bundle, objects))
    for name, each in objects.items():
        found += [f"{name}: {fault}" for fault in _object_faults(each)]
        if each["kind"] in KINDS:
            found += [f"{name}: {fault}" for fault in kubernetes_faults(each)]
    workload = workload_of(objects)
    labels, pod = pod_labels(workload), pod_of(workload)
    for name, each in objects.items():
        found += [f"{name}: {fault}" for fault in _selector_faults(each, labels, pod)]
    found += _pod_faults(pod, objects, provided)
    readme = text(bundle, "kubernetes/README.md")
    return found + [f"README.md does not name {name}" for name in provided if name not in readme]


def _folder_faults(bundle: Bundle, objects: Mapping[str, Any]) -> Iterator[str]:
    files = {path.removeprefix("kubernetes/") for path in bundle.files if path.startswith("kubernetes/")}
    for path in files - {f"{name}.yaml" for name in objects} - {"kustomization.yaml", "README.md"}:
        yield f"{path} is not in the kustomization"
    keys = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in objects.values()]
    if len(set(keys)) != len(keys):
        yield f"an object is there twice: {keys}"
    if len({each["metadata"]["namespace"] for each in objects.values()}) != 1:
        yield "objects of several namespaces"
    if len({each["metadata"]["labels"]["app.kubernetes.io/name"] for each in objects.values()}) != 1:
        yield "objects of several names"


def _object_faults(manifest: Manifest) -> Iterator[str]:
    metadata = manifest["metadata"]
    if len(metadata["name"]) > 63 or not _LABEL.fullmatch(metadata["name"]):
        yield f"the name {metadata['name']!r}"
    for key, value in metadata["labels"].items():
        if len(str(value)) > 63:
            yield f"the label {key}"
    for key, value in metadata.get("annotations", {}).items():
        if not isinstance(value, str):
            yield f"the annotation {key} is no text"


def _selector_faults(manifest: Manifest, labels: Mapping[str, str], pod: Manifest) -> Iterator[str]:
    spec = manifest.get("spec", {})
    container = pod["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    match manifest["kind"]:
        case "Deployment":
            selector = spec["selector"]["matchLabels"]
        case "Service":
            selector = spec["selector"]
            for port in spec["ports"]:
                if port["targetPort"] not in ports:
                    yield f"the port {port['targetPort']} is none of the pod's"
        case "PodDisruptionBudget" | "PodMonitor":
            selector = spec["selector"]["matchLabels"]
            for endpoint in spec.get("podMetricsEndpoints", ()):
                if endpoint["port"] not in ports:
                    yield f"the port {endpoint['port']} is none of the pod's"
        case "NetworkPolicy":
            selector = spec["podSelector"]["matchLabels"]
            open_ports = {rule["port"] for rule in spec["ingress"][0]["ports"]}
            if open_ports != ports:
                yield f"open are {sorted(open_ports)}, served {sorted(ports)}"
        case _:
            return
    if not selector or not selector.items() <= labels.items():
        yield f"it selects {selector}, pods have {labels}"


def _pod_faults(pod: Manifest, objects: Mapping[str, Any], provided: Sequence[str]) -> Iterator[str]:
    config_maps = {each["metadata"]["name"] for each in objects.values() if each["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    if len(volumes) != len(pod["volumes"]):
        yield "two volumes of one name"
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    mounted = {mount["name"] for container in containers for mount in container.get("volumeMounts", ())}
    if mounted != set(volumes):
        yield f"volumes {sorted(volumes)}, mounted are {sorted(mounted)}"
    for volume in pod["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] not in config_maps:
            yield f"the ConfigMap {volume['configMap']['name']} is not there"
        if "persistentVolumeClaim" in volume and volume["persistentVolumeClaim"]["claimName"] not in provided:
            yield f"nobody brings the claim {volume['persistentVolumeClaim']['claimName']}"
    for secret in pod.get("imagePullSecrets", ()):
        if secret["name"] not in provided:
            yield f"nobody brings the Secret {secret['name']}"
    for container in pod.get("initContainers", ()):
        covered = [mount["mountPath"] for mount in container["volumeMounts"]]
        read = [arg for arg in container.get("command", ()) if arg.startswith("/") and arg.endswith("/.")]
        if any(source.startswith(path) for source in read for path in covered):
            yield f"{container['name']} mounts a volume over what it copies"
    yield from _rights_faults(pod)
    for container in containers:
        yield from (f"{container['name']}: {fault}" for fault in _container_faults(container, provided))
    yield from _time_faults(pod)


def _rights_faults(pod: Manifest) -> Iterator[str]:
    if pod["automountServiceAccountToken"] is not False or pod["enableServiceLinks"] is not False:
        yield "a token or variables of Services that nobody asked for"
    security = pod["securityContext"]
    if security["runAsNonRoot"] is not True or security["runAsUser"] == 0 or "fsGroup" not in security:
        yield f"the pod runs as {security}"
    if security["seccompProfile"] != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"


def _container_faults(container: Manifest, provided: Sequence[str]) -> Iterator[str]:
    security = container["securityContext"]
    if security["allowPrivilegeEscalation"] or not security["readOnlyRootFilesystem"]:
        yield f"it may do too much: {security}"
    if security["capabilities"] != {"drop": ["ALL"]}:
        yield "it keeps capabilities"
    if container["image"].endswith(":latest") or ":" not in container["image"].rpartition("/")[2]:
        yield f"the image {container['image']} moves"
    resources = container["resources"]
    if resources["requests"].get(GPU) != resources["limits"].get(GPU):
        yield f"GPUs asked for and allowed differ: {resources}"
    if "memory" not in resources["requests"]:
        yield "no memory is asked for: the pod is evicted first"
    for variable in container.get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and not reference.get("optional") and reference["name"] not in provided:
            yield f"nobody brings the Secret {reference['name']}"


def _time_faults(pod: Manifest) -> Iterator[str]:
    container = pod["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if container[probe]["httpGet"]["port"] not in ports:
            yield f"{probe} asks a port that is not there"
    startup = container["startupProbe"]
    if startup["periodSeconds"] * startup["failureThreshold"] < 60:
        yield "a start has less than a minute"
    slept = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    timeouts = [int(arg.partition("=")[2]) for arg in container["args"] if arg.startswith("--exit-timeout-secs=")]
    if pod["terminationGracePeriodSeconds"] <= slept + max(timeouts, default=0):
        yield "the pod is killed before its server may end"
