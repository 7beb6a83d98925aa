"""Model profiles and measured service times <-> JSON, as stored in `infc-profiles/`.

The text is canonical: equal values give equal bytes. Expressions of a model profile stand once in a table that
operators index.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from infc.ir.expression import AxisExpression
from infc.ir.interval import Interval
from infc.ir.model_profile import Caveat, ModelProfile, OperatorClass, OperatorProfile, TensorSpec
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.resolve.device_usage_json import json_from_usage, usage_from_json
from infc.resolve.expression_json import expression_from_json, json_from_expression
from infc.resolve.json_reader import JsonObject, ProfileFormatError, canonical_json, object_of_text, plain_number

FORMAT_VERSION = "1.0"
OPERATOR_COLUMNS = (
    "name", "op_type", "operator_class", "fusion_group", "flops", "weight_elements",
    "input_elements", "output_elements", "external_input_elements", "is_group_output",
)  # fmt: skip
"""One operator is one row; `flops` and the element counts but `weight_elements` are indices into `expressions`."""

E = TypeVar("E", bound=StrEnum)
_CLASSES = {str(value): value for value in OperatorClass}


def text_from_model(profile: ModelProfile) -> str:
    """The stored form of a model profile."""
    table: dict[AxisExpression, int] = {}

    def index(expression: AxisExpression) -> int:
        return table.setdefault(expression, len(table))

    peak = index(profile.peak_activation_elements)
    operators = [
        [
            op.name, op.op_type, str(op.operator_class), op.fusion_group, index(op.flops), op.weight_elements,
            index(op.input_elements), index(op.output_elements), index(op.external_input_elements), op.is_group_output,
        ]
        for op in profile.operators
    ]  # fmt: skip
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "model",
            "name": profile.name,
            "digest": profile.digest,
            "format": profile.format,
            "opset": profile.opset,
            "inputs": [_json_from_tensor(spec) for spec in profile.inputs],
            "outputs": [_json_from_tensor(spec) for spec in profile.outputs],
            "batch_axis": profile.batch_axis,
            "fixed_batch": profile.fixed_batch,
            "axes": list(profile.axes),
            "parameter_elements": profile.parameter_elements,
            "weight_bytes": profile.weight_bytes,
            "peak_activation_elements": peak,
            "caveats": [{"id": c.id, "message": c.message, "help": c.help} for c in profile.caveats],
            "operator_columns": list(OPERATOR_COLUMNS),
            "operators": operators,
            "expressions": [json_from_expression(expression) for expression in table],
        }
    )


@lru_cache(maxsize=16)
def model_from_text(text: str) -> ModelProfile:
    """The model profile of a stored text; ProfileFormatError when it is none. Specs of a folder share their models."""
    fields = opened_profile(text, "model")
    if fields.texts("operator_columns") != OPERATOR_COLUMNS:
        raise ProfileFormatError("profile.operator_columns are not those of this version")
    table = tuple(map(expression_from_json, fields.items("expressions")))
    return ModelProfile(
        name=fields.text("name"),
        digest=fields.text("digest"),
        format=fields.text("format"),
        opset=fields.integer("opset"),
        inputs=tuple(map(_tensor_from_json, fields.nested_list("inputs"))),
        outputs=tuple(map(_tensor_from_json, fields.nested_list("outputs"))),
        batch_axis=fields.optional("batch_axis", fields.text),
        fixed_batch=fields.optional("fixed_batch", fields.integer),
        axes=fields.texts("axes"),
        parameter_elements=fields.integer("parameter_elements"),
        weight_bytes=fields.integer("weight_bytes"),
        peak_activation_elements=_indexed(table, fields.integer("peak_activation_elements")),
        operators=tuple(_operator_from_row(row, table) for row in fields.items("operators")),
        caveats=tuple(
            Caveat(id=c.text("id"), message=c.text("message"), help=c.text("help"))
            for c in fields.nested_list("caveats")
        ),
    )


def _operator_from_row(row: object, table: Sequence[AxisExpression]) -> OperatorProfile:
    match row:
        case [
            str(name), str(op_type), str(operator_class), int(group), int(flops), int(weights), int(read), int(written),
            int(external), bool(is_group_output),
        ] if operator_class in _CLASSES:  # fmt: skip
            return OperatorProfile(
                name=name,
                op_type=op_type,
                operator_class=_CLASSES[operator_class],
                fusion_group=group,
                flops=_indexed(table, flops),
                weight_elements=weights,
                input_elements=_indexed(table, read),
                output_elements=_indexed(table, written),
                external_input_elements=_indexed(table, external),
                is_group_output=is_group_output,
            )
    raise ProfileFormatError(f"{str(row)[:80]} is not a row of operators")


def _indexed(table: Sequence[AxisExpression], index: int) -> AxisExpression:
    if not 0 <= index < len(table):
        raise ProfileFormatError(f"expression {index} is not in the table of {len(table)}")
    return table[index]


def _json_from_tensor(spec: TensorSpec) -> dict[str, object]:
    elements = None if spec.elements is None else json_from_expression(spec.elements)
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape), "elements": elements}


def _tensor_from_json(fields: JsonObject) -> TensorSpec:
    shape = tuple(size for size in fields.items("shape") if isinstance(size, int | str) and not isinstance(size, bool))
    if len(shape) != len(fields.items("shape")):
        raise ProfileFormatError("a tensor's shape holds neither numbers nor axis names")
    return TensorSpec(
        name=fields.text("name"),
        dtype=fields.text("dtype"),
        shape=shape,
        elements=fields.optional("elements", lambda key: expression_from_json(fields.items(key))),
    )


def text_from_service_times(profile: ServiceTimeProfile) -> str:
    """The stored form of measured service times."""
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "service-time",
            "model_digest": profile.model_digest,
            "precision": str(profile.precision),
            "hardware_id": profile.hardware_id,
            "engine_kind": profile.engine_kind,
            "instances": profile.instances,
            "environment": dict(profile.environment),
            "points": [_json_from_point(point) for point in profile.points],
            **({} if profile.usage is None else {"usage": json_from_usage(profile.usage)}),
            **({} if profile.load_s is None else {"load_s": plain_number(profile.load_s)}),
        }
    )


def _json_from_point(point: ServiceTimePoint) -> dict[str, object]:
    """What a device did not tell is left out: a profile of a CPU has the bytes that it always had."""
    told: dict[str, object] = {}
    if point.device_s is not None:
        told["device_s"] = json_from_interval(point.device_s)
    if point.power_w is not None:
        told["power_w"] = plain_number(point.power_w)
    return {
        "batch_size": point.batch_size,
        "axes": dict(point.axes),
        "seconds": json_from_interval(point.seconds),
        "executions": point.executions,
        **told,
    }


def service_times_from_text(text: str) -> ServiceTimeProfile:
    """The service times of a stored text; ProfileFormatError when it is none."""
    fields = opened_profile(text, "service-time")
    environment = fields.nested("environment")
    return ServiceTimeProfile(
        model_digest=fields.text("model_digest"),
        precision=member(Precision, fields.text("precision")),
        hardware_id=fields.text("hardware_id"),
        engine_kind=fields.text("engine_kind"),
        instances=fields.integer("instances"),
        points=tuple(map(_point_from_json, fields.nested_list("points"))),
        environment={key: environment.text(key) for key in environment.names()},
        usage=usage_from_json(fields.nested("usage")) if "usage" in fields.names() else None,
        load_s=fields.number("load_s") if "load_s" in fields.names() else None,
    )


def _point_from_json(fields: JsonObject) -> ServiceTimePoint:
    axes = fields.nested("axes")
    return ServiceTimePoint(
        batch_size=fields.integer("batch_size"),
        axes={axis: axes.integer(axis) for axis in axes.names()},
        seconds=interval_from_json(fields.nested("seconds")),
        executions=fields.integer("executions"),
        device_s=interval_from_json(fields.nested("device_s")) if "device_s" in fields.names() else None,
        power_w=fields.number("power_w") if "power_w" in fields.names() else None,
    )


def opened_profile(text: str, kind: str) -> JsonObject:
    """The fields of a stored text; ProfileFormatError when it is no profile of this kind and version."""
    fields = object_of_text(text)
    if fields.text("kind") != kind:
        raise ProfileFormatError(f"it is a {fields.text('kind')} profile, not a {kind} profile")
    if fields.text("format_version").split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ProfileFormatError(f"its format {fields.text('format_version')} is not {FORMAT_VERSION}")
    return fields


def json_from_interval(interval: Interval) -> Mapping[str, object]:
    """An interval as stored."""
    return {
        "value": plain_number(interval.value),
        "low": plain_number(interval.low),
        "high": plain_number(interval.high),
    }


def interval_from_json(fields: JsonObject) -> Interval:
    """The interval of a stored object."""
    return Interval(value=fields.number("value"), low=fields.number("low"), high=fields.number("high"))


def member(members: type[E], text: str) -> E:
    """The member of an enumeration whose value is `text`; ProfileFormatError when there is none."""
    for member in members:
        if member.value == text:
            return member
    raise ProfileFormatError(f"{text!r} is not one of {', '.join(members)}")
