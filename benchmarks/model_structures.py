"""Writes data/model_structures.json: kernels of the benchmarked models, traced on meta tensors (no weights, no GPU).

Needs `torch==2.13.0`, `timm` and `torchvision` in an environment of its own; run only when a model is added.
One entry per model and input: rows of [class, FLOPs, weight elements, elements moved, count] for one item, convolutions
and matrix products with their activation fused, plus what an eager framework moves in separate element-wise kernels.
"""

import json
import sys
import types
from collections import Counter
from pathlib import Path

sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")

import timm  # noqa: E402
import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

HERE = Path(__file__).parent
linspace = torch.linspace
torch.linspace = lambda *args, **kwargs: linspace(*args, **{"device": "cpu", **kwargs})
"""timm reads drop-path rates with .item(), which a meta tensor has not."""
FUSED = {
    *("relu", "relu_", "silu", "silu_", "gelu", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "sigmoid"),
    *("hardsigmoid", "add_", "mul", "mul_", "clamp", "sub", "div", "tanh", "dropout", "where", "pow", "rsqrt", "exp"),
    *("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training", "linalg_vector_norm"),
}


class Tracer(TorchDispatchMode):
    """Collects kernels while a model runs on meta tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, float, float, float]] = []
        self.eager_elements = 0.0
        self.eager_kernels = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self._note(func.overloadpacket.__name__, args, out)
        return out

    def _note(self, name, args, out) -> None:  # noqa: C901 - one line per kind of operator
        first = out[0] if isinstance(out, tuple) else out
        if not isinstance(first, torch.Tensor):
            return
        size = first.numel()
        if name == "convolution":
            x, w = args[0], args[1]
            groups = args[8]
            flops = 2.0 * size * w[0].numel()
            kind = "depthwise-conv" if groups > 1 and groups == x.shape[1] else "conv"
            self.rows.append((kind, flops, w.numel(), x.numel() + size))
        elif name in ("mm", "addmm"):
            a, b = (args[1], args[2]) if name == "addmm" else (args[0], args[1])
            self.rows.append(("gemm", 2.0 * size * a.shape[-1], b.numel(), a.numel() + size))
        elif name in ("bmm", "baddbmm"):
            a, b = args[-2], args[-1]
            # Fused attention keeps the square matrix of scores on the chip.
            moved = sum(t.numel() for t in (a, b, first) if not is_square(t))
            self.rows.append(("attention", 2.0 * size * a.shape[-1], 0, moved))
        elif "scaled_dot_product" in name:
            q, k, v = args[0], args[1], args[2]
            flops = 2.0 * q.numel() * k.shape[-2] * 2
            self.rows.append(("attention", flops, 0, q.numel() + k.numel() + v.numel() + q.numel()))
        elif name in ("native_layer_norm", "native_group_norm"):
            self.rows.append(("normalization", 0.0, 0, args[0].numel() + size))
        elif "softmax" in name and is_square(first):
            return
        elif "softmax" in name:
            self.rows.append(("softmax", 0.0, 0, 2 * size))
        elif "pool" in name or name in ("mean", "sum", "amax"):
            self.rows.append(("reduction", 0.0, 0, args[0].numel() + size))
        elif name == "cat" or name in ("roll", "index", "constant_pad_nd", "index_select"):
            self.rows.append(("data-movement", 0.0, 0, 2 * size))
        elif name == "add":
            self.rows.append(("fused-operand", 0.0, 0, size))
            self._eager(3 * size)
        elif name in FUSED:
            self._eager(2 * size)

    def _eager(self, elements: float) -> None:
        self.eager_elements += elements
        self.eager_kernels += 1


def is_square(tensor: torch.Tensor) -> bool:
    """Whether the last two dimensions are equal, as those of attention scores are."""
    return tensor.dim() >= 2 and tensor.shape[-1] == tensor.shape[-2]


def traced(run) -> dict[str, object]:
    """The kernels of one call."""
    tracer = Tracer()
    with torch.no_grad(), tracer:
        run()
    counts: Counter[tuple[str, float, float, float]] = Counter()
    for kind, flops, weights, moved in tracer.rows:
        counts[kind, flops, weights, moved] += 1
    rows = [[*row, count] for row, count in sorted(counts.items())]
    return {"rows": rows, "eager": [tracer.eager_elements, tracer.eager_kernels]}


def timm_model(name: str, size: int) -> dict[str, object]:
    """A timm model at a square input."""
    with torch.device("meta"):
        try:
            model = timm.create_model(name, img_size=size).eval()
        except TypeError:
            model = timm.create_model(name).eval()
        image = torch.zeros(1, 3, size, size)
    return traced(lambda: model(image))


def retinanet(size: int) -> dict[str, object]:
    """MLPerf's RetinaNet: ResNeXt-50 32x4d, feature pyramid, heads for 264 classes, post-processing left out."""
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.models.detection.retinanet import RetinaNetHead
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    with torch.device("meta"):
        backbone = resnet_fpn_backbone(
            backbone_name="resnext50_32x4d",
            weights=None,
            returned_layers=[2, 3, 4],
            extra_blocks=LastLevelP6P7(256, 256),
        ).eval()
        head = RetinaNetHead(256, 9, 264).eval()
        image = torch.zeros(1, 3, size, size)
    return traced(lambda: head(list(backbone(image).values())))


