"""A machine behind ssh as a builder: a lab box, a workstation, a Jetson. It needs Python 3.8 and TensorRT, no agent.

Everything there happens through `far.desk` of the packed worker, which is copied to the user's cache once. Builds run
there in the background and their results stay there by key: what finished while the connection was cut is fetched, not
built again.
"""

import json
import secrets
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from infc.build.builder import BuildTarget, Report
from infc.build.builders.address import SshAddress
from infc.build.builders.devices import device_names
from infc.build.builders.local import BUILT, REFUSED, ended_badly, interrupted
from infc.build.builders.node import builds_for
from infc.build.builders.ssh_connection import NO_PYTHON, OLD_PYTHON, SshConnection
from infc.build.content import file_digest
from infc.build.job_folder import OpenJob
from infc.build.job_json import JOB_NAME, LIBRARIES_NAME, RESULT_NAME, environment_from_json
from infc.build.libraries import LIBRARIES, libraries_json
from infc.build.result import attest
from infc.build.strict_json import FieldProblem, Fields
from infc.build.toolchain import TOOLS
from infc.diag import Diagnostic, DiagnosticError, ToolError
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.job import Attestation, BuildEnvironment, BuildJob
from infc.resolve.process import Ended

RECONNECTS = 4
"""How often a lost connection is made again while a build runs."""

_STOP_S = 30.0


