"""Whether an engine computes what the unquantised model does: its outputs beside the reference's, within tolerances."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Sequence  # noqa: UP035 - Python 3.8

from infc.build.far.onnx_file import has_dynamic_inputs

from .codes import DAMAGED, WRONG_OUTPUTS, Refusal
from .engine_runs import EngineError, EngineRuns
from .shapes import samples_of
from .tensor_bytes import numbers_of

_HELP = "the engine was built but is not the model: look for a newer TensorRT, or plan another precision"


class OutputErrorSum:
    """How far one output is from the reference, over the samples seen so far."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.total = 0.0
        self.elements = self.samples = self.agreeing = 0

    def add(self, found: Sequence[float], reference: Sequence[float]) -> None:
        """Take in one sample. What is no finite number counts as infinitely far, unless the reference says so too."""
        for value, wanted in zip(found, reference):  # noqa: B905 - Python 3.8
            apart = abs(value - wanted)
            if apart != apart or apart == math.inf:
                is_same = value == wanted or (value != value and wanted != wanted)
                apart = 0.0 if is_same else math.inf
            self.largest = max(self.largest, apart)
            self.total += apart
        self.elements += len(reference)
        self.samples += 1
        self.agreeing += largest_at(found) == largest_at(reference)

    def facts(self) -> dict[str, float]:
        """As they stand in acceptance.json."""
        return {
            "max_absolute": self.largest,
            "mean_absolute": self.total / max(self.elements, 1),
            "argmax_agreement": self.agreeing / max(self.samples, 1),
        }


def check_outputs(
    release: Path, manifest: dict[str, Any], engine_path: Path, report: Callable[[str], None]
) -> dict[str, Any]:
    """Run the engine on the bundle's samples: the `outputs` object of acceptance.json.

    Raises:
        Refusal: 32, an output is further from the reference than its tolerance, or is no number; 30, no trtexec.
    """
    document = samples_of(release, manifest)
    if document is None:
        raise Refusal(DAMAGED, "the release has no reference outputs", "compile the bundle again")
    runs = runs_of(release, manifest, engine_path)
    samples = document["samples"]
    sums: dict[str, OutputErrorSum] = {}
    for number, sample in enumerate(samples):
        try:
            found = runs.outputs(sample["inputs"], release)
        except EngineError as error:
            raise Refusal(WRONG_OUTPUTS, f"the engine does not run: {error}", _HELP) from error
        for tensor in sample["outputs"]:
            sums.setdefault(tensor["name"], OutputErrorSum()).add(*_pair(release, tensor, found))
        report(f"{number + 1} of {len(samples)} samples compared")
    worst = {name: each.facts() for name, each in sorted(sums.items())}
    wrong = [words for name in worst for words in misses(name, worst[name], document["tolerances"].get(name, {}))]
    if wrong:
        raise Refusal(WRONG_OUTPUTS, "; ".join(wrong), _HELP)
    return {"samples": len(samples), "verdict": "pass", "worst": worst}


def runs_of(release: Path, manifest: dict[str, Any], engine_path: Path) -> EngineRuns:
    """How the engine of a release is run; all its engines are of one model."""
    entry = manifest["engines"][0]
    return EngineRuns(engine_path, entry["options"]["dla_core"], has_dynamic_inputs(release / entry["model"]))


def misses(name: str, facts: dict[str, float], tolerance: dict[str, Any]) -> list[str]:
    """What of an output is further from the reference than allowed, in words.

    >>> facts = {"max_absolute": 0.25, "mean_absolute": 0.001, "argmax_agreement": 1.0}
    >>> misses("scores", facts, {"max_absolute": 0.05, "mean_absolute": 0.01, "min_argmax_agreement": 0.9})
    ['scores: off by up to 0.25 (allowed 0.05)']
    """
    if not math.isfinite(facts["max_absolute"]):
        return [f"{name}: holds what is no number, or infinite, where the reference does not"]
    found = []
    largest, mean = tolerance.get("max_absolute", math.inf), tolerance.get("mean_absolute", math.inf)
    if facts["max_absolute"] > largest:
        found.append(f"off by up to {facts['max_absolute']:.4g} (allowed {largest:.4g})")
    if facts["mean_absolute"] > mean:
        found.append(f"off by {facts['mean_absolute']:.4g} on average (allowed {mean:.4g})")
    least = tolerance.get("min_argmax_agreement")
    if least is not None and facts["argmax_agreement"] < least:
        found.append(f"largest element the same in {facts['argmax_agreement']:.0%} of samples (needed {least:.0%})")
    return [f"{name}: " + ", ".join(found)] if found else []


def largest_at(values: Sequence[float]) -> int:
    """Where the largest element is, the first of equals; what is no number is never the largest.

    >>> largest_at([0.1, float("nan"), 0.7, 0.7]), largest_at([])
    (2, -1)
    """
    best, at = -math.inf, -1
    for position, value in enumerate(values):
        if value > best or (at < 0 and value == best):
            best, at = value, position
    return at


def _pair(release: Path, tensor: dict[str, Any], found: dict[str, Any]) -> tuple[Sequence[float], Sequence[float]]:
    """An output's values and the reference's. Raises Refusal 32 when they are not of one shape."""
    name, shape = tensor["name"], list(tensor["shape"])
    if name not in found:
        there = ", ".join(sorted(found)) or "none"
        raise Refusal(WRONG_OUTPUTS, f"the engine has no output {name} (it has {there})", _HELP)
    if found[name]["shape"] != shape:
        raise Refusal(WRONG_OUTPUTS, f"output {name} has shape {found[name]['shape']}, the reference {shape}", _HELP)
    try:
        reference = numbers_of((release / tensor["file"]).read_bytes(), tensor["dtype"])
    except (OSError, ValueError) as error:
        raise Refusal(DAMAGED, f"{tensor['file']} cannot be read: {error}", "get the bundle again") from error
    if len(reference) != len(found[name]["values"]) or len(reference) != math.prod(shape):
        raise Refusal(WRONG_OUTPUTS, f"output {name} has another number of elements than the reference", _HELP)
    return found[name]["values"], reference
