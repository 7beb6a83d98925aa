"""Engines on a device: built once, found again by what decides them, whole or not there."""

import json
import os
import signal
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.engine import build_or_reuse, engine_key_now
from tests.build.far.tensorrt_stand_in import tensorrt
from tests.emit.jetson.device.stand_ins import Bench, bench


def built(place: Bench) -> dict[str, Any]:
    """What the part returns."""
    return build_or_reuse(place.release, place.manifest, place.target, place.facts, place.engines, place.said.append)


def refused(place: Bench) -> Refusal:
    """How the part refuses."""
    with pytest.raises(Refusal) as caught:
        built(place)
    assert sorted(path.name for path in place.engines.iterdir() if path.name != ".timing") == []
    return caught.value


def test_an_engine_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time it comes from the cache; facts lie beside it."""
    place = bench(tmp_path, monkeypatch)
    first = built(place)
    assert first["is_reused"] is False
    assert any("trtexec builds the model" in words for words in place.said)
    folder = place.engines / first["key"]
    assert sorted(path.name for path in folder.iterdir()) == ["facts.json", "model.plan"]
    facts = json.loads((folder / "facts.json").read_text())
    assert (facts["tensorrt"], facts["l4t"], facts["power_mode"]) == ("10.3.0", "36.4.3", "15W")
    again = built(place)
    assert again == {**first, "is_reused": True, "seconds": 0.0}
    assert len([call for call in place.device.calls("trtexec") if "--skipInference" in call]) == 1
    asked = place.device.calls("trtexec")[-1]
    assert "--stronglyTyped" in asked
    assert not [argument for argument in asked if "Shapes" in argument], "the model has no open size"


@pytest.mark.slow
def test_a_damaged_engine_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are compared with what was written."""
    place = bench(tmp_path, monkeypatch)
    first = built(place)
    Path(first["path"]).write_bytes(b"cut short")
    again = built(place)
    assert (again["is_reused"], again["key"], again["digest"]) == (False, first["key"], first["digest"])


@pytest.mark.parametrize(
    ("holder", "name", "value"),
    [
        ("facts", "tensorrt", "10.7.0"),
        ("facts", "l4t", "36.4.4"),
        ("facts", "module", "p3767-0001"),
        ("target", "power_mode", "25W"),
        ("entry", "model_digest", "sha256:" + "1" * 64),
        ("entry", "precision", "fp16"),
    ],
)
def test_whatever_decides_an_engine_is_in_its_key(
    holder: str, name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, arguments, TensorRT, L4T, module, power mode; FP32 alone sets --noTF32, so the arguments differ."""
    place = bench(tmp_path, monkeypatch)
    before = engine_key_now(place.release, place.manifest, place.target, place.facts)
    getattr(place, holder)[name] = value
    assert engine_key_now(place.release, place.manifest, place.target, place.facts) != before


def test_what_the_library_says_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its errors, and code 31."""
    place = bench(tmp_path, monkeypatch, build_fails="Error Code 10: Could not find any implementation for node conv1.")
    refusal = refused(place)
    assert refusal.code == 31
    assert "Could not find any implementation for node conv1" in refusal.message


@pytest.mark.slow
def test_a_build_over_its_time_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does the tool that it started."""
    place = bench(tmp_path, monkeypatch, build_s=60.0)
    place.entry["timeout_s"] = 2.0
    assert refused(place).message.endswith("it took longer than 2 s")
    assert is_gone(place)


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed like by a loss of power; the tool ends too, and the next run builds."""
    place = bench(tmp_path, monkeypatch, build_s=60.0)
    process = os.fork()
    if not process:
        built(place)
        os._exit(0)
    deadline = time.monotonic() + 30.0
    while not processes_of(place) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_of(place)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert is_gone(place)
    assert not list(place.engines.glob("*/model.plan"))
    place.device.set(build_s=0.0)
    assert built(place)["is_reused"] is False
    assert not (place.engines / ".building").exists()


def is_gone(place: Bench) -> bool:
    """Whether the device's builds end soon: the system ends a killed tool when it gets to it."""
    deadline = time.monotonic() + 30.0
    while processes_of(place) and time.monotonic() < deadline:
        time.sleep(0.02)
    return processes_of(place) == []


def processes_of(place: Bench) -> list[int]:
    """The device's running builds."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if place.root.encode() in words and b"--saveEngine" in words:
            found.append(int(entry.parent.name))
    return found


def test_without_a_builder_the_device_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 30: no tool and no Python package, or a TensorRT that infc does not know."""
    place = bench(tmp_path, monkeypatch)
    place.device.file("/usr/local/bin/trtexec").unlink()
    place.engines.mkdir(parents=True)
    refusal = refused(place)
    assert (refusal.code, "neither its Python package nor trtexec" in refusal.message) == (30, True)
    place.facts["tensorrt"] = "8.6.2"
    refusal = refused(place)
    assert (refusal.code, refusal.message) == (30, "infc does not know TensorRT 8.6.2")


@pytest.mark.parametrize(("allowed", "is_built"), [(0.0, False), pytest.param(1.0, True, marks=pytest.mark.slow)])
def test_layers_that_leave_the_dla_are_counted(
    allowed: float, is_built: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT moves them without a word but a warning."""
    place = bench(tmp_path, monkeypatch, dla_cores=2, dla_falls_back="scores")
    place.entry["options"]["dla_core"] = 0
    place.entry["most_gpu_fallback"] = allowed
    if is_built:
        assert built(place)["size_bytes"] > 0
        return
    refusal = refused(place)
    assert refusal.code == 31
    assert refusal.message.startswith("100% of the operators run on the GPU instead of the accelerator (scores)")


def test_the_python_package_builds_where_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same version as the device's TensorRT: then no tool runs."""
    place = bench(tmp_path, monkeypatch)
    place.entry["shapes"] = [{"input": "input", "minimum": [1, 3], "optimum": [1, 3], "maximum": [1, 3]}]
    module, _ = tensorrt("10.3", dtype="FLOAT", ran="Float")
    module.__spec__ = ModuleSpec("tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    engine = built(place)
    assert Path(engine["path"]).read_bytes() == b"ptrt"
    assert [call for call in place.device.calls("trtexec") if "--skipInference" in call] == []


@pytest.mark.slow
def test_kernel_times_of_the_bundle_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this TensorRT and module; afterwards the device keeps its own for the next build."""
    place = bench(tmp_path, monkeypatch)
    (place.release / "timing").mkdir()
    (place.release / "timing" / "10.3.0-jetson-orin-nx-16gb.cache").write_bytes(b"timing of the lab")
    (place.release / "timing" / "10.7.0-jetson-orin-nx-16gb.cache").write_bytes(b"of another version")
    place.device.set(build_fails="no")
    refused(place)
    (kept,) = (place.engines / ".timing").iterdir()
    assert kept.read_bytes() == b"timing of the lab"
    place.device.set(build_fails=None)
    built(place)
    assert kept.read_bytes() == b"timing 10.3.0"
    assert any(argument.startswith("--timingCacheFile=") for argument in place.device.calls("trtexec")[-1])


@pytest.mark.slow
def test_short_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stopped to make room."""
    place = bench(tmp_path, monkeypatch)
    place.facts["available_bytes"] = 1 << 20
    built(place)
    assert any(words.startswith("1 MiB of memory are free") for words in place.said)
