"""Diagnostics about releases for edge devices."""

from infc.diag.kind import DiagnosticKind

EDGE: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="edge-file-damaged",
        title="A file of an edge release that is not what it should be",
        what="A manifest, a list of samples or what a device says of a release cannot be read.",
        why="It was edited, cut short, or written by an infc that uses another format.",
        example="manifest.json: $.version is missing",
        fix="Take the file again from the bundle or the device, or compile again with this infc.",
    ),
)
