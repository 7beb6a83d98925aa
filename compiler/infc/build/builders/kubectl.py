"""kubectl as infc uses it: in one namespace of one context, answers as values."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from infc.build.builders.address import KubernetesAddress
from infc.diag import ToolError

_TIMEOUT_S = 60.0
_TRANSFER_S = 3600.0
_COMING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons for which a container waits that need nothing but time: volumes are mounted, the image is pulled."""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """How far a Job is; `reason` is what its Failed condition says."""

    is_complete: bool
    is_failed: bool
    reason: str

    @property
    def is_over(self) -> bool:
        """Whether it will not run again."""
        return self.is_complete or self.is_failed


@dataclass(frozen=True, kw_only=True)
class PodState:
    """How far a pod is. `is_held_up`: not on a node yet, or its container cannot start. `words` say why, or where."""

    name: str
    phase: str
    is_ready: bool
    is_held_up: bool
    words: str


class KubectlReader:
    """Runs the system's kubectl, with the user's own configuration. Every failure is a ToolError with its words.

    `name` is what messages call it, `rights` a verb and a kind that it needs; `context` None: the current one.
    """

    def __init__(self, name: str, *, context: str | None, namespace: str, rights: str) -> None:
        self._name = name
        self._rights = rights
        chosen = ["--context", context] if context else []
        self._base = ["kubectl", *chosen, "--namespace", namespace]

    def get(self, what: Sequence[str]) -> dict[str, Any] | None:
        """An object, or a list of them, as they are now; None when there is none."""
        done = self._run(["get", *what, "--ignore-not-found", "--output=json"])
        self._check(done, "get")
        found: dict[str, Any] | None = json.loads(done.stdout) if done.stdout.strip() else None
        return found

    def _run(
        self,
        arguments: Sequence[str],
        *,
        stdin: IO[bytes] | bytes = b"",
        stdout: IO[bytes] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> "subprocess.CompletedProcess[bytes]":
        command = [*self._base, *arguments]
        out = stdout or subprocess.PIPE
        try:
            if isinstance(stdin, bytes):
                return subprocess.run(
                    command, input=stdin, stdout=out, stderr=subprocess.PIPE, timeout=timeout_s, check=False
                )
            return subprocess.run(
                command, stdin=stdin, stdout=out, stderr=subprocess.PIPE, timeout=timeout_s, check=False
            )
        except FileNotFoundError as error:
            raise ToolError(f"{self._name} needs kubectl, which is not installed", help="install kubectl") from error
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{self._name}: kubectl {arguments[0]} had no answer in {timeout_s:.0f} s",
                help="check that the cluster can be reached: kubectl get pods",
            ) from error

    def _check(self, done: "subprocess.CompletedProcess[bytes]", verb: str) -> None:
        if done.returncode == 0:
            return
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        said = next((line for line in reversed(lines)), f"exit code {done.returncode}")
        raise ToolError(
            f"{self._name}: kubectl {verb}: {said}",
            help=f"check the context, the namespace and your rights there: kubectl auth can-i {self._rights}",
        )


class Kubectl(KubectlReader):
    """kubectl with what a builder needs: jobs and their pods."""

    def __init__(self, address: KubernetesAddress) -> None:
        super().__init__(address.text, context=address.context, namespace=address.namespace, rights="create jobs")

    def create(self, manifest: Mapping[str, object]) -> bool:
        """Create an object; False when one of that name is there already."""
        # Warn: a server that is older than a field of the manifest drops it.
        done = self._run(["create", "--validate=warn", "-f", "-"], stdin=json.dumps(manifest).encode())
        if done.returncode != 0 and b"AlreadyExists" in done.stderr:
            return False
        self._check(done, "create")
        return True

    def job(self, name: str) -> JobState | None:
        """A Job as it is now; None when there is none."""
        found = self.get(["job", name])
        return None if found is None else job_state(found)

    def pods(self, job: str) -> tuple[PodState, ...]:
        """The pods of a Job, newest last."""
        found = self.get(["pods", "--selector", f"job-name={job}"]) or {}
        items = sorted(found.get("items", []), key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        return tuple(pod_state(pod) for pod in items)

    def last_lines(self, job: str, count: int) -> list[str]:
        """The last lines that a Job's pod printed; none when it printed nothing, or is gone."""
        done = self._run(["logs", f"job/{job}", f"--tail={count}", "--container=worker"])
        return [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]

    def execute(
        self, pod: str, command: Sequence[str], *, stdin: IO[bytes] | bytes = b"", stdout: IO[bytes] | None = None
    ) -> bytes:
        """Run a command in a pod; its output is returned, or goes to `stdout`."""
        arguments = ["exec", "--stdin", pod, "--container=worker", "--", *command]
        done = self._run(arguments, stdin=stdin, stdout=stdout, timeout_s=_TRANSFER_S)
        self._check(done, "exec")
        return done.stdout or b""

    def delete_job(self, name: str, *, is_awaited: bool) -> None:
        """Delete a Job with its pods, if it is there."""
        wait = ["--wait=true", "--timeout=50s"] if is_awaited else ["--wait=false"]
        self._check(self._run(["delete", "job", name, "--ignore-not-found", "--cascade=background", *wait]), "delete")


def job_state(job: Mapping[str, Any]) -> JobState:
    """What a Job's conditions come to."""
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c.get("status") == "True"}
    failed = conditions.get("Failed", {})
    words = [text for text in (failed.get("reason"), failed.get("message")) if text]
    return JobState(is_complete="Complete" in conditions, is_failed="Failed" in conditions, reason=": ".join(words))


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """What a pod's status comes to."""
    status = pod.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    waiting = [
        container["state"]["waiting"]
        for container in status.get("containerStatuses", [])
        if container.get("state", {}).get("waiting")
    ]
    node = pod.get("spec", {}).get("nodeName")
    placed = conditions.get("PodScheduled", {})
    if waiting:
        words = ": ".join(text for text in (waiting[0].get("reason"), waiting[0].get("message")) if text)
    elif node is None:
        words = placed.get("message") or "no node yet"
    else:
        words = f"on node {node}"
    phase = status.get("phase", "Pending")
    is_coming = node is not None and all(state.get("reason") in _COMING for state in waiting)
    return PodState(
        name=pod["metadata"]["name"],
        phase=phase,
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        is_held_up=phase == "Pending" and not is_coming,
        words=words,
    )
