"""compose.yaml: one replica on one host."""

from infc.emit.vllm.container import BUNDLE_MOUNT, ENTRYPOINT, HEALTH_PATH, START_BUDGET_S, Container
from infc.emit.vllm.serve_yaml import SERVE_FILE
from infc.emit.vllm.settings import PORT
from infc.emit.yaml_text import YamlValue, yaml_text

COMPOSE_FILE = "compose.yaml"
_CACHE_MOUNT = "/root/.cache"
_HEADER = """\
# One replica of {name}, in containers: docker compose up --wait
# Another port on the host: INFC_PORT=8001 docker compose up --wait
"""


def compose_yaml(name: str, container: Container) -> bytes:
    """The file's bytes. The bundle is mounted read-only; nothing is privileged."""
    document: dict[str, YamlValue] = {"name": name, "services": {name: _service(container)}}
    document["volumes"] = {"cache": {}}
    return (_HEADER.format(name=name) + yaml_text(document)).encode()


def _service(container: Container) -> dict[str, YamlValue]:
    environment: dict[str, YamlValue] = dict(container.environment)
    if container.is_from_hub:
        environment["HF_TOKEN"] = "${HF_TOKEN:-}"  # noqa: S105 - of the host that starts it
    service: dict[str, YamlValue] = {
        "image": container.image,
        "entrypoint": list(ENTRYPOINT),
        "command": ["--config", SERVE_FILE],
        "working_dir": BUNDLE_MOUNT,
        "environment": environment,
        "volumes": [
            {"type": "bind", "source": ".", "target": BUNDLE_MOUNT, "read_only": True},
            # Compiled kernels, and weights that come from the hub: the next start finds them.
            {"type": "volume", "source": "cache", "target": _CACHE_MOUNT},
        ],
        "ports": [f"${{INFC_PORT:-{PORT}}}:{PORT}"],
        "shm_size": f"{container.shared_memory_bytes // 2**30}gb",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "healthcheck": _healthcheck(),
        "stop_grace_period": f"{container.stop_s}s",
        "restart": "unless-stopped",
    }
    if container.devices:
        device: dict[str, YamlValue] = {"driver": "nvidia", "count": container.devices, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return service


def _healthcheck() -> dict[str, YamlValue]:
    url = f"http://127.0.0.1:{PORT}{HEALTH_PATH}"
    return {
        "test": ["CMD", "python3", "-c", f"import urllib.request; urllib.request.urlopen('{url}', timeout=5)"],
        "interval": "10s",
        "timeout": "10s",
        "retries": 3,
        "start_period": f"{START_BUDGET_S}s",
    }
