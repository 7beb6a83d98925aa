"""Profiles of language models and their measured step times <-> JSON, as stored in `infc-profiles/`.

The text is canonical: equal values give equal bytes.
"""

from infc.ir.llm_profile import (
    AttentionKind,
    AttentionShape,
    CheckpointQuantization,
    FeedForwardShape,
    LayerGroup,
    LayerPart,
    LlmProfile,
)
from infc.ir.model_profile import Caveat
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimePoint, StepTimeProfile
from infc.resolve.json_reader import JsonObject, ProfileFormatError, canonical_json, plain_number
from infc.resolve.profile_json import FORMAT_VERSION, member, opened_profile

POINT_COLUMNS = ("prefill_tokens", "decode_seqs", "context_tokens", "seconds", "samples", "prefill_seqs")
"""One measured step shape is one row."""
AROUND_STEPS = ("overhead_s", "sequence_overhead_s", "request_s")
"""Seconds that the server adds to steps, to their sequences and to requests; null where it was not measured."""


def text_from_llm(profile: LlmProfile) -> str:
    """The stored form of a language model's profile."""
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "llm",
            "name": profile.name,
            "digest": profile.digest,
            "architecture": profile.architecture,
            "hidden": profile.hidden,
            "vocabulary": profile.vocabulary,
            "embedding_parameters": profile.embedding_parameters,
            "head_parameters": profile.head_parameters,
            "other_parameters": profile.other_parameters,
            "is_tied": profile.is_tied,
            "dtype": str(profile.dtype),
            "max_context_tokens": profile.max_context_tokens,
            "quantization": None if profile.quantization is None else _json_from_quantization(profile.quantization),
            "groups": [
                {
                    "count": group.count,
                    "attention": _json_from_attention(group.attention),
                    "feed_forward": _json_from_feed_forward(group.feed_forward),
                }
                for group in profile.groups
            ],
            "caveats": [{"id": c.id, "message": c.message, "help": c.help} for c in profile.caveats],
        }
    )


def llm_from_text(text: str) -> LlmProfile:
    """The language model's profile of a stored text; ProfileFormatError when it is none."""
    fields = opened_profile(text, "llm")
    if not fields.items("groups"):
        raise ProfileFormatError("profile.groups is empty")
    return LlmProfile(
        name=fields.text("name"),
        digest=fields.text("digest"),
        architecture=fields.text("architecture"),
        hidden=_size(fields, "hidden", smallest=1),
        vocabulary=_size(fields, "vocabulary", smallest=1),
        groups=tuple(
            LayerGroup(
                count=_size(group, "count", smallest=1),
                attention=_attention_from_json(group.nested("attention")),
                feed_forward=_feed_forward_from_json(group.nested("feed_forward")),
            )
            for group in fields.nested_list("groups")
        ),
        embedding_parameters=_size(fields, "embedding_parameters"),
        head_parameters=_size(fields, "head_parameters"),
        other_parameters=_size(fields, "other_parameters"),
        is_tied=fields.boolean("is_tied"),
        dtype=member(Precision, fields.text("dtype")),
        max_context_tokens=_size(fields, "max_context_tokens", smallest=1),
        quantization=fields.optional("quantization", lambda key: _quantization_from_json(fields.nested(key))),
        caveats=tuple(
            Caveat(id=c.text("id"), message=c.text("message"), help=c.text("help"))
            for c in fields.nested_list("caveats")
        ),
    )


def _json_from_attention(shape: AttentionShape) -> dict[str, object]:
    return {
        "kind": str(shape.kind),
        "query_heads": shape.query_heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "value_head_dim": shape.value_head_dim,
        "parameters": shape.parameters,
        "window_tokens": shape.window_tokens,
        "latent_dim": shape.latent_dim,
        "state_elements": shape.state_elements,
        "state_bytes": shape.state_bytes,
        "attended_tokens": shape.attended_tokens,
        "index_bytes": shape.index_bytes,
        "replicated_parameters": shape.replicated_parameters,
    }


def _attention_from_json(fields: JsonObject) -> AttentionShape:
    return AttentionShape(
        kind=member(AttentionKind, fields.text("kind")),
        query_heads=_size(fields, "query_heads", smallest=1),
        kv_heads=_size(fields, "kv_heads", smallest=1),
        head_dim=_size(fields, "head_dim", smallest=1),
        value_head_dim=_size(fields, "value_head_dim", smallest=1),
        parameters=_size(fields, "parameters"),
        window_tokens=fields.optional("window_tokens", fields.integer),
        latent_dim=_size(fields, "latent_dim"),
        state_elements=_size(fields, "state_elements"),
        state_bytes=_size(fields, "state_bytes"),
        attended_tokens=fields.optional("attended_tokens", fields.integer),
        index_bytes=_size(fields, "index_bytes"),
        replicated_parameters=_size(fields, "replicated_parameters"),
    )


def _json_from_feed_forward(shape: FeedForwardShape) -> dict[str, object]:
    return {
        "intermediate": shape.intermediate,
        "matrices": shape.matrices,
        "parameters": shape.parameters,
        "experts": shape.experts,
        "experts_per_token": shape.experts_per_token,
        "shared_intermediate": shape.shared_intermediate,
        "expert_parameters": shape.expert_parameters,
    }


