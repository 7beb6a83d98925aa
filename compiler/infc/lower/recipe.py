"""The identity of a lowering, and the cache of results: `<folder>/<recipe digest>/model.onnx` with `report.json`."""

import hashlib
import json
import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from infc.ir.engine import LoweredModel, PassReport
from infc.ir.precision import Precision
from infc.lower.arrays import Calibration
from infc.lower.settings import LoweringSettings, relevant

TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy")
PASSES_VERSION = 6
"""Raise it when a pass changes what it makes: it is part of every recipe digest."""


def recipe_digest(
    source_digest: str, precision: Precision, settings: LoweringSettings, calibration: Calibration | None
) -> str:
    """sha256 over everything that decides the bytes: source, precision, settings, calibration data, tool versions.

    Settings that do not matter to a precision do not matter here: FP16 has one recipe for every target.
    """
    settings = relevant(settings, precision)
    recipe = {
        "source": source_digest,
        "precision": precision.value,
        "settings": {
            "dialect": settings.dialect,
            "calibration_method": settings.calibration_method,
            "is_attention_quantized": settings.is_attention_quantized,
            "remainder": settings.remainder.value,
            "kept": list(settings.kept),
        },
        "calibration": calibration.digest if calibration else None,
        "tools": {name: metadata.version(name) for name in TOOLS},
        "passes": PASSES_VERSION,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_cached(folder: Path, digest: str, source_digest: str, precision: Precision) -> LoweredModel | None:
    """The stored result of a recipe; None when there is none or its bytes are not those that were stored."""
    entry = folder / digest
    try:
        report = json.loads((entry / "report.json").read_text())
        content = hashlib.sha256((entry / "model.onnx").read_bytes()).hexdigest()
        if content != report["digest"]:
            return None
        passes = tuple(
            PassReport(name=p["name"], changed=p["changed"], notes=tuple(p["notes"]), kept=dict(p["kept"]))
            for p in report["passes"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return LoweredModel(
        path=entry / "model.onnx",
        digest=content,
        source_digest=source_digest,
        precision=precision,
        recipe_digest=digest,
        passes=passes,
    )


def store(
    folder: Path, digest: str, content: bytes, passes: tuple[PassReport, ...], source_digest: str, precision: Precision
) -> LoweredModel:
    """Publish a result under its recipe digest, atomically; a damaged earlier result is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".lowering-", dir=folder))
    try:
        (staging / "model.onnx").write_bytes(content)
        report = {
            "digest": hashlib.sha256(content).hexdigest(),
            "passes": [
                {"name": p.name, "changed": p.changed, "notes": list(p.notes), "kept": dict(p.kept)} for p in passes
            ],
        }
        (staging / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        if (folder / digest).exists() and read_cached(folder, digest, source_digest, precision) is None:
            shutil.rmtree(folder / digest, ignore_errors=True)
        try:
            os.replace(staging, folder / digest)
        except OSError:
            if read_cached(folder, digest, source_digest, precision) is None:
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    stored = read_cached(folder, digest, source_digest, precision)
    assert stored is not None  # noqa: S101 - written or verified above
    return stored
