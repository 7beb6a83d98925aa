"""From settled plans for Jetson modules to one release: samples, content, number, archive.

The archive is packed beside the caches, `.infc/archives/`, and from there copied into the output folder with everything
else, in one step.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build.cache import STALE_S
from infc.build.edge_release_json import RELEASE_VERSION
from infc.build.libraries import LIBRARIES
from infc.diag import Diagnostic, Severity, ToolError
from infc.emit.jetson.archive import pack
from infc.emit.jetson.delta import sums_of_archive
from infc.emit.jetson.emit import Drafted, emit_jetson
from infc.emit.jetson.inspection import absent_text
from infc.emit.jetson.numbered import Numbered, PriorRelease, delta_from, numbered
from infc.emit.jetson.ota import KINDS, companions, wrapped_path
from infc.emit.jetson.parts import JetsonPart
from infc.emit.jetson.readme import readme
from infc.emit.jetson.sbom import models_of
from infc.emit.jetson.sums import SUMS_NAME
from infc.emit.jetson.verification import Verification, verification
from infc.emit.manifest import content_digest
from infc.emit.supply.provenance import build_time
from infc.emit.supply.sbom import BundledModel, Metric
from infc.ir.bundle import Bundle
from infc.ir.engine import DeviceEngine
from infc.ir.jetson import JetPack
from infc.ir.spec import OnnxModel
from infc.ir.spec.deploy import Jetson
from infc.lock import Lock
from infc.lock.values import LockedRelease
from infc.pipeline.dependencies import dependencies_of
from infc.pipeline.edge_bundle import read_edge_bundle
from infc.pipeline.plan import spec_path_in_workspace
from infc.pipeline.settled import SettledOnnx
from infc.pipeline.workshop import Announce, ProgressBar
from infc.spec import LoadedSpec

SEVERAL = "jetson"
"""What the target of a bundle for several modules is called."""


@dataclass(frozen=True, kw_only=True)
class ReleaseSource:
    """What a release is made with, besides the plans: the spec, what is locked, an older archive for a delta."""

    loaded: LoadedSpec
    lock: Lock
    delta_base: Path | None
    announce: Announce
    progress: ProgressBar

    @property
    def jetson(self) -> Jetson:
        """The spec's options."""
        assert self.loaded.spec is not None  # noqa: S101 - only valid specs are compiled
        return self.loaded.spec.deploy.jetson or Jetson()

    @property
    def spec(self) -> str:
        """The spec's path in its workspace."""
        return spec_path_in_workspace(self.loaded)

    def prior(self, hardware_id: str | None = None) -> PriorRelease | None:
        """The latest release that the lock holds of this spec, or of this spec on one kind of module."""
        entries = [e for e in self.lock.of_spec(self.spec) if hardware_id in (None, e.choice.hardware)]
        locked = [entry.release for entry in entries if entry.release is not None]
        latest = max(locked, key=lambda release: [int(part) for part in release.version.split(".")], default=None)
        return None if latest is None else PriorRelease(version=latest.version, repeats=latest.repeats)


@dataclass(frozen=True, kw_only=True)
class JetsonRelease:
    """A release as it goes to disk: `bundle` is the output folder, `locked` what the lock says of it.

    `digests` are of the files whose bytes repeat: those in the archive, and those beside it. `sums` are the lists of
    digests in the archives of `bundle`, by name.
    """

    numbered: Numbered
    bundle: Bundle
    locked: LockedRelease
    digests: Mapping[str, str]
    sums: Mapping[str, bytes | Path]


