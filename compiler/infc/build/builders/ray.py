"""A Ray cluster as a builder: each job is a task on a node of the device's accelerator type.

Nodes need Python and TensorRT only: the standalone worker travels with the job, and what runs on the node is sent by
value. Ray itself starts a task again when its node dies; what comes back is checked like any other result.
"""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from infc.build.builder import BuildTarget, Report
from infc.build.builders.address import RayAddress
from infc.build.builders.devices import DeviceNames
from infc.build.builders.local import BUILT, REFUSED, ended_badly
from infc.build.builders.node import builds_for, device_problem, toolchain_from_probe
from infc.build.builders.ray_task import Far, connect, far_function
from infc.build.content import file_digest
from infc.build.job_folder import OpenJob
from infc.build.job_json import JOB_NAME, LIBRARIES_NAME
from infc.build.libraries import LIBRARIES, libraries_json
from infc.build.result import attest
from infc.build.worker_archive import WORKER_NAME, worker_archive
from infc.diag import Diagnostic, ToolError
from infc.ir.job import Attestation, BuildJob
from infc.resolve.process import Ended

if TYPE_CHECKING:
    from ray import ObjectRef

CHUNK_BYTES = 64 << 20
RETRIES = 4
"""How often Ray itself starts a task again whose node or process died."""

_TYPE = "accelerator_type:"
_TELL_EVERY_S = 15.0


