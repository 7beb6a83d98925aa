"""A GPU bundle's scheduling without the GPU: its own settings on the real vLLM, planned step times in place of a model.

API, tokeniser, scheduler, KV-cache manager and metrics are the real ones, with the bundle's limits; a worker class of
infc's waits as long as each step was planned to take.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from infc.diag import ToolError
from infc.ir.step_time import StepTimeModel
from infc.validate.llm.contract import LlmContract

PACE_FOLDER = Path(__file__).parents[2] / "serve" / "vllm_pace"
"""Modules for vLLM's own environment, which has no infc."""
STEP_OVERHEAD_S = 0.0013
SEQUENCE_OVERHEAD_S = 0.00006
"""What vLLM 0.32 on a CPU adds to a step, and to a step for each of its sequences: scheduling and handling of outputs
(1 ms), messages between engine and worker (0.3 ms, and 0.06 ms a sequence). Both are taken off the played time, since
planned step times hold what the server adds.
"""
_BLOCK_TOKENS = 32
"""The smallest block that vLLM's attention takes on a CPU."""
_HEAD = 64
_BYTES_PER_TOKEN = 2 * _HEAD * 2
"""A key and a value of the stand-in's one head, in 16 bits."""
_KEPT = (
    "served-model-name",
    "max-model-len",
    "max-num-seqs",
    "max-num-active-seqs",
    "max-num-batched-tokens",
    "long-prefill-token-threshold",
    "enable-chunked-prefill",
    "no-enable-chunked-prefill",
    "enable-prefix-caching",
    "no-enable-prefix-caching",
    "max-num-queued-reqs",
    "max-num-queued-tokens",
    "scheduling-policy",
    "stream-interval",
    "custom-histogram-buckets",
    "seed",
)
"""Options of the bundle's serve.yaml that a rehearsal takes over as they are."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A server's configuration, and the environment variables that it needs."""

    config: Path
    variables: Mapping[str, str]
    has_tokenizer: bool


def write_rehearsal(bundle: Path, contract: LlmContract, folder: Path) -> Rehearsal:
    """Write a configuration to `folder` that rehearses the bundle on a CPU.

    Kept: every limit of the scheduler, the number of tokens that the cache holds, the served name, the tokeniser.
    Changed: a model of one small layer that is never computed, on one CPU, scheduled synchronously (as there).

    Raises:
        ToolError: serve.yaml is missing or no configuration, or the plan drafts tokens.
    """
    if contract.model.is_speculative:
        raise ToolError(
            "the plan drafts tokens, whose acceptance a rehearsal cannot play",
            help="test the real server with --endpoint http://host:8000",
        )
    options = serve_options(bundle / "serve.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "stand-in"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(_stand_in(contract)), encoding="utf-8")
    blocks = -(-contract.model.kv_cache_tokens // _BLOCK_TOKENS) + 1
    has_tokenizer = (bundle / "model" / "tokenizer.json").is_file()
    settings: dict[str, object] = {
        **{name: options[name] for name in _KEPT if name in options},
        "model": str(model),
        "load-format": "dummy",
        "dtype": "bfloat16",
        "enforce-eager": True,
        "worker-cls": "paced_worker.PacedWorker",
        "block-size": _BLOCK_TOKENS,
        "num-gpu-blocks-override": blocks,
        "kv-cache-memory-bytes": 2 * blocks * _BLOCK_TOKENS * _BYTES_PER_TOKEN,
        **({"tokenizer": str((bundle / "model").absolute())} if has_tokenizer else {"skip-tokenizer-init": True}),
    }
    config = folder / "serve.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    variables = {"PYTHONPATH": str(PACE_FOLDER), "PACE_MODEL": json.dumps(_pace(contract.steps))}
    return Rehearsal(config=config, variables=variables, has_tokenizer=has_tokenizer)


def serve_options(path: Path) -> Mapping[str, object]:
    """The options of a `serve.yaml`, by their names with dashes.

    Raises:
        ToolError: it cannot be read, or is no configuration.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}", help="compile the spec again") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ToolError(f"{path} is not YAML: {error}", help="compile the spec again") from error
    if not isinstance(document, dict):
        raise ToolError(f"{path} is not a configuration of vLLM", help="compile the spec again")
    return {str(name).replace("_", "-"): value for name, value in document.items()}


def _stand_in(contract: LlmContract) -> dict[str, object]:
    """The config.json of a model with one layer and one head, as large a vocabulary and context as the real one."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _HEAD,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": _HEAD,
        "intermediate_size": 2 * _HEAD,
        "vocab_size": contract.model.vocabulary,
        "max_position_embeddings": contract.model.max_model_len,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }


def _pace(steps: StepTimeModel) -> dict[str, object]:
    """The planned step times as the worker plays them, the server's own part taken off.

    An attention window is played as if every context were as long as it: `window_s` counts for every token in it.
    """
    return {
        "knots": list(steps.token_knots),
        "seconds": list(steps.token_s),
        "fixed_s": steps.fixed_s - STEP_OVERHEAD_S,
        "sequence_s": steps.sequence_s - SEQUENCE_OVERHEAD_S + steps.window_s * (steps.window_tokens or 0),
        "context_s": steps.context_s,
        "pair_s": steps.pair_s,
    }
