"""The content of a bundle for an ONNX model: `docs/edge-format.md` says what is in it and what devices do with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.build.libraries import libraries_json, refused_options
from infc.diag import Diagnostic, InternalError, Severity
from infc.emit.jetson.calibration import calibration_files
from infc.emit.jetson.compose import COMPOSE_FILE, compose_yaml
from infc.emit.jetson.deepstream import deepstream_files, no_deepstream
from infc.emit.jetson.edge_file import edge_file
from infc.emit.jetson.engines import engine_recipes
from infc.emit.jetson.install_file import install_file
from infc.emit.jetson.manifest import release_of
from infc.emit.jetson.parts import JetsonPart, shared_image
from infc.emit.jetson.systemd import unit_files
from infc.emit.jetson.triton_repository import repository_files
from infc.emit.jetson.verification import Verification
from infc.ir.edge_release import EdgeEngine, EdgeRelease
from infc.ir.spec.deploy import Jetson
from infc.ir.spec.names import name_problem


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """A release before it has a number: its content, and what the manifest says.

    `varying` are files whose bytes depend on the machine that compiled (reference outputs, in their last bits). `image`
    is the container that devices need, None where they need none.
    """

    release: EdgeRelease
    files: Mapping[str, bytes | Path]
    varying: frozenset[str]
    image: str | None


def emit_jetson(
    parts: Sequence[JetsonPart],
    jetson: Jetson,
    verification: Verification | None,
    timing: Mapping[str, Path] | None = None,
) -> tuple[Drafted | None, tuple[Diagnostic, ...]]:
    """The content of one bundle for an ONNX model; same values, same bytes, nothing of this machine in them.

    Args:
        parts: one for each kind of module, of one spec.
        jetson: the spec's options.
        verification: samples with reference outputs; None: devices do not compare outputs.
        timing: timing caches of lab builds by their name in the bundle.

    Returns:
        The content, to be `numbered`; or None with the errors that stand in the way.
    """
    name = parts[0].problem.name
    if name_problem(name) or any(part.problem.name != name for part in parts):
        raise InternalError(f"{name!r} cannot name a release")
    recipes = engine_recipes(name, parts)
    problems = (*_unbuildable(parts, recipes.of_part), *_unfed(parts[0], jetson))
    if problems:
        return None, problems
    files: dict[str, bytes | Path] = {**recipes.models, **calibration_files(recipes.models), **program_files()}
    image = None
    if jetson.runtime == "triton":
        image, served, problems = _served(parts)
        if served is None:
            return None, problems
        files |= served
    files |= deepstream_files(parts, recipes.of_part)
    files |= {f"timing/{file}": path for file, path in (timing or {}).items()}
    if verification is not None:
        files |= verification.files
    release = release_of(parts, recipes, files, jetson)
    varying = frozenset() if verification is None else verification.outputs
    return Drafted(release=release, files=dict(sorted(files.items())), varying=varying, image=image), ()


def program_files() -> dict[str, bytes]:
    """What runs on the device, the same in every bundle."""
    return {
        "install.sh": install_file(),
        "bin/edge.py": edge_file(),
        "bin/libraries.json": libraries_json(),
    }


def _served(
    parts: Sequence[JetsonPart],
) -> tuple[str | None, dict[str, bytes] | None, tuple[Diagnostic, ...]]:
    """Image and files of the server, or why one bundle cannot serve these modules."""
    image = shared_image(parts)
    majors = {part.tensorrt_major for part in parts}
    if image is None or len(majors) != 1:
        return None, None, (_no_server(parts),)
    repository, problems = repository_files(parts)
    if repository is None:
        return None, None, problems
    name = parts[0].problem.name
    return image, {**repository, COMPOSE_FILE: compose_yaml(parts, image), **unit_files(name)}, ()


def _unbuildable(parts: Sequence[JetsonPart], engines: Sequence[EdgeEngine]) -> Iterator[Diagnostic]:
    """What the TensorRT of a module cannot build: better said here than by every device."""
    for part, engine in zip(parts, engines, strict=True):
        where = f"TensorRT {part.tensorrt} of JetPack {part.jetpack.version} on {part.hardware.id}"
        for reason in refused_options("tensorrt", part.tensorrt, engine.options, part.hardware.id):
            yield Diagnostic(
                id="edge-option-refused",
                message=f"{where} cannot build the engine: {reason}",
                help="change build or deploy.jetson in the spec",
            )


def _unfed(part: JetsonPart, jetson: Jetson) -> Iterator[Diagnostic]:
    reason = no_deepstream(part.problem.model) if jetson.runtime == "deepstream" else None
    if reason is not None:
        yield Diagnostic(
            id="edge-no-deepstream",
            message=f"DeepStream cannot run {part.problem.name}: {reason}",
            help="set deploy.jetson.runtime to triton, or to none where a program of yours feeds the model",
        )


def _no_server(parts: Sequence[JetsonPart]) -> Diagnostic:
    notes = tuple(
        f"{part.hardware.name}: JetPack {part.jetpack.version} with TensorRT {part.tensorrt}, "
        + (f"image {part.jetpack.triton_image}" if part.jetpack.triton_image else "for which infc knows no image")
        for part in parts
    )
    return Diagnostic(
        id="edge-no-server",
        severity=Severity.ERROR,
        message="no one container serves all modules of the bundle",
        notes=notes,
        help="name a JetPack release that all of them have in deploy.jetson.jetpack, compile the others from a spec of "
        "their own, or set deploy.jetson.runtime to none where a program of yours loads the engine",
    )
