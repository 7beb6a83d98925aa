"""Diagnostics about several builders and clusters of them."""

from infc.diag.kind import DiagnosticKind

FLEET: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="builder-none",
        title="No builder for the device",
        what="None of the named builders makes engines for this device, or none with the versions of the key.",
        why="An engine is tuned on the device that will run it; another device in its place would be a silent guess.",
        example="no builder for h100-sxm: ray://farm:10001 has no node of type H100",
        fix="Name a builder that has the device (--builder, repeatable), or wait longer (--builder-wait).",
    ),
    DiagnosticKind(
        id="builder-interrupted",
        title="Build was interrupted",
        what="infc was asked to stop while this engine was being built or waited for.",
        why="Nothing half-built is kept; what was finished before is in the cache.",
        example="the build for l4 was interrupted",
        fix="Run the same command again: finished engines are not built a second time.",
    ),
    DiagnosticKind(
        id="builder-timed-out",
        title="Build took longer than allowed",
        what="The engine was not finished, or its job was not even started, within the time given.",
        why="A job that waits for a node that never comes would hold up every other one.",
        example="k8s://builds: job infc-5f1c09d2a4b1 was not placed on a node in 300 s: 0/4 nodes are available",
        fix="Give more time with --build-timeout or --builder-wait, or see in the note what it waits for.",
    ),
    DiagnosticKind(
        id="builder-broke",
        title="Builder failed without an answer",
        what="The node died, the container ended with an error or the worker was killed before it wrote a result.",
        why="A failure of the machine says nothing about the engine, so the job is tried again, elsewhere if possible.",
        example="ray://farm:10001: the node that built for t4 died",
        fix="Run the same command again; the note holds the last words of the builder.",
    ),
)
