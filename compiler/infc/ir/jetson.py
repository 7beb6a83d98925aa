"""What JetPack releases bring and what Jetson modules are, as data files say: `targets/servers/jetson/`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class JetPack:
    """One JetPack release.

    `l4t` is the release of Jetson Linux that it is (`36.4.3`), `tensorrt` the version that it installs and
    `tensorrt_also` others that can be installed on it. `hardware_ids` are the modules that it runs on. `dla` maps a
    hardware id to the TensorRT versions under which its accelerators can be used. `recalled_fields` rest on recall.
    """

    version: str
    l4t: str
    cuda: str
    tensorrt: str
    tensorrt_also: tuple[str, ...]
    ubuntu: str
    python: str
    hardware_ids: tuple[str, ...]
    dla: Mapping[str, tuple[str, ...]]
    has_super_modes: bool
    triton_image: str | None
    sources: tuple[str, ...]
    recalled_fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JetsonModule:
    """A module as it names itself: ids of its board (`p3767-0000`), its SoC (`tegra234`), its accelerators.

    `throttle_c` is the junction temperature from which the module slows itself down (None: no source); `os_memory_bytes`
    is what a headless system holds of the shared memory.
    """

    hardware_id: str
    modules: tuple[str, ...]
    soc: str
    dla_cores: int
    throttle_c: float | None
    os_memory_bytes: float
    sources: tuple[str, ...]
    recalled_fields: tuple[str, ...] = ()
