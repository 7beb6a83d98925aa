"""Diagnostics about checkpoints of language models and their quantisation."""

from infc.diag.kind import DiagnosticKind

CHECKPOINT: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="checkpoint-file",
        title="Checkpoint file cannot be served",
        what="A file of the checkpoint is a link that leads outside, is cut short, damaged, missing or no file at all.",
        why="A server that loads half a model fails late, or not at all and answers nonsense.",
        example="checkpoint file model.safetensors: it is no safetensors file (a pointer of Git LFS, or cut short)",
        fix="Fetch the file again, with `git lfs pull` or `hf download`.",
    ),
    DiagnosticKind(
        id="checkpoint-pickle",
        title="Weights are Python pickles",
        what="The checkpoint holds its weights in .bin, .pt or similar files only.",
        why="Reading a pickle runs the code in it; infc and its bundles take safetensors alone.",
        example="the checkpoint's weights are Python pickles (pytorch_model.bin)",
        fix="Convert them to safetensors, or fetch the repository's safetensors files.",
    ),
    DiagnosticKind(
        id="checkpoint-tokenizer",
        title="Checkpoint has no tokeniser",
        what="There are weights, but none of the files that a tokeniser is read from.",
        why="A server cannot read text without, and another model's tokeniser gives nonsense.",
        example="the checkpoint has weights but no tokeniser",
        fix="Put the tokeniser's files beside config.json.",
    ),
    DiagnosticKind(
        id="quantise-needs-weights",
        title="No weights to quantise",
        what="The plan takes a quantised precision, and the checkpoint's weights are not on this machine.",
        why="Quantising reads every weight; a server rounds on loading only to FP8.",
        example="Qwen/Qwen3-8B is planned in int4, and its weights are not here to be quantised",
        fix="Fetch the weights and compile again, or name a model that is quantised already.",
    ),
    DiagnosticKind(
        id="quantise-on-load",
        title="Server rounds the weights",
        what="The plan takes FP8 and the weights are not on this machine, so vLLM rounds them while it loads.",
        why="The deployment works, but nothing says what it does to the answers.",
        example="the weights are not here: vLLM rounds them to FP8 when it loads them, and no accuracy was measured",
        fix="Compile where the weights are.",
    ),
    DiagnosticKind(
        id="quantise-data",
        title="Calibration texts are missing or unusable",
        what="The file of quantization.calibration is no .jsonl of texts, or a precision that needs it has none.",
        why="Scales of activations are found on texts like those that the model will be asked.",
        example="calibration data texts.jsonl: line 3 has no text",
        fix='Write one row a line: `{"text": "..."}`.',
    ),
    DiagnosticKind(
        id="quantise-failed",
        title="Checkpoint could not be quantised",
        what="llm-compressor ended with an error, was killed or took too long.",
        why="Without the quantised weights there is nothing to deploy in this precision.",
        example="llm-compressor could not quantise the checkpoint to int4",
        fix="Read the notes; allow another precision, or name a checkpoint that is quantised already.",
    ),
)
