"""KServe's objects around the same pod: InferenceService for Triton, LLMInferenceService for language models.

Both take the pod as it is, so that a model is served with the flags, limits and probes that were planned, whatever
serving runtimes a cluster has. Models on volumes, in images and in buckets are mounted by the pod itself; only those of
the hub, and claims of language models, are KServe's to bring.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.emit.kubernetes.objects import Manifest, service_name
from infc.emit.kubernetes.pod import pod_spec
from infc.emit.kubernetes.workload import Workload
from infc.emit.yaml_text import YamlValue

_MODE = "serving.kserve.io/deploymentMode"
_AUTOSCALER = "serving.kserve.io/autoscalerClass"


@dataclass(frozen=True, kw_only=True)
class LlmModel:
    """What LLMInferenceService says of the model. `is_fetched`: KServe brings it, to its own path."""

    uri: str
    served_name: str
    tensor_parallel: int
    pipeline_parallel: int
    is_fetched: bool


def inference_service(workload: Workload) -> Manifest:
    """An InferenceService with a predictor of its own, as a Deployment that KServe makes.

    Source: KServe, pkg/controller/v1beta1/inferenceservice/reconcilers/deployment: with the autoscaler class `none` the
    Deployment has `minReplicas` replicas, with `external` KServe leaves them alone.
    """
    parts, replicas = workload.parts, workload.replicas
    bounds: Manifest = {} if replicas is None else {"minReplicas": replicas, "maxReplicas": replicas}
    annotations = {_MODE: "Standard", _AUTOSCALER: "external" if replicas is None else "none"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": _metadata(workload, annotations),
        "spec": {
            "predictor": {
                **bounds,
                "labels": parts.identity.all_labels,
                "annotations": dict(workload.release),
                "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": dict(workload.update)},
                **pod_spec(parts, container_name="kserve-container"),
            }
        },
    }


def llm_inference_service(workload: Workload, model: LlmModel, scaling: Manifest | None) -> Manifest:
    """An LLMInferenceService; `scaling` in place of the replicas where an autoscaler sets them."""
    parts = workload.parts
    parallelism: Manifest = {"tensor": model.tensor_parallel}
    if model.pipeline_parallel > 1:
        parallelism["pipeline"] = model.pipeline_parallel
    spec: Manifest = {"model": {"uri": model.uri, "name": model.served_name}}
    if not model.is_fetched:
        spec["storageInitializer"] = {"enabled": False}
    if scaling is not None:
        spec["scaling"] = scaling
    elif workload.replicas is not None:
        spec["replicas"] = workload.replicas
    spec |= {
        "parallelism": parallelism,
        "rolloutStrategy": dict(workload.update),
        "router": {"gateway": {}, "route": {}},
        "labels": parts.identity.all_labels,
        "annotations": dict(workload.release),
        "template": pod_spec(parts, container_name="main"),
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": _metadata(workload, {}),
        "spec": spec,
    }


def scaling_of(scaled_object: Manifest) -> Manifest:
    """A KEDA ScaledObject as LLMInferenceService's `scaling`: KServe makes the object itself, for its Deployment."""
    spec = scaled_object["spec"]
    assert isinstance(spec, Mapping)  # noqa: S101 - built by infc
    keda: dict[str, YamlValue] = {
        key: value for key, value in spec.items() if key not in ("scaleTargetRef", "minReplicaCount", "maxReplicaCount")
    }
    return {"minReplicas": spec["minReplicaCount"], "maxReplicas": spec["maxReplicaCount"], "keda": keda}


def _metadata(workload: Workload, annotations: Mapping[str, str]) -> Manifest:
    # KServe makes Services of the name, which must begin with a letter.
    own, identity = {**workload.bundle, **workload.release, **annotations}, workload.identity
    return identity.metadata(service_name(identity)) | {"annotations": dict(sorted(own.items()))}
