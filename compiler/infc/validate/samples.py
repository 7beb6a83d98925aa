"""`validation-samples.npz`: real inputs inside a bundle, so that a test of the bundle alone sends real requests."""

import io
from pathlib import Path

import numpy as np

from infc.ir.model_profile import ModelProfile
from infc.validate.load.requests import MAX_DISTINCT

MAX_BYTES = 2 << 20


def request_samples(dataset: Path, model: ModelProfile) -> bytes | None:
    """The first rows of a dataset's inputs as an `.npz`, at most 64 and 2 MiB; same data, same bytes.

    None when the dataset lacks an input, or a single row is larger.
    """
    with np.load(dataset, allow_pickle=False) as arrays:
        keys = {spec.name: spec.name if spec.name in arrays else f"{spec.name}__a" for spec in model.inputs}
        if not all(key in arrays for key in keys.values()):
            return None
        columns = {name: arrays[key] for name, key in keys.items()}
    row_bytes = sum(column[:1].nbytes for column in columns.values())
    rows = min(MAX_DISTINCT, *(len(column) for column in columns.values()), MAX_BYTES // max(row_bytes, 1))
    if rows < 1:
        return None
    content = io.BytesIO()
    np.savez(content, **{name: np.ascontiguousarray(column[:rows]) for name, column in columns.items()})
    return content.getvalue()
