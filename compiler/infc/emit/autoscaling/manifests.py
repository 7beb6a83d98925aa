"""The objects: KEDA's ScaledObject, or a HorizontalPodAutoscaler with what prometheus-adapter needs."""

from collections.abc import Mapping

from infc.emit.autoscaling.decision import POLL_S, Decision
from infc.emit.comment import comment_lines
from infc.emit.kubernetes.objects import Manifest
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.promql import duration
from infc.emit.monitoring.rules import EVALUATION_S
from infc.emit.monitoring.scope import scope_of
from infc.emit.yaml_text import YamlValue, yaml_text
from infc.ir.spec import Autoscale

WANTED = "infc:autoscale_replicas:wanted"
"""The recorded series that prometheus-adapter serves; its label `reason` is rate, queue or latency."""
METRIC = "infc_autoscale_replicas"
ANNOTATION = "infc.dev/autoscaling"
_STEP_S = 60
_FAILURES = 4


def scaling_objects(
    served: Served, decision: Decision, queries: Mapping[str, str], options: Autoscale, target: Manifest
) -> dict[str, Manifest]:
    """The objects of the scaler that the spec names, by the name of their file."""
    if options.scaler == "keda":
        return {"scaledobject": scaled_object(served, decision, queries, options, target)}
    return {
        "horizontalpodautoscaler": horizontal_pod_autoscaler(served, decision, queries, target),
        "autoscaling-rules": autoscaling_rules(served, queries),
    }


def scaled_object(
    served: Served, decision: Decision, queries: Mapping[str, str], options: Autoscale, target: Manifest
) -> Manifest:
    """KEDA asks Prometheus itself. Where it gets no answer, as many replicas run as the plan has for the peak.

    Source: KEDA documentation, "ScaledObject specification" and "Prometheus" scaler.
    """
    triggers: list[YamlValue] = [
        {
            "type": "prometheus",
            "name": reason,
            "metricType": "AverageValue",
            "metadata": {
                "serverAddress": options.prometheus,
                "query": query,
                "threshold": "1",
                # From and to no replica at all, which never happens: there is always at least one.
                "activationThreshold": "0",
                # No answer is an error, after which the fallback runs, not a load of nothing.
                "ignoreNullValues": "false",
            },
        }
        for reason, query in queries.items()
    ]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _metadata(served, decision),
        "spec": {
            "scaleTargetRef": target,
            "minReplicaCount": decision.fewest,
            "maxReplicaCount": decision.most,
            "pollingInterval": POLL_S,
            "fallback": {"failureThreshold": _FAILURES, "replicas": decision.most},
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(decision)}},
            "triggers": triggers,
        },
    }


def horizontal_pod_autoscaler(
    served: Served, decision: Decision, queries: Mapping[str, str], target: Manifest
) -> Manifest:
    """A HorizontalPodAutoscaler on external metrics. Without an answer it leaves the replicas as they are."""
    metrics: list[YamlValue] = [
        {
            "type": "External",
            "external": {
                "metric": {
                    "name": METRIC,
                    "selector": {"matchLabels": {"infc_deployment": served.identity.name, "reason": reason}},
                },
                "target": {"type": "AverageValue", "averageValue": "1"},
            },
        }
        for reason in queries
    ]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(served, decision),
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": decision.fewest,
            "maxReplicas": decision.most,
            "behavior": _behavior(decision),
            "metrics": metrics,
        },
    }


def autoscaling_rules(served: Served, queries: Mapping[str, str]) -> Manifest:
    """What the HorizontalPodAutoscaler reads, recorded: prometheus-adapter finds series, not expressions."""
    scope = scope_of(served, is_in_cluster=True)
    rules: list[YamlValue] = [
        {"record": WANTED, "expr": query, "labels": {**scope.recorded, "reason": reason}}
        for reason, query in queries.items()
    ]
    group: Manifest = {
        "name": f"infc.{served.identity.name}.autoscaling",
        "interval": duration(EVALUATION_S),
        "rules": rules,
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": served.identity.metadata(served.identity.suffixed("-autoscaling")),
        "spec": {"groups": [group]},
    }


def adapter_file() -> bytes:
    """The rule for prometheus-adapter, the same for all deployments.

    Source: prometheus-adapter, docs/externalmetrics.md and docs/config.md.
    """
    notes = (
        "For prometheus-adapter, once in a cluster: add this rule to `externalRules` of its configuration "
        "(`rules.external` of its Helm chart). The HorizontalPodAutoscaler reads what it serves.",
    )
    rule: Manifest = {
        "seriesQuery": f'{{__name__="{WANTED}",namespace!=""}}',
        "resources": {"overrides": {"namespace": {"resource": "namespace"}}},
        "name": {"as": METRIC},
        "metricsQuery": "max(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    }
    return ("".join(comment_lines(notes)) + yaml_text({"externalRules": [rule]})).encode()


def _metadata(served: Served, decision: Decision) -> Manifest:
    return {**served.identity.metadata(), "annotations": {ANNOTATION: " ".join(decision.words)}}


def _behavior(decision: Decision) -> Manifest:
    """Up at once, by as many as there are or by two; down one after the other, once fewer have done for the window."""
    up: list[YamlValue] = [
        {"type": "Percent", "value": 100, "periodSeconds": _STEP_S},
        {"type": "Pods", "value": 2, "periodSeconds": _STEP_S},
    ]
    down: list[YamlValue] = [{"type": "Pods", "value": 1, "periodSeconds": _STEP_S}]
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": up, "selectPolicy": "Max"},
        "scaleDown": {"stabilizationWindowSeconds": round(decision.window_s), "policies": down},
    }
