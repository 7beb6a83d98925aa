"""The program in the bundle's README that sends one request, for a newcomer to copy."""

from collections.abc import Mapping, Sequence

from infc.emit.triton.tensors import TritonTensor
from infc.emit.triton.warmup import warmup_samples
from infc.ir.problem import AxisDistribution

# Source: tritonclient's triton_to_np_dtype; BF16 is handed over as float32, and strings as objects.
NUMPY_TYPES: Mapping[str, str] = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "uint8",
    "TYPE_UINT16": "uint16",
    "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64",
    "TYPE_INT8": "int8",
    "TYPE_INT16": "int16",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_FP16": "float16",
    "TYPE_BF16": "float32",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
}


def first_request(
    name: str,
    inputs: Sequence[TritonTensor],
    outputs: Sequence[TritonTensor],
    axes: Mapping[str, AxisDistribution],
    *,
    is_batched: bool,
) -> tuple[str, ...]:
    r"""Lines of Python that ask the model `name` for one row of zeros at the median size of every dynamic axis.

    Empty where an axis has no size in the workload: then no shape is known to be valid. Names come from the model file
    and stand as ASCII literals.

    >>> ids = TritonTensor(name="ids", data_type="TYPE_INT64", dims=(-1,), axes=("sequence",), is_scalar=False)
    >>> sizes = {"sequence": AxisDistribution(percentiles={50.0: 24}, maximum=128)}
    >>> print("\n".join(first_request("lookup", [ids], [ids], sizes, is_batched=True)))
    import numpy as np
    import tritonclient.grpc as triton
    <BLANKLINE>
    client = triton.InferenceServerClient("localhost:8001")
    rows = {'ids': np.zeros([1, 24], "int64")}
    tensors = [triton.InferInput('ids', [1, 24], "INT64")]
    for tensor in tensors:
        tensor.set_data_from_numpy(rows[tensor.name()])
    answer = client.infer('lookup', tensors)
    print(answer.as_numpy('ids'))
    """
    samples = warmup_samples(inputs, [1], axes)
    if not samples:
        return ()
    shapes = {tensor.name: [1, *samples[0].dims[tensor.name]][0 if is_batched else 1 :] for tensor in inputs}
    rows = ", ".join(f"{tensor.name!a}: {_row(tensor, shapes[tensor.name])}" for tensor in inputs)
    tensors = ", ".join(
        f'triton.InferInput({tensor.name!a}, {shapes[tensor.name]}, "{_wire_type(tensor)}")' for tensor in inputs
    )
    return (
        "import numpy as np",
        "import tritonclient.grpc as triton",
        "",
        'client = triton.InferenceServerClient("localhost:8001")',
        f"rows = {{{rows}}}",
        f"tensors = [{tensors}]",
        "for tensor in tensors:",
        "    tensor.set_data_from_numpy(rows[tensor.name()])",
        f"answer = client.infer({name!a}, tensors)",
        *(f"print(answer.as_numpy({tensor.name!a}))" for tensor in outputs),
    )


def _row(tensor: TritonTensor, shape: Sequence[int]) -> str:
    if tensor.data_type == "TYPE_STRING":
        return f'np.full({shape}, b"text", "object")'
    return f'np.zeros({shape}, "{NUMPY_TYPES[tensor.data_type]}")'


def _wire_type(tensor: TritonTensor) -> str:
    return "BYTES" if tensor.data_type == "TYPE_STRING" else tensor.data_type.removeprefix("TYPE_")
