"""What a bundle was made from: the files that a spec's text came from and those that it names."""

import os
from pathlib import Path

from infc.emit.manifest import content_digest
from infc.emit.supply.provenance import Dependency
from infc.ir.spec import OnnxModel
from infc.spec import LoadedSpec


def dependencies_of(loaded: LoadedSpec) -> tuple[Dependency, ...]:
    """What a release was made from, by digest; files that are not here are left out."""
    spec = loaded.spec
    assert spec is not None  # noqa: S101 - only valid specs are compiled
    named = [spec.model.onnx] if isinstance(spec.model, OnnxModel) else []
    named += [spec.accuracy.dataset] if spec.accuracy is not None else []
    named += [spec.quantization.calibration] if spec.quantization.calibration is not None else []
    root = loaded.workspace.root
    texts = {Path(os.path.relpath(os.path.realpath(path), root)).as_posix(): path for path in loaded.files}
    found = {**texts, **{name: loaded.file(name) for name in named}}
    return tuple(Dependency(name=name, digest=content_digest(path)) for name, path in found.items() if path.is_file())
