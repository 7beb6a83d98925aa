"""Plans for Jetson modules: power modes by name, the cap, accelerators, shared memory, cameras."""

from dataclasses import replace

import pytest

from infc.ir.arrival import ConstantArrival
from infc.ir.candidate import DynamicBatching
from infc.ir.hardware import Hardware
from infc.ir.jetson import JetsonSetup
from infc.ir.model_profile import OperatorClass
from infc.ir.plan import Infeasible, Plan
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, Problem, Traffic
from infc.plan import solve
from infc.plan.objective import GAIN_NEEDED
from infc.plan.why import why
from infc.resolve.jetson import dla_refusal, jetpack_for, modules
from infc.resolve.targets import load_catalogue
from tests.plan.problems import LIMITS, network, priced, problem

CATALOGUE = load_catalogue(None)
GIB = 2.0**30


def device(id: str) -> Hardware:
    """A module of the catalogue."""
    found = CATALOGUE.find(id)
    assert found is not None
    return found


def module(
    id: str, *, jetpack: str | None = "6.2", dla: bool = False, tensorrt: str | None = None, others: float | None = None
) -> HardwareOption:
    """A module with what is installed on it, as `resolve` sets it up."""
    release = jetpack_for(id, jetpack)
    assert release is not None
    setup = JetsonSetup(
        jetpack=release,
        tensorrt=tensorrt or release.tensorrt,
        module=modules()[id],
        is_dla_wanted=dla,
        dla_refusal=dla_refusal(id, release, tensorrt) if dla else None,
        residents_bytes=others,
    )
    return replace(priced(device(id), None), jetson=setup)


def cameras(
    *options: HardwareOption,
    streams: int = 2,
    rps: float = 60.0,
    p99_ms: float = 33.0,
    gflops: float = 1.5,
    **changes: object,
) -> Problem:
    """A small detector behind some cameras; `changes` are of the limits."""
    base = problem(
        p99_ms=p99_ms,
        options=options,
        limits=replace(LIMITS, max_accelerators=1, **changes),  # type: ignore[arg-type]
        model=network(layers=30, gflops=gflops, million_parameters=5.0),
    )
    traffic = Traffic(arrival=ConstantArrival(streams=streams), rate_rps=rps, peak_rps=rps, hourly=None, axes={})
    return replace(base, traffic=traffic)


def planned(asked: Problem) -> Plan:
    """The plan of a feasible problem."""
    found = solve(asked)
    assert isinstance(found, Plan), found
    return found


def test_the_mode_is_chosen_by_name_under_the_cap() -> None:
    """Of the modes under 15 W one that holds the SLO is taken, by nvpmodel's name; the cap is never broken."""
    found = planned(cameras(module("jetson-orin-nx-16gb"), max_power_w=15.0))
    assert found.candidate.power_mode in ("10W", "15W")
    assert found.candidate.label.split("/")[1].endswith(f"@{found.candidate.power_mode}")
    assert found.estimate.power_w is not None
    assert found.estimate.power_w.high <= 15.0


@pytest.mark.parametrize("written", ["30W", "MODE_30W", "mode_30w"])
def test_a_mode_may_be_named_without_its_prefix(written: str) -> None:
    """The plan has nvpmodel's own name, which is what the device sets."""
    found = planned(cameras(module("jetson-agx-orin-64gb"), power_mode=written))
    assert found.candidate.power_mode == "MODE_30W"


def test_a_mode_that_the_module_lacks_is_refused_with_those_it_has() -> None:
    """40W is of a module that was flashed with Super mode; without it, the plan says which modes there are."""
    found = solve(cameras(module("jetson-orin-nx-16gb"), power_mode="40W"))
    assert isinstance(found, Infeasible)
    (rejection,) = [r for r in found.rejections if r.constraint == "power-mode"]
    assert "MAXN, 10W, 15W, 25W" in rejection.predicted
    (relaxation,) = [r for r in found.relaxations if r.path == "deploy.jetson.power_mode"]
    assert relaxation.current == "40W"
    assert relaxation.needed in ("10W", "15W", "25W", "MAXN")
    twin = planned(cameras(module("jetson-orin-nx-16gb-super"), power_mode="40W"))
    assert twin.candidate.power_mode == "40W"


def test_a_wanted_mode_of_a_module_without_a_table_is_not_ignored() -> None:
    """No source has Thor's table: a plan cannot be for a mode of it."""
    found = solve(cameras(module("jetson-agx-thor-t5000", jetpack=None), power_mode="90W"))
    assert isinstance(found, Infeasible)
    assert any("no table of its power modes" in r.predicted for r in found.rejections)