def jetson_release(
    settled: Sequence[SettledOnnx], source: ReleaseSource, plan_json: bytes
) -> tuple[JetsonRelease | None, tuple[Diagnostic, ...]]:
    """One release for all of these modules, or what stands in the way.

    Raises:
        ToolError: an older archive that a delta was asked from cannot be read; the file system refuses.
    """
    parts, problems = _parts(settled)
    if problems:
        return None, problems
    checked, warnings = _verification(parts, source)
    drafted, problems = emit_jetson(parts, source.jetson, checked, _timing_caches(parts, source.loaded))
    if drafted is None:
        return None, (*warnings, *problems)
    full, raised = numbered(
        drafted.release,
        drafted.files,
        varying=drafted.varying,
        wanted=source.jetson.version,
        prior=source.prior(),
        models=_models(drafted, settled, source.loaded),
        image=drafted.image,
        spec=source.spec,
        dependencies=dependencies_of(source.loaded),
        timestamp=build_time(os.environ),
    )
    page = readme(full, parts, source.jetson, drafted.image)
    release = packed_release(full, source, {"README.md": page, "plan.json": plan_json})
    return release, (*warnings, *problems, *raised)


def packed_release(full: Numbered, source: ReleaseSource, beside: Mapping[str, bytes]) -> JetsonRelease:
    """Pack a release, and its delta where one is asked for; `beside` are files that lie beside the archive."""
    delta = None if source.delta_base is None else _delta(full, source.delta_base)
    beside = {**beside, **companions(source.jetson.ota)}
    files: dict[str, bytes | Path] = dict(beside)
    packed = (full,) if delta is None else (full, delta)
    for each in packed:
        left_out = each.release.delta
        less = f", without {absent_text(left_out)} that release {left_out.base_version} holds" if left_out else ""
        source.announce(f"packing {each.archive}{less}")
        files[each.archive] = _packed(each, source.loaded.workspace.cache / "archives")
    targets = [target.hardware_id for target in full.release.targets]
    bundle = Bundle(
        name=full.release.name,
        target=targets[0] if len(targets) == 1 else SEVERAL,
        files=dict(sorted(files.items())),
    )
    digests = {**full.digests, **{path: content_digest(content) for path, content in beside.items()}}
    release = full.release
    return JetsonRelease(
        numbered=full,
        bundle=bundle,
        locked=LockedRelease(version=release.version, content=release.content_digest, repeats=full.repeats),
        digests=dict(sorted(digests.items())),
        sums={each.archive: each.files[SUMS_NAME] for each in packed},
    )


def with_signatures(release: JetsonRelease, folder: Path) -> Bundle:
    """The bundle with the archives that are in its output folder already, signed, where they hold the same.

    A compile that changes nothing thus leaves signatures, and what was wrapped with them, where they are.
    """
    files = dict(release.bundle.files)
    for name, sums in release.sums.items():
        there = folder / name
        if there.is_file() and _sums_of(there) == sums:
            files[name] = there
            wrapped = [wrapped_path(kind, there) for kind in KINDS]
            files |= {path.name: path for path in wrapped if path.is_file()}
    return replace(release.bundle, files=dict(sorted(files.items())))


def _sums_of(archive: Path) -> bytes | None:
    """What the archive lists; None where it cannot be read: then it is written anew."""
    try:
        return sums_of_archive(archive)
    except ToolError:
        return None


def _parts(settled: Sequence[SettledOnnx]) -> tuple[tuple[JetsonPart, ...], tuple[Diagnostic, ...]]:
    parts, problems = [], []
    for each in settled:
        setup = each.problem.jetson_of(each.plan.candidate.hardware_id)
        assert isinstance(each.engine, DeviceEngine)  # noqa: S101 - what settling makes of an engine for a Jetson
        if setup is None or setup.jetpack is None or setup.module is None or setup.tensorrt is None:
            problems.append(unknown_module(each.plan.candidate.hardware_id))
            continue
        if LIBRARIES["tensorrt"].at(setup.tensorrt) is None:
            problems.append(unbuilt_tensorrt(setup.module.hardware_id, setup.jetpack, setup.tensorrt))
            continue
        parts.append(
            JetsonPart(
                problem=each.problem,
                plan=each.plan,
                lowered=each.lowered,
                engine=each.engine,
                jetpack=setup.jetpack,
                module=setup.module,
                tensorrt=setup.tensorrt,
            )
        )
    return tuple(parts), tuple(problems)


