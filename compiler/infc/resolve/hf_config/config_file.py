"""Reading a config.json safely: its size, its syntax, and the outline that makes it a language model's."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from infc.diag import Diagnostic

MAX_CONFIG_BYTES = 8 * 2**20
"""Real ones have 1 to 300 kB; the longest list every quantised module."""
QUANTIZATION_FILE = "hf_quant_config.json"
"""Where NVIDIA ModelOpt says how a checkpoint is quantised when config.json does not."""

Config = Mapping[str, object]


def read_config(path: Path) -> tuple[Config | None, tuple[Diagnostic, ...]]:
    """The object that `path` holds: a config.json, or a checkpoint's folder with one in it.

    What `hf_quant_config.json` beside it says stands under `quantization_config`.
    """
    file = path / "config.json" if path.is_dir() else path
    config, problem = _read_object(file)
    if config is None or problem is not None:
        return None, () if problem is None else (problem,)
    beside = file.with_name(QUANTIZATION_FILE)
    if "quantization_config" not in config and beside.is_file():
        extra, problem = _read_object(beside)
        if extra is None or problem is not None:
            return None, () if problem is None else (problem,)
        quantization = extra.get("quantization")
        if isinstance(quantization, dict):
            config = {**config, "quantization_config": {"quant_method": "modelopt", "quantization": quantization}}
    return config, ()


def config_digest(config: Config) -> str:
    """The sha256 of the config with sorted keys and no white space: how it was laid out does not matter.

    >>> config_digest({"a": 1, "b": [2]}) == config_digest({"b": [2], "a": 1})
    True
    """
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_object(file: Path) -> tuple[Config | None, Diagnostic | None]:
    try:
        if not file.is_file():
            return None, _missing(file, "no such file")
        with file.open("rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        return None, _missing(file, error.strerror or "it cannot be read")
    if len(data) > MAX_CONFIG_BYTES:
        return None, unreadable(file, f"it has more than {MAX_CONFIG_BYTES // 2**20} MiB; no model's config does")
    if data.startswith(b"version https://git-lfs"):
        return None, unreadable(file, "it is a Git LFS pointer; run git lfs pull")
    try:
        # Real configs hold Infinity (time_step_limit of Nemotron-H); as a text it is no number where one is needed.
        value = json.loads(data.decode("utf-8-sig"), parse_constant=str)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return None, unreadable(file, reason[:200])
    if not isinstance(value, dict):
        return None, unreadable(file, "it holds no object")
    return value, None


def _missing(file: Path, reason: str) -> Diagnostic:
    return Diagnostic(
        id="model-missing",
        message=f"model config {file.name} cannot be read: {reason.lower()}",
        notes=(f"looked for {file}",),
        help="give the checkpoint's config.json or its folder (a plan alone needs only the stored profile)",
    )


def unreadable(file: Path, reason: str) -> Diagnostic:
    """The diagnostic for a file that is no config at all."""
    return Diagnostic(
        id="config-unreadable",
        message=f"{file.name} is not a model config",
        notes=(reason,),
        help="fetch config.json of the model again; it is a JSON object of about 1 kB",
    )
