"""Results of builds: `attestation.json`, `job.json` and the engine in one folder, checked before anything trusts them.

The layout of such a folder is that of an entry of the engine cache.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from infc.build.content import content_problem, is_plain_file, read_plain
from infc.build.job_folder import LIMIT_BYTES, OpenJob, open_job
from infc.build.job_json import (
    ATTESTATION_NAME,
    JOB_NAME,
    RESULT_NAME,
    attestation_from_bytes,
    attestation_from_result,
    bytes_from_attestation,
    job_from_bytes,
)
from infc.build.key import job_key
from infc.build.plan_header import HEADER_BYTES, header_problem
from infc.build.toolchain import MACHINE, TOOLS
from infc.diag import Diagnostic
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.job import Attestation, BuildEnvironment, BuildJob


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished job: what its builder attests, the job it read, and the folder with both and the engine."""

    attestation: Attestation
    job: BuildJob
    folder: Path

    @property
    def engine(self) -> Path:
        """The engine file of a job that was built."""
        return self.folder / ENGINE_NAMES[self.job.kind]


def attest(opened: OpenJob, out: Path) -> Attestation | Diagnostic:
    """Turn the standalone worker's answer in `out` into a checked result with `attestation.json` and `job.json`."""
    try:
        content = read_plain(out / RESULT_NAME, LIMIT_BYTES)
    except OSError as error:
        return _damaged(f"{RESULT_NAME} cannot be read: {error.strerror or error}")
    attestation, problems = attestation_from_result(content, opened.digest)
    if attestation is None:
        return problems[0]
    problem = write_result(opened, attestation, out)
    if problem is None:
        (out / RESULT_NAME).unlink(missing_ok=True)
    return problem or attestation


def write_result(opened: OpenJob, attestation: Attestation, out: Path) -> Diagnostic | None:
    """Complete a folder that holds the engine: copy the job, write the attestation last, check the whole."""
    shutil.copyfile(opened.folder / JOB_NAME, out / JOB_NAME)
    (out / ATTESTATION_NAME).write_bytes(bytes_from_attestation(attestation))
    result = read_result(out, opened.job.key)
    return result if isinstance(result, Diagnostic) else None


def take_result(source: Path, job_folder: Path, key: str, out: Path) -> Attestation | Diagnostic | None:
    """Copy a result that a person put into `source` to `out`, checked; None when there is none.

    It is what `infc worker build` leaves, or the bare answer of the standalone worker for the job in `job_folder`.
    """
    is_attested = (source / ATTESTATION_NAME).is_file()
    if not is_attested and not (source / RESULT_NAME).is_file():
        return None
    names = (ATTESTATION_NAME, JOB_NAME) if is_attested else (RESULT_NAME,)
    try:
        for name in names:
            (out / name).write_bytes(read_plain(source / name, LIMIT_BYTES))
        for engine in sorted(set(ENGINE_NAMES.values())):
            if (source / engine).exists() and is_plain_file(source / engine):
                shutil.copyfile(source / engine, out / engine)
    except OSError as error:
        return _damaged(f"{source.as_posix()} cannot be read: {error.strerror or error}")
    if is_attested:
        result = read_result(out, key)
        return result if isinstance(result, Diagnostic) else result.attestation
    opened, problems = open_job(job_folder)
    if opened is None:
        return problems[0]
    return attest(opened, out)


def read_result(folder: Path, key: str) -> Result | Diagnostic:
    """The result that a folder holds for an engine key, or what is wrong with it.

    Checked: that the attestation and its job are of this key, that the job was not edited, that the engine is the file
    that was attested, that it was built by the versions that the key names, and the header where it is known.
    """
    try:
        content = read_plain(folder / ATTESTATION_NAME, LIMIT_BYTES)
        job_bytes = read_plain(folder / JOB_NAME, LIMIT_BYTES)
    except OSError as error:
        return _damaged(f"{folder.name} is no result: {error.filename or error}: {error.strerror or error}")
    attestation, problems = attestation_from_bytes(content)
    job, job_problems = job_from_bytes(job_bytes)
    if attestation is None or job is None:
        return (*problems, *job_problems)[0]
    if attestation.key != key or job.key != key or job_key(job) != key:
        return _damaged(f"the result is of the engine {attestation.key[:12]}, not of {key[:12]}")
    if attestation.job_digest != hashlib.sha256(job_bytes).hexdigest():
        return _damaged(f"the attestation is of another {JOB_NAME} than the one beside it")
    problem = _environment_problem(job, attestation.environment) or _engine_problem(folder, job, attestation)
    return _damaged(problem) if problem else Result(attestation=attestation, job=job, folder=folder)


def _environment_problem(job: BuildJob, environment: BuildEnvironment) -> str | None:
    had = {**environment.versions, MACHINE: environment.machine}
    for name, version in job.toolchain.items():
        if had.get(name) != version:
            return f"it was built with {name} {had.get(name, '(none)')}, the job asks for {version}"
    return None


def _engine_problem(folder: Path, job: BuildJob, attestation: Attestation) -> str | None:
    stated = attestation.engine
    if stated is None:
        return None
    expected = ENGINE_NAMES[job.kind]
    if stated.name != expected:
        return f"the engine is called {stated.name}, {job.kind} engines are called {expected}"
    path = folder / expected
    try:
        if not is_plain_file(path):
            return f"{expected} is a link or no regular file"
        found = content_problem(path, stated)
        if found is not None:
            return f"{expected} is not the engine that was attested: {found}"
        if job.kind == "tensorrt_rtx":
            with path.open("rb") as file:
                version = job.toolchain.get(TOOLS[job.kind].package, "")
                return header_problem(file.read(HEADER_BYTES), stated.size_bytes, version)
    except OSError as error:
        return f"{expected} cannot be read: {error.strerror or error}"
    return None


def _damaged(what: str) -> Diagnostic:
    return Diagnostic(
        id="build-result-damaged",
        message=what,
        help="build it again; if it was copied from another machine, copy the whole folder again",
    )
