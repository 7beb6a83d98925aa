"""Speed of `infc plan DIR` on many mixed specs: cold, warm, and with one of them changed (part of `make bench`).

The specs are the random ones of `random_specs.py`: the models of the examples and language models, on data centre and
Jetson devices, under every kind of limit, many of which cannot be met. Prints wall and processor seconds of each run;
the reports of a cold and of a warm run must be the same bytes.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from infc.pipeline.plan_many import cores
from infc.resolve.store import ProfileStore
from spec_generator import CALIBRATION, onnx_choices, random_specs, write_spec

ROOT = Path(__file__).parent.parent
PROFILES = ROOT / "specs" / "infc-profiles"
CHECKPOINTS = ROOT / "benchmarks" / "data" / "llm_configs"


def write_workspace(folder: Path, count: int, seed: int, llm_share: float) -> list[Path]:
    """Specs with stored profiles; models stand as empty files whose digests are known, as after an analysis."""
    (folder / ".git").mkdir()
    shutil.copytree(PROFILES, folder / "infc-profiles")
    (folder / CALIBRATION).touch()
    models = onnx_choices(PROFILES)
    store = ProfileStore(root=folder, cache=folder / ".infc")
    for model in models:
        path = folder / model.file
        path.touch()
        store.remember_digest(path, (path,), model.digest)
    checkpoints = []
    if CHECKPOINTS.is_dir():
        shutil.copytree(CHECKPOINTS, folder / CHECKPOINTS.name)
        checkpoints = sorted(f"{CHECKPOINTS.name}/{each.name}" for each in CHECKPOINTS.glob("*/"))
    return [write_spec(spec, folder) for spec in random_specs(count, seed, models, checkpoints, llm_share)]


def timed_plan(folder: Path) -> tuple[str, float, float]:
    """The report in JSON, wall seconds, processor seconds of all processes."""
    command = [sys.executable, "-c", "from infc.cli import main; main()", "plan", ".", "--format", "json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the table; 1 when a warm run says something else than the cold one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--llm-share", type=float, default=0.1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="infc-plan-many-") as name:
        folder = Path(name)
        specs = write_workspace(folder, arguments.count, arguments.seed, arguments.llm_share)
        print(f"{len(specs)} specs, {cores()} cores, load of the machine before the run {os.getloadavg()[0]:.1f}")
        cold, *seconds = timed_plan(folder)
        show("cold", *seconds)
        statuses = Counter(entry["status"] for entry in json.loads(cold)["specs"])
        print("  " + ", ".join(f"{count} {status}" for status, count in statuses.most_common()), flush=True)
        warm, *seconds = timed_plan(folder)
        show("warm", *seconds)
        first = next(path for path in specs if "onnx" in path.read_text(encoding="utf-8"))
        first.write_text(first.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        changed, *seconds = timed_plan(folder)
        show("one spec changed", *seconds)
    is_same = cold == warm == changed
    print(f"reports of the three runs are {'the same bytes' if is_same else 'DIFFERENT'}")
    return 0 if is_same else 1


def show(name: str, wall: float, processor: float) -> None:
    """One line of the table."""
    print(f"{name:<18} wall {wall:8.2f} s   processor {processor:8.2f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
