"""A model repository in a cluster: what Triton's pods need, for the emitter that all servers share."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from infc.build.server_settings import ENGINE_CACHE
from infc.diag import Diagnostic, Severity
from infc.emit.kubernetes.digests import bundle_digest, release_digest
from infc.emit.kubernetes.load_time import LoadTime, load_time
from infc.emit.kubernetes.objects import Identity
from infc.emit.kubernetes.release import Release, kubernetes_files
from infc.emit.kubernetes.served import Goal, Served
from infc.emit.kubernetes.server import Health, Needs, Port, Server
from infc.emit.kubernetes.storage import ModelFiles, ModelNeeds, model_files
from infc.emit.manifest import content_digest
from infc.emit.release import TritonRelease
from infc.emit.triton.launch import (
    EXIT_TIMEOUT_S,
    GRPC_PORT,
    HTTP_PORT,
    METRICS_PORT,
    PROGRAM,
    REPOSITORY,
    cluster_arguments,
    server_image,
)
from infc.emit.triton.own_backends import own_backend_of
from infc.emit.triton.settings import ModelSettings
from infc.emit.triton.shadow import shadow_folders, shadow_outputs
from infc.ir.engine import Engine, PendingEngine
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.hardware import Hardware
from infc.ir.object_name import object_name
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.ir.spec.kubernetes import Kubernetes
from infc.ir.spec.model_storage import ModelStorage, PvcStorage, VolumeClaim

COMPONENT: Literal["triton"] = "triton"
_FOLDER = "model_repository"
_USER = 1000
"""`triton-server` of NVIDIA's image. Source: triton-inference-server/server, Dockerfile templates of build.py."""
_PORTS = (
    Port(name="http", number=HTTP_PORT),
    Port(name="grpc", number=GRPC_PORT),
    Port(name="metrics", number=METRICS_PORT),
)
_BOOT_S = 20.0
"""A start without a model: the server itself and the device's context. About 3 s measured on a CPU; the rest is room
for a GPU's, of which no measurement is at hand."""
_ENGINE_BUILD_S = 600.0
"""ONNX Runtime's TensorRT provider builds engines at the first start: minutes, as TensorRT's builder takes."""
_SERVER_BYTES = 2 * 2**30
_SHARED_BYTES = 256 * 2**20
_SHARED_OWN_BYTES = 2**30
"""Python backends pass tensors through shared memory: 1 GiB, as launch.sh gives them."""
_STOP_MARGIN_S = 10


def triton_kubernetes(
    problem: Problem,
    plan: Plan,
    engine: Engine | PendingEngine,
    settings: ModelSettings,
    options: Kubernetes,
    release: TritonRelease,
    files: Mapping[str, bytes | Path],
    *,
    target: str | None,
) -> tuple[dict[str, bytes], tuple[Diagnostic, ...]]:
    """Everything under `kubernetes/` (and `monitoring/`), and warnings; `files` are all others of the bundle.

    `target` is the device where it is a target that the spec names besides the free choice.
    """
    name = object_name(problem.name, target)
    identity = Identity(name=name, namespace=options.namespace, component=COMPONENT, labels=dict(options.labels))
    engine_file = f"{_FOLDER}/{problem.name}/1/{ENGINE_NAMES[engine.kind]}"
    digest = release_digest(_served(files, engine, engine_file))
    needs = ModelNeeds(
        mount=REPOSITORY,
        folder=_FOLDER,
        release=digest,
        model_bytes=_model_bytes(problem, engine, files, engine_file),
        reads_s3=True,
    )
    model = model_files(options.storage or _default_storage(name), needs, options)
    hardware = _hardware(problem, plan)
    made = Release(
        problem=problem,
        plan=plan,
        options=options,
        served=served(problem, plan, settings, identity),
        server=_server(problem, plan, engine, settings, options, release, hardware, model, needs, _models(files)),
        model=model,
        hardware=hardware,
        release=digest,
        bundle=bundle_digest(_digests(files, engine_file), engine_file),
    )
    return kubernetes_files(made), tuple(_warnings(problem, name, engine, options, release))


def served(problem: Problem, plan: Plan, settings: ModelSettings, identity: Identity) -> Served:
    """What monitoring and autoscaling know of the deployment."""
    return Served(
        identity=identity,
        server="triton",
        model=problem.name,
        goals=tuple(
            Goal(
                metric="latency",
                label=target.label,
                percentile=target.percentile,
                limit_s=target.limit_s,
                predicted_s=plan.estimate.e2e_s[target.label].value if target.label in plan.estimate.e2e_s else None,
            )
            for target in problem.latency
        ),
        availability=problem.availability,
        replicas=plan.candidate.replicas,
        instances_per_replica=settings.instances * plan.candidate.devices,
        peak_rps=problem.traffic.peak_rps,
        metrics_port="metrics",
        shadow_outputs=shadow_outputs(problem),
        shadow_one_in=None if problem.shadow is None else problem.shadow.one_in,
    )


