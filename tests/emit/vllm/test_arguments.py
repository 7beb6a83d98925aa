"""What `vllm serve` would do with a setting, told beforehand and without it."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.emit.vllm.arguments import check_arguments
from infc.emit.vllm.release import default_release, vllm_releases
from infc.emit.vllm.reserved import RESERVED
from infc.emit.vllm.schema import ArgumentSchema, argument_schema
from infc.emit.yaml_text import YamlValue

PINNED = argument_schema(default_release().version)


@pytest.fixture
def schema() -> ArgumentSchema:
    """Of the pinned release."""
    return PINNED


@pytest.mark.parametrize("version", [release.version for release in vllm_releases()])
def test_every_listed_release_has_its_arguments(version: str) -> None:
    """What a release accepts was extracted from it, under its own version."""
    schema = argument_schema(version)
    assert schema.version == version
    assert len(schema.arguments) > 300
    assert {"max-num-seqs", "no-enable-prefix-caching", "kv-cache-memory-bytes"} <= schema.by_key.keys()
    assert "SpeculativeConfig" in schema.objects
    assert all(argument.object is None or argument.object in schema.objects for argument in schema.arguments)
    assert "fp8" in schema.by_key["quantization"].known


@pytest.mark.parametrize(
    "written",
    [
        {"model": "Qwen/Qwen3-8B", "max-model-len": "8k", "max-num-batched-tokens": 2048},
        {"max-model-len": "auto"},
        {"max-model-len": -1},
        {"gpu-memory-utilization": 0.92, "kv-cache-dtype": "fp8", "quantization": None},
        {"served-model-name": ["a", "b"], "api-key": "x", "enable-log-requests": True},
        {"speculative-config": {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 5}},
        {"compilation-config": '{"cudagraph_mode": "FULL", "pass_config": {"eliminate_noops": true}}'},
        {"custom-histogram-buckets": {"time_to_first_token": [0.1, 0.5]}},
        {"no-enable-prefix-caching": True, "limit-mm-per-prompt": {"image": 0}, "hf-token": True},
    ],
)
def test_what_the_parser_takes_has_no_fault(schema: ArgumentSchema, written: Mapping[str, YamlValue]) -> None:
    """Types, suffixes, lists, nested objects and negations as vLLM documents them."""
    assert check_arguments(schema, written) == ()


@pytest.mark.parametrize(
    ("written", "message", "help"),
    [
        ({"max-num-seq": 4}, "is short for `max-num-seqs`", "write `max-num-seqs`"),
        ({"max_num_seqs": 4}, "underscores", "write `max-num-seqs`"),
        ({"max-num-sequences": 4}, "is no argument of `vllm serve` 0.32.0", "did you mean `max-num-seqs`?"),
        ({"swap-space": 4}, "is no argument", ""),
        ({"enable-prefix-caching": False}, "is false, which vLLM drops", "write `no-enable-prefix-caching: true`"),
        ({"disable-log-stats": False}, "is false, which vLLM drops", "remove `disable-log-stats`"),
        ({"enforce-eager": "yes"}, "is a switch", "write `enforce-eager: true`"),
        ({"no-enforce-eager": False}, "takes only true", "write `no-enforce-eager: true`"),
        ({"max-num-seqs": None}, "takes no null", "remove `max-num-seqs`"),
        ({"max-num-seqs": 4.0}, "takes a whole number, not 4.0", "write `max-num-seqs: 4`"),
        ({"max-num-seqs": "48"}, "takes a whole number", "without quotes"),
        ({"max-num-seqs": True}, "takes a whole number, not true", ""),
        ({"max-num-seqs": 0}, "must be at least 1", ""),
        ({"gpu-memory-utilization": 1.7}, "must be above 0 and at most 1", ""),
        ({"max-num-batched-tokens": "1.5K"}, "takes a whole number", ""),
        ({"kv-cache-dtype": "fp16"}, 'cannot be "fp16"', "float16"),
        ({"quantization": "fp3"}, "is none that this release knows", "did you mean"),
        ({"tool-call-parser": "hermez"}, "is none that this release knows", "did you mean `hermes`?"),
        ({"seed": [1, 2]}, "takes one value, not a list", ""),
        ({"served-model-name": []}, "is an empty list, which vLLM drops", ""),
        ({"revision": 1e3}, "takes text, not the number 1000.0", "with quotes"),
        ({"served-model-name": "--trust-remote-code"}, "a command line reads as something else", ""),
        ({"served-model-name": "a\nb"}, "a command line reads as something else", ""),
        ({"compilation-config": {"mod": 3}}, "has a wrong `mod`: no such field", "did you mean `mode`?"),
        ({"kernel-config": {"ir_op_priority": {"x": 1}}}, "has a wrong `ir_op_priority.x`", ""),
        ({"speculative-config": {"method": "ngrams"}}, "has a wrong `method`", ""),
        ({"speculative-config": {"num_speculative_tokens": "3"}}, "it takes a whole number", ""),
        ({"kv-transfer-config": "{"}, "is no JSON", ""),
        ({"kv-transfer-config": 3}, "takes a JSON object, not 3", ""),
        ({"custom-histogram-buckets": {"ttft": [1]}}, "has no `ttft`", "time_to_first_token"),
        (
            {"gpu-memory-utilization": 0.9, "device-memory-utilization": 0.8},
            "sets the same as `gpu-memory-utilization`",
            "keep one",
        ),
        ({"enforce-eager": True, "no-enforce-eager": True}, "sets the same as `enforce-eager`", "keep one"),
    ],
)
def test_traps_of_the_file_are_named_with_their_fix(
    schema: ArgumentSchema, written: Mapping[str, YamlValue], message: str, help: str
) -> None:
    """One sentence that names the key, and what to write."""
    faults = check_arguments(schema, written)
    assert len(faults) == 1
    assert message in faults[0].message
    assert help in faults[0].help
    assert faults[0].message.startswith("`")
    assert not faults[0].message.endswith(".")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(st.data())
def test_no_value_crashes_the_check(data: st.DataObject) -> None:
    """Any key with any value gives faults or none, never an exception."""
    key = data.draw(st.sampled_from([*PINNED.by_key]) | st.text(max_size=20))
    for fault in check_arguments(PINNED, {key: data.draw(_VALUES)}):
        assert fault.help


def test_reserved_flags_exist(schema: ArgumentSchema) -> None:
    """A flag that is refused by name is one of the release's, under its usual name."""
    names = {argument.name for argument in schema.arguments}
    assert RESERVED.keys() <= names
