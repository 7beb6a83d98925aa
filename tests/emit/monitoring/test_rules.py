"""Emitted rules: promtool takes them, every alert says what it must, and names stay names."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infc.emit.kubernetes.objects import manifest_bytes
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring import monitoring_files, monitoring_manifests
from infc.emit.monitoring.objectives import objectives_of
from infc.emit.monitoring.promql import string

from . import deployments
from .live import dashboard_queries, selectors
from .operator import operator_faults
from .prometheus import promtool

DEPLOYMENTS = {
    "triton": deployments.triton(),
    "vllm": deployments.vllm(),
    "hostile": deployments.hostile(),
    "bare": deployments.triton(availability=None, shadow_outputs={}, planned=None),
    "tight": deployments.triton(
        goals=tuple(replace(deployments.triton().goals[1], label=f"p{p:g}", percentile=p) for p in (90.0, 99.9, 99.999))
    ),
}
ALL = pytest.mark.parametrize("served", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
GUIDE = Path(__file__).parents[3] / "docs" / "slo.md"


def groups(served: Served) -> list[dict[str, Any]]:
    """The groups of the plain file."""
    found: list[dict[str, Any]] = yaml.safe_load(monitoring_files(served)["monitoring/rules.yaml"])["groups"]
    return found


def alerts(served: Served) -> list[dict[str, Any]]:
    """The alerting rules."""
    return [rule for group in groups(served) for rule in group["rules"] if "alert" in rule]


@ALL
def test_promtool_takes_the_rules(served: Served, tmp_path: Path) -> None:
    """Both files of rules, and every query of the dashboard as a rule."""
    path = tmp_path / "rules.yaml"
    path.write_bytes(monitoring_files(served)["monitoring/rules.yaml"])
    cluster = tmp_path / "cluster.yaml"
    manifest: Any = monitoring_manifests(served)["prometheusrule"]
    cluster.write_text(yaml.safe_dump(manifest["spec"]))
    panels = tmp_path / "panels.yaml"
    queries = [
        *dashboard_queries(served, is_in_cluster=True).values(),
        *dashboard_queries(served, is_in_cluster=False).values(),
    ]
    rules = [{"record": f"panel:{index}", "expr": query} for index, query in enumerate(queries)]
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    code, output = promtool("check", "rules", str(path), str(cluster), str(panels))
    assert code == 0, output


@ALL
def test_objects_are_what_the_operator_takes(served: Served) -> None:
    """PodMonitor and PrometheusRule by its reference, read back from YAML."""
    for name in ("podmonitor", "prometheusrule"):
        assert operator_faults(yaml.safe_load(manifest_bytes(monitoring_manifests(served)[name]))) == []


@ALL
def test_every_alert_says_what_is_wrong_and_where_to_read_on(served: Served) -> None:
    """Severity, summary, description, and a section of the guide that exists."""
    sections = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in GUIDE.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    }
    for rule in alerts(served):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
        path, _, section = rule["annotations"]["runbook"].partition("#")
        assert path == "docs/slo.md"
        assert section in sections


def test_burn_alerts_hold_the_numbers_of_the_spec() -> None:
    """The limit, the percentile, the prediction, the budget; factors of 14.4, 6 and 1 over their windows."""
    found = {
        rule["labels"]["window"]: rule
        for rule in alerts(deployments.triton())
        if rule["alert"] == "InfcLatencySloBurn" and rule["labels"]["goal"] == "p99"
    }
    assert {window: rule["labels"]["severity"] for window, rule in found.items()} == {
        "1h": "critical",
        "6h": "critical",
        "3d": "warning",
    }
    for window, short, share in (("1h", "5m", "0.144"), ("6h", "30m", "0.06"), ("3d", "6h", "0.01")):
        expr = found[window]["expr"]
        assert f"avg{window}{{" in expr
        assert f"avg{short}{{" in expr
        assert expr.count(f"> {share}") == 2
    text = found["1h"]["annotations"]["summary"] + found["1h"]["annotations"]["description"]
    for number in ("25 ms", "99%", "20 ms", "14.4%", "14.4 times", "1%"):
        assert number in text


def test_a_loose_goal_can_still_fire() -> None:
    """14.4 times half of all requests is more than all of them: the alert is at three quarters."""
    median, *_ = objectives_of(deployments.triton())
    assert [(window.long_s, median.alert_share(window)) for window in median.windows] == [(3_600, 0.75), (259_200, 0.5)]


def test_every_selector_finds_one_deployment_only() -> None:
    """By job and model, in a cluster by namespace; what is recorded by the deployment's own label."""
    for served in (deployments.triton(), deployments.vllm()):
        manifest: Any = monitoring_manifests(served)["prometheusrule"]
        for group in manifest["spec"]["groups"]:
            for rule in group["rules"]:
                for each in selectors(rule["expr"]):
                    assert 'namespace="ml"' in each
                    name = served.identity.name
                    assert f'job="{name}"' in each or f'infc_deployment="{name}"' in each


def test_the_histogram_bucket_is_the_limit() -> None:
    """A server counts requests at the SLO's own limit: nothing is interpolated."""
    late = [
        rule["expr"]
        for group in groups(deployments.vllm())
        for rule in group["rules"]
        if rule.get("record") == "infc:slo_broken_requests:rate1m" and rule["labels"]["goal"] != "availability"
    ]
    assert ['le="2.0"' in late[0], 'le="0.2"' in late[1]] == [True, True]


def test_names_stay_names() -> None:
    """A model and an output that are PromQL, templates, shell and YAML come out as strings of harmless characters."""
    served = deployments.hostile()
    literal = string(deployments.HOSTILE)
    assert not set("\"'`${}[]\\\n") & set(re.sub(r"\\u[0-9a-f]{4}", "", literal[1:-1]))
    text = monitoring_files(served)["monitoring/rules.yaml"].decode()
    assert "$labels }} ${datasource}" not in text
    for rule in (rule for group in groups(served) for rule in group["rules"]):
        braces = re.sub(r'"(?:[^"\\]|\\.)*"', "", rule["expr"])
        assert braces.count("{") == braces.count("}")
        for each in (*rule.get("labels", {}).values(), *rule.get("annotations", {}).values()):
            left = each.replace('{{"{"}}', "").replace("{{ $value | humanizePercentage }}", "")
            assert "{" not in left.replace("{{ $value | humanize }}", "")
    dashboard = monitoring_files(served)["monitoring/dashboard.json"].decode()
    assert set(re.findall(r"\$\{?\w+", dashboard)) == {"${datasource"}


def test_hostile_templates_come_out_as_text(tmp_path: Path) -> None:
    """Prometheus itself expands labels and annotations of a shadow's alert to the output's own name."""
    served = replace(deployments.hostile(), shadow_outputs={"{{ $value }}{{ end }} $labels": 0.98})
    (tmp_path / "rules.yaml").write_bytes(monitoring_files(served)["monitoring/rules.yaml"])
    from .scenarios import Phase, alert, run

    output = "{{ $value }}{{ end }} $labels"
    said = [alert("InfcShadowDisagrees", severity="warning", output=output)]
    run(served, [Phase(minutes=40.0, agreed=0.5)], {39.0: said}, tmp_path / "run", among='alertname=~"InfcShadow.*"')


def test_same_deployment_same_bytes() -> None:
    """Nothing depends on the order of outputs, on time, or on the machine."""
    outputs = {f"output-{index}": 0.9 for index in range(5)}
    one = deployments.triton(shadow_outputs=outputs)
    other = deployments.triton(shadow_outputs=dict(reversed(outputs.items())))
    assert monitoring_files(one) == monitoring_files(other)
