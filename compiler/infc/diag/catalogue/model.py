"""Diagnostics about the model file and stored profiles."""

from infc.diag.kind import DiagnosticKind

MODEL: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="model-missing",
        title="model file cannot be read",
        what="The model that the spec names is not there, is a folder, or may not be read.",
        why="Without the file, or a stored profile of it, nothing is known of the model's work and memory.",
        example="model: {onnx: models/encoder.onnx}   # and models/ holds no encoder.onnx",
        fix="Correct the path (it is relative to the spec file) or fetch the model. A plan alone needs only the "
        "profile in infc-profiles/ and the digest in infc.lock.",
    ),
    DiagnosticKind(
        id="model-corrupt",
        title="model file is not a complete ONNX model",
        what="The bytes are not a whole ONNX protobuf: cut short, another format, tensors whose data does not match "
        "their shape, an empty graph, or a Git LFS pointer in place of the content.",
        why="No runtime would load it; analysing half a model would give a wrong plan.",
        example="a download that was interrupted, or a checkout without git lfs pull",
        fix="Export or download the model again and check it with onnx.checker.check_model, or run git lfs pull.",
    ),
    DiagnosticKind(
        id="model-too-large",
        title="model file is larger than a protobuf can be",
        what="The file has 2 GiB or more.",
        why="Protobuf messages end at 2 GiB, so neither ONNX Runtime nor TensorRT could parse it.",
        example="decoder.onnx of 3.1 GiB",
        fix="Save the model with external data: onnx.save(model, path, save_as_external_data=True).",
    ),
    DiagnosticKind(
        id="model-external-data",
        title="external data of the model is refused",
        what="The model keeps weights in another file that is missing, too short, or outside the model's folder.",
        why="A model file is data from somewhere; it may not make infc read files elsewhere on the machine. This is "
        "checked before the model is parsed.",
        example="a tensor with location ../../home/user/secrets.bin",
        fix="Keep external data in the model's folder or below, and refer to it by a relative path.",
    ),
    DiagnosticKind(
        id="model-operator-unknown",
        title="arithmetic of an operator is not known",
        what="The model holds operators, usually of a custom domain, that infc has no FLOP rule for. They count as "
        "data movement.",
        why="If they do much arithmetic, the predicted service time is too low.",
        example="my.domain::FancyAttention",
        fix="Measure the model once with infc calibrate; measured times replace the prediction.",
    ),
    DiagnosticKind(
        id="model-shape-unknown",
        title="sizes of tensors could not be found",
        what="Neither symbolic nor fixed-size shape inference finds the size of some tensors, as after NonZero or "
        "non-maximum suppression, where the data decides. They count as one element.",
        why="The operators behind them are counted too low.",
        example="a detector with NonMaxSuppression inside the graph",
        fix="Export the model with fixed sizes or without its post-processing, or measure it with infc calibrate.",
    ),
    DiagnosticKind(
        id="model-flops-unknown",
        title="FLOPs of matrix operators could not be found",
        what="The size of some convolution or matrix product is not known, because the data decides it or because the "
        "graph computes it in a way that infc cannot follow. Its FLOPs count as none or nearly none.",
        why="These operators hold most of a network's arithmetic, so its predicted service time is far too low.",
        example="a second stage that classifies the boxes that NonMaxSuppression kept",
        fix="Export the model with fixed input sizes (all but the batch), or measure it with infc calibrate.",
    ),
    DiagnosticKind(
        id="model-control-flow",
        title="bodies of loops and branches are counted once",
        what="The model holds Loop, Scan or If. How often a body runs depends on the data; it is counted once.",
        why="A loop that runs many times takes longer than predicted.",
        example="an ONNX Loop over decoding steps",
        fix="Export the model without control flow, or measure it with infc calibrate.",
    ),
    DiagnosticKind(
        id="model-batch-fixed",
        title="model has no batch axis",
        what="The inputs and outputs do not share one dynamic leading dimension, so a server cannot stack requests.",
        why="Every request is an execution of its own: dynamic batching is off and throughput is lower.",
        example="an input of shape [1, 3, 224, 224], or a state input of shape [2, batch, 128]",
        fix="Export with a dynamic first dimension on every input and output (dynamic_shapes in torch.onnx.export).",
    ),
    DiagnosticKind(
        id="config-unreadable",
        title="model config is not a JSON object",
        what="config.json is no JSON, no object, nested too deeply, larger than 8 MiB, or a Git LFS pointer.",
        why="The sizes of a language model are read from it; nothing can be planned without them.",
        example="an error page that was saved as config.json",
        fix="Fetch config.json from the model's repository again.",
    ),
    DiagnosticKind(
        id="config-field",
        title="value in the model config is wrong",
        what="A field of config.json has the wrong type, is out of range, or contradicts another field.",
        why="A size that is wrong gives wrong memory, time and cost without anybody noticing.",
        example='"num_attention_heads": "32", or 32 attention heads for 5 key-value heads',
        fix="Copy config.json from the model's repository again; do not edit sizes by hand.",
    ),
    DiagnosticKind(
        id="config-field-missing",
        title="model config lacks a size",
        what="A field that decides the size of the model is not in config.json and has no default in its architecture.",
        why="Guessing a size would give wrong memory, time and cost.",
        example='a config.json without "num_hidden_layers"',
        fix="Use the config.json of the model's repository; a fragment or a tokenizer's config is not enough.",
    ),
    DiagnosticKind(
        id="config-quantization",
        title="quantisation of the checkpoint is not known",
        what="quantization_config names a library or a format that infc does not know how large weights are in.",
        why="The memory of the weights and the time to read them would be invented.",
        example='"quantization_config": {"quant_method": "aqlm"}',
        fix="Plan the unquantised checkpoint with the precision that you want, or use one of the methods listed.",
    ),
    DiagnosticKind(
        id="config-unsupported",
        title="model is not a language model that infc can describe",
        what="config.json describes an encoder, an encoder-decoder, a vision model, or layers that infc has no "
        "description of.",
        why="Reading such a config as a decoder-only transformer would give a wrong size.",
        example='"model_type": "bert"',
        fix="Export encoders and vision models to ONNX and give the .onnx file; serve other architectures unplanned.",
    ),
    DiagnosticKind(
        id="config-text-only",
        title="only the text part of the model is served",
        what="The config is of a model that also reads images or sound. The plan is for text: memory and time of the "
        "encoders are not counted, and the emitted server is told not to load them (language-model-only).",
        why="Requests with images would need more memory and time than predicted; the server refuses them.",
        example="a Qwen3-VL checkpoint",
        fix="Nothing, for text alone. infc plans no image input of language models.",
    ),
    DiagnosticKind(
        id="config-architecture",
        title="architecture that infc has no description of",
        what="The model_type of config.json is none that infc knows: what its layers hold is not known.",
        why="Read as another architecture, its size and speed would be guesses that look like figures.",
        example='"model_type": "a-model-of-next-year"',
        fix="Use a model of an architecture that docs/models.md lists. One whose layers are exactly those of a known "
        "architecture can be given with that one's model_type in a copy of config.json.",
    ),
    DiagnosticKind(
        id="profile-corrupt",
        title="stored profile cannot be read",
        what="A file in infc-profiles/ is not what infc wrote: cut short, edited, or holding conflict markers.",
        why="A plan that silently leaves out a measurement would differ from the reviewed one.",
        example="<<<<<<< HEAD inside infc-profiles/model-0123456789ab.json",
        fix="Restore the file from git or delete it; infc writes it again when the model is analysed or measured.",
    ),
)
