"""Everything under `kubernetes/` of a bundle: one object a file, and the kustomization that names them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from infc.emit.kubernetes.availability import disruption_budget, rolling_update
from infc.emit.kubernetes.devices import selector_note
from infc.emit.kubernetes.digests import BUNDLE_ANNOTATION, RELEASE_ANNOTATION
from infc.emit.kubernetes.kserve import LlmModel, inference_service, llm_inference_service, scaling_of
from infc.emit.kubernetes.network import network_policy
from infc.emit.kubernetes.objects import (
    Manifest,
    config_map,
    kustomization,
    manifest_bytes,
    service,
    service_name,
)
from infc.emit.kubernetes.pod import CONFIG_VOLUME, PodParts
from infc.emit.kubernetes.served import Served
from infc.emit.kubernetes.server import Server
from infc.emit.kubernetes.storage import ModelFiles
from infc.emit.kubernetes.workload import Workload, deployment
from infc.emit.templates import TemplateValue, render
from infc.ir.hardware import Hardware
from infc.ir.object_name import LLM_SUFFIX, PREDICTOR_SUFFIX
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.ir.spec.kubernetes import Kubernetes
from infc.resolve.targets.location import data_directory

FOLDER = "kubernetes"
_SCALED_OBJECT = "scaledobject"


@dataclass(frozen=True, kw_only=True)
class Release:
    """One deployment, as the emitter of its server says it.

    `release` and `bundle` are digests (`emit.kubernetes.digests`). `llm` is set where the server is of a language
    model: what KServe asks of one.
    """

    problem: AnyProblem
    plan: Plan
    options: Kubernetes
    served: Served
    server: Server
    model: ModelFiles
    hardware: Hardware
    release: str
    bundle: str
    llm: LlmModel | None = None


def kubernetes_files(made: Release) -> dict[str, bytes]:
    """The files under `kubernetes/` and, where the spec asks for monitoring, those under `monitoring/`."""
    manifests, others = _around(made)
    scaling = manifests.get(_SCALED_OBJECT)
    if made.llm is not None and made.options.flavor == "kserve":
        manifests.pop(_SCALED_OBJECT, None)
    config = config_map(made.served.identity, made.server.files) if made.server.files else None
    if config is not None:
        manifests[CONFIG_VOLUME] = config
    workload = _workload(made, config, is_scaled=made.options.autoscale is not None)
    name, manifest = _object(made, workload, scaling)
    manifests[name] = manifest
    notes = {name: tuple(_notes(made, workload))}
    files = {f"{key}.yaml": manifest_bytes(each, notes.get(key, ())) for key, each in sorted(manifests.items())}
    files["kustomization.yaml"] = manifest_bytes(kustomization(tuple(files)))
    files["README.md"] = _readme(made, manifests, workload)
    return {f"{FOLDER}/{path}": content for path, content in files.items()} | others


def _around(made: Release) -> tuple[dict[str, Manifest], dict[str, bytes]]:
    """Objects beside the one that runs the pods, by the names of their files; and files of other folders."""
    identity, server, options = made.served.identity, made.server, made.options
    manifests: dict[str, Manifest] = {"networkpolicy": network_policy(identity, server.ports, made.model.egress)}
    if options.flavor == "deployment":
        manifests["service"] = service(identity, {port.name: port.number for port in server.ports})
    if _is_several(made):
        manifests["poddisruptionbudget"] = disruption_budget(identity, made.problem.limits)
    files: dict[str, bytes] = {}
    served = replace(made.served, start_s=server.load.seconds)
    if options.monitoring:
        from infc.emit.autoscaling import planned_figures
        from infc.emit.monitoring import monitoring_files, monitoring_manifests

        served = replace(served, planned=planned_figures(made.problem, made.plan))
        manifests |= monitoring_manifests(served)
        files |= monitoring_files(served)
    if options.autoscale is not None:
        from infc.emit.autoscaling import autoscaling_files, autoscaling_manifests

        target = _scale_target(made)
        manifests |= autoscaling_manifests(served, made.problem, made.plan, options.autoscale, target=target)
        files |= autoscaling_files(options.autoscale)
    return manifests, files


def _scale_target(made: Release) -> Manifest:
    """The Deployment that an autoscaler scales; KServe makes it, and names it after its own object."""
    name = made.served.identity.name
    if made.options.flavor == "kserve":
        name = service_name(made.served.identity) + (PREDICTOR_SUFFIX if made.llm is None else LLM_SUFFIX)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def _is_several(made: Release) -> bool:
    """Whether more than one replica may run: with one, a budget either blocks every drain or says nothing."""
    return made.plan.candidate.replicas > 1 or made.options.autoscale is not None


def _workload(made: Release, config: Manifest | None, *, is_scaled: bool) -> Workload:
    parts = PodParts(
        identity=made.served.identity,
        options=made.options,
        server=made.server,
        model=made.model,
        hardware=made.hardware,
        config_name=None if config is None else name_of(config),
        is_spread=_is_several(made),
    )
    return Workload(
        parts=parts,
        update=rolling_update(made.problem, made.plan),
        replicas=None if is_scaled else made.plan.candidate.replicas,
        release={RELEASE_ANNOTATION: made.release},
        bundle={BUNDLE_ANNOTATION: made.bundle},
    )


def _object(made: Release, workload: Workload, scaled_object: Manifest | None) -> tuple[str, Manifest]:
    if made.options.flavor == "deployment":
        return "deployment", deployment(workload, container_name=made.served.server)
    if made.llm is None:
        return "inferenceservice", inference_service(workload)
    scaling = None if scaled_object is None else scaling_of(scaled_object)
    return "llminferenceservice", llm_inference_service(workload, made.llm, scaling)


def name_of(manifest: Manifest) -> str:
    """The name in an object's metadata."""
    metadata = manifest["metadata"]
    assert isinstance(metadata, Mapping)  # noqa: S101 - built by infc
    return str(metadata["name"])


