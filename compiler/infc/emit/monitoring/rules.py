"""The rules of a deployment: groups as Prometheus reads them, wrapped for the Prometheus operator or not."""

from infc.emit.comment import comment_lines
from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.alerts import alerts_of
from infc.emit.monitoring.promql import duration
from infc.emit.monitoring.recordings import rate_recordings, ratio_recordings
from infc.emit.monitoring.scope import JOB_LABEL, SCRAPE_S, Scope, scope_of
from infc.emit.monitoring.signals import signals_of
from infc.emit.yaml_text import YamlValue, yaml_text

EVALUATION_S = 30
"""How often rules are evaluated: every reading is in a rate, and a three-day window has 8640 of them."""


def rule_groups(served: Served, scope: Scope) -> list[YamlValue]:
    """The groups: rates, then what builds on them. Rules of a group are evaluated in their order."""
    signals = signals_of(served, scope)
    name = f"infc.{served.identity.name}"
    rules = {
        "rates": [each.to_rule() for each in rate_recordings(served, signals, scope)],
        "budgets": [each.to_rule() for each in ratio_recordings(served, scope)],
        "alerts": [each.to_rule() for each in alerts_of(served, signals, scope)],
    }
    return [
        {"name": f"{name}.{part}", "interval": duration(EVALUATION_S), "rules": list(each)}
        for part, each in rules.items()
    ]


def prometheus_rule(served: Served) -> Manifest:
    """The rules for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": served.identity.metadata(),
        "spec": {"groups": rule_groups(served, scope_of(served, is_in_cluster=True))},
    }


def rules_file(served: Served) -> bytes:
    """The rules for a plain Prometheus, which has to scrape the servers under the deployment's name."""
    notes = (
        f"Recording rules and alerts of {served.identity.name}, for a Prometheus without an operator.",
        f"Scrape every replica with job_name {served.identity.name}, /metrics every {SCRAPE_S}s, and list this file "
        "under rule_files.",
    )
    groups = rule_groups(served, scope_of(served, is_in_cluster=False))
    return ("".join(comment_lines(notes)) + yaml_text({"groups": groups})).encode()


def pod_monitor(served: Served) -> Manifest:
    """What the Prometheus operator scrapes: every pod of the deployment, under its name as the job."""
    endpoint: Manifest = {
        "port": served.metrics_port,
        "path": "/metrics",
        "interval": duration(SCRAPE_S),
        "scrapeTimeout": "10s",
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": served.identity.metadata(),
        "spec": {
            "jobLabel": JOB_LABEL,
            "selector": {"matchLabels": served.identity.selector},
            "podMetricsEndpoints": [endpoint],
        },
    }
