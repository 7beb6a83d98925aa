"""Quantises a language model with llm-compressor: `python quantize_worker.py JOB`, in the environment that has it.

`JOB` is a folder with `job.json`; the checkpoint goes to its subfolder `checkpoint`, and what was done to
`result.json`. This file imports nothing of infc: it runs where llm-compressor is installed, which infc need not be.
Standard output holds lines of progress, standard error what the libraries say.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOOLS = ("llmcompressor", "compressed-tensors", "transformers", "torch")
PR_SET_PDEATHSIG = 1


def main(folder: Path) -> None:
    """Do the job in `folder`, an absolute path."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    signal.alarm(job["timeout_s"])
    os.chdir(folder)
    progress = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the libraries log to standard output
    print("loading the model", file=progress, flush=True)
    import torch
    import transformers
    from llmcompressor import oneshot
    from llmcompressor.utils.dev import load_context

    torch.manual_seed(job["seed"])
    source, target = Path(job["model"]), folder / "checkpoint"
    config = transformers.AutoConfig.from_pretrained(source, local_files_only=True)
    kind = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModelForCausalLM)
    with load_context(kind):
        model = kind.from_pretrained(source, dtype="auto", local_files_only=True)
    kept = kept_modules(model, job)
    texts = [] if job["calibration"] is None else list(calibration_texts(Path(job["calibration"]), job["samples"]))
    batches = None if not texts else token_batches(source, texts, job["sequence_length"])
    modifiers, notes = modifiers_of(job, sorted(kept), kind.__name__)
    print(
        f"quantising {kind.__name__} to {job['scheme']}" + (f" on {len(texts)} texts" if texts else ""),
        file=progress,
        flush=True,
    )
    data = {} if batches is None else {"dataset": batches, "num_calibration_samples": len(texts)}
    oneshot(model=model, recipe=modifiers, moe_calibrate_all_experts=True, **data)
    changed = sum(hasattr(module, "quantization_scheme") for _, module in linear_modules(model))
    print(f"writing {changed} quantised operators", file=progress, flush=True)
    model.save_pretrained(target, save_compressed=True)
    result = {
        "changed": changed,
        "kept": kept,
        "notes": notes,
        "samples": len(texts),
        "toolchain": {name: importlib.metadata.version(name) for name in TOOLS},
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def linear_modules(model: Any) -> Iterator[tuple[str, Any]]:
    """Name and module of every linear operator, those that are quantised already included."""
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) or (
            hasattr(module, "quantization_scheme") and hasattr(module, "weight")
        ):
            yield name, module


def kept_modules(model: Any, job: dict[str, Any]) -> dict[str, str]:
    """Linear operators that stay as they are, with the reason: the job names them, or groups do not fit them."""
    from compressed_tensors.utils import match_name

    kept: dict[str, str] = {}
    for name, module in linear_modules(model):
        reason = next((rule["reason"] for rule in job["ignore"] if match_name(name, rule["pattern"])), None)
        width = module.weight.shape[-1]
        if reason is None and job["group_size"] and width % job["group_size"]:
            reason = f"its width {width} is no multiple of the group size {job['group_size']}"
        if reason is not None:
            kept[name] = reason
    return kept


def calibration_texts(path: Path, samples: int) -> Iterator[str]:
    """The texts of the first rows of a .jsonl file; blank lines are not rows."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if samples == 0:
                return
            if line.strip():
                samples -= 1
                yield json.loads(line)["text"]


def token_batches(source: Path, texts: list[str], length: int) -> Any:
    """One batch for each text, cut to `length` tokens: as llm-compressor takes them."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=True)
    rows = [tokenizer(text, truncation=True, max_length=length, return_tensors="pt") for text in texts]
    batches = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in rows]
    return torch.utils.data.DataLoader(batches, batch_size=None)


def modifiers_of(job: dict[str, Any], ignore: list[str], architecture: str) -> tuple[list[Any], list[str]]:
    """llm-compressor's modifiers for the job, and what is worth telling of them."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
    from llmcompressor.modifiers.transform.smoothquant.utils import MAPPINGS_REGISTRY

    names = [rule["pattern"] for rule in job["ignore"]] + ignore
    quantized = {"targets": "Linear", "scheme": job["scheme"], "ignore": names}
    if job["kv_cache"] is not None:
        quantized["kv_cache_scheme"] = job["kv_cache"]
    modifiers: list[Any] = []
    notes = []
    if job["smoothing"]:
        if architecture in MAPPINGS_REGISTRY:
            modifiers.append(SmoothQuantModifier(smoothing_strength=job["smoothing"]))
        else:
            notes.append(
                f"not smoothed: llm-compressor does not know which operators of {architecture} belong together"
            )
    modifiers.append(GPTQModifier(**quantized) if job["is_gptq"] else QuantizationModifier(**quantized))
    return modifiers, notes


if __name__ == "__main__":
    main(Path(sys.argv[1]))
