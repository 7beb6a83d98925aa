"""What a model asks of a device: FLOPs and bytes of every fused kernel, as functions of the batch size."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.expression import AxisExpression
from infc.ir.model_profile import ModelProfile, OperatorClass, OperatorProfile

FloatArray: TypeAlias = npt.NDArray[np.float64]

MATRIX_CLASSES = (
    OperatorClass.CONV,
    OperatorClass.GROUPED_CONV,
    OperatorClass.GEMM,
    OperatorClass.ATTENTION,
    OperatorClass.RECURRENT,
)
VECTOR_CLASSES = (OperatorClass.DEPTHWISE_CONV,)
_FAR_BATCH = 65


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelWork:
    """One row per fused kernel; every quantity is `fixed + per_item * batch`, which holds for any batch-parallel graph.

    `flops` counts matrix and vector work (2 per multiply-add), `traffic` the activation elements that cross memory,
    `weights` the constant elements read. `outputs` are the elements that the kernel's largest matrix operator makes:
    rows times columns of its product, or attention's scores. `input_bytes` and `output_bytes` are what one item
    copies between host and device. `peak_fixed` and `peak_per_item` are the liveness peak of the activations in
    elements. `is_kept` marks kernels with an operator that a quantised engine leaves in 16 bits (FP32 on a CPU).
    """

    classes: tuple[OperatorClass, ...]
    flops_fixed: FloatArray
    flops_per_item: FloatArray
    traffic_fixed: FloatArray
    traffic_per_item: FloatArray
    weights: FloatArray
    outputs_fixed: FloatArray
    outputs_per_item: FloatArray
    input_bytes: float
    output_bytes: float
    parameter_elements: float
    peak_fixed: float
    peak_per_item: float
    is_kept: npt.NDArray[np.bool_]

    def flops(self, batches: FloatArray) -> FloatArray:
        """FLOPs, float64[kernel, batch]."""
        return self.flops_fixed[:, None] + self.flops_per_item[:, None] * batches[None, :]

    def traffic(self, batches: FloatArray) -> FloatArray:
        """Activation elements moved, float64[kernel, batch]."""
        return self.traffic_fixed[:, None] + self.traffic_per_item[:, None] * batches[None, :]

    def outputs(self, batches: FloatArray) -> FloatArray:
        """Elements of the matrix products' results, float64[kernel, batch]."""
        return self.outputs_fixed[:, None] + self.outputs_per_item[:, None] * batches[None, :]


def kernel_work(model: ModelProfile, axes: Mapping[str, int], kept: Collection[str] = ()) -> KernelWork:
    """The kernels of `model` when every dynamic axis but the batch has the size given in `axes`.

    `kept` are the operators, by name, that a quantised engine of it does not quantise. Raises KeyError when an axis of
    the model is missing from `axes`.
    """
    batch_axis = model.batch_axis or "batch"
    near: dict[str, float] = {**axes, batch_axis: 1.0}
    far: dict[str, float] = {**axes, batch_axis: float(_FAR_BATCH)}
    groups: dict[int, list[OperatorProfile]] = {}
    for operator in model.operators:
        groups.setdefault(operator.fusion_group, []).append(operator)
    rows = [_group_row(members, near, far) for members in groups.values()]
    table = np.array([row[1] for row in rows], dtype=np.float64).reshape(len(rows), 7)
    peak_fixed, peak_per_item = _affine(model.peak_activation_elements, near, far)
    return KernelWork(
        classes=tuple(row[0] for row in rows),
        flops_fixed=table[:, 0],
        flops_per_item=table[:, 1],
        traffic_fixed=table[:, 2],
        traffic_per_item=table[:, 3],
        weights=table[:, 4],
        outputs_fixed=table[:, 5],
        outputs_per_item=table[:, 6],
        input_bytes=sum(tensor.bytes_at(near) for tensor in model.inputs),
        output_bytes=sum(tensor.bytes_at(near) for tensor in model.outputs),
        parameter_elements=float(model.parameter_elements),
        peak_fixed=peak_fixed,
        peak_per_item=peak_per_item,
        is_kept=np.array([any(o.name in kept for o in members) for members in groups.values()], dtype=np.bool_),
    )


def _group_row(
    members: Sequence[OperatorProfile], near: Mapping[str, float], far: Mapping[str, float]
) -> tuple[OperatorClass, tuple[float, ...]]:
    """Class and the columns of one fused kernel, in the order of `KernelWork`."""
    flops_fixed = flops_per_item = traffic_fixed = traffic_per_item = weights = 0.0
    main, main_flops, outputs = members[0].operator_class, -1.0, (0.0, 0.0)
    for operator in members:
        weights += operator.weight_elements
        fixed, per_item = _affine(operator.external_input_elements, near, far)
        if operator.is_group_output:
            out_fixed, out_per_item = _affine(operator.output_elements, near, far)
            fixed, per_item = fixed + out_fixed, per_item + out_per_item
        traffic_fixed, traffic_per_item = traffic_fixed + fixed, traffic_per_item + per_item
        if operator.operator_class in MATRIX_CLASSES or operator.operator_class in VECTOR_CLASSES:
            fixed, per_item = _affine(operator.flops, near, far)
            flops_fixed, flops_per_item = flops_fixed + fixed, flops_per_item + per_item
            if fixed + per_item > main_flops:
                main, main_flops = operator.operator_class, fixed + per_item
                outputs = _affine(operator.output_elements, near, far)
    scores = [operator for operator in members if operator.operator_class is OperatorClass.SOFTMAX]
    if main is OperatorClass.GEMM and scores:
        main, outputs = OperatorClass.ATTENTION, _affine(scores[0].output_elements, near, far)
    return main, (flops_fixed, flops_per_item, traffic_fixed, traffic_per_item, weights, *outputs)


def _affine(expression: AxisExpression, near: Mapping[str, float], far: Mapping[str, float]) -> tuple[float, float]:
    if not expression.terms:
        return 0.0, 0.0
    first, last = expression.at(near), expression.at(far)
    per_item = (last - first) / (_FAR_BATCH - 1)
    return first - per_item, per_item
