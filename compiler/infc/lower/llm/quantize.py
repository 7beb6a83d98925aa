"""Running llm-compressor on a checkpoint, in a process of its own, and taking over what it made."""

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from infc.diag import Diagnostic, Severity
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower.llm.environment import LlmCompressor, worker_environment
from infc.lower.llm.files import CONFIG, INDEX, WEIGHTS, checkpoint_files
from infc.lower.llm.recipe import CHECKPOINT, Quantised, Recipe, publish, read_quantised
from infc.lower.llm.settings import TIMEOUT_S
from infc.resolve.process import Ended, Processes

WORKER = Path(__file__).with_name("quantize_worker.py")
"""Runs in another environment; never imported, because it takes over standard output."""
STAGING = ".quantising-"
FEWEST_TEXTS = 8
"""Fewer say little of what the model is asked."""
_ALARM = -14
_SHOWN_LINES = 3


def quantised(
    source: Path,
    precision: Precision,
    recipe: Recipe,
    tool: LlmCompressor,
    folder: Path,
    progress: Callable[[str], None],
) -> Quantised | Diagnostic:
    """The checkpoint in `source` by this recipe: from the cache `folder` when it was made before, else made now.

    A run that is killed leaves nothing under the recipe's digest. Raises ToolError when the worker does not start.
    """
    cached = read_quantised(folder, recipe.digest)
    if cached is not None:
        return cached
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    try:
        ended = _run(source, recipe, tool, staging, progress)
        if ended.exit_code != 0:
            return _failed(precision, ended, recipe)
        report = _report(staging, recipe)
        _complete(source, staging)
        files = checkpoint_files(staging / CHECKPOINT)
        if isinstance(files, tuple):
            return files[0]
        return publish(folder, recipe.digest, staging, files, report)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what runs left that were killed: older than any run may last."""
    for left in folder.glob(f"{STAGING}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 2 * TIMEOUT_S:
                shutil.rmtree(left, ignore_errors=True)


def calibration_digest(path: Path) -> str | Diagnostic:
    """sha256 of a calibration file whose rows are all texts; what is wrong with it else."""
    texts = 0
    try:
        content = path.read_bytes()
        for number, line in enumerate(content.decode("utf-8").split("\n"), start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"].strip():
                return _no_text(path, f"line {number} has no text")
            texts += 1
    except OSError as error:
        return _no_text(path, f"it cannot be read: {error.strerror}")
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return _no_text(path, "it is not one JSON object a line, in UTF-8")
    if texts < FEWEST_TEXTS:
        return _no_text(path, f"it has {texts} texts, at least {FEWEST_TEXTS} are needed")
    return hashlib.sha256(content).hexdigest()


def _run(source: Path, recipe: Recipe, tool: LlmCompressor, staging: Path, progress: Callable[[str], None]) -> Ended:
    calibration = recipe.settings.calibration if recipe.has_data else None
    job = {
        **recipe.choices,
        "model": str(source.absolute()),
        "calibration": None if calibration is None else str(calibration.absolute()),
        "timeout_s": recipe.settings.timeout_s,
    }
    (staging / "job.json").write_text(json.dumps(job, indent=1) + "\n", encoding="utf-8")
    command = [str(tool.python), "-I", str(WORKER), str(staging.absolute())]
    return Processes().run(command, progress, worker_environment())


def _report(staging: Path, recipe: Recipe) -> PassReport:
    result = json.loads((staging / "result.json").read_text(encoding="utf-8"))
    return PassReport(
        name=f"quantise-{recipe.scheme.name.lower().replace('_', '-')}",
        changed=int(result["changed"]),
        notes=(*_notes(recipe, int(result["samples"])), *map(str, result["notes"])),
        kept={str(name): str(reason) for name, reason in sorted(result["kept"].items())},
    )


def _notes(recipe: Recipe, samples: int) -> Iterator[str]:
    scheme = recipe.scheme
    group = f", one scale for {scheme.group_size} weights" if scheme.group_size else ""
    if recipe.is_gptq:
        yield f"{scheme.name} by GPTQ on {samples} texts{group}"
    elif scheme.needs_data:
        yield f"{scheme.name} with the scales of activations from {samples} texts{group}"
    else:
        yield f"{scheme.name}, weights rounded to nearest{group}"
    if recipe.has_cache_scales:
        yield f"scales of the FP8 KV cache from {samples} texts"
    elif recipe.has_fp8_cache:
        yield "the FP8 KV cache has no scales of its own: without calibration data vLLM takes 1.0"


def _complete(source: Path, staging: Path) -> None:
    """Take everything but weights and config byte for byte from the source; remove what no server reads."""
    target = staging / CHECKPOINT
    made = {path.name for path in target.iterdir() if path.name in (CONFIG, INDEX) or path.name.endswith(WEIGHTS)}
    for path in target.iterdir():
        if path.name not in made:
            path.unlink()
    config = json.loads((target / CONFIG).read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    (target / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    files = checkpoint_files(source, boundary=source.parent.parent)
    assert not isinstance(files, tuple)  # noqa: S101 - it was read before
    for name in files.digests:
        if name not in (CONFIG, INDEX) and not name.endswith(WEIGHTS):
            shutil.copyfile(source / name, target / name)


def _failed(precision: Precision, ended: Ended, recipe: Recipe) -> Diagnostic:
    if ended.exit_code == _ALARM:
        return Diagnostic(
            id="quantise-failed",
            message=f"quantising to {precision.value} took longer than {recipe.settings.timeout_s} s and was ended",
            help="quantise on a faster machine, or with fewer quantization.samples",
        )
    said = tuple(line for line in ended.last_lines if line.strip())[-_SHOWN_LINES:]
    killed = f" (signal {-ended.exit_code}: out of memory?)" if ended.exit_code < 0 else ""
    return Diagnostic(
        id="quantise-failed",
        message=f"llm-compressor could not quantise the checkpoint to {precision.value}{killed}",
        notes=said,
        help="allow another precision in constraints.precision, or name a checkpoint that is quantised already",
    )


def _no_text(path: Path, reason: str) -> Diagnostic:
    return Diagnostic(
        id="quantise-data",
        severity=Severity.ERROR,
        message=f"calibration data {path.name}: {reason}",
        help='write one row a line: {"text": "..."}, a few hundred texts like those that the model is asked',
    )
