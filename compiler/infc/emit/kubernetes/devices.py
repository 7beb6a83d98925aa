"""Nodes and devices: how a pod gets the planned GPUs."""

from collections.abc import Mapping

from infc.emit.yaml_text import YamlValue
from infc.ir.hardware import Hardware
from infc.resolve.targets.location import data_directory

GPU_RESOURCE = "nvidia.com/gpu"
PRODUCT_LABEL = "nvidia.com/gpu.product"


def node_selector(hardware: Hardware, extra: Mapping[str, str]) -> dict[str, YamlValue]:
    """Labels of the nodes with the planned device, by key; `extra` are the user's and go before infc's own."""
    product = gpu_product(hardware.id) if hardware.kind == "gpu" else None
    own = {} if product is None else {PRODUCT_LABEL: product}
    return dict(sorted({**own, **extra}.items()))


def gpu_product(hardware_id: str) -> str | None:
    """The label that NVIDIA's feature discovery gives a node with this device; None where it is not known."""
    products = _products()["products"]
    assert isinstance(products, dict)  # noqa: S101 - infc's own file
    return products.get(hardware_id)


def selector_note(hardware: Hardware) -> str:
    """What a reader should know of the node selector; empty when there is nothing."""
    if hardware.kind != "gpu":
        return ""
    product, recalled = gpu_product(hardware.id), _products()["recalled"]
    if product is None:
        return (
            f"nodeSelector: the label {PRODUCT_LABEL} of {hardware.id} is not known to infc, so any GPU will do for the"
            " scheduler; name it in deploy.kubernetes.node_selector"
        )
    assert isinstance(recalled, list)  # noqa: S101 - infc's own file
    if hardware.id in recalled:
        return f"nodeSelector: {product} is from recall; compare it with `kubectl get nodes -L {PRODUCT_LABEL}`"
    return ""


def gpu_tolerations() -> list[YamlValue]:
    """Nodes with GPUs are usually tainted, so that nothing else runs there."""
    return [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]


def _products() -> Mapping[str, object]:
    import yaml

    path = data_directory("targets") / "servers" / "kubernetes" / "gpu_products.yaml"
    document: Mapping[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document
