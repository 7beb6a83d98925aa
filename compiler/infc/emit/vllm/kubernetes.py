"""A language model in a cluster: what vLLM's pods need, for the emitter that all servers share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from infc.emit.kubernetes.digests import bundle_digest, release_digest
from infc.emit.kubernetes.kserve import LlmModel
from infc.emit.kubernetes.load_time import FACTOR, READ_BYTES_PER_S, LoadTime, load_time
from infc.emit.kubernetes.objects import Identity
from infc.emit.kubernetes.release import Release, kubernetes_files
from infc.emit.kubernetes.served import Goal, Served
from infc.emit.kubernetes.server import Health, Needs, Port, Server
from infc.emit.kubernetes.storage import ModelFiles, ModelNeeds, model_files, storage_uri
from infc.emit.manifest import content_digest
from infc.emit.vllm.container import (
    BUNDLE_MOUNT,
    ENTRYPOINT,
    HEALTH_PATH,
    MODELS_PATH,
    START_BUDGET_S,
    Container,
    container_of,
)
from infc.emit.vllm.release import VllmRelease
from infc.emit.vllm.serve_yaml import SERVE_FILE
from infc.emit.vllm.settings import CHAT_TEMPLATE, MODEL_FOLDER, PORT, ServeSettings
from infc.emit.yaml_text import yaml_text
from infc.ir.checkpoint import Checkpoint
from infc.ir.interval import Interval
from infc.ir.object_name import object_name
from infc.ir.plan import Plan
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.ir.spec import Deploy, Kubernetes
from infc.ir.spec.model_storage import PvcStorage
from infc.ir.step_time import StepTimeProfile

COMPONENT: Literal["vllm"] = "vllm"
TOKEN_SECRET = "hf-token"  # noqa: S105 - the name of a Secret, not its content
_KSERVE_PATH = "/mnt/models"
"""Where KServe puts a model that it brings."""
_CPU_USER = 1000
"""The CPU image is prepared for root alone; it runs as any user that has a home."""
_HOME = "/home/infc"
_PROCESSES_BYTES = 4 * 2**30
"""What a server takes of the host beside the model: three Python processes with torch, 2.4 GB measured on a CPU."""
_BOOT_S = 120.0
"""A start without a model. On a CPU 30 to 60 s were measured; the rest is room for compiled kernels and CUDA graphs,
which vLLM makes on a GPU and of which no measurement is at hand."""
_HTTPS = 443
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def vllm_kubernetes(
    problem: LlmProblem,
    plan: Plan,
    checkpoint: Checkpoint,
    settings: ServeSettings,
    deploy: Deploy,
    release: VllmRelease,
    files: Mapping[str, bytes | Path],
    *,
    target: str | None,
) -> dict[str, bytes]:
    """Everything under `kubernetes/` (and `monitoring/`); `files` are all others of the bundle.

    `target` is the device where it is a target that the spec names besides the free choice.
    """
    options = deploy.kubernetes
    assert options is not None  # noqa: S101 - asked only where it is set
    mounted = {SERVE_FILE: yaml_text(settings.all).encode()}
    if CHAT_TEMPLATE in files:
        mounted[CHAT_TEMPLATE] = _content(files[CHAT_TEMPLATE])
    parts = _Parts(
        plan=plan,
        checkpoint=checkpoint,
        settings=settings,
        options=options,
        release=release,
        container=container_of(plan.candidate, checkpoint, settings, release, deploy.vllm, options.image),
        served_name=problem.source.served_name,
        step_times=problem.step_times,
        mounted=mounted,
        digest=release_digest({**mounted, MODEL_FOLDER: checkpoint.digest}),
    )
    model, llm = _model(parts)
    name = object_name(problem.name, target)
    identity = Identity(name=name, namespace=options.namespace, component=COMPONENT, labels=dict(options.labels))
    made = Release(
        problem=problem,
        plan=plan,
        options=options,
        served=served(problem, plan, identity),
        server=_server(parts, model),
        model=model,
        hardware=settings.hardware,
        release=parts.digest,
        bundle=bundle_digest(_digests(files), None if checkpoint.folder is None else MODEL_FOLDER),
        llm=llm,
    )
    return kubernetes_files(made)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What the pieces are made of. `mounted` are the server's files, `digest` that of what is served."""

    plan: Plan
    checkpoint: Checkpoint
    settings: ServeSettings
    options: Kubernetes
    release: VllmRelease
    container: Container
    served_name: str
    step_times: tuple[StepTimeProfile, ...]
    mounted: Mapping[str, bytes]
    digest: str

    @property
    def weights_bytes(self) -> float:
        """Size of the weights, over all devices of a replica."""
        return self.plan.estimate.memory.weights_bytes * self.plan.candidate.devices


def served(problem: LlmProblem, plan: Plan, identity: Identity) -> Served:
    """What monitoring and autoscaling know of the deployment."""
    return Served(
        identity=identity,
        server="vllm",
        model=problem.source.served_name,
        goals=tuple(_goals(problem, plan)),
        availability=problem.availability,
        replicas=plan.candidate.replicas,
        instances_per_replica=1,
        peak_rps=problem.traffic.peak_rps,
        metrics_port="http",
        shadow_outputs={},
    )


