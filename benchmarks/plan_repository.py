"""Speed of `infc plan DIR --base main` in a repository of 300 specs after a one-line change (part of `make bench`).

The specs are the examples of this repository, varied in name and rate, with the examples' models and data, one lock
and a git history. A fresh clone has no cache, as in CI (cold); then the same again (warm), and without --base for
comparison. Prints wall and processor seconds of whole processes, the lowest and the median of a few runs.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infc.pipeline.plan_many import cores

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "specs"
ONNX = ("fashion-mnist", "minilm", "magika", "efficientnet-lite0", "dock-camera")
LLM = ("tiny-llama", "qwen3-8b")
LLM_EVERY = 15
"""One spec in so many serves a language model."""
INFC = (sys.executable, "-c", "from infc.cli import main; main()")
_RATE = re.compile(r"^(\s+(?:rate|peak): )(\d+)(/s|/min)", re.MULTILINE)
_NAME = re.compile(r"metadata: \{name: [\w-]+")


def write_repository(folder: Path, count: int) -> list[Path]:
    """Specs of a few teams, models and data beside them."""
    for name in (*ONNX, *LLM):
        if name == "dock-camera":  # it serves another example's model
            continue
        shutil.copytree(
            EXAMPLES / name, folder / "models" / name, ignore=shutil.ignore_patterns("*.infc.yaml", ".infc")
        )
    shutil.copytree(EXAMPLES / "infc-profiles", folder / "infc-profiles")
    (folder / ".gitignore").write_text(".infc/\ndist/\n", encoding="utf-8")
    specs = []
    for number in range(count):
        kinds = LLM if number % LLM_EVERY == LLM_EVERY - 1 else ONNX
        example = kinds[number % len(kinds)]
        path = folder / "teams" / f"team-{number % 12:02d}" / f"{example}-{number:03d}.infc.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(varied(example, number), encoding="utf-8")
        specs.append(path)
    return specs


def varied(example: str, number: int) -> str:
    """The text of an example with another name and other rates, its files named from a team's folder."""
    text = (EXAMPLES / example / f"{example}.infc.yaml").read_text(encoding="utf-8")
    text = _NAME.sub(f"metadata: {{name: {example}-{number:03d}", text)
    scale = 0.4 + number % 50 / 84
    text = _RATE.sub(lambda found: f"{found[1]}{max(1, round(int(found[2]) * scale))}{found[3]}", text)
    for other in (*ONNX, *LLM):  # the dock camera serves another example's model
        text = text.replace(f"../{other}/", f"../../models/{other}/")
    for file in sorted((EXAMPLES / example).iterdir()):
        if not file.name.endswith(".infc.yaml"):
            text = re.sub(
                rf"(?<=[:\s]){re.escape(file.name)}(?=[\s,}}]|$)", f"../../models/{example}/{file.name}", text
            )
    return text


def run(command: Sequence[str], folder: Path) -> str:
    """What a command prints; it must succeed."""
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def git(folder: Path, *arguments: str) -> str:
    """git, as somebody."""
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "init.defaultBranch=main")
    return run(["git", *who, *arguments], folder)


def timed(folder: Path, *arguments: str) -> tuple[str, float, float]:
    """What `infc plan teams` says, wall seconds, processor seconds of all its processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*INFC, "plan", "teams", *arguments], cwd=folder, check=False, stdout=subprocess.PIPE, text=True
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 2):
        raise SystemExit(f"infc plan failed with exit code {done.returncode}")
    return done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(label: str, prepare: Callable[[], Path], runs: int, *arguments: str) -> str:
    """Time a plan in a folder that is prepared anew for every run; print the figures, return the report."""
    walls, processors, shown = [], [], ""
    for _ in range(runs):
        shown, wall, processor = timed(prepare(), *arguments)
        walls.append(wall)
        processors.append(processor)
    print(
        f"  {label:<34} {min(walls):6.2f} s {statistics.median(walls):6.2f} s   {statistics.median(processors):6.2f} s",
        flush=True,
    )
    return shown


def main() -> int:
    """Print the table; 1 when a warm run says something else than a cold one, or the change is not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="Make the repository here and leave it.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="infc-plan-repository-") as name:
        top = arguments.keep or Path(name)
        origin = top / "origin"
        if not origin.exists():
            origin.mkdir(parents=True)
            print(f"writing and locking {arguments.count} specs ...", flush=True)
            write_repository(origin, arguments.count)
            git(origin, "init", "--quiet")
            run([*INFC, "lock"], origin)
            git(origin, "add", "--all")
            git(origin, "commit", "--quiet", "--message", "all specs")
        return compare(top, origin, arguments.runs)


def compare(top: Path, origin: Path, runs: int) -> int:
    """Time the plans of a clone with one changed line."""
    clone = top / "clone"

    def fresh() -> Path:
        shutil.rmtree(clone, ignore_errors=True)
        git(top, "clone", "--quiet", str(origin), str(clone))
        git(clone, "checkout", "--quiet", "-b", "feature")
        spec = next(iter(sorted((clone / "teams").glob("*/minilm-*.infc.yaml"))))
        text = spec.read_text(encoding="utf-8")
        spec.write_text(_RATE.sub(lambda found: f"{found[1]}{int(found[2]) * 3}{found[3]}", text), encoding="utf-8")
        git(clone, "commit", "--quiet", "--all", "--message", "more traffic")
        return clone

    count = len(list((origin / "teams").glob("*/*.infc.yaml")))
    print(f"{count} specs, {cores()} cores, load of the machine before the run {os.getloadavg()[0]:.1f}")
    print(f"  {'one line changed':<34} {'lowest':>8} {'median':>8}   {'processor':>8}")
    cold = measure("--base origin/main, fresh clone", fresh, runs, "--base", "origin/main")
    warm = measure("--base origin/main, again", lambda: clone, runs, "--base", "origin/main")
    measure("the same, --format json", fresh, runs, "--base", "origin/main", "--format", "json")
    measure("against infc.lock, nothing cached", fresh, 1)
    measure("against infc.lock, again", lambda: clone, runs)
    print("\n".join(cold.splitlines()[:3]))
    if cold != warm:
        print("a warm plan differs from a cold one")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
