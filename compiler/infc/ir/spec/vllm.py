"""`deploy.vllm`: what a user settles of a vLLM server; everything else is the plan's."""

from typing import Annotated, Literal

from pydantic import Field

from infc.ir.spec.base import Fraction, RelativePath, SpecModel

_IMAGE = r"^[a-z0-9]([a-z0-9._:/@-]{0,254}[a-z0-9])?$"
_FLAG = r"^[a-z][a-z0-9-]{1,63}$"


class Speculative(SpecModel):
    """A drafter that may be used. The plan drafts only where that pays, at the acceptance that you measured."""

    method: Literal["ngram", "mtp", "eagle3", "draft_model"] = Field(
        description="ngram needs no model, mtp uses the checkpoint's own layers, eagle3 and draft_model a drafter."
    )
    model: str | None = Field(
        default=None,
        pattern=r"^(\.\./)*[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$",
        description="The drafter: a folder relative to this spec, or a repository of the hub.",
    )
    acceptance: Fraction = Field(
        description="Chance that a drafted token is accepted when those before it were, measured on your traffic.",
        examples=["70%"],
    )
    max_tokens: Annotated[int, Field(ge=1, le=16)] = Field(
        default=5, description="Most tokens to draft a step. Default: 5."
    )


class Vllm(SpecModel):
    """Options of a vLLM server."""

    image: Annotated[str, Field(pattern=_IMAGE)] | None = Field(
        default=None, description="Container image. Default: the one of the pinned vLLM version."
    )
    chat_template: RelativePath | None = Field(
        default=None, description="Chat template (Jinja), relative to this spec. Default: the checkpoint's own."
    )
    prefix_caching: bool | None = Field(
        default=None,
        description="Keep the cache of prompts that begin alike. Default: where workload.shared_prefix is.",
    )
    speculative: Speculative | None = Field(default=None, description="Speculative decoding, if it pays.")
    args: dict[Annotated[str, Field(pattern=_FLAG)], bool | int | float | str] = Field(
        default_factory=dict,
        description="Further flags of `vllm serve` without the dashes, checked against the pinned version. Flags that "
        "the plan decides are refused.",
        examples=[{"tool-call-parser": "hermes", "enable-auto-tool-choice": True}],
    )
