"""The Kubernetes objects of a build, as data: the same job, the same manifest.

Source: API reference of batch/v1 Job (podFailurePolicy: Kubernetes 1.26 and later, older servers drop it and retry);
Pod Security Standards, level restricted; node labels of NVIDIA's gpu-feature-discovery.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from infc.build.builders.address import KubernetesAddress
from infc.build.builders.devices import DeviceNames
from infc.build.libraries import LIBRARIES
from infc.build.worker_archive import WORKER_NAME
from infc.ir.job import BuildJob

Manifest: TypeAlias = dict[str, object]

MOUNT = "/infc"
"""Where the claim is mounted: `jobs/<key>/` holds inputs, `results/<key>/<pod>/` what each try made."""

SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod alone
PRODUCT_LABEL = "nvidia.com/gpu.product"
GPU = "nvidia.com/gpu"
USER = 1000
TRIES = 3
KEPT_S = 3600
PLACING_S = 300.0
"""How long a Job may wait for a node unless the user says otherwise."""

PORTER_S = 4 * 3600
_FINAL_EXIT_CODES = [2, 3, 124]
"""The worker's own answers (not acceptable, refused, out of time): trying again would give them again."""


def job_name(key: str) -> str:
    """The name of a key's Job: within the 63 characters that the pods' label `job-name` may have.

    >>> job_name("ab" * 32)
    'infc-abababababababababababababababababababab'
    """
    return f"infc-{key[:40]}"


def job_manifest(address: KubernetesAddress, job: BuildJob, device: DeviceNames | None, *, wait_s: float) -> Manifest:
    """The Job that builds an engine, on a node with the device when its kernels are timed there.

    `wait_s` is how long it may wait for a node, on top of the job's own time.
    """
    folder = f"{MOUNT}/jobs/{job.key}"
    labels = {**_labels("build"), "infc.dev/key": job.key[:63], "infc.dev/hardware": job.hardware_id}
    pod = _pod(
        address,
        ["python3", f"{folder}/{WORKER_NAME}", "build", folder, f"{MOUNT}/results/{job.key}/$(POD_NAME)"],
        has_gpu=LIBRARIES[job.kind].needs_gpu,
    )
    if LIBRARIES[job.kind].needs_gpu and device is not None:
        pod["affinity"] = _affinity(device.product_labels)
        pod["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(job.key),
            "namespace": address.namespace,
            "labels": labels,
            "annotations": {"infc.dev/key": job.key, "infc.dev/precision": job.precision.value},
        },
        "spec": {
            "backoffLimit": TRIES - 1,
            "activeDeadlineSeconds": int(job.timeout_s + wait_s) + 60,
            "ttlSecondsAfterFinished": KEPT_S,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "worker", "operator": "In", "values": _FINAL_EXIT_CODES},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
        },
    }


def porter_manifest(address: KubernetesAddress, name: str) -> Manifest:
    """A Job that sleeps with the volume mounted, without a GPU: files go in and out through it by `kubectl exec`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": address.namespace, "labels": _labels("porter")},
        "spec": {
            "backoffLimit": TRIES - 1,
            "activeDeadlineSeconds": PORTER_S,
            "ttlSecondsAfterFinished": 60,
            "template": {
                "metadata": {"labels": _labels("porter")},
                "spec": _pod(address, ["python3", "-c", f"import time; time.sleep({PORTER_S})"], has_gpu=False),
            },
        },
    }


def _labels(component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "infc",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": "infc",
    }


def _affinity(labels: Sequence[str]) -> Mapping[str, object]:
    expression = {"key": PRODUCT_LABEL, "operator": "In", "values": list(labels)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _pod(address: KubernetesAddress, command: Sequence[str], *, has_gpu: bool) -> dict[str, object]:
    """One container without rights, token or writable root: /infc is the claim, /tmp is its own."""
    resources: dict[str, object] = {"requests": {"cpu": "1", "memory": "2Gi"} if has_gpu else {"cpu": "500m"}}
    if has_gpu:
        resources["limits"] = {GPU: 1}
    pod: dict[str, object] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "worker",
                "image": address.image,
                "imagePullPolicy": "IfNotPresent",
                "command": list(command),
                "env": [
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "HOME", "value": SCRATCH},
                ],
                "resources": resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "builds", "mountPath": MOUNT}, {"name": "scratch", "mountPath": SCRATCH}],
            }
        ],
        "volumes": [
            {"name": "builds", "persistentVolumeClaim": {"claimName": address.volume_claim}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    if address.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": address.pull_secret}]
    return pod
