"""The dashboard as Grafana reads it: fields of its schema, no overlap, limits and predictions drawn in."""

import json
from typing import Any

import pytest
import yaml

from infc.emit.kubernetes.objects import manifest_bytes
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring import monitoring_files, monitoring_manifests
from infc.emit.monitoring.dashboard import SIDECAR_LABEL
from tests.emit.kubernetes import kubernetes_faults

from . import deployments

BOTH = pytest.mark.parametrize("served", [deployments.triton(), deployments.vllm()], ids=["triton", "vllm"])
# Source: npm @grafana/schema 13.2.3, types `Dashboard` and `Panel`, which these documents were compiled against.
DASHBOARD_KEYS = {
    "title", "uid", "description", "tags", "schemaVersion", "version", "editable", "graphTooltip", "refresh",
    "timezone", "time", "annotations", "templating", "links", "panels",
}  # fmt: skip
PANEL_KEYS = {
    "id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets",
}  # fmt: skip


def dashboard(served: Served) -> Any:
    """The plain file."""
    return json.loads(monitoring_files(served)["monitoring/dashboard.json"])


@BOTH
def test_documents_have_grafanas_fields(served: Served) -> None:
    """Known keys, unique ids and letters, the data source a variable everywhere."""
    document = dashboard(served)
    assert document.keys() == DASHBOARD_KEYS
    assert len(document["uid"]) <= 40
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))
    for panel in document["panels"]:
        assert panel.keys() == PANEL_KEYS
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [variable["name"] for variable in document["templating"]["list"]] == ["datasource"]


@BOTH
def test_panels_do_not_overlap(served: Served) -> None:
    """Every cell of the 24 columns is in one panel at most."""
    cells = [
        (column, row)
        for panel in dashboard(served)["panels"]
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24


def test_limits_and_predictions_are_lines() -> None:
    """A latency panel shows where the SLO ends and what was predicted."""
    (panel,) = [panel for panel in dashboard(deployments.triton())["panels"] if panel["title"] == "Latency p99"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [(None, "transparent"), (0.02, "blue"), (0.025, "red")]
    assert panel["fieldConfig"]["defaults"]["unit"] == "s"


def test_panels_follow_what_is_deployed() -> None:
    """Tokens of language models, agreement of a shadow, cost where a price is known."""
    titles = {
        name: {panel["title"] for panel in dashboard(served)["panels"]}
        for name, served in {
            "triton": deployments.triton(),
            "vllm": deployments.vllm(),
            "plain": deployments.triton(shadow_outputs={}),
        }.items()
    }
    assert "Tokens" in titles["vllm"]
    assert "Tokens" not in titles["triton"]
    assert "Quality shadow: agreement, 1 hour" in titles["triton"]
    assert "Quality shadow: agreement, 1 hour" not in titles["plain"]
    assert "Cost per hour" in titles["triton"]
    assert "Cost per hour" not in titles["vllm"]


@BOTH
def test_the_sidecar_finds_the_dashboard(served: Served) -> None:
    """A ConfigMap with the label that it looks for, holding the document."""
    manifest = yaml.safe_load(manifest_bytes(monitoring_manifests(served)["dashboard"]))
    assert kubernetes_faults(manifest) == []
    assert manifest["metadata"]["labels"][SIDECAR_LABEL] == "1"
    (content,) = manifest["data"].values()
    assert json.loads(content)["uid"] == dashboard(served)["uid"]
