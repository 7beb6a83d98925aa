"""Flags that `deploy.vllm.args` cannot set, and what decides them instead."""

from collections.abc import Mapping

_PLAN = "the plan decides it"
_PRECISION = "the plan decides it: narrow it with constraints.precision"
_LENGTHS = "the plan decides it: the longest request is prompt_tokens.max + output_tokens.max of the workload"
_LIMITS = "the plan decides it from the SLO and the workload"
_MODEL = "the section `model` decides it"
_DEVICES = "the plan decides it: narrow it with constraints.hardware and constraints.max_accelerators"
_MEMORY = "the plan decides it: narrow it with constraints.max_memory"
_DRAFT = "offer a drafter as deploy.vllm.speculative: the plan uses it where it pays"
_ADDRESS = "the deployment decides it: compose.yaml and the Kubernetes Service name the port"
_OUTSIDE = "a secret does not belong into a file that is committed: set {variable} where the server starts"
_CODE = "it loads code that infc has not seen; start such a server by hand"

RESERVED: Mapping[str, str] = {
    **dict.fromkeys(
        ("model", "tokenizer", "revision", "tokenizer-revision", "code-revision", "hf-config-path", "load-format"),
        _MODEL,
    ),
    "served-model-name": "`model.name` decides it",
    **dict.fromkeys(("dtype", "quantization", "quantization-config", "kv-cache-dtype"), _PRECISION),
    "max-model-len": _LENGTHS,
    **dict.fromkeys(
        (
            "max-num-seqs",
            "max-num-batched-tokens",
            "max-num-active-seqs",
            "max-num-scheduled-tokens",
            "long-prefill-token-threshold",
            "long-prefill-token-threshold-adaptive",
            "enable-chunked-prefill",
            "scheduling-policy",
            "performance-mode",
            "async-scheduling",
            "stream-interval",
            "prefill-schedule-interval",
            "watermark",
            "scheduler-reserve-full-isl",
        ),
        _LIMITS,
    ),
    "enable-prefix-caching": "write deploy.vllm.prefix_caching: true or false",
    **dict.fromkeys(("speculative-config", "spec-method", "spec-model", "spec-tokens"), _DRAFT),
    "chat-template": "write deploy.vllm.chat_template: the file then goes into the bundle",
    **dict.fromkeys(
        (
            "tensor-parallel-size",
            "pipeline-parallel-size",
            "data-parallel-size",
            "data-parallel-size-local",
            "data-parallel-rank",
            "data-parallel-start-rank",
            "data-parallel-address",
            "data-parallel-rpc-port",
            "data-parallel-backend",
            "data-parallel-hybrid-lb",
            "data-parallel-external-lb",
            "data-parallel-multi-port-external-lb",
            "decode-context-parallel-size",
            "prefill-context-parallel-size",
            "enable-expert-parallel",
            "distributed-executor-backend",
            "nnodes",
            "node-rank",
            "master-addr",
            "master-port",
            "device-ids",
        ),
        _DEVICES,
    ),
    **dict.fromkeys(
        (
            "gpu-memory-utilization",
            "kv-cache-memory-bytes",
            "num-gpu-blocks-override",
            "block-size",
            "cpu-offload-gb",
            "kv-offloading-size",
        ),
        _MEMORY,
    ),
    **dict.fromkeys(("language-model-only", "limit-mm-per-prompt", "runner", "convert", "hf-overrides"), _PLAN),
    **dict.fromkeys(("host", "port", "uds", "grpc", "grpc-port", "headless"), _ADDRESS),
    "api-key": _OUTSIDE.format(variable="VLLM_API_KEY"),
    "hf-token": _OUTSIDE.format(variable="HF_TOKEN"),
    **dict.fromkeys(
        (
            "trust-remote-code",
            "worker-cls",
            "worker-extension-cls",
            "scheduler-cls",
            "middleware",
            "logits-processors",
            "tool-parser-plugin",
            "reasoning-parser-plugin",
            "io-processor-plugin",
            "model-class-overrides",
        ),
        _CODE,
    ),
}
"""Name of an argument -> why it is refused, a sentence without a full stop that says what to do."""
