"""What is vLLM's own in a cluster; `tests/emit/kubernetes` checks what all releases share."""

from typing import Any

import pytest
import yaml

from infc.emit.kubernetes.devices import gpu_product
from infc.emit.vllm import emit
from infc.ir.bundle import Bundle
from infc.ir.candidate import Speculation
from infc.ir.problem import LlmProblem
from infc.ir.spec import Deploy, Kubernetes, Vllm
from infc.resolve.targets.location import data_directory
from tests.emit.kubernetes import crd_faults, kubernetes_faults
from tests.emit.vllm import samples

PRODUCTS = data_directory("targets") / "servers" / "kubernetes" / "gpu_products.yaml"
DEPLOYMENT = Kubernetes(
    namespace="chat",
    monitoring=False,
    labels={"team": "y", "app.kubernetes.io/name": "mine"},
    node_selector={"zone": "1e3"},
)


def objects(bundle: Bundle) -> dict[str, Any]:
    """Kind -> manifest of everything that the kustomization names."""
    listed = yaml.safe_load(samples.text(bundle, "kubernetes/kustomization.yaml"))["resources"]
    manifests = [yaml.safe_load(samples.text(bundle, f"kubernetes/{path}")) for path in listed]
    return {manifest["kind"]: manifest for manifest in manifests}


def bundle_on(hardware: str, options: Kubernetes, **changes: Any) -> tuple[LlmProblem, Bundle]:
    """The bundle of a plan by hand."""
    problem = samples.problem_on(hardware)
    return problem, samples.bundle_of(problem, samples.plan(problem, **changes), Deploy(kubernetes=options))


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The pod's specification of a Deployment."""
    pod: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("hardware", ["l40s", "b300-sxm", "cpu"])
@pytest.mark.parametrize("volume", [None, "weights"])
def test_built_in_objects_hold_to_the_strict_schema(hardware: str, volume: str | None) -> None:
    """Every field is one that Kubernetes knows, of its type; selectors find the pods, ports are named."""
    memory = {"gpu_memory_utilization": None, "kv_cache_memory_bytes": 2**30} if hardware == "cpu" else {}
    options = DEPLOYMENT.model_copy(update={"model_volume": volume, "service_account": "llm"})
    problem, bundle = bundle_on(hardware, options, settings=samples.batching(**memory), tensor_parallel=1)
    found = objects(bundle)
    assert {kind: kubernetes_faults(manifest) for kind, manifest in found.items()} == {kind: [] for kind in found}
    deployment, service = found["Deployment"], found["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    assert labels["team"] == "y"
    assert labels["app.kubernetes.io/name"] == problem.name
    assert deployment["spec"]["replicas"] == 3
    assert {manifest["metadata"]["namespace"] for manifest in found.values()} == {"chat"}


def test_a_pod_gets_the_planned_devices_and_nothing_more() -> None:
    """GPU request equals limit, the node has the planned card, no token, no capability, not root."""
    _, bundle = bundle_on("h100-sxm", DEPLOYMENT, tensor_parallel=4)
    pod = pod_of(objects(bundle)["Deployment"])
    (container,) = pod["containers"]
    asked = {"cpu": "8", "memory": "14Gi", "nvidia.com/gpu": "4"}
    assert container["resources"] == {"requests": asked, "limits": {"nvidia.com/gpu": "4"}}
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "zone": "1e3"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 2000
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["command"] == ["vllm", "serve"]
    assert container["args"] == ["--config", "/bundle/serve.yaml"]
    shared = next(volume for volume in pod["volumes"] if volume["name"] == "shm")
    assert shared["emptyDir"] == {"medium": "Memory", "sizeLimit": "10Gi"}
    drained = pod["terminationGracePeriodSeconds"]
    assert drained > yaml.safe_load(samples.text(bundle))["shutdown-timeout"]


def test_a_cpu_replica_asks_for_its_cores_and_memory() -> None:
    """Without a GPU the pod needs what the plan counted: cores, and memory with room for the server's processes."""
    settings = samples.batching(gpu_memory_utilization=None, kv_cache_memory_bytes=2**30)
    _, bundle = bundle_on("cpu", DEPLOYMENT, settings=settings)
    pod = pod_of(objects(bundle)["Deployment"])
    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "2", "memory": "42Gi"}
    assert pod["nodeSelector"] == {"zone": "1e3"}
    assert "tolerations" not in pod


