"""Job folders: `job.json` beside the model it names, made from a request, opened again where it is built."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.build.content import content_problem, is_plain_file, read_plain
from infc.build.job_json import JOB_NAME, bytes_from_job, job_from_bytes
from infc.build.key import engine_key, job_key
from infc.build.worker_archive import write_worker
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest, LoweredModel
from infc.ir.engine_kind import EngineKind
from infc.ir.job import BuildJob, ContentFile

TIMEOUT_S = 3600.0
MODEL_NAME = "model.onnx"
WORKER_KINDS: tuple[EngineKind, ...] = ("tensorrt", "tensorrt_rtx")
"""Kinds that the standalone worker builds."""

LIMIT_BYTES = 64 << 20
"""A `job.json` or `attestation.json` above this is no such file."""


@dataclass(frozen=True, kw_only=True)
class OpenJob:
    """A job whose folder was checked: `digest` is the sha256 of `job.json` as it lies there."""

    job: BuildJob
    digest: str
    folder: Path

    @property
    def model(self) -> Path:
        """The lowered ONNX file."""
        return self.folder / self.job.model.name


def job_from_request(request: BuildRequest, toolchain: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> BuildJob:
    """The job that builds a request with a toolchain."""
    return BuildJob(
        key=engine_key(request, toolchain),
        kind=request.kind,
        model=ContentFile(name=MODEL_NAME, digest=request.model.digest, size_bytes=request.model.path.stat().st_size),
        source_digest=request.model.source_digest,
        recipe_digest=request.model.recipe_digest,
        precision=request.model.precision,
        shapes=request.shapes,
        hardware_id=request.hardware_id,
        compute_capability=request.compute_capability,
        options=request.options,
        toolchain=toolchain,
        timeout_s=timeout_s,
    )


def request_from_job(opened: OpenJob) -> BuildRequest:
    """The request that a job came from, as far as a builder needs it (the passes are not told)."""
    job = opened.job
    return BuildRequest(
        kind=job.kind,
        model=LoweredModel(
            path=opened.model,
            digest=job.model.digest,
            source_digest=job.source_digest,
            precision=job.precision,
            recipe_digest=job.recipe_digest,
            passes=(),
        ),
        shapes=job.shapes,
        hardware_id=job.hardware_id,
        compute_capability=job.compute_capability,
        options=job.options,
    )


def write_job(folder: Path, job: BuildJob, model: Path) -> OpenJob:
    """Write a job into a new folder, which appears whole or not at all; a job of the same key there is left as it is.

    TensorRT jobs carry the worker, so that a machine with Python and the library, but without infc, can run them.
    Raises OSError when the folder cannot be written, or holds something else.
    """
    content = bytes_from_job(job)
    digest = hashlib.sha256(content).hexdigest()
    written = OpenJob(job=job, digest=digest, folder=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".job-", dir=folder.parent))
    try:
        (staging / JOB_NAME).write_bytes(content)
        shutil.copyfile(model, staging / job.model.name)
        if job.kind in WORKER_KINDS:
            write_worker(staging)
        staging.chmod(0o755)
        try:
            os.replace(staging, folder)
        except OSError:
            opened, _ = open_job(folder)
            if opened is None or opened.job.key != job.key:
                raise
            return opened
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return written


def open_job(folder: Path) -> tuple[OpenJob | None, tuple[Diagnostic, ...]]:
    """The job of a folder, or every reason why it is none that may be built.

    Checked: the format, that every name stays in the folder (links are not followed), that the key is the one of the
    fields, and that the model is the one whose size and digest the job states.
    """
    try:
        content = read_plain(folder / JOB_NAME, LIMIT_BYTES)
    except OSError as error:
        return None, (_unreadable(folder, error),)
    job, problems = job_from_bytes(content)
    if job is None:
        return None, problems
    problems = tuple(p for p in (_edited(job), _model_problem(folder, job)) if p is not None)
    if problems:
        return None, problems
    return OpenJob(job=job, digest=hashlib.sha256(content).hexdigest(), folder=folder), ()


def toolchain_problem(job: BuildJob, installed: Mapping[str, str]) -> Diagnostic | None:
    """None when the versions installed here are those that the job must be built with."""
    differing = {name: asked for name, asked in job.toolchain.items() if installed.get(name) != asked}
    if not differing:
        return None
    asked = ", ".join(f"{name} {version}" for name, version in sorted(job.toolchain.items()))
    here = ", ".join(f"{name} {installed[name]}" if name in installed else f"no {name}" for name in sorted(differing))
    return Diagnostic(
        id="job-toolchain-differs",
        message=f"the job must be built with {asked}; here is {here}",
        notes=("versions are part of the engine key, and an engine loads only in the version that built it",),
        help="install the named version here, or build in a container that has it",
    )


def _edited(job: BuildJob) -> Diagnostic | None:
    key = job_key(job)
    if key == job.key:
        return None
    return Diagnostic(
        id="job-edited",
        message=f"{JOB_NAME} was edited: its fields make the key {key[:12]}, it says {job.key[:12]}",
        notes=("it may also be of another version of infc, whose keys differ",),
        help="write the job again with infc compile --builder job",
    )


def _model_problem(folder: Path, job: BuildJob) -> Diagnostic | None:
    path = folder / job.model.name
    try:
        if not is_plain_file(path):
            return Diagnostic(
                id="job-path",
                message=f"{job.model.name} is a link or no regular file, which may lead out of the job's folder",
                help="put the model itself beside job.json",
            )
        found = content_problem(path, job.model)
    except OSError as error:
        return Diagnostic(
            id="job-model-differs",
            message=f"{job.model.name} cannot be read: {error.strerror or error}",
            help="copy the whole job folder again",
        )
    if found is None:
        return None
    return Diagnostic(
        id="job-model-differs",
        message=f"{job.model.name} is not the model of the job: {found}",
        help="copy the whole job folder again, or write the job again",
    )


def _unreadable(folder: Path, error: OSError) -> Diagnostic:
    return Diagnostic(
        id="job-format",
        message=f"{(folder / JOB_NAME).as_posix()} cannot be read: {error.strerror or error}",
        help="name the job.json of a job folder that infc compile --builder job wrote",
    )