def _goals(problem: LlmProblem, plan: Plan) -> Iterator[Goal]:
    tokens = plan.estimate.tokens
    groups: tuple[tuple[Literal["latency", "ttft", "tpot"], tuple[LatencyTarget, ...], Mapping[str, Interval]], ...] = (
        ("ttft", problem.ttft, tokens.ttft_s if tokens else {}),
        ("tpot", problem.tpot, tokens.tpot_s if tokens else {}),
        ("latency", problem.e2e, plan.estimate.e2e_s),
    )
    for metric, targets, predicted in groups:
        for target in targets:
            value = predicted.get(target.label)
            yield Goal(
                metric=metric,
                label=target.label if metric == "latency" else f"{metric} {target.label}",
                percentile=target.percentile,
                limit_s=target.limit_s,
                predicted_s=None if value is None else value.value,
            )


def _model(parts: "_Parts") -> tuple[ModelFiles, LlmModel]:
    """Where the pod finds the model, and what KServe is told of it."""
    options, checkpoint, candidate = parts.options, parts.checkpoint, parts.plan.candidate
    storage, is_kserve = options.storage, options.flavor == "kserve"
    fetched = is_kserve and (storage is None or isinstance(storage, PvcStorage))
    if storage is None:
        revision = f":{checkpoint.revision}" if checkpoint.revision else ""
        uri = f"hf://{checkpoint.repo}{revision}"
        model = ModelFiles(path=_KSERVE_PATH if is_kserve else "", egress=(_HTTPS,), provided=_hub_words(checkpoint))
    else:
        needs = ModelNeeds(
            mount=f"{BUNDLE_MOUNT}/{MODEL_FOLDER}",
            folder=MODEL_FOLDER,
            release=parts.digest,
            model_bytes=parts.weights_bytes,
        )
        model = model_files(storage, needs, options)
        uri = storage_uri(storage, parts.digest)
        if fetched:
            model = ModelFiles(path=_KSERVE_PATH, provided=model.provided)
    if parts.container.has_hub_drafter and _HTTPS not in model.egress:
        model = replace(model, egress=(*model.egress, _HTTPS))
    return model, LlmModel(
        uri=uri,
        served_name=parts.served_name,
        tensor_parallel=candidate.tensor_parallel,
        pipeline_parallel=candidate.pipeline_parallel,
        is_fetched=fetched,
    )


def _hub_words(checkpoint: Checkpoint) -> str:
    return (
        f"a way to huggingface.co, from where each pod fetches {checkpoint.repo} when it starts, and for a gated model"
        f" the Secret {TOKEN_SECRET} with the key token"
    )


def _server(parts: "_Parts", model: ModelFiles) -> Server:
    container, settings = parts.container, parts.settings
    is_local = bool(model.path) and not container.has_hub_drafter
    known = dict(container.environment) | {"HOME": _HOME, "USER": "infc"}
    if is_local:
        known |= _OFFLINE
    is_offline = _OFFLINE.keys() <= known.keys()
    return Server(
        image=container.image,
        command=ENTRYPOINT,
        # The model on the command line goes before the one in the file.
        arguments=(*([model.path] if model.path else []), "--config", f"{BUNDLE_MOUNT}/{SERVE_FILE}"),
        ports=(Port(name="http", number=PORT),),
        health=Health(started=HEALTH_PATH, ready=MODELS_PATH, alive=HEALTH_PATH),
        needs=Needs(
            devices=container.devices,
            cores=settings.hardware.sm_count if container.is_cpu else 2 * container.devices,
            memory_bytes=_PROCESSES_BYTES + (parts.plan.estimate.memory.total_bytes if container.is_cpu else 0.0),
            shared_memory_bytes=container.shared_memory_bytes,
        ),
        load=_load(parts),
        user=_CPU_USER if container.is_cpu else parts.release.user,
        group=_CPU_USER if container.is_cpu else parts.release.group,
        stop_s=container.stop_s,
        environment=known,
        secrets={} if is_offline else {"HF_TOKEN": (TOKEN_SECRET, "token")},
        scratch={"home": _HOME},
        files=parts.mounted,
        files_path=BUNDLE_MOUNT,
    )


def _load(parts: "_Parts") -> LoadTime:
    """The longest start that was measured of this model on this device, else an estimate.

    An estimate is never below what KServe's own runtime grants a language model. What the hub sends is not in a
    measured start: it comes on top.
    """
    candidate = parts.plan.candidate
    measured = [
        profile.load_s
        for profile in parts.step_times
        if profile.load_s is not None
        and profile.hardware_id == candidate.hardware_id
        and profile.precision == candidate.precision
        and profile.tensor_parallel == candidate.tensor_parallel
    ]
    if measured:
        fetched_s = parts.weights_bytes / READ_BYTES_PER_S if parts.options.storage is None else 0.0
        return load_time(measured_s=max(measured), fetched_s=fetched_s, model_bytes=parts.weights_bytes, boot_s=_BOOT_S)
    return load_time(measured_s=None, model_bytes=parts.weights_bytes, boot_s=_BOOT_S, least_s=START_BUDGET_S / FACTOR)


def _digests(files: Mapping[str, bytes | Path]) -> dict[str, str]:
    prefix = f"{MODEL_FOLDER}/"
    return {path: content_digest(content) for path, content in files.items() if not path.startswith(prefix)}


def _content(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
