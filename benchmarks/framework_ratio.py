"""How much longer other runtimes take than TensorRT, which the performance model predicts (on CPUs: ONNX Runtime).

Prints, for every pair of runtimes, the geometric mean of the time ratio over (model, device, precision), the factor
around it that holds 9 of 10, and how many of them the interval holds that is made without them. The figures stand in
infc/perf/framework.py; `--check` fails when they are not those of the data:

- data/framework_vs_tensorrt.csv: PyTorch without compilation and TensorRT, small and large batches apart;
- data/onnxruntime_vs_tensorrt.csv: ONNX Runtime's CUDA and TensorRT providers and TensorRT engines, all under Triton;
- data/perf_rows.csv: timm's models in PyTorch with and without torch.compile (large batches);
- data/engines_cpu.csv: torch packages and ONNX Runtime on a CPU (written by engines_cpu.py).
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infc.perf.framework import LARGE_BATCH, engine_ratio, framework_ratio

DATA = Path(__file__).parent / "data"
NORMAL_90 = 1.645
"""Standard deviations on either side that hold 90% of a normal distribution."""
FEW_90 = 2.353 * math.sqrt(1.25)
"""The same for a fifth value after four: Student's t with three degrees of freedom, and the mean's own error."""
ROUNDING = 0.011


@dataclass(frozen=True)
class Comparison:
    """One figure: its name, log ratios by pair, and what the package holds (ratio and factor)."""

    name: str
    logs: list[float]
    stored: tuple[float, float]
    deviations: float = NORMAL_90


def rows_of(name: str) -> list[dict[str, str]]:
    """A data file."""
    with (DATA / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pair_logs(name: str, above: str, below: str, *, is_large: bool | None = None) -> list[float]:
    """Mean log ratio of two columns for every (model, hardware, precision), over batches of one class or over all."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows_of(name):
        is_wanted = is_large is None or (int(row["batch"]) >= LARGE_BATCH) == is_large
        if is_wanted and row[above] and row[below]:
            key = (row["model"], row["hardware"], row["precision"])
            groups.setdefault(key, []).append(math.log(float(row[above]) / float(row[below])))
    return [sum(logs) / len(logs) for logs in groups.values()]


def compiled_logs() -> list[float]:
    """Log of torch.compile's best time per item over PyTorch's, by model, input, device and precision."""
    best: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for row in rows_of("perf_rows.csv"):
        if row["harness"] in ("eager", "compile"):
            key = (row["model"], row["input"], row["hardware"], row["precision"])
            per_item = float(row["seconds"]) / (1.0 if row["kind"] == "throughput" else float(row["batch"]))
            found = best.setdefault(key, {})
            found[row["harness"]] = min(per_item, found.get(row["harness"], math.inf))
    return [math.log(f["compile"] / f["eager"]) for f in best.values() if len(f) == len(("eager", "compile"))]


def comparisons() -> Iterator[Comparison]:
    """Every figure of the package with its data."""
    providers = "onnxruntime_vs_tensorrt.csv"
    for words, is_large, batch in (("below", False, 1), ("from", True, LARGE_BATCH)):
        at = f"batches {words} {LARGE_BATCH}"
        eager = framework_ratio(batch)
        yield Comparison(
            f"PyTorch / TensorRT, {at}",
            pair_logs("framework_vs_tensorrt.csv", "pytorch_ms", "tensorrt_ms", is_large=is_large),
            (eager.value, eager.high / eager.value),
        )
        for kind, column in (
            ("onnxruntime_cuda", "onnxruntime_cuda_ms"),
            ("onnxruntime_tensorrt", "onnxruntime_tensorrt_ms"),
        ):
            held = engine_ratio(kind, batch, is_cpu=False)  # type: ignore[arg-type]
            logs = pair_logs(providers, column, "tensorrt_ms", is_large=is_large)
            yield Comparison(f"{kind} / TensorRT, {at}", logs, (held.value, held.high / held.value))
    compiled = engine_ratio("torch_inductor", LARGE_BATCH, is_cpu=False)
    eager = framework_ratio(LARGE_BATCH)
    up = math.sqrt(math.log(compiled.high / compiled.value) ** 2 - math.log(eager.high / eager.value) ** 2)
    yield Comparison("torch.compile / PyTorch", compiled_logs(), (compiled.value / eager.value, math.exp(up)))
    cpu = engine_ratio("torch_inductor", 1, is_cpu=True)
    logs = pair_logs("engines_cpu.csv", "torch_ms", "onnxruntime_ms")
    yield Comparison("torch_inductor / onnxruntime on a CPU", logs, (cpu.value, cpu.high / cpu.value), FEW_90)


def summary(logs: list[float], deviations: float) -> tuple[float, float]:
    """Geometric mean and the factor around it that so many standard deviations are."""
    mean = sum(logs) / len(logs)
    deviation = math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1))
    return math.exp(mean), math.exp(deviations * deviation)


def main() -> int:
    """Print the table; with --check compare it with what the package holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 unless the package holds these figures")
    is_checked = parser.parse_args().check
    is_same = True
    for each in comparisons():
        ratio, spread = summary(each.logs, each.deviations)
        held = 0
        for index, log in enumerate(each.logs):
            other, factor = summary(each.logs[:index] + each.logs[index + 1 :], each.deviations)
            held += abs(log - math.log(other)) <= math.log(factor)
        print(
            f"{each.name}: {ratio:.2f} times, factor {spread:.2f}, {len(each.logs)} pairs, "
            f"{held} of them inside the interval made without them"
        )
        is_same &= all(abs(a - b) < ROUNDING for a, b in zip((ratio, spread), each.stored, strict=True))
    return int(is_checked and not is_same)


if __name__ == "__main__":
    sys.exit(main())
