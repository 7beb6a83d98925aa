"""TensorRT and TensorRT-RTX: one job in a process of its own, its answer checked and published."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path
from typing import Any

import infc
from infc.build.cache import publish
from infc.build.failures import crashed, diagnose
from infc.build.libraries import LIBRARIES
from infc.build.plan_header import HEADER_BYTES, header_problem
from infc.build.worker import BUILT, REFUSED
from infc.diag import Diagnostic, ToolError
from infc.ir.engine import BuildRequest, Engine, EngineFacts, EngineLayer

TIMEOUT_S = 3600.0


def build_tensorrt(
    request: BuildRequest,
    key: str,
    toolchain: Mapping[str, str],
    cache_dir: Path,
    report: Callable[[str], None],
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    """Build with TensorRT or TensorRT-RTX and publish under `key`."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="infc-job-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(_job(request), sort_keys=True))
        shutil.copyfile(request.model.path, folder / "model.onnx")
        exit_code, lines = _run_worker(request, folder, report)
        if exit_code not in (BUILT, REFUSED) or not (folder / "result.json").is_file():
            return None, (crashed(request, exit_code, lines),)
        result = json.loads((folder / "result.json").read_text())
        if exit_code == REFUSED:
            return None, (diagnose(request, result["errors"], result["parse_errors"]),)
        built = folder / "model.plan"
        if request.kind == "tensorrt_rtx" and (problem := _header_problem(built, result["version"])):
            raise ToolError(f"the built engine is damaged: {problem}", help="check the disk, then build again")
        facts = _facts(result, toolchain)
        engine = publish(cache_dir, key, request, facts, lambda target: _move(built, target))
    report(f"{request.kind} engine {key[:12]} built: {engine.size_bytes} bytes, {len(facts.layers)} layers")
    return engine, ()


def _move(built: Path, target: Path) -> None:
    shutil.move(built, target)


def _job(request: BuildRequest) -> dict[str, object]:
    return {
        "kind": request.kind,
        "compute_capability": request.compute_capability,
        "workspace_bytes": request.options.workspace_bytes,
        "shapes": [
            {
                "input": shape.input_name,
                "minimum": list(shape.minimum),
                "optimum": list(shape.optimum),
                "maximum": list(shape.maximum),
            }
            for shape in request.shapes
        ],
    }


def _command(request: BuildRequest, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The worker's command line and environment.

    TensorRT-RTX 1.7 orders parts of an INT8 engine by addresses, and those move with the length of every path, argument
    and variable. Its worker therefore sees only paths of one length: links to Python, to infc and to the library in a
    folder whose own name has a fixed length. TensorRT needs the GPU, and whatever variables lead to it.
    """
    module = "infc.build.worker"
    if request.kind != "tensorrt_rtx":
        return [sys.executable, "-P", "-m", module], {**os.environ}
    found = util.find_spec(LIBRARIES[request.kind].module)
    assert found is not None  # noqa: S101 - its version was read before
    assert found.origin is not None  # noqa: S101 - a package has a file
    for name, target in (
        ("python", Path(sys.executable).resolve()),
        ("infc", Path(infc.__file__).parent),
        ("packages", Path(found.origin).parents[1]),
    ):
        (folder / name).symlink_to(target)
    start = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(folder / 'packages')!r}]; import runpy; "
    command = [str(folder / "python"), "-P", "-S", "-c", start + f"runpy.run_module({module!r}, run_name='__main__')"]
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "TZ": "UTC"}
    return command, environment


def _run_worker(request: BuildRequest, folder: Path, report: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run the worker, pass its progress on, end it if infc is interrupted.

    Returns its exit code and its last error lines.
    """
    errors = folder / "stderr.txt"
    command, environment = _command(request, folder)
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, env=environment, cwd=folder, text=True
        )
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            for line in process.stdout:
                report(line.rstrip())
            process.wait(timeout=TIMEOUT_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return process.returncode, errors.read_text(errors="replace").splitlines()


def _header_problem(path: Path, version: str) -> str | None:
    with path.open("rb") as file:
        return header_problem(file.read(HEADER_BYTES), path.stat().st_size, version)


def _facts(result: dict[str, Any], toolchain: Mapping[str, str]) -> EngineFacts:
    return EngineFacts(
        activation_bytes=result["activation_bytes"],
        weight_bytes=result["weight_bytes"],
        layers=tuple(EngineLayer(name=name, kind=kind, dtype=dtype) for name, kind, dtype in result["layers"]),
        toolchain=toolchain,
    )
