"""The engine cache: `<folder>/<key>/` with the engine and `engine.json`, published atomically, verified when read."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from infc.ir.engine import BuildRequest, Engine, EngineFacts, EngineLayer
from infc.ir.engine_kind import EngineKind

FILE_NAMES: dict[EngineKind, str] = {
    "tensorrt": "model.plan",
    "tensorrt_rtx": "model.plan",
    "onnxruntime": "model.onnx",
}
STALE_S = 86_400.0
_CHUNK = 1 << 20


def read_engine(folder: Path, key: str, request: BuildRequest) -> Engine | None:
    """The engine stored under a key; None when there is none, or when its bytes are not those that were published."""
    entry = folder / key
    path = entry / FILE_NAMES[request.kind]
    try:
        stored = json.loads((entry / "engine.json").read_text())
        if stored["size_bytes"] != path.stat().st_size or stored["digest"] != file_digest(path):
            return None
        facts = _facts_from_json(stored["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Engine(
        kind=request.kind,
        path=path,
        key=key,
        digest=stored["digest"],
        size_bytes=stored["size_bytes"],
        precision=request.model.precision,
        hardware_id=request.hardware_id,
        facts=facts,
        source_digest=request.model.source_digest,
        recipe_digest=request.model.recipe_digest,
    )


def publish(folder: Path, key: str, request: BuildRequest, facts: EngineFacts, move: Callable[[Path], None]) -> Engine:
    """Store an engine under its key. `move` puts the engine file at the path it is given.

    Another process that published the same key first wins; a damaged entry is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        path = staging / FILE_NAMES[request.kind]
        move(path)
        record = {"digest": file_digest(path), "size_bytes": path.stat().st_size, "facts": _json_from_facts(facts)}
        (staging / "engine.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        if (folder / key).exists() and read_engine(folder, key, request) is None:
            shutil.rmtree(folder / key, ignore_errors=True)
        try:
            os.replace(staging, folder / key)
        except OSError:
            if read_engine(folder, key, request) is None:
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    engine = read_engine(folder, key, request)
    assert engine is not None  # noqa: S101 - published or verified above
    return engine


def sweep_stale(folder: Path, now_s: float) -> None:
    """Remove what killed builds left behind: hidden folders that nobody touched for a day."""
    for entry in folder.glob(".*-*"):
        with contextlib.suppress(OSError):
            if entry.name.startswith((".job-", ".building-")) and now_s - entry.stat().st_mtime > STALE_S:
                shutil.rmtree(entry, ignore_errors=True)


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _json_from_facts(facts: EngineFacts) -> dict[str, object]:
    return {
        "activation_bytes": facts.activation_bytes,
        "weight_bytes": facts.weight_bytes,
        "layers": [[layer.name, layer.kind, layer.dtype] for layer in facts.layers],
        "toolchain": dict(facts.toolchain),
        "settings": dict(facts.settings),
    }


def _facts_from_json(stored: dict[str, object]) -> EngineFacts:
    activation, weights, layers = stored["activation_bytes"], stored["weight_bytes"], stored["layers"]
    toolchain, settings = stored["toolchain"], stored["settings"]
    if not isinstance(layers, list) or not isinstance(toolchain, dict) or not isinstance(settings, dict):
        raise TypeError("engine.json does not hold engine facts")
    return EngineFacts(
        activation_bytes=activation if isinstance(activation, int) else None,
        weight_bytes=weights if isinstance(weights, int) else None,
        layers=tuple(EngineLayer(name=name, kind=kind, dtype=dtype) for name, kind, dtype in layers),
        toolchain=toolchain,
        settings=settings,
    )
