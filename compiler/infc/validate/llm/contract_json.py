"""`validation.json` of a language model's bundle <-> `LlmContract`: seconds, requests per second, tokens."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from infc.ir.interval import Basis
from infc.ir.llm_measurement import TokenMetric
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget, TokenTraffic
from infc.ir.step_time import StepTimeModel
from infc.validate.contract_json import (
    FORMAT_VERSION,
    interval_from_json,
    interval_to_json,
    parsed_contract,
    sizes_from_json,
    sizes_to_json,
    traffic_from_json,
    traffic_to_json,
)
from infc.validate.llm.contract import LlmContract, ServedLlm

KIND = "language-model"
"""What `validation.json` says of itself, and one of an ONNX model does not."""


def to_json(contract: LlmContract) -> bytes:
    """The file's content; same contract, same bytes."""
    model, steps = contract.model, contract.steps
    document = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "name": contract.name,
        "spec_path": contract.spec_path,
        "target": contract.target,
        "server_version": contract.server_version,
        "model": {
            "name": model.name,
            "digest": model.digest,
            "checkpoint_digest": model.checkpoint_digest,
            "precision": model.precision.value,
            "kv_precision": None if model.kv_precision is None else model.kv_precision.value,
            "hardware_id": model.hardware_id,
            "device": "cpu" if model.is_cpu else "gpu",
            "vocabulary": model.vocabulary,
            "tensor_parallel": model.tensor_parallel,
            "pipeline_parallel": model.pipeline_parallel,
            "max_model_len": model.max_model_len,
            "max_num_seqs": model.max_num_seqs,
            "max_num_batched_tokens": model.max_num_batched_tokens,
            "kv_cache_tokens": model.kv_cache_tokens,
            "block_tokens": model.block_tokens,
            "has_prefix_caching": model.has_prefix_caching,
            "is_speculative": model.is_speculative,
        },
        "replicas": contract.replicas,
        "limits_s": {
            metric: {target.label: float(target.limit_s) for target in targets}
            for metric, targets in contract.targets.items()
        },
        "traffic": traffic_to_json(contract.traffic),
        "tokens": {
            "prompt": sizes_to_json(contract.tokens.prompt),
            "output": sizes_to_json(contract.tokens.output),
            "shared_prefix": float(contract.tokens.shared_prefix),
        },
        "predicted_s": {
            metric: {label: interval_to_json(value) for label, value in values.items()}
            for metric, values in contract.predicted_s.items()
        },
        "step_time": {
            "basis": steps.basis.value,
            "token_knots": list(steps.token_knots),
            "token_s": [float(each) for each in steps.token_s],
            "sequence_s": float(steps.sequence_s),
            "context_s": float(steps.context_s),
            "pair_s": float(steps.pair_s),
            "fixed_s": float(steps.fixed_s),
            "request_s": float(steps.request_s),
            "window_s": float(steps.window_s),
            "window_tokens": steps.window_tokens,
        },
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def from_json(content: bytes) -> LlmContract:
    """Read a file's content.

    Raises:
        ValueError: it is not a contract that this version reads; the message says why.
    """
    return parsed_contract(content, _contract)


def _contract(document: Mapping[str, Any]) -> LlmContract:
    steps, tokens = document["step_time"], document["tokens"]
    window = steps["window_tokens"]
    return LlmContract(
        name=str(document["name"]),
        spec_path=str(document["spec_path"]),
        target=str(document["target"]),
        server_version=str(document["server_version"]),
        model=_model(document["model"]),
        replicas=int(document["replicas"]),
        targets={
            _metric(metric): tuple(
                LatencyTarget(percentile=float(label.removeprefix("p")), limit_s=float(limit_s))
                for label, limit_s in limits.items()
            )
            for metric, limits in document["limits_s"].items()
        },
        traffic=traffic_from_json(document["traffic"]),
        tokens=TokenTraffic(
            prompt=sizes_from_json(tokens["prompt"]),
            output=sizes_from_json(tokens["output"]),
            shared_prefix=float(tokens["shared_prefix"]),
        ),
        predicted_s={
            _metric(metric): {str(label): interval_from_json(value) for label, value in values.items()}
            for metric, values in document["predicted_s"].items()
        },
        steps=StepTimeModel(
            token_knots=tuple(int(each) for each in steps["token_knots"]),
            token_s=tuple(float(each) for each in steps["token_s"]),
            sequence_s=float(steps["sequence_s"]),
            context_s=float(steps["context_s"]),
            pair_s=float(steps["pair_s"]),
            fixed_s=float(steps["fixed_s"]),
            request_s=float(steps["request_s"]),
            window_s=float(steps["window_s"]),
            window_tokens=None if window is None else int(window),
            basis=Basis(steps["basis"]),
        ),
    )


def _model(fields: Mapping[str, Any]) -> ServedLlm:
    numbers = (
        "vocabulary",
        "tensor_parallel",
        "pipeline_parallel",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "kv_cache_tokens",
        "block_tokens",
    )
    kv_precision = fields["kv_precision"]
    return ServedLlm(
        name=str(fields["name"]),
        digest=str(fields["digest"]),
        checkpoint_digest=str(fields["checkpoint_digest"]),
        precision=Precision(fields["precision"]),
        kv_precision=None if kv_precision is None else Precision(kv_precision),
        hardware_id=str(fields["hardware_id"]),
        is_cpu=fields["device"] == "cpu",
        has_prefix_caching=bool(fields["has_prefix_caching"]),
        is_speculative=bool(fields["is_speculative"]),
        **{name: int(fields[name]) for name in numbers},
    )


def _metric(name: str) -> TokenMetric:
    for metric in get_args(TokenMetric):
        if metric == name:
            known: TokenMetric = metric
            return known
    raise ValueError(f"metric {name!r} is not known")
