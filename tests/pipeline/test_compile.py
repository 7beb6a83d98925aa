"""Compiling a real spec: real lowering, real engines, a real lock."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.manifest import verify_bundle
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.pipeline.bundle_report import renew_report
from infc.report.compile_schema import compile_schema
from infc.resolve.model import model_profile
from infc.resolve.store import ProfileStore
from tests.pipeline.conftest import copy_example
from tests.report.html_page import checked
from tests.report.test_measurement import MEASURED

pytest.importorskip("onnxruntime", reason="lowers and builds with the extra onnx")
pytest.importorskip("tritonclient", reason="emits with the extra triton")
SPEC = "fashion-mnist.infc.yaml"
Edit = Callable[[Path, str, str], None]


def infc(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run the command line in a folder and return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["infc", *arguments])
    return guarded(app, usage_error=64)


def for_cpu(folder: Path) -> Path:
    """The example in a folder, planned for the CPU only."""
    text = (folder / SPEC).read_text()
    for old, new in (
        ("hardware: [t4, l4, a10g, l40s]", "hardware: [cpu]"),
        ("  targets: [cpu]", "  # no further targets"),
        ("  max_cost: $1500/month", "  # no max_cost: nobody prices this CPU"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / SPEC).write_text(text)
    return folder


@pytest.fixture
def cpu_workspace(workspace: Path) -> Path:
    """The example, planned for the CPU only."""
    return for_cpu(workspace)


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, compiled for the CPU from nothing. Not to be changed: copy it."""
    folder = for_cpu(copy_example(tmp_path_factory.mktemp("compiled") / "workspace"))
    with pytest.MonkeyPatch.context() as patch:
        assert infc(patch, folder, "compile", SPEC) == 0
    return folder


@pytest.fixture
def compiled(compiled_once: Path, tmp_path: Path) -> Path:
    """A compiled example of its own for one test."""
    return Path(shutil.copytree(compiled_once, tmp_path / "workspace", symlinks=True))


def measured_as(folder: Path, precision: Precision, seconds: float) -> None:
    """Store a measurement of the model on the CPU, so that the plan prefers one precision."""
    model, _ = model_profile(folder / "resnet8.onnx", store := ProfileStore(root=folder, cache=folder / ".infc"), None)
    assert model is not None
    points = tuple(
        ServiceTimePoint(batch_size=size, axes={}, seconds=Interval.exact(seconds * size), executions=100)
        for size in (1, 2, 4, 8, 16, 32, 64, 128)
    )
    store.add_service_time(
        ServiceTimeProfile(
            model_digest=model.digest,
            precision=precision,
            hardware_id="cpu",
            engine_kind="onnxruntime",
            instances=1,
            points=points,
            environment={"server": "of another test"},
        )
    )


def keep_first(data: Path, count: int) -> None:
    """Leave so many samples in a file of data."""
    with np.load(data) as stored:
        arrays = {name: stored[name][:count] if name in ("input", "labels") else stored[name] for name in stored.files}
    np.savez_compressed(data, **arrays)


