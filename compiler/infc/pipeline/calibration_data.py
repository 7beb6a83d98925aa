"""The data that a spec's quantised precisions are calibrated on."""

from collections.abc import Iterable

from infc.diag import Diagnostic
from infc.ir.model_profile import TensorSpec
from infc.ir.spec import Spec
from infc.lower.arrays import Calibration, calibration_from_dataset, calibration_from_file
from infc.spec import LoadedSpec


def calibration_for(
    loaded: LoadedSpec, spec: Spec, inputs: Iterable[TensorSpec]
) -> tuple[Calibration | None, tuple[Diagnostic, ...]]:
    """What `quantization.calibration` names, else the first samples of the accuracy dataset, else nothing."""
    named, goal = spec.quantization.calibration, spec.accuracy
    if named is not None:
        return calibration_from_file(loaded.file(named), inputs, spec.quantization.samples, shown_as=named)
    if goal is None:
        return None, ()
    return calibration_from_dataset(loaded.file(goal.dataset), inputs, shown_as=goal.dataset)
