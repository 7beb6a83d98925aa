"""A contract like the load that the recorded results were made with."""

from collections.abc import Mapping

from infc.ir.arrival import PoissonArrival
from infc.ir.interval import Basis
from infc.ir.llm_measurement import TokenMetric
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution, LatencyTarget, TokenTraffic, Traffic
from infc.ir.step_time import StepTimeModel
from infc.validate.llm.contract import LlmContract, ServedLlm

MODEL = ServedLlm(
    name="demo",
    digest="a" * 64,
    checkpoint_digest="b" * 64,
    precision=Precision.BF16,
    kv_precision=None,
    hardware_id="cpu",
    is_cpu=True,
    vocabulary=4096,
    tensor_parallel=1,
    pipeline_parallel=1,
    max_model_len=1024,
    max_num_seqs=16,
    max_num_batched_tokens=512,
    kv_cache_tokens=131072,
    block_tokens=128,
    has_prefix_caching=True,
    is_speculative=False,
)


def target(percentile: float, limit_s: float) -> LatencyTarget:
    """`pNN: limit`."""
    return LatencyTarget(percentile=percentile, limit_s=limit_s)


def contract(
    targets: Mapping[TokenMetric, tuple[LatencyTarget, ...]],
    *,
    rate_rps: float = 4.0,
    prompt_tokens: int = 64,
    output_tokens: int = 32,
) -> LlmContract:
    """One replica of the recorded server under so many requests a second."""
    return LlmContract(
        name="demo",
        spec_path="demo.infc.yaml",
        target="cpu",
        server_version="0.32.0",
        model=MODEL,
        replicas=1,
        targets=targets,
        traffic=Traffic(arrival=PoissonArrival(), rate_rps=rate_rps, peak_rps=rate_rps, hourly=None, axes={}),
        tokens=TokenTraffic(
            prompt=AxisDistribution(percentiles={}, maximum=prompt_tokens),
            output=AxisDistribution(percentiles={}, maximum=output_tokens),
            shared_prefix=0.0,
        ),
        predicted_s={},
        steps=StepTimeModel(
            token_knots=(1, 512),
            token_s=(0.001, 0.01),
            sequence_s=0.0,
            context_s=0.0,
            pair_s=0.0,
            fixed_s=0.001,
            basis=Basis.ANALYTIC,
        ),
    )
