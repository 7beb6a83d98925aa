"""Emitted monitoring against a real server and a real Prometheus: what every expression gives."""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from infc.emit.kubernetes.served import Served
from infc.emit.monitoring import monitoring_files, monitoring_manifests

from .prometheus import Prometheus

_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{[^{}]*\}")


def write_rules(served: Served, folder: Path, *, is_in_cluster: bool) -> Path:
    """The emitted rules as a file, evaluated every second: a test does not wait for half a minute."""
    if is_in_cluster:
        content: Any = monitoring_manifests(served)["prometheusrule"]["spec"]
    else:
        content = yaml.safe_load(monitoring_files(served)["monitoring/rules.yaml"])
    for group in content["groups"]:
        group["interval"] = "1s"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{served.identity.name}.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def selectors(expr: str) -> list[str]:
    """Every selector of an expression; strings hold no braces, for they are escaped."""
    return _SELECTOR.findall(expr)


def dashboard_queries(served: Served, *, is_in_cluster: bool) -> Mapping[str, str]:
    """Expressions by panel and letter."""
    if is_in_cluster:
        manifest: Any = monitoring_manifests(served)["dashboard"]
        (content,) = manifest["data"].values()
    else:
        content = monitoring_files(served)["monitoring/dashboard.json"]
    return {
        f"{panel['title']}/{target['refId']}": target["expr"]
        for panel in json.loads(content)["panels"]
        for target in panel["targets"]
    }


def unanswered(prometheus: Prometheus, queries: Mapping[str, str]) -> dict[str, str]:
    """The queries that give nothing, or no number."""
    answers = {name: prometheus.query(expr) for name, expr in queries.items()}
    return {
        name: queries[name]
        for name, found in answers.items()
        if not found or all(math.isnan(value) for _, value in found)
    }


def wait_for_answers(prometheus: Prometheus, queries: Mapping[str, str], condition: Callable[[], bool]) -> None:
    """Wait until every query gives a number, and for the condition."""
    left: dict[str, str] = {}

    def is_complete() -> bool:
        left.clear()
        left.update(unanswered(prometheus, queries))
        return not left and condition()

    prometheus.wait_for(is_complete, lambda: f"without an answer: {left}")


def unhealthy(prometheus: Prometheus) -> list[tuple[str, str]]:
    """Rules that Prometheus could not evaluate."""
    return [(rule["name"], rule["lastError"]) for rule in prometheus.rules() if rule["health"] != "ok"]


def active(prometheus: Prometheus, deployment: str) -> dict[str, set[str]]:
    """Alerts of a deployment that fire or are about to, by name: the values of their label `goal` and severity."""
    found: dict[str, set[str]] = {}
    for rule in prometheus.rules():
        for alert in rule.get("alerts", ()):
            if alert["labels"].get("infc_deployment") == deployment:
                goal = alert["labels"].get("goal", "")
                found.setdefault(rule["name"], set()).add(f"{goal}/{alert['labels']['severity']}/{alert['state']}")
    return found