class _Unseen:
    """Passes on the lines of a log that is read from its start again after every lost connection, each once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._shown = 0

    def from_start(self) -> Report:
        """A receiver for the log from its first line on."""
        lines = count(1)

        def receive(line: str) -> None:
            number = next(lines)
            if number > self._shown:
                self._shown = number
                self._report(line)

        return receive


class SshBuilder:
    """Builds TensorRT engines on the machine of an address."""

    def __init__(self, address: SshAddress, overlay: Path | None = None) -> None:
        self._address = address
        self._overlay = overlay
        self._connection = SshConnection(address)
        self._me = secrets.token_hex(8)
        self._guard = threading.Lock()
        self._machine: BuildEnvironment | Diagnostic | None = None
        self._started: set[str] = set()

    @property
    def name(self) -> str:
        """The address."""
        return self._address.text

    @property
    def slots(self) -> int:
        """How many builds may run there at once."""
        return self._address.slots

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """Why that machine cannot make such an engine; None when it can. Connects on the first call."""
        refused = builds_for(self.name, target)
        if refused is not None:
            return refused
        machine = self._probed()
        if isinstance(machine, Diagnostic):
            return machine
        library = LIBRARIES[target.kind]
        if library.package not in machine.versions:
            return self._cannot(target, f"it has no {library.title} for {self._address.python}", "install it there")
        if library.needs_gpu:
            return self._gpu_problem(target, machine)
        return None

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """What is installed there. Raises ToolError when it cannot be reached or lacks it."""
        machine = self._probed()
        if isinstance(machine, Diagnostic):
            raise ToolError(machine.message, help=machine.help)
        package = TOOLS[target.kind].package
        if package not in machine.versions:
            raise ToolError(f"{self.name} has no {package}", help="install it there, or name another builder")
        return {package: machine.versions[package]}

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Build there; see `Builder.build`."""
        opened = OpenJob(job=job, digest=file_digest(folder / JOB_NAME), folder=folder)
        try:
            problem = self._bring_to_end(opened, report)
        finally:
            if job.key in self._started:
                report(f"ending the build of {job.key[:12]}")
                self._connection.desk_last(["stop", job.key, self._me], _STOP_S)
                self._started.discard(job.key)
        if self._connection.is_closed:
            return interrupted(job)
        return problem or self._fetched(opened, out)

    def close(self) -> None:
        """End what this infc started there, then the connection."""
        self._connection.close()
        for key in tuple(self._started):
            self._connection.desk_last(["stop", key, self._me], _STOP_S)
            self._started.discard(key)
        self._connection.disconnect()

    def _bring_to_end(self, opened: OpenJob, report: Report) -> Diagnostic | None:
        """Have the job finished there: fetched from an earlier run, joined while it runs, or started now."""
        key = opened.job.key
        said: list[str] = []
        ended = self._connection.desk(["state", key], said.append)
        if ended.exit_code != 0:
            return self._failed(opened, ended, "")
        state = said[-1] if said else ""
        if state == "finished":
            report(f"the result of {key[:12]} is there already")
            return None
        if state == "running":
            report(f"{key[:12]} is being built there already: following it")
        else:
            ended = self._sent(opened)
            if ended.exit_code == 0:
                self._started.add(key)
                ended = self._connection.desk(["start", key, self._me], report)
            if ended.exit_code != 0:
                return self._failed(opened, ended, "took the job")
        return self._followed(opened, report)

    def _followed(self, opened: OpenJob, report: Report) -> Diagnostic | None:
        """Pass the progress on until the build ends; a lost connection is made again, the build goes on meanwhile."""
        unseen = _Unseen(report)
        for attempt in range(RECONNECTS + 1):
            ended = self._connection.desk(["follow", opened.job.key], unseen.from_start())
            lost = self._connection.problem(ended, "built")
            if lost is None or lost.id != "builder-lost" or self._connection.is_closed:
                self._started.discard(opened.job.key)
                return None if ended.exit_code in (BUILT, REFUSED) else self._failed(opened, ended, "built")
            if attempt < RECONNECTS:
                report("the connection was lost; connecting again")
                time.sleep(2.0**attempt)
        # The build goes on there: the next run fetches it.
        self._started.discard(opened.job.key)
        return lost

    def _sent(self, opened: OpenJob) -> Ended:
        """Copy the job there as one stream."""
        with tempfile.TemporaryDirectory(prefix="infc-") as name, tempfile.TemporaryFile() as packed:
            libraries = Path(name) / LIBRARIES_NAME
            libraries.write_bytes(libraries_json())
            with tarfile.open(fileobj=packed, mode="w|") as archive:
                for path in (opened.folder / JOB_NAME, opened.model, libraries):
                    archive.add(path, arcname=path.name)
            packed.seek(0)
            return self._connection.desk_stream(["put", opened.job.key], packed, None)

    def _fetched(self, opened: OpenJob, out: Path) -> Attestation | Diagnostic:
        """Copy the result here and check it. It may be of an earlier job with this key, which comes along."""
        wanted = {RESULT_NAME, JOB_NAME, ENGINE_NAMES[opened.job.kind]}
        with tempfile.TemporaryDirectory(prefix="infc-") as name, tempfile.TemporaryFile() as packed:
            ended = self._connection.desk_stream(["collect", opened.job.key], None, packed)
            if ended.exit_code != 0:
                return self._failed(opened, ended, "sent the result")
            packed.seek(0)
            job_folder = Path(name)
            try:
                with tarfile.open(fileobj=packed, mode="r|") as archive:
                    for member in archive:
                        content = archive.extractfile(member) if member.isreg() and member.name in wanted else None
                        if content is not None:
                            target = (job_folder if member.name == JOB_NAME else out) / member.name
                            with target.open("wb") as file:
                                while chunk := content.read(1 << 20):
                                    file.write(chunk)
            except tarfile.TarError as error:
                return self._broken(f"the result did not arrive whole: {error}")
            if not (job_folder / JOB_NAME).is_file():
                return self._broken("the result came without its job")
            digest = file_digest(job_folder / JOB_NAME)
            return attest(OpenJob(job=opened.job, digest=digest, folder=job_folder), out)

    def _probed(self) -> BuildEnvironment | Diagnostic:
        """The machine, asked once; a failure to reach it is not kept."""
        with self._guard:
            if not isinstance(self._machine, BuildEnvironment):
                self._machine = self._probe()
            return self._machine

    def _probe(self) -> BuildEnvironment | Diagnostic:
        ended = self._connection.prepare()
        said: list[str] = []
        if ended.exit_code == 0:
            ended = self._connection.desk(["probe"], said.append)
        if ended.exit_code in (NO_PYTHON, OLD_PYTHON):
            what = "no Python" if ended.exit_code == NO_PYTHON else "a Python older than 3.8"
            return Diagnostic(
                id="builder-cannot",
                message=f"{self.name} has {what} as {self._address.python}",
                help=f"install Python 3.8 or later there, or name it: {self.name}?python=/opt/venv/bin/python",
            )
        if ended.exit_code != 0:
            problem = self._connection.problem(ended, "")
            return problem or self._broken(next(reversed(ended.last_lines), "the probe gave no reason"))
        problems: list[FieldProblem] = []
        try:
            answer = Fields(json.loads(said[-1]), "$", problems)
        except (IndexError, ValueError):
            return self._broken("its probe did not answer with JSON")
        machine = environment_from_json(answer.nested("environment"))
        return (
            self._broken(f"its probe is not readable: {problems[0].path} {problems[0].message}")
            if problems
            else machine
        )

    def _gpu_problem(self, target: BuildTarget, machine: BuildEnvironment) -> Diagnostic | None:
        """Why the GPU there is not the target: kernels are timed on it."""
        if machine.gpu is None or machine.compute_capability is None:
            return self._cannot(target, "it has no NVIDIA GPU that its driver shows", "name a machine with that GPU")
        try:
            known = device_names(self._overlay).get(target.hardware_id)
        except DiagnosticError as error:
            return error.diagnostics[0]
        is_other = known is not None and known.driver_names and machine.gpu not in known.driver_names
        if machine.compute_capability != target.compute_capability or is_other:
            return self._cannot(target, f"its GPU is {machine.gpu}", f"name a machine with a {target.hardware_id}")
        return None

    def _cannot(self, target: BuildTarget, why: str, help: str) -> Diagnostic:
        return Diagnostic(
            id="builder-cannot",
            message=f"{self.name} cannot build the {target.kind} engine for {target.hardware_id}: {why}",
            help=help,
        )

    def _failed(self, opened: OpenJob, ended: Ended, doing: str) -> Diagnostic:
        return self._connection.problem(ended, doing) or ended_badly(opened, ended)

    def _broken(self, what: str) -> Diagnostic:
        return Diagnostic(
            id="builder-broke",
            message=f"{self.name}: {what}",
            help="run the same command again; if it repeats, remove ~/.cache/infc there",
        )
