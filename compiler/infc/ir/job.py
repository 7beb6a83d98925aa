"""Builds as values that travel: what a builder is asked, and what it attests.

A job is a folder: `job.json` beside the lowered model, so that it can be copied to another machine as it is. The engine
key is its idempotency key: two jobs with one key make the same engine, and a finished one is never built again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.ir.build_options import BuildOptions
from infc.ir.engine import EngineFacts, ShapeRange
from infc.ir.engine_kind import EngineKind
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class ContentFile:
    """A file of a job or a result: a plain name inside its own folder, the sha256 and the size of its bytes."""

    name: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class BuildJob:
    """What `infc worker build` gets. `key` is the engine key of all the other fields but `timeout_s`.

    `toolchain` names the packages that must build it with their exact versions: the key depends on them, so a builder
    with another version refuses. `model` is the lowered ONNX file; the digests say what it was made from.
    """

    key: str
    kind: EngineKind
    model: ContentFile
    source_digest: str
    recipe_digest: str
    precision: Precision
    shapes: tuple[ShapeRange, ...]
    hardware_id: str
    compute_capability: str | None
    options: BuildOptions
    toolchain: Mapping[str, str]
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class BuildEnvironment:
    """The machine that built: what decides or explains an engine besides the job. None: there is none, or not said.

    `cuda` is the newest CUDA version that the driver supports. `versions` are those of the packages that took part.
    """

    gpu: str | None
    compute_capability: str | None
    driver: str | None
    cuda: str | None
    machine: str
    system: str
    python: str
    versions: Mapping[str, str]


BuildStatus: TypeAlias = Literal["built", "refused"]
"""`refused`: the builder ran and said no (its reasons are in `errors`). A builder that broke leaves no attestation."""


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """What a builder says of a finished job, stored beside the engine as `attestation.json`.

    `job_digest` is the sha256 of `job.json` as the builder read it. `errors` and `parse_errors` are the library's own
    words for a refusal. `seconds` is the time that the build took.
    """

    key: str
    job_digest: str
    status: BuildStatus
    engine: ContentFile | None
    facts: EngineFacts | None
    environment: BuildEnvironment
    errors: tuple[str, ...]
    parse_errors: tuple[str, ...]
    seconds: float
