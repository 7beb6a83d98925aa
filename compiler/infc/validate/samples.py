"""`validation-samples.npz`: real inputs inside a bundle, so that a test of the bundle alone sends real requests."""

import io
from pathlib import Path

import numpy as np

from infc.ir.model_profile import ModelProfile
from infc.lower.arrays import model_input, read_arrays
from infc.validate.load.requests import MAX_DISTINCT

MAX_BYTES = 2 << 20


def request_samples(dataset: Path, model: ModelProfile) -> bytes | None:
    """The first rows of a dataset's inputs as the model takes them, an `.npz` of at most 64 rows and 2 MiB.

    Same data, same bytes. None when the dataset cannot be read or lacks an input, or when a single row is larger.
    """
    stored, _ = read_arrays(dataset)
    if stored is None:
        return None
    keys = {spec.name: spec.name if spec.name in stored.arrays else f"{spec.name}__a" for spec in model.inputs}
    if not all(key in stored.arrays for key in keys.values()):
        return None
    columns = {spec.name: model_input(stored, spec, keys[spec.name]) for spec in model.inputs}
    row_bytes = sum(column[:1].nbytes for column in columns.values())
    rows = min(MAX_DISTINCT, *(len(column) for column in columns.values()), MAX_BYTES // max(row_bytes, 1))
    if rows < 1:
        return None
    content = io.BytesIO()
    np.savez(content, **{name: np.ascontiguousarray(column[:rows]) for name, column in columns.items()})
    return content.getvalue()
