"""Builds as Kubernetes Jobs: the manifests by the API's own schemas, the rest against a stand-in for kubectl."""

import json
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infc.build import build, target_of
from infc.build.builders.address import KubernetesAddress
from infc.build.builders.devices import DeviceNames, device_names
from infc.build.builders.kubectl import job_state, pod_state
from infc.build.builders.kubernetes import KubernetesBuilder
from infc.build.builders.kubernetes_manifest import job_manifest, porter_manifest
from infc.build.builders.pool import BuilderPool
from infc.build.job_folder import job_from_request
from infc.diag import ToolError
from infc.ir.job import BuildJob
from infc.ir.precision import Precision
from tests.build.build_requests import request

ADDRESS = KubernetesAddress(
    context="lab",
    namespace="builds",
    image="nvcr.io/nvidia/tensorrt@sha256:" + "0" * 64,
    volume_claim="infc",
    pull_secret="registry",  # noqa: S106 - the name of a Secret
)
H100 = device_names(None)["h100-sxm"]


def h100_job() -> BuildJob:
    """A job whose kernels are timed on an H100."""
    asked = request("h100-sxm", Precision.FP16, kind="tensorrt")
    return job_from_request(asked, {"tensorrt": "10.13.3"}, 1800.0)


def test_a_manifest_is_what_its_job_says() -> None:
    """Same job, same manifest: named by the key, on a node with the GPU, in its time, tried three times."""
    job = h100_job()
    manifest: Any = job_manifest(ADDRESS, job, H100, wait_s=300)
    assert manifest == job_manifest(ADDRESS, job, H100, wait_s=300)
    assert manifest["metadata"]["name"] == f"infc-{job.key[:40]}"
    assert manifest["metadata"]["labels"]["infc.dev/key"] == job.key[:63]
    assert manifest["metadata"]["annotations"]["infc.dev/key"] == job.key
    spec = manifest["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (2, 2160, 3600)
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert container["command"][-1] == f"/infc/results/{job.key}/$(POD_NAME)"
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"] == [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-H100-80GB-HBM3"]}
    ]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_an_engine_that_needs_no_gpu_takes_none() -> None:
    """TensorRT-RTX builds ahead of time, on any node."""
    job = replace(h100_job(), kind="tensorrt_rtx", hardware_id="l4", compute_capability="8.9")
    manifest: Any = job_manifest(ADDRESS, job, device_names(None)["l4"], wait_s=300)
    pod = manifest["spec"]["template"]["spec"]
    assert "affinity" not in pod
    assert "limits" not in pod["containers"][0]["resources"]


@pytest.mark.parametrize(
    "manifest", [job_manifest(ADDRESS, h100_job(), H100, wait_s=300), porter_manifest(ADDRESS, "p")]
)
def test_pods_have_no_rights(manifest: Any) -> None:
    """Pod Security Standards, restricted: not root, nothing to gain, no token, a root that is read-only."""
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for labels in (manifest["metadata"]["labels"], manifest["spec"]["template"]["metadata"]["labels"]):
        assert all(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value) for value in labels.values())


@pytest.mark.parametrize("version", ["1.29", "1.32", "1.37"])
def test_manifests_follow_the_schemas_of_kubernetes(version: str) -> None:
    """Strictly: a misspelt field is an error."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed").validate
    manifest: Any = job_manifest(ADDRESS, h100_job(), H100, wait_s=300)
    for each in (manifest, porter_manifest(ADDRESS, "infc-porter-1")):
        validate(each, version, strict=True)
    manifest["spec"]["backofLimit"] = 1
    with pytest.raises(Exception, match="backofLimit"):
        validate(manifest, version, strict=True)


def test_states_in_words() -> None:
    """As the API gives them."""
    held = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    status = {"phase": "Pending", "containerStatuses": [{"state": held}]}
    pod = pod_state({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": status})
    assert (pod.is_held_up, pod.words) == (True, "ImagePullBackOff: Back-off pulling image")
    creating = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}
    assert not pod_state({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": creating}).is_held_up
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}
    state = job_state({"status": {"conditions": [{"type": "Complete", "status": "False"}, failed]}})
    assert (state.is_complete, state.is_over, state.reason) == (False, True, "DeadlineExceeded: too long")
    assert not job_state({}).is_over


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in cluster with T4 and L4 nodes, whose kubectl is the one on the path."""
    folder = tmp_path / "cluster"
    (folder / "volume").mkdir(parents=True)
    (folder / "nodes").write_text("Tesla-T4 NVIDIA-L4")
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    script = Path(__file__).with_name("kubectl_stand_in.py")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("KUBECTL_STAND_IN", str(folder))
    monkeypatch.setenv("KUBECTL_STAND_IN_PYTHON", sys.executable)
    return folder


