"""The identity of a quantisation, and the cache: `<folder>/<recipe digest>/checkpoint` with `report.json`."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.ir.engine import PassReport
from infc.lower.llm.environment import LlmCompressor
from infc.lower.llm.files import CheckpointFiles, checkpoint_files
from infc.lower.llm.settings import IGNORED, KV_CACHE_FP8, SEED, QuantizationSettings, Scheme

RECIPE_VERSION = 1
"""Raise it when the worker changes what it makes: it is part of every recipe digest."""
CHECKPOINT, REPORT = "checkpoint", "report.json"
_MODE = 0o644


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the bytes of a quantised checkpoint."""

    source_digest: str
    scheme: Scheme
    settings: QuantizationSettings
    calibration_digest: str | None
    has_fp8_cache: bool
    toolchain: Mapping[str, str]

    @property
    def has_data(self) -> bool:
        """Whether calibration data decides anything."""
        wants = self.scheme.has_gptq or self.scheme.needs_data or self.has_fp8_cache
        return self.calibration_digest is not None and wants

    @property
    def is_gptq(self) -> bool:
        """Whether rounding errors are made up for."""
        return self.scheme.has_gptq and self.has_data

    @property
    def has_cache_scales(self) -> bool:
        """Whether the scales of an FP8 KV cache are found too."""
        return self.has_fp8_cache and self.has_data

    @property
    def choices(self) -> dict[str, object]:
        """What the worker is told besides paths and limits."""
        return {
            "scheme": self.scheme.name,
            "group_size": self.scheme.group_size,
            "is_gptq": self.is_gptq,
            "smoothing": self.scheme.smoothing if self.is_gptq else None,
            "kv_cache": KV_CACHE_FP8 if self.has_cache_scales else None,
            "ignore": [{"pattern": pattern, "reason": reason} for pattern, reason in IGNORED],
            "samples": self.settings.samples if self.has_data else 0,
            "sequence_length": self.settings.sequence_length if self.has_data else 0,
            "seed": SEED,
        }

    @property
    def digest(self) -> str:
        """sha256 over all of it, the weights that it starts from included."""
        recipe = {
            "source": self.source_digest,
            "choices": self.choices,
            "calibration": self.calibration_digest if self.has_data else None,
            "toolchain": dict(self.toolchain),
            "version": RECIPE_VERSION,
        }
        return hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def recipe_of(
    source_digest: str,
    scheme: Scheme,
    settings: QuantizationSettings,
    tool: LlmCompressor,
    *,
    has_fp8_cache: bool,
    calibration_digest: str | None,
) -> Recipe:
    """The recipe of a quantisation."""
    return Recipe(
        source_digest=source_digest,
        scheme=scheme,
        settings=settings,
        calibration_digest=calibration_digest,
        has_fp8_cache=has_fp8_cache,
        toolchain=tool.toolchain,
    )


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A quantised checkpoint in the cache, and what the worker reported."""

    folder: Path
    files: CheckpointFiles
    report: PassReport


def read_quantised(folder: Path, digest: str) -> Quantised | None:
    """The stored result of a recipe; None when there is none or its files are not those that were stored."""
    entry = folder / digest
    try:
        report = json.loads((entry / REPORT).read_text(encoding="utf-8"))
        stored = dict(report["files"])
        passed = PassReport(
            name=report["pass"]["name"],
            changed=report["pass"]["changed"],
            notes=tuple(report["pass"]["notes"]),
            kept=dict(report["pass"]["kept"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    files = checkpoint_files(entry / CHECKPOINT)
    if isinstance(files, tuple) or dict(files.digests) != stored:
        return None
    return Quantised(folder=entry / CHECKPOINT, files=files, report=passed)


def publish(folder: Path, digest: str, staging: Path, files: CheckpointFiles, report: PassReport) -> Quantised:
    """Put a finished `staging` folder under its recipe digest, atomically; a damaged earlier result is replaced."""
    for path in (staging / CHECKPOINT).iterdir():
        path.chmod(_MODE)
    told = {
        "files": dict(sorted(files.digests.items())),
        "pass": {
            "name": report.name,
            "changed": report.changed,
            "notes": list(report.notes),
            "kept": dict(report.kept),
        },
    }
    (staging / REPORT).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if (folder / digest).exists() and read_quantised(folder, digest) is None:
        shutil.rmtree(folder / digest, ignore_errors=True)
    try:
        os.replace(staging, folder / digest)
    except OSError:
        if read_quantised(folder, digest) is None:
            raise
    stored = read_quantised(folder, digest)
    assert stored is not None  # noqa: S101 - written or verified above
    return stored
