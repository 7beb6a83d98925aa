"""The emitted autoscalers: valid by their schemas, on the deployment, within the bounds, with queries that parse."""

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from infc.emit.autoscaling import autoscaling_files, autoscaling_manifests
from infc.emit.autoscaling.manifests import ANNOTATION, METRIC, WANTED, scaling_objects
from infc.emit.autoscaling.queries import wanted_replicas
from infc.emit.kubernetes.objects import manifest_bytes
from infc.emit.monitoring.scope import scope_of
from infc.ir.spec import Autoscale
from tests.emit.kubernetes import crd_faults, kubernetes_faults
from tests.emit.monitoring import deployments
from tests.emit.monitoring.operator import operator_faults
from tests.emit.monitoring.prometheus import promtool

from .live import decision, scaler_queries
from .plans import planned, served


def emitted(**options: Any) -> dict[str, Any]:
    """The objects, read back from what is written."""
    asked = Autoscale(**options)
    problem, plan = planned()
    deployment, target = served(problem, plan), {"apiVersion": "apps/v1", "kind": "Deployment", "name": "fashion-mnist"}
    made = replace(decision(), window_s=asked.scale_down_window or 300.0)
    queries = wanted_replicas(deployment, made, scope_of(deployment, is_in_cluster=True))
    return {
        name: yaml.safe_load(manifest_bytes(each))
        for name, each in scaling_objects(deployment, made, queries, asked, target).items()
    }


def test_the_plan_decides_what_the_objects_say() -> None:
    """The whole way from a plan: bounds and words are the decision's."""
    problem, plan = planned()
    (scaled,) = autoscaling_manifests(served(problem, plan), problem, plan, Autoscale()).values()
    read = yaml.safe_load(manifest_bytes(scaled))
    assert 1 < read["spec"]["minReplicaCount"] < read["spec"]["maxReplicaCount"] == plan.candidate.replicas
    assert "Simulated" in read["metadata"]["annotations"][ANNOTATION]


def test_keda_scales_the_deployment_on_rate_queue_and_latency() -> None:
    """Three triggers in replicas, bounds, a fallback at the peak's replicas, the words as an annotation."""
    (scaled,) = emitted(prometheus="http://prometheus.example:9090").values()
    spec = scaled["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "fashion-mnist"}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["fallback"]["replicas"]) == (1, 4, 4)
    assert [trigger["name"] for trigger in spec["triggers"]] == ["rate", "queue", "latency"]
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["serverAddress"] == "http://prometheus.example:9090"
        assert trigger["metadata"]["threshold"] == "1"
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert scaled["metadata"]["annotations"] == {ANNOTATION: "In words."}


def test_keda_objects_are_valid_by_their_definition() -> None:
    """KEDA's own definition takes them."""
    (scaled,) = emitted().values()
    assert crd_faults(scaled) == []


def test_hpa_reads_what_the_rules_record_and_the_adapter_serves() -> None:
    """The metric's name and labels are the same in the three places; the object is valid Kubernetes."""
    objects = emitted(scaler="hpa")
    scaler, rules = objects["horizontalpodautoscaler"], objects["autoscaling-rules"]
    assert kubernetes_faults(scaler) == []
    assert operator_faults(rules) == []
    recorded = {rule["labels"]["reason"]: rule for rule in rules["spec"]["groups"][0]["rules"]}
    asked = [metric["external"]["metric"] for metric in scaler["spec"]["metrics"]]
    assert [metric["selector"]["matchLabels"]["reason"] for metric in asked] == list(recorded)
    for metric in asked:
        labels = recorded[metric["selector"]["matchLabels"]["reason"]]["labels"]
        assert metric["name"] == METRIC
        assert metric["selector"]["matchLabels"].items() <= labels.items()
        assert labels["namespace"] == "ml"
    (content,) = autoscaling_files(Autoscale(scaler="hpa")).values()
    (rule,) = yaml.safe_load(content)["externalRules"]
    assert WANTED in rule["seriesQuery"]
    assert rule["name"]["as"] == METRIC
    assert autoscaling_files(Autoscale()) == {}


def test_both_scalers_behave_alike() -> None:
    """The window is the decision's, up at once, down one by one."""
    keda = emitted(scale_down_window="600s")["scaledobject"]
    hpa = emitted(scaler="hpa", scale_down_window="600s")["horizontalpodautoscaler"]
    behavior = keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == hpa["spec"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 600
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0


@pytest.mark.parametrize("each", [deployments.triton(), deployments.vllm(), deployments.hostile()])
def test_queries_parse(each: Any, tmp_path: Any) -> None:
    """Every trigger is PromQL, whatever the model is called."""
    rules = [{"record": f"scaler:{index}", "expr": query} for index, query in enumerate(scaler_queries(each).values())]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "scalers", "rules": rules}]}))
    code, output = promtool("check", "rules", str(path))
    assert code == 0, output


@pytest.mark.parametrize(
    "options",
    [
        {"scale_down_window": "3601s"},
        {"prometheus": 'http://prometheus"\n  query: up'},
        {"prometheus": "http://prometheus:9090/$(id)"},
        {"prometheus": "prometheus:9090"},
        {"scaler": "vpa"},
    ],
)
def test_a_spec_that_no_controller_takes_is_refused(options: dict[str, str]) -> None:
    """A window above an hour, and addresses that would end a line or run something."""
    with pytest.raises(ValidationError):
        Autoscale.model_validate(options)
