"""Who may talk to the pods, and whom they may talk to."""

from collections.abc import Sequence

from infc.emit.kubernetes.objects import Identity, Manifest
from infc.emit.kubernetes.server import Port
from infc.emit.yaml_text import YamlValue

_DNS = 53


def network_policy(identity: Identity, ports: Sequence[Port], egress: Sequence[int]) -> Manifest:
    """In: the served ports, from anywhere. Out: nothing, or DNS and the TCP ports that the model is fetched from."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": identity.metadata(),
        "spec": {
            "podSelector": {"matchLabels": identity.selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [_rule(port.name) for port in ports]}],
            "egress": _egress(egress),
        },
    }


def _egress(ports: Sequence[int]) -> list[YamlValue]:
    if not ports:
        return []
    dns: list[YamlValue] = [{"protocol": protocol, "port": _DNS} for protocol in ("UDP", "TCP")]
    return [{"ports": dns}, {"ports": [_rule(port) for port in dict.fromkeys(ports)]}]


def _rule(port: str | int) -> Manifest:
    return {"protocol": "TCP", "port": port}
