"""The process that holds the library: it builds in the folder that `worker.build_job` made."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from .bindings import build_in_python
from .files import UnacceptableError, read_object
from .gpu import gpu_facts
from .machine import environment, installed_version, usable_version
from .options import library_at
from .process import end_with_parent
from .trtexec import build_with_trtexec, find_trtexec

BUILT, REFUSED = 0, 3
ADDR_NO_RANDOMIZE = 0x0040000
FIXED_ADDRESSES = "INFC_WORKER_FIXED_ADDRESSES"


def inside_build(work: Path, timing_cache: Path | None) -> int:
    """Build in the folder that `build_job` made; leaves `answer.json` and, when built, `model.plan`."""
    fix_addresses()
    end_with_parent()
    if (work / "packages").exists():
        sys.path.insert(0, str((work / "packages").absolute()))
    job = read_object(work / "job.json")
    library, version = known_library(job, read_object(work / "libraries.json"))
    if installed_version(library["package"]) is None:
        answer = build_with_trtexec(str(find_trtexec()), job, library, version, timing_cache)
    else:
        answer = build_in_python(job, library, timing_cache)
    answer["environment"] = environment({library["package"]: version})
    (work / "answer.json").write_text(json.dumps(answer))
    return REFUSED if answer["facts"] is None else BUILT


def known_library(job: dict[str, Any], libraries: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What the installed version of the job's library has, and that version. Raises UnacceptableError."""
    kind = job["kind"]
    candidates = [entry for entry in libraries.get("libraries", []) if entry["kind"] == kind]
    if not candidates:
        raise UnacceptableError(f"this worker builds no {kind} engines")
    package = candidates[0]["package"]
    version = usable_version(package)
    if version is None:
        raise UnacceptableError(f"{package} is not installed here, or does not load")
    asked = job["toolchain"].get(package)
    if asked != version:
        raise UnacceptableError(f"the job needs {package} {asked}, here is {version}")
    found = library_at(libraries, kind, version)
    if found is None:
        raise UnacceptableError(f"infc does not know {package} {version}")
    local = gpu_facts().get("compute_capability")
    if not found["capabilities"] and local != job["compute_capability"]:
        here = f"this GPU has {local}" if local else "there is no NVIDIA GPU here"
        raise UnacceptableError(f"the job is for compute capability {job['compute_capability']}, {here}")
    return found, version


def fix_addresses() -> None:
    """Start this process again without address space randomisation, where Linux allows it."""
    if FIXED_ADDRESSES in os.environ or platform.system() != "Linux":
        return
    os.environ[FIXED_ADDRESSES] = "1"
    libc = ctypes.CDLL(None)
    current = libc.personality(0xFFFFFFFF)
    if current >= 0 and libc.personality(current | ADDR_NO_RANDOMIZE) >= 0:
        os.execv(sys.executable, [sys.executable, *_interpreter_options(), *sys.argv])  # noqa: S606


def _interpreter_options() -> list[str]:
    return ["-S"] if sys.flags.no_site else []
