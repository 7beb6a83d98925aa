"""Configs that say common things in words of their own, rewritten into the common words."""

from infc.resolve.hf_config.config_file import Config


def canonical_config(config: Config) -> Config:
    """The config with what Falcon and GPT-BigCode say by flags said as numbers; any other as it is.

    >>> canonical_config({"model_type": "gpt_bigcode", "n_head": 48})["num_key_value_heads"]
    1
    """
    match config.get("model_type"):
        case "falcon":
            return _falcon(config)
        case "gpt_bigcode" if config.get("multi_query", True) is True:
            return {**config, "num_key_value_heads": 1}
    return config


def _falcon(config: Config) -> Config:
    changed: dict[str, object] = {**config, "mlp_bias": config.get("bias"), "attention_bias": config.get("bias")}
    is_new, is_parallel = config.get("new_decoder_architecture") is True, config.get("parallel_attn", True) is True
    changed["layer_norms"] = config.get("num_ln_in_parallel_attn") or 2 if is_new else 1 if is_parallel else 2
    if not is_new:
        changed["num_kv_heads"] = 1 if config.get("multi_query", True) is True else None
        changed.pop("n_head_kv", None)
    return changed
