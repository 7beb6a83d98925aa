"""Measured sensitivities on disk, so that a search that was interrupted goes on where it was."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from infc.resolve.atomic_write import write_text_atomically
from infc.validate.accuracy.sensitivity import Sensitivity


def kept_sensitivity(path: Path, measured: Callable[[], Sensitivity]) -> Sensitivity:
    """What the file holds, else what `measured` gives, which is then stored there."""
    stored = _read(path)
    if stored is not None:
        return stored
    fresh = measured()
    document = {"units": fresh.units, "products": fresh.products.tolist(), "samples": fresh.samples}
    with suppress(OSError):  # a read-only workspace: the next search measures again
        write_text_atomically(path, json.dumps(document) + "\n")
    return fresh


def _read(path: Path) -> Sensitivity | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        units = tuple(tuple(str(name) for name in unit) for unit in document["units"])
        products = np.asarray(document["products"], dtype=np.float64)
        samples = int(document["samples"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_sound = products.shape == (len(units), len(units))
    return Sensitivity(units=units, products=products, samples=samples) if is_sound else None
