"""Diagnostics about rules across the fields of a spec."""

from infc.diag.kind import DiagnosticKind

SPEC_RULES: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="spec-slo-missing",
        title="The SLO promises no latency",
        what="None of latency, ttft, tpot and e2e is given.",
        why="Without a latency promise every plan is good enough and the cheapest one is none.",
        example="slo: {availability: 99.9%}",
        fix="Add a target such as latency: {p99: 25ms}.",
    ),
    DiagnosticKind(
        id="spec-slo-order",
        title="Percentiles that contradict each other",
        what="A higher percentile is asked to be faster than a lower one.",
        why="p99 is never below p50; one of the two numbers is a mistake.",
        example="slo: {latency: {p50: 30ms, p99: 25ms}}",
        fix="Raise the higher percentile or lower the other.",
    ),
    DiagnosticKind(
        id="spec-peak-below-rate",
        title="The peak is not the highest rate",
        what="The peak is below the mean rate, or below the rate of the busiest hour.",
        why="The SLO is judged at the peak; a lower one would plan too little.",
        example="workload: {rate: 300/s, peak: 80/s}",
        fix="Raise the peak, or leave it out.",
    ),
    DiagnosticKind(
        id="spec-sizes-order",
        title="Sizes that contradict each other",
        what="A higher percentile of a size is smaller than a lower one, or max is not the largest.",
        why="Shapes and memory are planned from max, and the service time from the distribution.",
        example="axes: {sequence: {p50: 90, max: 70}}",
        fix="Let the sizes rise up to max.",
    ),
    DiagnosticKind(
        id="spec-model-mismatch",
        title="A key that does not fit the model or server",
        what=(
            "Token targets and token workloads are for LLMs, axes are for ONNX models, and a server "
            "serves only some models."
        ),
        why="The key could not be honoured.",
        example="model: {onnx: encoder.onnx}\nslo: {ttft: {p99: 500ms}}",
        fix="Use the key that the help line names.",
    ),
    DiagnosticKind(
        id="spec-llm-workload",
        title="An LLM workload without tokens",
        what="prompt_tokens or output_tokens is missing for a model that generates tokens.",
        why="The work of a request is its tokens: without them neither latency nor memory can be planned.",
        example="workload: {rate: 6/s}",
        fix="Add prompt_tokens and output_tokens with percentiles and max.",
    ),
    DiagnosticKind(
        id="spec-accuracy-bound",
        title="An accuracy goal without a bound",
        what="The accuracy block has neither floor nor max_drop.",
        why="Without a bound nothing can fail, and the cheapest precision would always pass.",
        example="accuracy: {dataset: data/pairs.npz, metric: spearman}",
        fix="Add max_drop: 1%, a floor, or both.",
    ),
    DiagnosticKind(
        id="spec-calibration-missing",
        title="Quantisation without data",
        what=(
            "Only quantised precisions are allowed, and the spec names neither an accuracy dataset "
            "nor calibration samples."
        ),
        why="INT8 and FP8 scales are measured on real inputs; made-up scales ruin a model silently.",
        example="constraints: {precision: [int8]}",
        fix="Name calibration data or an accuracy dataset, or allow fp16.",
    ),
    DiagnosticKind(
        id="spec-duplicate-item",
        title="A list names something twice",
        what="The same name stands twice in a list.",
        why="One of the two was probably meant to be another.",
        example="hardware: [l4, l4]",
        fix="Remove or correct one.",
    ),
    DiagnosticKind(
        id="spec-redundancy",
        title="Redundancy that leaves nothing",
        what="As many replicas may be lost as there may be accelerators.",
        why="Somebody has to serve the requests.",
        example="constraints: {max_accelerators: 2, redundancy: 2}",
        fix="Lower redundancy or raise max_accelerators.",
    ),
    DiagnosticKind(
        id="spec-autoscale",
        title="Autoscaling bounds the wrong way round",
        what="max_replicas is below min_replicas.",
        why="The autoscaler could satisfy neither.",
        example="autoscale: {min_replicas: 4, max_replicas: 2}",
        fix="Raise max_replicas or lower min_replicas.",
    ),
    DiagnosticKind(
        id="spec-candidates",
        title="Too few candidates, or too many",
        what="model.candidates holds fewer than two models, or more than sixteen.",
        why="One model leaves no choice, and has a shorter way to be written; a plan of very many says little.",
        example="model: {candidates: [{name: qwen3-8b, checkpoint: models/qwen3-8b}]}",
        fix="Name one model as huggingface or checkpoint, or 2 to 16 as candidates.",
    ),
    DiagnosticKind(
        id="spec-candidate-accuracy",
        title="A least accuracy that no candidate is known to have",
        what="model.min_accuracy is set, and a candidate states no accuracy, or all state less.",
        why="The cheapest model would be taken without anyone knowing whether it is good enough.",
        example="model: {min_accuracy: 0.7, candidates: [{name: a, checkpoint: a}, {name: b, checkpoint: b}]}",
        fix="State the accuracy of every candidate, and a least accuracy that one of them has.",
    ),
    DiagnosticKind(
        id="spec-unpinned-revision",
        title="A model revision that can move",
        what="The revision of a Hugging Face model is absent, a branch or a tag.",
        why="What is deployed could change without a change in git.",
        example="huggingface: {repo: Qwen/Qwen3-8B, revision: main}",
        fix="Write the full commit sha.",
    ),
    DiagnosticKind(
        id="spec-no-effect",
        title="A key that has no effect in this version",
        what="The key is checked and carried, but nothing acts on it yet.",
        why="A reader of the spec would believe that it is honoured.",
        example="deploy: {kubernetes: {namespace: search}}",
        fix="Keep it for later versions, or remove it.",
    ),
    DiagnosticKind(
        id="spec-pricing",
        title="Prices on terms that do not apply",
        what="A term of one commitment stands with another: owned is for owned devices, baseline and burst for mixed.",
        why="The figure would silently count for nothing.",
        example="pricing: {commitment: 1y, burst: spot}",
        fix="Write the commitment that the term belongs to, or remove the term.",
    ),
    DiagnosticKind(
        id="spec-rollout",
        title="A rolling update that breaks the SLO, or cannot start",
        what="max_unavailable is above the redundancy, or neither a replica may be added nor one taken away.",
        why="Every update would miss the SLO while it lasts, or hang.",
        example="deploy: {rollout: {max_surge: 0, max_unavailable: 1}}   # and no redundancy",
        fix="Allow a surge, or as many replicas unavailable as the redundancy says.",
    ),
)
