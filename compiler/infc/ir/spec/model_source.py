"""`model`: where the model comes from."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from infc.ir.spec.base import Name, RelativePath, Score, SpecModel, tuple_from_list

_REPO = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"


class _NamedModel(SpecModel):
    name: Name | None = Field(default=None, description="The name it is served under. Default: the spec's name.")


class OnnxModel(_NamedModel):
    """An ONNX file."""

    onnx: RelativePath = Field(
        description="Path of the ONNX file, relative to this spec.", examples=["models/encoder.onnx"]
    )


class HuggingFaceRepo(SpecModel):
    """A model repository on the Hugging Face hub."""

    repo: Annotated[str, Field(pattern=_REPO)] = Field(
        description="Owner and name of the repository.", examples=["Qwen/Qwen3-8B"]
    )
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")] | None = Field(
        default=None, description="Commit that is served; a full sha keeps the deployment reproducible."
    )


class HuggingFaceModel(_NamedModel):
    """A model from the Hugging Face hub."""

    huggingface: HuggingFaceRepo = Field(description="Repository and revision on the Hugging Face hub.")


class CheckpointModel(_NamedModel):
    """A local checkpoint folder (config.json and safetensors)."""

    checkpoint: RelativePath = Field(
        description="Folder of the checkpoint, relative to this spec.", examples=["models/qwen3"]
    )


class _Candidate(SpecModel):
    name: Name = Field(description="What reports and the lock call it; unique.", examples=["qwen3-8b"])
    accuracy: Score | None = Field(
        default=None,
        description="How well this model does your task, as you measured it or its publisher states it.",
        examples=[0.74],
    )


class HuggingFaceCandidate(_Candidate):
    """A candidate from the Hugging Face hub."""

    huggingface: HuggingFaceRepo = Field(description="Repository and revision on the Hugging Face hub.")


class CheckpointCandidate(_Candidate):
    """A candidate in a local checkpoint folder."""

    checkpoint: RelativePath = Field(
        description="Folder of the checkpoint, relative to this spec.", examples=["models/qwen3-4b"]
    )


SOURCE_KEYS = ("onnx", "huggingface", "checkpoint", "candidates")
CANDIDATE_KEYS = ("huggingface", "checkpoint")


def tag_by(keys: tuple[str, ...]) -> Callable[[object], str | None]:
    """The tag of the only one of `keys` that a mapping or a model has."""

    def tag(value: object) -> str | None:
        has = value.__contains__ if isinstance(value, dict) else partial(hasattr, value)
        present = [key for key in keys if has(key)]
        return f"<{present[0]}>" if len(present) == 1 else None

    return tag


Candidate: TypeAlias = Annotated[
    Annotated[HuggingFaceCandidate, Tag("<huggingface>")] | Annotated[CheckpointCandidate, Tag("<checkpoint>")],
    Discriminator(
        tag_by(CANDIDATE_KEYS), custom_error_type="spec-candidate-source", custom_error_message="candidate source"
    ),
]


class FleetModel(_NamedModel):
    """Several language models that would all do: a family in several sizes, say. The plan takes one of them."""

    candidates: Annotated[tuple[Candidate, ...], Field(strict=False), BeforeValidator(tuple_from_list)] = Field(
        description="The models, 2 to 16: the plan takes the best by the objective that meets accuracy and SLO.",
        json_schema_extra={"minItems": 2, "maxItems": 16},
    )
    min_accuracy: Score | None = Field(
        default=None,
        description="The lowest stated `accuracy` that will do. Default: every candidate will.",
        examples=[0.7],
    )


ModelSource: TypeAlias = Annotated[
    Annotated[OnnxModel, Tag("<onnx>")]
    | Annotated[HuggingFaceModel, Tag("<huggingface>")]
    | Annotated[CheckpointModel, Tag("<checkpoint>")]
    | Annotated[FleetModel, Tag("<candidates>")],
    Discriminator(tag_by(SOURCE_KEYS), custom_error_type="spec-model-source", custom_error_message="model source"),
]
