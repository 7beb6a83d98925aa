"""Diagnostics about planning."""

from infc.diag.kind import DiagnosticKind

PLAN: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="plan-unsupported-model",
        title="this kind of model cannot be planned yet",
        what="The spec names a Hugging Face repository or a checkpoint folder. It is checked and carried, but this "
        "version plans ONNX models only.",
        why="Planning a language model needs a model of prefill, decode and KV cache; a guess would be worse.",
        example="model: {huggingface: {repo: Qwen/Qwen3-8B}}",
        fix="Export an encoder or vision model to ONNX. Keep the spec of a language model for a later version.",
    ),
    DiagnosticKind(
        id="plan-axis-missing",
        title="a dynamic axis has no size",
        what="The model has a dynamic axis, besides the batch, for which workload.axes gives no sizes.",
        why="Work and memory grow with the axis; without its sizes there is no service time.",
        example="an encoder with inputs [batch, seq] and no workload.axes.seq",
        fix="Write workload: {axes: {seq: {p50: 24, max: 128}}} with the model's name of the axis.",
    ),
    DiagnosticKind(
        id="plan-axis-unknown",
        title="the model has no such axis",
        what="workload.axes names an axis that is not a dynamic axis of the model, or its batch axis.",
        why="A misspelt axis would leave the real one without sizes; the batch is the plan's choice.",
        example="workload: {axes: {sequence: {max: 128}}}   # the model calls it seq",
        fix="Use the model's name of the axis, which the note shows.",
    ),
    DiagnosticKind(
        id="plan-hourly-unused",
        title="the day shape does not lower the cost",
        what="workload.hourly is given, but pricing.commitment is not mixed: the replicas for the peak run all day.",
        why="Only a mix of reserved and on-demand devices can follow the day.",
        example="workload: {hourly: [...]}\npricing: {commitment: on-demand}",
        fix="Write pricing: {commitment: mixed}, or remove hourly.",
    ),
    DiagnosticKind(
        id="predict-unsupported",
        title="the device cannot run this",
        what="The device has no units for the asked precision, or no builder makes such an engine for it.",
        why="A number for something that cannot run would be made up.",
        example="infc predict encoder.onnx --hardware t4 --precision fp8",
        fix="Ask for a precision that the device has: infc targets show ID.",
    ),
    DiagnosticKind(
        id="predict-power-mode",
        title="unknown power mode",
        what="The device has no nvpmodel mode of this name.",
        why="Clocks and power follow from the mode.",
        example="infc predict detector.onnx --hardware jetson-orin-nx-16gb --precision fp16 --power-mode 20W",
        fix="Use one of the modes that the note lists.",
    ),
    DiagnosticKind(
        id="predict-axes",
        title="sizes of the model's axes are wrong",
        what="A dynamic axis of the model has no size, or --axes names one that the model has not.",
        why="Work and memory grow with the axes.",
        example="infc predict encoder.onnx --hardware l4 --precision fp16   # the model has an axis seq",
        fix="Write --axes NAME=SIZE for each dynamic axis of the model but the batch.",
    ),
    DiagnosticKind(
        id="predict-batch",
        title="the model's batch is fixed",
        what="The model has no dynamic batch, and another batch was asked for.",
        why="The graph only runs at the batch it was exported with.",
        example="infc predict detector.onnx --hardware l4 --precision fp16 --batch 8",
        fix="Leave --batch out, or export the model with a dynamic batch.",
    ),
)
