"""Predicting one model on one device: the estimate behind `infc predict`."""

from dataclasses import replace
from pathlib import Path

from infc.diag import Diagnostic, has_errors
from infc.diag.nearest import did_you_mean
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.model_profile import ModelProfile
from infc.ir.prediction import Prediction, PredictQuestion
from infc.perf import Unsupported, device_memory, device_power, dla_throughput_per_s, kernel_work, service_time
from infc.perf.work import KernelWork
from infc.pipeline.plan import overlay_of, profile_store
from infc.resolve.model import model_profile
from infc.resolve.targets import load_catalogue
from infc.spec import find_workspace


def predict(question: PredictQuestion, overlay: Path | None = None) -> Prediction | tuple[Diagnostic, ...]:
    """The estimate, or the diagnostics that say why there is none.

    Raises:
        ToolError: the model must be analysed and the extra `onnx` is not installed.
    """
    workspace = find_workspace(question.model)
    catalogue = load_catalogue(overlay_of(workspace) if overlay is None else overlay)
    hardware = catalogue.find(question.hardware)
    if hardware is None:
        return (catalogue.unknown_hardware(question.hardware, None),)
    store = profile_store(workspace)
    model, found = model_profile(question.model, store, None)
    problems = (*found, *_question_problems(question, hardware, model))
    if model is None or has_errors(problems):
        return problems
    work = kernel_work(model, question.axes)
    device = as_published(hardware, question.power_mode)
    curve = service_time(
        model,
        device,
        question.precision,
        question.axes,
        question.batch,
        store.service_times(model.digest),
        question.power_mode,
        with_server=False,
        with_copies=hardware.kind == "cpu",
        neighbours=store.neighbours(model.digest, {hardware.id}),
        work=work,
    )
    if isinstance(curve, Unsupported):
        message = f"{hardware.id} cannot run {question.precision.value}: {curve.reason}"
        help = "infc targets show prints the precisions of a device"
        return (*problems, Diagnostic(id="predict-unsupported", message=message, help=help))
    accelerators = _accelerators(question, hardware, work)
    if isinstance(accelerators, Unsupported):
        message = f"{hardware.id} cannot add accelerators: {accelerators.reason}"
        return (*problems, Diagnostic(id="predict-unsupported", message=message, help="leave --dla out"))
    latency = curve.at(question.batch)
    throughput = Interval(
        value=question.batch / latency.value, low=question.batch / latency.high, high=question.batch / latency.low
    )
    return Prediction(
        question=question,
        latency_s=latency,
        throughput_per_s=throughput if accelerators is None else throughput.plus(accelerators),
        memory=device_memory(work, device, question.precision, question.batch, 1),
        power_w=device_power(device, 1.0, question.power_mode),
        basis=curve.basis,
        diagnostics=problems,
        dla_throughput_per_s=accelerators,
    )


def as_published(hardware: Hardware, power_mode: str | None) -> Hardware:
    """The device as benchmarks run it: a Jetson module runs at its data sheet's clocks unless a mode is named."""
    return replace(hardware, power_modes=()) if power_mode is None else hardware


def _accelerators(question: PredictQuestion, hardware: Hardware, work: KernelWork) -> Interval | Unsupported | None:
    """What the accelerators add, None when not asked; with no mode named in the mode that clocks them highest."""
    if not question.with_dla:
        return None
    fastest = max(hardware.power_modes, key=lambda mode: mode.dla_int8_flops, default=None)
    mode = question.power_mode or (None if fastest is None else fastest.name)
    return dla_throughput_per_s(work, hardware, question.precision, mode)


def power_mode_problem(power_mode: str | None, hardware: Hardware) -> tuple[Diagnostic, ...]:
    """The error that the device has no such mode, if it has none."""
    modes = [mode.name for mode in hardware.power_modes]
    if power_mode is None or any(mode.is_named(power_mode) for mode in hardware.power_modes):
        return ()
    known = f"its modes are {', '.join(modes)}" if modes else "it has no power modes"
    return (
        Diagnostic(
            id="predict-power-mode",
            message=f"{hardware.id} has no power mode {power_mode}",
            notes=(known,),
            help=did_you_mean(power_mode, modes) or known,
        ),
    )


def _question_problems(
    question: PredictQuestion, hardware: Hardware, model: ModelProfile | None
) -> tuple[Diagnostic, ...]:
    found = [*power_mode_problem(question.power_mode, hardware)]
    if model is None:
        return tuple(found)
    missing = [axis for axis in model.axes if axis not in question.axes]
    unknown = [axis for axis in question.axes if axis not in model.axes]
    if missing or unknown:
        example = ",".join(f"{axis}=128" for axis in model.axes)
        parts = [f"no size for {', '.join(missing)}"] if missing else []
        parts += [f"the model has no axis {', '.join(unknown)}"] if unknown else []
        help = f"write --axes {example}" if model.axes else "leave --axes out"
        found.append(Diagnostic(id="predict-axes", message="; ".join(parts), help=help))
    if model.batch_axis is None and question.batch != (model.fixed_batch or 1):
        message = f"the model's batch is fixed to {model.fixed_batch or 1}"
        found.append(Diagnostic(id="predict-batch", message=message, help="export it with a dynamic batch"))
    return tuple(found)
