"""Builds with the command-line tool: a stand-in that takes only the options of its version and answers as the real one.

The real tool needs a GPU; see tests/gpu.
"""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest

from infc.build.far.trtexec import build_with_trtexec, find_trtexec, trtexec_version
from infc.build.libraries import LIBRARIES, library_entry
from tests.edge.trtexec_lists import options_of_version

STAND_IN = """#!{python}
import json, pathlib, sys
known = {known!r}
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{banner}] [b1] # trtexec " + " ".join(sys.argv[1:]))
if sys.argv[1:] == ["--help"]:
    sys.exit(0)
asked = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
pathlib.Path("asked.json").write_text(json.dumps(asked))
unknown = [name for name in asked if name not in known]
if unknown:
    print("[11/21/2026-18:00:00] [E] Unknown option: " + unknown[0])
    sys.exit(1)
print("[11/21/2026-18:00:00] [W] [TRT] Layer 'two' (CONSTANT): Unsupported on DLA. Switching this layer's device type "
      "to GPU.")
print("[11/21/2026-18:00:00] [W] [TRT] Layer '/model.22/Slice_1' (SLICE): Unsupported on DLA. Switching this layer's "
      "device type to GPU.")
print("[11/21/2026-18:00:00] [W] [TRT] DLA supports only 16 subgraphs per DLA core. Switching to GPU for layer conv_6")
print("[11/21/2026-18:00:00] [W] [TRT] Default DLA is enabled but layer tail is not supported on DLA, "
      "falling back to GPU.")
print("[11/21/2026-18:00:01] [I] [TRT] Total Activation Memory: 1024 bytes")
print("[11/21/2026-18:00:01] [I] [TRT] Total Weights Memory: 2048 bytes")
cache = pathlib.Path(asked.get("--timingCacheFile", "none"))
if cache.is_file() and cache.read_bytes() != b"timing":
    print("[11/21/2026-18:00:01] [E] TimingCache creation failed")
    sys.exit(1)
cache.write_bytes(b"timing")
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
    known = sorted(options_of_version(version))
    tool.write_text(STAND_IN.format(python=sys.executable, known=known, banner=banner, read=read))
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)


def put_model(folder: Path, batch: str = "N") -> None:
    """A model whose batch is open, or is a number."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        tiny (float[{batch}, 4] input) => (float[{batch}, 4] output) {{ output = Relu(input) }}"""
    onnx.save(onnx.parser.parse_model(text), folder / "model.onnx")


def built(
    version: str, precision: str = "fp16", *, timing_cache: Path | None = None, **options: object
) -> dict[str, Any]:
    """The answer for a job of the version installed."""
    if not Path("model.onnx").exists():
        put_model(Path())
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
    return build_with_trtexec(str(find_trtexec()), job, entry, version, timing_cache)


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


def test_a_model_without_an_open_size_gets_no_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool refuses them: "Static model does not take explicit shapes"."""
    install(tmp_path, monkeypatch, "10.3.0")
    put_model(tmp_path, batch="8")
    assert built("10.3.0")["errors"] == []
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert not [name for name in asked if name.endswith("Shapes")]


def test_a_file_that_is_no_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the tool runs."""
    install(tmp_path, monkeypatch, "10.3.0")
    (tmp_path / "model.onnx").write_bytes(b"\x3a\xff\xff\x03none")
    assert built("10.3.0")["errors"] == ["no ONNX model: it is cut short or not a protocol buffer"]


def test_a_timing_cache_that_does_not_fit_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool ends at one of another version or device; the build then goes on without, and leaves its own."""
    install(tmp_path, monkeypatch, "10.3.0")
    folder = tmp_path / "timing"
    assert built("10.3.0", timing_cache=folder)["errors"] == []
    (kept,) = folder.iterdir()
    assert kept.read_bytes() == b"timing"
    kept.write_bytes(b"foreign")
    answer = built("10.3.0", timing_cache=folder)
    assert answer["errors"] == []
    assert kept.read_bytes() == b"timing"


def test_layers_that_left_the_dla_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT only warns of them, in words that differ between versions; constants are not among them."""
    install(tmp_path, monkeypatch, "10.3.0")
    layers = [words.partition(":")[0] for words in built("10.3.0", dla_core=0)["facts"]["fallbacks"]]
    assert layers == ["/model.22/Slice_1", "conv_6", "tail"]


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