def test_a_cap_below_every_mode_says_which_mode_draws_least() -> None:
    """5 W: 7W of Orin Nano both draws least and comes nearest, and 7 W is what would do."""
    found = solve(cameras(module("jetson-orin-nano-8gb"), max_power_w=5.0))
    assert isinstance(found, Infeasible)
    (mode,) = found.power_modes
    assert (mode.power_mode, mode.power_w, mode.is_lowest, mode.is_nearest) == ("7W", 7.0, True, True)
    assert mode.misses == ("7 W against 5 W",)
    (cap,) = [r for r in found.relaxations if r.path == "constraints.max_power"]
    assert (cap.current, cap.needed) == ("5W", "7W")
    assert "@7W/" in cap.candidate


def test_the_lowest_and_the_nearest_mode_may_differ() -> None:
    """Under 7 W the slowest mode misses a tight SLO by more than the next one misses the cap: both are named."""
    found = solve(
        cameras(module("jetson-orin-nano-8gb"), streams=1, p99_ms=12.5, gflops=80.0, rps=10.0, max_power_w=7.0)
    )
    assert isinstance(found, Infeasible)
    lowest, nearest = found.power_modes
    assert (lowest.power_mode, lowest.is_lowest, lowest.is_nearest) == ("7W", True, False)
    assert "p99" in lowest.misses[0]
    assert (nearest.power_mode, nearest.is_lowest, nearest.is_nearest) == ("15W", False, True)
    assert nearest.misses == ("15 W against 7 W",)


def test_a_looser_cap_is_as_low_as_it_can_be() -> None:
    """Without the cap the fastest mode leaves most room; the change that is proposed needs no more than the lowest."""
    free = planned(cameras(module("jetson-orin-nx-16gb")))
    assert free.candidate.power_mode == "MAXN"
    found = solve(cameras(module("jetson-orin-nx-16gb"), max_power_w=9.0))
    assert isinstance(found, Infeasible)
    (cap,) = [r for r in found.relaxations if r.path == "constraints.max_power"]
    assert cap.needed == "10W"


def test_maxn_counts_as_what_the_module_is_built_for() -> None:
    """MAXN has no cap of its own: under 24 W it is not allowed on a module of 25 W."""
    for cap_w, is_allowed in ((24.0, False), (25.0, True)):
        answer = why(cameras(module("jetson-orin-nx-16gb"), max_power_w=cap_w), "int8/jetson-orin-nx-16gb@MAXN")
        assert (answer is not None) is is_allowed


def test_energy_is_compared_across_modes() -> None:
    """The objective energy takes the mode that uses least for the load, unless an INT8 engine gains less than 5%."""
    asked = replace(cameras(module("jetson-orin-nx-16gb")), objective="energy")
    found = planned(asked)
    assert found.estimate.power_w is not None
    assert found.estimate.energy is not None
    for runner_up in found.runners_up:
        assert runner_up.estimate.power_w is not None
        assert runner_up.estimate.power_w.value >= found.estimate.power_w.value / GAIN_NEEDED
    assert found.estimate.requests_per_joule == pytest.approx(60.0 / found.estimate.power_w.value, rel=0.02)


def test_an_accelerator_is_considered_where_it_works() -> None:
    """DLA wanted on JetPack 6.2: its INT8 places stand beside the GPU's; one instance, one item at a time."""
    asked = cameras(module("jetson-orin-nx-16gb", dla=True), power_mode="15W")
    answer = why(asked, "int8/jetson-orin-nx-16gb@15W/dla0")
    assert answer is not None
    assert answer.candidate is not None
    assert answer.candidate.dla_core == 0
    assert answer.candidate.label == "int8/jetson-orin-nx-16gb@15W/dla0/b1/i1"
    assert answer.candidate.batching == DynamicBatching(max_batch_size=1)
    assert answer.estimate is not None
    assert answer.estimate.power_w is None  # no source says what a module draws whose GPU rests
    assert all(check.holds for check in answer.checks)
    p99 = answer.estimate.e2e_s["p99"]
    assert p99.high > 1.5 * p99.value
    assert any("deploy.jetson.dla" in reason for reason in planned(asked).reasons)


