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

    `throttle_c` is the junction temperature from which the module slows itself down (None: no source says it).
    `os_memory_bytes` is what a headless system holds of the shared memory.
    """

    hardware_id: str
    modules: tuple[str, ...]
    soc: str
    dla_cores: int
    throttle_c: float | None
    os_memory_bytes: float
    sources: tuple[str, ...]
    recalled_fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JetsonSetup:
    """A Jetson module as a spec has it: what is installed on it, and who else needs its memory.

    `jetpack`, `tensorrt` and `module` are None where infc does not know them (a module of the user's own). `refusal`
    says why the module is out whatever is planned for it, `dla_refusal` why its deep learning accelerators stay unused
    although the spec asks for them (`is_dla_wanted`). `residents_bytes` is what the spec leaves to other programs and
    `max_temperature_c` what a release must stay below, None where it does not say.
    """

    jetpack: JetPack | None
    tensorrt: str | None
    module: JetsonModule | None
    refusal: str | None = None
    is_dla_wanted: bool = False
    dla_refusal: str | None = None
    residents_bytes: float | None = None
    max_temperature_c: float | None = None

    @property
    def reserved_bytes(self) -> float | None:
        """Memory that is not the deployment's: other programs and the system; None where the spec does not say."""
        if self.residents_bytes is None:
            return None
        return self.residents_bytes + (0.0 if self.module is None else self.module.os_memory_bytes)
