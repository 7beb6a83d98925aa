"""One replica's server as a container, whichever server it is: what the emitters of Triton and vLLM say of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infc.emit.kubernetes.load_time import LoadTime


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the container, by its name in the Service."""

    name: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Health:
    """Paths on the port `http` that answer 200: when everything is loaded, while it takes requests, while it lives."""

    started: str
    ready: str
    alive: str


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a replica asks its node for.

    `devices` are GPUs, 0 on a CPU. `cores` None leaves the CPU open. On a CPU the requests are limits too: the plan
    holds for exactly these. `shared_memory_bytes` is the size of /dev/shm, which counts against the memory.
    """

    devices: int
    cores: int | None
    memory_bytes: float
    shared_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Server:
    """The container of one replica.

    `command` and `arguments` are what is run, the model's place in them. `files` are mounted from a ConfigMap under
    `files_path`, which is the working directory then. `scratch` maps the name of a folder that the server may write to
    its path, `memory_folders` the same for folders in memory of at most so many bytes. `user` and `group` are what it
    runs as. `stop_s` is how long it may take to end after it is told to. `notes` are for whoever reads the manifest.
    """

    image: str
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    ports: tuple[Port, ...]
    health: Health
    needs: Needs
    load: LoadTime
    user: int
    group: int
    stop_s: int
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    scratch: Mapping[str, str] = field(default_factory=dict)
    memory_folders: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    files_path: str = "/bundle"
    notes: tuple[str, ...] = ()
