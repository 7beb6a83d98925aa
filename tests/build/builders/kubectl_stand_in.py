"""A stand-in for kubectl and the cluster behind it, as far as infc uses them: objects are files, pods are processes.

Run as `kubectl`; `KUBECTL_STAND_IN` names its folder, `nodes` in it lists the values of nvidia.com/gpu.product, and
`volume` is what pods see as /infc. It answers as kubectl 1.32 does: messages, exit codes, and the fields of `get`.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["KUBECTL_STAND_IN"])
MOUNT = "/infc"


def main(arguments: list[str]) -> int:
    """One invocation."""
    with (FOLDER / "calls.jsonl").open("a") as log:
        log.write(json.dumps([argument[:200] for argument in arguments]) + "\n")
    if (FOLDER / "down").exists():
        print("The connection to the server lab:6443 was refused - did you specify the right host?", file=sys.stderr)
        return 1
    arguments = [a for a in arguments if a not in ("--namespace", "builds", "--context", "lab")]
    match arguments:
        case ["create", "--validate=warn", "-f", "-"]:
            return create(json.load(sys.stdin))
        case ["get", "job", name, "--ignore-not-found", "--output=json"]:
            job = read(name)
            print("" if job is None else json.dumps(shown_job(job)))
        case ["get", "pods", "--selector", selector, "--ignore-not-found", "--output=json"]:
            job = read(selector.removeprefix("job-name="))
            print(json.dumps({"kind": "List", "items": [] if job is None else [shown_pod(job)]}))
        case ["logs", target, tail, "--container=worker"]:
            log = FOLDER / f"{target.removeprefix('job/')}.log"
            lines = log.read_text().splitlines() if log.exists() else []
            print("\n".join(lines[-int(tail.removeprefix("--tail=")) :]))
        case ["exec", "--stdin", _pod, "--container=worker", "--", *command]:
            return subprocess.run(local(command), check=False).returncode
        case ["delete", "job", name, "--ignore-not-found", "--cascade=background", *_]:
            delete(name)
        case _:
            print(f"error: not played: {arguments}", file=sys.stderr)
            return 1
    return 0


def create(manifest: dict[str, Any]) -> int:
    """Store a Job and start its pod, if there is a node for it."""
    name = manifest["metadata"]["name"]
    if read(name) is not None:
        print(f'Error from server (AlreadyExists): jobs.batch "{name}" already exists', file=sys.stderr)
        return 1
    job: dict[str, Any] = {"manifest": manifest, "pid": None, "pod": f"{name}-x7k2p"}
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    is_porter = name.startswith("infc-porter")
    if has_node(manifest) and not is_porter:
        environment = {**os.environ, "POD_NAME": job["pod"]}
        command = [part.replace("$(POD_NAME)", job["pod"]) for part in local(container["command"])]
        shell = [sys.executable, __file__, "--run", name, *command]
        with (FOLDER / f"{name}.log").open("w") as log:
            process = subprocess.Popen(shell, stdout=log, stderr=log, env=environment, start_new_session=True)
        job["pid"] = process.pid
    (FOLDER / f"{name}.json").write_text(json.dumps(job))
    print(f"job.batch/{name} created")
    return 0


def run(name: str, command: list[str]) -> None:
    """What keeps the container's exit code."""
    code = subprocess.run(command, check=False).returncode
    (FOLDER / f"{name}.exit").write_text(str(code))


def has_node(manifest: dict[str, Any]) -> bool:
    """Whether a node has the GPU that the pod's affinity asks for."""
    affinity = manifest["spec"]["template"]["spec"].get("affinity")
    if affinity is None:
        return True
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    wanted = terms[0]["matchExpressions"][0]["values"]
    return bool(set(wanted) & set((FOLDER / "nodes").read_text().split()))


def shown_job(job: dict[str, Any]) -> dict[str, Any]:
    """The Job with the conditions that its controller would set."""
    code = exit_code(job)
    conditions = []
    if code is not None:
        kind, reason = ("Complete", None) if code == 0 else ("Failed", "PodFailurePolicy")
        conditions = [{"type": kind, "status": "True", "reason": reason, "message": f"container exit code {code}"}]
    return {**job["manifest"], "status": {"conditions": conditions}}


def shown_pod(job: dict[str, Any]) -> dict[str, Any]:
    """The pod with the status that scheduler and kubelet would set."""
    metadata = {"name": job["pod"], "creationTimestamp": "2026-01-01T00:00:00Z"}
    if not has_node(job["manifest"]):
        message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return {"metadata": metadata, "spec": {}, "status": {"phase": "Pending", "conditions": [condition]}}
    code = exit_code(job)
    phase = "Running" if code is None else "Succeeded" if code == 0 else "Failed"
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(code is None)}]
    return {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": phase, "conditions": conditions}}


def exit_code(job: dict[str, Any]) -> int | None:
    """The exit code of the container, None while it runs."""
    file = FOLDER / f"{job['manifest']['metadata']['name']}.exit"
    return int(file.read_text()) if file.exists() else None


def delete(name: str) -> None:
    """Forget a Job and end its pod."""
    job = read(name)
    if job is None:
        return
    if job["pid"] is not None and exit_code(job) is None:
        os.killpg(job["pid"], signal.SIGTERM)
    for ending in ("json", "exit"):
        (FOLDER / f"{name}.{ending}").unlink(missing_ok=True)


def read(name: str) -> dict[str, Any] | None:
    """A stored Job."""
    file = FOLDER / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def local(command: list[str]) -> list[str]:
    """A command of a container as one of this machine: its Python, and the volume in place of the mount."""
    python = os.environ["KUBECTL_STAND_IN_PYTHON"]
    parts = [part.replace(MOUNT, str(FOLDER / "volume")) for part in command]
    return [python if part == "python3" else part for part in parts]


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        run(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
