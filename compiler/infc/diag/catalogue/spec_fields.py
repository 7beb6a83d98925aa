"""Diagnostics about single fields of a spec."""

from infc.diag.kind import DiagnosticKind

SPEC_FIELDS: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="spec-unknown-key",
        title="An unknown key",
        what="The mapping has a key that the language does not have at this place.",
        why="An ignored key would be a constraint that nobody keeps.",
        example="slo: {latncy: {p99: 25ms}}",
        fix=("Correct the spelling, move the key where it belongs, or remove it; `infc schema spec` lists every key."),
    ),
    DiagnosticKind(
        id="spec-missing-key",
        title="A required key is missing",
        what="A key that cannot have a default is not there.",
        why="A spec needs a model, one SLO and a rate; some blocks need keys of their own.",
        example="workload: {peak: 800/s}",
        fix="Add the key as the help line shows.",
    ),
    DiagnosticKind(
        id="spec-type",
        title="A value of the wrong type",
        what=("The value is text where a number is needed, a single value where a list is needed, or the like."),
        why='infc does not convert silently: "1" may be a mistake for 1 or for 1ms.',
        example="constraints: {hardware: l4}",
        fix="Write the type that the message asks for.",
    ),
    DiagnosticKind(
        id="spec-unknown-value",
        title="A name that is not one of the choices",
        what="The value is not one of the names that this key takes.",
        why="A guess at the nearest name could choose something else than was meant.",
        example="objective: cheap",
        fix="Write one of the listed names.",
    ),
    DiagnosticKind(
        id="spec-quantity",
        title="A quantity without its unit, or with the wrong one",
        what=("A duration, rate, size, power, cost or percentage is a bare number or has a unit that does not fit."),
        why=("A bare 20 may be milliseconds or seconds; a factor of 1000 in an SLO is not for a tool to guess."),
        example="slo: {latency: {p99: 20}}",
        fix="Write the unit: 20ms, 300/s, 24GiB, 15W, $3000/month, 99.9%.",
    ),
    DiagnosticKind(
        id="spec-percentile",
        title="A key that is not a percentile",
        what="A latency or size is keyed by something else than p and a number between 0 and 100.",
        why="A mean hides the slow requests, and a maximum cannot be promised; infc plans for percentiles.",
        example="slo: {latency: {max: 100ms, p999: 80ms}}",
        fix="Write p50, p95, p99 or p99.9.",
    ),
    DiagnosticKind(
        id="spec-range",
        title="A number out of range",
        what="The number is not finite, or is outside what this key can mean.",
        why="Such a value is a slip of the finger, and would make every plan meaningless.",
        example="constraints: {redundancy: -1}",
        fix="Write a number within the bounds that the message names.",
    ),
    DiagnosticKind(
        id="spec-format",
        title="Text of the wrong form",
        what="The text does not have the form that this key needs.",
        why="It becomes part of a command, a file or a request to another service.",
        example="model: {huggingface: {repo: qwen}}",
        fix="Write it in the form that the help line shows.",
    ),
    DiagnosticKind(
        id="spec-name",
        title="A name that cannot be used",
        what=("A name is not an RFC 1123 label: lower case letters, digits and hyphens, at most 63 characters."),
        why="Names become file names, Kubernetes objects and labels.",
        example="metadata: {name: Product Encoder}",
        fix="Write it as a label: product-encoder.",
    ),
    DiagnosticKind(
        id="spec-path",
        title="A path that cannot be used",
        what=("A path is absolute, a URL, has backslashes, or leaves the repository through .. or a symbolic link."),
        why="A spec works on every checkout and may not read what is outside its repository.",
        example="model: {onnx: ../../../home/me/model.onnx}",
        fix="Put the file into the repository and write its path relative to the spec.",
    ),
    DiagnosticKind(
        id="spec-file-missing",
        title="A file that the spec names is missing",
        what="There is nothing at the path.",
        why=(
            "A compile needs the model and the data; a plan can do with the profile that the lock "
            "names, and then this is a warning."
        ),
        example="model: {onnx: models/encodr.onnx}",
        fix="Correct the path (it is relative to the spec's folder), or fetch the file.",
    ),
    DiagnosticKind(
        id="spec-file-type",
        title="A file of the wrong type",
        what=("The path names a folder where a file is needed, the other way round, or a file with another suffix."),
        why="Models are .onnx files, data sets .npz, traces .csv.",
        example="accuracy: {dataset: data/pairs.csv, metric: spearman}",
        fix="Name a file of the right type.",
    ),
    DiagnosticKind(
        id="spec-metric",
        title="A Python metric that is not named right",
        what="A metric of one's own is named package.module:function.",
        why="The name is imported when the metric runs (only with --allow-code), never evaluated.",
        example="metric: {python: os.system('x')}",
        fix="Write {python: metrics.custom:recall_at_10}.",
    ),
    DiagnosticKind(
        id="spec-model-source",
        title="No model, or more than one",
        what="The model block names none or several of onnx, huggingface, checkpoint and candidates.",
        why="A spec deploys one model.",
        example="model: {onnx: a.onnx, checkpoint: b}",
        fix="Keep exactly one of onnx, huggingface, checkpoint and candidates (a list to choose from).",
    ),
    DiagnosticKind(
        id="spec-candidate-source",
        title="A candidate without a model, or with more than one",
        what="An entry of model.candidates names none or both of huggingface and checkpoint, or an ONNX file.",
        why="Each candidate is one language model: they are compared under the same token lengths and targets.",
        example="candidates: [{name: encoder, onnx: encoder.onnx}, {name: qwen3-4b, checkpoint: qwen3-4b}]",
        fix="Keep exactly one of huggingface and checkpoint in each entry.",
    ),
    DiagnosticKind(
        id="spec-arrival",
        title="An arrival process that is not one",
        what="The arrival is neither a known name nor one of {constant: ...}, {bursty: ...}, {diurnal: ...} and "
        "{trace: ...}, "
        "or a diurnal one does not give the shape of its rate once.",
        why="Percentiles depend on how requests arrive, not only on how many.",
        example="arrival: {bursty: {cv: 2}, trace: monday.csv}",
        fix="Write poisson, constant, {constant: {streams: 4}}, {bursty: {cv: 2.5}}, {diurnal: {peak_to_mean: 2.5}} or "
        "{trace: file.csv}.",
    ),
    DiagnosticKind(
        id="spec-hourly",
        title="A day shape that is not a day",
        what="hourly does not have 24 multipliers, or all of them are zero.",
        why="It is the shape of a day: one multiplier of the rate for each hour, from midnight.",
        example="hourly: [0.2, 1.0, 1.8]",
        fix="Write 24 numbers, at least one above zero.",
    ),
    DiagnosticKind(
        id="spec-trace",
        title="A trace that cannot be replayed",
        what="The file is in no known trace format, or a line of it has no time or a size that is none.",
        why="The planner and the load test replay the same arrivals.",
        example="timestamp_s\n0.0\nnoon",
        fix="Write a CSV with a header that has timestamp_s, then a line for each request; or name an access log, "
        "or an LLM trace as Mooncake, AIPerf, BurstGPT, Azure or vLLM bench write it.",
    ),
)
