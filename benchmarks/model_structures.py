"""Writes data/model_structures.json: kernels of the benchmarked models, as infc's own analysis sees their ONNX files.

Two steps, because PyTorch stays out of infc's environment. `python model_structures.py export FOLDER`, in one
with `torch==2.13.0`, `timm`, `torchvision`, `transformers`, `ultralytics` and `onnx`, writes ONNX files with random
weights; `python model_structures.py analyse FOLDER` in infc's own reads them. Run only when a model is added.

One entry per model and input: rows of [class, FLOPs, weights, elements moved, elements made, count] for one item, and
what an eager framework moves besides in separate element-wise kernels (elements, kernels).
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
BERT = {  # layers, hidden, heads, intermediate
    "bert-distilled-4l": (4, 312, 12, 1200),
    "bert-distilled-6l": (6, 768, 12, 3072),
    "bert-base": (12, 768, 12, 3072),
    "bert-large": (24, 1024, 16, 4096),
}
DEPTHS = {"vit_huge_patch14_224": 32, "vit_so400m_patch14_siglip_384": 27}
"""Models too large to export: two and three of their equal blocks are analysed, the rest follows."""
UNFUSED = ("Reshape", "Flatten", "Unsqueeze", "Squeeze", "Shape", "Split", "Identity", "Cast", "Constant")


def wanted() -> list[tuple[str, int]]:
    """Models and inputs that data/perf_rows.csv names."""
    rows = csv.DictReader((HERE / "data/perf_rows.csv").open())
    return sorted({(row["model"], int(row["input"])) for row in rows})


def export(folder: Path) -> None:
    """Write one ONNX file per model and input; batch and sequence are dynamic."""
    import torch

    from model_definitions import bert, gpunet, retinanet, timm_model, yolo

    def save(model, example, name: str, names: list[str], axes: dict[int, str]) -> None:
        path = folder / f"{name.replace('/', '--')}.onnx"
        if not path.exists():
            dynamic = dict.fromkeys(names, axes)
            with torch.no_grad():
                torch.onnx.export(
                    model.eval(), example, str(path), input_names=names, dynamic_axes=dynamic, dynamo=False
                )

    for name, shape in BERT.items():
        ids = torch.ones(1, 128, dtype=torch.long)
        names = ["input_ids", "attention_mask", "token_type_ids"]
        save(bert(*shape), (ids, ids, ids), name, names, {0: "batch", 1: "sequence"})
    for name, size in wanted():
        if name in BERT:
            continue
        image = (torch.zeros(1, 3, size, size),)
        if name in DEPTHS:
            for depth in (2, 3):
                save(timm_model(name, size, depth=depth), image, f"{name}-{depth}@{size}", ["image"], {0: "batch"})
            continue
        build = gpunet if name.startswith("GPUNet") else yolo if name.startswith("yolo") else timm_model
        model = retinanet() if name == "retinanet" else build(name, size)
        save(model, image, f"{name}@{size}", ["image"], {0: "batch"})


def structure(path: Path, axes_size: int) -> dict[str, object] | None:
    """The kernels of one file at one size of its dynamic axes; None when the analysis finds no work in it."""
    import numpy as np

    from infc.perf.work import kernel_work
    from infc.resolve.onnx_analysis import analyse

    profile = analyse(path, path.stem).profile
    if profile is None or profile.batch_axis is None:
        return None
    axes = dict.fromkeys(profile.axes, axes_size)
    work, one = kernel_work(profile, axes), np.array([1.0])
    columns = (work.flops(one)[:, 0], work.weights, work.traffic(one)[:, 0], work.outputs(one)[:, 0])
    rounded = [[float(f"{value:.6g}") for value in column] for column in columns]
    counts = Counter(zip([c.value for c in work.classes], *rounded, strict=True))
    at = {**axes, profile.batch_axis: 1.0}
    alone = [o for o in profile.operators if o.op_type not in UNFUSED]
    moved = sum(o.input_elements.at(at) + o.output_elements.at(at) for o in alone if o.op_type != "Transpose")
    extra = max(0.0, moved - float(work.traffic(one).sum()))
    return {"rows": [[*row, n] for row, n in sorted(counts.items())], "eager": [float(f"{extra:.6g}"), len(alone)]}


def deeper(two: dict[str, object], three: dict[str, object], depth: int) -> dict[str, object]:
    """A model of `depth` equal blocks from those of two and three."""
    few, more = ({tuple(r[:5]): r[5] for r in s["rows"]} for s in (two, three))
    counts = {key: few.get(key, 0) + (depth - 2) * (more.get(key, 0) - few.get(key, 0)) for key in {*few, *more}}
    eager = [a + (depth - 2) * (b - a) for a, b in zip(two["eager"], three["eager"], strict=True)]
    return {"rows": [[*key, n] for key, n in sorted(counts.items()) if n > 0], "eager": eager}


def analyse_all(folder: Path) -> None:
    """Read every file that was exported."""
    found: dict[str, object] = {}
    for name, size in wanted():
        if name in DEPTHS:
            two, three = (structure(folder / f"{name}-{depth}@{size}.onnx", size) for depth in (2, 3))
            found[f"{name}@{size}"] = deeper(two, three, DEPTHS[name])
            continue
        path = folder / (f"{name}.onnx" if name in BERT else f"{name.replace('/', '--')}@{size}.onnx")
        entry = structure(path, size) if path.exists() else None
        if entry is None:
            print(f"{name}@{size} left out", flush=True)
        else:
            found[f"{name}@{size}"] = entry
    text = json.dumps(found, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"')
    (HERE / "data/model_structures.json").write_text(text.replace(".0,", ",").replace(".0]", "]") + "\n")


if __name__ == "__main__":
    {"export": export, "analyse": analyse_all}[sys.argv[1]](Path(sys.argv[2]))
