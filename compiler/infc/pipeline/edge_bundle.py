"""The bundle of an edge release as it lies here: its manifest, its signature, and the program that it brings along."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.build.edge_release_json import MANIFEST_NAME, SAMPLES_NAME, from_json, samples_from_json
from infc.diag import Diagnostic, DiagnosticError
from infc.emit.jetson.archive import SUFFIX, read_archive
from infc.emit.jetson.sums import SIGNATURE_NAME, SUMS_NAME, parse_sums
from infc.ir.edge_release import EdgeRelease, EdgeTarget
from infc.pipeline.signing import archives_of

AGENT_NAME, LIBRARIES_NAME = "bin/edge.py", "bin/libraries.json"
_NEEDED = (SUMS_NAME, AGENT_NAME, LIBRARIES_NAME, MANIFEST_NAME)
DELTA_MARK = ".from-"
"""In the name of an archive that holds only what changed since another release."""
_MOST_BYTES = 1 << 24
"""Larger than any file that is read into memory here."""


@dataclass(frozen=True, kw_only=True)
class EdgeBundle:
    """One archive. `agent` and `libraries` are the files that run on the device; `signature` None: it is not signed."""

    path: Path
    release: EdgeRelease
    sums: bytes
    signature: bytes | None
    agent: bytes
    libraries: bytes

    def target_of(self, module: str | None) -> EdgeTarget | None:
        """What the release holds for a module (`p3767-0000`); None when it is not made for it."""
        return next((target for target in self.release.targets if module in target.modules), None)


def whole_bundles_of(place: Path) -> tuple[Path, ...]:
    """The bundles that a path names, without deltas: the archive itself, or those of an output folder.

    Raises:
        ToolError: there is none.
    """
    found = archives_of(place)
    return tuple(path for path in found if DELTA_MARK not in path.name) or found


def bundles_of_spec(name: str, output: Path) -> tuple[Path, ...]:
    """The bundles of the spec of that name in the folder that `infc compile` writes to.

    Raises:
        ToolError: an archive that is called like one of them cannot be read.
        DiagnosticError: its manifest cannot be read.
    """
    found = (path for path in sorted(output.glob(f"*/{name}-*{SUFFIX}")) if DELTA_MARK not in path.name)
    return tuple(path for path in found if read_edge_bundle(path).release.name == name)


def read_edge_bundle(path: Path) -> EdgeBundle:
    """A bundle, as far as its manifest; what the device runs first is checked against the list of digests.

    Raises:
        ToolError: the archive cannot be read, or holds what no bundle holds.
        DiagnosticError: it holds no manifest that can be read, or a file that is not as it was packed.
    """
    files: dict[str, bytes] = {}
    for member in read_archive(path):
        if member.path in (*_NEEDED, SIGNATURE_NAME) and member.size_bytes <= _MOST_BYTES:
            files[member.path] = b"".join(member.chunks)
        if MANIFEST_NAME in files:
            break  # files are sorted: all that is needed came before it
    missing = [name for name in _NEEDED if name not in files]
    if missing:
        raise DiagnosticError((_damaged(path, f"{missing[0]} is not in it"),), exit_code=1)
    digests = parse_sums(files[SUMS_NAME]) or {}
    for name in _NEEDED[1:]:
        if digests.get(name) != hashlib.sha256(files[name]).hexdigest():
            raise DiagnosticError((_damaged(path, f"{name} is not as {SUMS_NAME} lists it"),), exit_code=1)
    release, problems = from_json(files[MANIFEST_NAME])
    if release is None:
        raise DiagnosticError(problems, exit_code=1)
    return EdgeBundle(
        path=path,
        release=release,
        sums=files[SUMS_NAME],
        signature=files.get(SIGNATURE_NAME),
        agent=files[AGENT_NAME],
        libraries=files[LIBRARIES_NAME],
    )


def first_sample(path: Path) -> Mapping[str, tuple[int, ...]] | None:
    """Shapes by input of the sample that a device times an engine with; None where the bundle has no samples.

    Raises:
        ToolError: the archive cannot be read.
    """
    for member in read_archive(path):
        if member.path == SAMPLES_NAME and member.size_bytes <= _MOST_BYTES:
            samples, _ = samples_from_json(b"".join(member.chunks))
            if samples is not None and samples.samples:
                return {tensor.name: tensor.shape for tensor in samples.samples[0].inputs}
    return None


def _damaged(path: Path, what: str) -> Diagnostic:
    return Diagnostic(
        id="edge-file-damaged",
        message=f"{path} is not a whole bundle: {what}",
        help="copy it again from where it was compiled, or compile the spec again",
    )
