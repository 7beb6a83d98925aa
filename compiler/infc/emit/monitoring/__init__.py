"""Monitoring: what Prometheus scrapes, records and alerts on, and Grafana's dashboard, from one value."""

from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.dashboard import DASHBOARD_FILE, dashboard_config_map, dashboard_file
from infc.emit.monitoring.rules import pod_monitor, prometheus_rule, rules_file

__all__ = ["RULES_FILE", "monitoring_files", "monitoring_manifests"]

FOLDER = "monitoring"
RULES_FILE = "rules.yaml"


def monitoring_manifests(served: Served) -> dict[str, Manifest]:
    """Objects for a cluster with the Prometheus operator and Grafana's sidecar, by the name of their file."""
    return {
        "podmonitor": pod_monitor(served),
        "prometheusrule": prometheus_rule(served),
        "dashboard": dashboard_config_map(served),
    }


def monitoring_files(served: Served) -> dict[str, bytes]:
    """The same for a plain Prometheus and any Grafana, by path in the bundle."""
    return {
        f"{FOLDER}/{RULES_FILE}": rules_file(served),
        f"{FOLDER}/{DASHBOARD_FILE}": dashboard_file(served, is_in_cluster=False),
    }
