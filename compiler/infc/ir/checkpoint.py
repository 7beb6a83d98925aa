"""The files of a language model as a server loads them: what lowering makes, and what a bundle holds or names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infc.ir.engine import PassReport
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The model that a plan's server loads.

    Either `folder` holds its files (config, tokeniser, chat template, weights), or `repo` and `revision` name them on
    the hub and the server fetches them. `files` maps each file of the folder that belongs to the model to
    `sha256:<hex>`; `has_weights` says whether weights are among them: without, the bundle waits for them.
    `digest` names the whole: of the files, or of repository, revision and config. `source_digest` is that of the
    unquantised checkpoint that it was made from (equal to `digest` when nothing was done).
    `precision` is that of the weights when served; `quantization` is vLLM's `--quantization` where the server converts
    on loading, None where the checkpoint's own config says how it is stored. `passes` tell what was done,
    `recipe_digest` how, `toolchain` with what.
    """

    folder: Path | None
    repo: str | None
    revision: str | None
    files: Mapping[str, str]
    has_weights: bool
    digest: str
    source_digest: str
    precision: Precision
    quantization: str | None = None
    passes: tuple[PassReport, ...] = ()
    recipe_digest: str = ""
    toolchain: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        """Whether a bundle waits for weights: they are not in the folder, and no server fetches them."""
        return self.folder is not None and not self.has_weights