def _server(
    problem: Problem,
    plan: Plan,
    engine: Engine | PendingEngine,
    settings: ModelSettings,
    options: Kubernetes,
    release: TritonRelease,
    hardware: Hardware,
    model: ModelFiles,
    needs: ModelNeeds,
    models: Sequence[str],
) -> Server:
    has_python = own_backend_of(engine.kind) is not None or len(models) > 1
    return Server(
        image=options.image or server_image(engine, release),
        command=(PROGRAM,),
        arguments=cluster_arguments(problem, engine, model.path, models),
        ports=_PORTS,
        health=Health(started="/v2/health/ready", ready=f"/v2/models/{problem.name}/ready", alive="/v2/health/live"),
        needs=Needs(
            devices=0 if settings.is_cpu else plan.candidate.devices,
            cores=hardware.sm_count if settings.is_cpu else 1 + settings.instances,
            memory_bytes=_memory_bytes(plan, settings, needs),
            shared_memory_bytes=_SHARED_OWN_BYTES if has_python else _SHARED_BYTES,
        ),
        load=_load(problem, plan, engine, needs),
        user=_USER,
        group=_USER,
        stop_s=EXIT_TIMEOUT_S + _STOP_MARGIN_S,
        environment={"HOME": "/tmp"},  # noqa: S108 - of a container
        scratch={"engine-cache": ENGINE_CACHE} if settings.accelerator else {},
        memory_folders=shadow_folders(problem),
        notes=_server_notes(engine, options, release),
    )


def _server_notes(engine: Engine | PendingEngine, options: Kubernetes, release: TritonRelease) -> tuple[str, ...]:
    if own_backend_of(engine.kind) is None or options.image is not None:
        return ()
    image = server_image(engine, release)
    return (
        f"image: {image} is built from the bundle's Dockerfile; push it to a registry of yours, and name it in"
        " deploy.kubernetes.image or in `images:` of an overlay",
    )


def _load(problem: Problem, plan: Plan, engine: Engine | PendingEngine, needs: ModelNeeds) -> LoadTime:
    """The longest start that was measured of this engine on this device, else an estimate."""
    measured = [
        profile.load_s
        for profile in problem.measurements
        if profile.load_s is not None
        and profile.hardware_id == plan.candidate.hardware_id
        and profile.precision == plan.candidate.precision
        and profile.engine_kind == engine.kind
    ]
    least_s = _ENGINE_BUILD_S if engine.kind == "onnxruntime_tensorrt" else 0.0
    return load_time(
        measured_s=max(measured, default=None), model_bytes=needs.model_bytes, boot_s=_BOOT_S, least_s=least_s
    )


def _memory_bytes(plan: Plan, settings: ModelSettings, needs: ModelNeeds) -> float:
    """Memory of the host: the server, and the model once more while it is read; on a CPU all that the plan counts."""
    if settings.is_cpu:
        return _SERVER_BYTES + plan.estimate.memory.total_bytes
    return _SERVER_BYTES + needs.model_bytes


def _served(
    files: Mapping[str, bytes | Path], engine: Engine | PendingEngine, engine_file: str
) -> dict[str, bytes | str]:
    """What decides how a server behaves: settings without comments, the engine by its key, backends."""
    parts: dict[str, bytes | str] = {engine_file: engine.key}
    for path, content in files.items():
        if not path.startswith((f"{_FOLDER}/", "backends/")) or path == engine_file:
            continue
        if path.endswith(".pbtxt") and isinstance(content, bytes):
            lines = content.splitlines(keepends=True)
            parts[path] = b"".join(line for line in lines if not line.startswith(b"#"))
        else:
            parts[path] = content if isinstance(content, bytes) else content_digest(content)
    return parts


def _digests(files: Mapping[str, bytes | Path], engine_file: str) -> dict[str, str]:
    return {path: content_digest(content) for path, content in files.items() if path != engine_file}


def _models(files: Mapping[str, bytes | Path]) -> list[str]:
    """Names of the models in the repository."""
    paths = (PurePosixPath(path).parts for path in files)
    return sorted({parts[1] for parts in paths if parts[0] == _FOLDER and parts[-1] == "config.pbtxt"})


def _model_bytes(
    problem: Problem, engine: Engine | PendingEngine, files: Mapping[str, bytes | Path], engine_file: str
) -> float:
    own = engine.size_bytes if isinstance(engine, Engine) else problem.model.weight_bytes
    others = (content for path, content in files.items() if path.startswith(f"{_FOLDER}/") and path != engine_file)
    return own + sum(len(each) if isinstance(each, bytes) else each.stat().st_size for each in others)


def _hardware(problem: Problem, plan: Plan) -> Hardware:
    return next(o.hardware for o in problem.options if o.hardware.id == plan.candidate.hardware_id)


def _default_storage(name: str) -> ModelStorage:
    """A claim named after the deployment."""
    return PvcStorage(pvc=VolumeClaim(claim=default_claim(name)))


def default_claim(name: str) -> str:
    """The claim that holds the model where the spec does not say.

    >>> default_claim("product-encoder")
    'product-encoder-model'
    """
    return f"{name[:57].rstrip('-')}-model"


def _warnings(
    problem: Problem, name: str, engine: Engine | PendingEngine, options: Kubernetes, release: TritonRelease
) -> list[Diagnostic]:
    found = []
    if options.storage is None:
        found.append(
            Diagnostic(
                id="kubernetes-model",
                severity=Severity.WARNING,
                message=f"the cluster is expected to have the model on a claim {default_claim(name)}",
                span=problem.spans.get("deploy.kubernetes"),
                notes=("a model repository is too large for a ConfigMap, and Triton's image does not hold it",),
                help="say where pods find it: deploy.kubernetes.model, with pvc, oci or s3",
            )
        )
    if _server_notes(engine, options, release):
        found.append(
            Diagnostic(
                id="kubernetes-image",
                severity=Severity.WARNING,
                message=f"the image {server_image(engine, release)} is in no registry",
                span=problem.spans.get("deploy.kubernetes"),
                notes=("Triton has no backend for this engine; the bundle's Dockerfile adds it",),
                help="build it from the bundle, push it, and name it in deploy.kubernetes.image",
            )
        )
    return found
