"""The engine cache: `<folder>/<key>/` with the engine, `attestation.json` and `job.json`, as builders leave it.

Entries are published atomically and verified when read; a result that was copied there by hand is as good as any.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from infc.build.job_json import ATTESTATION_NAME, JOB_NAME
from infc.build.result import Result, read_result
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest, Engine

STALE_S = 86_400.0
STAGING, JOB_STAGING = ".building-", ".job-"


def read_engine(folder: Path, key: str, request: BuildRequest) -> Engine | None:
    """The engine stored under a key; None when there is none, or when it is not what its builder attested."""
    if not (folder / key / ATTESTATION_NAME).is_file():
        return None
    result = read_result(folder / key, key)
    if isinstance(result, Diagnostic) or result.attestation.engine is None or result.attestation.facts is None:
        return None
    return Engine(
        kind=request.kind,
        path=result.engine,
        key=key,
        digest=result.attestation.engine.digest,
        size_bytes=result.attestation.engine.size_bytes,
        precision=request.model.precision,
        hardware_id=request.hardware_id,
        facts=result.attestation.facts,
        source_digest=request.model.source_digest,
        recipe_digest=request.model.recipe_digest,
    )


def publish(folder: Path, result: Result) -> None:
    """Store a built result under its key; its files are moved, or copied from another file system.

    Whoever published the same key first wins; a damaged entry is replaced. Raises OSError.
    """
    key = result.job.key
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    try:
        for path in (result.engine, result.folder / JOB_NAME, result.folder / ATTESTATION_NAME):
            shutil.move(path, staging / path.name)
        staging.chmod(0o755)
        if (folder / key).exists() and isinstance(read_result(folder / key, key), Diagnostic):
            shutil.rmtree(folder / key, ignore_errors=True)
        try:
            os.replace(staging, folder / key)
        except OSError:
            if isinstance(read_result(folder / key, key), Diagnostic):
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sweep_stale(folder: Path, now_s: float) -> None:
    """Remove what killed builds left behind: hidden folders that nobody touched for a day."""
    for entry in folder.glob(".*-*"):
        with contextlib.suppress(OSError):
            if entry.name.startswith((JOB_STAGING, STAGING)) and now_s - entry.stat().st_mtime > STALE_S:
                shutil.rmtree(entry, ignore_errors=True)
