"""Why a TensorRT builder refused, as diagnostics with the fix."""

import re
from collections.abc import Callable, Sequence

from infc.build.libraries import CAPABILITY_OF_TYPE, LIBRARIES
from infc.diag import Diagnostic
from infc.ir.engine import BuildRequest

MiB = 2**20
_TYPE_NAMES = {"fp8_e4m3": "FP8", "b16": "BF16", "int4": "INT4", "fp4": "FP4", "e2m1": "FP4"}

_OPTION = re.compile(r"option (?P<option>\w+) is not in (?P<library>[^:\n]+): (?P<why>[^\n]+); (?P<way_out>[^\n;]+)")
_IGNORED = re.compile(r"precision ignored: (?P<what>[^\n]+)")
_SHAPE_TENSOR = re.compile(r"shape tensor: (?P<what>[^\n]+)")
_TURING = re.compile(
    r"Cannot compile operation '(?P<node>[^']*)' for Turing \(SM75\): (?P<what>[^.]+) is not supported"
)
_HW_TYPES = re.compile(
    r"Cannot compile for target\(s\) (?P<targets>[^,]+), because the model contains HW-specific datatypes: "
    r"(?P<types>[\w, ]+)"
)
_MEMORY = re.compile(r"OutOfMemory.*?Requested size was (?P<bytes>\d+)", re.S)
_WORKSPACE = re.compile(r"no tactics to implement the operation within workspace limit")
_SHAPES = re.compile(r"(?P<what>[^\n]*(?:IOptimizationProfile|optimization profile)[^\n]*)", re.I)


def diagnose(request: BuildRequest, errors: Sequence[str], parse_errors: Sequence[str]) -> Diagnostic:
    """The diagnostic for a failed build.

    `errors` are the builder's error messages, `parse_errors` those of its ONNX parser.
    """
    text = "\n".join((*parse_errors, *errors))
    for pattern, make in _RULES:
        match = pattern.search(text)
        if match is not None:
            return make(request, match)
    if parse_errors:
        return Diagnostic(
            id="build-parse-failed",
            message=f"{_title(request)} cannot read the lowered model",
            notes=tuple(_first_lines(parse_errors)),
            help="export the model with operators that TensorRT supports, or plan for cpu",
        )
    engine = f"{request.model.precision.value} engine for {request.hardware_id}"
    return Diagnostic(
        id="build-failed",
        message=f"{_title(request)} could not build the {engine}",
        notes=tuple(_first_lines(errors)) or ("the builder gave no reason",),
        help="try another precision or a smaller max batch size; infc keeps no half-built engine",
    )


def crashed(request: BuildRequest, exit_code: int, last_lines: Sequence[str]) -> Diagnostic:
    """The diagnostic for a builder process that ended without an answer.

    `exit_code` is negative for a signal; a shell and the worker say 128 more than the signal's number.
    """
    signal = -exit_code if exit_code < 0 else exit_code - 128
    how = f"was ended by signal {signal}" if signal > 0 else f"ended with exit code {exit_code}"
    hint = "out of memory is the usual cause of signal 9" if signal == 9 else "the library itself failed"
    return Diagnostic(
        id="build-crashed",
        message=f"the {_title(request)} builder for {request.hardware_id} {how}",
        notes=(hint, *[line for line in last_lines if line.strip()][-3:]),
        help="run it again; if it repeats, lower max batch size or choose another precision",
    )


def _option_unsupported(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    option = match["option"].removeprefix("is_").replace("refittable", "refit").replace("_bytes", "")
    return Diagnostic(
        id="build-option-unsupported",
        message=f"{match['library']} has no build option {option}",
        notes=(match["why"],),
        help=f"{match['way_out']}, or take {option} out of build",
    )


def _precision_ignored(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    return Diagnostic(
        id="build-precision-ignored",
        message=f"{_title(request)} did not build {request.model.precision.value} for {request.hardware_id}",
        notes=(match["what"],),
        help="allow another precision in constraints.precision: this one would cost accuracy and gain nothing here",
    )


def _values_set_shapes(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    return Diagnostic(
        id="build-shapes",
        message=f"{_title(request)} needs to know the values of an input before it runs",
        notes=(match["what"],),
        help="export the model with that input as a constant; infc plans the shapes of inputs, not their values",
    )


def _no_fp32_products(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    return Diagnostic(
        id="build-precision-unsupported",
        message=f"{request.hardware_id} (Turing, SM 7.5) cannot run {match['what']} in {_title(request)}",
        notes=(f"operator {match['node']} is in FP32",),
        help="allow fp16 or int8 in constraints.precision: their engines hold no FP32 product",
    )


def _hardware_types(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    types = [_TYPE_NAMES.get(name.strip(), name.strip()) for name in match["types"].split(",")]
    return Diagnostic(
        id="build-precision-unsupported",
        message=f"{request.hardware_id} has no {' or '.join(types)} hardware ({match['targets'].strip()})",
        notes=(", ".join(f"{name} needs SM {since} or newer" for name, since in CAPABILITY_OF_TYPE.items()),),
        help="allow fp16 or int8 in constraints.precision",
    )


def _too_little_memory(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    needed = int(match["bytes"])
    limit = request.options.workspace_bytes
    allowed = f"the limit was {limit / MiB:.0f} MiB" if limit else "no limit was set"
    return Diagnostic(
        id="build-out-of-memory",
        message=f"the engine for {request.hardware_id} needs {needed / MiB:.0f} MiB of device memory for activations",
        notes=(allowed,),
        help="use a smaller max batch size or axis maximum, fewer instances per GPU, or a device with more memory",
    )


def _workspace_too_small(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    limit = request.options.workspace_bytes or 0
    return Diagnostic(
        id="build-out-of-memory",
        message=f"no kernel for {request.hardware_id} fits the workspace limit of {limit / MiB:.1f} MiB",
        notes=(match.group(0),),
        help="use a smaller max batch size, fewer instances per GPU, or a device with more memory",
    )


def _bad_shapes(request: BuildRequest, match: re.Match[str]) -> Diagnostic:
    ranges = tuple(f"{s.input_name}: {s.minimum} to {s.maximum}" for s in request.shapes)
    return Diagnostic(
        id="build-shapes",
        message=f"{_title(request)} does not accept the shape ranges of the plan",
        notes=(match["what"].strip()[:200], *ranges),
        help="check workload.axes: every size up to max must be one the model accepts",
    )


_RULES: tuple[tuple[re.Pattern[str], Callable[[BuildRequest, re.Match[str]], Diagnostic]], ...] = (
    (_OPTION, _option_unsupported),
    (_IGNORED, _precision_ignored),
    (_SHAPE_TENSOR, _values_set_shapes),
    (_TURING, _no_fp32_products),
    (_HW_TYPES, _hardware_types),
    (_MEMORY, _too_little_memory),
    (_WORKSPACE, _workspace_too_small),
    (_SHAPES, _bad_shapes),
)


def _title(request: BuildRequest) -> str:
    return LIBRARIES[request.kind].title


def _first_lines(messages: Sequence[str]) -> list[str]:
    lines = [message.strip().splitlines()[0][:240] for message in messages if message.strip()]
    return list(dict.fromkeys(lines))[:3]
