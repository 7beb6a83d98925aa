"""What a lowering pass is, and what it may look at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import onnx

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.lower.arrays import Calibration
from infc.lower.settings import LoweringSettings


@dataclass(frozen=True, kw_only=True)
class PassContext:
    """What a pass may read besides the model. `ranges` is a folder for calibrated ranges, None to keep none."""

    profile: ModelProfile
    precision: Precision
    settings: LoweringSettings
    calibration: Calibration | None
    ranges: Path | None = None


Pass: TypeAlias = Callable[[onnx.ModelProto, PassContext], tuple[onnx.ModelProto, PassReport] | Diagnostic]
"""A pass returns a new model and what it did, or the diagnostic that says why this model cannot be lowered."""
