"""An acceptance becomes the service time that the next plan of this model, module and power mode starts from."""

from infc.ir.expression import AxisExpression
from infc.ir.interval import Interval
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.precision import Precision
from infc.resolve.profile_json import service_times_from_text, text_from_service_times
from infc.validate.edge.profile import service_times_of
from infc.validate.profile import merged_profile
from tests.validate.edge.recorded import SOURCE, acceptance, release


def test_the_engine_alone_is_the_service_time() -> None:
    """Batch, precision, module, power mode and where it comes from; it survives being stored."""
    profile = service_times_of(acceptance(), release())
    assert profile is not None
    (point,) = profile.points
    assert (profile.model_digest, profile.precision, profile.hardware_id) == (
        SOURCE,
        Precision.INT8,
        "jetson-orin-nx-16gb",
    )
    assert (point.batch_size, dict(point.axes)) == (1, {})
    assert point.seconds == Interval(value=0.003, low=0.0029, high=0.0031)
    assert profile.is_of_mode("25W")
    assert not profile.is_of_mode("15W")
    assert "server" not in profile.environment
    assert profile.usage is not None
    assert (profile.usage.power_w, profile.usage.power_max_w, profile.usage.temperature_max_c) == (14.2, 17.9, 54.5)
    assert service_times_from_text(text_from_service_times(profile)) == profile


def test_what_was_not_timed_tells_nothing() -> None:
    """No times of the engine, no engine, an accelerator that the plan does not take for the GPU."""
    assert service_times_of(acceptance(engine_latency_s=None), release()) is None
    assert service_times_of(acceptance(engine=None), release()) is None
    assert service_times_of(acceptance(hardware_id="jetson-agx-orin-64gb"), release()) is None
    assert service_times_of(acceptance(), release(engines__0__options__dla_core=0)) is None


def test_two_power_modes_are_two_profiles() -> None:
    """Times of another mode are not merged into one."""
    one, other = (service_times_of(acceptance(power_mode=mode), release()) for mode in ("25W", "15W"))
    assert one is not None
    assert other is not None
    faster = merged_profile(one, [other])
    assert faster.points == one.points


def test_dynamic_axes_are_those_of_the_sample_that_was_timed() -> None:
    """They are named by the model's profile; without one, or without the sample, the times cannot be placed."""
    shape = {"input": "tokens", "minimum": [1, 1], "optimum": [1, 24], "maximum": [1, 128]}
    dynamic = release(engines__0__shapes=[shape])
    assert service_times_of(acceptance(), dynamic) is None
    assert service_times_of(acceptance(), dynamic, _model()) is None
    profile = service_times_of(acceptance(), dynamic, _model(), {"tokens": (1, 96)})
    assert profile is not None
    assert dict(profile.points[0].axes) == {"sequence": 96}
    assert service_times_of(acceptance(), dynamic, _model(), {"words": (1, 96)}) is None


def _model() -> ModelProfile:
    tokens = TensorSpec(name="tokens", dtype="int64", shape=("batch", "sequence"))
    return ModelProfile(
        name="encoder",
        digest=SOURCE,
        format="onnx",
        opset=17,
        inputs=(tokens,),
        outputs=(),
        batch_axis="batch",
        fixed_batch=None,
        axes=("sequence",),
        parameter_elements=1,
        weight_bytes=4,
        peak_activation_elements=AxisExpression(terms=()),
        operators=(),
    )
