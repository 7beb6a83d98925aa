"""Diagnostics about the quality shadow of a Triton bundle."""

from infc.diag.kind import DiagnosticKind

SHADOW: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="shadow-noticeable",
        title="the latency objective would notice the quality shadow",
        what="Triton captures the tensors of a sampled request inside the request, and for tensors of this size that "
        "takes long enough to move a percentile of the objective at the sampled share.",
        why="A quality shadow must never slow the answers: a large tensor can only be sampled rarely.",
        example="deploy: {shadow: {sample: 1%}}   # and an input of 3x224x224 floats: 0.1 s a captured request",
        fix="Sample at most the share that the help line names: even one request a minute finds a wrong engine in "
        "hours.",
    ),
    DiagnosticKind(
        id="shadow-tensor-type",
        title="a tensor that a quality shadow cannot see",
        what="The model has an input or output of a data type that Triton's trace does not write: 16-bit floats, "
        "strings.",
        why="The reference model needs the same inputs, and a comparison needs both outputs.",
        example="deploy: {shadow: {}}   # and a model with a float16 input",
        fix="Export the model with 32-bit inputs and outputs (infc lowers what is between them), or leave the shadow "
        "out.",
    ),
)
