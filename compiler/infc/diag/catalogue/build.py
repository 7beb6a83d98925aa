"""Diagnostics about lowering, building and emitting."""

from infc.diag.kind import DiagnosticKind

BUILD: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="emit-tensor-type",
        title="Tensor type that the server has not",
        what="An input or output of the model has a data type that Triton's model configuration cannot name.",
        why="Clients could not send or read it. Eight-bit floats, for one, exist only inside engines.",
        example="Triton has no data type for tensor 'y' (float8_e4m3fn)",
        fix="Export the model with float, integer, bool or string inputs and outputs.",
    ),
    DiagnosticKind(
        id="emit-not-batched",
        title="Tensor without the batch",
        what="The model batches its inputs, but this input or output does not lead with the batch.",
        why="Triton joins requests along the first dimension and splits the answers along it.",
        example="tensor 'scores' does not lead with the batch, so Triton cannot split it between requests",
        fix="Export the model with the batch as the first dimension of every input and output, or with a fixed batch.",
    ),
    DiagnosticKind(
        id="emit-tensorrt-version",
        title="Engine of another TensorRT version",
        what="The engine was built with another TensorRT than the one inside the pinned Triton release.",
        why="A TensorRT engine loads only in the version that built it.",
        example="the engine was built with TensorRT 11.4.1, but Triton 24.10 runs TensorRT 10.5",
        fix="Build it with the TensorRT of the server's container image.",
    ),
    DiagnosticKind(
        id="output-not-a-bundle",
        title="Output folder is not infc's",
        what="The output path exists and infc did not write it, or it is a file or a link.",
        why="infc replaces the whole folder in one step; it does so only with a folder that holds its own manifest.",
        example="dist/encoder is a folder that infc did not write; nothing in it was changed",
        fix="Choose another folder with -o, or move this one away.",
    ),
    DiagnosticKind(
        id="bundle-unreadable",
        title="Not a bundle",
        what="The folder has no infc-bundle.json that this version reads.",
        why="Without the manifest it cannot be said which deployment this is and whether its files are whole.",
        example="dist/encoder is not a bundle of infc: it has no readable infc-bundle.json",
        fix="Compile the spec again.",
    ),
    DiagnosticKind(
        id="bundle-changed",
        title="Bundle was edited",
        what="A file of the bundle is missing, was added or was changed after infc wrote it.",
        why="What was measured and locked is what infc wrote; an edited file is neither.",
        example="model_repository/encoder/config.pbtxt was changed since infc wrote dist/encoder",
        fix="Change the spec and compile again, or restore the file.",
    ),
)
