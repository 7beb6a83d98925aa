"""How an engine builder is asked to build."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

HardwareCompatibility: TypeAlias = Literal["none", "ampere_plus", "same_compute_capability"]
"""On which GPUs besides its own an engine runs: none, every one from SM 8.0 on, or those of its compute capability."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How the builder is asked to build, in TensorRT's own terms; every field is part of the engine key.

    `optimization_level` is 0 to 5 (None: the library's default, 3). `workspace_bytes` bounds scratch memory of one
    kernel (None: the device's memory). `is_version_compatible` engines load in later versions of the same major,
    `is_weight_streaming` engines can keep weights in host memory, `is_refittable` ones take new weights. `dla_core`
    is the deep learning accelerator that layers go to first, with the GPU as fallback. A library that lacks an option
    refuses the request; none is dropped silently.
    """

    optimization_level: int | None = None
    workspace_bytes: int | None = None
    is_version_compatible: bool = False
    hardware_compatibility: HardwareCompatibility = "none"
    is_weight_streaming: bool = False
    is_refittable: bool = False
    dla_core: int | None = None


DEFAULT_BUILD_OPTIONS = BuildOptions()
"""The library's own way."""
