"""YAML -> `Spec` with a source map beside it, and every problem of the text as a diagnostic."""

from infc.spec.hardware_names import check_hardware_names
from infc.spec.load import SPEC_SUFFIX, LoadedSpec, load_spec, load_spec_bytes
from infc.spec.source_map import SourceMap
from infc.spec.workspace import Workspace, find_workspace

__all__ = [
    "SPEC_SUFFIX",
    "LoadedSpec",
    "SourceMap",
    "Workspace",
    "check_hardware_names",
    "find_workspace",
    "load_spec",
    "load_spec_bytes",
]
