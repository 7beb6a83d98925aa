"""Scores a language model on rows of text: `python score_worker.py JOB`, in the environment that has transformers.

`JOB` is a folder with `job.json`; the answers go to `result.json` beside it: for every row, in order, either the number
of predicted tokens and their log-likelihood (perplexity), or the generated text (exact match). A checkpoint of
compressed-tensors runs with its weights and activations rounded as its scheme says. This file imports nothing of infc.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


def main(folder: Path) -> None:
    """Do the job in `folder`, an absolute path."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    signal.alarm(job["timeout_s"])
    progress = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the libraries log to standard output
    import torch
    import transformers

    torch.manual_seed(0)
    source = Path(job["model"])
    config = transformers.AutoConfig.from_pretrained(source, local_files_only=True)
    kind = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModelForCausalLM)
    placed = {"device_map": "auto"} if torch.cuda.is_available() else {}
    model = kind.from_pretrained(source, dtype="auto", local_files_only=True, **placed).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    score = likelihoods if job["metric"] == "perplexity" else answers
    rows = job["rows"]
    found: list[Any] = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: (size_of(rows[index]), index))
    with torch.inference_mode():
        for start in range(0, len(order), job["batch"]):
            chosen = order[start : start + job["batch"]]
            for index, result in zip(chosen, score(model, tokenizer, [rows[i] for i in chosen], job), strict=True):
                found[index] = result
            print(min(start + job["batch"], len(order)), file=progress, flush=True)
    (folder / "result.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


def size_of(row: dict[str, Any]) -> int:
    """Letters of a row: rows of like size share a batch."""
    return len(row["text"] if "text" in row else str(row["prompt"]))


def likelihoods(model: Any, tokenizer: Any, rows: list[dict[str, Any]], job: dict[str, Any]) -> list[Any]:
    """For each row the number of tokens that are predicted from those before, and the sum of their log-likelihoods."""
    import torch

    tokenizer.padding_side = "right"
    texts = [row["text"] for row in rows]
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=job["longest"])
    ids, mask = batch["input_ids"].to(model.device), batch["attention_mask"].to(model.device)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
    chosen = torch.log_softmax(logits, dim=-1).gather(-1, ids[:, 1:, None])[..., 0]
    counted = mask[:, 1:]
    sums = (chosen.double() * counted).sum(dim=1)
    return [[int(count), float(value)] for count, value in zip(counted.sum(dim=1), sums, strict=True)]


def answers(model: Any, tokenizer: Any, rows: list[dict[str, Any]], job: dict[str, Any]) -> list[Any]:
    """For each row what the model says after the prompt, the likeliest token at every step."""
    tokenizer.padding_side = "left"
    prompts = [row["prompt"] for row in rows]
    chats = [isinstance(prompt, list) for prompt in prompts]
    texts = [
        tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False) if is_chat else prompt
        for prompt, is_chat in zip(prompts, chats, strict=True)
    ]
    encoded = [
        tokenizer(text, add_special_tokens=not is_chat)["input_ids"] for text, is_chat in zip(texts, chats, strict=True)
    ]
    most = max(len(tokenizer(row["answer"], add_special_tokens=False)["input_ids"]) for row in rows) + job["slack"]
    batch = tokenizer.pad({"input_ids": [ids[-(job["longest"] - most) :] for ids in encoded]}, return_tensors="pt")
    output = model.generate(
        input_ids=batch["input_ids"].to(model.device),
        attention_mask=batch["attention_mask"].to(model.device),
        max_new_tokens=most,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    said = output[:, batch["input_ids"].shape[1] :]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in said]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
