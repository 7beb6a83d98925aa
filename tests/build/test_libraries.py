"""The data on TensorRT's versions, against the names in the real bindings (see benchmarks/tensorrt_names.py)."""

import json
from pathlib import Path

import pytest

from infc.build.far.options import version_number
from infc.build.libraries import LIBRARIES, TensorRTVersions, libraries_json, refused_options
from infc.ir.build_options import BuildOptions
from infc.ir.engine_kind import EngineKind

DATA = sorted((Path(__file__).parent / "data").glob("*_names_*.json"))


def names(path: Path) -> tuple[EngineKind, str, dict[str, list[str]], dict[str, list[str]]]:
    """Library, version, enumerations and classes of one file."""
    stored = json.loads(path.read_text())
    kind: EngineKind = "tensorrt_rtx" if path.name.startswith("tensorrt_rtx") else "tensorrt"
    return kind, stored["version"], stored["enumerations"], stored["classes"]


def known(kind: EngineKind, version: str) -> TensorRTVersions:
    """What infc knows of a version."""
    versions = LIBRARIES[kind].at(version)
    assert versions is not None
    return versions


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_every_name_exists_in_the_binding(path: Path) -> None:
    """What infc sets, reads and calls is there in each version that was looked into."""
    kind, version, enumerations, classes = names(path)
    versions = known(kind, version)
    assert {*versions.network_flags} <= {*enumerations["NetworkDefinitionCreationFlag"]}
    assert {*versions.builder_flags.values(), "GPU_FALLBACK", "TF32"} <= {*enumerations["BuilderFlag"]}
    assert {*versions.hardware_levels.values()} <= {*enumerations["HardwareCompatibilityLevel"]}
    assert {*LIBRARIES[kind].capabilities.values()} <= {*enumerations.get("ComputeCapability", [])}
    assert "WORKSPACE" in enumerations["MemoryPoolType"]
    assert "DETAILED" in enumerations["ProfilingVerbosity"]
    assert "JSON" in enumerations["LayerInformationFormat"]
    assert ("progress_monitor" in classes["IBuilderConfig"]) is versions.has_progress_monitor
    config = {"builder_optimization_level", "hardware_compatibility_level", "default_device_type", "DLA_core"}
    assert config | {"create_timing_cache", "set_timing_cache", "can_run_on_DLA"} <= {*classes["IBuilderConfig"]}
    assert {"combine", "serialize"} <= {*classes["ITimingCache"]}
    assert {"device_memory_size_v2", "device_memory_size"} & {*classes["ICudaEngine"]}
    assert {"parse_from_file", "num_errors", "get_error"} <= {*classes["OnnxParser"]}


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_what_is_refused_is_refused_for_a_reason(path: Path) -> None:
    """A hardware compatibility that the enumeration has is only refused where the library ignores it (RTX)."""
    kind, version, enumerations, _ = names(path)
    versions = known(kind, version)
    has_level = "SAME_COMPUTE_CAPABILITY" in enumerations["HardwareCompatibilityLevel"]
    assert has_level is ("same_compute_capability" in versions.hardware_levels)
    assert has_level is ("hardware_compatibility=same_compute_capability" not in versions.refused)


def test_precision_flags_went_with_tensorrt_11() -> None:
    """Why infc never sets one: they are gone, and a strongly typed network needs none."""
    for path in DATA:
        kind, version, enumerations, _ = names(path)
        if kind == "tensorrt":
            assert ("FP16" in enumerations["BuilderFlag"]) is (version_number(version) < (11, 0, 0))


def test_versions_are_in_order_and_do_not_overlap() -> None:
    """Every version from the first to before the last is known once."""
    for library in LIBRARIES.values():
        for one, other in zip(library.versions, library.versions[1:], strict=False):
            assert one.at_least < one.below == other.at_least


@pytest.mark.parametrize(
    ("version", "hardware_id", "is_there"),
    [
        ("10.3.0", "jetson-orin-nx-16gb", True),
        ("10.7.0", "jetson-agx-orin-64gb", True),
        ("10.3.0", "jetson-orin-nano-8gb", False),
        ("10.13.3.9", "jetson-agx-orin-64gb", False),
        ("11.2.1.2", "jetson-agx-orin-64gb", False),
        ("11.4.0.106", "jetson-agx-orin-64gb", False),
        ("11.4.1.37", "jetson-agx-orin-64gb", True),
        ("11.4.1.37", "jetson-orin-nx-16gb", False),
        ("11.4.1.37", "jetson-agx-thor-t5000", False),
    ],
)
def test_the_dla_by_version_and_device(version: str, hardware_id: str, is_there: bool) -> None:
    """10.0 to 10.7 on Orin, then none until 11.4.1 on AGX Orin; Orin Nano and Thor have none at all."""
    refused = refused_options("tensorrt", version, BuildOptions(dla_core=0), hardware_id)
    assert (refused == ()) is is_there
    assert all(text.startswith("option dla_core is not in TensorRT ") for text in refused)


def test_every_refused_option_is_named() -> None:
    """All of them at once, each with its reason and the way out."""
    options = BuildOptions(dla_core=1, is_version_compatible=True, hardware_compatibility="ampere_plus")
    refused = refused_options("tensorrt_rtx", "1.7.1.116", options, "l4")
    assert [text.split(" ")[1] for text in refused] == ["dla_core", "hardware_compatibility", "is_version_compatible"]
    assert all("; " in text for text in refused)
    assert refused_options("tensorrt_rtx", "1.7.1.116", BuildOptions(is_weight_streaming=True), "l4") == ()


def test_options_are_those_of_the_ir() -> None:
    """The names in the data are fields of BuildOptions."""
    fields = {*BuildOptions.__dataclass_fields__}
    for library in LIBRARIES.values():
        for versions in library.versions:
            assert {*versions.builder_flags} | {name.partition("=")[0] for name in versions.refused} <= fields


def test_the_worker_gets_all_of_it() -> None:
    """One entry for a library in a range of versions; the same bytes each time."""
    entries = json.loads(libraries_json())["libraries"]
    assert len(entries) == sum(len(library.versions) for library in LIBRARIES.values())
    assert libraries_json() == libraries_json()
