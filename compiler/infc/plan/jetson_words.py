"""What a plan for a Jetson module rests on, in sentences: software, power mode, shared memory, temperature, DLA."""

from collections.abc import Sequence

from infc.ir.hardware import Hardware, PowerMode
from infc.ir.jetson import JetsonSetup
from infc.ir.plan import Rejection
from infc.ir.problem import BaseProblem
from infc.perf.memory import usable_memory_bytes
from infc.resolve.jetson import OLDEST_BUILT_MAJOR

MEMORY_MARGIN = 0.1
"""Share of a module's memory that should stay free: less is said.

An assumption: what camera buffers, a page cache and a log that grows take of a memory that CPU and GPU share.
"""
_GB = 1e9


def jetson_comments(
    problem: BaseProblem, hardware: Hardware, power_mode: str | None, memory_bytes: float
) -> tuple[str, ...]:
    """What was assumed of the module, one sentence each; empty for a device that is none.

    `memory_bytes` is what the deployment itself takes of it.
    """
    setup = problem.jetson_of(hardware.id)
    if setup is None:
        return ()
    return (
        _software(setup),
        _mode(hardware, power_mode),
        _memory(problem, setup, hardware, memory_bytes),
        _temperature(setup),
    )


def dla_reason(
    problem: BaseProblem,
    hardware_id: str,
    power_mode: str | None,
    dla_core: int | None,
    rejections: Sequence[Rejection],
) -> str:
    """What became of the wish for a deep learning accelerator; empty where nobody asks for one."""
    setup = problem.jetson_of(hardware_id)
    if setup is None or not setup.is_dla_wanted:
        return ""
    if dla_core is not None:
        return (
            f"deploy.jetson.dla: accelerator {dla_core} runs the engine, and its GPU stays free; how fast it does is"
            " known of two networks only, so the interval is wide"
        )
    if setup.dla_refusal is not None:
        return f"deploy.jetson.dla: the GPU runs the engine, for {setup.dla_refusal}"
    device = hardware_id + (f"@{power_mode}" if power_mode else "")
    here = [r for r in rejections if r.candidate.partition("/")[2] == f"{device}/dla0"]
    known = [r for r in here if r.constraint != "objective" and "INT8 only" not in r.predicted] or here
    why = f": {known[0].predicted}" if known and known[0].predicted else ", which is better here"
    return f"deploy.jetson.dla: the GPU runs the engine{why}"


def _software(setup: JetsonSetup) -> str:
    jetpack = setup.jetpack
    if jetpack is None:
        return "infc does not know which JetPack the module runs."
    beside = "" if setup.tensorrt == jetpack.tensorrt else ", which is not the one that JetPack installs"
    major = int((setup.tensorrt or jetpack.tensorrt).partition(".")[0])
    legacy = (
        f" infc builds engines with TensorRT {OLDEST_BUILT_MAJOR} and later: this is planned, and cannot be compiled."
        if major < OLDEST_BUILT_MAJOR
        else ""
    )
    return (
        f"For JetPack {jetpack.version} (Jetson Linux {jetpack.l4t}, CUDA {jetpack.cuda}) with TensorRT"
        f" {setup.tensorrt}{beside}.{legacy}"
    )


def _mode(hardware: Hardware, name: str | None) -> str:
    mode = next((m for m in hardware.power_modes if m.name == name), None)
    if mode is None:
        return f"infc has no table of the power modes of {hardware.id}: the plan is for its full clocks."
    return (
        f"Power mode {mode.name}: {mode.sm_count} SMs at {mode.clock_hz / 1e6:.0f} MHz,"
        f" {mode.memory_bandwidth_bytes_per_s / 1e9:.4g} GB/s{_cores(mode)}. {_cap(hardware, mode)}"
    )


def _cores(mode: PowerMode) -> str:
    return "" if mode.cpu_cores is None else f", {mode.cpu_cores} CPU cores"


def _cap(hardware: Hardware, mode: PowerMode) -> str:
    if mode.watts is None:
        return f"It has no cap of its own; {hardware.tdp_w:g} W, the most that the module is built for, counts as one."
    return "Its watts name limits of clocks, which nothing enforces: the device measures what it draws."


def _memory(problem: BaseProblem, setup: JetsonSetup, hardware: Hardware, memory_bytes: float) -> str:
    reserved = problem.reserved_bytes(hardware.id)
    usable = usable_memory_bytes(hardware, reserved)
    left = usable - memory_bytes
    if reserved is None:
        others = (
            f"{_size(hardware.memory_bytes - usable)} for the system and other programs (deploy.jetson.reserved_memory)"
        )
    else:
        system = 0.0 if setup.module is None else setup.module.os_memory_bytes
        others = f"{_size(system)} for a headless system, {_size(setup.residents_bytes or 0.0)} for other programs"
    words = (
        f"Memory, which CPU and GPU share: of {_size(hardware.memory_bytes)}, {others},"
        f" {_size(memory_bytes)} for this deployment, {_size(left)} left"
    )
    if left < MEMORY_MARGIN * hardware.memory_bytes:
        words += f", less than the {MEMORY_MARGIN:.0%} that should stay free"
    return f"{words}. Building the engine takes more for as long as it lasts."


def _temperature(setup: JetsonSetup) -> str:
    throttle = None if setup.module is None else setup.module.throttle_c
    below = "that" if throttle is None else f"{throttle:g} C,"
    limit = (
        "deploy.jetson.max_temperature sets a limit"
        if setup.max_temperature_c is None
        else f"a release that reaches {setup.max_temperature_c:g} C is turned down"
    )
    return (
        f"Predicted for a junction below {below} where the module starts to slow itself down; neither cooling nor the"
        f" air around it is modelled. The device measures it under the load of the spec: {limit}."
    )


def _size(size_bytes: float) -> str:
    return f"{size_bytes / _GB:.3g} GB"