class RayBuilder:
    """The nodes of one Ray cluster.

    A job for a device goes to nodes with its accelerator type; where there are none, engines that need not see their
    device (TensorRT-RTX) may be built on any node. `wait_s` is how long a job waits for a type that has vanished.
    """

    def __init__(self, address: RayAddress, devices: Mapping[str, DeviceNames], *, wait_s: float = 60.0) -> None:
        self.name = address.text
        self.slots = address.slots
        self._cluster = address.cluster
        self._devices = devices
        self._wait_s = wait_s
        self._connecting = threading.Lock()
        self._ray: ModuleType | None = None
        self._probed: dict[tuple[str, str | None], Mapping[str, str]] = {}
        self._is_closed = threading.Event()

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """None when a node of the cluster can make such an engine now."""
        unbuildable = builds_for(self.name, target)
        if unbuildable is not None:
            return unbuildable
        needs_gpu = LIBRARIES[target.kind].needs_gpu
        types = self._types(with_gpu=needs_gpu)
        if self._place(target, types) is not None or not needs_gpu:
            return None
        known = self._devices.get(target.hardware_id)
        if known is None or not known.ray_types:
            return Diagnostic(
                id="builder-cannot",
                message=f"no builder for {target.hardware_id}: {self.name} cannot tell which nodes have it",
                help="name its ray_types in targets/builders/devices.yaml",
            )
        wanted = " or ".join(known.ray_types)
        return Diagnostic(
            id="builder-none",
            message=f"no builder for {target.hardware_id}: {self.name} has no node of type {wanted}",
            notes=(f"the cluster has {', '.join(sorted(types)) or 'no node with an accelerator type and a GPU'}",),
            help=f"start a node with that GPU (ray start --resources '{{\"{_TYPE}{known.ray_types[0]}\": 1}}')",
        )

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """The versions on a node for the target; asked once per accelerator type."""
        place = self._place(target, self._types())
        if (target.kind, place) not in self._probed:
            asked = self._submitted(target, place, ["probe"], {WORKER_NAME: [self._connected().put(worker_archive())]})
            outcome = self._answer(asked, place, f"the probe for {target.hardware_id}", lambda _line: None)
            if isinstance(outcome, Diagnostic):
                raise ToolError(outcome.message, help=outcome.help)
            code, lines, _ = outcome
            if code != BUILT or not lines:
                raise ToolError(f"{self.name}: the worker does not run on the node: {' '.join(lines[-3:])}")
            self._probed[target.kind, place] = toolchain_from_probe(self.name, target, lines[-1])
        return self._probed[target.kind, place]

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Run the job as a task; the engine comes back through the object store."""
        target = BuildTarget(kind=job.kind, hardware_id=job.hardware_id, compute_capability=job.compute_capability)
        refused = self.refusal(target)
        if refused is not None:
            return refused
        opened = OpenJob(job=job, digest=file_digest(folder / JOB_NAME), folder=folder)
        files = {**self._worker(), **{name: self._chunks(folder / name) for name in (JOB_NAME, job.model.name)}}
        place = self._place(target, self._types())
        asked = self._submitted(target, place, ["build", "job", "out"], files)
        outcome = self._answer(asked, place, f"the build for {job.hardware_id}", report)
        if isinstance(outcome, Diagnostic):
            return outcome
        code, lines, answer = outcome
        if code not in (BUILT, REFUSED):
            return ended_badly(opened, Ended(exit_code=code, last_lines=tuple(lines)))
        for name, content in answer.items():
            (out / Path(name).name).write_bytes(content)
        attested = attest(opened, out)
        if isinstance(attested, Diagnostic):
            return attested
        return device_problem(self.name, attested, job, self._devices.get(job.hardware_id)) or attested

    def close(self) -> None:
        """Cancel every task; the cluster stays as it is."""
        self._is_closed.set()

    def _answer(self, task: "ObjectRef[Far]", place: str | None, what: str, report: Report) -> Far | Diagnostic:
        """Wait for a task; it is cancelled when its type of node is gone for too long, or this builder is closed."""
        ray = self._connected()
        started_s = told_s = seen_s = time.monotonic()
        while not ray.wait([task], timeout=1.0)[0]:
            now_s = time.monotonic()
            if self._is_closed.is_set():
                ray.cancel(task, force=True)
                return Diagnostic(
                    id="builder-interrupted",
                    message=f"{what} was interrupted",
                    help="run the same command again: finished engines are not built a second time",
                )
            if place is None or place in self._types():
                seen_s = now_s
            if now_s - seen_s > self._wait_s:
                ray.cancel(task, force=True)
                return Diagnostic(
                    id="builder-none",
                    message=f"{self.name} has had no {place} node for {now_s - seen_s:.0f} s: {what} cannot go on",
                    help="start such a node, then run the same command again",
                )
            if now_s - told_s >= _TELL_EVERY_S:
                told_s = now_s
                report(f"queued or building for {now_s - started_s:.0f} s")
        try:
            answer: Far = ray.get(task)
        except ray.exceptions.RayError as error:
            return Diagnostic(
                id="builder-broke",
                message=f"{self.name}: {what} was lost: {type(error).__name__}",
                notes=tuple(line.strip() for line in str(error).splitlines() if line.strip())[:3],
                help="run the same command again",
            )
        return answer

    def _submitted(
        self, target: BuildTarget, place: str | None, arguments: list[str], files: "dict[str, list[ObjectRef[bytes]]]"
    ) -> "ObjectRef[Far]":
        options: dict[str, object] = {"num_cpus": 1, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        if place is not None:
            # A sliver: the type says where, num_gpus how many builds a device takes at once.
            options["resources"] = {_TYPE + place: 0.001}
        if LIBRARIES[target.kind].needs_gpu and arguments[0] == "build":
            options["num_gpus"] = 1
        return self._connected().remote(**options)(far_function()).remote(arguments, files)

    def _place(self, target: BuildTarget, types: frozenset[str]) -> str | None:
        """The accelerator type of the cluster that the target's device goes by."""
        known = self._devices.get(target.hardware_id)
        return next((name for name in (known.ray_types if known else ()) if name in types), None)

    def _types(self, *, with_gpu: bool = False) -> frozenset[str]:
        """Accelerator types of the nodes that live, of those with a GPU that Ray may give away if asked."""
        nodes = [node["Resources"] for node in self._connected().nodes() if node["Alive"]]
        names = (name for node in nodes if not with_gpu or node.get("GPU", 0) >= 1 for name in node)
        return frozenset(name.removeprefix(_TYPE) for name in names if name.startswith(_TYPE))

    def _worker(self) -> "dict[str, list[ObjectRef[bytes]]]":
        put = self._connected().put
        return {WORKER_NAME: [put(worker_archive())], LIBRARIES_NAME: [put(libraries_json())]}

    def _chunks(self, path: Path) -> "list[ObjectRef[bytes]]":
        """A file in the object store, in pieces that no node has to hold at once."""
        ray = self._connected()
        with path.open("rb") as file:
            return [ray.put(piece) for piece in iter(lambda: file.read(CHUNK_BYTES), b"")]

    def _connected(self) -> ModuleType:
        with self._connecting:
            if self._ray is None:
                self._ray = connect(self._cluster, self.name)
            return self._ray
