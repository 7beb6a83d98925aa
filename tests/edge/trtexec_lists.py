"""The lists of trtexec's options, read with the script that keeps them."""

import importlib.util
import sys
from pathlib import Path

OPTION_LISTS = Path(__file__).parents[2] / "targets" / "servers" / "jetson" / "trtexec"

_SPEC = importlib.util.spec_from_file_location("extract_options", OPTION_LISTS / "extract_options.py")
assert _SPEC is not None
assert _SPEC.loader is not None
extract_options = importlib.util.module_from_spec(_SPEC)
_WRITES_BYTECODE, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # beside the data that the package holds
_SPEC.loader.exec_module(extract_options)
sys.dont_write_bytecode = _WRITES_BYTECODE


def options_of_version(version: str) -> frozenset[str]:
    """Options that trtexec of a version of TensorRT certainly has."""
    found: frozenset[str] = extract_options.options_at(
        extract_options.read_releases(OPTION_LISTS / f"{version.split('.')[0]}.yaml"), version
    )
    return found
