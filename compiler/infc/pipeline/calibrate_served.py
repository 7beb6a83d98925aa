"""`infc calibrate --through triton`: a compiled bundle on its real server, with Triton's own service times kept."""

from collections.abc import Callable
from pathlib import Path

from infc.diag import Diagnostic, has_errors
from infc.pipeline.calibrate import Calibrated, CalibrationQuestion, nothing
from infc.pipeline.plan import overlay_of, profile_store
from infc.plan.site import BATCH_SIZES
from infc.resolve.model import model_profile
from infc.resolve.targets import load_catalogue
from infc.validate.calibrate import device_for, slowed_clocks
from infc.validate.comparison import compare
from infc.validate.contract import CONTRACT_NAME
from infc.validate.load.settings import LoadSettings
from infc.validate.profile import merged_profile
from infc.validate.served import bundle_problem, measure_served
from infc.validate.session import ValidationRequest, read_contract


def calibrate_served(
    question: CalibrationQuestion, output: Path, endpoint: str | None, progress: Callable[[str], None]
) -> Calibrated:
    """Serve the bundle of the spec and hardware in `output` and keep what its server counts.

    `endpoint` names a server that serves the bundle already; None starts one.

    Raises:
        ToolError: the bundle cannot be served here, or the server fails.
    """
    assert question.loaded is not None  # noqa: S101 - bundles are of specs
    catalogue = load_catalogue(overlay_of(question.workspace))
    hardware = catalogue.find(question.hardware)
    if hardware is None:
        return nothing(catalogue.unknown_hardware(question.hardware, None))
    bundle = _bundle(output, question.loaded.name, hardware.id)
    if bundle is None:
        return nothing(bundle_problem(output.as_posix(), question.loaded.name, hardware.id))
    device = None if endpoint is not None else device_for(hardware, catalogue.all())
    if isinstance(device, Diagnostic):
        return nothing(device)
    store = profile_store(question.workspace)
    model, problems = model_profile(question.model, store, read_contract(bundle).model.digest)
    if model is None or has_errors(problems):
        return nothing(*problems)
    request = ValidationRequest(
        bundle=bundle, settings=LoadSettings(budget_s=question.budget_s), endpoint=endpoint, is_realtime=False
    )
    contract = read_contract(bundle)
    sizes = tuple(size for size in BATCH_SIZES if size <= max(contract.model.max_batch_size, 1))
    neighbours = store.neighbours(model.digest, {hardware.id})
    measured = measure_served(request, question.batch_sizes or sizes, device, progress)
    merged = merged_profile(measured, store.service_times(measured.model_digest))
    store.add_service_time(merged)
    slowed = slowed_clocks(measured)
    return Calibrated(
        comparisons=(compare(measured, model, hardware, neighbours),),
        diagnostics=() if slowed is None else (slowed,),
    )


def _bundle(output: Path, name: str, hardware_id: str) -> Path | None:
    """The bundle of a spec and device in an output folder."""
    for path in sorted(output.glob(f"*/{CONTRACT_NAME}")):
        contract = read_contract(path.parent)
        if (contract.name, contract.model.hardware_id) == (name, hardware_id):
            return path.parent
    return None