def detector(gflop: float, size: int) -> dict[str, object]:
    """A YOLO of the asked work: the kernels of YOLOv8n (data/yolov8n_320.json, 2.03 GFLOP at 320) with wider layers.

    An approximation: families differ in depth and in the shape of their blocks.
    """
    base = json.loads((HERE / "data/yolov8n_320.json").read_text())
    area = (size / 320) ** 2
    width = (gflop / (sum(row[1] * row[4] for row in base) / 1e9 * area)) ** 0.5
    rows = [[c, f * area * width**2, w * width**2, t * area * width, n] for c, f, w, t, n in base]
    return {"rows": rows, "eager": [0.0, 0]}


def bert(layers: int, hidden: int, tokens: int) -> dict[str, object]:
    """A BERT encoder with fused attention."""
    t, h = float(tokens), float(hidden)
    block = [
        ["gemm", 2 * t * h * h, h * h, 2 * t * h],
        ["gemm", 2 * t * h * h, h * h, 2 * t * h],
        ["gemm", 2 * t * h * h, h * h, 2 * t * h],
        ["attention", 4 * t * t * h, 0.0, 4 * t * h],
        ["gemm", 2 * t * h * h, h * h, 2 * t * h],
        ["normalization", 0.0, 0.0, 3 * t * h],
        ["gemm", 8 * t * h * h, 4 * h * h, 5 * t * h],
        ["gemm", 8 * t * h * h, 4 * h * h, 5 * t * h],
        ["normalization", 0.0, 0.0, 3 * t * h],
    ]
    rows = [[*row, layers] for row in block] + [["embedding", 0.0, 0.0, 2 * t * h, 1]]
    return {"rows": rows, "eager": [0.0, 0]}


def main() -> None:
    """Trace every model and input that data/perf_rows.csv names."""
    import csv

    rows = list(csv.DictReader((HERE / "data/perf_rows.csv").open()))
    wanted = sorted({(r["model"], r["input"]) for r in rows})
    found: dict[str, object] = {}
    for model, size in wanted:
        key = f"{model}@{size}"
        if model == "retinanet":
            found[key] = retinanet(int(size))
        elif model.startswith("bert"):
            found[key] = bert(24, 1024, int(size)) if "large" in model else bert(12, 768, int(size))
        elif model.startswith("yolo"):
            gflop = next(float(r["gflop"]) for r in rows if r["model"] == model)
            found[key] = detector(gflop, int(size))
        else:
            try:
                found[key] = timm_model(model, int(size))
            except (RuntimeError, ValueError, KeyError, AttributeError) as error:
                print(key, "left out:", error)
    text = json.dumps(found, indent=None, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"')
    (HERE / "data/model_structures.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
