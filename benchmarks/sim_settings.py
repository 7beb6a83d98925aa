"""The settings of `sim_vs_triton`: service times, batching, instances, traffic, and the model configuration of each."""

from dataclasses import dataclass, replace

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, PoissonArrival
from infc.ir.candidate import DynamicBatching

MODEL = "sleeper"
LARGEST_BATCH = 8
_POISSON = PoissonArrival()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row: a batch of b takes `base_s + each_s * b`."""

    base_s: float
    each_s: float
    batching: DynamicBatching
    rate_rps: float
    instances: int = 1
    arrival: Arrival = _POISSON
    has_dynamic_shapes: bool = False

    @property
    def sleep_s(self) -> list[float]:
        """The known times, by batch size from 1."""
        return [self.base_s + self.each_s * size for size in range(1, LARGEST_BATCH + 1)]

    @property
    def label(self) -> str:
        """The row's name: service time, M = max batch size, D = queue delay, instances, rate."""
        parts = [f"{self.base_s * 1e3:g}+{self.each_s * 1e3:g}b ms", f"M={self.batching.max_batch_size}"]
        if self.batching.max_batch_size > 1:
            parts.append(f"D={self.batching.max_queue_delay_s * 1e3:g}")
        if self.batching.preferred_batch_sizes:
            parts.append(f"P={','.join(map(str, self.batching.preferred_batch_sizes))}")
        if not self.batching.has_prefetch:
            parts.append("policy")
        if self.has_dynamic_shapes:
            parts.append("dynamic")
        parts.append(f"I={self.instances} {self.rate_rps:g}/s")
        if not isinstance(self.arrival, PoissonArrival):
            parts.append("constant" if isinstance(self.arrival, ConstantArrival) else "bursty 2")
        return " ".join(parts)


def light(rate: float, delay_ms: float = 0.0, size: int = 8, **changes: object) -> Setting:
    """A setting with short service times: 4+0.5b ms."""
    batching = DynamicBatching(max_batch_size=size, max_queue_delay_s=delay_ms * 1e-3)
    return replace(Setting(base_s=0.004, each_s=0.0005, batching=batching, rate_rps=rate), **changes)  # type: ignore[arg-type]


def heavy(rate: float, delay_ms: float = 0.0, size: int = 8, **changes: object) -> Setting:
    """A setting with long service times: 12+b ms."""
    return replace(light(rate, delay_ms, size, **changes), base_s=0.012, each_s=0.001)


def with_policy(setting: Setting) -> Setting:
    """The setting with a queue policy that never fires."""
    return replace(setting, batching=replace(setting.batching, has_prefetch=False))


LIGHT_NONE, LIGHT_SMALL, LIGHT_LARGE = light(250), light(250, 1), light(250, 5)
LIGHT_DYNAMIC = replace(LIGHT_SMALL, has_dynamic_shapes=True)
HEAVY_NONE, HEAVY_SMALL = heavy(280), heavy(280, 2)
QUARTER = heavy(180, 10, size=4)
SETTINGS = (
    light(100, size=1),
    LIGHT_NONE,
    LIGHT_SMALL,
    with_policy(LIGHT_SMALL),
    LIGHT_LARGE,
    LIGHT_DYNAMIC,
    light(40, 3),
    light(150, 1, arrival=BurstyArrival(cv=2.0)),
    light(220, 2, arrival=ConstantArrival()),
    light(400, 1, instances=2),
    with_policy(light(400, 2, instances=2)),
    HEAVY_NONE,
    HEAVY_SMALL,
    with_policy(HEAVY_SMALL),
    heavy(150, 2),
    QUARTER,
    with_policy(QUARTER),
    heavy(400, instances=2),
    replace(LIGHT_SMALL, batching=replace(LIGHT_SMALL.batching, preferred_batch_sizes=(4, 8))),
)


def model_config(setting: Setting) -> dict[str, object]:
    """The model configuration of a setting, as protobuf JSON."""
    batching = setting.batching
    scheduler: dict[str, object] = {"max_queue_delay_microseconds": round(batching.max_queue_delay_s * 1e6)}
    if batching.preferred_batch_sizes:
        scheduler["preferred_batch_size"] = list(batching.preferred_batch_sizes)
    if not batching.has_prefetch:
        scheduler["default_queue_policy"] = {"default_timeout_microseconds": 10_000_000, "timeout_action": "DELAY"}
    dims = [-1] if setting.has_dynamic_shapes else [16]
    return {
        "name": MODEL,
        "platform": "tensorrt_plan",
        "max_batch_size": batching.max_batch_size,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": dims}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [16]}],
        "instance_group": [{"count": setting.instances, "kind": "KIND_CPU"}],
        "parameters": {"infc.service_times_s": {"string_value": ",".join(map(repr, setting.sleep_s))}},
        **({"dynamic_batching": scheduler} if batching.max_batch_size > 1 else {}),
    }
