"""What the language holds and this version does not act on yet: said, never silently ignored.

A row goes when a later version acts on its path.
"""

from collections.abc import Iterator

from infc.diag import Severity
from infc.ir.spec import OnnxModel, Spec
from infc.spec.findings import Finding

_DEPLOY: tuple[tuple[str, str], ...] = (
    ("kubernetes", "`kubernetes` has no effect in this version: no Kubernetes manifests are emitted"),
    ("jetson", "no Jetson bundle is emitted in this version: of `jetson` only power_mode and reserved_memory count"),
)


def deferred(spec: Spec) -> Iterator[Finding]:
    """Warnings for what is checked and carried, but has no effect in this version."""
    if not isinstance(spec.model, OnnxModel):
        if spec.accuracy is not None:
            yield _warning("accuracy", "`accuracy` of a language model is not measured in this version")
        if spec.quantization.calibration is not None:
            yield _warning("quantization", "`quantization` has no effect on a language model in this version")
    for key, what in _DEPLOY:
        if getattr(spec.deploy, key) is not None:
            yield _warning(f"deploy.{key}", what)
    if spec.model.name is not None:
        yield _warning("model.name", "`name` has no effect in this version: the model is served under the spec's name")


def _warning(path: str, message: str) -> Finding:
    return Finding(
        id="spec-no-effect",
        paths=(path,),
        severity=Severity.WARNING,
        message=message,
        help="keep it for later versions, or remove it",
        is_about_key=True,
    )
