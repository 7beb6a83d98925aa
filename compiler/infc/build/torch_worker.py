"""The process that compiles a torch package: `python -m infc.build.torch_worker ORDER.json`.

It is separate because torch takes seconds to import, keeps compilers running and may crash. ORDER names the model, the
target file, the device and the shapes; `facts.json` is written beside it. Exit code 3: the model is refused, for the
reason on the last line of standard error.
"""

import json
import re
import signal
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infc.build.torch_target import (
    TORCH_CPU_LEVEL,
    TORCH_DEVICE,
    TORCH_FLOAT32,
    TORCH_INPUTS,
    TORCH_OUTPUTS,
    TORCH_VERSION,
    level_named,
)

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import torch

    Arrays = dict[str, np.ndarray[tuple[int, ...], np.dtype[Any]]]

REFUSED = 3
FEWEST, MOST = 2, 15
"""Size that stands for a dynamic one while the model is traced: not 0 or 1, which the exporter treats as constants, and
below 16, from which on torch's convolutions would choose a kernel by it (torch 2.13)."""
ROOM = 4
"""Times the largest size that the exporter is told: guards at sizes inside the range then never leave a single one."""
TOLERANCES = {"fp32": 0.02, "tf32": 0.02, "fp16": 0.05, "bf16": 0.1}
"""Largest deviation from ONNX Runtime by precision, as the norm of the difference over the norm of the answer. Wide: on
made-up inputs even two runs in FP32 can differ by a percent. It finds wrong programs, the accuracy gate judges right
ones."""
_KERNEL = re.compile(r"(?:call_)?((?:cpp|triton)_\w*fused_\w+)\(|aoti_torch_(?:cpu|cuda)_(\w+)\(")


def main(order_path: Path) -> int:
    """Compile one model; 0 when the package was written."""
    from infc.build.torch_graph.values import UnsupportedModelError

    order = json.loads(order_path.read_text())
    signal.alarm(max(1, int(order["timeout_s"])))
    try:
        facts = _compile(order)
    except UnsupportedModelError as error:
        print(error, file=sys.stderr)
        return REFUSED
    (order_path.parent / "facts.json").write_text(json.dumps(facts))
    return 0


def _compile(order: Mapping[str, Any]) -> dict[str, object]:
    import onnx
    import torch

    from infc.build.torch_graph.module import OnnxModule

    device = torch.device(order["device"])
    # TensorRT and ONNX Runtime use TF32 units for FP32 products on a GPU that has them: so does torch.
    precision = "high" if order["device"] == "cuda" and order["precision"] in ("fp32", "tf32") else "highest"
    _set_up(torch, precision)
    _say(f"torch {torch.__version__}: reading the model")
    model = onnx.load(order["model"])
    module = OnnxModule(model, device).eval()
    _say(f"tracing {len(model.graph.node)} operators")
    with torch.no_grad():
        program = torch.export.export(
            module, _traced_inputs(model, order, device), dynamic_shapes=(_dynamic_shapes(model, order),), strict=False
        )
        _say(f"compiling for {order['device']} ({order['cpu_level']})")
        options = _inductor_options(order)
        torch._inductor.aoti_compile_and_package(program, package_path=order["target"], inductor_configs=options)
    _say("comparing the answers with ONNX Runtime")
    _check_answers(model, order, device)
    return {
        "weight_bytes": sum(buffer.numel() * buffer.element_size() for buffer in module.buffers()),
        "layers": list(_layers(Path(order["target"]))),
        "settings": {
            TORCH_VERSION: torch.__version__.partition("+")[0],
            TORCH_CPU_LEVEL: order["cpu_level"],
            TORCH_DEVICE: order["device"],
            TORCH_FLOAT32: precision,
            TORCH_INPUTS: json.dumps([entry.name for entry in _inputs(model)]),
            TORCH_OUTPUTS: json.dumps([entry.name for entry in model.graph.output]),
        },
    }


def _set_up(torch: Any, precision: str) -> None:
    """As the server sets torch: one thread, one kind of kernel for every batch, the precision of FP32 products."""
    torch.set_num_threads(1)
    torch.backends.nnpack.set_flags(False)
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision == "high"


def _inductor_options(order: Mapping[str, Any]) -> dict[str, object]:
    level = level_named(order["cpu_level"])
    options: dict[str, object] = {"cpp.march": level.name, "cpp.simdlen": level.vector_bits, "cpp.threads": 1}
    # Freezing lays the weights out for oneDNN's convolutions: without it they are laid out again at every call.
    return {**options, "freezing": True} if order["device"] == "cpu" else options


