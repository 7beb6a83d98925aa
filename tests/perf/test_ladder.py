"""Service times: the best basis wins, and the numbers behave as hardware does."""

from dataclasses import replace

import pytest

from infc.ir.interval import Basis, Interval
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimeCurve, ServiceTimePoint, ServiceTimeProfile
from infc.perf import Unsupported, device_memory, device_power, kernel_work, service_time
from infc.resolve.targets import load_catalogue
from tests.plan.problems import H100, L4, T4, gpu, network

MODEL = network()


def curve(hardware=L4, precision=Precision.FP16, batch=16, **options) -> ServiceTimeCurve:  # type: ignore[no-untyped-def]
    """The curve, which must exist."""
    found = service_time(MODEL, hardware, precision, {}, batch, **options)
    assert isinstance(found, ServiceTimeCurve)
    return found


def profile(points: dict[int, float], *, precision=Precision.FP16, server: bool = True) -> ServiceTimeProfile:  # type: ignore[no-untyped-def]
    """Measured seconds by batch size on an L4."""
    return ServiceTimeProfile(
        model_digest=MODEL.digest,
        precision=precision,
        hardware_id="l4",
        engine_kind="tensorrt",
        instances=1,
        points=tuple(
            ServiceTimePoint(batch_size=b, axes={}, seconds=Interval.exact(s), executions=100)
            for b, s in points.items()
        ),
        environment={"server": "tritonserver 2.51.0"} if server else {},
    )


def test_service_time_grows_with_the_batch_and_less_than_in_proportion() -> None:
    """A larger batch takes longer, but less per item."""
    values = curve().values
    assert list(values) == sorted(values)
    assert values[15] / 16 < values[0]


def test_a_batch_of_one_gains_little_from_a_much_larger_device() -> None:
    """Small work cannot fill a large device: the gain comes with the batch."""
    small, large = curve(L4, batch=64), curve(H100, batch=64)
    assert large.at(1).value > 0.4 * small.at(1).value
    assert large.at(64).value < 0.4 * small.at(64).value


def test_a_power_capped_card_does_not_hold_its_peak() -> None:
    """The same silicon with a lower cap is slower under large batches."""
    heavy = network(gflops=200.0)
    free = gpu("x", fp16_tflops=121, bandwidth_gb=300, memory_gb=24, tdp_w=300)
    slow, fast = (service_time(heavy, h, Precision.FP16, {}, 64) for h in (replace(free, tdp_w=72.0), free))
    assert isinstance(slow, ServiceTimeCurve)
    assert isinstance(fast, ServiceTimeCurve)
    assert slow.at(64).value > 1.1 * fast.at(64).value


def test_every_estimate_carries_an_interval_around_its_value() -> None:
    """Analytic intervals are wide, and wider on a device of which nothing was measured."""
    for interval in curve().seconds:
        assert interval.low < interval.value < interval.high
    unseen = replace(L4, id="l4-private")
    assert curve(unseen).at(16).high > curve(L4).at(16).high


def test_measured_points_win_and_batch_sizes_between_are_interpolated() -> None:
    """A profile of this model, device and precision is taken as it is; batch 3 lies between 2 and 4."""
    found = curve(batch=4, measurements=[profile({1: 0.002, 2: 0.003, 4: 0.005})])
    assert found.basis is Basis.MEASURED
    assert found.values == pytest.approx((0.002, 0.003, 0.004, 0.005))


def test_a_measurement_without_a_server_gets_the_servers_cost_added() -> None:
    """Times of a bare engine are below what an instance inside Triton needs."""
    found = curve(batch=1, measurements=[profile({1: 0.002}, server=False)])
    assert 0.0021 < found.at(1).value < 0.0026


def test_another_precision_on_the_same_device_calibrates_the_analytic_model() -> None:
    """FP16 measured at twice its prediction doubles the prediction of INT8."""
    plain = curve(precision=Precision.INT8, with_server=False)
    measured = profile({1: 2 * curve(batch=1, with_server=False).at(1).value}, server=False)
    found = curve(precision=Precision.INT8, with_server=False, measurements=[measured])
    assert found.basis is Basis.CALIBRATED
    assert found.at(8).value == pytest.approx(2 * plain.at(8).value)


def test_measurements_of_other_models_do_not_matter() -> None:
    """A profile with another digest is not used."""
    other = replace(profile({1: 1.0}), model_digest="sha256:" + "2" * 64)
    assert curve(measurements=[other]) == curve()


def test_instances_overlap_launches_but_not_the_device() -> None:
    """Two instances never do more than twice the work of one, and large batches gain nothing."""
    one, two = curve(batch=64), curve(batch=64, instances=2)
    assert one.at(1).value <= two.at(1).value
    assert two.at(64).value > 1.5 * one.at(64).value


@pytest.mark.parametrize(
    ("hardware", "precision", "words"),
    [
        (T4, Precision.FP8, "needs 8.9"),
        (T4, Precision.BF16, "needs 8.0"),
        (
            gpu("old", fp16_tflops=60, bandwidth_gb=300, memory_gb=16, tdp_w=70, has_int8=False),
            Precision.INT8,
            "no INT8",
        ),
    ],
)
def test_what_silicon_cannot_run_is_an_answer_with_a_reason(hardware, precision, words) -> None:  # type: ignore[no-untyped-def]
    """No number is made up for a precision that the device does not have."""
    found = service_time(MODEL, hardware, precision, {}, 1)
    assert isinstance(found, Unsupported)
    assert words in found.reason


def test_memory_grows_with_batch_and_instances_and_shrinks_with_the_precision() -> None:
    """Weights follow the precision, activations the batch, processes the instances."""
    work = kernel_work(MODEL, {})
    small = device_memory(work, L4, Precision.FP16, 1, 1)
    assert small.weights_bytes == pytest.approx(25e6 * 2)
    assert device_memory(work, L4, Precision.FP16, 32, 1).activations_bytes > 20 * small.activations_bytes
    assert device_memory(work, L4, Precision.FP16, 1, 2).runtime_bytes == 2 * small.runtime_bytes
    assert device_memory(work, L4, Precision.INT8, 1, 1).weights_bytes < small.weights_bytes


def test_power_runs_from_idle_to_the_cap() -> None:
    """Busy all the time a card draws its cap, never more."""
    idle, full = device_power(L4, 0.0), device_power(L4, 1.0)
    assert idle is not None
    assert full is not None
    assert idle.value < full.value == 72.0
    assert full.high == 72.0


def test_what_was_measured_in_one_power_mode_says_nothing_of_another() -> None:
    """A Jetson at 15 W is not one at 25 W; a profile that names no mode holds for whatever is asked."""
    orin = load_catalogue(None).find("jetson-orin-nx-16gb")
    assert orin is not None
    named = replace(profile({1: 0.004, 16: 0.02}), hardware_id=orin.id, environment={"power_mode": "15W"})
    unnamed = replace(named, environment={})
    assert curve(hardware=orin, measurements=(named,), power_mode="15W").basis is Basis.MEASURED
    assert curve(hardware=orin, measurements=(named,), power_mode="25W").basis is Basis.ANALYTIC
    assert curve(hardware=orin, measurements=(unnamed,), power_mode="25W").basis is Basis.MEASURED
