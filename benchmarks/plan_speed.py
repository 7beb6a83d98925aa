"""Cold start of `infc plan` on the example specs, against its imports measured in the same run (`make bench-plan`).

Prints wall and processor seconds (best of several), their ratio, and the heavy modules that the plan imported (there
must be none).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
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


def seconds_of(command: list[str], runs: int, environment: dict[str, str]) -> tuple[float, float]:
    """Best wall and processor seconds over `runs` fresh processes, after one that compiles and caches."""
    wall = processor = float("inf")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=False, cwd=ROOT, env=environment, **quiet)
    for _ in range(runs):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=False, cwd=ROOT, env=environment, **quiet)
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
    with tempfile.TemporaryDirectory() as bytecode:
        return compare(runs, {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode})


def compare(runs: int, environment: dict[str, str]) -> int:
    """The table; bytecode is compiled first, as pip does when it installs a wheel."""
    base_wall, base_cpu = seconds_of([sys.executable, "-c", BASE], runs, environment)
    print(f"{'baseline: python -c ' + BASE:<64} wall {base_wall:.3f} s  cpu {base_cpu:.3f} s")
    is_bad = False
    for spec in sorted((ROOT / "specs").rglob("*.infc.yaml")):
        command = [str(Path(sys.executable).parent / "infc"), "plan", str(spec.relative_to(ROOT))]
        wall, processor = seconds_of(command, runs, environment)
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
