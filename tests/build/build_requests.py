"""Build requests for the real Fashion-MNIST network."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from infc.build import shape_ranges
from infc.ir.build_options import BuildOptions
from infc.ir.engine import BuildRequest, LoweredModel
from infc.ir.engine_kind import EngineKind
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.lower.arrays import calibration_from_file
from infc.lower.lowering import lower
from infc.lower.settings import LoweringSettings
from infc.resolve.onnx_analysis import analyse

FOLDER = Path(__file__).parents[2] / "specs" / "fashion-mnist"
CAPABILITIES = {"t4": "7.5", "a100-sxm-40gb": "8.0", "a10g": "8.6", "l4": "8.9", "h100-sxm": "9.0", "rtx-5090": "12.0"}


@cache
def profile() -> ModelProfile:
    """The analysed network."""
    result = analyse(FOLDER / "resnet8.onnx", "resnet8").profile
    assert result is not None
    return result


@cache
def lowered(precision: Precision, settings: LoweringSettings | None = None) -> LoweredModel:
    """The network in a precision, made once per test run."""
    data, _ = calibration_from_file(FOLDER / "calibration-256.npz", profile().inputs, 64)
    folder = Path(mkdtemp(prefix="infc-tests-"))
    model, problems = lower(FOLDER / "resnet8.onnx", profile(), precision, data, settings or LoweringSettings(), folder)
    assert model is not None, problems
    return model


def request(
    hardware_id: str,
    precision: Precision,
    *,
    kind: EngineKind = "tensorrt_rtx",
    workspace_bytes: int | None = None,
    settings: LoweringSettings | None = None,
    max_batch_size: int = 8,
) -> BuildRequest:
    """A request for an engine with batches up to `max_batch_size`."""
    return BuildRequest(
        kind=kind,
        model=lowered(precision, settings),
        shapes=shape_ranges(profile(), max_batch_size, {}),
        hardware_id=hardware_id,
        compute_capability=CAPABILITIES.get(hardware_id),
        options=BuildOptions(workspace_bytes=workspace_bytes),
    )
