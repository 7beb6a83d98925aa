"""What `infc compile` says of a vLLM deployment."""

from infc.diag.kind import DiagnosticKind

VLLM: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="vllm-argument",
        title="a flag that the pinned vLLM does not take as it is written",
        what="An entry of deploy.vllm.args is unknown to the vLLM release that infc emits for, or its value has the "
        "wrong type, is none of the choices, or is written in a way that vLLM reads as something else.",
        why="A server that does not start, or silently starts with another setting, is found after the rollout; the "
        "arguments of the release are known beforehand.",
        example="deploy: {vllm: {args: {enable-log-deltas: false}}}   # vLLM drops `false` from a file",
        fix="Write what the help says: here `no-enable-log-deltas: true`. `vllm serve --help=all` lists them all.",
    ),
    DiagnosticKind(
        id="vllm-argument-reserved",
        title="a flag that something else decides",
        what="An entry of deploy.vllm.args names a flag that the plan or another key of the spec decides, that holds a "
        "secret, or that loads code.",
        why="The plan's numbers hold for the limits that it chose: another max-num-seqs would make them those of "
        "another server. Secrets do not belong into files, and code that a flag loads is not what was checked.",
        example="deploy: {vllm: {args: {max-num-seqs: 512}}}",
        fix="Remove the flag, and set what decides it: the note names it.",
    ),
    DiagnosticKind(
        id="vllm-device",
        title="a device that vLLM is not emitted for",
        what="The plan, or an entry of deploy.targets, puts a language model on a device that the images of the pinned "
        "vLLM do not run on.",
        why="The images hold kernels for NVIDIA GPUs of compute capability 7.5 and later, and for CPUs.",
        example='compute_capability: "7.0"   # of a GPU in your own targets/, planned for a language model',
        fix="Leave the device out of constraints.hardware and deploy.targets.",
    ),
    DiagnosticKind(
        id="vllm-several-hosts",
        title="a replica wider than a host",
        what="The plan divides one replica over more devices than one host has.",
        why="Such a server needs a process on every host, started together and with a fast network between them; what "
        "infc emits starts one process on one host.",
        example="tensor parallel 8 and 2 pipeline stages: 16 devices a replica",
        fix="Allow devices with more memory, or a lower precision, so that a replica fits a host.",
    ),
    DiagnosticKind(
        id="vllm-model-volume",
        title="a cluster that cannot find the model",
        what="deploy.kubernetes is set, the model or its drafter is a folder, and no volume that holds it is named.",
        why="Weights are too large for a ConfigMap and are not in the image; pods would wait for a model for ever.",
        example="model: {checkpoint: models/qwen3}   deploy: {kubernetes: {}}",
        fix="Copy the bundle's model/ to the root of a volume and name its claim as deploy.kubernetes.model_volume, or "
        "name a repository of the hub as the model.",
    ),
)
