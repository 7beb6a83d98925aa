"""`infc-defaults.yaml`: what every spec below a folder starts from, and what may not be a default."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infc.diag import Diagnostic
from infc.spec.document import Document
from infc.spec.merge import without_key
from infc.spec.workspace import Workspace

DEFAULTS_NAME = "infc-defaults.yaml"

_NOT_SHARED: Mapping[str, tuple[str, str]] = {
    "model": ("a model cannot be a default", "write it in each spec, or in a base that specs extend"),
    "slo": ("a promise cannot be a default", "write it in each spec, or in a base that specs extend"),
    "workload": ("traffic cannot be a default", "write it in each spec, or in a base that specs extend"),
    "metadata.name": ("a name cannot be a default", "remove it: a deployment is named by its spec, or by its file"),
    "extends": ("defaults extend nothing", "write what they share in the defaults of a folder further up"),
}


def default_places(folder: Path, workspace: Workspace) -> tuple[str, ...]:
    """Where defaults of a spec in `folder` may be, whether they are there or not: from the repository's top downwards.

    Each is relative to `folder`, such as `../../infc-defaults.yaml`. Those further down are the stronger ones.
    """
    here = Path(os.path.realpath(folder))
    if not here.is_relative_to(workspace.boundary):
        return ()
    depth = len(here.relative_to(workspace.boundary).parts)
    return tuple("../" * up + DEFAULTS_NAME for up in range(depth, -1, -1))


def as_defaults(document: Document) -> Document:
    """The document without what may not be a default, each such key with its diagnostic."""
    value = document.value
    problems = list(document.diagnostics)
    for path, (message, help) in _NOT_SHARED.items():
        rest = without_key(value, *path.split("."))
        if rest is not value:
            span = document.source.key_span(path)
            problems.append(Diagnostic(id="spec-defaults", message=message, span=span, help=help))
            value = rest
    return replace(document, value=value, diagnostics=tuple(problems))
