"""A builder that builds later: the job is written for another machine, and its result is taken when it is there.

What can only be built where its GPU is becomes a job; everything else is built on this machine.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from infc.build.builder import BuildTarget, Report
from infc.build.builders.local import LocalBuilder
from infc.build.cache import sweep_stale
from infc.build.job_folder import open_job, write_job
from infc.build.result import take_result
from infc.diag import Diagnostic, Severity
from infc.ir.engine_kind import EngineKind
from infc.ir.job import Attestation, BuildJob

RESULT_FOLDER = "result"
"""Where in its job's folder a result is looked for."""


class JobBuilder:
    """Writes jobs to `folder/<key>`; takes results from `folder/<key>/result`.

    `toolchains` says for each kind that becomes a job which versions must build it; other kinds are built here.
    """

    def __init__(self, folder: Path, toolchains: Mapping[EngineKind, Mapping[str, str]]) -> None:
        self._folder = folder
        self._toolchains = toolchains
        self._local = LocalBuilder()

    @property
    def name(self) -> str:
        """`job:` and the folder."""
        return f"job:{self._folder.as_posix()}"

    @property
    def slots(self) -> int:
        """Those of this machine: writing a job takes none."""
        return self._local.slots

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """None for what becomes a job, else what this machine says."""
        return None if target.kind in self._toolchains else self._local.refusal(target)

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """The versions that the job asks for, or those of this machine. Raises ToolError."""
        return self._toolchains.get(target.kind) or self._local.toolchain(target)

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """The result if it is there, else a note that the engine is pending, once its job is written."""
        if job.kind not in self._toolchains:
            return self._local.build(job, folder, out, report)
        place = self._folder / job.key
        finished = take_result(place / RESULT_FOLDER, place, job.key, out)
        if finished is not None:
            report(f"{_shown(place)} holds a result")
            return finished
        if self._folder.is_dir():
            sweep_stale(self._folder, time.time())
        try:
            write_job(place, job, folder / job.model.name)
        except OSError as error:
            _, problems = open_job(place)
            if not problems:
                raise
            why = f"{_shown(place)} is no job of this engine: {problems[0].message}"
            return Diagnostic(id=problems[0].id, message=why, notes=(str(error),), help="remove that folder")
        report(f"wrote the job {_shown(place)}")
        return pending(job, place)

    def close(self) -> None:
        """End what is built here."""
        self._local.close()


def pending(job: BuildJob, place: Path) -> Diagnostic:
    """The note that an engine is still to be built."""
    tools = ", ".join(f"{name} {version}" for name, version in sorted(job.toolchain.items()))
    command = f"infc worker build --job job.json --out {RESULT_FOLDER}"
    return Diagnostic(
        id="build-pending",
        severity=Severity.NOTE,
        message=f"the {job.kind} engine {job.key[:12]} is still to be built, on a {job.hardware_id} with {tools}",
        notes=(f"its job is {_shown(place)}",),
        help=f"copy that folder to such a machine, run `{command}` in it, copy {RESULT_FOLDER}/ back and compile again",
    )


def _shown(path: Path) -> str:
    """A path as a user here would write it."""
    return (path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path).as_posix()
