"""Diagnostics about results of other load generators."""

from infc.diag.kind import DiagnosticKind

IMPORTS: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="import-unreadable",
        title="No result of a load generator",
        what="The file cannot be read, is of an unknown tool, or lacks what every run has.",
        why="A measurement that is half understood would be half trusted.",
        example="bench.json is no result that can be imported: it holds 3 results, one after the other",
        fix="Name the JSON of one run of vllm bench serve, AIPerf or guidellm.",
    ),
)
