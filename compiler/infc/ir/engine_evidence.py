"""What a builder reported of an engine that was built: evidence that a later plan may rest on."""

from dataclasses import dataclass

from infc.ir.engine_kind import EngineKind
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class EngineEvidence:
    """Sizes and layers of one built engine, in the builder's own figures; stored in `infc-profiles/`.

    `maximum_elements` are the elements of the largest shapes it accepts, summed over its inputs: two engines are
    compared only at equal ones. `layer_types` counts layers by the data type of their outputs (`Half`, `Int8`, ...).
    `moved_bytes` are the activations that its layers read and write at the largest shapes, added up; None where the
    builder leaves a size open. `refusal` is why the builder made no engine of this precision, in words: then there are
    no sizes and no layers, and it holds for every shape. Identity: model, precision, recipe, kind, compute capability,
    maximum elements.
    """

    model_digest: str
    precision: Precision
    recipe_digest: str
    kind: EngineKind
    compute_capability: str
    max_batch_size: int
    maximum_elements: int
    activation_bytes: int
    weight_bytes: int
    layer_types: tuple[tuple[str, int], ...]
    moved_bytes: int | None = None
    refusal: str = ""

    @property
    def layers(self) -> int:
        """Layers of the engine."""
        return sum(count for _, count in self.layer_types)
