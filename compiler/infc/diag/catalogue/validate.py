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
    DiagnosticKind(
        id="gpu-missing",
        title="No GPU to run an engine on",
        what="CUDA finds no NVIDIA GPU on this machine, or the driver is absent or too old for it.",
        why="An engine for a GPU runs nowhere else, and nothing is measured in its place.",
        example="this machine has no NVIDIA GPU that CUDA can use",
        fix="Run it on a machine with the GPU and its driver; start a container with --gpus all.",
    ),
    DiagnosticKind(
        id="gpu-engine-version",
        title="Engine of another library version",
        what="The engine does not load, and the installed TensorRT or TensorRT-RTX is not the version that built it.",
        why="An engine is machine code of one version of the library; only version compatible ones load in later ones.",
        example="the engine was built with tensorrt 10.5.0, and 11.4.1 here does not load it",
        fix="Install the version that built it, or build it again on this machine.",
    ),
    DiagnosticKind(
        id="gpu-engine-refused",
        title="Engine does not load on this GPU",
        what="The library refuses the engine; its words are in the notes.",
        why="Mostly it was built for another compute capability, or the device memory does not hold it.",
        example="the tensorrt_rtx engine for l4 does not load on this machine's GPU",
        fix="Build the engine for this GPU; free device memory that other programs hold.",
    ),
    DiagnosticKind(
        id="calibrate-engine",
        title="Engine that the device cannot have",
        what="The chosen runtime cannot run this model on the device in this precision.",
        why="There would be nothing to measure.",
        example="l4 cannot be measured with torch in int8",
        fix="Leave --engine out, or choose another precision.",
    ),
    DiagnosticKind(
        id="calibrate-slowed",
        title="Clocks were held back while measuring",
        what="The GPU reported that heat or a power limit lowered its clocks in more than a tenth of the samples.",
        why="Service times measured so are those of a hot or capped device: a cooler one is faster.",
        example="the clocks of l4 were held back in 64% of the samples (power cap)",
        fix="Measure again on an idle, cooled device where production is cooler; keep them where it is the same.",
    ),
    DiagnosticKind(
        id="calibrate-needs-bundle",
        title="No bundle to measure through Triton",
        what="--through triton serves what infc compile emitted, and the output folder holds no bundle of this spec "
        "and device.",
        why="Triton's own times are those of the emitted configuration, engine and backend.",
        example="dist holds no bundle of encoder for l4",
        fix="Run infc compile first, or name its output folder with -o.",
    ),
)
