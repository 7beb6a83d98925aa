"""Where a replica of a language model can run: devices, precision, tensor parallelism, and what it does on average."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from infc.ir.candidate import Candidate, ContinuousBatching, ServerName, Speculation
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, LlmProblem
from infc.ir.step_time import StepTimeModel
from infc.perf import Unsupported
from infc.perf.llm import device_power_w, step_time
from infc.perf.llm.cache import block_tokens_of, sequence_cache_bytes
from infc.perf.llm.drafter import SYNCHRONOUS_STEP_S, drafter_pass, with_drafter
from infc.perf.llm.memory import (
    DEFAULT_MEMORY_UTILIZATION,
    LlmMemory,
    budget_bytes,
    llm_memory,
    visible_memory_bytes,
)
from infc.perf.llm.place import unsupported
from infc.perf.llm.stages import stage_models
from infc.plan.capacity import option_of
from infc.plan.evidence import QUANTISED
from infc.plan.llm.load import Setup, has_prefix_caching
from infc.resolve.served_models import has_float16
from infc.sim.continuous_batching import Drafting

TOKEN_BUDGETS = (2048, 8192, 1024, 4096, 16384)
"""Values of max_num_batched_tokens that are tried, the usual ones first. Source: vLLM's defaults are 2048 and 8192."""
SEQUENCE_LIMITS = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Values of max_num_seqs that are considered."""
WIDE = (Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16)
"""Precisions of a checkpoint that is not quantised."""
SIXTEEN = (Precision.BF16, Precision.FP16)
_SHARES = 1000


@dataclass(frozen=True, kw_only=True)
class LlmSite:
    """A replica's devices at one precision of weights and KV cache; step times and memory are remembered.

    `pipeline_parallel` stages follow each other, each on `tensor_parallel` devices. `speculation` is what is drafted.
    """

    problem: LlmProblem
    option: HardwareOption
    power_mode: str | None
    precision: Precision
    kv_precision: Precision | None
    tensor_parallel: int
    pipeline_parallel: int = 1
    speculation: Speculation | None = None
    _steps: list[StepTimeModel | Unsupported] = field(default_factory=list, compare=False, repr=False)
    _memories: dict[tuple[int, int, float | None], LlmMemory] = field(default_factory=dict, compare=False, repr=False)

    @property
    def hardware(self) -> Hardware:
        """The device."""
        return self.option.hardware

    @property
    def label(self) -> str:
        """`bf16/h100-sxm/tp2`: the start of the label of every candidate here."""
        mode = f"@{self.power_mode}" if self.power_mode else ""
        kv = f"/kv-{self.kv_precision.value}" if self.kv_precision is not None else ""
        drafted = self.speculation
        drafts = f"/{drafted.method}{drafted.tokens}" if drafted is not None else ""
        stages = f"/pp{self.pipeline_parallel}" if self.pipeline_parallel > 1 else ""
        return f"{self.precision.value}/{self.hardware.id}{mode}/tp{self.tensor_parallel}{stages}{kv}{drafts}"

    @property
    def server(self) -> ServerName:
        """What is emitted here: a bundle for the device on a Jetson module, else vLLM's."""
        return "jetson" if self.hardware.kind == "jetson" else "vllm"

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def is_lowered(self) -> bool:
        """Whether weights or cache are in a quantised precision that is not the checkpoint's own."""
        return (self.precision in QUANTISED and self.precision is not native_precision(self.problem)) or (
            self.kv_precision is not None
        )

    @property
    def rank(self) -> int:
        """Order among places that are as good: as the checkpoint is, then with drafting, then in a lower precision."""
        return 2 * self.is_lowered + (self.speculation is not None)

    @property
    def longest_tokens(self) -> int:
        """Tokens of the longest request, with those drafted for it."""
        return self.problem.tokens.longest + (0 if self.speculation is None else self.speculation.tokens)

    @property
    def power_cap_w(self) -> float | None:
        """The most one device draws: the power mode's budget, else the card's."""
        for mode in self.hardware.power_modes:
            if mode.name == self.power_mode and mode.watts is not None:
                return mode.watts
        return self.hardware.tdp_w

    def steps(self) -> StepTimeModel | Unsupported:
        """Step times of one replica."""
        if not self._steps:
            steps = step_time(
                self.problem.model,
                self.hardware,
                self.precision,
                tensor_parallel=self.tensor_parallel,
                kv_precision=self.kv_precision or native_kv_precision(self.problem),
                measurements=self.problem.step_times,
                power_mode=self.power_mode,
                pipeline_parallel=self.pipeline_parallel,
            )
            if isinstance(steps, StepTimeModel) and self.is_synchronous and not self.is_cpu:
                steps = replace(steps, fixed_s=steps.fixed_s + SYNCHRONOUS_STEP_S)
            self._steps.append(steps)
        return self._steps[0]

    @cached_property
    def drafting(self) -> Drafting | None:
        """Drafting as it is simulated."""
        drafted = self.speculation
        if drafted is None:
            return None
        one = drafter_pass(
            self.problem.model,
            drafted.method,
            self.hardware,
            self.precision,
            tensor_parallel=self.tensor_parallel,
            power_mode=self.power_mode,
        )
        return Drafting(tokens=drafted.tokens, acceptance=drafted.acceptance, steps=one)

    def known_steps(self) -> StepTimeModel:
        """Step times of a site that has them."""
        steps = self.steps()
        assert isinstance(steps, StepTimeModel)  # noqa: S101 - sites without were ruled out
        return steps

    @property
    def is_supported(self) -> bool:
        """Whether vLLM runs the model here at all, memory apart."""
        model, hardware = self.problem.model, self.hardware
        return unsupported(model, hardware, self.precision, self.tensor_parallel, self.pipeline_parallel) is None

    @property
    def holds_longest(self) -> bool:
        """Whether the weights leave room for the longest request."""
        return self.most_cached_tokens >= self.longest_tokens

    @property
    def most_cached_tokens(self) -> int:
        """What a replica can cache at most, with the fewest sequences and tokens a step that are considered."""
        return self._memory(SEQUENCE_LIMITS[0], min(TOKEN_BUDGETS), None).kv_cache_tokens

    def memory(self, max_num_seqs: int, max_num_batched_tokens: int) -> LlmMemory:
        """Memory of one device of a replica, and how many tokens the replica can cache."""
        return self._memory(max_num_seqs, max_num_batched_tokens, self._cache_limit_bytes(max_num_seqs))

    def _memory(self, max_num_seqs: int, max_num_batched_tokens: int, cache_limit_bytes: float | None) -> LlmMemory:
        key = (max_num_seqs, max_num_batched_tokens, cache_limit_bytes)
        known = self._memories.get(key)
        if known is None:
            known = llm_memory(
                self._held_model,
                self.hardware,
                self.precision,
                tensor_parallel=self.tensor_parallel,
                kv_precision=self.kv_precision or native_kv_precision(self.problem),
                max_num_seqs=max_num_seqs,
                max_num_batched_tokens=max_num_batched_tokens,
                memory_utilization=self.memory_utilization,
                reserved_bytes=self.problem.reserved_bytes(self.hardware.id),
                context_tokens=usual_tokens(self.problem),
                cache_limit_bytes=cache_limit_bytes,
                pipeline_parallel=self.pipeline_parallel,
            )
            self._memories[key] = known
        return known

    def batching(self, max_num_seqs: int, max_num_batched_tokens: int) -> ContinuousBatching:
        """Settings of the scheduler here."""
        return ContinuousBatching(
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            has_prefix_caching=has_prefix_caching(self.problem),
            kv_precision=self.kv_precision,
            max_model_len=self.problem.tokens.longest,
            gpu_memory_utilization=self._asked_share(max_num_seqs, max_num_batched_tokens),
            kv_cache_memory_bytes=self._kv_cache_memory_bytes(max_num_seqs, max_num_batched_tokens),
            speculation=self.speculation,
        )

    def setup(self, max_num_seqs: int, max_num_batched_tokens: int, steps: StepTimeModel | None = None) -> Setup:
        """A replica with these settings; `steps` None are those predicted here."""
        return Setup(
            steps=steps or self.known_steps(),
            batching=self.batching(max_num_seqs, max_num_batched_tokens),
            kv_cache_tokens=self.memory(max_num_seqs, max_num_batched_tokens).kv_cache_tokens,
            block_tokens=self.block_tokens,
            has_async_scheduling=not self.is_synchronous,
            stages=self.pipeline_parallel,
            drafting=self.drafting,
        )

    def requests_that_fit(self, max_num_seqs: int, max_num_batched_tokens: int, tokens: int) -> int:
        """How many requests of so many tokens, output included, the KV cache of a replica holds at once."""
        held = self.memory(max_num_seqs, max_num_batched_tokens).breakdown.kv_cache_bytes
        held -= self._sequence_bytes(1) if self.shares_memory else 0.0  # vLLM's null block: it matters in a small cache
        return int(held // self._sequence_bytes(tokens))

    @property
    def is_cpu(self) -> bool:
        """Whether the device is a CPU."""
        return self.hardware.kind == "cpu"

    @property
    def shares_memory(self) -> bool:
        """Whether others use the device's memory too: its server is told the size of the cache."""
        return self.hardware.kind in ("cpu", "jetson")

    @property
    def is_synchronous(self) -> bool:
        """Whether a step waits for the scheduler.

        Source: vLLM 0.32 turns asynchronous scheduling off on a CPU, and with drafting by n-grams.
        """
        return self.is_cpu or (self.speculation is not None and self.speculation.method == "ngram")

    @property
    def _held_model(self) -> LlmProfile:
        """The model with what drafts for it."""
        drafted = self.speculation
        return self.problem.model if drafted is None else with_drafter(self.problem.model, drafted.method)

    @property
    def block_tokens(self) -> int:
        """Tokens of a block of the KV cache."""
        return block_tokens_of(self.problem.model, self.hardware.kind)

    def power_w(self, utilization: float) -> Interval | None:
        """Power of one device that runs steps this share of the time."""
        return device_power_w(self.hardware, utilization, self.power_mode)

    @property
    def memory_utilization(self) -> float:
        """The share of a device's memory that the server takes: vLLM's default unless less is left for it.

        Less is left under `constraints.max_memory`, and where a small card or a Jetson needs more for its own. Cut to
        a thousandth, as it is emitted.
        """
        visible, limit = visible_memory_bytes(self.hardware), self.problem.limits.max_memory_bytes
        share = (
            budget_bytes(self.hardware, DEFAULT_MEMORY_UTILIZATION, self.problem.reserved_bytes(self.hardware.id))
            / visible
        )
        if limit is not None:
            share = min(share, limit / visible)
        return math.floor(share * _SHARES + 1e-6) / _SHARES

    def _sequence_bytes(self, tokens: int) -> float:
        """What a request of so many tokens takes of the cache of one device; of a pipeline, in the fullest stage."""
        return max(
            sequence_cache_bytes(
                stage,
                tokens,
                self.kv_precision or native_kv_precision(self.problem),
                self.tensor_parallel,
                self.block_tokens,
            )
            for stage in stage_models(self._held_model, self.pipeline_parallel)
        )

    def _cache_limit_bytes(self, max_num_seqs: int) -> float | None:
        """What the cache is given at most where memory is shared: every admitted request at its longest, a null block.

        More would never be used, and others could not use it.
        """
        if not self.shares_memory:
            return None
        return max_num_seqs * self._sequence_bytes(self.longest_tokens) + self._sequence_bytes(1)

    def _asked_share(self, max_num_seqs: int, max_num_batched_tokens: int) -> float | None:
        """The share of the memory that the server asks for; None for a CPU, whose cache alone is settled.

        On a Jetson module it is what the server needs: vLLM starts only where as much is free.
        """
        if self.is_cpu:
            return None
        if self.hardware.kind != "jetson":
            return self.memory_utilization
        needed = self.memory(max_num_seqs, max_num_batched_tokens).breakdown.total_bytes
        share = math.ceil(needed / visible_memory_bytes(self.hardware) * _SHARES) / _SHARES
        return min(share, self.memory_utilization)

    def _kv_cache_memory_bytes(self, max_num_seqs: int, max_num_batched_tokens: int) -> int | None:
        if not self.shares_memory:
            return None
        return int(self.memory(max_num_seqs, max_num_batched_tokens).breakdown.kv_cache_bytes)


def site_of(problem: LlmProblem, candidate: Candidate, *, has_drafting: bool = True) -> LlmSite | None:
    """Where a candidate runs, on request as if nothing were drafted there.

    Returns: None where the problem has no such hardware, or the candidate's server does not batch continuously.
    """
    batching = candidate.batching
    option = option_of(problem, candidate.hardware_id)
    if option is None or not isinstance(batching, ContinuousBatching):
        return None
    return LlmSite(
        problem=problem,
        option=option,
        power_mode=candidate.power_mode,
        precision=candidate.precision,
        kv_precision=batching.kv_precision,
        tensor_parallel=candidate.tensor_parallel,
        pipeline_parallel=candidate.pipeline_parallel,
        speculation=batching.speculation if has_drafting else None,
    )


def native_precision(problem: LlmProblem) -> Precision:
    """The precision of the checkpoint's weights."""
    stored = problem.model.quantization
    return problem.model.dtype if stored is None else stored.weight_precision


def own_precision(problem: LlmProblem, hardware: Hardware) -> Precision:
    """What the checkpoint runs in on a device: as it is, or the other 16-bit format where the device lacks its own.

    BF16 where vLLM does not start the model in FP16.
    """
    native = native_precision(problem)
    if native not in WIDE:
        return native
    preferred = (native, *SIXTEEN) if native in SIXTEEN and has_float16(problem.model) else SIXTEEN
    return next((p for p in preferred if p in hardware.peak_flops), native)


def native_kv_precision(problem: LlmProblem) -> Precision | None:
    """The precision of the cache where the checkpoint fixes it."""
    stored = problem.model.quantization
    return None if stored is None else stored.kv_precision


def usual_tokens(problem: LlmProblem) -> int:
    """The length of a usual request with its output: the medians, or the maxima where the spec gives none."""
    return sum(sizes.percentiles.get(50.0, sizes.maximum) for sizes in (problem.tokens.prompt, problem.tokens.output))


def sequence_limit(at_least: float) -> int:
    """The smallest of the considered limits that is no less; the largest of them at most.

    >>> sequence_limit(33), sequence_limit(5000)
    (48, 1024)
    """
    return next((limit for limit in SEQUENCE_LIMITS if limit >= at_least), SEQUENCE_LIMITS[-1])
