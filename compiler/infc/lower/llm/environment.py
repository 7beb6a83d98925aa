"""The Python environment that has llm-compressor: torch is heavy, so it is never among infc's own packages."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from infc.diag import ToolError

VARIABLE = "INFC_LLMCOMPRESSOR"
"""Environment variable that names the Python with llm-compressor."""
TOOLS = ("llmcompressor", "compressed-tensors", "transformers", "torch")
"""What decides the bytes of a quantised checkpoint."""
_ASK_TIMEOUT_S = 60.0
_ASK = (
    "import importlib.metadata as m, json, sys\n"
    "has = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}\n"
    "print(json.dumps({name: has.get(name) for name in sys.argv[1:]}))"
)
_HELP = (
    "install it in an environment of its own (python3 -m venv quantise-env; quantise-env/bin/pip install"
    f" 'infc[llmcompressor]') and set {VARIABLE} to its python; a CPU build of torch is enough for small models"
)


@dataclass(frozen=True, kw_only=True)
class LlmCompressor:
    """The Python that has llm-compressor, and the versions of what quantises."""

    python: Path
    toolchain: Mapping[str, str]


def find_llmcompressor() -> LlmCompressor:
    """`INFC_LLMCOMPRESSOR`, else infc's own environment.

    Raises:
        ToolError: neither has llm-compressor.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        if not _is_here():
            raise ToolError("llm-compressor is not installed here", help=_HELP)
        return LlmCompressor(python=Path(sys.executable), toolchain={name: metadata.version(name) for name in TOOLS})
    python = Path(named).absolute()
    if not python.is_file() or not os.access(python, os.X_OK):
        raise ToolError(
            f"{VARIABLE} names {named}, which is not an executable file",
            help=f"set {VARIABLE} to the python of the environment that has llm-compressor",
        )
    return LlmCompressor(python=python, toolchain=_versions(python))


def worker_environment() -> dict[str, str]:
    """The environment of a worker: the models are here, so no library asks the network.

    Threads that wait sleep: spinning, as OpenMP does by default, makes a shared machine many times slower.
    """
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    calm = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    return {**calm, **offline, "TOKENIZERS_PARALLELISM": "false", "PYTHONUTF8": "1"}


def _is_here() -> bool:
    try:
        return all(metadata.version(name) for name in TOOLS)
    except metadata.PackageNotFoundError:
        return False


def _versions(python: Path) -> dict[str, str]:
    try:
        asked = subprocess.run(
            [str(python), "-I", "-c", _ASK, *TOOLS], capture_output=True, check=True, timeout=_ASK_TIMEOUT_S
        )
        found = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ToolError(f"{python} is not a Python that runs", help=_HELP) from error
    missing = [name for name in TOOLS if not found.get(name)]
    if missing:
        raise ToolError(f"{python} lacks {', '.join(missing)}", help=_HELP)
    return {name: str(found[name]) for name in TOOLS}
