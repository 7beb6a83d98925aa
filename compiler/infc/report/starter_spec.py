"""The commented spec that `infc init` writes: what the model says of itself, and values to replace."""

import json
import re

from infc.ir.model_profile import ModelProfile, TensorSpec

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*")
_WIDTH = 88


def starter_spec(profile: ModelProfile, *, name: str, model_path: str, schema_path: str) -> str:
    """YAML text for `profile`. The text passes `infc check`.

    `model_path` and `schema_path` (what editors complete and check by) are relative to the spec's folder.
    """
    schema = f"# yaml-language-server: $schema={schema_path}"
    return (
        "\n".join((schema, *_head(profile), *_promise(name, model_path), *_workload(profile), *_optional(profile)))
        + "\n"
    )


def _head(profile: ModelProfile) -> list[str]:
    lines = [
        "# What this deployment promises, and under which traffic. `infc plan` decides the rest.",
        "# Replace the values marked <-. Check with `infc check`; every key: `infc schema spec`.",
        "#",
        f"# The model: {_millions(profile.parameter_elements)} parameters, ONNX opset {profile.opset}.",
    ]
    lines += [f"#   input   {_tensor(tensor)}" for tensor in profile.inputs]
    lines += [f"#   output  {_tensor(tensor)}" for tensor in profile.outputs]
    if profile.batch_axis is not None:
        lines.append(f"# Its first dimension ({_safe(profile.batch_axis)}) is the batch: infc chooses it.")
    elif profile.fixed_batch is not None:
        lines.append(
            f"# Its batch is fixed to {profile.fixed_batch}: export it with a dynamic first dimension to batch."
        )
    return lines


def _promise(name: str, model_path: str) -> list[str]:
    return [
        "apiVersion: infc.dev/v1",
        "kind: InferenceSpec",
        f"metadata: {{name: {name}}}",
        "",
        "model:",
        f"  onnx: {_scalar(model_path)}",
        "",
        "slo:",
        "  # End to end at the server, queueing included. Any percentile: p50, p95, p99.9.",
        "  latency: {p99: 50ms}  # <-",
    ]


def _workload(profile: ModelProfile) -> list[str]:
    lines = [
        "",
        "workload:",
        "  rate: 100/s  # <- mean request rate over the whole deployment",
        "  # peak: 250/s            # the SLO must hold here too; default: the rate",
        "  # arrival: poisson       # or constant, {bursty: {cv: 2.5}}, {trace: traffic/monday.csv}",
    ]
    if profile.axes:
        lines.append(
            "  # Sizes of the dynamic axes over your requests: memory is planned from max, time from the rest."
        )
        lines.append("  axes:")
        lines += [f"    {_scalar(axis)}: {_guess(axis)}  # <-" for axis in profile.axes]
    return lines


def _optional(profile: ModelProfile) -> list[str]:
    samples = ", ".join(_safe(tensor.name) for tensor in profile.inputs)
    return [
        "",
        "# Without an accuracy goal only FP32, FP16 and BF16 are used. With one, lower ones are tried and tested.",
        f"# The dataset holds the arrays {samples}",
        "# and `labels` (or, for spearman and pearson, <input>__a, <input>__b and `scores`).",
        "# accuracy:",
        "#   dataset: data/samples.npz",
        "#   metric: top1           # top5, f1, map, cosine, spearman, pearson, {python: package.module:function}",
        "#   max_drop: 1%           # against the unquantised model on the same data",
        "#   floor: 0.80",
        "",
        "# Hard limits; without any, the whole catalogue is considered (`infc targets list`).",
        "# constraints:",
        "#   hardware: [l4, l40s, a100-sxm-80gb]",
        "#   precision: [fp16, int8]",
        "#   max_cost: $3000/month",
        "#   redundancy: 1          # replicas that may be lost with the SLO still met",
        "",
        "# objective: cost          # or latency, energy",
        "# pricing: {provider: aws, commitment: on-demand}",
    ]


def _guess(axis: str) -> str:
    """A plausible size to start from, by the words people name axes with."""
    folded = axis.lower()
    if any(word in folded for word in ("height", "width", "image")) or folded in {"h", "w"}:
        return "224"
    if any(word in folded for word in ("seq", "len", "token", "time", "frame")):
        return "{p50: 32, p90: 96, max: 128}"
    return "{max: 64}"


def _tensor(tensor: TensorSpec) -> str:
    shape = ", ".join(_safe(str(size)) for size in tensor.shape)
    text = f"{_safe(tensor.name)}: {tensor.dtype}[{shape}]"
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _millions(count: int) -> str:
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} million"
    return f"{count / 1e3:.1f} thousand" if count >= 1000 else str(count)


def _scalar(text: str) -> str:
    """The text as a YAML scalar: plain where that is safe, else quoted."""
    is_plain = _PLAIN.fullmatch(text) and text == text.strip() and text.lower() not in {"null", "true", "false"}
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _safe(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
