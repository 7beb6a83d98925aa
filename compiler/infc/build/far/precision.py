"""Whether an engine computes in the precision that was asked: the network says what was asked, the layers what ran."""

from __future__ import annotations

from typing import Any

MATRIX_LAYERS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
POINTWISE_KINDS = ("kgen", "Reformat", "NoOp", "Shuffle", "Constant")
"""Kinds of engine layers that only change types or layouts around a product that another layer computes."""

TYPE_NAMES = {
    "FLOAT": "Float",
    "HALF": "Half",
    "BF16": "BFloat16",
    "INT8": "Int8",
    "FP8": "FP8",
    "INT4": "Int4",
    "FP4": "FP4",
}
PRECISION_TYPES = {
    "fp32": "Float",
    "tf32": "Float",
    "fp16": "Half",
    "bf16": "BFloat16",
    "int8": "Int8",
    "fp8": "FP8",
    "int4": "Int4",
    "fp4": "FP4",
}
WEIGHT_ONLY = ("Int4",)
"""Types that only weights have: products with them compute in the type of the activations."""


def asked_types(network: Any) -> dict[str, tuple[str, str]]:
    """For every matrix operator of a strongly typed network, the types of its activations and of its weights.

    A type is the one before the DequantizeLinear that feeds the operator, where there is one.
    """
    producers = {}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    for layer in layers:
        for index in range(layer.num_outputs):
            producers[layer.get_output(index).name] = layer
    asked = {}
    for layer in layers:
        if layer.type.name in MATRIX_LAYERS:
            activations = _stored_type(layer.get_input(0), producers)
            second = layer.get_input(1) if layer.num_inputs > 1 else None
            asked[layer.name] = (activations, activations if second is None else _stored_type(second, producers))
    return asked


def _stored_type(tensor: Any, producers: dict[str, Any]) -> str:
    producer = producers.get(tensor.name)
    while producer is not None and producer.type.name in ("SHUFFLE", "CAST", "IDENTITY"):
        producer = producers.get(producer.get_input(0).name)
    stored = tensor if producer is None or producer.type.name != "DEQUANTIZE" else producer.get_input(0)
    name = str(stored.dtype.name)
    return TYPE_NAMES.get(name, name)


def absent_precision(precision: str, asked: dict[str, tuple[str, str]]) -> str | None:
    """What to say when no operator of the model is in the precision that the job names; None when one is."""
    wanted = PRECISION_TYPES[precision]
    if not asked or any(wanted in types for types in asked.values()):
        return None
    found = ", ".join(sorted({activations for activations, _ in asked.values()}))
    return f"precision ignored: the model holds no matrix operator in {wanted}, only in {found}"


def other_types(asked: dict[str, tuple[str, str]], layers: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """The matrix operators that run in another type than asked: name -> (asked, ran).

    An operator runs in the types that its layer reads. Operators that no layer names are left out.
    """
    found = {}
    for operator, (activations, weights) in asked.items():
        if weights in WEIGHT_ONLY or activations != weights:
            continue
        ran = _types_read(operator, layers)
        if ran and activations not in ran:
            found[operator] = (activations, "+".join(ran))
    return found


def ignored_precision(asked: dict[str, tuple[str, str]], other: dict[str, tuple[str, str]]) -> str | None:
    """What to say when most operators that were asked for in a type run in another; None when most run in it."""
    for wanted in sorted({types[0] for types in other.values()}):
        operators = [name for name, types in asked.items() if types == (wanted, wanted)]
        moved = [name for name, types in other.items() if types[0] == wanted]
        if 2 * len(moved) > len(operators):
            ran = ", ".join(sorted({other[name][1] for name in moved}))
            named = ", ".join(moved[:3]) + (", ..." if len(moved) > 3 else "")
            return (
                f"precision ignored: {len(moved)} of {len(operators)} matrix operators that the model has in {wanted} "
                f"run in {ran} ({named})"
            )
    return None


def unread_precision(precision: str, layers: list[dict[str, Any]]) -> str | None:
    """What to say when no layer of an engine reads the precision's type, where nothing says what was asked for.

    None when one does, for weight-only types, and where the builder names no types.
    """
    wanted = PRECISION_TYPES[precision]
    read = {name for layer in layers for name in layer["input_dtype"].split("+") if name}
    if not read or wanted in read or wanted in WEIGHT_ONLY:
        return None
    found = ", ".join(sorted(read))
    return f"precision ignored: no layer of the engine reads {wanted}, only {found}"


def _types_read(operator: str, layers: list[dict[str, Any]]) -> list[str]:
    with_it = [layer for layer in layers if operator in layer["operators"]]
    products = [layer for layer in with_it if layer["kind"] not in POINTWISE_KINDS] or with_it
    types = [name for layer in products for name in layer["input_dtype"].split("+") if name]
    return list(dict.fromkeys(types))
