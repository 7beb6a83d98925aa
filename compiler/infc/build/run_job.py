"""One job folder to one result folder, as `infc worker build` does it: what any machine with infc can run."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from infc.build.builder import Builder, BuildTarget, Report
from infc.build.cache import STAGING
from infc.build.content import read_plain
from infc.build.failures import diagnose
from infc.build.job_folder import LIMIT_BYTES, OpenJob, open_job, request_from_job, toolchain_problem
from infc.build.job_json import ATTESTATION_NAME, attestation_from_bytes
from infc.build.result import read_result
from infc.diag import Diagnostic, ToolError
from infc.ir.job import Attestation, BuildJob

JobStatus: TypeAlias = Literal["built", "present", "refused", "failed", "invalid"]
"""present: the output folder holds the result already. refused: by the library. failed: the builder could not run it,
or the output folder holds something else. invalid: the job may not be built."""


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """What came of a job; `job` is None when it is invalid."""

    status: JobStatus
    job: BuildJob | None
    attestation: Attestation | None
    diagnostics: tuple[Diagnostic, ...]


def run_job(folder: Path, out: Path, builder: Builder, report: Report) -> JobOutcome:
    """Build the job of `folder` with `builder`; `out` appears whole, with a refusal's attestation too, or not at all.

    A result of the same key that is there already is left as it is. Raises OSError when `out` cannot be written.
    """
    opened, problems = open_job(folder)
    if opened is None:
        return JobOutcome(status="invalid", job=None, attestation=None, diagnostics=problems)
    job = opened.job
    present = _present(out, job.key)
    if isinstance(present, Diagnostic):
        return JobOutcome(status="failed", job=job, attestation=None, diagnostics=(present,))
    if present is not None:
        report(f"{out.as_posix()} holds the {job.kind} engine {job.key[:12]} already")
        return JobOutcome(status="present", job=job, attestation=present, diagnostics=())
    answer = _cannot(builder, job) or _published(opened, out, builder, report)
    if isinstance(answer, Diagnostic):
        return JobOutcome(status="failed", job=job, attestation=None, diagnostics=(answer,))
    if answer.status == "refused":
        why = diagnose(request_from_job(opened), answer.errors, answer.parse_errors)
        return JobOutcome(status="refused", job=job, attestation=answer, diagnostics=(why,))
    return JobOutcome(status="built", job=job, attestation=answer, diagnostics=())


def _present(out: Path, key: str) -> Attestation | Diagnostic | None:
    """The built result of the key in `out`; None when there is room for one; a Diagnostic when something else is."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    result = read_result(out, key)
    if not isinstance(result, Diagnostic):
        return result.attestation if result.attestation.status == "built" else None
    return Diagnostic(
        id="build-output-taken",
        message=f"{out.as_posix()} holds {_what_holds(out, key)}",
        notes=(result.message,),
        help="give another --out, or remove that folder",
    )


def _what_holds(out: Path, key: str) -> str:
    try:
        attestation, _ = attestation_from_bytes(read_plain(out / ATTESTATION_NAME, LIMIT_BYTES))
    except OSError:
        return "files that are no result of a build"
    if attestation is None:
        return "files that are no result of a build"
    if attestation.key == key:
        return f"a damaged result of the engine {key[:12]}"
    return f"the result of the engine {attestation.key[:12]}, this job is {key[:12]}"


def _cannot(builder: Builder, job: BuildJob) -> Diagnostic | None:
    """Why this machine may not build the job: not its device, or not its versions."""
    target = BuildTarget(kind=job.kind, hardware_id=job.hardware_id, compute_capability=job.compute_capability)
    refusal = builder.refusal(target)
    if refusal is not None:
        return refusal
    try:
        return toolchain_problem(job, builder.toolchain(target))
    except ToolError as error:
        return Diagnostic(id="builder-cannot", message=str(error), help=error.help)


def _published(opened: OpenJob, out: Path, builder: Builder, report: Report) -> Attestation | Diagnostic:
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=out.parent))
    try:
        answer = builder.build(opened.job, opened.folder, staging, report)
        if isinstance(answer, Diagnostic):
            return answer
        result = read_result(staging, opened.job.key)
        if isinstance(result, Diagnostic):
            return result
        staging.chmod(0o755)
        if out.exists() and any(out.iterdir()):
            shutil.rmtree(out)  # an earlier refusal of this key
        os.replace(staging, out)
        return answer
    finally:
        shutil.rmtree(staging, ignore_errors=True)
