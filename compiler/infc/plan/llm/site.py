"""Where a replica of a language model can run: devices, precision, tensor parallelism, and what it does on average."""

from dataclasses import dataclass, field

from infc.ir.candidate import ContinuousBatching
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, LlmProblem
from infc.ir.step_time import StepTimeModel
from infc.perf import Unsupported
from infc.perf.llm import device_power_w, step_time
from infc.perf.llm.memory import DEFAULT_MEMORY_UTILIZATION, LlmMemory, llm_memory, visible_memory_bytes
from infc.plan.evidence import QUANTISED

TOKEN_BUDGETS = (2048, 8192, 1024, 4096, 16384)
"""Values of max_num_batched_tokens that are tried, the usual ones first. Source: vLLM's defaults are 2048 and 8192."""
SEQUENCE_LIMITS = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Values of max_num_seqs that are considered."""


@dataclass(frozen=True, kw_only=True)
class LlmSite:
    """`tensor_parallel` devices at one precision of weights and KV cache; step times and memory are remembered."""

    problem: LlmProblem
    option: HardwareOption
    power_mode: str | None
    precision: Precision
    kv_precision: Precision | None
    tensor_parallel: int
    _steps: list[StepTimeModel | Unsupported] = field(default_factory=list, compare=False, repr=False)
    _memories: dict[tuple[int, int], LlmMemory] = field(default_factory=dict, compare=False, repr=False)

    @property
    def hardware(self) -> Hardware:
        """The device."""
        return self.option.hardware

    @property
    def label(self) -> str:
        """`bf16/h100-sxm/tp2`: the start of the label of every candidate here."""
        mode = f"@{self.power_mode}" if self.power_mode else ""
        kv = f"/kv-{self.kv_precision.value}" if self.kv_precision is not None else ""
        return f"{self.precision.value}/{self.hardware.id}{mode}/tp{self.tensor_parallel}{kv}"

    @property
    def is_lowered(self) -> bool:
        """Whether weights or cache are in a quantised precision that is not the checkpoint's own."""
        return (self.precision in QUANTISED and self.precision is not native_precision(self.problem)) or (
            self.kv_precision is not None
        )

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
            self._steps.append(
                step_time(
                    self.problem.model,
                    self.hardware,
                    self.precision,
                    tensor_parallel=self.tensor_parallel,
                    kv_precision=self.kv_precision or native_kv_precision(self.problem),
                    measurements=self.problem.step_times,
                    power_mode=self.power_mode,
                )
            )
        return self._steps[0]

    def known_steps(self) -> StepTimeModel:
        """Step times of a site that has them."""
        steps = self.steps()
        assert isinstance(steps, StepTimeModel)  # noqa: S101 - sites without were ruled out
        return steps

    def memory(self, max_num_seqs: int, max_num_batched_tokens: int) -> LlmMemory:
        """Memory of one device of a replica, and how many tokens the replica can cache."""
        key = (max_num_seqs, max_num_batched_tokens)
        known = self._memories.get(key)
        if known is None:
            known = llm_memory(
                self.problem.model,
                self.hardware,
                self.precision,
                tensor_parallel=self.tensor_parallel,
                kv_precision=self.kv_precision or native_kv_precision(self.problem),
                max_num_seqs=max_num_seqs,
                max_num_batched_tokens=max_num_batched_tokens,
                memory_utilization=self._memory_utilization,
                reserved_bytes=self.problem.limits.reserved_bytes,
                context_tokens=usual_tokens(self.problem),
            )
            self._memories[key] = known
        return known

    def batching(self, max_num_seqs: int, max_num_batched_tokens: int) -> ContinuousBatching:
        """Settings of the scheduler here."""
        return ContinuousBatching(
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            kv_precision=self.kv_precision,
        )

    def power_w(self, utilization: float) -> Interval | None:
        """Power of one device that runs steps this share of the time."""
        return device_power_w(self.hardware, utilization, self.power_mode)

    @property
    def _memory_utilization(self) -> float:
        limit = self.problem.limits.max_memory_bytes
        if limit is None:
            return DEFAULT_MEMORY_UTILIZATION
        return min(DEFAULT_MEMORY_UTILIZATION, limit / visible_memory_bytes(self.hardware))


def native_precision(problem: LlmProblem) -> Precision:
    """The precision of the checkpoint's weights."""
    stored = problem.model.quantization
    return problem.model.dtype if stored is None else stored.weight_precision


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
