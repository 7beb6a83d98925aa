"""Releases for clusters: every combination is checked by schemas and by what schemas do not see; some byte by byte."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from infc.emit.kubernetes.availability import rolling_update
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimeProfile
from infc.ir.step_time import StepTimeProfile
from infc.plan.capacity import rollout
from tests.emit import samples
from tests.emit.kubernetes import CRD_KINDS, CRD_VARIABLE, crd_faults
from tests.emit.kubernetes.release_checks import (
    pod_of,
    release_faults,
    release_of,
    text,
    workload_of,
)
from tests.emit.kubernetes.releases import (
    COMBINATIONS,
    PROVIDED,
    STORAGES,
    options,
    release,
    triton_release,
    vllm_release,
)

ALL = "INFC_ALL_RELEASES"
"""Environment variable that has every combination tested, and every version that `kubernetes-validate` knows."""


def provided_by(server: str, storage: str) -> tuple[str, ...]:
    """Names that the user brings; a language model of the hub needs no claim."""
    return () if (server, storage) == ("vllm", "none") else PROVIDED[storage]


@pytest.mark.parametrize(("server", "flavor"), [(s, f) for s in ("triton", "vllm") for f in ("deployment", "kserve")])
def test_every_storage_fits_together(server: str, flavor: str, tmp_path: Path) -> None:
    """Schemas, selectors, ports, references, names, GPU limits, rights and times; KServe's pods are the same ones."""
    for storage in STORAGES if flavor == "deployment" else ("pvc", "oci"):
        bundle = release(
            tmp_path, server, flavor, "gpu", storage, 3, monitoring=storage == "pvc" and flavor == "deployment"
        )
        assert release_faults(bundle, provided_by(server, storage)) == [], storage


@pytest.mark.skipif(not os.environ.get(ALL), reason=f"{ALL} asks for every combination")
@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda each: "-".join(map(str, each)))
def test_every_combination_fits_together(combination: Any, tmp_path: Path) -> None:
    """The same for every device, storage and count."""
    bundle = release(tmp_path, *combination, monitoring=False)
    assert release_faults(bundle, provided_by(combination[0], combination[3])) == []


@pytest.mark.skipif(not os.environ.get(ALL), reason=f"{ALL} asks for every combination")
@pytest.mark.parametrize("version", [f"1.{minor}" for minor in range(29, 38)])
def test_every_version_of_kubernetes_takes_it(version: str, tmp_path: Path) -> None:
    """Strict schemas of 1.29 to 1.37; of clusters before 1.35 the spec says so, and images are not mounted."""
    validator = pytest.importorskip("kubernetes_validate")
    for server, _, device, storage, replicas in COMBINATIONS:
        cluster = {"cluster_version": version} if version < "1.35" else {}
        bundle = release(tmp_path, server, "deployment", device, storage, replicas, monitoring=False, **cluster)
        for each in release_of(bundle).values():
            validator.validate(each, version, strict=True)


@pytest.mark.parametrize(("server", "flavor"), [("triton", "kserve"), ("vllm", "kserve"), ("triton", "deployment")])
def test_custom_resources_hold_to_their_definitions(server: str, flavor: str, tmp_path: Path) -> None:
    """KServe's objects and KEDA's, by the schemas of their definitions."""
    if not os.environ.get(CRD_VARIABLE):
        pytest.skip(f"{CRD_VARIABLE} names no folder of custom resource schemas")
    for storage in ("none", "pvc", "oci", "s3"):
        scaled: dict[str, Any] = {"autoscale": {}} if storage == "pvc" else {}
        objects = release_of(release(tmp_path, server, flavor, "gpu", storage, 3, monitoring=False, **scaled))
        for name, each in objects.items():
            if each["kind"] in CRD_KINDS:
                assert crd_faults(each) == [], (storage, name)


GOLDEN = (
    ("triton", "deployment", "gpu", "none", 1),
    ("triton", "deployment", "gpu", "pvc", 3),
    ("triton", "deployment", "gpu", "oci", 3),
    ("triton", "deployment", "cpu", "minio", 3),
    ("triton", "kserve", "gpu", "pvc", 3),
    ("triton", "kserve", "cpu", "oci", 1),
    ("triton", "kserve", "gpu", "s3", 3),
    ("vllm", "deployment", "gpu", "none", 3),
    ("vllm", "deployment", "gpu", "s3", 3),
    ("vllm", "deployment", "cpu", "pvc", 1),
    ("vllm", "kserve", "gpu", "none", 3),
    ("vllm", "kserve", "gpu", "oci", 3),
    ("vllm", "kserve", "gpu", "pvc", 1),
)


