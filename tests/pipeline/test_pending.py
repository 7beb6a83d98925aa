"""An engine that another machine builds: everything else is emitted now, the engine is found by its key later."""

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from infc.build.builders.job import JobBuilder
from infc.build.job_folder import open_job
from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.manifest import verify_bundle
from infc.pipeline.compile import CompileOptions, compile_spec
from infc.pipeline.engines import pending_toolchains
from infc.report.compile_schema import compile_schema

pytest.importorskip("onnxruntime", reason="lowers and builds with the extra onnx")
pytest.importorskip("tritonclient", reason="emits with the extra triton")
SPEC = "fashion-mnist.infc.yaml"
Edit = Callable[[Path, str, str], None]


@pytest.fixture
def gpu_workspace(workspace: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example for an L4 in FP16, without an accuracy goal: quick to compile."""
    text = (workspace / SPEC).read_text()
    start, end = text.index("accuracy:"), text.index("quantization:")
    (workspace / SPEC).write_text(text[:start] + text[end:])
    edit(workspace / SPEC, "hardware: [t4, l4, a10g, l40s]", "hardware: [l4]")
    edit(workspace / SPEC, "precision: [int8]", "precision: [fp16]")
    edit(workspace / SPEC, "  targets: [cpu]", "  # no further targets")
    monkeypatch.chdir(workspace)
    return workspace


def engine_of(workspace: Path) -> dict[str, object]:
    """The engine in the lock."""
    (entry,) = tomllib.loads((workspace / "infc.lock").read_text())["artifact"]
    engine: dict[str, object] = entry["engine"]
    return engine


def test_a_job_is_written_and_everything_else_emitted(gpu_workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 with a note; the lock knows the key, the bundle says what is missing, the job can be built elsewhere."""
    code = guarded(app, args=["compile", SPEC, "--builder", "job", "--format", "json"])
    shown = capsys.readouterr()
    assert code == 0
    assert "note[build-pending]" in shown.err
    report = json.loads(shown.out)
    jsonschema.validate(report, compile_schema())
    engine = engine_of(gpu_workspace)
    key = str(engine["key"])
    assert (engine["kind"], engine["pending"]) == ("tensorrt", True)
    assert (report["bundles"][0]["engine"]["key"], "pending" in report["bundles"][0]["engine"]) == (key, True)
    bundle = gpu_workspace / "dist" / "fashion-mnist"
    assert verify_bundle(bundle) == ()
    assert not (bundle / "model_repository/fashion-mnist/1/model.plan").exists()
    assert "not built yet" in (bundle / "README.md").read_text()
    assert "not built yet" in (bundle / "launch.sh").read_text()
    opened, problems = open_job(gpu_workspace / ".infc" / "jobs" / key)
    assert problems == ()
    assert opened is not None
    assert opened.job.toolchain == pending_toolchains()["tensorrt"]

    before = (gpu_workspace / "infc.lock").read_bytes()
    assert guarded(app, args=["compile", SPEC, "--builder", "job", "--locked"]) == 0
    assert guarded(app, args=["lock", "--check"]) == 0
    assert (gpu_workspace / "infc.lock").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("place", ["jobs", "engines"])
def test_the_result_is_found_by_its_key(gpu_workspace: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its job or in the cache: the next compile takes it, whatever builder it names, and asks none for it."""
    pytest.importorskip("tensorrt_rtx", reason="builds with the extra rtx")
    from infc.build.toolchain import toolchain_for

    tools = toolchain_for("tensorrt_rtx")
    jobs = gpu_workspace / ".infc" / "jobs"
    builder = JobBuilder(jobs, {"tensorrt_rtx": tools})
    pending = compile_spec(Path(SPEC), CompileOptions(output=Path("dist"), builder=builder))
    assert pending.exit_code == 0
    key = str(engine_of(gpu_workspace)["key"])
    out = jobs / key / "result" if place == "jobs" else gpu_workspace / "copied"
    assert guarded(app, args=["worker", "build", "--job", str(jobs / key), "--out", str(out)]) == 0
    if place == "engines":
        (gpu_workspace / ".infc" / "engines").mkdir(exist_ok=True)
        shutil.move(out, gpu_workspace / ".infc" / "engines" / key)

    # Where the lock is committed as pending, another machine with the engine keeps it.
    kept = compile_spec(Path(SPEC), CompileOptions(output=Path("kept"), is_locked=True))
    assert kept.exit_code == 0, kept.diagnostics
    assert (gpu_workspace / "kept/fashion-mnist/model_repository/fashion-mnist/1/model.plan").is_file()

    lines: list[str] = []
    done = compile_spec(Path(SPEC), CompileOptions(output=Path("dist"), announce=lines.append))
    assert done.exit_code == 0
    assert any("of the lock is here" in line for line in lines)
    assert not any(line.startswith("building") for line in lines)
    engine = engine_of(gpu_workspace)
    assert (engine["key"], engine["pending"], engine["toolchain"]) == (key, False, dict(tools))
    bundle = gpu_workspace / "dist" / "fashion-mnist"
    assert (bundle / "model_repository/fashion-mnist/1/model.plan").read_bytes()[:4] == b"vtrt"
    assert "not built yet" not in (bundle / "README.md").read_text()

    # Where the engine is at hand, no builder and no library is asked to keep the lock.
    refusing = JobBuilder(gpu_workspace / "other", {"tensorrt_rtx": {"tensorrt_rtx": "9.9.9"}})
    locked = compile_spec(Path(SPEC), CompileOptions(output=Path("dist"), is_locked=True, builder=refusing))
    assert locked.exit_code == 0, locked.diagnostics
    shutil.rmtree(gpu_workspace / ".infc" / "engines")
    shutil.rmtree(gpu_workspace / ".infc" / "jobs")
    stale = compile_spec(Path(SPEC), CompileOptions(output=Path("dist"), is_locked=True, builder=refusing))
    assert stale.exit_code == 4
