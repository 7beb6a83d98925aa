"""`infc drift --cluster` with the real kubectl against a stand-in for an API server: read-only, and nothing missed."""

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.diag import ToolError
from infc.lock.drift import DriftReport
from infc.lock.drift.cluster import ClusterState, cluster_items
from infc.lock.drift.manifests import ExpectedObject
from infc.lock.drift.objects import key_of
from infc.pipeline.drift.bundle import find_bundle
from infc.pipeline.drift.cluster import compare, deployment_name
from infc.pipeline.drift.locked import open_locked
from infc.pipeline.drift.manifests import expected_objects
from infc.report.drift_json import drift_schema
from infc.serve.cluster_view import ClusterView
from infc.spec import LoadedSpec, load_spec
from tests.pipeline.cluster_api import Cluster, Object, cluster_of, pod_of, serving, stored
from tests.pipeline.drift_workspace import EXAMPLE, MODEL, SPEC, Compiled, compiled

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
pytestmark = [
    pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel"),
]
pytest.importorskip("tritonclient", reason="the extra `triton` is not installed")

Infc = Callable[..., tuple[int, str, str]]
KUBERNETES = "  kubernetes: {namespace: shop}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A compiled deployment with objects."""
    return compiled(tmp_path_factory.mktemp("drift") / "workspace", deploy=KUBERNETES)


@pytest.fixture(scope="module")
def applied(made: Compiled) -> Cluster:
    """A cluster as it is when the bundle was applied, and an API server and Argo CD have done their part."""
    files = sorted((made.bundle / "kubernetes").glob("*.yaml"))
    return cluster_of([yaml.safe_load(file.read_text()) for file in files if file.name != "kustomization.yaml"])


