"""`validation.json` of a language model's bundle: what the deployment must do, so that the bundle alone can be tested.

Written by compile into the bundle, read by `infc validate`: the targets, the traffic with its token lengths, what the
plan predicted, the limits that the server is to have, and the step times that a rehearsal plays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.candidate import ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.llm_measurement import TokenMetric
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget, LlmProblem, TokenTraffic, Traffic
from infc.ir.step_time import StepTimeModel
from infc.plan.llm.load import targets_of
from infc.plan.llm.site import site_of


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
    site = site_of(problem, candidate, has_drafting=False)  # what drafts cannot be rehearsed: plain steps
    if not isinstance(batching, ContinuousBatching) or tokens is None or site is None:
        raise ValueError(f"{candidate.label} is not served by continuous batching")
    model = ServedLlm(
        name=problem.source.served_name,
        digest=problem.model.digest,
        checkpoint_digest=checkpoint.digest,
        precision=candidate.precision,
        kv_precision=batching.kv_precision,
        hardware_id=candidate.hardware_id,
        is_cpu=site.is_cpu,
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
