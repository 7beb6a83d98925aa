"""What differs between NVIDIA's TensorRT libraries and their versions, as data. All else of their API is the same.

Sources: the names in the real bindings (tests/build/data, extracted from the published packages by
benchmarks/tensorrt_names.py); the migration guide from TensorRT 10 to 11 and its page on Jetson; "Working with DLA" of
TensorRT 11.4.1; TensorRT-RTX's support matrix; and what TensorRT-RTX 1.7 answers when asked, where this says so.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from infc.build.far.files import FORMAT_VERSION
from infc.build.far.options import unsupported_options, version_number
from infc.ir.build_options import BuildOptions
from infc.ir.engine_kind import EngineKind


@dataclass(frozen=True, kw_only=True)
class TensorRTVersions:
    """A library from version `at_least` until before `below`.

    `network_flags` are those that make a network strongly typed. `builder_flags` are set for the options of a build
    that are switches, `hardware_levels` are the values of its hardware compatibility. `refused` are the options (or
    `option=value`) that it lacks, with the reason and the way out; `dla_hardware` are the devices whose deep learning
    accelerator it can use.
    """

    at_least: tuple[int, int, int]
    below: tuple[int, int, int]
    network_flags: tuple[str, ...] = ()
    builder_flags: Mapping[str, str] = field(default_factory=dict)
    hardware_levels: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    dla_hardware: tuple[str, ...] = ()
    has_timing_cache: bool = True
    has_progress_monitor: bool = True


@dataclass(frozen=True, kw_only=True)
class TensorRTLibrary:
    """One library.

    `capabilities` are the compute capabilities it can build for without a GPU of that kind (name in its enum); empty
    means that it builds for the GPU at hand only. `versions` are in ascending order and do not overlap.
    """

    module: str
    package: str
    title: str
    capabilities: Mapping[str, str]
    versions: tuple[TensorRTVersions, ...]

    @property
    def needs_gpu(self) -> bool:
        """Whether an engine can only be built on the GPU that will run it."""
        return not self.capabilities

    def at(self, version: str) -> TensorRTVersions | None:
        """What an exact version has; None when infc does not know it.

        >>> LIBRARIES["tensorrt"].at("10.3.0").network_flags
        ('STRONGLY_TYPED',)
        """
        number = version_number(version)
        return next((entry for entry in self.versions if entry.at_least <= number < entry.below), None)


CAPABILITY_OF_TYPE: Mapping[str, str] = {"BF16": "8.0", "INT4": "8.0", "FP8": "8.9", "FP4": "10.0"}
"""The first compute capability whose hardware computes in a type; older types are everywhere that TensorRT runs.
Source: support matrices of TensorRT and TensorRT-RTX; FP8 and BF16 as TensorRT-RTX 1.7 answers."""

_SWITCHES = {
    "is_version_compatible": "VERSION_COMPATIBLE",
    "is_weight_streaming": "WEIGHT_STREAMING",
    "is_refittable": "REFIT",
}
_AMPERE_PLUS = {"ampere_plus": "AMPERE_PLUS"}
_ALL_LEVELS = {**_AMPERE_PLUS, "same_compute_capability": "SAME_COMPUTE_CAPABILITY"}
_NO_SAME_CAPABILITY = {
    "hardware_compatibility=same_compute_capability": "it came with TensorRT 10.9; use ampere_plus or a newer library"
}
_AGX_ORIN = ("jetson-agx-orin-32gb", "jetson-agx-orin-64gb")
_ORIN_WITH_DLA = (
    *_AGX_ORIN,
    "jetson-orin-nx-8gb",
    "jetson-orin-nx-16gb",
    "jetson-orin-nx-8gb-super",
    "jetson-orin-nx-16gb-super",
)
_NO_DLA_AFTER_10_7 = {
    "dla_core": "TensorRT 10.7 was the last 10.x with the DLA; build with it, or with 11.4.1 on a Jetson AGX Orin"
}
_NO_DLA_BEFORE_11_4_1 = {
    "dla_core": "TensorRT 11.0 to 11.4.0 have no DLA on Jetson; build with 10.7, or with 11.4.1 on a Jetson AGX Orin"
}
_RTX_REFUSED = {
    "dla_core": "it builds for GPUs only; build with tensorrt on the Jetson",
    "hardware_compatibility=ampere_plus": "an engine is for one compute capability here; plan one deployment for each",
    "is_version_compatible": "its package has no lean runtime (libnvinfer_lean.so.1) to put into the engine; "
    "build again after an upgrade",
}
"""Source: TensorRT-RTX 1.7 asked. It takes a DLA and a hardware compatibility level without an error and builds the
same engine as without."""

LIBRARIES: Mapping[EngineKind, TensorRTLibrary] = {
    "tensorrt_rtx": TensorRTLibrary(
        module="tensorrt_rtx",
        package="tensorrt_rtx",
        title="TensorRT-RTX",
        capabilities={"7.5": "SM75", "8.0": "SM80", "8.6": "SM86", "8.9": "SM89", "12.0": "SM120", "12.1": "SM121"},
        versions=(
            TensorRTVersions(
                at_least=(1, 5, 0),
                below=(2, 0, 0),
                network_flags=("STRONGLY_TYPED",),
                # REFIT asks for a GPU (1.7: graph_jit.cpp, CUDA_SUCCESS); REFIT_INDIVIDUAL does not.
                builder_flags={"is_weight_streaming": "WEIGHT_STREAMING", "is_refittable": "REFIT_INDIVIDUAL"},
                # Its engines run on every GPU of their compute capability as they are.
                hardware_levels={"same_compute_capability": "NONE"},
                refused=_RTX_REFUSED,
                # It says of its timing cache that it is a no-op.
                has_timing_cache=False,
            ),
        ),
    ),
    "tensorrt": TensorRTLibrary(
        module="tensorrt",
        package="tensorrt",
        title="TensorRT",
        capabilities={},
        versions=(
            TensorRTVersions(
                at_least=(10, 0, 0),
                below=(10, 8, 0),
                network_flags=("STRONGLY_TYPED",),
                builder_flags=_SWITCHES,
                hardware_levels=_AMPERE_PLUS,
                refused=_NO_SAME_CAPABILITY,
                dla_hardware=_ORIN_WITH_DLA,
            ),
            TensorRTVersions(
                at_least=(10, 8, 0),
                below=(10, 9, 0),
                network_flags=("STRONGLY_TYPED",),
                builder_flags=_SWITCHES,
                hardware_levels=_AMPERE_PLUS,
                refused={**_NO_SAME_CAPABILITY, **_NO_DLA_AFTER_10_7},
            ),
            TensorRTVersions(
                at_least=(10, 9, 0),
                below=(11, 0, 0),
                network_flags=("STRONGLY_TYPED",),
                builder_flags=_SWITCHES,
                hardware_levels=_ALL_LEVELS,
                refused=_NO_DLA_AFTER_10_7,
            ),
            TensorRTVersions(
                at_least=(11, 0, 0),
                below=(11, 4, 1),
                builder_flags=_SWITCHES,
                hardware_levels=_ALL_LEVELS,
                refused=_NO_DLA_BEFORE_11_4_1,
            ),
            TensorRTVersions(
                at_least=(11, 4, 1),
                below=(12, 0, 0),
                builder_flags=_SWITCHES,
                hardware_levels=_ALL_LEVELS,
                dla_hardware=_AGX_ORIN,
            ),
        ),
    ),
}


def libraries_json() -> bytes:
    """The content of a job's `libraries.json`: all of the above, for a worker that has no infc.

    Each entry is a library in a range of versions, as `far/options.py` reads it.
    """
    entries = [
        library_entry(kind, library, versions) for kind, library in LIBRARIES.items() for versions in library.versions
    ]
    document = {"format_version": FORMAT_VERSION, "libraries": entries}
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def refused_options(kind: EngineKind, version: str, options: BuildOptions, hardware_id: str) -> tuple[str, ...]:
    """Why an exact version of a library cannot build with these options, one sentence each; empty when it can.

    >>> refused_options("tensorrt", "11.2.1.2", BuildOptions(dla_core=0), "jetson-agx-orin-64gb")[0][:42]
    'option dla_core is not in TensorRT 11.2.1:'
    """
    library = LIBRARIES[kind]
    versions = library.at(version)
    if versions is None:
        return ()
    return tuple(unsupported_options(asdict(options), hardware_id, version, library_entry(kind, library, versions)))


def library_entry(kind: EngineKind, library: TensorRTLibrary, versions: TensorRTVersions) -> dict[str, Any]:
    """One entry of `libraries.json`."""
    return {
        "kind": kind,
        "module": library.module,
        "package": library.package,
        "title": library.title,
        "capabilities": dict(library.capabilities),
        **asdict(versions),
    }
