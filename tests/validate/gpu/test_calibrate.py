"""`infc calibrate --hardware l4` end to end: a real TensorRT-RTX build, run on a stand-in for the device."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from infc.cli.calibrate import command
from infc.diag import DiagnosticError
from infc.ir.device_usage import DeviceUsage
from infc.ir.interval import Basis, Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.pipeline.plan import plan_spec
from infc.report.service_time_schema import calibration_schema
from infc.resolve.model import model_profile
from infc.resolve.profile_json import service_times_from_text, text_from_service_times
from infc.resolve.profile_schema import profile_schema
from infc.resolve.store import ProfileStore
from infc.validate.calibrate import slowed_clocks
from infc.validate.profile import merged_profile
from tests.gpu.stand_in import GpuCuda, Nvml, RuntimeTensorRT, machine_with_gpu

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

EXAMPLE = Path(__file__).parents[3] / "specs" / "fashion-mnist"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The example for an L4, in a workspace of its own."""
    folder = tmp_path / "fashion-mnist"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".infc", "infc-profiles"))
    path = folder / "fashion-mnist.infc.yaml"
    text = path.read_text()
    for old, new in (
        ("[t4, l4, a10g, l40s]", "[l4]"),
        ("precision: [int8]", "precision: [fp16]"),
        ("targets: [cpu]", "targets: [l4]"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.fixture
def l4(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuCuda]:
    """This machine with an L4."""
    cuda = GpuCuda()
    with machine_with_gpu(monkeypatch, cuda, RuntimeTensorRT(EXAMPLE / "resnet8.onnx"), Nvml()):
        yield cuda


def run(*arguments: object) -> Result:
    """A call that must succeed."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False, catch_exceptions=False)
    assert result.return_value == 0
    return result


def test_the_plan_rests_on_what_was_measured(spec: Path, l4: GpuCuda) -> None:
    """Batches and instances of the plan for this device; host and device time; sensors; then a plan by measurement."""
    pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    result = run(spec, "--hardware", "l4", "--budget", "1s", "--format", "json")
    document = json.loads(result.stdout)
    jsonschema.validate(document, calibration_schema())
    (profile,) = document["profiles"]
    assert "the plan for l4 is fp16/l4/" in result.stderr
    assert profile["engine"] == "tensorrt_rtx"
    assert profile["environment"]["device"] == "NVIDIA L4"
    assert profile["environment"]["driver"] == "580.65.06"
    assert profile["environment"]["tensorrt_rtx"]
    for point in profile["points"]:
        assert 0.0 < point["device_ms"]["value"] < point["ms"]["value"]
        assert point["power_w"] == pytest.approx(50.0, rel=0.5)
        assert point["predicted_ms"]["low"] <= point["predicted_ms"]["value"] <= point["predicted_ms"]["high"]
    assert profile["predicted_basis"] == "analytic"
    assert profile["usage"]["source"] == "nvml"
    assert profile["usage"]["slowdowns"] == {"power cap": 1.0}
    assert (
        "warning[calibrate-slowed]: the clocks of l4 were held back in 100% of the samples (power cap)" in result.stderr
    )
    assert l4.live == {}

    decision = plan_spec(spec).decisions[0].decision
    assert isinstance(decision, Plan)
    assert decision.estimate.basis is Basis.MEASURED
    store = ProfileStore(root=spec.parent, cache=spec.parent / ".infc")
    model, _ = model_profile(spec.parent / "resnet8.onnx", store, None)
    assert model is not None
    (stored,) = store.service_times(model.digest)
    assert [p.seconds.value * 1e3 for p in stored.points] == [p["ms"]["value"] for p in profile["points"]]
    assert stored.usage is not None
    assert stored.usage.power_w == profile["usage"]["power_w"]


def test_another_device_is_named_with_what_is_here(spec: Path, l4: GpuCuda) -> None:
    """An A100 is not this L4: the message says what this is, and how to measure it."""
    with pytest.raises(DiagnosticError) as caught:
        run(spec, "--hardware", "a100-sxm-80gb")
    (problem,) = caught.value.diagnostics
    assert problem.id == "calibrate-other-machine"
    assert problem.notes == ("this machine's GPU is NVIDIA L4 (compute capability 8.9, 22.0 GiB): l4",)
    assert problem.help == "--hardware l4 measures what is here"


def test_device_of_a_profile_survives_its_file(tmp_path: Path) -> None:
    """What the sensors said is stored and read back; the file is what the schema says."""
    usage = DeviceUsage(
        source="tegrastats",
        samples=7,
        seconds=2.5,
        utilization=0.93,
        power_w=21.5,
        energy_j=53.75,
        memory_bytes=3 * 2**30,
        temperature_max_c=71.0,
        slowdowns={"power cap": 0.5},
        missing=("energy",),
    )
    point = ServiceTimePoint(
        batch_size=4,
        axes={},
        seconds=Interval(value=0.002, low=0.0019, high=0.0021),
        executions=100,
        device_s=Interval(value=0.001, low=0.0009, high=0.0011),
        power_w=21.5,
    )
    profile = ServiceTimeProfile(
        model_digest="0" * 64,
        precision=Precision.FP16,
        hardware_id="l4",
        engine_kind="tensorrt",
        instances=2,
        points=(point,),
        environment={"device": "NVIDIA L4"},
        usage=usage,
    )
    text = text_from_service_times(profile)
    assert service_times_from_text(text) == profile
    jsonschema.validate(json.loads(text), profile_schema())
    assert "usage" not in text_from_service_times(
        ServiceTimeProfile(
            **{
                **vars(profile),
                "usage": None,
                "points": (ServiceTimePoint(**{**vars(point), "device_s": None, "power_w": None}),),
            }
        )
    )


def test_clocks_that_a_user_set_are_no_reason_to_warn() -> None:
    """Fixed clocks are a choice; heat and power are not."""
    profile = ServiceTimeProfile(
        model_digest="0" * 64,
        precision=Precision.FP16,
        hardware_id="l4",
        engine_kind="tensorrt",
        instances=1,
        points=(),
        environment={},
        usage=DeviceUsage(
            source="nvml", samples=10, seconds=1.0, slowdowns={"clocks set by a user": 1.0, "power cap": 0.1}
        ),
    )
    assert slowed_clocks(profile) is None
    assert slowed_clocks(ServiceTimeProfile(**{**vars(profile), "usage": None})) is None


def test_times_of_a_server_and_of_an_engine_are_not_joined() -> None:
    """One holds the server's own cost, the other does not: the points of the one say nothing in the other."""

    def profile(batch_size: int, environment: dict[str, str]) -> ServiceTimeProfile:
        seconds = Interval(value=0.002, low=0.001, high=0.003)
        return ServiceTimeProfile(
            model_digest="0" * 64,
            precision=Precision.FP16,
            hardware_id="l4",
            engine_kind="tensorrt",
            instances=1,
            points=(ServiceTimePoint(batch_size=batch_size, axes={}, seconds=seconds, executions=9),),
            environment=environment,
        )

    alone, served = profile(1, {"device": "NVIDIA L4"}), profile(8, {"server": "tritonserver 2.51.0"})
    assert [p.batch_size for p in merged_profile(served, [alone]).points] == [8]
    assert [p.batch_size for p in merged_profile(served, [profile(2, {"server": "x"})]).points] == [2, 8]
