"""config.json -> `LlmProfile`."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

from infc.diag import Diagnostic, Severity, has_errors
from infc.diag.nearest import nearest
from infc.ir.llm_profile import LayerGroup, LlmProfile
from infc.ir.model_profile import Caveat
from infc.ir.precision import Precision
from infc.resolve.hf_config.attention import attention_shape
from infc.resolve.hf_config.config_file import Config, config_digest, read_config
from infc.resolve.hf_config.dialects import canonical_config
from infc.resolve.hf_config.families import FAMILIES, OTHER_MODELS, Family, family_of
from infc.resolve.hf_config.feed_forward import feed_forward_shape
from infc.resolve.hf_config.fields import LARGEST_CONTEXT, LARGEST_VOCABULARY, LARGEST_WIDTH, Fields
from infc.resolve.hf_config.layers import Layer, layer_plan
from infc.resolve.hf_config.quantization import checkpoint_quantization

MAX_PARAMETERS = 10**14
"""Fifty times the largest published model; beyond it the numbers of a config are nonsense."""
_TEXT_KEYS = ("text_config", "llm_config", "language_config")
_TOWERS = ("vision_config", "audio_config", "speech_config")
_DTYPES = {"bfloat16": Precision.BF16, "float16": Precision.FP16, "half": Precision.FP16}


def llm_profile(path: Path, name: str | None = None) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    """The profile of the language model whose `config.json` (or folder with one) is `path`; None with errors.

    `name` is what reports call it; default: the folder's name, or the file's when that is not config.json. Only the
    text part of a vision-language model is described, with a caveat. An architecture that `families` does not describe
    is refused by name: a size that was guessed would be taken for one that is known.
    """
    config, problems = read_config(path)
    if config is None:
        return None, problems
    return profile_of_config(config, name or _name_of(path))


def profile_of_config(config: Config, name: str) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    """The profile of a config that was read already."""
    problems: list[Diagnostic] = []
    text, caveats = _text_part(config, problems)
    model_type = Fields(text, {}, problems).text("model_type") or ""
    architecture = (Fields(config, {}, problems).texts("architectures") or ("",))[0]
    refused = _refusal(model_type, architecture, config)
    if refused is not None:
        return None, (refused,)
    family = family_of(model_type)
    if family is None:
        return None, (_unknown_architecture(model_type, architecture),)
    profile = _described(config, text, family, name, architecture or model_type, caveats, problems)
    warnings = tuple(
        Diagnostic(id=caveat.id, severity=Severity.WARNING, message=caveat.message, help=caveat.help)
        for caveat in caveats
    )
    if profile is None or has_errors(problems):
        return None, (*problems, *warnings)
    return profile, (*problems, *warnings)


def _described(
    config: Config,
    text: Config,
    family: Family,
    name: str,
    architecture: str,
    caveats: tuple[Caveat, ...],
    problems: list[Diagnostic],
) -> LlmProfile | None:
    fields = Fields(canonical_config(text), family.defaults, problems)
    family = replace(family, norms=fields.optional_count("layer_norms") or family.norms)
    hidden = fields.count("hidden_size", "n_embd", "d_model", "dim", largest=LARGEST_WIDTH)
    vocabulary = fields.count("vocab_size", largest=LARGEST_VOCABULARY)
    context = fields.count("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", largest=LARGEST_CONTEXT)
    layers = layer_plan(fields, family, context)
    groups = tuple(_group(fields, family, tuple(run), hidden) for _, run in groupby(layers))
    outer = Fields(config, {}, problems)
    is_tied = fields.flag("tie_word_embeddings", outer.flag("tie_word_embeddings", family.is_tied))
    quantization = checkpoint_quantization(text if "quantization_config" in text else config, len(layers), problems)
    dtype = fields.text("torch_dtype", "dtype") or outer.text("torch_dtype", "dtype")
    embedding_width = fields.optional_count("word_embed_proj_dim", largest=LARGEST_WIDTH) or hidden
    head_bias = vocabulary if family.has_head_bias or fields.flag("lm_head_bias", False) else 0
    profile = LlmProfile(
        name=name,
        digest=config_digest(config),
        architecture=architecture,
        hidden=hidden,
        vocabulary=vocabulary,
        groups=groups,
        embedding_parameters=vocabulary * embedding_width,
        head_parameters=vocabulary * embedding_width + head_bias,
        is_tied=is_tied,
        dtype=_DTYPES.get(dtype or "", Precision.BF16),
        max_context_tokens=context,
        quantization=quantization,
        caveats=caveats,
        other_parameters=_other_parameters(family, hidden, context, embedding_width),
    )
    if not has_errors(problems) and profile.parameters > MAX_PARAMETERS:
        fields.contradict("hidden_size", f"the config describes a model of {profile.parameters:.1e} parameters")
    return profile


def _group(fields: Fields, family: Family, run: tuple[Layer, ...], hidden: int) -> LayerGroup:
    return LayerGroup(
        count=len(run),
        attention=attention_shape(fields, family, run[0], hidden),
        feed_forward=feed_forward_shape(fields, family, run[0], hidden),
    )


def _other_parameters(family: Family, hidden: int, context: int, embedding_width: int) -> int:
    """The final norm, learned positions, a norm on the embeddings, projections of narrower embeddings (OPT-350M)."""
    norm = hidden * (2 if family.has_norm_bias else 1)
    positions = 0 if family.learned_positions is None else (context + family.learned_positions) * hidden
    embedding_norm = norm if family.has_embedding_norm else 0
    if embedding_width != hidden:
        return positions + 2 * hidden * embedding_width
    return norm + positions + embedding_norm


def _text_part(config: Config, problems: list[Diagnostic]) -> tuple[Config, tuple[Caveat, ...]]:
    """The part of a config that is about text, where it is one of several, and what the others are."""
    fields = Fields(config, {}, problems)
    towers = [tower for tower in _TOWERS if fields.has(tower)]
    caveats = (_text_only(towers),) if towers else ()
    for key in _TEXT_KEYS:
        nested = fields.nested(key)
        if nested is not None:
            return nested, caveats
    return config, caveats


def _text_only(towers: list[str]) -> Caveat:
    parts = " and ".join(tower.removesuffix("_config") for tower in towers)
    return Caveat(
        id="config-text-only",
        message=f"the model is taken for text only: its {parts} encoder is neither counted nor loaded",
        help="what is emitted says language-model-only, so that the server takes no other input;"
        " for images export the model's parts to ONNX",
    )


def _unknown_architecture(model_type: str, architecture: str) -> Diagnostic:
    name = model_type or architecture
    what = f"the architecture {name[:60]!r}" if name else "a config without model_type"
    known = sorted({known for family in FAMILIES for known in family.model_types})
    near = nearest(name, known) if name else ()
    return Diagnostic(
        id="config-architecture",
        message=f"infc has no description of {what}",
        notes=(f"known names that are like it: {', '.join(near)}",) if near else (),
        help="plan a model of an architecture that docs/models.md lists; a model whose layers are those of a known one"
        " can be given with that one's model_type",
    )


def _refusal(model_type: str, architecture: str, config: Config) -> Diagnostic | None:
    kind = OTHER_MODELS.get(model_type)
    if kind is None and config.get("is_encoder_decoder") is True:
        kind = "an encoder-decoder"
    if kind is None and architecture.endswith(("ForMaskedLM", "ForSequenceClassification", "ForImageClassification")):
        kind = "no generative language model"
    if kind is None:
        return None
    return Diagnostic(
        id="config-unsupported",
        message=f"{model_type or architecture} is {kind}; infc cannot plan it from its config",
        notes=("it plans decoder-only language models that vLLM serves by continuous batching",),
        help="export an encoder or a vision model to ONNX and give the .onnx file",
    )


def _name_of(path: Path) -> str:
    if path.name not in ("config.json", ""):
        return path.stem if path.suffix == ".json" else path.name
    return path.resolve().parent.name or "model"
