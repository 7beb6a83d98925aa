"""A Kubernetes cluster as a builder: one Job per engine, files through a volume, kubectl for everything.

The Job is named by the engine key and its results lie on the volume by key: a Job that another run started is awaited,
and one that finished while nobody looked is collected. A porter (the same image, without a GPU) moves the files.
"""

import contextlib
import secrets
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from infc.build.builder import BuildTarget, Report
from infc.build.builders import porter
from infc.build.builders.address import KubernetesAddress
from infc.build.builders.devices import DeviceNames
from infc.build.builders.kubectl import Kubectl, PodState
from infc.build.builders.kubernetes_manifest import PLACING_S, job_manifest, job_name, porter_manifest
from infc.build.builders.local import interrupted
from infc.build.builders.node import builds_for, device_problem, toolchain_from_probe
from infc.build.content import file_digest
from infc.build.job_folder import OpenJob
from infc.build.job_json import JOB_NAME, LIBRARIES_NAME, RESULT_NAME
from infc.build.libraries import LIBRARIES, libraries_json
from infc.build.result import attest
from infc.build.worker_archive import WORKER_NAME, worker_archive
from infc.diag import Diagnostic, ToolError
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.job import Attestation, BuildJob

_PORTER_SCRIPT = Path(porter.__file__)
_PROBE = """
import os, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "worker.pyz")
    with open(path, "wb") as file:
        file.write(sys.stdin.buffer.read())
    sys.exit(subprocess.run([sys.executable, path, "probe"]).returncode)
"""


