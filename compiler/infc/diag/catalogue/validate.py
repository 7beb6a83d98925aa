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
    DiagnosticKind(
        id="calibrate-no-steps",
        title="No steps of the server to measure",
        what="The server answers requests, and the log that was named holds no usable lines about its steps.",
        why="vLLM writes how long each step took only when it is told to; nothing else says it as exactly.",
        example="the server answers, and its log has no steps",
        fix="Start vllm serve with --enable-logging-iteration-details, send its output to a file, and name that file "
        "with --log.",
    ),
    DiagnosticKind(
        id="calibrate-foreign-steps",
        title="Steps of other requests",
        what="The steps in the server's log are not those that the requests of the calibration make.",
        why="A step's time is of use only where it is known what the step computed: other clients' requests, drafted "
        "tokens and several engines in one log hide it.",
        example="the server's steps are not those of the requests that were sent",
        fix="Keep other clients away while it is measured; turn speculative decoding off; one engine for each log.",
    ),
    DiagnosticKind(
        id="calibrate-noisy",
        title="Something else used the cores",
        what="While the steps were measured, other programs, or other machines of the same host, had more than 15% of "
        "the time of this machine's processor cores.",
        why="The measured steps hold the time of other programs; an idle machine is faster.",
        example="other work took 40% of this machine's processor cores",
        fix="End other programs on this machine and measure again.",
    ),
    DiagnosticKind(
        id="calibrate-unsteady",
        title="The processor's pace varies",
        what="Equal steps were measured several times, and took clearly more or less time from one time to the next, "
        "without other programs on this machine.",
        why="A virtual machine shares its host's processors with others, and a processor changes its clock. A plan "
        "rests on the mean, and its intervals are as wide as the pace varied; a load test may meet with another pace.",
        example="the same steps took up to 24% more or less time when they were repeated",
        fix="Measure for longer with --budget, so that the mean is that of a longer time, or on a machine of its own.",
    ),
    DiagnosticKind(
        id="calibrate-short",
        title="Not all steps were measured",
        what="The time budget was over before the largest bursts of requests could be measured.",
        why="What was not measured is extrapolated. A plan that goes beyond it says so.",
        example="no time was left for 3 of the planned bursts of requests",
        fix="Give the calibration more time with --budget.",
    ),
    DiagnosticKind(
        id="calibrate-no-plan",
        title="Nothing to measure on this hardware",
        what="The model cannot be served on the device at all: it does not fit, or the device lacks its precision.",
        why="The calibration runs the server with the settings of a plan for that device.",
        example="llama-70b cannot be served on l4, whatever the SLO",
        fix="Choose other hardware, or another precision with --precision.",
    ),
    DiagnosticKind(
        id="calibrate-pipeline",
        title="Steps of a pipeline are not measured",
        what="The plan divides the layers over stages that work at the same time.",
        why="The time that the server logs for a step is that of all stages one after the other, while several steps "
        "are on their way.",
        example="bf16/h100-sxm/tp8/pp2/s64/t8192 is a pipeline of 2 stages",
        fix="Measure it under load with infc validate.",
    ),
)