@pytest.mark.parametrize("combination", GOLDEN, ids=lambda each: "-".join(map(str, each)))
def test_files_by_byte(combination: Any, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    """What a reviewer reads."""
    bundle = release(tmp_path, *combination, monitoring=False)
    for path in sorted(bundle.files):
        if path.startswith("kubernetes/"):
            assert text(bundle, path) == snapshot(name=path)


def test_an_old_cluster_copies_the_model_out_of_its_image(tmp_path: Path) -> None:
    """Before Kubernetes 1.35 an API server drops image volumes without a word: an init container copies instead."""
    for version, is_mounted in (("1.34", False), ("1.35", True)):
        pod = pod_of(
            workload_of(release_of(triton_release(tmp_path, options("oci", cluster_version=version, monitoring=False))))
        )
        volume = next(each for each in pod["volumes"] if each["name"] == "model")
        assert ("image" in volume) == is_mounted
        assert ("initContainers" in pod) != is_mounted
    bundle = triton_release(tmp_path, options("oci", cluster_version="1.34", monitoring=False))
    assert release_faults(bundle, PROVIDED["oci"]) == []


def test_an_image_by_digest_passes_through(tmp_path: Path) -> None:
    """What the spec pins is what runs, and nothing asks for a digest then."""
    image = "registry.example.com/triton@sha256:" + "0" * 64
    bundle = triton_release(tmp_path, options("pvc", image=image, monitoring=False))
    assert pod_of(workload_of(release_of(bundle)))["containers"][0]["image"] == image
    assert "digest" not in text(bundle, "kubernetes/deployment.yaml")
    assert "is a tag" in text(triton_release(tmp_path, options("pvc", monitoring=False)), "kubernetes/deployment.yaml")


def test_a_model_image_is_named_by_the_release_or_by_the_user(tmp_path: Path) -> None:
    """Without tag and digest the release's digest is the tag: another model is another image."""
    first = workload_of(release_of(triton_release(tmp_path, options("oci", monitoring=False))))
    digest = first["metadata"]["annotations"]["infc.dev/release"]
    volume = next(each for each in pod_of(first)["volumes"] if each["name"] == "model")
    assert (
        volume["image"]["reference"] == f"registry.example.com:5000/models/lookup:{digest.removeprefix('sha256:')[:12]}"
    )
    pinned = "registry.example.com/models/lookup@sha256:" + "1" * 64
    named = options(model={"oci": {"image": pinned}}, monitoring=False)
    volume = pod_of(workload_of(release_of(triton_release(tmp_path, named))))["volumes"][0]
    assert volume["image"]["reference"] == pinned


def test_pods_are_replaced_when_what_is_served_changes_and_not_before(tmp_path: Path) -> None:
    """The pods' annotation follows engine and settings; comments, numbers and reports only change the other digest."""

    def annotations(bundle: Bundle) -> tuple[str, str, Any]:
        workload = workload_of(release_of(bundle))
        own = workload["metadata"]["annotations"]
        return own["infc.dev/release"], own["infc.dev/bundle"], workload["spec"]["template"]

    release_digest, bundle_digest, template = annotations(triton_release(tmp_path, options("pvc", monitoring=False)))
    assert template["metadata"]["annotations"] == {"infc.dev/release": release_digest}
    slower = replace(samples.problem(), availability=0.999)
    other = triton_release(
        tmp_path, options("pvc", monitoring=False), availability=slower.availability, spec_path="specs/other.yaml"
    )
    assert annotations(other)[0] == release_digest
    assert annotations(other)[1] != bundle_digest
    assert annotations(other)[2] == template


@pytest.mark.parametrize(
    ("server", "flavors"),
    [
        ("triton", ("deployment",)),
        ("vllm", ("kserve",)),
        pytest.param("triton", ("kserve",), marks=pytest.mark.slow),
        pytest.param("vllm", ("deployment",), marks=pytest.mark.slow),
    ],
)
def test_an_autoscaler_alone_sets_the_replicas(server: str, flavors: tuple[str, ...], tmp_path: Path) -> None:
    """An object that says how many would set them back with every apply."""
    for flavor in flavors:
        bundle = release(tmp_path, server, flavor, "gpu", "pvc", 3, autoscale={}, monitoring=False)
        objects = release_of(bundle)
        workload = workload_of(objects)
        assert release_faults(bundle, PROVIDED["pvc"]) == []
        assert "replicas" not in workload["spec"]
        assert "minReplicas" not in workload["spec"].get("predictor", {})
        assert "poddisruptionbudget" in objects
        target = objects["scaledobject"]["spec"]["scaleTargetRef"] if "scaledobject" in objects else None
        name = workload["metadata"]["name"]
        match workload["kind"]:
            case "Deployment":
                assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
            case "InferenceService":
                assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-predictor"}
                assert workload["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
            case _:
                assert target is None
                scaling = workload["spec"]["scaling"]
                assert 1 <= scaling["minReplicas"] <= scaling["maxReplicas"]
                assert scaling["keda"]["triggers"]


def test_a_drain_takes_what_the_plan_lets_fail(tmp_path: Path) -> None:
    """With one replica there is no budget: it would block every drain, or say nothing."""
    several = release_of(triton_release(tmp_path, options("pvc", monitoring=False), replicas=4, redundancy=2))
    assert several["poddisruptionbudget"]["spec"]["maxUnavailable"] == 2
    none_spare = release_of(triton_release(tmp_path, options("pvc", monitoring=False), replicas=4, redundancy=0))
    assert none_spare["poddisruptionbudget"]["spec"]["maxUnavailable"] == 1
    one = triton_release(tmp_path, options("pvc", monitoring=False), replicas=1, redundancy=0)
    assert "poddisruptionbudget" not in release_of(one)
    assert "constraints.redundancy" in text(one, "kubernetes/README.md")


@pytest.mark.parametrize(
    ("surge", "unavailable", "most_devices", "expected"),
    [
        (0, None, None, {"maxSurge": 1, "maxUnavailable": 0}),
        (0, None, 3, {"maxSurge": 0, "maxUnavailable": 1}),
        (0, 2, None, {"maxSurge": 0, "maxUnavailable": 2}),
        (1, 1, 3, {"maxSurge": 1, "maxUnavailable": 1}),
    ],
)
def test_updates_go_as_the_plan_says(
    surge: int, unavailable: int | None, most_devices: int | None, expected: dict[str, int]
) -> None:
    """A surge where the plan has a device for it, else a replica goes first; the spec's own word goes before."""
    limits = replace(
        samples.problem().limits, surge=surge, unavailable=unavailable, max_accelerators=most_devices, redundancy=2
    )
    problem, plan = replace(samples.problem(), limits=limits), samples.plan()
    assert rolling_update(problem, plan) == expected
    told = rollout(problem, plan)
    assert (told.max_surge, told.max_unavailable) == (expected["maxSurge"], expected["maxUnavailable"])


def test_pods_reach_nothing_but_where_the_model_is(tmp_path: Path) -> None:
    """Egress: none for what a node mounts, DNS and the port of the store for what a pod fetches."""

    def egress(bundle: Bundle) -> list[Any]:
        rules: list[Any] = release_of(bundle)["networkpolicy"]["spec"]["egress"]
        return [port["port"] for rule in rules for port in rule["ports"]]

    assert egress(triton_release(tmp_path, options("pvc", monitoring=False))) == []
    assert egress(triton_release(tmp_path, options("oci", monitoring=False))) == []
    assert egress(triton_release(tmp_path, options("s3", monitoring=False))) == [53, 53, 443]
    assert egress(triton_release(tmp_path, options("minio", monitoring=False))) == [53, 53, 9000]
    assert egress(vllm_release(options("none", monitoring=False))) == [53, 53, 443]
    assert egress(vllm_release(options("pvc", monitoring=False))) == []


@pytest.mark.parametrize(("name", "flavor"), [("3" * 63, "deployment"), ("8b", "kserve")])
def test_names_of_any_length_and_start_are_names_in_a_cluster(name: str, flavor: str, tmp_path: Path) -> None:
    """KServe's objects and Services need a letter first; what has a suffix is shortened before it."""
    scaled = {"min_replicas": 1, "max_replicas": 2, "scaler": "hpa"} if flavor == "deployment" else None
    bundle = triton_release(tmp_path, options("none", flavor=flavor, autoscale=scaled), name=name)
    assert release_faults(bundle, (f"{name[:57]}-model",)) == []
    objects = release_of(bundle)
    key = "service" if flavor == "deployment" else "inferenceservice"
    assert objects[key]["metadata"]["name"].startswith("triton-")


def test_targets_of_a_spec_can_be_in_one_namespace(tmp_path: Path) -> None:
    """The free choice has the spec's own name, a target its device behind it; no object and no selector is shared."""
    free = triton_release(tmp_path, options("none"))
    named = triton_release(tmp_path, options("none"), target="l4")
    assert release_faults(named, ("lookup-l4-model",)) == []
    first, second = (release_of(each) for each in (free, named))
    assert {each["metadata"]["name"] for each in first.values()}.isdisjoint(
        each["metadata"]["name"] for each in second.values()
    )
    assert workload_of(first)["metadata"]["name"] == "lookup"
    assert workload_of(second)["metadata"]["name"] == "lookup-l4"
    assert second["service"]["spec"]["selector"]["app.kubernetes.io/name"] == "lookup-l4"
    assert "--load-model=lookup" in pod_of(workload_of(second))["containers"][0]["args"]
    assert "lookup-l4" in text(named, "kubernetes/dashboard.yaml")
    assert "lookup-l4" in text(named, "monitoring/rules.yaml")


@pytest.mark.slow
def test_an_autoscaler_names_the_deployment_that_kserve_makes() -> None:
    """A HorizontalPodAutoscaler of a language model scales `<name>-kserve`; KServe keeps the replicas it sets."""
    bundle = vllm_release(options("pvc", flavor="kserve", autoscale={"scaler": "hpa"}, monitoring=False))
    objects = release_of(bundle)
    target = objects["horizontalpodautoscaler"]["spec"]["scaleTargetRef"]
    assert target["name"] == workload_of(objects)["metadata"]["name"] + "-kserve"
    assert not {"replicas", "scaling"} & set(workload_of(objects)["spec"])


def test_launch_script_and_pod_start_the_same_server(tmp_path: Path) -> None:
    """One list of arguments: the pod adds that just this model is loaded."""
    bundle = triton_release(tmp_path, options("pvc", monitoring=False))
    arguments = pod_of(workload_of(release_of(bundle)))["containers"][0]["args"]
    script = text(bundle, "launch.sh")
    command = script[script.index("tritonserver --") :].replace("\\\n", " ").split()[1:]
    assert arguments[: len(command) - 1] == command[:-1]
    assert arguments[len(command) - 1 :] == [
        "--model-control-mode=explicit",
        "--load-model=lookup",
        "--strict-readiness=true",
    ]


def test_a_measured_start_sizes_the_probe(tmp_path: Path) -> None:
    """Three times the longest start that was measured of this engine on this device."""

    def budget(bundle: Bundle) -> int:
        probe = pod_of(workload_of(release_of(bundle)))["containers"][0]["startupProbe"]
        return int(probe["periodSeconds"] * probe["failureThreshold"])

    measured = ServiceTimeProfile(
        model_digest="sha256:" + "1" * 64,
        precision=Precision.INT8,
        hardware_id="l4",
        engine_kind="tensorrt",
        instances=2,
        points=(),
        environment={},
        load_s=90.0,
    )
    other = replace(measured, hardware_id="t4", load_s=900.0)
    assert budget(triton_release(tmp_path, options("pvc", monitoring=False))) == 120
    bundle = triton_release(tmp_path, options("pvc", monitoring=False), measurements=(measured, other))
    assert budget(bundle) == 300
    assert "a start took 90 s when it was measured" in text(bundle, "kubernetes/deployment.yaml")


def test_a_measured_start_of_a_language_model_sizes_the_probe() -> None:
    """What the hub sends comes on top of what was measured with the weights at hand."""
    measured = StepTimeProfile(
        model_digest="0" * 64,
        precision=Precision.BF16,
        hardware_id="l40s",
        tensor_parallel=1,
        points=(),
        environment={},
        load_s=110.0,
    )
    probe = {}
    for storage in ("none", "pvc"):
        bundle = vllm_release(options(storage, monitoring=False), step_times=(measured,))
        pod = pod_of(workload_of(release_of(bundle)))
        startup = pod["containers"][0]["startupProbe"]
        probe[storage] = startup["periodSeconds"] * startup["failureThreshold"]
    assert probe == {"none": 900, "pvc": 600}


def kustomize(folder: Path) -> list[Any]:
    """What `kubectl kustomize` makes of a folder."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


OVERLAY = """\
resources: [../bundle/kubernetes]
namespace: staging
nameSuffix: -canary
labels:
- pairs: {example.com/tier: canary}
  includeSelectors: true
images:
- {name: SERVER, newName: mirror.example.com/server, digest: "sha256:DIGEST"}
patches:
- target: {kind: KIND}
  patch: |-
    - {op: add, path: /metadata/annotations/example.com~1team, value: search}
"""
REPLICAS = "replicas:\n- {name: NAME, count: 7}\n"  # kustomize knows the replicas of Kubernetes' own objects only


@pytest.mark.parametrize(("server", "flavor"), [("triton", "deployment"), ("vllm", "deployment"), ("triton", "kserve")])
def test_an_overlay_can_change_everything(server: str, flavor: str, tmp_path: Path) -> None:
    """Namespace, names, labels, images, replicas and patches of an overlay reach every object they should."""
    bundle = release(tmp_path, server, flavor, "gpu", "pvc", 3)
    assert write_bundle(bundle, tmp_path / "bundle") == ()
    workload = workload_of(release_of(bundle))
    name, image = workload["metadata"]["name"], pod_of(workload)["containers"][0]["image"].rpartition(":")[0]
    overlay = OVERLAY + (REPLICAS if flavor == "deployment" else "")
    overlay = overlay.replace("SERVER", image).replace("DIGEST", "a" * 64).replace("NAME", name)
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay.replace("KIND", workload["kind"]))
    built = kustomize(tmp_path / "overlay")
    assert len(built) == len(release_of(bundle))
    assert {each["metadata"]["namespace"] for each in built} == {"staging"}
    assert all(each["metadata"]["labels"]["example.com/tier"] == "canary" for each in built)
    changed = next(each for each in built if each["kind"] == workload["kind"])
    assert changed["metadata"]["name"] == f"{name}-canary"
    assert changed["metadata"]["annotations"]["example.com/team"] == "search"
    container = pod_of(changed)["containers"][0]
    assert container["image"] == "mirror.example.com/server@sha256:" + "a" * 64
    if flavor == "deployment":
        assert changed["spec"]["replicas"] == 7
        assert changed["spec"]["selector"]["matchLabels"]["example.com/tier"] == "canary"
        volumes = {each["name"]: each for each in pod_of(changed)["volumes"]}
        names = {each["metadata"]["name"] for each in built}
        if "configmap" in volumes:
            assert volumes["configmap"]["configMap"]["name"] in names


@pytest.mark.parametrize("server", ["triton", "vllm"])
@pytest.mark.parametrize("flavor", ["deployment", "kserve"])
def test_kustomize_builds_every_flavor(server: str, flavor: str, tmp_path: Path) -> None:
    """`kubectl apply -k kubernetes` finds every object."""
    bundle = release(tmp_path, server, flavor, "gpu", "s3", 3, monitoring=flavor == "deployment")
    assert write_bundle(bundle, tmp_path / "bundle") == ()
    kinds = sorted(each["kind"] for each in kustomize(tmp_path / "bundle" / "kubernetes"))
    assert kinds == sorted(each["kind"] for each in release_of(bundle).values())


def test_nothing_is_emitted_for_a_cluster_unless_it_is_asked_for(tmp_path: Path) -> None:
    """A bundle without deploy.kubernetes has no manifest and no dashboard."""
    import infc.emit.triton as triton

    samples.write_onnx(tmp_path / "model.onnx")
    bundle, _ = triton.emit(samples.problem(), samples.plan(), samples.engine(tmp_path / "model.onnx", kind="tensorrt"))
    assert bundle is not None
    assert not [path for path in bundle.files if path.startswith(("kubernetes/", "monitoring/"))]
    assert "Kubernetes" not in text(bundle, "README.md")