class KubernetesBuilder:
    """One namespace. `wait_s` is how long a Job may wait for a node, and the porter for its start."""

    def __init__(
        self,
        address: KubernetesAddress,
        devices: Mapping[str, DeviceNames],
        *,
        wait_s: float = PLACING_S,
        poll_s: float = 2.0,
    ) -> None:
        self.name = address.text
        self.slots = address.slots
        self._address = address
        self._devices = devices
        self._wait_s = wait_s
        self._poll_s = poll_s
        self._kubectl = Kubectl(address)
        self._guard = threading.Lock()
        self._porter_job: str | None = None
        self._porter_pod: str | None = None
        self._probe: str | None = None
        self._awaited: set[str] = set()
        self._closed = threading.Event()

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """Whether the cluster may have the device; that it really has shows when the Job is placed."""
        unbuildable = builds_for(self.name, target)
        if unbuildable is not None or not LIBRARIES[target.kind].needs_gpu:
            return unbuildable
        known = self._devices.get(target.hardware_id)
        if known is not None and known.driver_names:
            return None
        return Diagnostic(
            id="builder-cannot",
            message=f"no builder for {target.hardware_id}: {self.name} cannot tell which nodes have it",
            help="name its driver_names in targets/builders/devices.yaml",
        )

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """The versions in the image, asked once."""
        pod = self._porter()
        with self._guard:
            if self._probe is None:
                said = self._kubectl.execute(pod, ["python3", "-c", _PROBE], stdin=worker_archive())
                self._probe = next(reversed(said.decode(errors="replace").splitlines()), "")
        return toolchain_from_probe(self.name, target, self._probe)

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Have a Job build the engine, or collect what one built before."""
        opened = OpenJob(job=job, digest=file_digest(folder / JOB_NAME), folder=folder)
        name = job_name(job.key)
        state = self._carried("state", job.key)
        if state != "result":
            if state == "none":
                report("copying the job to the volume")
                self._put(opened)
            stopped = self._run(job, name, report)
            if stopped is not None:
                return stopped
            if self._carried("state", job.key) != "result":
                return self._broke(job, name)
        self._collect(job.key, out)
        self._carried("drop", job.key)
        attested = attest(opened, out)
        if isinstance(attested, Diagnostic):
            return attested
        return device_problem(self.name, attested, job, self._devices.get(job.hardware_id)) or attested

    def close(self) -> None:
        """Delete the Jobs that are awaited, and the porter; what cannot be deleted now ends by its own deadline."""
        self._closed.set()
        with self._guard:
            names = sorted(self._awaited)
            if self._porter_job is not None:
                names.append(self._porter_job)
                self._porter_job = self._porter_pod = None
        for name in names:
            with contextlib.suppress(ToolError):
                self._kubectl.delete_job(name, is_awaited=False)

    def _run(self, job: BuildJob, name: str, report: Report) -> Diagnostic | None:
        """Start the Job unless it runs, and wait until it is over. None then, whatever it came to."""
        with self._guard:
            if self._closed.is_set():
                return interrupted(job)
            self._awaited.add(name)
        try:
            known = self._kubectl.job(name)
            if known is not None and known.is_over:
                self._kubectl.delete_job(name, is_awaited=True)
            device = self._devices.get(job.hardware_id)
            if not self._kubectl.create(job_manifest(self._address, job, device, wait_s=self._wait_s)):
                report(f"job {name} is there already: waiting for it")
            return self._awaited_end(job, name, report)
        finally:
            with self._guard:
                self._awaited.discard(name)

    def _awaited_end(self, job: BuildJob, name: str, report: Report) -> Diagnostic | None:
        said = ""
        placed_s = time.monotonic()
        while not self._closed.wait(self._poll_s):
            state = self._kubectl.job(name)
            if state is None:
                return self._broke(job, name)
            if state.is_over:
                return None
            pods = self._kubectl.pods(name)
            words = _words(name, pods) if pods else f"job {name}: no pod yet"
            if pods and not pods[-1].is_held_up:
                placed_s = time.monotonic()
                words = next(iter(self._kubectl.last_lines(name, 1)), words)
            if words != said:
                said = words
                report(words)
            if time.monotonic() - placed_s > self._wait_s:
                self._kubectl.delete_job(name, is_awaited=False)
                return Diagnostic(
                    id="builder-timed-out",
                    message=f"{self.name}: job {name} for {job.hardware_id} did not start in {self._wait_s:.0f} s",
                    notes=(words,),
                    help="is there a node with that GPU? kubectl get nodes -L nvidia.com/gpu.product",
                )
        return interrupted(job)

    def _broke(self, job: BuildJob, name: str) -> Diagnostic:
        state = self._kubectl.job(name)
        why = state.reason if state is not None and state.reason else "it left no result"
        return Diagnostic(
            id="builder-broke",
            message=f"{self.name}: job {name} for {job.hardware_id} failed: {why}",
            notes=tuple(self._kubectl.last_lines(name, 3)),
            help=f"kubectl describe job {name} says more; run the same command again",
        )

    def _porter(self) -> str:
        """The porter's pod, started when it is first needed. Raises ToolError when it does not start."""
        with self._guard:
            if self._porter_pod is not None:
                return self._porter_pod
            if self._closed.is_set():
                raise ToolError(f"{self.name} was closed")
            if self._porter_job is None:
                name = f"infc-porter-{secrets.token_hex(4)}"
                self._kubectl.create(porter_manifest(self._address, name))
                self._porter_job = name
            end_s = time.monotonic() + self._wait_s
            words = "no pod yet"
            while time.monotonic() < end_s and not self._closed.wait(self._poll_s / 4):
                pods = self._kubectl.pods(self._porter_job)
                ready = [pod for pod in pods if pod.is_ready]
                if ready:
                    self._porter_pod = ready[-1].name
                    return self._porter_pod
                words = _words(self._porter_job, pods) if pods else words
        raise ToolError(
            f"{self.name}: the pod that carries files did not start in {self._wait_s:.0f} s: {words}",
            help="check the image, the claim (kubectl get pvc) and the quota of the namespace",
        )

    def _carried(self, command: str, key: str) -> str:
        said = self._execute(command, key)
        return said.decode(errors="replace").strip()

    def _execute(
        self, command: str, key: str, stdin: IO[bytes] | bytes = b"", stdout: IO[bytes] | None = None
    ) -> bytes:
        pod = self._porter()
        try:
            script = _PORTER_SCRIPT.read_text("utf-8")
            return self._kubectl.execute(pod, ["python3", "-c", script, command, key], stdin=stdin, stdout=stdout)
        except ToolError:
            with self._guard:
                self._porter_pod = None  # it may have been evicted: the next call looks for its successor
            raise

    def _put(self, opened: OpenJob) -> None:
        with tempfile.TemporaryDirectory(prefix="infc-") as name:
            folder = Path(name)
            (folder / WORKER_NAME).write_bytes(worker_archive())
            (folder / LIBRARIES_NAME).write_bytes(libraries_json())
            files = [folder / WORKER_NAME, folder / LIBRARIES_NAME, opened.folder / JOB_NAME, opened.model]
            with (folder / "job.tar").open("w+b") as packed:
                with tarfile.open(fileobj=packed, mode="w") as archive:
                    for path in files:
                        archive.add(path, arcname=path.name, recursive=False)
                packed.seek(0)
                self._execute("put", opened.job.key, stdin=packed)

    def _collect(self, key: str, out: Path) -> None:
        """Fetch the files of a result: those that a result may have, and no others."""
        wanted = {RESULT_NAME, *ENGINE_NAMES.values()}
        with tempfile.TemporaryFile() as packed:
            self._execute("collect", key, stdout=packed)
            packed.seek(0)
            try:
                with tarfile.open(fileobj=packed) as archive:
                    for member in archive:
                        source = archive.extractfile(member) if member.isreg() and member.name in wanted else None
                        if source is not None:
                            with (out / member.name).open("wb") as file:
                                shutil.copyfileobj(source, file)
            except tarfile.TarError as error:
                raise ToolError(f"{self.name}: the result was cut off on its way: {error}") from error


def _words(job: str, pods: tuple[PodState, ...]) -> str:
    pod = pods[-1]
    return f"job {job}: {pod.phase.lower()}, {pod.words}"
