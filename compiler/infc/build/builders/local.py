"""This machine as a builder: TensorRT in a process of its own, ONNX Runtime by its own function."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from infc.build.builder import BuildTarget, Report
from infc.build.content import content_file, file_digest
from infc.build.failures import crashed
from infc.build.job_folder import WORKER_KINDS, OpenJob, request_from_job, toolchain_problem
from infc.build.job_json import JOB_NAME
from infc.build.local_machine import local_environment
from infc.build.onnxruntime_engine import build_onnxruntime
from infc.build.result import attest, write_result
from infc.build.support import can_build
from infc.build.toolchain import MACHINE, toolchain_for
from infc.build.torch_engine import build_torch
from infc.build.worker_archive import WORKER_NAME, write_worker
from infc.diag import Diagnostic
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.job import Attestation, BuildJob
from infc.resolve.process import Ended, Processes

BUILT, UNACCEPTABLE, REFUSED, TIMED_OUT = 0, 2, 3, 124
"""Exit codes of the standalone worker."""


class LocalBuilder:
    """Builds on this machine, one engine at a time: builders use every core, and timing kernels needs a quiet GPU.

    `timing_cache` is a folder for kernel times that later builds for the same GPU and TensorRT read, where given.
    """

    def __init__(self, timing_cache: Path | None = None) -> None:
        self._processes = Processes()
        self._timing_cache = timing_cache

    @property
    def name(self) -> str:
        """`local`."""
        return "local"

    @property
    def slots(self) -> int:
        """One."""
        return 1

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """Why this machine cannot make such an engine; None when it can."""
        return can_build(target)

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """What is installed here. Raises ToolError when it is not."""
        return toolchain_for(target.kind)

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Build here; see `Builder.build`."""
        opened = OpenJob(job=job, digest=file_digest(folder / JOB_NAME), folder=folder)
        if job.kind in WORKER_KINDS:
            return self._run_worker(opened, out, report)
        differs = toolchain_problem(job, toolchain_for(job.kind))
        if differs is not None:
            return differs
        return self._run_here(opened, out, report)

    def _run_here(self, opened: OpenJob, out: Path, report: Report) -> Attestation | Diagnostic:
        """Build with a function of infc."""
        job = opened.job
        started = time.monotonic()
        target = out / ENGINE_NAMES[job.kind]
        if job.kind == "torch_inductor":
            facts = build_torch(job, opened.model, target, report, self._processes)
        else:
            facts = build_onnxruntime(job, opened.model, target, report)
        if isinstance(facts, Diagnostic):
            return interrupted(job) if self._processes.is_closed else facts
        versions = {name: version for name, version in job.toolchain.items() if name != MACHINE}
        attestation = Attestation(
            key=job.key,
            job_digest=opened.digest,
            status="built",
            engine=content_file(target),
            facts=facts,
            environment=local_environment(versions),
            errors=(),
            parse_errors=(),
            seconds=round(time.monotonic() - started, 3),
        )
        return write_result(opened, attestation, out) or attestation

    def close(self) -> None:
        """End the builds that run."""
        self._processes.close()

    def _run_worker(self, opened: OpenJob, out: Path, report: Report) -> Attestation | Diagnostic:
        """Run the standalone worker of this version, as on any other machine; what else lies beside the job is left."""
        with tempfile.TemporaryDirectory(prefix="infc-") as name:
            private = Path(name)
            shutil.copyfile(opened.folder / JOB_NAME, private / JOB_NAME)
            _link_or_copy(opened.model, private / opened.job.model.name)
            write_worker(private)
            worker = [sys.executable, "-P", str(private / WORKER_NAME)]
            command = [*worker, "build", "--with-parent", str(private), str(out)]
            if self._timing_cache is not None:
                command += ["--timing-cache", str(self._timing_cache)]
            ended = self._processes.run(command, report)
        if ended.exit_code in (BUILT, REFUSED):
            return attest(opened, out)
        return interrupted(opened.job) if self._processes.is_closed else ended_badly(opened, ended)


LOCAL = LocalBuilder()


def interrupted(job: BuildJob) -> Diagnostic:
    """The diagnostic for a build that was ended because infc was."""
    return Diagnostic(
        id="builder-interrupted",
        message=f"the build for {job.hardware_id} was interrupted",
        help="run the same command again: finished engines are not built a second time",
    )


def ended_badly(opened: OpenJob, ended: Ended) -> Diagnostic:
    """The diagnostic for a worker that ended without a result."""
    reason = next((line for line in reversed(ended.last_lines) if line.strip()), "it gave no reason")
    if ended.exit_code == UNACCEPTABLE:
        return Diagnostic(
            id="builder-cannot",
            message=f"the builder does not take the {opened.job.kind} job {opened.job.key[:12]}: {reason}",
            help="install what is missing on the machine that builds, or name another builder",
        )
    if ended.exit_code == TIMED_OUT:
        return Diagnostic(
            id="builder-timed-out",
            message=f"building the {opened.job.kind} engine for {opened.job.hardware_id} took longer than "
            f"{opened.job.timeout_s:g} s and was ended",
            help="build on a faster or quieter machine, or with a lower build.optimization_level",
        )
    # The library runs in a child of the worker: the worker's 128 + n says that signal n ended it.
    exit_code = 128 - ended.exit_code if 128 < ended.exit_code < 160 else ended.exit_code
    return crashed(request_from_job(opened), exit_code, ended.last_lines)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copyfile(source, target)
