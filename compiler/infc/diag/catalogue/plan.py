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
        id="plan-unsupported-server",
        title="the server cannot run this model",
        what="deploy.server names a server that does not serve ONNX models.",
        why="vLLM runs language models from their checkpoints.",
        example="model: {onnx: encoder.onnx}\ndeploy: {server: vllm}",
        fix="Write server: triton, or leave it out.",
    ),
    DiagnosticKind(
        id="plan-no-latency",
        title="no latency target to plan for",
        what="The spec has targets, but none under slo.latency, which is what an ONNX model is planned for.",
        why="Replicas and batching follow from the percentile that has to hold.",
        example="slo: {availability: 99.9%}",
        fix="Write slo: {latency: {p99: 25ms}}.",
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
        id="plan-why-unknown",
        title="not a candidate of this spec",
        what="The text given to --why names no device and precision that the spec's constraints leave.",
        why="Only candidates that were considered can be explained.",
        example="infc plan spec.infc.yaml --why int8/a100",
        fix="Take a label from the plan, such as int8/l4 or fp16/t4/b8/i1/d500us.",
    ),
)
