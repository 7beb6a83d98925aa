"""Compiling a spec for Jetson modules: one archive for all of them, its number in the lock, the same bytes again."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml

from infc.build.edge_release_json import from_json, samples_from_json
from infc.build.edge_schema import edge_manifest_schema, edge_samples_schema
from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.jetson.archive import unpack
from infc.emit.jetson.edge_file import edge_file
from infc.emit.jetson.sums import content_digest_of, digests_of, parse_sums
from infc.emit.manifest import verify_bundle
from infc.report.compile_schema import compile_schema
from tests.pipeline.conftest import EXAMPLE
from tests.pipeline.jetson_spec import MODULES, NAME, SPEC, write_spec

pytest.importorskip("onnxruntime", reason="lowers with the extra onnx")
pytest.importorskip("tritonclient", reason="emits with the extra triton")


def infc(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run the command line in a folder and return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["infc", *arguments])
    return guarded(app, usage_error=64)


def small_workspace(folder: Path) -> Path:
    """A folder with the example's model and calibration data."""
    folder.mkdir(parents=True)
    for name in ("resnet8.onnx", "calibration-256.npz"):
        (folder / name).write_bytes((EXAMPLE / name).read_bytes())
    return folder


def locked(folder: Path) -> list[Mapping[str, object]]:
    """The blocks of the lock."""
    return list(tomllib.loads((folder / "infc.lock").read_text()).get("artifact", []))


def release_in_lock(folder: Path) -> Mapping[str, str]:
    """The release that every block names; they must name one."""
    releases = [block["release"] for block in locked(folder)]
    assert all(release == releases[0] for release in releases)
    assert isinstance(releases[0], dict)
    return releases[0]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the spec was compiled for two modules."""
    folder = small_workspace(tmp_path_factory.mktemp("jetson") / "workspace")
    write_spec(folder, precision="int8", jetson={"max_temperature": "85C", "ota": ["rauc"]})
    with pytest.MonkeyPatch.context() as patch:
        assert infc(patch, folder, "compile", SPEC) == 0
    return folder


@pytest.fixture(scope="module")
def unpacked(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder of its archive."""
    return unpack(compiled / "dist" / NAME / f"{NAME}-jetson-1.tar.zst", tmp_path_factory.mktemp("archive"))


def test_one_archive_serves_all_modules(compiled: Path, unpacked: Path) -> None:
    """The output folder has the archive, the plan of each module, a README and what the update agent needs."""
    folder = compiled / "dist" / NAME
    assert [path.name for path in (compiled / "dist").iterdir()] == [NAME]
    assert verify_bundle(folder) == ()
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    archive = f"{NAME}-jetson-1.tar.zst"
    assert names == {archive, "plan.json", "README.md", "report.html", "ota/rauc/handler.sh", "infc-bundle.json"}
    plans = json.loads((folder / "plan.json").read_text())["specs"]
    assert [plan["target"] for plan in plans] == [None, MODULES[1]]
    readme = (folder / "README.md").read_text()
    assert f"edge.py install {archive}" in readme
    assert "Jetson Orin Nano 8GB" in readme
    assert unpacked.name == f"{NAME}-1"


def test_the_archive_holds_what_the_format_says(unpacked: Path) -> None:
    """Every file of docs/edge-format.md, no engine, and nothing that SHA256SUMS does not list."""
    files = {path.relative_to(unpacked).as_posix(): path for path in unpacked.rglob("*") if path.is_file()}
    sums = parse_sums(files.pop("SHA256SUMS").read_bytes())
    assert sums == digests_of(files)
    fixed = {name for name in files if not name.startswith("verify/")}
    assert fixed == {
        *("manifest.json", "sbom.cdx.json", "provenance.json", "compose.yaml", "install.sh"),
        *("bin/edge.py", "bin/libraries.json", f"models/{NAME}-int8.onnx", f"calib/{NAME}-int8.json"),
        *(f"triton/{NAME}/config.pbtxt", f"deepstream/nvinfer_{NAME}-int8.txt", f"systemd/infc-{NAME}.service"),
    }
    assert files["bin/edge.py"].read_bytes() == edge_file()
    assert os.access(files["install.sh"], os.X_OK)
    ranges = json.loads(files[f"calib/{NAME}-int8.json"].read_text())["ranges"]
    assert ranges
    assert all(each["type"] == "int8" and each["scale"] > 0 for each in ranges.values())


