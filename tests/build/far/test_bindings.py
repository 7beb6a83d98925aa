"""What the worker sets in each version of TensorRT, on a stand-in with the names of the real bindings.

The real library needs a GPU (tests/gpu); TensorRT-RTX runs for real in tests/build/test_tensorrt_rtx.py.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from infc.build.far.bindings import build_in_python
from infc.build.libraries import LIBRARIES, library_entry
from infc.ir.build_options import BuildOptions
from tests.build.far.tensorrt_stand_in import Settings, tensorrt

VERSIONS = ["10.0", "10.3", "10.7", "10.9", "10.13", "10.16", "11.0", "11.2", "11.3", "11.4"]


def built(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    version: str,
    options: BuildOptions,
    *,
    precision: str = "fp16",
    timing_cache: Path | None = None,
    hardware_id: str = "jetson-agx-orin-64gb",
    **stand_in: Any,
) -> tuple[dict[str, Any], Settings]:
    """The worker's answer, and what it did with the library."""
    module, settings = tensorrt(version, **stand_in)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.chdir(folder)
    library = LIBRARIES["tensorrt"]
    versions = library.at(module.__version__)
    assert versions is not None
    shape = {"input": "input", "minimum": [1, 3], "optimum": [4, 3], "maximum": [8, 3]}
    job = {
        "options": asdict(options),
        "precision": precision,
        "shapes": [shape],
        "hardware_id": hardware_id,
        "compute_capability": "8.7",
        "toolchain": {"tensorrt": module.__version__},
    }
    entry = json.loads(json.dumps(library_entry("tensorrt", library, versions)))
    return build_in_python(job, entry, timing_cache), settings


@pytest.mark.parametrize("version", VERSIONS)
def test_networks_are_strongly_typed_in_every_version(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT 10 needs the flag, 11 has nothing else; no version gets a precision flag."""
    answer, settings = built(monkeypatch, tmp_path, version, BuildOptions())
    assert answer["errors"] == []
    assert (settings.network_flags != 0) is version.startswith("10.")
    assert settings.builder_flags == ["TF32"]
    assert settings.shapes == {"input": ([1, 3], [4, 3], [8, 3])}
    assert settings.attributes["profiling_verbosity"] == "DETAILED"
    assert "progress_monitor" in settings.attributes
    assert answer["facts"]["activation_bytes"] == 4096
    assert answer["facts"]["layers"][0]["operators"] == ["conv"]
    assert (tmp_path / "model.plan").read_bytes() == b"ptrt"


@pytest.mark.parametrize("version", VERSIONS)
def test_options_become_flags(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option but the DLA exists in every version of TensorRT."""
    options = BuildOptions(
        optimization_level=5,
        workspace_bytes=2**20,
        is_version_compatible=True,
        hardware_compatibility="ampere_plus",
        is_weight_streaming=True,
        is_refittable=True,
    )
    _, settings = built(monkeypatch, tmp_path, version, options)
    assert settings.builder_flags == ["TF32", "REFIT", "VERSION_COMPATIBLE", "WEIGHT_STREAMING"]
    assert settings.pools == {"WORKSPACE": 2**20}
    assert settings.attributes["builder_optimization_level"] == 5
    assert settings.attributes["hardware_compatibility_level"] == "AMPERE_PLUS"


@pytest.mark.parametrize(("precision", "has_tf32"), [("fp32", False), ("tf32", True)])
def test_fp32_is_not_tf32(precision: str, has_tf32: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag is set by default: FP32 clears it."""
    _, settings = built(monkeypatch, tmp_path, "11.4", BuildOptions(), precision=precision, dtype="FLOAT", ran="Float")
    assert ("TF32" in settings.builder_flags) is has_tf32


def test_the_dla_first_and_the_gpu_for_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that the DLA cannot run go to the GPU and are named."""
    answer, settings = built(monkeypatch, tmp_path, "10.7", BuildOptions(dla_core=1))
    assert settings.attributes["default_device_type"] == "DLA"
    assert settings.attributes["DLA_core"] == 1
    assert "GPU_FALLBACK" in settings.builder_flags
    assert answer["facts"]["fallbacks"] == ["tail: GPU instead of DLA"]


def test_a_version_without_the_dla_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The enumeration still has it: only the data knows."""
    answer, settings = built(monkeypatch, tmp_path, "11.3", BuildOptions(dla_core=1))
    assert answer["facts"] is None
    assert answer["errors"][0].startswith("option dla_core is not in TensorRT 11.3.0: ")
    assert settings.shapes == {}


def test_an_engine_in_another_type_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network asked for Half, the inspector shows Float."""
    answer, _ = built(monkeypatch, tmp_path, "11.4", BuildOptions(), ran="Float")
    assert answer["facts"] is None
    assert answer["errors"] == [
        "precision ignored: 1 of 1 matrix operators that the model has in Half run in Float (conv)"
    ]
    assert not (tmp_path / "model.plan").exists()


def test_an_input_whose_values_are_shapes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile would need values, which a plan does not have."""
    answer, _ = built(monkeypatch, tmp_path, "11.4", BuildOptions(), is_shape=True)
    assert answer["errors"] == ["shape tensor: the values of the input input set shapes inside the model"]


def test_the_timing_cache_is_kept_by_version_and_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read before, merged with what others stored, written after; a damaged file is as good as none."""
    folder = tmp_path / "timing"
    folder.mkdir()
    built(monkeypatch, tmp_path, "10.13", BuildOptions(), timing_cache=folder)
    (stored,) = folder.iterdir()
    assert stored.name.startswith("tensorrt-10.13.3.9-")
    assert stored.read_bytes() == b"timing"
    stored.write_bytes(b"damaged")
    answer, settings = built(monkeypatch, tmp_path, "10.13", BuildOptions(), timing_cache=folder)
    assert answer["errors"] == []
    assert settings.combined == 1
    assert stored.read_bytes() == b"timing"
    built(monkeypatch, tmp_path, "11.4", BuildOptions(), timing_cache=folder)
    assert len(list(folder.iterdir())) == 2
