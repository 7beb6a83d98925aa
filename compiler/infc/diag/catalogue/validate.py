"""Diagnostics about load tests."""

from infc.diag.kind import DiagnosticKind

VALIDATE: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="calibrate-other-machine",
        title="Device is not this machine",
        what="infc calibrate measures the machine it runs on, and that is not the asked device.",
        why="A service time measured elsewhere is no measurement of this device.",
        example="l4 cannot be measured on this machine",
        fix="Run infc calibrate on a host with the device, or infc validate against a server that runs there with "
        "--endpoint.",
    ),
    DiagnosticKind(
        id="calibrate-axis-missing",
        title="Dynamic axis without a size",
        what="The model has a dynamic axis, and neither the spec nor --axes gives it a size.",
        why="The service time depends on it.",
        example="axis sequence of encoder has no size",
        fix="Add workload.axes to the spec, or --axes sequence=128.",
    ),
)