def test_the_model_comes_from_the_volume_or_from_the_hub() -> None:
    """A claim is mounted read-only and nothing is fetched; without one the pod may use a token."""
    _, from_hub = bundle_on("l40s", DEPLOYMENT)
    hub = pod_of(objects(from_hub)["Deployment"])["containers"][0]
    assert {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token", "optional": True}},
    } in (hub["env"])
    _, from_volume = bundle_on("l40s", DEPLOYMENT.model_copy(update={"model_volume": "weights"}))
    pod = pod_of(objects(from_volume)["Deployment"])
    (container,) = pod["containers"]
    assert container["args"] == ["/bundle/model", "--config", "/bundle/serve.yaml"]
    assert {"name": "model", "mountPath": "/bundle/model", "readOnly": True} in container["volumeMounts"]
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"]
    assert {"name": "model", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}} in pod["volumes"]


def test_another_file_is_another_config_map() -> None:
    """Pods roll when a setting changes, not when a comment does: the ConfigMap is named after its content."""
    _, first = bundle_on("l40s", DEPLOYMENT)
    _, second = bundle_on("l40s", DEPLOYMENT, settings=samples.batching(max_num_seqs=64))
    names = [objects(bundle)["ConfigMap"]["metadata"]["name"] for bundle in (first, second)]
    assert names[0] != names[1]
    assert objects(first)["ConfigMap"]["immutable"] is True
    mounted = objects(first)["ConfigMap"]["data"]["serve.yaml"]
    assert "#" not in mounted
    assert yaml.safe_load(mounted) == yaml.safe_load(samples.text(first))
    assert f"name: {names[1]}" in samples.text(second, "kubernetes/deployment.yaml")


@pytest.mark.parametrize("volume", [None, "weights"])
def test_kserve_gets_the_model_the_replicas_and_the_same_pod(volume: str | None) -> None:
    """LLMInferenceService v1alpha2: KServe mounts the model, the command line names it over the file's."""
    options = Kubernetes(flavor="kserve", namespace="models", model_volume=volume, monitoring=False)
    problem, bundle = bundle_on("h100-sxm", options, tensor_parallel=2, replicas=2)
    found = objects(bundle)
    assert found.keys() == {"ConfigMap", "LLMInferenceService", "NetworkPolicy", "PodDisruptionBudget"}
    spec = found["LLMInferenceService"]["spec"]
    revision = problem.source.revision
    assert spec["model"]["uri"] == (f"pvc://{volume}" if volume else f"hf://{problem.source.repo}:{revision}")
    assert spec["model"]["name"] == problem.source.served_name
    assert spec["replicas"] == 2
    assert spec["parallelism"] == {"tensor": 2}
    (container,) = spec["template"]["containers"]
    assert container["name"] == "main"
    assert container["args"] == ["/mnt/models", "--config", "/bundle/serve.yaml"]
    assert crd_faults(found["LLMInferenceService"]) == []


def test_models_in_folders_need_a_volume() -> None:
    """A cluster cannot be given weights in a ConfigMap."""
    problem = samples.problem_on("l40s", "gemma-2-9b")
    made = samples.checkpoint(problem, "gemma-2-9b")
    bundle, problems = emit(problem, samples.plan(problem), made, Deploy(kubernetes=Kubernetes()))
    assert bundle is None
    assert [diagnostic.id for diagnostic in problems] == ["vllm-model-volume"]
    assert "model_volume" in str(problems[0].help)


def test_drafters_in_folders_stay_out_of_a_cluster() -> None:
    """A drafter of the hub is fetched by the pod; one in a folder has no volume."""
    speculation = Speculation(method="draft_model", tokens=2, acceptance=0.7, model="org/small")
    settings = samples.batching(speculation=speculation)
    _, bundle = bundle_on("l40s", DEPLOYMENT.model_copy(update={"model_volume": "weights"}), settings=settings)
    environment = {row["name"] for row in pod_of(objects(bundle)["Deployment"])["containers"][0]["env"]}
    assert "HF_TOKEN" in environment
    assert "HF_HUB_OFFLINE" not in environment
    problem = samples.problem_on("l40s")
    _, problems = emit(
        problem,
        samples.plan(problem, settings=settings),
        samples.checkpoint(problem, samples.MODEL),
        Deploy(kubernetes=DEPLOYMENT, vllm=Vllm()),
        extra_files={"drafter/config.json": b"{}"},
    )
    assert [diagnostic.id for diagnostic in problems] == ["vllm-model-volume"]


def test_products_are_of_devices_that_exist() -> None:
    """Labels are kept by hardware id."""
    catalogue = samples.catalogue()
    products = yaml.safe_load(PRODUCTS.read_bytes())
    ids = {id for id in products["products"] if catalogue.find(id) is not None}
    assert ids == products["products"].keys()
    assert {"t4", "l4", "l40s", "a100-sxm-80gb", "h100-sxm", "h200-sxm", "b200-sxm"} <= ids
    assert set(products["recalled"]) <= ids
    assert gpu_product("cpu") is None
