"""What an emitted autoscaler asks Prometheus."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infc.emit.autoscaling import autoscaling_files
from infc.emit.autoscaling.day import Day
from infc.emit.autoscaling.decision import Decision
from infc.emit.autoscaling.manifests import METRIC, WANTED, autoscaling_rules, horizontal_pod_autoscaler
from infc.emit.autoscaling.queries import wanted_replicas
from infc.emit.autoscaling.replica import Load
from infc.emit.autoscaling.thresholds import Thresholds
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.scope import scope_of
from infc.ir.spec import Autoscale


def decision() -> Decision:
    """A decision by hand: what the queries need."""
    edge = Load(rate_rps=100.0, worst=1.0, backlog=8.0, backlog_noise=9.0)
    target = Load(rate_rps=80.0, worst=0.5, backlog=2.0, backlog_noise=3.0)
    return Decision(
        fewest=1,
        most=4,
        redundancy=1,
        thresholds=Thresholds(
            edge=edge,
            target=target,
            backlog=5.0,
            growth=1.25,
            fewest=1,
            reaction_s=200.0,
            limited_by="the rise of the traffic",
        ),
        window_s=300.0,
        day=Day(mean_replicas=2.0, fewest=1, most=4, overloaded_s=0.0, flaps=0),
        words=("In words.",),
    )


def scaler_queries(served: Served) -> Mapping[str, str]:
    """The queries by reason, in a cluster."""
    found = wanted_replicas(served, decision(), scope_of(served, is_in_cluster=True))
    return {f"scaler/{reason}": query for reason, query in found.items()}


def write_scaler_rules(served: Served, folder: Path) -> Path:
    """What a HorizontalPodAutoscaler needs recorded, evaluated every second."""
    queries = wanted_replicas(served, decision(), scope_of(served, is_in_cluster=True))
    manifest: Any = autoscaling_rules(served, queries)
    for group in manifest["spec"]["groups"]:
        group["interval"] = "1s"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{served.identity.name}-autoscaling.yaml"
    path.write_text(json.dumps(manifest["spec"]), encoding="utf-8")
    return path


def adapter_queries(served: Served) -> Mapping[str, str]:
    """What prometheus-adapter asks for each metric of a HorizontalPodAutoscaler: its templates filled in as it does."""
    (content,) = autoscaling_files(Autoscale(scaler="hpa")).values()
    (rule,) = yaml.safe_load(content)["externalRules"]
    queries = wanted_replicas(served, decision(), scope_of(served, is_in_cluster=True))
    scaler: Any = horizontal_pod_autoscaler(served, decision(), queries, {})
    asked = [metric["external"]["metric"] for metric in scaler["spec"]["metrics"]]
    assert {metric["name"] for metric in asked} == {METRIC}
    found = {}
    for metric in asked:
        labels = {"namespace": served.identity.namespace, **metric["selector"]["matchLabels"]}
        matchers = ",".join(f'{name}="{value}"' for name, value in labels.items())
        filled = rule["metricsQuery"].replace("<<.Series>>", WANTED).replace("<<.LabelMatchers>>", matchers)
        found[f"adapter/{labels['reason']}"] = filled.replace("<<.GroupBy>>", "namespace")
    return found