def _traced_inputs(model: "onnx.ModelProto", order: Mapping[str, Any], device: "torch.device") -> tuple[Any, ...]:
    import torch

    arrays = _samples(model, order, _traced_shape)
    return tuple(torch.from_numpy(array).to(device) for array in arrays.values())


def _traced_shape(minimum: list[int], optimum: list[int], maximum: list[int]) -> list[int]:
    """Fixed sizes as they are, dynamic ones inside of what tracing is free of surprises for.

    >>> _traced_shape([1, 3, 1], [8, 3, 128], [32, 3, 256])
    [8, 3, 15]
    """
    return [
        low if low == high else min(max(usual, FEWEST), MOST)
        for low, usual, high in zip(minimum, optimum, maximum, strict=True)
    ]


def _dynamic_shapes(model: "onnx.ModelProto", order: Mapping[str, Any]) -> tuple[dict[int, Any], ...]:
    """The dynamic dimensions of every input; those of one name in the model are one symbol."""
    import torch

    dims: dict[str, Any] = {}
    shapes: list[dict[int, Any]] = []
    for entry in _inputs(model):
        minimum, _, maximum = order["shapes"][entry.name]
        dynamic: dict[int, Any] = {}
        for axis, (low, high) in enumerate(zip(minimum, maximum, strict=True)):
            if low != high:
                name = entry.type.tensor_type.shape.dim[axis].dim_param or f"{entry.name}.{axis}"
                size = ROOM * max(high, MOST)
                dynamic[axis] = dims.setdefault(name, torch.export.Dim(f"size_{len(dims)}", min=1, max=size))
        shapes.append(dynamic)
    return tuple(shapes)


def _inputs(model: "onnx.ModelProto") -> list["onnx.ValueInfoProto"]:
    initial = {entry.name for entry in model.graph.initializer}
    return [entry for entry in model.graph.input if entry.name not in initial]


def _samples(model: "onnx.ModelProto", order: Mapping[str, Any], shape_of: Any) -> "Arrays":
    """Inputs of one shape, the same ones every time: small numbers, and 0 or 1 where numbers may be indices."""
    import numpy as np
    import onnx

    random = np.random.default_rng(0)
    arrays: Arrays = {}
    for entry in _inputs(model):
        shape = shape_of(*order["shapes"][entry.name])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        is_real = np.issubdtype(dtype, np.floating)
        arrays[entry.name] = random.random(shape).astype(dtype) if is_real else random.integers(0, 2, shape, dtype)
    return arrays


def _check_answers(model: "onnx.ModelProto", order: Mapping[str, Any], device: "torch.device") -> None:
    """Raise UnsupportedModelError when the package answers otherwise than ONNX Runtime.

    Tried: the smallest, the usual and the largest shapes.
    """
    import numpy as np
    import onnxruntime
    import torch

    from infc.build.torch_graph.values import UnsupportedModelError

    package = torch._inductor.aoti_load_package(order["target"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(order["model"], options, providers=["CPUExecutionProvider"])
    for position in range(3):
        arrays = _samples(model, order, lambda *shapes, at=position: shapes[at])
        with torch.no_grad():
            answers = package(*(torch.from_numpy(array).to(device) for array in arrays.values()))
        for output, expected, answer in zip(model.graph.output, session.run(None, arrays), answers, strict=True):
            found = answer.detach().cpu().numpy()
            if found.shape != expected.shape:
                raise UnsupportedModelError(
                    f"output {output.name} has the shape {list(found.shape)} in place of {list(expected.shape)}"
                )
            difference = float(np.linalg.norm((found.astype(np.float64) - expected).ravel()))
            deviation = difference / (float(np.linalg.norm(expected.ravel())) or 1.0)
            if not deviation <= TOLERANCES[order["precision"]]:
                shapes = ", ".join(str(list(array.shape)) for array in arrays.values())
                raise UnsupportedModelError(
                    f"output {output.name} deviates by {deviation:.1%} from ONNX Runtime's at input shapes {shapes}"
                )


def _layers(package: Path) -> Iterator[tuple[str, str]]:
    """Kernels in the order in which the compiled model calls them: those that Inductor made, and library calls."""
    with zipfile.ZipFile(package) as archive:
        name = next(name for name in sorted(archive.namelist()) if name.endswith(".wrapper.cpp"))
        source = archive.read(name).decode(errors="replace")
    body = source.rpartition("::run_impl(")[2]
    for match in _KERNEL.finditer(body):
        kernel, call = match.groups()
        yield (kernel, "inductor kernel") if kernel else (call, "library call")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