def test_the_manifest_has_a_target_for_each_module(unpacked: Path) -> None:
    """Modules, JetPack's versions, power mode, objective and load; one engine serves both modules."""
    content = (unpacked / "manifest.json").read_bytes()
    jsonschema.validate(json.loads(content), edge_manifest_schema())
    release, problems = from_json(content)
    assert problems == ()
    assert release is not None
    assert (release.name, release.version, release.kind) == (NAME, "1", "onnx")
    assert [target.hardware_id for target in release.targets] == list(MODULES)
    first = release.targets[0]
    assert "p3767-0000" in first.modules
    assert (first.l4t.at_least, first.l4t.below) == ("36.4", "37")
    assert (first.tensorrt.at_least, first.tensorrt.below) == ("10.3", "11")
    assert first.power_mode is not None
    assert first.environment["INFC_TARGET"] == MODULES[0]
    [engine] = release.engines
    assert engine.options.dla_core is None
    assert release.slo.max_power_w == 25.0
    assert release.slo.max_temperature_c == 85.0
    assert (release.load.rate_rps, release.load.arrival.streams) == (60.0, 2)  # type: ignore[union-attr]
    sums = parse_sums((unpacked / "SHA256SUMS").read_bytes())
    assert sums is not None
    assert release.content_digest == content_digest_of(sums)
    assert engine.model_digest == f"sha256:{sums[engine.model]}"


def test_samples_without_a_dataset_are_seeded(unpacked: Path) -> None:
    """Sixteen random images with what the unquantised model answers, and how far an engine may be from it."""
    content = (unpacked / "verify" / "samples.json").read_bytes()
    jsonschema.validate(json.loads(content), edge_samples_schema())
    samples, problems = samples_from_json(content)
    assert problems == ()
    assert samples is not None
    assert len(samples.samples) == 16
    for sample in samples.samples:
        for tensor in (*sample.inputs, *sample.outputs):
            size = 4
            for dim in tensor.shape:
                size *= dim
            assert (unpacked / tensor.file).stat().st_size == size
    [tolerance] = samples.tolerances.values()
    assert 0 < tolerance.mean_absolute < tolerance.max_absolute


