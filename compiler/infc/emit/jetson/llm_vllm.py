"""The recipe of vLLM on a Jetson module: serve.yaml for the release that the module's image holds, and compose.yaml."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infc.diag import Diagnostic, InternalError, has_errors
from infc.emit.jetson.compose import COMPOSE_FILE, HTTP_PORT
from infc.emit.jetson.llm_place import DIGESTS_FILE, ModelPlace
from infc.emit.vllm.container import BUNDLE_MOUNT, ENTRYPOINT, START_BUDGET_S, STOP_MARGIN_S
from infc.emit.vllm.schema import argument_schema
from infc.emit.vllm.serve_yaml import SERVE_FILE, serve_yaml
from infc.emit.vllm.settings import MODEL_FOLDER, PORT, ServeSettings, serve_settings
from infc.emit.vllm.user_arguments import with_arguments
from infc.emit.yaml_text import YamlValue, yaml_text
from infc.ir.checkpoint import Checkpoint
from infc.ir.hardware import Hardware
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.ir.spec import Vllm
from infc.resolve.jetson_llm import VllmImage

START_S = float(START_BUDGET_S)
"""How long a server may take until it answers: weights from a slow disk, and kernels that are compiled once."""
_MODEL_MOUNT = "/model"
_CACHE_MOUNT = "/root/.cache"
_SHARED_MEMORY = "2gb"
_HEADER = """\
# {name} on {hardware}, written by infc. The agent starts it through systemd/infc-{name}.service.
# The image must be on the device: docker pull {image}
"""


def vllm_files(
    problem: LlmProblem,
    plan: Plan,
    checkpoint: Checkpoint,
    place: ModelPlace,
    image: VllmImage,
    options: Vllm | None,
    memory_bytes: float,
    extra_files: Mapping[str, bytes | Path],
) -> tuple[dict[str, bytes | Path] | None, tuple[Diagnostic, ...]]:
    """serve.yaml and compose.yaml; or what of the user's own arguments the image's vLLM does not take.

    `memory_bytes` is what of the module's memory the container may hold; it never swaps. `extra_files` are those of the
    bundle that settings name (a chat template, a drafter's folder).
    """
    schema = argument_schema(image.vllm)
    # On the device the model is a folder, wherever it comes from.
    settings = serve_settings(
        problem, plan, replace(checkpoint, folder=Path(MODEL_FOLDER)), schema, frozenset(extra_files)
    )
    settings = settings if place.folder is None else _with_model(settings, _MODEL_MOUNT)
    complete, problems = with_arguments(settings, options.args if options else {}, schema, problem.spans.get)
    if complete is None or has_errors(problems):
        return None, problems
    compose = _compose_yaml(problem.name, settings.hardware, place, image, options, memory_bytes, settings.drain_s)
    return {SERVE_FILE: serve_yaml(problem, plan, complete, schema), COMPOSE_FILE: compose}, problems


def image_of(image: VllmImage, options: Vllm | None) -> str:
    """The container's image: the spec's, else the one that is known to run on the module."""
    return (options.image if options else None) or image.image


def _with_model(settings: ServeSettings, path: str) -> ServeSettings:
    first, *others = settings.sections
    if "model" not in first.settings:
        raise InternalError("the first section of serve.yaml names the model")
    note = f"model: the folder that the container has as {path}; {DIGESTS_FILE} names its files"
    named = replace(first, settings={**first.settings, "model": path}, notes=(note, *first.notes[1:]))
    return replace(settings, sections=(named, *others))


def _compose_yaml(
    name: str,
    hardware: Hardware,
    place: ModelPlace,
    image: VllmImage,
    options: Vllm | None,
    memory_bytes: float,
    drain_s: int,
) -> bytes:
    mounts: list[YamlValue] = [_bind(".", BUNDLE_MOUNT)]
    if place.folder is not None:
        mounts.append(_bind(place.folder, _MODEL_MOUNT))
    # Kernels that were compiled at the first start: the next one finds them.
    mounts.append({"type": "volume", "source": "cache", "target": _CACHE_MOUNT})
    memory = f"{int(memory_bytes // 2**20)}m"
    reference = image_of(image, options)
    service: dict[str, YamlValue] = {
        "image": reference,
        "pull_policy": "never",
        "runtime": "nvidia",
        **_command(place),
        "working_dir": BUNDLE_MOUNT,
        "environment": {
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
        "volumes": mounts,
        "ports": [f"127.0.0.1:{HTTP_PORT}:{PORT}"],
        "shm_size": _SHARED_MEMORY,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory,
        "memswap_limit": memory,
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "stop_grace_period": f"{drain_s + STOP_MARGIN_S}s",
        "restart": "no",
    }
    if image.needs_gpu_request:
        device: dict[str, YamlValue] = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    document: dict[str, YamlValue] = {"name": f"infc-{name}", "services": {name: service}, "volumes": {"cache": {}}}
    header = _HEADER.format(name=name, hardware=hardware.name, image=reference)
    return (header + yaml_text(document)).encode()


def _command(place: ModelPlace) -> dict[str, YamlValue]:
    """How the container starts: of a model that travels apart, every file is compared with its digest first."""
    serve = [*ENTRYPOINT, "--config", SERVE_FILE]
    if place.folder is None:
        return {"entrypoint": list(ENTRYPOINT), "command": ["--config", SERVE_FILE]}
    check = f"cd {_MODEL_MOUNT} && sha256sum --check --quiet --strict {BUNDLE_MOUNT}/{DIGESTS_FILE}"
    script = f"({check}) && exec {shlex.join(serve)}"
    return {"entrypoint": ["/bin/sh", "-c", script], "command": []}


def _bind(source: str, target: str) -> dict[str, YamlValue]:
    mount: dict[str, YamlValue] = {"type": "bind", "source": source, "target": target, "read_only": True}
    return {**mount, "bind": {"create_host_path": False}}
