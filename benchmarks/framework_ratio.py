"""How much longer a framework takes than the compiled engine: the first step of `infc plan --ladder`.

Reads data/framework_vs_tensorrt.csv (the same model, device, batch and precision, run by PyTorch and by TensorRT) and
prints, for small and for large batches, the geometric mean of the time ratio over (model, device) pairs, the factor
around it that holds 9 of 10 pairs, and how many pairs the interval holds that is made without them. The figures stand
in infc/perf/framework.py; `--check` fails when they are not those of the data.
"""

import argparse
import csv
import math
import sys
from pathlib import Path

from infc.perf.framework import LARGE_BATCH, framework_ratio

DATA = Path(__file__).parent / "data" / "framework_vs_tensorrt.csv"
NORMAL_90 = 1.645
"""Standard deviations on either side that hold 90% of a normal distribution."""


def pair_logs(is_large: bool) -> list[float]:
    """Mean log ratio of every (model, device, precision) for batches of one class."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    with DATA.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (int(row["batch"]) >= LARGE_BATCH) == is_large:
                ratio = float(row["pytorch_ms"]) / float(row["tensorrt_ms"])
                groups.setdefault((row["model"], row["hardware"], row["precision"]), []).append(math.log(ratio))
    return [sum(logs) / len(logs) for logs in groups.values()]


def summary(logs: list[float]) -> tuple[float, float]:
    """Geometric mean and the 90% factor around it."""
    mean = sum(logs) / len(logs)
    deviation = math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1))
    return math.exp(mean), math.exp(NORMAL_90 * deviation)


def main() -> int:
    """Print the table; with --check compare it with what the package holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 unless the package holds these figures")
    is_checked = parser.parse_args().check
    is_same = True
    for name, batch in (("below", 1), ("from", LARGE_BATCH)):
        logs = pair_logs(batch >= LARGE_BATCH)
        ratio, spread = summary(logs)
        held = 0
        for index, log in enumerate(logs):
            other, factor = summary(logs[:index] + logs[index + 1 :])
            held += abs(log - math.log(other)) <= math.log(factor)
        print(
            f"batches {name} {LARGE_BATCH}: {ratio:.2f} times the engine's time, factor {spread:.2f},"
            f" {len(logs)} pairs, {held} of them inside the interval made without them"
        )
        stored = framework_ratio(batch)
        is_same &= abs(stored.value - ratio) < 0.01 and abs(stored.high / stored.value - spread) < 0.01
    return int(is_checked and not is_same)


if __name__ == "__main__":
    sys.exit(main())