def test_no_accelerator_is_considered_unasked() -> None:
    """Without deploy.jetson.dla there is no such place."""
    assert why(cameras(module("jetson-orin-nx-16gb")), "int8/jetson-orin-nx-16gb@15W/dla0") is None


@pytest.mark.parametrize(
    ("id", "jetpack", "tensorrt", "words"),
    [
        ("jetson-agx-thor-t5000", None, None, "has no deep learning accelerator"),
        ("jetson-orin-nano-8gb", "6.2", None, "has no deep learning accelerator"),
        ("jetson-orin-nx-16gb", "7.2", None, "TensorRT 10.16.2 on JetPack 7.2"),
        ("jetson-agx-orin-64gb", "7.2.2", None, "but with 11.4.1 on JetPack 7.2.2"),
        ("jetson-agx-orin-64gb", "7.2.2", "11.4.0", "TensorRT 11.4.0"),
        ("jetson-orin-nx-16gb", "7.2.2", "11.4.1", "TensorRT 11.4.1"),
        ("jetson-orin-nx-16gb", "6.2", "10.9.0", "TensorRT 10.9.0"),
    ],
)
def test_an_accelerator_that_cannot_be_is_refused_by_name(
    id: str, jetpack: str | None, tensorrt: str | None, words: str
) -> None:
    """The wish is answered with the reason, and the plan goes on with the GPU."""
    found = planned(cameras(module(id, jetpack=jetpack, dla=True, tensorrt=tensorrt)))
    assert found.candidate.dla_core is None
    (rejection,) = [r for r in found.rejections if r.constraint == "dla"]
    assert rejection.candidate == f"{id}/dla0"
    assert words in rejection.predicted
    assert any(words in reason for reason in found.reasons)


@pytest.mark.parametrize(("jetpack", "tensorrt"), [("6.2", None), ("6.1", "10.7.0"), ("7.2.2", "11.4.1")])
def test_agx_orin_has_accelerators_under_three_releases(jetpack: str, tensorrt: str | None) -> None:
    """10.3 and 10.7 on JetPack 6, 11.4.1 on 7.2.2."""
    option = module("jetson-agx-orin-64gb", jetpack=jetpack, dla=True, tensorrt=tensorrt)
    answer = why(cameras(option), "int8/jetson-agx-orin-64gb@MODE_30W/dla0")
    assert answer is not None
    assert answer.candidate is not None


def test_layers_that_an_accelerator_leaves_to_the_gpu_rule_it_out() -> None:
    """Attention: the place is refused with the layers, the GPU runs the model."""
    asked = cameras(module("jetson-orin-nx-16gb", dla=True), power_mode="25W")
    operators = asked.model.operators
    attention = replace(operators[0], operator_class=OperatorClass.ATTENTION)
    found = planned(replace(asked, model=replace(asked.model, operators=(attention, *operators[1:]))))
    (rejection,) = [r for r in found.rejections if r.candidate == "int8/jetson-orin-nx-16gb@25W/dla0"]
    assert "attention" in rejection.predicted
    assert any("attention" in reason for reason in found.reasons)


def test_a_jetson_bundle_is_for_modules_only() -> None:
    """`deploy.server: jetson` rules other devices out with the reason, be they named or faster."""
    asked = replace(cameras(module("jetson-orin-nx-16gb"), priced(device("t4"), 0.5)), server="jetson")
    asked = replace(asked, options=tuple(replace(option, is_named_target=True) for option in asked.options))
    found = planned(asked)
    assert found.candidate.hardware_id == "jetson-orin-nx-16gb"
    assert [r.constraint for r in found.rejections if r.candidate == "t4"] == ["emit"]


@pytest.mark.parametrize("id", [id for id in modules() if not id.startswith("jetson-agx-xavier")])
def test_every_module_can_be_planned(id: str) -> None:
    """With the newest JetPack that runs on it; the catalogue has what a prediction needs."""
    assert planned(cameras(module(id, jetpack=None))).candidate.hardware_id == id


def test_a_jetpack_that_the_module_does_not_run_rules_it_out() -> None:
    """The reason comes from the data; other devices stay."""
    option = module("jetson-orin-nx-16gb")
    assert option.jetson is not None
    refused = replace(option, jetson=replace(option.jetson, jetpack=None, refusal="JetPack 5.0 does not run on it"))
    found = planned(cameras(refused, module("jetson-orin-nano-8gb")))
    assert found.candidate.hardware_id == "jetson-orin-nano-8gb"
    assert [r.constraint for r in found.rejections if r.candidate == "jetson-orin-nx-16gb"] == ["jetpack"]