@pytest.fixture
def drift(made: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """`infc drift --cluster` against a cluster: exit code, stdout, stderr."""
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)

    def run(cluster: Cluster, *arguments: str) -> tuple[int, str, str]:
        with serving(cluster, tmp_path) as kubeconfig:
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
            capsys.readouterr()
            code = app.main(["drift", SPEC, "--cluster", *arguments], standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@needs_kubectl
def test_nothing_drifted_where_the_bundle_was_applied(drift: Infc, applied: Cluster) -> None:
    """What an API server, controllers and Argo CD add is no drift; and nothing but GET was asked."""
    cluster = copy.deepcopy(applied)
    code, text, said = drift(cluster, "--context", "stand-in")
    assert (code, "nothing drifted" in text) == (0, True), text
    assert "reading shop of stand-in" in said
    assert cluster.asked
    assert all(each.startswith("GET ") for each in cluster.asked)
    assert not any("secret" in each or "exec" in each for each in cluster.asked)


def container(cluster: Cluster) -> dict[str, object]:
    """The server's container."""
    (found,) = cluster.at("Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def set_image(cluster: Cluster) -> None:
    """Another image tag."""
    container(cluster)["image"] = "nvcr.io/nvidia/tritonserver:26.09-py3"


def scale(cluster: Cluster) -> None:
    """Another number of replicas, and all are ready."""
    deployment = cluster.at("Deployment")
    deployment["spec"]["replicas"] = deployment["status"]["readyReplicas"] = 5


def add_argument(cluster: Cluster) -> None:
    """One more argument of the server."""
    arguments = container(cluster)["args"]
    assert isinstance(arguments, list)
    arguments.append("--log-verbose=1")


def threshold(cluster: Cluster) -> None:
    """A quieter alert."""
    rules = cluster.at("PrometheusRule")["spec"]["groups"]
    alert = next(rule for group in rules for rule in group["rules"] if "alert" in rule)
    alert["expr"] = "vector(0)"


def left_over(cluster: Cluster) -> None:
    """A second Deployment with the same labels, which nobody emitted."""
    second = copy.deepcopy(cluster.at("Deployment"))
    second["metadata"]["name"] = "fashion-mnist-canary"
    cluster.objects["Deployment", "fashion-mnist-canary"] = second


def other_pod(cluster: Cluster) -> None:
    """A pod that still runs another image."""
    pod = pod_of(cluster.at("Deployment"))
    pod["status"]["containerStatuses"][0]["imageID"] = "nvcr.io/x@sha256:" + "6" * 64
    cluster.objects["Pod", "x-8e"] = pod


CHANGES: Mapping[str, tuple[Callable[[Cluster], object], str]] = {
    "image": (set_image, "deployment-spec.template.spec.containers-triton-.image"),
    "arguments": (add_argument, "deployment-spec.template.spec.containers-triton-.args"),
    "replicas": (scale, "replicas"),
    "readiness": (lambda c: c.at("Deployment")["status"].update(readyReplicas=0), "ready"),
    "resources": (
        lambda c: container(c).update(
            resources={"limits": {"cpu": "4", "memory": "3Gi"}, "requests": {"cpu": "2", "memory": "3Gi"}}
        ),
        "deployment-spec.template.spec.containers-triton-.resources.limits.cpu",
    ),
    "probe": (
        lambda c: container(c).pop("livenessProbe"),
        "deployment-spec.template.spec.containers-triton-.livenessprobe",
    ),
    "privilege": (
        lambda c: c.at("Deployment")["spec"]["template"]["spec"].update(hostNetwork=True),
        "deployment-spec.template.spec.hostnetwork",
    ),
    "selector": (
        lambda c: c.at("Deployment")["spec"]["template"]["spec"].update(nodeSelector={"pool": "old"}),
        "deployment-spec.template.spec.nodeselector",
    ),
    "network policy removed": (lambda c: c.objects.pop(("NetworkPolicy", MODEL)), "networkpolicy"),
    "alert": (threshold, "prometheusrule-spec.groups-"),
    "service port": (
        lambda c: c.at("Service")["spec"]["ports"][0].update(port=80),
        "service-spec.ports-http-.port",
    ),
    "other bundle": (
        lambda c: c.at("Deployment")["metadata"]["annotations"].update({"infc.dev/bundle": "sha256:" + "0" * 64}),
        "bundle",
    ),
    "second deployment": (left_over, "other-objects"),
    "two images": (other_pod, "running-image"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_by_hand_is_found(made: Compiled, applied: Cluster, change: str) -> None:
    """One thing changed in the cluster: that drifted, and nothing else."""
    make, id = CHANGES[change]
    cluster = copy.deepcopy(applied)
    make(cluster)
    report = report_of(made, cluster)
    assert [item.id.startswith(id) for item in report.drifted] == [True], report.drifted


def report_of(made: Compiled, cluster: Cluster) -> DriftReport:
    """The comparison of what kubectl would have read."""
    opened, _ = open_locked(made.root / SPEC)
    bundle, _ = find_bundle(made.entry, made.bundle)
    assert opened is not None
    assert bundle is not None
    everything = tuple(cluster.objects.values())
    pods = tuple(each for each in everything if each["kind"] == "Pod")
    view = ClusterView(
        objects=tuple(each for each in everything if each["kind"] != "Pod"), pods=pods, labelled=everything, silent={}
    )
    expected = tuple(expected_objects(bundle).values())
    return compare(opened, made.entry, expected, view, "here", stale=(), has_bundle=True)


@needs_kubectl
def test_changes_are_read_through_kubectl(drift: Infc, applied: Cluster) -> None:
    """Two changes at once through the command: exit 4, and a report of the schema."""
    cluster = copy.deepcopy(applied)
    set_image(cluster)
    cluster.objects.pop(("NetworkPolicy", MODEL))
    code, text, _ = drift(cluster, "--format", "json")
    document = json.loads(text)
    Draft202012Validator(drift_schema()).validate(document)
    assert (code, document["subject"]) == (4, "cluster")
    found = {
        item["id"]: (item["expected"], item["observed"]) for item in document["items"] if item["verdict"] == "drifted"
    }
    assert found == {
        "deployment-spec.template.spec.containers-triton-.image": (
            "nvcr.io/nvidia/tritonserver:24.10-py3",
            "nvcr.io/nvidia/tritonserver:26.09-py3",
        ),
        "networkpolicy": ("there", "not there"),
    }


@needs_kubectl
def test_without_the_bundle_the_lock_still_tells(drift: Infc, made: Compiled, applied: Cluster, tmp_path: Path) -> None:
    """A checkout without `dist/`: workload, replicas and the digest of the bundle are compared, and it says so.

    Manifests that were committed without the rest of the bundle will do for every field, as long as they are the locked
    ones.
    """
    hidden = tmp_path / "hidden"
    made.bundle.rename(hidden)
    try:
        code, text, _ = drift(copy.deepcopy(applied), "--detailed")
        whole, compared, _ = drift(copy.deepcopy(applied), "--bundle", str(hidden / "kubernetes"))
    finally:
        hidden.rename(made.bundle)
    assert code == whole == 0, text
    assert "bundle of infc.lock: same" in text
    assert "the objects' fields were not compared" in text
    assert "every field that was emitted is compared" in compared


def test_manifests_that_are_not_the_locked_ones_are_no_bundle(made: Compiled, tmp_path: Path) -> None:
    """One edited file, and the folder tells nothing of what was locked."""
    folder = tmp_path / "rendered"
    shutil.copytree(made.bundle / "kubernetes", folder)
    bundle, _ = find_bundle(made.entry, folder)
    assert bundle is not None
    assert len(expected_objects(bundle)) == len([*folder.glob("*.yaml")]) - 1
    (folder / "service.yaml").write_text((folder / "service.yaml").read_text() + "# mine\n")
    assert [each.id for each in find_bundle(made.entry, folder)[1]] == ["drift-bundle"]


def test_objects_are_looked_for_by_the_name_that_they_were_emitted_with(made: Compiled) -> None:
    """The free choice has the spec's name; a target that the spec names besides it has its device behind that."""
    opened, _ = open_locked(made.root / SPEC)
    assert opened is not None
    assert deployment_name(opened, made.entry) == MODEL
    other = replace(made.entry, target="l4", choice=replace(made.entry.choice, hardware="l4"))
    text = (made.root / SPEC).read_text().replace("  server: triton\n", "  server: triton\n  targets: [cpu]\n")
    several = replace(opened, loaded=loaded_as(made.root, text), entries=(made.entry, other))
    assert deployment_name(several, made.entry) == f"{MODEL}-cpu"
    assert deployment_name(several, other) == MODEL


def loaded_as(root: Path, text: str) -> LoadedSpec:
    """The spec of a workspace with another text."""
    path = root / "other.infc.yaml"
    path.write_text(text)
    try:
        return load_spec(path)
    finally:
        path.unlink()


def test_replicas_may_move_within_an_autoscalers_bounds(made: Compiled) -> None:
    """A ScaledObject sets the replicas: within its bounds they are as planned, outside they are not."""
    deployment = yaml.safe_load((made.bundle / "kubernetes" / "deployment.yaml").read_text())
    scaler: Object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": MODEL, "labels": {}},
        "spec": {"minReplicaCount": 2, "maxReplicaCount": 4},
    }
    del deployment["spec"]["replicas"]
    expected = []
    for file, each in (("deployment.yaml", deployment), ("scaledobject.yaml", scaler)):
        key = key_of(each)
        assert key is not None
        expected.append(ExpectedObject(key=key, manifest=each, file=file))
    for replicas, ids in ((2, set()), (4, set()), (5, {"replicas"}), (1, {"replicas"})):
        live = stored({**deployment, "spec": {**deployment["spec"], "replicas": replicas}})
        state = ClusterState(
            where="here",
            objects={expected[0].key: live, expected[1].key: stored(scaler)},
            pods=None,
            others=(),
            silent={},
        )
        items = cluster_items(made.entry, expected, state, has_bundle=True)
        assert {item.id for item in items if item.verdict == "drifted"} == ids, replicas


@needs_kubectl
def test_what_may_not_be_read_is_not_visible(drift: Infc, applied: Cluster) -> None:
    """A right that is missing is said, and is never taken for the same; the rest is compared."""
    cluster = copy.deepcopy(applied)
    cluster.forbidden = frozenset({"PrometheusRule"})
    code, text, _ = drift(cluster, "--format", "json")
    items = {item["id"]: item for item in json.loads(text)["items"]}
    assert code == 0
    assert items["prometheusrule"]["verdict"] == "not visible"
    assert "forbidden" in items["prometheusrule"]["note"]


@needs_kubectl
def test_a_cluster_that_is_not_there_is_said_in_kubectls_words(
    made: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No configuration at all: kubectl's own words, and not a report."""
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="kubectl get"):
        app.main(["drift", SPEC, "--cluster", "--context", "elsewhere"], standalone_mode=False)
