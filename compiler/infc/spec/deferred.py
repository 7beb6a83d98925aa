"""What the language holds and this version does not act on yet: said, never silently ignored.

A row goes when a later version acts on its path.
"""

from collections.abc import Iterator

from infc.diag import Severity
from infc.ir.spec import OnnxModel, Spec
from infc.spec.findings import Finding


def deferred(spec: Spec) -> Iterator[Finding]:
    """Warnings for what is checked and carried, but has no effect in this version."""
    if isinstance(spec.model, OnnxModel) and spec.model.name is not None:
        what = "`name` of an ONNX model has no effect in this version: it is served under the spec's name"
        yield _warning("model.name", what)


def _warning(path: str, message: str) -> Finding:
    return Finding(
        id="spec-no-effect",
        paths=(path,),
        severity=Severity.WARNING,
        message=message,
        help="keep it for later versions, or remove it",
        is_about_key=True,
    )