def unknown_module(hardware_id: str) -> Diagnostic:
    """The error that there is no data on a module of the user's own."""
    return Diagnostic(
        id="edge-module-unknown",
        severity=Severity.ERROR,
        message=f"infc does not know how {hardware_id} names itself, nor which JetPack runs on it",
        notes=("a device checks that it is the module that a release was made for",),
        help="compile for a module of `infc targets list --kind jetson`",
    )


def unbuilt_tensorrt(hardware_id: str, jetpack: JetPack, tensorrt: str) -> Diagnostic:
    """The error that infc builds no engine with the TensorRT of a module's JetPack release."""
    return Diagnostic(
        id="edge-tensorrt-unknown",
        severity=Severity.ERROR,
        message=f"infc builds no engine with TensorRT {tensorrt}, which {hardware_id} has on JetPack {jetpack.version}",
        notes=("the precision of a network is in the network itself, which TensorRT reads so from 10 on",),
        help="name a JetPack release from 6.1 on in deploy.jetson.jetpack; a Xavier module has none",
    )


def _verification(
    parts: Sequence[JetsonPart], source: ReleaseSource
) -> tuple[Verification | None, tuple[Diagnostic, ...]]:
    spec = source.loaded.spec
    assert spec is not None  # noqa: S101 - only valid specs are compiled
    assert isinstance(spec.model, OnnxModel)  # noqa: S101 - their engines are of ONNX models
    dataset = None if spec.accuracy is None else source.loaded.file(spec.accuracy.dataset)
    source.announce("running the reference for the outputs that devices compare with")
    lowered = [part.lowered for part in parts]
    return verification(
        source.loaded.file(spec.model.onnx), lowered, parts[0].problem, dataset, progress=source.progress
    )


def _timing_caches(parts: Sequence[JetsonPart], loaded: LoadedSpec) -> dict[str, Path]:
    """Timing caches of lab builds that are committed beside the profiles: `timing-<TensorRT>-<hardware id>.cache`."""
    found = {}
    for part in parts:
        for path in sorted(loaded.workspace.profiles.glob(f"timing-*-{part.hardware.id}.cache")):
            version = path.name.removeprefix("timing-").removesuffix(f"-{part.hardware.id}.cache")
            if RELEASE_VERSION.fullmatch(version):
                found[path.name.removeprefix("timing-")] = path
    return found


def _models(drafted: Drafted, settled: Sequence[SettledOnnx], loaded: LoadedSpec) -> tuple[BundledModel, ...]:
    """What the SBOM says of each model: where it comes from, and the accuracy that it was accepted with."""
    spec = loaded.spec
    origin = spec.model.onnx if spec is not None and isinstance(spec.model, OnnxModel) else None
    evidence = {f"sha256:{each.lowered.digest}": each.evidence for each in settled}
    digests = {engine.name: engine.model_digest for engine in drafted.release.engines}
    profile = settled[0].problem.model
    found = []
    for model in models_of(drafted.release):
        known = evidence[digests[model.name]]
        metrics = () if known is None else (Metric(name=known.metric, value=f"{known.value.value:.5f}"),)
        found.append(
            replace(
                model,
                origin=origin,
                inputs=tuple(spec.name for spec in profile.inputs),
                outputs=tuple(spec.name for spec in profile.outputs),
                metrics=metrics,
            )
        )
    return tuple(found)


def _delta(full: Numbered, base: Path) -> Numbered:
    """The release without what an older archive holds."""
    known = read_edge_bundle(base)
    if known.release.name != full.release.name:
        raise ToolError(
            f"{base.name} is a release of {known.release.name}, not of {full.release.name}",
            help="name an archive of the same spec with --delta-from",
        )
    return delta_from(full, known.release.version, known.sums)


def _packed(release: Numbered, folder: Path) -> Path:
    """The archive in the cache, written in one step; what earlier runs left there goes after a day."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - entry.stat().st_mtime > STALE_S:
                entry.unlink()
    handle, name = tempfile.mkstemp(prefix=".packing-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            pack(release.files, release.folder, file)
        os.replace(name, folder / release.archive)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return folder / release.archive