def lock_of(folder: Path) -> list[Mapping[str, object]]:
    """The blocks of the lock."""
    return list(tomllib.loads((folder / "infc.lock").read_text()).get("artifact", []))


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: mode and content by relative path."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_compile_writes_bundle_lock_and_profiles(compiled_once: Path) -> None:
    """A compile leaves an intact bundle, one lock block with its evidence, and the model's profile."""
    bundle = compiled_once / "dist" / "fashion-mnist"
    assert verify_bundle(bundle) == ()
    assert (bundle / "model_repository/fashion-mnist/1/model.onnx").is_file()
    page = (bundle / "report.html").read_text()
    assert "Nothing measured" in checked(page).text
    assert str(compiled_once) not in page
    [block] = lock_of(compiled_once)
    assert (block["name"], block["target"]) == ("fashion-mnist", "cpu")
    accuracy = block["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["verdict"] == "pass"
    assert accuracy["samples"] == 2000
    assert 0.90 < accuracy["value"] < 0.95
    assert (compiled_once / str(block["profile"])).is_file()


def test_json_report_validates(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--format json` prints one document that follows its schema; an infeasible spec too."""
    schema = compile_schema()
    (compiled / "infc.lock").unlink()
    assert infc(monkeypatch, compiled, "compile", SPEC, "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, schema)
    [bundle] = report["bundles"]
    assert (bundle["change"], bundle["accuracy"]["verdict"], bundle["engine"]["kind"]) == (
        "added",
        "pass",
        "onnxruntime",
    )
    (compiled / SPEC).write_text((compiled / SPEC).read_text().replace("p50: 10ms, p99: 80ms", "p99: 10us"))
    assert infc(monkeypatch, compiled, "compile", SPEC, "--format", "json") == 3
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, schema)
    assert (report["exit_code"], report["bundles"]) == (3, [])


def test_second_compile_changes_nothing(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling again leaves lock, profiles and bundle as they are, and `lock --check` and `--locked` accept it.

    A load test that was put into the report stays there.
    """
    assert infc(monkeypatch, compiled, "compile", SPEC) == 0
    before = tree(compiled)
    assert infc(monkeypatch, compiled, "compile", SPEC) == 0
    assert tree(compiled) == before
    assert renew_report(compiled / "dist/fashion-mnist", MEASURED) is None
    before = tree(compiled)
    assert b"SLO pass" in before["dist/fashion-mnist/report.html"][1]
    assert infc(monkeypatch, compiled, "lock", "--check", SPEC) == 0
    assert infc(monkeypatch, compiled, "compile", "--locked", SPEC) == 0
    assert tree(compiled) == before


def test_locked_ignores_newer_measurements(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement newer than the lock makes it outdated: the check passes, --locked compiles what is locked."""
    locked = (compiled / "infc.lock").read_bytes()
    measured_as(compiled, Precision.INT8, 2e-3)
    assert infc(monkeypatch, compiled, "lock", "--check", SPEC) == 0
    assert infc(monkeypatch, compiled, "compile", "--locked", SPEC) == 0
    assert (compiled / "infc.lock").read_bytes() == locked
    assert infc(monkeypatch, compiled, "compile", SPEC) == 0
    [block] = lock_of(compiled)
    predicted = block["predicted"]
    assert isinstance(predicted, dict)
    assert predicted["basis"] == "measured"


def test_locked_refuses_a_changed_spec(compiled: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --locked a spec that no longer compiles to the lock exits 4 and nothing is written."""
    assert infc(monkeypatch, compiled, "compile", SPEC) == 0
    edit(compiled / SPEC, "p99: 80ms", "p99: 79ms")
    before = tree(compiled)
    assert infc(monkeypatch, compiled, "compile", "--locked", SPEC) == 4
    assert infc(monkeypatch, compiled, "lock", "--check", SPEC) == 4
    assert tree(compiled) == before


def test_locked_without_a_lock_exits_4(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--locked needs a lock."""
    (compiled / "infc.lock").unlink()
    shutil.rmtree(compiled / "dist")
    assert infc(monkeypatch, compiled, "compile", "--locked", SPEC) == 4
    assert not (compiled / "dist").exists()
    assert not (compiled / "infc.lock").exists()


def test_precision_that_fails_its_floor_is_replaced(
    cpu_workspace: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """INT8 from useless calibration data fails the accuracy gate; the plan takes the next precision and says so."""
    edit(cpu_workspace / SPEC, "precision: [int8]", "precision: [int8, fp32]")
    edit(cpu_workspace / SPEC, "objective: cost", "objective: latency")
    edit(cpu_workspace / SPEC, "floor: 0.90", "floor: 0.80")
    keep_first(cpu_workspace / "test-2000.npz", 1000)
    measured_as(cpu_workspace, Precision.INT8, 0.5e-3)
    measured_as(cpu_workspace, Precision.FP32, 5e-3)
    calibration = cpu_workspace / "calibration-256.npz"
    with np.load(calibration) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["input"] = np.full_like(arrays["input"], 73)  # the mean: every activation range collapses
    np.savez_compressed(calibration, **arrays)
    assert infc(monkeypatch, cpu_workspace, "plan", SPEC) == 0
    assert "int8" in capsys.readouterr().out.splitlines()[2]
    assert infc(monkeypatch, cpu_workspace, "compile", SPEC) == 0
    [block] = lock_of(cpu_workspace)
    choice = block["choice"]
    assert isinstance(choice, dict)
    assert choice["precision"] == "fp32"
    assert infc(monkeypatch, cpu_workspace, "plan", SPEC) == 0
    assert "accuracy" in capsys.readouterr().out.split("not chosen")[1]


def test_floor_that_no_precision_reaches_exits_3(
    cpu_workspace: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A floor above the model's own accuracy makes the spec infeasible; nothing is emitted."""
    edit(cpu_workspace / SPEC, "floor: 0.90", "floor: 0.99")
    assert infc(monkeypatch, cpu_workspace, "compile", SPEC) == 3
    assert not (cpu_workspace / "dist").exists()
    assert not (cpu_workspace / "infc.lock").exists()


def test_goal_within_the_noise_is_inconclusive(
    cpu_workspace: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A floor inside the confidence interval cannot be settled: exit 6, nothing is emitted."""
    edit(cpu_workspace / SPEC, "floor: 0.90", "floor: 0.9275")
    assert infc(monkeypatch, cpu_workspace, "compile", SPEC) == 6
    assert not (cpu_workspace / "dist").exists()


@pytest.mark.slow
def test_a_gpu_and_a_cpu_target_are_the_same_bytes_anywhere(tmp_path: Path) -> None:
    """The free choice is a GPU: TensorRT-RTX builds its engine here, and the CPU target is compiled beside it.

    Two fresh workspaces, hash seeds, time zones, umasks: equal lock, profiles and bundles, but for engine bytes.
    """
    pytest.importorskip("tensorrt_rtx", reason="builds with the extra rtx")
    results = []
    for name, seed, zone, umask in (("a", "1", "Asia/Tokyo", 0o022), ("b/deeper", "77", "America/Lima", 0o077)):
        folder = copy_example(tmp_path / name)
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone}
        command = [sys.executable, "-m", "infc", "compile", SPEC]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, umask=umask, timeout=250)
        results.append(folder)
    first, second = results
    engine = "model_repository/fashion-mnist/1/model.plan"
    assert (first / "dist/fashion-mnist" / engine).read_bytes()[:4] == b"vtrt"
    kinds = {str(block["target"]): block["engine"]["kind"] for block in lock_of(first)}  # type: ignore[index]
    assert kinds.pop("cpu") == "onnxruntime"
    assert list(kinds.values()) == ["tensorrt_rtx"]
    for bundle in ("dist/fashion-mnist", "dist/fashion-mnist@cpu"):
        assert verify_bundle(first / bundle) == ()
        trees = [tree(folder / bundle) for folder in results]
        if engine in trees[0]:  # TensorRT-RTX names kernels after addresses: its bytes, and their digest, may differ
            for files in trees:
                files.pop(engine)
                files.pop("infc-bundle.json")
        assert trees[0] == trees[1]
    assert (first / "infc.lock").read_bytes() == (second / "infc.lock").read_bytes()
    assert tree(first / "infc-profiles") == tree(second / "infc-profiles")


@pytest.mark.slow
def test_kill_leaves_old_or_new(compiled: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compile killed at any moment leaves a whole bundle and a whole lock, and the next run succeeds."""
    bundle, lock = compiled / "dist" / "fashion-mnist", compiled / "infc.lock"
    command = [sys.executable, "-m", "infc", "compile", SPEC]
    started = time.monotonic()
    subprocess.run(command, cwd=compiled, check=True, capture_output=True)
    whole_s = time.monotonic() - started
    limits = ["80ms", "79ms"]
    for attempt in range(8):
        edit(compiled / SPEC, f"p99: {limits[attempt % 2]}", f"p99: {limits[(attempt + 1) % 2]}")
        locks = {lock.read_bytes()}
        process = subprocess.Popen(command, cwd=compiled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole_s * (attempt + 1) / 8)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert verify_bundle(bundle) == ()
        after = lock.read_bytes()
        tomllib.loads(after.decode())
        assert len(lock_of(compiled)) == 1 or after in locks
    assert infc(monkeypatch, compiled, "compile", SPEC) == 0
    assert infc(monkeypatch, compiled, "lock", "--check", SPEC) == 0
    left = [path.name for path in bundle.parent.iterdir() if path.name.startswith(".")]
    assert left == []
