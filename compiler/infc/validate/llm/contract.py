"""`validation.json` of a language model's bundle: what the deployment must do, so that the bundle alone can be tested.

Written by compile into the bundle, read by `infc validate`: the targets, the traffic with its token lengths, what the
plan predicted, the limits that the server is to have, and the step times that a rehearsal plays.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from infc.ir.candidate import ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.estimate import Estimate
from infc.ir.interval import Basis, Interval
from infc.ir.llm_measurement import TokenMetric
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget, LlmProblem, TokenTraffic, Traffic
from infc.ir.step_time import StepTimeModel
from infc.plan.llm.load import targets_of
from infc.plan.llm.site import LlmSite
from infc.validate.contract import CONTRACT_NAME
from infc.validate.contract_json import (
    interval_from_json,
    interval_to_json,
    sizes_from_json,
    sizes_to_json,
    traffic_from_json,
    traffic_to_json,
)

__all__ = ["CONTRACT_NAME", "KIND", "LlmContract", "ServedLlm", "from_json", "llm_contract_from", "to_json"]

FORMAT_VERSION = "1.0"
KIND = "language-model"
"""What `validation.json` says of itself, and one of an ONNX model does not."""


@dataclass(frozen=True, kw_only=True)
class ServedLlm:
    """The model that the server is asked for, and the limits that the plan gave the server.

    `digest` is that of the unquantised model, as profiles name it, `checkpoint_digest` that of what is served.
    `kv_cache_tokens` is what the cache of one replica was planned to hold, in blocks of `block_tokens`.
    """

    name: str
    digest: str
    checkpoint_digest: str
    precision: Precision
    kv_precision: Precision | None
    hardware_id: str
    is_cpu: bool
    vocabulary: int
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_cache_tokens: int
    block_tokens: int
    has_prefix_caching: bool
    is_speculative: bool

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.tensor_parallel * self.pipeline_parallel


@dataclass(frozen=True, kw_only=True)
class LlmContract:
    """What a deployment of a language model is to be judged by.

    `traffic` is that of the whole deployment, spread over `replicas`; `tokens` are the lengths of its requests.
    `targets` are by metric, `predicted_s` the plan's percentiles. `steps` are the planned step times of one replica.
    `spec_path` is relative to the root of the workspace; `server_version` is that of vLLM, empty where nobody said it.
    """

    name: str
    spec_path: str
    target: str
    server_version: str
    model: ServedLlm
    replicas: int
    targets: Mapping[TokenMetric, tuple[LatencyTarget, ...]]
    traffic: Traffic
    tokens: TokenTraffic
    predicted_s: Mapping[TokenMetric, Mapping[str, Interval]]
    steps: StepTimeModel

    @property
    def replica_rps(self) -> float:
        """The rate that one replica gets at the peak."""
        return self.traffic.peak_rps / self.replicas


def llm_contract_from(
    problem: LlmProblem, plan: Plan, checkpoint: Checkpoint, *, server_version: str = ""
) -> LlmContract:
    """The contract of a plan that is served by a vLLM of this version.

    Raises:
        ValueError: the plan's server does not batch as vLLM does, or the plan is of another problem.
    """
    candidate, tokens = plan.candidate, plan.estimate.tokens
    batching = candidate.batching
    option = next((o for o in problem.options if o.hardware.id == candidate.hardware_id), None)
    if not isinstance(batching, ContinuousBatching) or tokens is None or option is None:
        raise ValueError(f"{candidate.label} is not served by continuous batching")
    site = LlmSite(
        problem=problem,
        option=option,
        power_mode=candidate.power_mode,
        precision=candidate.precision,
        kv_precision=batching.kv_precision,
        tensor_parallel=candidate.tensor_parallel,
        pipeline_parallel=candidate.pipeline_parallel,
    )
    model = ServedLlm(
        name=problem.source.served_name,
        digest=problem.model.digest,
        checkpoint_digest=checkpoint.digest,
        precision=candidate.precision,
        kv_precision=batching.kv_precision,
        hardware_id=candidate.hardware_id,
        is_cpu=option.hardware.kind == "cpu",
        vocabulary=problem.model.vocabulary,
        tensor_parallel=candidate.tensor_parallel,
        pipeline_parallel=candidate.pipeline_parallel,
        max_model_len=batching.max_model_len or problem.model.max_context_tokens,
        max_num_seqs=batching.max_num_seqs,
        max_num_batched_tokens=batching.max_num_batched_tokens,
        kv_cache_tokens=tokens.kv_cache_tokens,
        block_tokens=site.block_tokens,
        has_prefix_caching=batching.has_prefix_caching,
        is_speculative=batching.speculation is not None,
    )
    return LlmContract(
        name=problem.name,
        spec_path=problem.spec_path,
        target=candidate.target,
        server_version=server_version,
        model=model,
        replicas=candidate.replicas,
        targets={
            metric: tuple(LatencyTarget(percentile=t.percentile, limit_s=t.limit_s) for t in targets)
            for metric, targets in targets_of(problem).items()
            if targets
        },
        traffic=problem.traffic,
        tokens=problem.tokens,
        predicted_s=predicted_from(plan.estimate),
        steps=site.known_steps(),
    )


def predicted_from(estimate: Estimate) -> Mapping[TokenMetric, Mapping[str, Interval]]:
    """The percentiles that a plan of a language model predicts, by metric."""
    tokens = estimate.tokens
    if tokens is None:
        return {}
    return {"ttft": tokens.ttft_s, "tpot": tokens.tpot_s, "itl": tokens.itl_s, "e2e": estimate.e2e_s}


def to_json(contract: LlmContract) -> bytes:
    """The file's content: seconds, requests per second, tokens; same contract, same bytes."""
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
    try:
        document = json.loads(content)
        version = str(document["format_version"])
        if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise ValueError(f"format version {version} is not read by this version of infc")
        return _contract(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a field is missing or has the wrong type: {error}") from error


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
