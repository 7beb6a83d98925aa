"""Diagnostics about drift."""

from infc.diag.kind import DiagnosticKind

DRIFT: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="drift-server",
        title="Drift of a server that is not looked at",
        what="The deployment is locked for another server than vLLM.",
        why="What a server shows of itself differs from kind to kind; only vLLM's is read.",
        example="encoder @ l4 is served by triton, and drift is read from vLLM only",
        fix="Test the deployment with infc validate, and its lock with infc lock --check.",
    ),
    DiagnosticKind(
        id="drift-target",
        title="Several locked deployments of one spec",
        what="A spec is locked for several targets, and none was named.",
        why="A server is compared with one of them.",
        example="chat is locked for several targets",
        fix="Name the one that runs at the endpoint with --target.",
    ),
)
