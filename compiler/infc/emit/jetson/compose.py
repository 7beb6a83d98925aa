"""compose.yaml: Triton on one device, from the image that goes with its JetPack.

The container loads the TensorRT of the device in place of its own: an engine loads only in the exact build of TensorRT
that made it, and JetPack's build is never the image's (JetPack 6.2 has 10.3.0.30, Triton 24.08 has 10.3.0.26; Triton
says "expecting library version ... got ...", triton-inference-server/server #5975). The library is mounted over the
container's, which has the same name, since that is the major version.

Images up to JetPack 6 are made for the module's own GPU driver (`-igpu`) and need NVIDIA's container runtime. From
JetPack 7 on they are those of Arm servers, and on Orin need the GPU asked for besides: with one of the two alone the
container is refused or lacks libcuda (mudler/vllm.cpp #422). A Jetson has no NVML, so Triton's GPU metrics are off.
"""

from collections.abc import Sequence

from infc.diag import InternalError
from infc.emit.jetson.parts import JetsonPart
from infc.emit.jetson.triton_repository import REPOSITORY
from infc.emit.yaml_text import YamlValue, yaml_text

COMPOSE_FILE = "compose.yaml"
TARGET_ENVIRONMENT = "target.env"
"""Written by the device beside compose.yaml: the values of the target that it is (`environment` in the manifest)."""
HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
BUNDLE_MOUNT = "/bundle"
READY_TIMEOUT_S = 300.0
_EXIT_TIMEOUT_S = 30
_LIBRARIES = "/usr/lib/aarch64-linux-gnu"
_MOUNTED = ("libnvinfer.so", "libnvinfer_plugin.so")
_SHARED_MEMORY = "256mb"
_MOST_PROCESSES = 1024
_HEADER = """\
# {name} on a Jetson module, written by infc. The agent starts it through systemd/infc-{name}.service.
# The image must be on the device: docker pull {image}
"""


def compose_yaml(parts: Sequence[JetsonPart], image: str) -> bytes:
    """The file's bytes; read-only, without capabilities, reachable from the device alone."""
    name = parts[0].problem.name
    document: dict[str, YamlValue] = {"name": f"infc-{name}", "services": {name: _service(parts, image)}}
    return (_HEADER.format(name=name, image=image) + yaml_text(document)).encode()


def target_environment(part: JetsonPart) -> dict[str, str]:
    """What compose.yaml takes from the environment: which module it is, how much memory is the service's."""
    return {"INFC_TARGET": part.hardware.id, "INFC_MEMORY": f"{_memory_mib(part)}m"}


def _service(parts: Sequence[JetsonPart], image: str) -> dict[str, YamlValue]:
    first = parts[0]
    if len({part.tensorrt_major for part in parts}) != 1:
        raise InternalError("modules of one image have TensorRT of one major version")
    service: dict[str, YamlValue] = {
        "image": image,
        "pull_policy": "never",
        "runtime": "nvidia",
        "command": _command(first.problem.name),
        "volumes": [_bind(".", BUNDLE_MOUNT), *_tensorrt(first.tensorrt_major)],
        "ports": [f"127.0.0.1:{port}:{port}" for port in (HTTP_PORT, GRPC_PORT, METRICS_PORT)],
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - of the container
        "shm_size": _SHARED_MEMORY,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"${{INFC_MEMORY:-{min(map(_memory_mib, parts))}m}}",
        "pids_limit": _MOST_PROCESSES,
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "stop_grace_period": f"{_EXIT_TIMEOUT_S + 15}s",
        "restart": "no",
    }
    if not image.endswith("-igpu"):
        device: dict[str, YamlValue] = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return service


def _command(name: str) -> list[YamlValue]:
    return [
        "tritonserver",
        f"--model-repository={BUNDLE_MOUNT}/{REPOSITORY}",
        "--model-control-mode=explicit",
        f"--load-model={name}",
        "--model-config-name=${INFC_TARGET:-common}",
        f"--http-port={HTTP_PORT}",
        f"--grpc-port={GRPC_PORT}",
        f"--metrics-port={METRICS_PORT}",
        "--allow-gpu-metrics=false",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
    ]


def _tensorrt(major: int) -> list[YamlValue]:
    return [_bind(f"{_LIBRARIES}/{file}.{major}", f"{_LIBRARIES}/{file}.{major}") for file in _MOUNTED]


def _bind(source: str, target: str) -> dict[str, YamlValue]:
    mount: dict[str, YamlValue] = {"type": "bind", "source": source, "target": target, "read_only": True}
    # Without it a missing source becomes an empty folder, and the server says something else.
    return {**mount, "bind": {"create_host_path": False}}


def _memory_mib(part: JetsonPart) -> int:
    """MiB of the module's memory that the service may take: all but what others and the system hold."""
    reserved = part.problem.reserved_bytes(part.hardware.id)
    others = part.module.os_memory_bytes if reserved is None else reserved
    return int((part.hardware.memory_bytes - others) // 2**20)
