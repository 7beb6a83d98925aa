"""What settling a decision needs besides the problem: files, stores, builders, and where progress goes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from infc.build.builder import Builder
from infc.ir.problem import HardwareOption
from infc.ir.spec import OnnxModel, Spec
from infc.lock.values import LockedKind
from infc.pipeline.engines import EngineShop, engine_shop
from infc.resolve.store import ProfileStore
from infc.spec import LoadedSpec

Announce: TypeAlias = Callable[[str], None]
ProgressBar: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What settling needs besides the problem.

    `market` lists further hardware for relaxations, as `plan.solve` takes it. `is_read_only` leaves `infc-profiles/`
    alone: a locked compile must not change what it checks. `promised_key` is the key of an engine that the lock waits
    for, or must hold; `keeps_pending` says that it must hold one that was pending. `locked_kind` is the kind of engine
    that it must hold.
    """

    loaded: LoadedSpec
    store: ProfileStore
    is_read_only: bool
    market: Callable[[], tuple[HardwareOption, ...]] | None
    allow_code: bool
    builder: Builder
    build_timeout_s: float
    promised_key: str | None
    keeps_pending: bool
    announce: Announce
    progress: ProgressBar
    locked_kind: LockedKind | None = None

    @property
    def spec(self) -> Spec:
        """The spec, which is valid by now."""
        assert self.loaded.spec is not None  # noqa: S101 - only valid specs are compiled
        return self.loaded.spec

    @property
    def engines(self) -> EngineShop:
        """Where its engines come from."""
        shop = engine_shop(self.loaded.workspace, self.builder, self.build_timeout_s, self.announce)
        return replace(shop, locked_kind=self.locked_kind)

    @property
    def cache(self) -> Path:
        """`.infc/`."""
        return self.loaded.workspace.cache

    @property
    def source(self) -> Path:
        """The model file."""
        model = self.spec.model
        assert isinstance(model, OnnxModel)  # noqa: S101 - other models are refused by the planner
        return self.loaded.file(model.onnx)
