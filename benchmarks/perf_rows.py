"""Writes data/perf_rows.csv: the measured rows that the performance model is fitted on.

`python perf_rows.py FOLDER` reads bench_vision.csv and bench_encoder.csv (collected results of MLPerf Inference, timm,
Ultralytics and others) and keeps what is comparable: single devices of the catalogue, known precision, known work, no
flagged outlier. Of equal submissions the median is kept. Every row names its source.
"""

import csv
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = (
    *("model", "input", "hardware", "power_mode", "precision", "batch", "framework", "kind"),
    *("seconds", "rows", "gflop", "params_m", "source", "version"),
)
HARDWARE = {
    *("T4", "A2", "A10", "A30", "A40", "L4", "L40", "L40S", "RTX 4090", "RTX 5090", "RTX 3090"),
    *("A100 PCIe 80GB", "A100 SXM 80GB", "A100 SXM 40GB", "H100 PCIe", "H100 SXM", "H100 NVL"),
    *("H200 SXM", "H200 NVL", "GH200 96GB", "RTX PRO 6000 Blackwell Max-Q", "RTX PRO 6000 Blackwell Workstation"),
    *("RTX PRO 6000 Blackwell Server", "Jetson AGX Orin 64GB", "Jetson Orin NX 16GB"),
    *("Jetson Orin Nano 8GB Super", "Jetson Orin Nano 8GB"),
}
ALIASES = {"Jetson AGX Orin (devkit)": "Jetson AGX Orin 64GB"}
POWER_MODES = {"jetson-agx-orin-64gb": "MAXN"}
"""Vendor submissions run uncapped; the other modules are taken at the clocks of their catalogue rows."""
MLPERF_BATCH = {"resnet50": 256, "retinanet": 16, "bert-large": 64}
"""Offline batches are tuned per device and not published with the rows: the fit tries several."""
BERT_TOKENS = 180
"""Mean SQuAD length: NVIDIA's harness skips padding (recalled, like the effective FLOPs of the source rows)."""


def main(folder: Path) -> None:
    """Read, clean, merge, write."""
    groups: dict[tuple[str, ...], list[tuple[float, dict[str, str]]]] = defaultdict(list)
    for name in ("bench_vision.csv", "bench_encoder.csv"):
        for raw in csv.DictReader((folder / name).open()):
            row = cleaned(raw)
            if row is not None:
                key = tuple(str(row[c]) for c in COLUMNS[:8])
                groups[key].append((float(row["seconds"]), row))
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


def cleaned(raw: dict[str, str]) -> dict[str, str] | None:
    """One row in seconds per execution (latency) or per item (throughput), None when it is left out."""
    hw = ALIASES.get(raw["hw"], raw["hw"])
    if hw not in HARDWARE or not raw["gflop_per_item"] or raw["sanity"].startswith("outlier"):
        return None
    if "MaxQ" in raw["notes"] or "virtual" in raw["hw"]:
        return None
    found = mlperf(raw) if raw["version_or_date"].startswith("MLPerf") else other(raw)
    if found is None:
        return None
    hardware = re.sub(r"[^a-z0-9]+", "-", hw.lower()).strip("-")
    return {
        "hardware": hardware,
        "power_mode": POWER_MODES.get(hardware, ""),
        "rows": "1",
        "gflop": raw["gflop_per_item"],
        "params_m": raw["params_m"],
        "source": raw["source"],
        "version": raw["version_or_date"],
        **found,
    }


def mlperf(raw: dict[str, str]) -> dict[str, str] | None:
    """Offline gives seconds per item, SingleStream and MultiStream seconds per execution of 1 and 8 (p90 and p99)."""
    model = {"bert-99": "bert-large", "bert-99.9": "bert-large"}.get(raw["model"], raw["model"])
    precision = raw["precision"]
    if model not in MLPERF_BATCH or precision not in ("int8", "fp16", "fp8"):
        return None
    size = {"resnet50": "224", "retinanet": "800", "bert-large": str(BERT_TOKENS)}[model]
    base = {"model": model, "input": size, "precision": precision, "framework": "tensorrt"}
    match raw["scenario"]:
        case "Offline" if raw["throughput"]:
            per_item = float(raw["n_gpu"] or 1) / float(raw["throughput"])
            return {**base, "batch": str(MLPERF_BATCH[model]), "kind": "throughput", "seconds": f"{per_item:.6g}"}
        case "SingleStream" if raw["latency_ms"] and model != "bert-large":
            return {**base, "batch": "1", "kind": "latency", "seconds": f"{float(raw['latency_ms']) / 1e3:.6g}"}
        case "MultiStream" if raw["latency_ms"] and model != "bert-large":
            return {**base, "batch": "8", "kind": "latency", "seconds": f"{float(raw['latency_ms']) / 1e3:.6g}"}
        case _:
            return None


def other(raw: dict[str, str]) -> dict[str, str] | None:
    """Timm (large batches, PyTorch) and TensorRT engine times of detectors."""
    size = re.match(r"\d+", raw["input"] or "")
    precision = {"fp16 (AMP)": "fp16", "bf16": "bf16", "fp16": "fp16", "int8": "int8"}.get(raw["precision"])
    if size is None or precision is None or not raw["batch"]:
        return None
    base = {"model": raw["model"], "input": size.group(), "precision": precision, "batch": raw["batch"]}
    if raw["version_or_date"].startswith("timm") and raw["throughput"]:
        framework = "compile" if "compile" in raw["software"] else "eager"
        seconds = 1.0 / float(raw["throughput"])
        return {**base, "framework": framework, "kind": "throughput", "seconds": f"{seconds:.6g}"}
    is_detector = raw["model"].startswith("yolo") and raw["task"] == "detection"
    if is_detector and "TensorRT" in raw["software"] and raw["throughput_unit"].startswith("img/s"):
        seconds = float(raw["latency_ms"]) / 1e3  # mean per image
        return {**base, "framework": "tensorrt", "kind": "throughput", "seconds": f"{seconds:.6g}"}
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
