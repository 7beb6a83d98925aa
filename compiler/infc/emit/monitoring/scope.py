"""Which series are those of one deployment, as its server exposes them and as its own rules record them."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.emit.kubernetes.served import Served

SCRAPE_S = 15
"""How often metrics are read. Rates are over a minute, which then holds three gaps between readings and bears one lost
reading."""
JOB_LABEL = "app.kubernetes.io/name"
"""The pod's label that Prometheus takes as the job: the deployment's name."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Labels that find the series. `targets` are those of every series that is scraped, `model` adds the model's.

    `recorded` are those of what the rules record.
    """

    targets: Mapping[str, str]
    model: Mapping[str, str]
    recorded: Mapping[str, str]


def scope_of(served: Served, *, is_in_cluster: bool) -> Scope:
    """The series of a deployment; in a cluster those of its namespace, which the Prometheus operator labels."""
    name = served.identity.name
    place = {"namespace": served.identity.namespace} if is_in_cluster else {}
    targets = {"job": name, **place}
    label = "model" if served.server == "triton" else "model_name"
    return Scope(targets=targets, model={**targets, label: served.model}, recorded={"infc_deployment": name, **place})
