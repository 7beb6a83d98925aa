"""Kubernetes: a Deployment with its Service, or KServe's LLMInferenceService, around the same pod."""

from collections.abc import Mapping
from pathlib import Path

from infc.emit.kubernetes.objects import (
    Identity,
    Manifest,
    config_map,
    kustomization,
    manifest_bytes,
    service,
)
from infc.emit.vllm.container import START_BUDGET_S, container_of
from infc.emit.vllm.pod import CONFIG_VOLUME, ModelPlace, PodParts, pod_spec
from infc.emit.vllm.release import VllmRelease
from infc.emit.vllm.serve_yaml import SERVE_FILE
from infc.emit.vllm.settings import CHAT_TEMPLATE, PORT, ServeSettings
from infc.ir.checkpoint import Checkpoint
from infc.ir.plan import Plan
from infc.ir.problem import Limits, LlmProblem
from infc.ir.spec import Deploy, Kubernetes

FOLDER = "kubernetes"
COMPONENT = "vllm"
_ROLLOUT_MARGIN_S = 600


def kubernetes_files(
    problem: LlmProblem,
    plan: Plan,
    checkpoint: Checkpoint,
    settings: ServeSettings,
    deploy: Deploy,
    release: VllmRelease,
    serve: bytes,
    extra_files: Mapping[str, bytes | Path],
) -> dict[str, bytes]:
    """Everything under `kubernetes/`: one object a file, and the kustomization that names them."""
    options = deploy.kubernetes
    assert options is not None  # noqa: S101 - asked only where it is set
    identity = Identity(
        name=problem.name, namespace=options.namespace, component=COMPONENT, labels=dict(options.labels)
    )
    mounted = {SERVE_FILE: serve}
    if CHAT_TEMPLATE in extra_files:
        mounted[CHAT_TEMPLATE] = _content(extra_files[CHAT_TEMPLATE])
    config = config_map(identity, mounted)
    parts = PodParts(
        identity=identity,
        options=options,
        settings=settings,
        release=release,
        container=container_of(plan.candidate, checkpoint, settings, release, deploy.vllm, options.image),
        config_name=_name_of(config),
        config_files=tuple(mounted),
        memory_bytes=plan.estimate.memory.total_bytes,
    )
    manifests: dict[str, Manifest] = {CONFIG_VOLUME: config}
    if options.flavor == "kserve":
        manifests["llminferenceservice"] = _inference_service(problem, plan, checkpoint, parts)
    else:
        manifests |= {"deployment": _deployment(problem, plan, checkpoint, parts), "service": service(identity, PORT)}
    files = {f"{name}.yaml": manifest_bytes(manifest) for name, manifest in sorted(manifests.items())}
    files["kustomization.yaml"] = manifest_bytes(kustomization(tuple(files)))
    return {f"{FOLDER}/{path}": content for path, content in files.items()}


def _deployment(problem: LlmProblem, plan: Plan, checkpoint: Checkpoint, parts: PodParts) -> Manifest:
    volume = parts.options.model_volume
    place = ModelPlace.HUB if volume is None else ModelPlace.VOLUME
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": parts.identity.metadata(),
        "spec": {
            "replicas": plan.candidate.replicas,
            "selector": {"matchLabels": parts.identity.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling_update(problem.limits)},
            "progressDeadlineSeconds": START_BUDGET_S + _ROLLOUT_MARGIN_S,
            "template": {
                "metadata": {"labels": parts.identity.all_labels},
                "spec": pod_spec(parts, place, container_name=COMPONENT),
            },
        },
    }


def _inference_service(problem: LlmProblem, plan: Plan, checkpoint: Checkpoint, parts: PodParts) -> Manifest:
    candidate = plan.candidate
    parallelism: Manifest = {"tensor": candidate.tensor_parallel}
    if candidate.pipeline_parallel > 1:
        parallelism["pipeline"] = candidate.pipeline_parallel
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": parts.identity.metadata(),
        "spec": {
            "model": {"uri": model_uri(checkpoint, parts.options), "name": problem.source.served_name},
            "replicas": candidate.replicas,
            "parallelism": parallelism,
            "router": {"gateway": {}, "route": {}},
            "labels": parts.identity.all_labels,
            "template": pod_spec(parts, ModelPlace.KSERVE, container_name="main"),
        },
    }


def model_uri(checkpoint: Checkpoint, options: Kubernetes) -> str:
    """Where KServe gets the model from: the claim that the spec names, else the hub at its revision.

    Source: KServe's storage initializer takes `hf://owner/model[:revision]` and `pvc://claim`.
    """
    if options.model_volume is not None:
        return f"pvc://{options.model_volume}"
    revision = f":{checkpoint.revision}" if checkpoint.revision else ""
    return f"hf://{checkpoint.repo}{revision}"


def rolling_update(limits: Limits) -> Manifest:
    """How replicas are replaced, as the plan kept devices for it.

    Without a spare device a replica must go before its successor comes: as many as may be lost, at least one.
    """
    surge = limits.surge
    missing = limits.unavailable if limits.unavailable is not None else (0 if surge else limits.redundancy)
    return {"maxSurge": surge, "maxUnavailable": missing if surge or missing else 1}


def _name_of(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 - built just now
    return str(metadata["name"])


def _content(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
