"""`model`: where the model comes from."""

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

from infc.ir.spec.base import Name, RelativePath, SpecModel

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


SOURCE_KEYS = ("onnx", "huggingface", "checkpoint")


def _source_tag(value: object) -> str | None:
    if isinstance(value, dict):
        present = [key for key in SOURCE_KEYS if key in value]
        return f"<{present[0]}>" if len(present) == 1 else None
    present = [key for key in SOURCE_KEYS if hasattr(value, key)]
    return f"<{present[0]}>" if present else None


ModelSource: TypeAlias = Annotated[
    Annotated[OnnxModel, Tag("<onnx>")]
    | Annotated[HuggingFaceModel, Tag("<huggingface>")]
    | Annotated[CheckpointModel, Tag("<checkpoint>")],
    Discriminator(_source_tag, custom_error_type="spec-model-source", custom_error_message="model source"),
]
