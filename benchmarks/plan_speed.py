"""Cold start of `infc plan` on the example specs, against its imports measured in the same run (`make bench-plan`).

Prints wall and processor seconds (best of several), their ratio, and the heavy modules that the plan imported (there
must be none).
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASE = "import pydantic, yaml, click, numpy"
HEAVY = (
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "tritonclient",
    "grpc",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
    "rich",
    "jinja2",
)
LIMIT = 3.0


def seconds_of(command: list[str], runs: int) -> tuple[float, float]:
    """Best wall and processor seconds over `runs` fresh processes."""
    wall = processor = float("inf")
    for _ in range(runs):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        wall = min(wall, time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        processor = min(processor, used)
    return wall, processor


def heavy_modules(spec: Path) -> list[str]:
    """Modules of the heavy packages that planning this spec imports."""
    run = "import sys; from infc.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    show = f"print('HEAVY', *sorted({{m.split('.')[0] for m in sys.modules}} & set({HEAVY!r})))"
    out = subprocess.run(
        [sys.executable, "-c", run + show, "plan", str(spec)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
    )
    return out.stdout.rpartition("HEAVY")[2].split()


def main() -> int:
    """Print the table; 1 when a ratio is above the limit or a heavy module was imported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    base_wall, base_cpu = seconds_of([sys.executable, "-c", BASE], runs)
    print(f"{'baseline: python -c ' + BASE:<64} wall {base_wall:.3f} s  cpu {base_cpu:.3f} s")
    is_bad = False
    for spec in sorted((ROOT / "specs").rglob("*.infc.yaml")):
        command = [sys.executable, "-m", "infc", "plan", str(spec.relative_to(ROOT))]
        if not (ROOT / "compiler/infc/__main__.py").is_file():
            command = [str(Path(sys.executable).parent / "infc"), "plan", str(spec.relative_to(ROOT))]
        wall, processor = seconds_of(command, runs)
        heavy = heavy_modules(spec.relative_to(ROOT))
        ratio = wall / base_wall
        is_bad = is_bad or ratio > LIMIT or bool(heavy)
        print(
            f"infc plan {spec.name:<54} wall {wall:.3f} s  cpu {processor:.3f} s  ratio {ratio:.2f} (limit {LIMIT:.0f})"
            f"  heavy imports: {', '.join(heavy) or 'none'}"
        )
    return 1 if is_bad else 0


if __name__ == "__main__":
    sys.exit(main())
