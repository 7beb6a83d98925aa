"""The data that a spec's quantised precisions are calibrated on."""

from infc.diag import Diagnostic
from infc.ir.problem import Problem
from infc.ir.spec import Spec
from infc.lower import Calibration, calibration_from_dataset, calibration_from_file
from infc.spec import LoadedSpec


def calibration_for(
    problem: Problem, loaded: LoadedSpec, spec: Spec
) -> tuple[Calibration | None, tuple[Diagnostic, ...]]:
    """What `quantization.calibration` names, else the first samples of the accuracy dataset, else nothing."""
    quantization = spec.quantization
    inputs = problem.model.inputs
    if quantization.calibration is not None:
        path = loaded.file(quantization.calibration)
        return calibration_from_file(path, inputs, quantization.samples, quantization.calibration)
    if problem.accuracy is None:
        return None, ()
    return calibration_from_dataset(loaded.file(problem.accuracy.dataset), inputs, problem.accuracy.dataset)
