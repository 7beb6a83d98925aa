"""Engines that were built elsewhere: found by their key, without asking any builder."""

import tempfile
from dataclasses import replace
from pathlib import Path

from infc.build.builders.job import RESULT_FOLDER
from infc.build.cache import JOB_STAGING, publish, read_engine
from infc.build.key import engine_key
from infc.build.result import read_result, take_result
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest, Engine


def finished_engine(request: BuildRequest, key: str, cache_dir: Path, jobs: Path) -> Engine | None:
    """The engine of a key that was locked earlier, from the cache or from `jobs/<key>/result`; None when it is neither.

    It must be what the request comes to with the versions, and as the kind of engine, that it was built with: the key
    says so. A result that does not hold is None too: building again is what follows.
    """
    if read_engine(cache_dir, key, request) is None and not _taken(key, cache_dir, jobs):
        return None
    stored = read_result(cache_dir / key, key)
    if isinstance(stored, Diagnostic):
        return None
    asked = replace(request, kind=stored.job.kind)
    return read_engine(cache_dir, key, asked) if engine_key(asked, stored.job.toolchain) == key else None


def _taken(key: str, cache_dir: Path, jobs: Path) -> bool:
    """Move a copy of the result beside a job into the cache; whether there was a built one."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=JOB_STAGING, dir=cache_dir) as name:
        attestation = take_result(jobs / key / RESULT_FOLDER, jobs / key, key, Path(name))
        if attestation is None or isinstance(attestation, Diagnostic) or attestation.status != "built":
            return False
        result = read_result(Path(name), key)
        if isinstance(result, Diagnostic):
            return False
        publish(cache_dir, result)
    return True
