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
    import yaml

    path = data_directory("targets") / "servers" / "kubernetes" / "gpu_products.yaml"
    products: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))["products"]
    return products.get(hardware_id)


def gpu_tolerations() -> list[YamlValue]:
    """Nodes with GPUs are usually tainted, so that nothing else runs there."""
    return [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]
