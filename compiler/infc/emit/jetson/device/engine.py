"""The engine of a release on this device: taken from the cache by its key, or built and put there.

`/opt/infc/engines/<key>/` holds `model.plan` and `facts.json`; a folder of that name is whole, because it is renamed
into place. What is being built lies in `.building`, the kernel times that builds share in `.timing`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 - Python 3.8

from infc.build.far.files import file_facts
from infc.build.far.machine import installed_version
from infc.build.far.onnx_file import has_dynamic_inputs, node_count
from infc.build.far.options import library_at, version_number
from infc.build.far.timing import timing_cache_path
from infc.build.far.trtexec import find_trtexec, trtexec_arguments

from .building import end_of_build, started_build
from .codes import NO_ENGINE, NOT_READY, Refusal
from .durable import is_full, read_json, remove_tree, sync_folder, write_json

PLAN_NAME, FACTS_NAME = "model.plan", "facts.json"
FACTS_FORMAT = "1.0"
_LEAST_FREE_BYTES = 16 << 20
_MIB = 1 << 20


def build_or_reuse(
    release: Path,
    manifest: dict[str, Any],
    target: dict[str, Any],
    device: dict[str, Any],
    engines: Path,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """The engine for this device: the `engine` object of acceptance.json and its `path`.

    Raises:
        Refusal: 30, the device cannot build it (TensorRT, room on the disk); 31, it did not build.
    """
    entry = engine_entry(manifest, target)
    job = job_of(entry, target, device)
    library = _library(release, str(device.get("tensorrt")))
    model = release / entry["model"]
    key = engine_key_now(release, manifest, target, device)
    known = cached_engine(engines / key)
    if known is not None:
        report(f"engine {key[:12]} is in the cache")
        return {**known, "key": key, "is_reused": True, "seconds": 0.0}
    _tell_memory(target, device, report)
    remove_tree(engines / ".building")
    (engines / ".building").mkdir(parents=True)
    work = Path(tempfile.mkdtemp(prefix=key[:12] + "-", dir=str(engines / ".building")))
    started_s = time.monotonic()
    try:
        os.symlink(str(model.resolve()), str(work / "model.onnx"))
        timing = _timing_folder(release, target, device, engines)
        answer = _built(work, job, library, timing, entry, report)
        _require_dla_share(entry, model, answer)
        seconds = round(time.monotonic() - started_s, 3)
        facts = {"tensorrt": device["tensorrt"], "l4t": device["l4t"], "module": device["module"]}
        facts.update(power_mode=target["power_mode"], model_digest=entry["model_digest"])
        facts.update(seconds=seconds, made_of=answer["facts"], format_version=FACTS_FORMAT)
        _keep(work, engines / key, facts)
    except OSError as error:
        if is_full(error):
            raise Refusal(NOT_READY, f"no room for the engine: {error.strerror}", "free space on the disk") from error
        raise
    finally:
        shutil.rmtree(str(engines / ".building"), ignore_errors=True)
    kept = cached_engine(engines / key)
    if kept is None:
        raise Refusal(NO_ENGINE, f"the engine {key[:12]} does not read back as it was written", "check the disk")
    report(f"built in {seconds:.0f} s, {kept['size_bytes'] / _MIB:.1f} MiB")
    return {**kept, "key": key, "is_reused": False, "seconds": seconds}


def engine_key_now(release: Path, manifest: dict[str, Any], target: dict[str, Any], device: dict[str, Any]) -> str:
    """The key that the engine of a release would have if it were built now. Raises Refusal 30, 31."""
    entry = engine_entry(manifest, target)
    library = _library(release, str(device.get("tensorrt")))
    arguments = key_arguments(job_of(entry, target, device), library, release / entry["model"])
    return engine_key(entry, target, device, arguments)


def engine_entry(manifest: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """The engine that a target names. Raises Refusal 31 when the manifest has none of that name."""
    for entry in manifest["engines"]:
        if entry["name"] == target["engine"]:
            return dict(entry)
    raise Refusal(NO_ENGINE, f"the manifest describes no engine {target['engine']!r}", "compile the bundle again")


def job_of(entry: dict[str, Any], target: dict[str, Any], device: dict[str, Any]) -> dict[str, Any]:
    """What the builder is asked, in the form that infc's builders share."""
    return {
        "options": entry["options"],
        "precision": entry["precision"],
        "shapes": entry["shapes"],
        "hardware_id": target["hardware_id"],
        "compute_capability": target["compute_capability"],
        "toolchain": {"tensorrt": device.get("tensorrt")},
    }


def key_arguments(job: dict[str, Any], library: dict[str, Any], model: Path) -> list[str]:
    """The tool's arguments, which say all that a build is asked; without paths of this device."""
    try:
        is_static = not has_dynamic_inputs(model)
    except ValueError as error:
        raise Refusal(NO_ENGINE, str(error), "compile the bundle again") from error
    return trtexec_arguments(job, library, "model.onnx", PLAN_NAME, "layers.json", None, is_static=is_static)


