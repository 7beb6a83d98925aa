"""Every precision through the public stages: lowered, measured by the gate, built for every SM or refused."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from infc.diag import Diagnostic
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.engine import LoweredModel

pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LARGE = "INFC_LARGE_MODELS"
BUILDS = {
    "FP32": ("8.0", "8.6", "8.9", "12.0"),
    "FP16": ("7.5", "8.0", "8.6", "8.9", "12.0"),
    "BF16": ("8.0", "8.6", "8.9", "12.0"),
    "INT8": ("8.0", "8.6", "8.9", "12.0"),
    "FP8": ("8.9", "12.0"),
}
"""Where an engine of ResNet-8 exists. INT4 holds matrices only, and its one is too small."""
WORDS = {
    "FP32": "cannot run FP32 GEMM",
    "BF16": "has no BF16 hardware",
    "INT8": "did not build int8 for t4",
    "FP8": "has no FP8 hardware",
}


@pytest.fixture
def precision_matrix(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The benchmark that writes the table of the documentation."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("precision_matrix")
    sys.modules.pop("precision_matrix")


def test_every_precision_of_resnet8_on_every_sm(precision_matrix: ModuleType, tmp_path: Path) -> None:
    """Each precision keeps the example's goal; each engine is built where the precision exists, else refused."""
    [example] = precision_matrix.examples(ROOT / "specs", ["fashion-mnist"], tmp_path)
    rows = {row.name: row for row in precision_matrix.matrix(example, tmp_path)}
    assert set(rows) == {*BUILDS, "INT4"}
    assert isinstance(rows["INT4"].lowered, Diagnostic)
    assert "has no operator that int4 can hold" in rows["INT4"].lowered.message
    for name, capabilities in BUILDS.items():
        row = rows[name]
        assert isinstance(row.lowered, LoweredModel)
        assert isinstance(row.evidence, AccuracyEvidence)
        assert row.evidence.verdict is Verdict.PASS
        assert abs(row.evidence.drop.value) < 0.01
        built = {hw.compute_capability for hw, made in row.engines if not isinstance(made, Diagnostic)}
        assert built == set(capabilities), name
        assert all(WORDS[name] in made.message for _, made in row.engines if isinstance(made, Diagnostic))
    int8, fp16 = (_on(rows[name], "8.9") for name in ("INT8", "FP16"))
    assert int8.moved_bytes > 1.5 * fp16.moved_bytes
    table = precision_matrix.document([(example, list(rows.values()))])
    assert "| INT8 | 0." in table
    assert "refused [1]" in table


@pytest.mark.skipif(LARGE not in os.environ, reason=f"takes half an hour; set {LARGE}=1 after `make models`")
@pytest.mark.parametrize("name", ["magika", "efficientnet-lite0", "minilm"])
def test_every_precision_of_the_larger_models(precision_matrix: ModuleType, name: str, tmp_path: Path) -> None:
    """Every recipe gives a model with evidence, FP16 builds everywhere, and every refusal has words."""
    [example] = precision_matrix.examples(ROOT / "specs", [name], tmp_path)
    rows = precision_matrix.matrix(example, tmp_path)
    assert {row.name.split()[0] for row in rows} == {"FP32", "FP16", "BF16", "INT8", "FP8", "INT4"}
    for row in rows:
        assert isinstance(row.lowered, Diagnostic) or isinstance(row.evidence, AccuracyEvidence), row.name
        refusals = [made for _, made in row.engines if isinstance(made, Diagnostic)]
        assert all(refusal.id.startswith("build-precision") for refusal in refusals), row.name
        assert row.name != "FP16" or not refusals


def _on(row, capability: str):  # type: ignore[no-untyped-def]
    """What the builder said of the engine for a compute capability."""
    return next(made.engine.facts for hw, made in row.engines if hw.compute_capability == capability)
