"""The number of a release, and everything that names it: manifest, SBOM, provenance, list of digests."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build.edge_release_json import MANIFEST_NAME, to_json
from infc.diag import Diagnostic, Severity
from infc.emit.jetson.archive import SUFFIX
from infc.emit.jetson.delta import delta_of
from infc.emit.jetson.manifest import FIRST_VERSION, decisions_of, is_later, next_version
from infc.emit.jetson.provenance import provenance_json
from infc.emit.jetson.sbom import sbom_json
from infc.emit.jetson.sums import digests_of, sums_of, with_sums
from infc.emit.jetson.verification import SAMPLES_FOLDER
from infc.emit.supply.provenance import PROVENANCE_NAME, Dependency
from infc.emit.supply.sbom import SBOM_NAME, BundledModel, image_of
from infc.ir.edge_release import EdgeDelta, EdgeRelease


@dataclass(frozen=True, kw_only=True)
class PriorRelease:
    """The release that the lock holds: its number, and the digest of what repeats of it."""

    version: str
    repeats: str


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """A release as it is packed: `files` with SHA256SUMS, in `folder` of the archive `archive`.

    `repeats` is the digest of what is the same wherever it is compiled, `digests` those of single files of which that
    holds, as `sha256:<hex>`: all but the samples, which are many.
    """

    release: EdgeRelease
    files: Mapping[str, bytes | Path]
    repeats: str
    digests: Mapping[str, str]

    @property
    def folder(self) -> str:
        """The one folder of the archive."""
        return f"{self.release.name}-{self.release.version}"

    @property
    def archive(self) -> str:
        """What the archive is called: by the module, or `jetson` where it is for several."""
        targets = [target.hardware_id for target in self.release.targets]
        stem = f"{self.release.name}-{targets[0] if len(targets) == 1 else 'jetson'}-{self.release.version}"
        return stem + (f".from-{self.release.delta.base_version}" if self.release.delta else "") + SUFFIX


def numbered(
    release: EdgeRelease,
    files: Mapping[str, bytes | Path],
    *,
    varying: frozenset[str],
    wanted: str | None,
    prior: PriorRelease | None,
    models: Sequence[BundledModel],
    image: str | None,
    spec: str,
    dependencies: Sequence[Dependency],
    timestamp: str | None,
) -> tuple[Numbered, tuple[Diagnostic, ...]]:
    """The release with its number, and the files that name it.

    The number is the wanted one; else that of the prior release when nothing changed that repeats from machine to
    machine, and the one after it when something did; the first is 1.

    Args:
        release: the release, its version a placeholder.
        files: its content.
        varying: files whose bytes depend on the machine that compiled.
        wanted: `deploy.jetson.version`.
        prior: what the lock holds, None where it holds nothing.
        models: what the SBOM says of the models.
        image: the container that devices need.
        spec: path of the spec in its workspace.
        dependencies: what the bundle was made from.
        timestamp: the time that it states, None for none.

    Returns:
        The release, and a warning where the wanted number is not later than that of other content.
    """
    digests = digests_of(files)
    repeating = {path: digest for path, digest in digests.items() if path not in varying}
    repeats = "sha256:" + hashlib.sha256(sums_of(repeating) + decisions_of(release)).hexdigest()
    release = replace(release, version=_version(wanted, prior, repeats))
    images = () if image is None else (image_of(image),)
    sbom = sbom_json(release, files, models=models, images=images, timestamp=timestamp)
    provenance = provenance_json(release, spec=spec, target=None, dependencies=dependencies, timestamp=timestamp)
    complete = with_sums({**files, MANIFEST_NAME: to_json(release), SBOM_NAME: sbom, PROVENANCE_NAME: provenance})
    found = Numbered(
        release=release,
        files=complete,
        repeats=repeats,
        digests={
            path: f"sha256:{digest}" for path, digest in repeating.items() if not path.startswith(f"{SAMPLES_FOLDER}/")
        },
    )
    return found, _not_raised(wanted, prior, repeats)


def delta_from(full: Numbered, base_version: str, base_sums: bytes) -> Numbered:
    """The same release without what the base holds. Raises ToolError when the base's list cannot be read.

    Its list of digests is of the whole release, with the delta's own manifest.
    """
    delta = delta_of(full.files, base_sums)
    release = replace(full.release, delta=EdgeDelta(base_version=base_version, absent=delta.absent))
    complete = with_sums({**full.files, MANIFEST_NAME: to_json(release)})
    return replace(full, release=release, files=delta.carried(complete))


def _version(wanted: str | None, prior: PriorRelease | None, repeats: str) -> str:
    if wanted is not None:
        return wanted
    if prior is None:
        return FIRST_VERSION
    return prior.version if prior.repeats == repeats else next_version(prior.version)


def _not_raised(wanted: str | None, prior: PriorRelease | None, repeats: str) -> tuple[Diagnostic, ...]:
    if wanted is None or prior is None or prior.repeats == repeats or is_later(wanted, than=prior.version):
        return ()
    return (
        Diagnostic(
            id="edge-version-not-raised",
            severity=Severity.WARNING,
            message=f"release {wanted} is not later than {prior.version}, which infc.lock holds with other content",
            notes=("a device refuses an older release without --allow-downgrade",),
            help="raise deploy.jetson.version, or leave it out: infc then counts releases itself",
        ),
    )
