"""Other models' measurements on a device correct and narrow a prediction."""

from dataclasses import replace

from infc.ir.interval import Basis, Interval
from infc.ir.precision import Precision
from infc.ir.service_time import NeighbourMeasurement, ServiceTimeCurve, ServiceTimePoint, ServiceTimeProfile
from infc.perf import service_time
from tests.plan.problems import L4, network

MODEL = network()
PRIVATE = replace(L4, id="l4-private")


def neighbours(factor: float, count: int) -> tuple[NeighbourMeasurement, ...]:
    """`count` other models that take `factor` times what is predicted on the private L4."""
    found = []
    for number in range(count):
        other = replace(network(gflops=5.0 + number), digest=f"sha256:{number:064x}")
        predicted = service_time(other, PRIVATE, Precision.FP16, {}, 8, with_server=False)
        assert isinstance(predicted, ServiceTimeCurve)
        points = tuple(
            ServiceTimePoint(
                batch_size=b, axes={}, seconds=Interval.exact(factor * predicted.at(b).value), executions=100
            )
            for b in (1, 8)
        )
        profile = ServiceTimeProfile(
            model_digest=other.digest,
            precision=Precision.FP16,
            hardware_id=PRIVATE.id,
            engine_kind="tensorrt",
            instances=1,
            points=points,
            environment={},
        )
        found.append(NeighbourMeasurement(model=other, profile=profile))
    return tuple(found)


def curve(around: tuple[NeighbourMeasurement, ...], hardware=PRIVATE) -> ServiceTimeCurve:  # type: ignore[no-untyped-def]
    """The curve of a model that was not measured itself."""
    found = service_time(MODEL, hardware, Precision.FP16, {}, 8, neighbours=around, with_server=False)
    assert isinstance(found, ServiceTimeCurve)
    return found


def test_a_device_slower_than_predicted_slows_other_models_by_less_than_was_measured() -> None:
    """One model moves the prediction half the way, four move it most of it; the basis says so."""
    plain, one, four = curve(()), curve(neighbours(1.5, 1)), curve(neighbours(1.5, 4))
    assert plain.basis is Basis.ANALYTIC
    assert one.basis is Basis.CALIBRATED
    assert plain.at(8).value < one.at(8).value < four.at(8).value < 1.5 * plain.at(8).value


def test_the_interval_is_narrower_than_without_measurements() -> None:
    """Half-widths shrink, as they did on held-out devices."""
    plain, corrected = curve(()).at(8), curve(neighbours(1.0, 3)).at(8)
    assert corrected.high / corrected.value < plain.high / plain.value


def test_measurements_on_another_device_say_nothing() -> None:
    """Only those on the same device count."""
    assert curve(neighbours(1.5, 3), L4) == curve((), L4)
