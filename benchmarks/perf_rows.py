"""Writes data/perf_rows.csv: the measured rows that the performance model is fitted on.

`python perf_rows.py FOLDER` reads bench_vision.csv and bench_encoder.csv (collected results of MLPerf Inference, NVIDIA
DeepLearningExamples, timm, Ultralytics and others) and keeps what is comparable: single devices of the catalogue, known
precision, known work, no flagged outlier. Of equal submissions the median is kept. Every row names its source.
"""

import csv
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from infc.resolve.targets import load_catalogue

HERE = Path(__file__).parent
COLUMNS = (
    *("model", "input", "hardware", "power_mode", "precision", "batch", "harness", "kind"),
    *("seconds", "rows", "gflop", "params_m", "source", "version"),
)
ALIASES = {"Jetson AGX Orin (devkit)": "Jetson AGX Orin 64GB"}
POWER_MODES = {"jetson-agx-orin-64gb": "MAXN"}
"""Vendor submissions run uncapped; the other modules are taken at the clocks of their catalogue rows."""
PRECISIONS = {p: p for p in ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")} | {"fp16 (AMP)": "fp16"}
BERT_TOKENS, BERT_LATENCY_TOKENS = "180", "240"
"""Mean SQuAD length: NVIDIA's harness skips padding (recalled, like the effective FLOPs of the source rows).

A SingleStream time is the 90th percentile over the questions, so of one of about 240 tokens (an estimate).
"""
MLPERF_INPUT = {"resnet50": "224", "retinanet": "800"}
TRITON_INPUT = {
    "GPUNet/05ms-D": "224",
    "GPUNet/065ms": "320",
    "GPUNet/085ms": "288",
    "GPUNet/08ms-D": "224",
    "GPUNet/125ms-D": "456",
    "GPUNet/175ms": "384",
    "bert-distilled-4l": "384",
    "bert-distilled-6l": "384",
    "bert-large": "384",
}
ENGINE_INPUT = {"resnet50": "224", "vit_base_patch16_224": "224", "vit_base_patch32_224": "224"}
"""Models of mmdeploy's and the Jetson AI Lab's tables; their inputs come from the models' definitions."""


def main(folder: Path) -> None:
    """Read, clean, merge, write."""
    known = {hardware.name: hardware for hardware in load_catalogue(None).all()}
    groups: dict[tuple[str, ...], list[tuple[float, dict[str, str]]]] = defaultdict(list)
    for name in ("bench_vision.csv", "bench_encoder.csv"):
        for raw in csv.DictReader((folder / name).open()):
            hardware = known.get(ALIASES.get(raw["hw"], raw["hw"]))
            if hardware is None or hardware.kind not in ("gpu", "jetson") or not is_comparable(raw):
                continue
            found = measured(raw)
            if found is None:
                continue
            row = {
                "hardware": hardware.id,
                "power_mode": POWER_MODES.get(hardware.id, ""),
                "rows": "1",
                "gflop": raw["gflop_per_item"],
                "params_m": raw["params_m"],
                "source": raw["source"],
                "version": raw["version_or_date"],
                **found,
            }
            groups[tuple(row[c] for c in COLUMNS[:8])].append((float(row["seconds"]), row))
    out = []
    for members in groups.values():
        members.sort(key=lambda m: m[0])
        middle = statistics.median_low([m[0] for m in members])
        row = next(m[1] for m in members if m[0] == middle)
        out.append({**row, "rows": str(len(members))})
    out.sort(key=lambda r: [r[c] for c in COLUMNS])
    with (HERE / "data/perf_rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(out)
    print(len(out), "rows")


def is_comparable(raw: dict[str, str]) -> bool:
    """Whether the row is of the device at its usual clocks, alone, and not flagged."""
    is_capped = "MaxQ" in raw["notes"] or "orin-nvidia_original" in raw["source"]
    return not raw["sanity"].startswith("outlier") and not is_capped and raw["precision"] in PRECISIONS


def measured(raw: dict[str, str]) -> dict[str, str] | None:
    """What was measured, by the rules of the source; None when the row is left out."""
    version = raw["version_or_date"]
    if version.startswith("MLPerf"):
        return mlperf(raw)
    if version.startswith("timm"):
        return timm(raw)
    if version.startswith("DeepLearningExamples"):
        return triton(raw)
    if raw["model"].startswith("yolo") or "ultralytics" in version:
        return ultralytics(raw)
    return engine(raw)


def record(raw: dict[str, str], harness: str, kind: str, seconds: float, **changed: str) -> dict[str, str]:
    """The columns that every source fills."""
    size = re.match(r"\d+", raw["input"] or "")
    base = {"model": raw["model"], "input": size.group() if size else "", "batch": raw["batch"]}
    common = {"precision": PRECISIONS[raw["precision"]], "harness": harness, "kind": kind, "seconds": f"{seconds:.6g}"}
    return {**base, **common, **changed}


def mlperf(raw: dict[str, str]) -> dict[str, str] | None:
    """Offline gives seconds per item, SingleStream and MultiStream seconds per execution of 1 and 8 (p90 and p99).

    Offline batches are tuned per device and not published; the batch column stays empty. Jetson's Offline runs of
    convolutional networks use both DLAs beside the GPU: harness `mlperf-dla`.
    """
    model = {"bert-99": "bert-large", "bert-99.9": "bert-large"}.get(raw["model"], raw["model"])
    is_bert = model == "bert-large"
    if not is_bert and model not in MLPERF_INPUT:
        return None
    size = MLPERF_INPUT.get(model, BERT_TOKENS)
    match raw["scenario"]:
        case "Offline" if raw["throughput"]:
            seconds = float(raw["n_gpu"] or 1) / float(raw["throughput"])
            harness = "mlperf-dla" if raw["hw"].startswith("Jetson") and not is_bert else "mlperf"
            return record(raw, harness, "throughput", seconds, model=model, input=size, batch="")
        case "SingleStream" if raw["latency_ms"]:
            size = BERT_LATENCY_TOKENS if is_bert else size
            return record(raw, "mlperf", "latency", float(raw["latency_ms"]) / 1e3, model=model, input=size, batch="1")
        case "MultiStream" if raw["latency_ms"] and not is_bert:
            return record(raw, "mlperf", "latency", float(raw["latency_ms"]) / 1e3, model=model, input=size, batch="8")
        case _:
            return None


def timm(raw: dict[str, str]) -> dict[str, str] | None:
    """Large batches in PyTorch, eager or compiled."""
    if not raw["throughput"] or not raw["batch"]:
        return None
    harness = "compile" if "compile" in raw["software"] else "eager"
    return record(raw, harness, "throughput", 1.0 / float(raw["throughput"]))


def triton(raw: dict[str, str]) -> dict[str, str] | None:
    """One client, one instance, TensorRT: Triton's own figure of the time that the engine computes."""
    found = re.search(r"server compute infer ms=([\d.]+)", raw["notes"])
    is_engine = "TensorRT" in raw["software"] and raw["scenario"] == "triton offline concurrency 1"
    size = TRITON_INPUT.get(raw["model"])
    if found is None or not is_engine or size is None:
        return None
    return record(raw, "triton", "latency", float(found.group(1)) / 1e3, input=size)


def ultralytics(raw: dict[str, str]) -> dict[str, str] | None:
    """YOLO under TensorRT: engine times of its tables; `yolo-benchmark` times go through its Python predictor.

    Classifiers (`yolo-cls`) are apart: on a T4 they take 1.5 to 2 times what the detectors there and ResNet-50 tell,
    YOLO26l-cls 2.2 times as long as ResNet-50 with three quarters of its operations.
    """
    if raw["model"] == "yolov3-d53":
        return None  # slower at FP16 than at FP32: not the engine alone
    if "TensorRT" not in raw["software"] or "Roboflow" in raw["software"] or not raw["latency_ms"] or not raw["batch"]:
        return None
    model = raw["model"].split("(")[0]
    harness = "yolo-cls" if model.endswith("-cls") else "yolo"
    harness = "yolo-benchmark" if raw["scenario"].startswith("benchmark()") else harness
    return record(raw, harness, "throughput", float(raw["latency_ms"]) / 1e3, model=model)


def engine(raw: dict[str, str]) -> dict[str, str] | None:
    """Batch-1 latencies of mmdeploy on T4, and the Jetson AI Lab's throughputs (one image at a time, it seems)."""
    size = ENGINE_INPUT.get(raw["model"])
    if not raw["software"].startswith("TensorRT") or size is None:
        return None
    if raw["latency_ms"] and raw["version_or_date"] == "2021-12":
        return record(raw, "mmdeploy", "latency", float(raw["latency_ms"]) / 1e3, input=size)
    if raw["throughput"] and raw["scenario"] == "throughput":
        return record(raw, "jetson-lab", "throughput", 1.0 / float(raw["throughput"]), input=size, batch="1")
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
