"""Builds with the command-line tool: a stand-in that takes only the options of its version and answers as the real one.

The real tool needs a GPU; see tests/gpu.
"""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from infc.build.far.trtexec import build_with_trtexec, find_trtexec, trtexec_version
from infc.build.libraries import LIBRARIES, library_entry

DATA = Path(__file__).parents[1] / "data" / "trtexec_options.json"
STAND_IN = """#!{python}
import json, pathlib, sys
known = json.loads(pathlib.Path({data!r}).read_text())["tensorrt {major}"]["options"]
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{banner}] [b1] # trtexec " + " ".join(sys.argv[1:]))
if sys.argv[1:] == ["--help"]:
    sys.exit(0)
asked = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
unknown = [name for name in asked if name not in known]
if unknown:
    print("[11/21/2026-18:00:00] [E] Unknown option: " + unknown[0])
    sys.exit(1)
print("[11/21/2026-18:00:00] [W] [TRT] Default DLA is enabled but layer tail is not supported on DLA, "
      "falling back to GPU.")
print("[11/21/2026-18:00:01] [I] [TRT] Total Activation Memory: 1024 bytes")
print("[11/21/2026-18:00:01] [I] [TRT] Total Weights Memory: 2048 bytes")
pathlib.Path(asked["--saveEngine"]).write_bytes(b"ptrt")
layer = {{"Name": "conv", "LayerType": "conv", "Inputs": [{{"Format/Datatype": "{read}"}}], "Outputs": [],
         "Metadata": "[ONNX Layer: conv1]"}}
pathlib.Path(asked["--exportLayerInfo"]).write_text(json.dumps({{"Layers": [layer]}}))
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str, read: str = "Half") -> None:
    """Put a tool of a version on PATH, whose engine reads a type."""
    major, minor, patch = version.split(".")
    tool = folder / "trtexec"
    banner = f"{int(major):02}{int(minor):02}{int(patch):02}"
    tool.write_text(STAND_IN.format(python=sys.executable, data=str(DATA), major=major, banner=banner, read=read))
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)


def built(version: str, precision: str = "fp16", **options: object) -> dict[str, Any]:
    """The answer for a job of the version installed."""
    everything = {
        "optimization_level": None,
        "workspace_bytes": None,
        "is_version_compatible": False,
        "hardware_compatibility": "none",
        "is_weight_streaming": False,
        "is_refittable": False,
        "dla_core": None,
        **options,
    }
    shape = {"input": "input", "minimum": [1, 4], "optimum": [8, 4], "maximum": [8, 4]}
    job = {
        "options": everything,
        "precision": precision,
        "shapes": [shape],
        "hardware_id": "jetson-orin-nx-16gb",
        "compute_capability": "8.7",
        "toolchain": {"tensorrt": version},
    }
    library = LIBRARIES["tensorrt"]
    versions = library.at(version)
    assert versions is not None
    entry = json.loads(json.dumps(library_entry("tensorrt", library, versions)))
    return build_with_trtexec(str(find_trtexec()), job, entry, version, None)


@pytest.mark.parametrize("version", ["10.3.0", "11.4.1"])
def test_an_engine_with_its_facts(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version from the banner, memory from the log, layers from the exported file."""
    install(tmp_path, monkeypatch, version)
    assert trtexec_version() == version
    answer = built(version)
    assert answer["errors"] == []
    assert (answer["facts"]["activation_bytes"], answer["facts"]["weight_bytes"]) == (1024, 2048)
    assert answer["facts"]["layers"][0]["operators"] == ["conv1"]
    assert (tmp_path / "model.plan").read_bytes() == b"ptrt"


def test_layers_that_left_the_dla_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT only warns of them."""
    install(tmp_path, monkeypatch, "10.3.0")
    assert built("10.3.0", dla_core=0)["facts"]["fallbacks"] == ["tail: GPU instead of DLA"]


def test_a_precision_that_no_layer_reads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool says nothing of the network, so the engine's own layers must show the type."""
    install(tmp_path, monkeypatch, "10.3.0", read="Float")
    answer = built("10.3.0", "int8")
    assert answer["facts"] is None
    assert answer["errors"] == ["precision ignored: no layer of the engine reads Int8, only Float"]


def test_an_option_that_the_version_lacks_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names it, and the tool did not start."""
    install(tmp_path, monkeypatch, "11.2.1")
    answer = built("11.2.1", dla_core=0)
    assert answer["errors"][0].startswith("option dla_core is not in TensorRT 11.2.1")
    assert not (tmp_path / "model.plan").exists()


def test_errors_of_the_tool_are_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that refuses an option: its line, without the time."""
    install(tmp_path, monkeypatch, "11.4.1")
    monkeypatch.setattr("infc.build.far.trtexec.SWITCHES", {"is_refittable": "--fp16"})
    answer = built("11.4.1", is_refittable=True)
    assert answer == {"facts": None, "errors": ["Unknown option: --fp16"], "parse_errors": []}