def engine_key(entry: dict[str, Any], target: dict[str, Any], device: dict[str, Any], arguments: list[str]) -> str:
    """The name under which an engine is kept: sha256 of everything that decides it."""
    content = {
        "model_digest": entry["model_digest"],
        "arguments": arguments,
        "tensorrt": device["tensorrt"],
        "l4t": device["l4t"],
        "module": device["module"],
        "power_mode": target["power_mode"],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def cached_engine(folder: Path) -> dict[str, Any] | None:
    """Path, digest and size of a kept engine; None when there is none, or it is not what was written."""
    facts = read_json(folder / FACTS_NAME)
    plan = folder / PLAN_NAME
    if facts is None or not plan.is_file():
        return None
    found = file_facts(plan)
    if (facts.get("digest"), facts.get("size_bytes")) != ("sha256:" + found["digest"], found["size_bytes"]):
        return None
    return {"digest": facts["digest"], "size_bytes": found["size_bytes"], "path": str(plan)}


def _library(release: Path, version: str) -> dict[str, Any]:
    """What infc knows of this device's TensorRT. Raises Refusal 30."""
    libraries = read_json(release / "bin" / "libraries.json") or {}
    library = library_at(libraries, "tensorrt", version)
    if library is None:
        words = f"infc does not know TensorRT {version}" if version != "None" else "TensorRT is not installed"
        raise Refusal(NOT_READY, words, "install the TensorRT of this JetPack, or compile with a newer infc")
    return library


def _tell_memory(target: dict[str, Any], device: dict[str, Any], report: Callable[[str], None]) -> None:
    """Nothing is stopped to make room: what else runs here is the operator's to judge."""
    free = device.get("available_bytes")
    if free is not None and free < 2 * target["min_memory_bytes"]:
        report(f"{free / _MIB:.0f} MiB of memory are free: if the build fails, stop what else runs and try again")


def _timing_folder(release: Path, target: dict[str, Any], device: dict[str, Any], engines: Path) -> Path:
    """Where kernel times of earlier builds are; those that the bundle brings for this TensorRT and module count too."""
    folder = engines / ".timing"
    folder.mkdir(parents=True, exist_ok=True)
    version = str(device["tensorrt"])
    for brought in sorted((release / "timing").glob("*.cache")):
        made_with, _, hardware_id = brought.stem.partition("-")
        if hardware_id == target["hardware_id"] and version_number(made_with) == version_number(version):
            for name in {version, installed_version("tensorrt") or version}:
                path = timing_cache_path(folder, "tensorrt", name)
                if not path.exists():
                    shutil.copyfile(str(brought), str(path))
    return folder


def _built(
    work: Path,
    job: dict[str, Any],
    library: dict[str, Any],
    timing: Path,
    entry: dict[str, Any],
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Build in a process of its own: the builder's facts, and `model.plan` in the folder. Raises Refusal 30, 31."""
    version = str(job["toolchain"]["tensorrt"])
    is_same = version_number(installed_version("tensorrt") or "") == version_number(version)
    tool = find_trtexec()
    if tool is None and not is_same:
        words = f"TensorRT {version} has neither its Python package nor trtexec here"
        raise Refusal(NOT_READY, words, "install libnvinfer-bin, or python3-libnvinfer")
    build = started_build(work, job, library, version, tool, timing, is_same)
    answer = end_of_build(build, float(entry["timeout_s"]), report)
    if answer["facts"] is None:
        if shutil.disk_usage(str(work)).free < _LEAST_FREE_BYTES:
            raise Refusal(NOT_READY, "no room for the engine: the disk is full", "free space on the disk")
        reasons = [*answer["parse_errors"], *answer["errors"]] or ["it said nothing"]
        more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
        words = f"TensorRT {version} did not build {entry['name']}: " + "; ".join(reasons[:3]) + more
        raise Refusal(NO_ENGINE, words, "look at the whole message in the log; free memory, or plan another precision")
    return answer


def _require_dla_share(entry: dict[str, Any], model: Path, answer: dict[str, Any]) -> None:
    """Raise Refusal 31 when more of a model runs on the GPU than its plan allows: TensorRT moves layers silently."""
    if entry["options"]["dla_core"] is None:
        return
    suffix = ": GPU instead of DLA"
    moved = [words[: -len(suffix)] for words in answer["facts"]["fallbacks"] if words.endswith(suffix)]
    moved = [name for name in moved if not name.startswith("(Unnamed Layer")]
    share = min(len(moved) / max(node_count(model), 1), 1.0)
    if share > entry["most_gpu_fallback"]:
        named = ", ".join(moved[:3]) + (", ..." if len(moved) > 3 else "")
        words = f"{100 * share:.0f}% of the operators run on the GPU instead of the accelerator ({named})"
        allowed = f"the plan allows {100 * entry['most_gpu_fallback']:.0f}%"
        raise Refusal(
            NO_ENGINE, f"{words}; {allowed}", "plan without dla, or for a JetPack whose DLA takes these layers"
        )


def _keep(work: Path, folder: Path, facts: dict[str, Any]) -> None:
    """Move a built engine into the cache, whole or not at all; a damaged one of the same key makes way."""
    plan = work / PLAN_NAME
    found = file_facts(plan)
    ready = work / "ready"
    ready.mkdir()
    os.rename(str(plan), str(ready / PLAN_NAME))
    with (ready / PLAN_NAME).open("rb") as file:
        os.fsync(file.fileno())
    facts.update(key=folder.name, digest="sha256:" + found["digest"], size_bytes=found["size_bytes"])
    write_json(ready / FACTS_NAME, facts)
    remove_tree(folder)
    os.rename(str(ready), str(folder))
    sync_folder(folder.parent)