def _feed_forward_from_json(fields: JsonObject) -> FeedForwardShape:
    return FeedForwardShape(
        intermediate=_size(fields, "intermediate"),
        matrices=_size(fields, "matrices"),
        parameters=_size(fields, "parameters"),
        experts=_size(fields, "experts"),
        experts_per_token=_size(fields, "experts_per_token"),
        shared_intermediate=_size(fields, "shared_intermediate"),
        expert_parameters=_size(fields, "expert_parameters"),
    )


def _json_from_quantization(stored: CheckpointQuantization) -> dict[str, object]:
    return {
        "method": stored.method,
        "weight_precision": str(stored.weight_precision),
        "activation_precision": None if stored.activation_precision is None else str(stored.activation_precision),
        "group_size": stored.group_size,
        "kv_precision": None if stored.kv_precision is None else str(stored.kv_precision),
        "unquantized": [str(part) for part in stored.unquantized],
        "scale_bytes": plain_number(stored.scale_bytes),
    }


def _quantization_from_json(fields: JsonObject) -> CheckpointQuantization:
    def precision(key: str) -> Precision:
        return member(Precision, fields.text(key))

    return CheckpointQuantization(
        method=fields.text("method"),
        weight_precision=precision("weight_precision"),
        activation_precision=fields.optional("activation_precision", precision),
        group_size=fields.optional("group_size", fields.integer),
        kv_precision=fields.optional("kv_precision", precision),
        unquantized=tuple(member(LayerPart, part) for part in fields.texts("unquantized")),
        scale_bytes=fields.number("scale_bytes"),
    )


def text_from_step_times(profile: StepTimeProfile) -> str:
    """The stored form of measured step times."""
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "step-time",
            "model_digest": profile.model_digest,
            "precision": str(profile.precision),
            "hardware_id": profile.hardware_id,
            "tensor_parallel": profile.tensor_parallel,
            "kv_precision": None if profile.kv_precision is None else str(profile.kv_precision),
            "overhead_s": _optional(profile.overhead_s),
            "sequence_overhead_s": _optional(profile.sequence_overhead_s),
            "request_s": _optional(profile.request_s),
            "environment": dict(profile.environment),
            "point_columns": list(POINT_COLUMNS),
            "points": [
                [p.prefill_tokens, p.decode_seqs, p.context_tokens, plain_number(p.seconds), p.samples, p.prefill_seqs]
                for p in profile.points
            ],
            **({} if profile.load_s is None else {"load_s": plain_number(profile.load_s)}),
            **({} if profile.pace_spread is None else {"pace_spread": plain_number(profile.pace_spread)}),
        }
    )


def step_times_from_text(text: str) -> StepTimeProfile:
    """The step times of a stored text; ProfileFormatError when it is none."""
    fields = opened_profile(text, "step-time")
    if fields.texts("point_columns") != POINT_COLUMNS:
        raise ProfileFormatError("profile.point_columns are not those of this version")
    environment = fields.nested("environment")
    overhead_s, sequence_overhead_s, request_s = (_seconds(fields, key) for key in AROUND_STEPS)
    return StepTimeProfile(
        model_digest=fields.text("model_digest"),
        precision=member(Precision, fields.text("precision")),
        hardware_id=fields.text("hardware_id"),
        tensor_parallel=_size(fields, "tensor_parallel", smallest=1),
        kv_precision=fields.optional("kv_precision", lambda key: member(Precision, fields.text(key))),
        points=tuple(map(_point_from_row, fields.items("points"))),
        overhead_s=overhead_s,
        sequence_overhead_s=sequence_overhead_s,
        request_s=request_s,
        environment={key: environment.text(key) for key in environment.names()},
        load_s=fields.number("load_s") if "load_s" in fields.names() else None,
        pace_spread=fields.number("pace_spread") if "pace_spread" in fields.names() else None,
    )


def _point_from_row(row: object) -> StepTimePoint:
    match row:
        case [int(prefill), int(decode), int(context), int() | float() as seconds, int(samples), int(prompts)] if (
            min(prefill, decode, context, prompts) >= 0 and 0 < seconds < float("inf") and samples > 0
        ):
            return StepTimePoint(
                prefill_tokens=prefill,
                decode_seqs=decode,
                context_tokens=context,
                seconds=float(seconds),
                samples=samples,
                prefill_seqs=prompts,
            )
    raise ProfileFormatError(f"{str(row)[:80]} is not a row of points")


def _seconds(fields: JsonObject, key: str) -> float | None:
    value = fields.optional(key, fields.number)
    if value is not None and value < 0:
        raise ProfileFormatError(f"{key} is less than 0")
    return value


def _optional(value: float | None) -> int | float | None:
    return None if value is None else plain_number(value)


def _size(fields: JsonObject, key: str, smallest: int = 0) -> int:
    value = fields.integer(key)
    if value < smallest:
        raise ProfileFormatError(f"{key} is less than {smallest}")
    return value
