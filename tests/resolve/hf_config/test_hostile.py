"""Broken and hostile configs: a diagnostic with a fix, never a traceback, never a number that was made up."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.diag import has_errors
from infc.diag.catalogue import find_kind
from infc.resolve.hf_config import llm_profile
from infc.resolve.hf_config.config_file import MAX_CONFIG_BYTES
from tests.resolve.hf_config.models import CONFIGS

_BASES = ("llama-3.1-8b", "deepseek-v3", "gpt-oss-20b", "qwen3.5-397b-a17b", "gemma-3-4b", "falcon-7b", "gpt2")
_BASES += ("nemotron-3-nano-30b-a3b", "kimi-k2.5", "llama-4-scout", "qwen1.5-moe-a2.7b", "opt-350m")
_WRONG: tuple[object, ...] = (
    -1,
    10**30,
    10**400,
    "32",
    "",
    True,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    [],
    [1],
    {},
    {"a": {}},
    ["x"] * 50,
)
_SIZES = {
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "n_embd", "n_layer", "n_head"),
    *("max_position_embeddings", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
    *("linear_num_value_heads", "mamba_num_heads", "ssm_state_size", "moe_intermediate_size", "num_experts_per_tok"),
}
_MUTATIONS = 420


def _mutations() -> Iterator[tuple[str, str, object, dict[str, object]]]:
    """(base, key, value, config): one field of a real config replaced. The same every time."""
    random_values = random.Random(20250711)
    for number in range(_MUTATIONS):
        base = _BASES[number % len(_BASES)]
        config = json.loads((CONFIGS / f"{base}.json").read_text())
        fields = config["text_config"] if "text_config" in config and number % 3 else config
        key = random_values.choice(sorted(fields))
        value = random_values.choice(_WRONG)
        fields[key] = value
        yield base, key, value, config


def _is_well_told(path: Path) -> bool:
    """Reads a config; whether it gave a profile. Every diagnostic has a fix and is in the catalogue."""
    profile, problems = llm_profile(path)
    assert (profile is None) == has_errors(problems)
    for problem in problems:
        assert find_kind(problem.id) is not None
        assert problem.help
        assert len(problem.message) < 400
    if profile is not None:
        assert 0 < profile.parameters < 10**14
        assert profile.layers > 0
        assert all(group.attention.parameters >= 0 for group in profile.groups)
    return profile is not None


def test_mutated_configs_are_read_or_refused_in_words(tmp_path: Path) -> None:
    """A wrong size is refused; a wrong value of a field that says nothing about size does no harm."""
    path = tmp_path / "config.json"
    refused = 0
    for base, key, value, config in _mutations():
        path.write_text(json.dumps(config))
        is_read = _is_well_told(path)
        refused += not is_read
        if key in _SIZES and "text_config" not in config:
            assert not is_read, (base, key, value)
    assert refused > _MUTATIONS / 2


def test_configs_without_a_field_are_read_or_refused_in_words(tmp_path: Path) -> None:
    """Each field of each base left out once."""
    path = tmp_path / "config.json"
    for base in _BASES:
        config = json.loads((CONFIGS / f"{base}.json").read_text())
        for fields in (config, config.get("text_config", {})):
            for key in list(fields):
                value = fields.pop(key)
                path.write_text(json.dumps(config))
                _is_well_told(path)
                fields[key] = value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_hidden_layers": None}, "no num_hidden_layers"),
        ({"hidden_size": "4096"}, "hidden_size of the model config is '4096'"),
        ({"num_key_value_heads": 5}, "32 attention heads cannot share 5"),
        ({"num_attention_heads": 33, "num_key_value_heads": 33}, "no multiple of 33"),
        ({"layer_types": ["full_attention"] * 3}, "names 3 layers"),
        ({"layer_types": ["full_attention"] * 31 + ["quantum"]}, "'quantum'"),
        ({"num_local_experts": 4, "num_experts_per_tok": 9}, "takes 9 of 4 experts"),
        ({"hidden_size": 2**21, "intermediate_size": 2**22, "num_hidden_layers": 4096}, "parameters"),
        ({"is_encoder_decoder": True}, "an encoder-decoder"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(change: dict[str, object], words: str, tmp_path: Path) -> None:
    """The field, its value, and what it contradicts."""
    config = json.loads((CONFIGS / "llama-3.1-8b.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config, **change}))
    profile, problems = llm_profile(path)
    assert profile is None
    assert any(words in problem.message for problem in problems), problems


def test_every_missing_size_is_told_at_once(tmp_path: Path) -> None:
    """Not one error for each run."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    _, problems = llm_profile(path)
    missing = {problem.message.split(" has no ")[1].split()[0] for problem in problems}
    assert missing >= {"hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}


@pytest.mark.parametrize(
    ("data", "id"),
    [
        (b"", "config-unreadable"),
        (b"{", "config-unreadable"),
        (b"[1, 2]", "config-unreadable"),
        (b"null", "config-unreadable"),
        (b"\xff\xfe\x00", "config-unreadable"),
        (b"[" * 100_000, "config-unreadable"),
        (b'{"a":' * 100_000, "config-unreadable"),
        (b'{"hidden_size": ' + b"9" * 10_000 + b"}", "config-unreadable"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "config-unreadable"),
        (b" " * (MAX_CONFIG_BYTES + 1), "config-unreadable"),
        (b"<html>Not found</html>", "config-unreadable"),
        (b"{}", "config-architecture"),
    ],
    ids=lambda value: str(value[:20]) if isinstance(value, bytes) else value,
)
def test_files_that_are_no_config_are_refused(data: bytes, id: str, tmp_path: Path) -> None:
    """Whatever the bytes are."""
    path = tmp_path / "config.json"
    path.write_bytes(data)
    profile, problems = llm_profile(path)
    assert profile is None
    assert id in {problem.id for problem in problems}


def test_paths_that_are_no_file_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder without a config, a folder named config.json."""
    (tmp_path / "config.json").mkdir()
    for path in (tmp_path / "absent.json", tmp_path, tmp_path / "config.json"):
        profile, problems = llm_profile(path)
        assert profile is None
        assert [problem.id for problem in problems] == ["model-missing"]