def test_memory_is_shared_with_the_system_and_others() -> None:
    """What is left is said with what was counted; a plan that leaves little says so; without room there is none."""
    roomy = planned(cameras(module("jetson-orin-nano-8gb", others=2 * GIB)))
    (words,) = [c for c in roomy.comments if c.startswith("Memory")]
    assert "1.4 GB for a headless system, 2.15 GB for other programs" in words
    assert "should stay free" not in words
    tight = planned(cameras(module("jetson-orin-nano-8gb", others=5.2 * GIB)))
    (words,) = [c for c in tight.comments if c.startswith("Memory")]
    assert "less than the 10% that should stay free" in words
    full = solve(cameras(module("jetson-orin-nano-8gb", others=6.6 * GIB)))
    assert isinstance(full, Infeasible)
    assert {r.constraint for r in full.rejections} == {"memory"}


def test_the_plan_states_software_mode_and_temperature() -> None:
    """Comments go into what is emitted: JetPack, what the mode is, from where on the module throttles."""
    found = planned(cameras(module("jetson-orin-nx-16gb"), power_mode="25W"))
    text = " ".join(found.comments)
    assert "JetPack 6.2 (Jetson Linux 36.4.3, CUDA 12.6) with TensorRT 10.3.0" in text
    assert "Power mode 25W: 8 SMs at 408 MHz" in text
    assert "junction below 99 C" in text
    server = planned(problem())
    assert not any("junction" in comment for comment in server.comments)


def test_one_camera_needs_no_batches() -> None:
    """Frames of one camera come one by one: nothing to wait for, so that no batch is formed."""
    found = planned(cameras(module("jetson-orin-nano-8gb"), streams=1, rps=30.0))
    assert found.candidate.batching == DynamicBatching(max_batch_size=1)
    assert found.estimate.mean_batch_size == 1.0


def test_cameras_that_collide_wait_for_each_other() -> None:
    """Eight cameras at the same total rate see a longer tail than one: their frames meet by chance."""
    alone, many = (
        planned(cameras(module("jetson-orin-nano-8gb"), streams=n, rps=60.0, power_mode="7W", p99_ms=60.0))
        for n in (1, 8)
    )
    assert many.estimate.e2e_s["p99"].value > 1.3 * alone.estimate.e2e_s["p99"].value


def test_precision_is_what_the_spec_allows() -> None:
    """FP16 alone leaves no accelerator, for whose FP16 times there is no measurement."""
    asked = cameras(module("jetson-orin-nx-16gb", dla=True), power_mode="25W")
    found = planned(replace(asked, limits=replace(asked.limits, precisions=(Precision.FP16,))))
    assert found.candidate.precision is Precision.FP16
    assert any("INT8 only" in r.predicted for r in found.rejections)


def test_a_wider_cap_never_makes_a_spec_infeasible_nor_breaks_itself() -> None:
    """From too little to no cap: once there is a plan there stays one, and none draws more than it may."""
    options = (module("jetson-orin-nano-8gb"), module("jetson-orin-nx-16gb", dla=True))
    was_feasible = False
    for cap_w in (5.0, 7.0, 10.0, 20.0, None):
        found = solve(cameras(*options, max_power_w=cap_w))
        assert isinstance(found, Plan) or not was_feasible
        was_feasible = isinstance(found, Plan)
        if isinstance(found, Plan):
            chosen = device(found.candidate.hardware_id)
            (mode,) = [m for m in chosen.power_modes if m.name == found.candidate.power_mode]
            assert cap_w is None or (mode.watts or chosen.tdp_w or 0.0) <= cap_w
    assert was_feasible


def test_the_order_of_modules_does_not_matter() -> None:
    """Same decision whichever module the spec names first."""
    options = (module("jetson-orin-nano-8gb"), module("jetson-orin-nx-16gb", dla=True))
    one, other = (solve(cameras(*order, max_power_w=15.0)) for order in (options, options[::-1]))
    assert one == other


def test_xavier_is_planned_and_said_not_to_compile() -> None:
    """Legacy: its newest JetPack has TensorRT 8, with which infc builds nothing."""
    found = planned(cameras(module("jetson-xavier-nx-8gb", jetpack=None, dla=True)))
    assert any("this is planned, and cannot be compiled" in comment for comment in found.comments)
    assert any("no clocks of the deep learning accelerators" in reason for reason in found.reasons)
