"""Lowered models and engines: what `lower` and `build` make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from infc.ir.build_options import DEFAULT_BUILD_OPTIONS, BuildOptions
from infc.ir.engine_kind import EngineKind
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class PassReport:
    """What one lowering pass did, in words for the report: `changed` operators, and what it left alone with why.

    `kept` holds the reason of each operator of the source model that the pass would have changed and left alone.
    """

    name: str
    changed: int
    notes: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoweredModel:
    """An ONNX file in the asked precision.

    `recipe_digest` names how it was made: passes, settings, calibration data, tool versions.
    """

    path: Path
    digest: str
    source_digest: str
    precision: Precision
    recipe_digest: str
    passes: tuple[PassReport, ...]


@dataclass(frozen=True, kw_only=True)
class ShapeRange:
    """Shapes of one input that an engine must accept: TensorRT's optimization profile (min, opt, max)."""

    input_name: str
    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """Everything that decides an engine but the tool versions; the digest of both is the engine key."""

    kind: EngineKind
    model: LoweredModel
    shapes: tuple[ShapeRange, ...]
    hardware_id: str
    compute_capability: str | None
    options: BuildOptions = DEFAULT_BUILD_OPTIONS


@dataclass(frozen=True, kw_only=True)
class EngineLayer:
    """One layer of the built engine as the builder reports it.

    `dtype` and `input_dtype` name the types of its outputs and inputs (`Half`; several: `Int8+Float`); `operators` are
    the model's operators that it does, in the builder's order. Empty: the builder does not say.
    """

    name: str
    kind: str
    dtype: str
    input_dtype: str = ""
    operators: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What the builder said of an engine; sizes in bytes, None where the builder does not say.

    `settings` are what a server must set to run the engine as it was tested (ONNX Runtime's graph optimisation level).
    `fallbacks` are, in words, the operators that did not go where they were sent (the GPU instead of the DLA).
    `moved_bytes` are the activations that the layers read and write at the largest shapes, all of them added up.
    """

    activation_bytes: int | None
    weight_bytes: int | None
    layers: tuple[EngineLayer, ...]
    toolchain: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    moved_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A built engine. `key` hashes the build inputs (the cache key); `digest` is of the bytes, which may not repeat.

    `source_digest` and `recipe_digest` are those of the lowered model that it was built from.
    """

    kind: EngineKind
    path: Path
    key: str
    digest: str
    size_bytes: int
    precision: Precision
    hardware_id: str
    facts: EngineFacts
    source_digest: str = ""
    recipe_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class PendingEngine:
    """An engine that nothing at hand can build now: its key is known, its bytes are not; `reason` says why."""

    kind: EngineKind
    key: str
    precision: Precision
    hardware_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class DeviceEngine:
    """An engine that every device builds for itself from what it is sent, such as a Jetson module from a bundle.

    `key` hashes what all those engines have in common: model, shapes, options, device. Nothing of it is built here.
    """

    kind: EngineKind
    key: str
    precision: Precision
    hardware_id: str


AnyEngine: TypeAlias = Engine | PendingEngine | DeviceEngine
"""What settling comes to: built, waiting for a builder, or left to the devices."""