def _notes(made: Release, workload: Workload) -> Iterator[str]:
    server = made.server
    yield (
        f"{made.problem.name} on {made.plan.candidate.target}, compiled by infc from "
        f"{PurePosixPath(made.problem.spec_path).name}: change the spec and compile again, or patch it in an overlay."
    )
    yield "To be there before it: " + (made.model.provided or "nothing") + "."
    if "@" not in server.image:
        yield (
            f"- image: {server.image} is a tag, which a registry may move. Pin it by digest: deploy.kubernetes.image,"
            " or `images:` of an overlay"
        )
    yield (
        f"- startupProbe: {server.load.words}; a start may take {server.load.budget_s} s before the container is"
        " started again"
    )
    if workload.replicas is None:
        yield "- replicas: left to the autoscaler; an object that sets them would undo it with every apply"
    note = selector_note(made.hardware)
    if note:
        yield f"- {note}"
    yield from (f"- {each}" for each in server.notes)


def _readme(made: Release, manifests: Mapping[str, Manifest], workload: Workload) -> bytes:
    options, identity = made.options, made.served.identity
    ports = made.server.ports
    values: dict[str, TemplateValue] = {
        "name": identity.name,
        "namespace": options.namespace,
        "flavor": options.flavor,
        "is_llm": made.llm is not None,
        "service": service_name(identity) if options.flavor == "deployment" else None,
        "port": ports[0].number,
        "has_gpu": made.server.needs.devices > 0,
        "object": identity.name if options.flavor == "deployment" else service_name(identity),
        "ready": made.server.health.ready,
        "provided": made.model.provided,
        "image": made.server.image,
        "is_pinned": "@" in made.server.image,
        "image_name": _image_name(made.server.image),
        "release": made.release,
        "replicas": workload.replicas,
        "has_surge": workload.update["maxSurge"] != 0,
        "has_budget": "poddisruptionbudget" in manifests,
        "budget_s": made.server.load.budget_s,
        "load": made.server.load.words,
        "kinds": tuple(sorted(str(each["kind"]) for each in manifests.values())),
    }
    return render(data_directory("targets") / "servers" / "kubernetes" / "templates", "README.md.j2", values)


def _image_name(image: str) -> str:
    """An image without tag and digest, as kustomize's `images:` names it.

    >>> _image_name("registry.example.com:5000/triton:24.10-py3"), _image_name("vllm/vllm-openai@sha256:12")
    ('registry.example.com:5000/triton', 'vllm/vllm-openai')
    """
    path, _, name = image.partition("@")[0].rpartition("/")
    return f"{path}/{name.partition(':')[0]}" if path else name.partition(":")[0]
