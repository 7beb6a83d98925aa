"""torch.compile ahead of time: the lowered model as a package of AOTInductor, built in a process of its own."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from infc.build.builder import Report
from infc.build.torch_target import CPU_LEVEL
from infc.build.torch_worker import REFUSED
from infc.diag import Diagnostic
from infc.ir.engine import EngineFacts, EngineLayer
from infc.ir.job import BuildJob
from infc.resolve.process import Processes


def build_torch(
    job: BuildJob, model_path: Path, target: Path, report: Report, processes: Processes
) -> EngineFacts | Diagnostic:
    """Compile the lowered model for the job's device and write the package to `target`.

    The package is run before it is kept, on the smallest, the usual and the largest shapes, and compared with ONNX
    Runtime: a converter or compiler that goes wrong is refused, not served.
    """
    with tempfile.TemporaryDirectory(prefix=".torch-", dir=target.parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "order.json").write_text(json.dumps(_order(job, model_path, target)))
        command = [sys.executable, "-P", "-m", "infc.build.torch_worker", str(folder / "order.json")]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
            "TMPDIR": name,
        }
        ended = processes.run(command, report, environment)
        if ended.exit_code != 0:
            return _failed(job, ended.exit_code, ended.last_lines)
        return _facts(job, json.loads((folder / "facts.json").read_text()))


def _order(job: BuildJob, model_path: Path, target: Path) -> dict[str, object]:
    return {
        "model": str(model_path.resolve()),
        "target": str(target.resolve()),
        "device": "cuda" if job.compute_capability else "cpu",
        "cpu_level": job.toolchain[CPU_LEVEL],
        "precision": job.precision.value,
        "timeout_s": job.timeout_s,
        "shapes": {
            shape.input_name: [list(shape.minimum), list(shape.optimum), list(shape.maximum)] for shape in job.shapes
        },
    }


def _facts(job: BuildJob, stated: dict[str, object]) -> EngineFacts:
    layers, settings, weight_bytes = stated["layers"], stated["settings"], stated["weight_bytes"]
    assert isinstance(layers, list)  # noqa: S101 - written by the worker of this version
    assert isinstance(settings, dict)  # noqa: S101
    assert isinstance(weight_bytes, int)  # noqa: S101
    return EngineFacts(
        activation_bytes=None,
        weight_bytes=weight_bytes,
        layers=tuple(EngineLayer(name=name, kind=kind, dtype="") for name, kind in layers),
        toolchain=job.toolchain,
        settings=settings,
    )


def _failed(job: BuildJob, exit_code: int, last_lines: tuple[str, ...]) -> Diagnostic:
    said = [line.strip() for line in last_lines if line.strip()]
    if exit_code == REFUSED:
        return Diagnostic(
            id="build-torch-unsupported",
            message=f"the {job.precision.value} model cannot be compiled by torch for {job.hardware_id}",
            notes=tuple(said[-1:]),
            help="leave build.engine out, or name onnxruntime: they run every operator of the model",
        )
    if exit_code == -signal.SIGALRM:
        return Diagnostic(
            id="builder-timed-out",
            message=f"torch took longer than {job.timeout_s:g} s to compile the model for {job.hardware_id}",
            help="compile on a faster or quieter machine",
        )
    how = f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
    return Diagnostic(
        id="build-failed",
        message=f"torch could not compile the {job.precision.value} model for {job.hardware_id}: its process {how}",
        notes=tuple(line[:240] for line in said[-2:]),
        help="check that a C++ compiler (g++) is installed and that the disk has room; "
        "else leave build.engine out, or name onnxruntime",
    )
