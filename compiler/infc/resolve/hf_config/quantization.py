"""`quantization_config` of a checkpoint -> how its weights are stored, by the libraries that vLLM loads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from infc.diag import Diagnostic
from infc.ir.llm_profile import CheckpointQuantization, LayerPart
from infc.ir.precision import Precision
from infc.resolve.hf_config.config_file import Config
from infc.resolve.hf_config.fields import Fields

METHODS = (
    "fp8", "fbgemm_fp8", "compressed-tensors", "awq", "gptq", "modelopt", "modelopt_fp4", "mxfp4", "bitsandbytes",
)  # fmt: skip
_LARGEST_GROUP = 2**20
_FULL_SCALE, _HALF_SCALE, _SMALL_SCALE = 4.0, 2.0, 1.0
_ZERO_POINT_BYTES = 0.5
_EXCLUDED_KEYS = ("modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules", "llm_int8_skip_modules")
_OTHER_WORDS = ("visual", "vision", "lm_head", "norm", "embed", "mtp")
_ROUTER_WORDS = ("router", "shared_expert_gate", ".mlp.gate", "mlp.gate.", "indexer", "kv_b_proj")


class _Format(NamedTuple):
    """How the weights of a quantised layer are stored."""

    weight: Precision
    activation: Precision | None
    group_size: int | None
    scale_bytes: float


_MODELOPT: Mapping[str, _Format] = {
    "FP8": _Format(Precision.FP8, Precision.FP8, None, _FULL_SCALE),
    "FP8_PB_WO": _Format(Precision.FP8, Precision.FP8, 128 * 128, _FULL_SCALE),
    "FP8_PER_CHANNEL_PER_TOKEN": _Format(Precision.FP8, Precision.FP8, None, _FULL_SCALE),
    "NVFP4": _Format(Precision.FP4, Precision.FP4, 16, _SMALL_SCALE),
    "NVFP4_AWQ": _Format(Precision.FP4, Precision.FP4, 16, _SMALL_SCALE),
    "W4A16_NVFP4": _Format(Precision.FP4, None, 16, _SMALL_SCALE),
    "W4A16_AWQ": _Format(Precision.INT4, None, 128, _HALF_SCALE),
    "W4A8_AWQ": _Format(Precision.INT4, Precision.FP8, 128, _HALF_SCALE),
    "W8A16": _Format(Precision.INT8, None, None, _FULL_SCALE),
    "W8A8_SQ_PER_CHANNEL": _Format(Precision.INT8, Precision.INT8, None, _FULL_SCALE),
}


def checkpoint_quantization(config: Config, layers: int, problems: list[Diagnostic]) -> CheckpointQuantization | None:
    """What `quantization_config` says; None when the checkpoint is not quantised.

    An unknown method is a problem: the size of its weights is not known.
    """
    outer = Fields(config, {}, problems)
    stated = outer.nested("quantization_config") or outer.nested("compression_config")
    if not stated:
        return None
    inner = stated.get("quantization")
    if isinstance(inner, dict):
        stated = {**inner, "quant_method": stated.get("quant_method", "modelopt")}
    fields = Fields(stated, {}, problems)
    method = (fields.text("quant_method") or ("modelopt" if fields.has("quant_algo") else "")).lower()
    found = _format(method, fields, stated, problems)
    if found is None:
        _unknown(method, stated, problems)
        return None
    kv_precision = _kv_precision(fields, stated)
    return CheckpointQuantization(
        method=method,
        weight_precision=found.weight,
        activation_precision=found.activation,
        group_size=found.group_size,
        kv_precision=kv_precision,
        unquantized=_unquantized(fields, method, layers),
        scale_bytes=found.scale_bytes,
    )


def _format(method: str, fields: Fields, stated: Config, problems: list[Diagnostic]) -> _Format | None:
    match method:
        case "fp8" | "fbgemm_fp8":
            block = fields.counts("weight_block_size")
            group = block[0] * block[1] if block and len(block) == 2 else None
            return _Format(Precision.FP8, Precision.FP8, group or None, _FULL_SCALE)
        case "mxfp4":
            return _Format(Precision.FP4, None, 32, _SMALL_SCALE)
        case "awq" | "gptq" | "auto-round":
            found = _integer_weights(fields)
            if method == "gptq" and found is not None and found.group_size and fields.flag("desc_act", False):
                problems.append(_ordered_groups())
            return found
        case "bitsandbytes":
            if fields.flag("load_in_4bit", False) or fields.flag("_load_in_4bit", False):
                return _Format(Precision.INT4, None, 64, _FULL_SCALE)
            return _Format(Precision.INT8, None, None, _FULL_SCALE)
        case "modelopt" | "modelopt_fp4" | "modelopt_mixed":
            return _modelopt(fields, stated)
        case "compressed-tensors":
            return _compressed_tensors(fields, stated)
    return None


def _integer_weights(fields: Fields) -> _Format | None:
    """AWQ and GPTQ: integer weights of 4 or 8 bits with FP16 scales and zero points."""
    bits = fields.optional_count("bits", "w_bit", largest=64)
    group = fields.optional_count("group_size", "q_group_size", largest=_LARGEST_GROUP, smallest=-1)
    weight = {4: Precision.INT4, 8: Precision.INT8}.get(bits or 4)
    if weight is None:
        return None
    return _Format(weight, None, group if group and group > 0 else None, _HALF_SCALE + _ZERO_POINT_BYTES)


def _modelopt(fields: Fields, stated: Config) -> _Format | None:
    algorithm = fields.text("quant_algo") or ""
    if algorithm == "MIXED_PRECISION":
        algorithm = _most_common_algorithm(stated)
    if not algorithm and fields.has("config_groups"):
        return _compressed_tensors(fields, stated)
    found = _MODELOPT.get(algorithm.upper())
    group = fields.optional_count("group_size", largest=_LARGEST_GROUP)
    if found is None or group is None or found.group_size is None:
        return found
    return found._replace(group_size=group)


def _most_common_algorithm(stated: Config) -> str:
    layers = stated.get("quantized_layers")
    if not isinstance(layers, dict):
        return ""
    algorithms = [each.get("quant_algo") for each in layers.values() if isinstance(each, dict)]
    counted = Counter(name for name in algorithms if isinstance(name, str))
    return max(sorted(counted), key=counted.__getitem__, default="")


def _compressed_tensors(fields: Fields, stated: Config) -> _Format | None:
    groups = fields.nested("config_groups")
    first = next(iter(groups.values()), None) if groups else None
    if not isinstance(first, dict) or not isinstance(first.get("weights"), dict):
        return None
    weights = Fields(first["weights"], {}, [])
    bits, kind = weights.optional_count("num_bits", largest=64), weights.text("type")
    weight = {(8, "float"): Precision.FP8, (8, "int"): Precision.INT8, (4, "int"): Precision.INT4}.get(
        (bits or 0, kind or "")
    )
    group = weights.optional_count("group_size", largest=_LARGEST_GROUP, smallest=-1)
    scale = _HALF_SCALE
    if (bits, kind) == (4, "float"):
        weight, group, scale = Precision.FP4, group or 16, _SMALL_SCALE
    block = weights.counts("block_structure")
    if block and len(block) == 2:
        group, scale = block[0] * block[1], _FULL_SCALE
    if weight is None:
        return None
    return _Format(weight, _activation(first.get("input_activations")), group if group and group > 0 else None, scale)


def _activation(stated: object) -> Precision | None:
    if not isinstance(stated, dict):
        return None
    match stated.get("num_bits"), stated.get("type"):
        case 8, "float":
            return Precision.FP8
        case 8, "int":
            return Precision.INT8
        case 4, "float":
            return Precision.FP4
    return None


def _kv_precision(fields: Fields, stated: Config) -> Precision | None:
    if isinstance(fields.text("kv_cache_quant_algo"), str):
        return Precision.FP8 if (fields.text("kv_cache_quant_algo") or "").upper() == "FP8" else None
    if stated.get("kv_cache_scheme") == "FP8":
        return Precision.FP8
    scheme = fields.nested("kv_cache_scheme")
    if scheme and scheme.get("num_bits") == 8 and scheme.get("type") == "float":
        return Precision.FP8
    return None


def _unquantized(fields: Fields, method: str, layers: int) -> tuple[LayerPart, ...]:
    """Parts that at least half of the layers exclude, by name or by a pattern.

    MXFP4 is made for experts only; its loader leaves all other layers alone.
    """
    if method == "mxfp4":
        return (LayerPart.ATTENTION, LayerPart.DENSE, LayerPart.SHARED_EXPERTS)
    counts: Counter[LayerPart] = Counter()
    for key in _EXCLUDED_KEYS:
        for entry in fields.texts(key) or ():
            part = _part_of(entry)
            if part is not None:
                is_pattern = "*" in entry or not any(character.isdigit() for character in entry)
                counts[part] += layers if is_pattern else 1
    return tuple(part for part in LayerPart if counts[part] * 2 >= max(1, layers))


def _part_of(entry: str) -> LayerPart | None:
    """The part of a layer that an entry of an exclusion list is about; None for routers, heads, embeddings, vision."""
    name = entry.replace("\\", "")
    if any(word in name for word in _ROUTER_WORDS) or any(word in name for word in _OTHER_WORDS):
        return None
    if "self_attn" in name or "linear_attn" in name or "attention" in name:
        return LayerPart.ATTENTION
    if "shared_expert" in name:
        return LayerPart.SHARED_EXPERTS
    if "experts" in name:
        return LayerPart.EXPERTS
    return LayerPart.DENSE if "mlp" in name and "proj" in name else None


def _ordered_groups() -> Diagnostic:
    """GPTQ whose groups follow the order of activations.

    Source: vLLM 0.32, quantization/utils/gptq_utils.py (`normalize_and_validate_gptq_desc_act`).
    """
    return Diagnostic(
        id="config-quantization",
        message="vLLM no longer loads GPTQ whose groups are in the order of activations",
        notes=("quantization_config has desc_act: true and a group_size",),
        help="take a checkpoint with desc_act: false, or plan the unquantised one with constraints.precision",
    )


def _unknown(method: str, stated: Config, problems: list[Diagnostic]) -> None:
    what = f"the method {method[:40]!r}" if method and method not in METHODS else f"this use of {method or 'no method'}"
    details: Sequence[str] = [str(key)[:40] for key in stated][:12]
    problems.append(
        Diagnostic(
            id="config-quantization",
            message=f"the checkpoint is quantised in a way that infc does not know: {what}",
            notes=(f"known methods: {', '.join(METHODS)}", f"quantization_config has {', '.join(details)}"),
            help="plan the unquantised checkpoint with the precision that you want, or use one of the known methods",
        )
    )