def test_compose_starts_triton_from_the_image_of_jetpack(unpacked: Path) -> None:
    """Loopback, read-only, no capability, the device's own TensorRT, no GPU metrics."""
    document = yaml.safe_load((unpacked / "compose.yaml").read_text())
    service = document["services"][NAME]
    assert service["image"].endswith("-igpu")
    assert service["runtime"] == "nvidia"
    assert service["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "--allow-gpu-metrics=false" in service["command"]
    assert any(volume["source"].endswith("libnvinfer.so.10") for volume in service["volumes"])


def test_each_module_has_a_block_in_the_lock(compiled: Path) -> None:
    """They share the release; the engine has a key and is built on the device."""
    blocks = locked(compiled)
    assert [block["choice"]["hardware"] for block in blocks] == sorted(MODULES)  # type: ignore[index]
    for block in blocks:
        engine, files = block["engine"], block["files"]
        assert isinstance(engine, dict)
        assert isinstance(files, dict)
        assert (engine["kind"], engine["pending"]) == ("tensorrt", False)
        assert "file" not in engine
        assert f"models/{NAME}-int8.onnx" in files
        assert "README.md" in files
        assert not any(path.startswith("verify/") for path in files)
    assert release_in_lock(compiled)["version"] == "1"


@pytest.mark.slow
def test_compiling_again_is_the_same_bytes(compiled: Path, tmp_path: Path) -> None:
    """Also with another hash seed, time zone, umask and folder; a locked compile agrees."""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = f"umask 077; exec {sys.executable} -m infc compile {compiled / SPEC} --locked -o {tmp_path / 'again'}"
    run = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    archive = f"{NAME}/{NAME}-jetson-1.tar.zst"
    assert (tmp_path / "again" / archive).read_bytes() == (compiled / "dist" / archive).read_bytes()


def test_lock_check_and_diff_know_what_devices_build(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock is up to date, and nothing is pending."""
    assert infc(monkeypatch, compiled, "lock", "--check") == 0
    assert "up to date" in capsys.readouterr().out


def test_reports_say_that_the_device_builds(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Another builder and a load test here have nothing to act on, which is said."""
    arguments = ("compile", SPEC, "--locked", "-o", str(tmp_path / "out"), "--builder", f"job:{tmp_path / 'jobs'}")
    assert infc(monkeypatch, compiled, *arguments, "--validate", "--format", "json") == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    jsonschema.validate(report, compile_schema())
    for bundle in report["bundles"]:
        assert bundle["engine"]["built_on"] == "device"
        assert bundle["release"]["archives"] == [f"{NAME}-jetson-1.tar.zst"]
    assert f"--builder does not apply to {NAME}" in printed.err
    assert "infc validate" in printed.err


@pytest.mark.slow
def test_numbers_count_up_with_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same content keeps its number, another objective is another release; a delta holds what changed only."""
    folder = small_workspace(tmp_path / "workspace")
    write_spec(folder, modules=MODULES[:1])
    assert infc(monkeypatch, folder, "compile", SPEC) == 0
    first = release_in_lock(folder)
    assert infc(monkeypatch, folder, "compile", SPEC) == 0
    assert release_in_lock(folder) == first
    old = folder / "dist" / NAME / f"{NAME}-{MODULES[0]}-1.tar.zst"
    kept = tmp_path / "old.tar.zst"
    kept.write_bytes(old.read_bytes())
    write_spec(folder, modules=MODULES[:1], slo={"latency": {"p99": "30ms"}})
    assert infc(monkeypatch, folder, "compile", SPEC, "--delta-from", str(kept)) == 0
    second = release_in_lock(folder)
    assert second["version"] == "2"
    delta = folder / "dist" / NAME / f"{NAME}-{MODULES[0]}-2.from-1.tar.zst"
    assert delta.stat().st_size < kept.stat().st_size / 4
    inside = unpack(delta, tmp_path)
    release, problems = from_json((inside / "manifest.json").read_bytes())
    assert problems == ()
    assert release is not None
    assert release.delta is not None
    assert release.delta.base_version == "1"
    assert f"models/{NAME}-fp16.onnx" in {each.path for each in release.delta.absent}
    assert not (inside / "models").exists()


@pytest.mark.slow
def test_signatures_outlast_a_compile_that_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signed archive stays as it is; another release is not signed, and the old one goes."""
    if shutil.which("openssl") is None:
        pytest.skip("signs with openssl")
    folder = small_workspace(tmp_path / "workspace")
    write_spec(folder, modules=MODULES[:1])
    assert infc(monkeypatch, folder, "compile", SPEC) == 0
    assert infc(monkeypatch, folder, "sign", "--new-key", "fleet.pem") == 0
    assert infc(monkeypatch, folder, "sign", f"dist/{NAME}", "--key", "fleet.pem") == 0
    archive = folder / "dist" / NAME / f"{NAME}-{MODULES[0]}-1.tar.zst"
    signed = archive.read_bytes()
    assert infc(monkeypatch, folder, "compile", SPEC) == 0
    assert archive.read_bytes() == signed
    assert verify_bundle(archive.parent) == ()
    write_spec(folder, modules=MODULES[:1], slo={"latency": {"p99": "30ms"}})
    assert infc(monkeypatch, folder, "compile", SPEC) == 0
    assert [path.name for path in archive.parent.glob("*.zst")] == [f"{NAME}-{MODULES[0]}-2.tar.zst"]


@pytest.mark.slow
def test_a_module_that_cannot_build_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written; where a program of the user's own loads the engine, the bundle has no service."""
    folder = small_workspace(tmp_path / "workspace")
    xavier, free = ("jetson-agx-xavier-32gb",), {"hardware": ["jetson-agx-xavier-32gb"], "precision": ["fp16"]}
    write_spec(folder, modules=xavier, jetson={"jetpack": "5.1.5"}, constraints=free)
    assert infc(monkeypatch, folder, "compile", SPEC) == 1
    assert "edge-tensorrt-unknown" in capsys.readouterr().err
    write_spec(folder, modules=MODULES[:1], metadata={"name": "engines"})
    assert infc(monkeypatch, folder, "compile", SPEC) == 1
    assert "edge-name-taken" in capsys.readouterr().err
    assert not (folder / "dist").exists()
    write_spec(folder, modules=MODULES[:1], jetson={"runtime": "none"})
    assert infc(monkeypatch, folder, "compile", SPEC) == 0
    inside = unpack(folder / "dist" / NAME / f"{NAME}-{MODULES[0]}-1.tar.zst", tmp_path)
    assert not (inside / "compose.yaml").exists()
    assert json.loads((inside / "manifest.json").read_text())["service"]["kind"] == "none"


def test_a_delta_needs_one_spec_and_its_own_archive(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage errors and foreign archives are said, not tracebacks."""
    strange = tmp_path / "old.tar.zst"
    strange.write_bytes(b"no archive")
    arguments = ("compile", SPEC, "--locked", "-o", str(tmp_path / "out"), "--delta-from", str(strange))
    assert infc(monkeypatch, compiled, *arguments) == 1
    assert "old.tar.zst" in capsys.readouterr().err
    other = compiled.parent / "other.infc.yaml"
    other.write_text((compiled / SPEC).read_text())
    assert infc(monkeypatch, compiled, "compile", SPEC, str(other), "--delta-from", str(strange)) == 64
