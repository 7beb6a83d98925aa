"""Plans of language models on Jetson modules: shared memory, power modes, precisions of the chip."""

from pathlib import Path

import pytest

from infc.ir.candidate import ContinuousBatching
from infc.ir.plan import Infeasible, Plan
from infc.ir.precision import Precision
from infc.perf.llm import step_time
from infc.perf.support import Unsupported
from infc.plan.llm.space import sites
from infc.sim.continuous_batching.step import step_s
from tests.llm_edge import LARGE, catalogue, decided, load, problem_of

ORIN, NANO, THOR = "jetson-agx-orin-64gb", "jetson-orin-nano-8gb", "jetson-agx-thor-t5000"


def plan_on(folder: Path, hardware: str, model: Path = LARGE, deploy: str = "", constraints: str = "") -> Plan:
    """A plan, which there is."""
    found = decided(problem_of(load(folder, hardware, model=model, deploy=deploy, constraints=constraints)))
    assert isinstance(found, Plan), found
    return found


def refused(folder: Path, hardware: str, **asked: str) -> str:
    """Why there is no plan, in words."""
    server = asked.pop("server", "jetson")
    found = decided(problem_of(load(folder, hardware, model=LARGE, server=server, **asked)))
    assert isinstance(found, Infeasible), found
    return "; ".join(f"{r.constraint}: {r.predicted} {r.limit}" for r in found.rejections)


def test_a_module_is_served_by_a_bundle_of_its_own(tmp_path: Path) -> None:
    """One device, in a named mode, with the memory that the server needs and no more."""
    plan = plan_on(tmp_path, ORIN)
    candidate, batching = plan.candidate, plan.candidate.batching
    assert (candidate.server, candidate.devices) == ("jetson", 1)
    assert candidate.power_mode in {mode.name for mode in catalogue().find(ORIN).power_modes}  # type: ignore[union-attr]
    assert isinstance(batching, ContinuousBatching)
    memory = plan.estimate.memory
    assert batching.kv_cache_memory_bytes == int(memory.kv_cache_bytes)
    assert batching.gpu_memory_utilization == pytest.approx(memory.total_bytes / 64e9, abs=1.1e-3)


def test_the_system_and_other_programs_keep_their_memory(tmp_path: Path) -> None:
    """16 GB of weights fit a module of 64 GB, not beside a resident of 45 GB; nor a module of 8 GB at all."""
    assert "memory" in refused(tmp_path, ORIN, deploy="reserved_memory: 45GiB")
    assert "weights" in refused(tmp_path, NANO)


@pytest.mark.parametrize(
    ("hardware", "asked", "words"),
    [
        ("l4", {}, "deploy.server: jetson makes bundles for Jetson modules, and this is none"),
        (ORIN, {"server": "vllm"}, "a Jetson module is served by server: jetson"),
        (ORIN, {"deploy": 'jetpack: "6.2", runtime: edge-llm'}, "has no code for Jetson AGX Orin"),
        (ORIN, {"deploy": 'jetpack: "5.1.2"'}, "no image with vLLM is known"),
    ],
)
def test_what_is_not_served_there_is_out(tmp_path: Path, hardware: str, asked: dict[str, str], words: str) -> None:
    """A server for other devices, a JetPack without a server: the plan says so before anything is compiled."""
    assert words in refused(tmp_path, hardware, **asked)


def test_a_power_cap_picks_the_mode(tmp_path: Path) -> None:
    """Under 20 W an AGX Orin runs in its mode of 15 W, or not at all."""
    problem = problem_of(load(tmp_path, ORIN, model=LARGE, constraints="max_power: 20W"))
    found, _ = sites(problem)
    assert found
    assert all(site.power_cap_w is not None and site.power_cap_w <= 20.0 for site in found)


@pytest.mark.parametrize(("slow", "fast"), [("MODE_15W", "MODE_30W"), ("MODE_30W", "MAXN")])
def test_decoding_is_as_fast_as_the_modes_memory_allows(tmp_path: Path, slow: str, fast: str) -> None:
    """A token reads every weight: its time follows the mode's bandwidth, and clocks matter where many are computed."""
    problem, hardware = problem_of(load(tmp_path, ORIN, model=LARGE)), catalogue().find(ORIN)
    assert hardware is not None
    times = []
    for mode in (slow, fast):
        steps = step_time(problem.model, hardware, Precision.BF16, power_mode=mode)
        assert not isinstance(steps, Unsupported)
        times.append((step_s(steps, decode_seqs=1, context_tokens=100), step_s(steps, prefill_tokens=512)))
    modes = {mode.name: mode for mode in hardware.power_modes}
    bandwidth = modes[fast].memory_bandwidth_bytes_per_s / modes[slow].memory_bandwidth_bytes_per_s
    assert times[0][0] / times[1][0] == pytest.approx(bandwidth, rel=0.05)
    assert times[0][1] / times[1][1] > bandwidth * 1.3


def test_the_chip_decides_which_precisions_are_planned(tmp_path: Path) -> None:
    """Orin multiplies no FP8 or FP4, but widens FP8 and INT4 weights; Thor multiplies both, and has no INT8 in vLLM."""
    precisions = "precision: [bf16, fp8, int8, int4, fp4]"
    supported = {}
    for hardware in (ORIN, THOR):
        problem = problem_of(load(tmp_path, hardware, model=LARGE, constraints=precisions, deploy='jetpack: "7.2"'))
        supported[hardware] = {site.precision.value for site in sites(problem)[0] if site.is_supported}
    assert supported == {ORIN: {"bf16", "fp8", "int8", "int4"}, THOR: {"bf16", "fp8", "int4", "fp4"}}


def test_a_cap_that_no_mode_meets_names_the_mode_that_came_nearest(tmp_path: Path) -> None:
    """10 W on a module whose lowest mode is of 15 W: that one, unless it is too slow; and the cap that would do."""
    found = decided(problem_of(load(tmp_path, ORIN, constraints="max_power: 10W")))
    assert isinstance(found, Infeasible)
    lowest, nearest = found.power_modes[0], found.power_modes[-1]
    assert lowest.is_lowest
    assert lowest.power_mode == "MODE_15W"
    assert "15 W against 10 W" in lowest.misses
    assert nearest.is_nearest
    (cap,) = [r for r in found.relaxations if r.path == "constraints.max_power"]
    assert cap.needed == f"{nearest.power_w:g}W"
    assert f"@{nearest.power_mode}/" in cap.candidate
