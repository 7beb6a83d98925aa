"""The model of a compiled bundle as an image that a cluster mounts."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic, ToolError
from infc.emit.kubernetes.oci import image_layout, write_layer
from infc.emit.manifest import read_manifest, verify_bundle
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle

_FOLDERS = ("model_repository", "model")
_WORKLOADS = ("deployment", "inferenceservice", "llminferenceservice")


@dataclass(frozen=True, kw_only=True)
class WrittenImage:
    """An image on disk: its folder, its tag there, and the digest that a registry gives it.

    `reference` is what the bundle's manifests call it, None where they do not name it by the tag.
    """

    folder: Path
    tag: str
    reference: str | None
    digest: str
    size_bytes: int


def write_model_image(bundle: Path, out: Path) -> tuple[WrittenImage | None, tuple[Diagnostic, ...]]:
    """Write the image of a bundle's model as an OCI layout to `out`; the same bundle gives the same digest.

    Returns:
        What was written, or None with what stands in the way.

    Raises:
        ToolError: the file system refuses; what was there before is unchanged.
    """
    manifest = read_manifest(bundle)
    problems = verify_bundle(bundle)
    if manifest is None or problems:
        return None, problems
    files = _model_files(bundle, manifest.files)
    if not files:
        return None, (_nothing(bundle, "it holds no model: the server fetches it from the hub"),)
    if _is_pending(bundle, files):
        return None, (_nothing(bundle, "the engine is not built yet"),)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".infc-image-", dir=out.parent) as folder:
            layer = Path(folder) / "layer.tar"
            write_layer(files, layer)
            workload = _workload(bundle)
            layout = image_layout(layer, _release(workload))
            image = Bundle(name=f"{manifest.name}-model", target=manifest.target, files=layout.files)
            problems = write_bundle(image, out)
            size_bytes = layer.stat().st_size
    except OSError as error:
        raise ToolError(f"cannot write {out}: {error.strerror or error}; what was there is unchanged") from error
    if problems:
        return None, problems
    reference = _reference(workload, layout.tag)
    written = WrittenImage(folder=out, tag=layout.tag, reference=reference, digest=layout.digest, size_bytes=size_bytes)
    return written, ()


def _model_files(bundle: Path, listed: Mapping[str, str]) -> dict[str, Path]:
    """Path inside the folder of the model -> file; a bundle has one such folder."""
    for folder in _FOLDERS:
        found = {path.removeprefix(f"{folder}/"): bundle / path for path in listed if path.startswith(f"{folder}/")}
        if found:
            return found
    return {}


def _is_pending(bundle: Path, files: Mapping[str, Path]) -> bool:
    """Whether a model repository has a model without a file to load."""
    if not (bundle / _FOLDERS[0]).is_dir():
        return not any(path.endswith((".safetensors", ".bin")) for path in files)
    configured = {path.partition("/")[0] for path in files if path.endswith("config.pbtxt")}
    loadable = {path.partition("/")[0] for path in files if "/1/" in path}
    return bool(configured - loadable)


def _workload(bundle: Path) -> str:
    """The manifest that runs the pods, as text; empty without any."""
    paths = (bundle / "kubernetes" / f"{name}.yaml" for name in _WORKLOADS)
    return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), "")


def _release(workload: str) -> str | None:
    """The digest of what is served, as the manifest says it."""
    import yaml

    manifest = yaml.safe_load(workload)
    match manifest:
        case {"metadata": {"annotations": {"infc.dev/release": str(release)}}}:  # digests.RELEASE_ANNOTATION
            return release
    return None


def _reference(workload: str, tag: str) -> str | None:
    """The image of that tag which the manifest mounts or copies."""
    found = re.search(rf"^ *(?:reference|(?:- )?image): (?P<name>[^\s@]+:{re.escape(tag)})$", workload, re.MULTILINE)
    return found["name"] if found else None


def _nothing(bundle: Path, reason: str) -> Diagnostic:
    return Diagnostic(
        id="kubernetes-model-image",
        message=f"there is no model in {bundle} to make an image of",
        notes=(reason,),
        help="compile the spec with a builder that has the device, or name the place of the model in deploy.kubernetes",
    )