def builder(wait_s: float = 60.0) -> KubernetesBuilder:
    """A builder that looks often."""
    return KubernetesBuilder(ADDRESS, device_names(None), wait_s=wait_s, poll_s=0.05)


def calls(cluster: Path, verb: str) -> list[list[str]]:
    """What kubectl was asked, by verb."""
    asked = [json.loads(line) for line in (cluster / "calls.jsonl").read_text().splitlines()]
    return [each for each in asked if verb in each]


def test_a_job_builds_and_its_result_is_collected(cluster: Path, tmp_path: Path) -> None:
    """Input and result travel through the volume; a second client finds the result there and starts nothing."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    asked, lines = request("l4", Precision.FP16, max_batch_size=1), list[str]()
    first = builder()
    engine, problems = build(asked, tmp_path / "one", lines.append, first)
    assert engine is not None, problems
    assert "copying the job to the volume" in lines
    assert any("building 27 layers" in line for line in lines)
    assert list((cluster / "volume/jobs").iterdir()) == [], "the input is removed"
    second = builder()
    other, problems = build(asked, tmp_path / "two", None, second)
    assert other is not None, problems
    assert other.digest == engine.digest
    first.close()
    second.close()
    created = [path.name for path in cluster.glob("infc-*.json")]
    assert created == [f"infc-{engine.key[:40]}.json"], "the porters are gone"
    assert all(call[:4] == ["--context", "lab", "--namespace", "builds"] for call in calls(cluster, "create"))


def test_a_job_that_runs_already_is_awaited(cluster: Path, tmp_path: Path) -> None:
    """Two clients that share no disk, one Job."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    asked, lines = request("l4", Precision.FP16, max_batch_size=2), list[str]()
    builders = [builder(), builder()]
    threads = [
        threading.Thread(target=build, args=(asked, tmp_path / str(number), lines.append, each))
        for number, each in enumerate(builders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attestations = [next((tmp_path / str(number)).glob("*/attestation.json")).read_bytes() for number in range(2)]
    assert attestations[0] == attestations[1]
    assert len(list((cluster / "volume/results").glob("*/*/result.json"))) == 1


def test_a_refusal_comes_back_as_one(cluster: Path, tmp_path: Path) -> None:
    """The Job fails with the worker's exit code, which is not tried again; the library's words are in the result."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    pool = BuilderPool([builder()], backoff_s=0.01)
    engine, (problem,) = build(request("t4", Precision.FP32), tmp_path, None, pool)
    assert engine is None
    assert problem.id == "build-precision-unsupported"
    assert len(calls(cluster, "create")) == 2, "the porter and one Job"


def test_a_gpu_that_no_node_has_is_waited_for_and_named(cluster: Path, tmp_path: Path) -> None:
    """The scheduler's words are in the note, and the Job is gone."""
    job = h100_job()
    away = builder(wait_s=0.3)
    folder, out = tmp_path / "job", tmp_path / "out"
    out.mkdir()
    from infc.build.job_folder import write_job

    write_job(folder, job, request("h100-sxm", Precision.FP16, kind="tensorrt").model.path)
    lines: list[str] = []
    problem = away.build(job, folder, out, lines.append)
    assert not hasattr(problem, "status")
    assert problem.id == "builder-timed-out"  # type: ignore[union-attr]
    assert "didn't match Pod's node affinity/selector" in problem.notes[0]  # type: ignore[union-attr]
    assert not (cluster / f"infc-{job.key[:40]}.json").exists()


def test_what_stands_in_the_way_of_kubectl_is_said(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down, and no kubectl at all."""
    (cluster / "down").touch()
    target = target_of(request("l4", Precision.FP16))
    with pytest.raises(ToolError, match="The connection to the server lab:6443 was refused"):
        builder().toolchain(target)
    monkeypatch.setenv("PATH", str(cluster))
    with pytest.raises(ToolError, match="needs kubectl, which is not installed"):
        builder().toolchain(target)
    unknown = KubernetesBuilder(ADDRESS, {"l4": DeviceNames(hardware_id="l4")})
    refused = unknown.refusal(target_of(request("l4", Precision.FP16, kind="tensorrt")))
    assert refused is not None
    assert refused.message == "no builder for l4: k8s://lab/builds cannot tell which nodes have it"
