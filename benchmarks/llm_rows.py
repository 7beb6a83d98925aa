"""Writes data/llm_servers.csv from a table of collected public measurements (its path is the argument).

Kept are closed-loop runs of a language-model server with mean TTFT and TPOT: InferenceX (SemiAnalysis) and NVIDIA's gap
analysis, both as redistributed with aiconfigurator-core 0.12.0 (Apache-2.0). Left out are runs that the planner cannot
ask for (attention data parallelism), whose device count is not sure, or that no device could do without speculation;
runs that the table holds twice are kept once.
"""

import csv
import sys
from pathlib import Path

from infc.resolve.targets.hardware import hardware_id_from_name

OUT = Path(__file__).with_name("data") / "llm_servers.csv"
COLUMNS = (
    "model",
    "hardware",
    "precision",
    "devices",
    "engine",
    "version",
    "prompt_tokens",
    "output_tokens",
    "concurrency",
    "ttft_ms",
    "tpot_ms",
    "expert_parallel",
    "source",
)


def is_kept(row: dict[str, str]) -> bool:
    """Whether a run is one that a plan could describe."""
    return (
        row["scenario"] == "closed-loop concurrency"
        and bool(row["ttft_ms"])
        and bool(row["tpot_ms"])
        and row["sanity"] == "ok"
        and not row["quality_flag"]
    )


def converted(row: dict[str, str]) -> dict[str, object]:
    """One run in our names and units."""
    engine, _, version = row["engine"].partition(" ")
    source, _, layout = row["notes"].partition("; ")
    expert_parallel = layout.rpartition("moe_ep=")[2] or "1"
    return {
        "model": row["model"],
        "hardware": hardware_id_from_name(row["hw"]),
        "precision": row["precision"],
        "devices": int(float(row["n_gpu"])),
        "engine": engine,
        "version": version or row["version_or_date"],
        "prompt_tokens": int(float(row["isl"])),
        "output_tokens": int(float(row["osl"])),
        "concurrency": int(float(row["concurrency_or_batch"])),
        "ttft_ms": f"{float(row['ttft_ms']):.5g}",
        "tpot_ms": f"{float(row['tpot_ms']):.5g}",
        "expert_parallel": expert_parallel,
        "source": "InferenceX" if source == "InferenceX" else "gap-analysis",
    }


def main() -> None:
    """Convert the table."""
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        every = [converted(row) for row in csv.DictReader(file) if is_kept(row)]
    rows = list({tuple(row.items()): row for row in every}.values())
    rows.sort(key=lambda row: [str(row[name]).zfill(12) for name in COLUMNS])
    with OUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
