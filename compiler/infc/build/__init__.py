"""Engine builders: TensorRT, TensorRT-RTX, ONNX Runtime and torch, here or elsewhere, with a cache by key.

`build` is the only way to an engine: it looks the key up, has the job run by a builder, checks the result and publishes
it atomically.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from infc.build.builder import Builder, BuildTarget
from infc.build.builders.local import LOCAL
from infc.build.cache import JOB_STAGING, publish, read_engine, sweep_stale
from infc.build.failures import diagnose
from infc.build.job_folder import TIMEOUT_S, job_from_request, write_job
from infc.build.job_json import JOB_NAME
from infc.build.key import engine_key
from infc.build.key_lock import key_lock
from infc.build.result import read_result
from infc.build.server_settings import OnnxRuntimeSettings, onnxruntime_settings
from infc.build.shapes import shape_ranges
from infc.build.support import builder_for, can_build
from infc.build.toolchain import toolchain_for
from infc.diag import Diagnostic, Severity
from infc.ir.engine import BuildRequest, Engine
from infc.ir.job import BuildJob

__all__ = [
    "LOCAL",
    "TIMEOUT_S",
    "OnnxRuntimeSettings",
    "build",
    "builder_for",
    "can_build",
    "engine_key",
    "onnxruntime_settings",
    "shape_ranges",
    "target_of",
    "toolchain_for",
]

Progress: TypeAlias = Callable[[str], None]


def build(
    request: BuildRequest,
    cache_dir: Path,
    progress: Progress | None = None,
    builder: Builder = LOCAL,
    *,
    timeout_s: float = TIMEOUT_S,
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    """The engine of a request, from the cache `cache_dir` (`<workspace>/.infc/engines`) or built now by `builder`.

    One process or thread builds a key, the others wait for it; a build that takes longer than `timeout_s` is ended.
    `progress` gets short lines in words. What the builder refuses comes back as diagnostics with its reason; no engine
    and a note say that it will be built later. A missing builder package raises ToolError that says how to get it.
    """
    report = progress or _silent
    target = target_of(request)
    refusal = builder.refusal(target)
    if refusal is not None:
        return None, (refusal,)
    job = job_from_request(request, builder.toolchain(target), timeout_s)
    cached = read_engine(cache_dir, job.key, request)
    if cached is None:
        waiting = f"another infc builds the {job.kind} engine {job.key[:12]}: waiting for it"
        with key_lock(cache_dir, job.key, lambda: report(waiting)):
            cached = read_engine(cache_dir, job.key, request)
            if cached is None:
                return _build(request, job, cache_dir, report, builder)
    report(f"{request.kind} engine {job.key[:12]} is in the cache")
    return cached, ()


def target_of(request: BuildRequest) -> BuildTarget:
    """What a builder must be able to make for a request."""
    return BuildTarget(
        kind=request.kind, hardware_id=request.hardware_id, compute_capability=request.compute_capability
    )


def _build(
    request: BuildRequest, job: BuildJob, cache_dir: Path, report: Progress, builder: Builder
) -> tuple[Engine | None, tuple[Diagnostic, ...]]:
    sweep_stale(cache_dir, time.time())
    with tempfile.TemporaryDirectory(prefix=JOB_STAGING, dir=cache_dir, ignore_cleanup_errors=True) as name:
        folder, out = Path(name) / "job", Path(name) / "out"
        out.mkdir()
        write_job(folder, job, request.model.path)
        answer = builder.build(job, folder, out, report)
        if isinstance(answer, Diagnostic):
            return None, (answer,)
        if answer.status == "refused":
            return None, (diagnose(request, answer.errors, answer.parse_errors),)
        if not (out / JOB_NAME).exists():
            shutil.copyfile(folder / JOB_NAME, out / JOB_NAME)
        result = read_result(out, job.key)
        if isinstance(result, Diagnostic):
            return None, (result,)
        publish(cache_dir, result)
    engine = read_engine(cache_dir, job.key, request)
    if engine is None:
        return None, (_vanished(cache_dir, job),)
    size = f"{engine.size_bytes} bytes, {len(engine.facts.layers)} layers"
    report(f"{request.kind} engine {job.key[:12]} is ready: {size}")
    return engine, ()


def _vanished(cache_dir: Path, job: BuildJob) -> Diagnostic:
    return Diagnostic(
        id="build-result-damaged",
        severity=Severity.ERROR,
        message=f"the engine {job.key[:12]} was published and is gone or changed at once",
        notes=(f"the cache is {cache_dir.name}",),
        help="check the disk and what else writes there, then build again",
    )


def _silent(line: str) -> None:
    """Report nothing."""
