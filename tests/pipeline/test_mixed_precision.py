"""The search for exceptions, end to end on a network with one layer that cannot bear eight bits, and on MiniLM."""

import json
import os
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.pipeline.mixed_precision import MOST_LOOKS, steps
from infc.resolve.accuracy_json import accuracy_from_text
from tests.pipeline.sensitive_network import SENSITIVE, write_workspace

pytest.importorskip("onnxruntime", reason="lowers and builds with the extra onnx")
pytest.importorskip("tritonclient", reason="emits with the extra triton")
MINILM = Path(__file__).parents[2] / "specs" / "minilm"


def infc(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run the command line in a folder and return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["infc", *arguments])
    return guarded(app, usage_error=64)


def bundle(folder: Path) -> dict[str, bytes]:
    """Every file below `dist` by its path."""
    root = folder / "dist"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_one_sensitive_layer_is_found_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """INT8 as a whole fails; with the one layer raised back it passes. The lock names it; nobody searches again."""
    first = write_workspace(tmp_path / "first")
    assert infc(monkeypatch, first, "compile", "sensitive.infc.yaml") == 0
    printed = capsys.readouterr()
    assert "network int8: trying 3 of 6 operators raised back" in printed.err
    assert "int8 keeps the accuracy with 1 of 6 operators raised back to fp32" in printed.err
    assert "1 of 6 operators keep a higher precision" in printed.out
    [block] = tomllib.loads((first / "infc.lock").read_text())["artifact"]
    assert list(block["accuracy"]["raised"]) == [SENSITIVE]
    assert block["accuracy"]["raised"][SENSITIVE] > 0.9
    (stored,) = (first / "infc-profiles").glob("accuracy-*.json")
    evidence = accuracy_from_text(stored.read_text())
    assert evidence.kept == (SENSITIVE,)
    assert evidence.search is not None
    assert [(look.raised, look.verdict.value) for look in evidence.search.looks] == [
        (0, "fail"),
        (3, "pass"),
        (1, "pass"),
    ]
    assert evidence.search.left_error < 0.01

    second = tmp_path / "second"
    shutil.copytree(first, second, ignore=shutil.ignore_patterns(".infc", "dist"))
    assert infc(monkeypatch, second, "compile", "--locked", "sensitive.infc.yaml", "--format", "json") == 0
    again = capsys.readouterr()
    assert "trying" not in again.err
    assert "sensitivity" not in again.err
    assert bundle(second) == bundle(first)
    [report] = json.loads(again.out)["bundles"]
    assert report["accuracy"]["kept"] == [SENSITIVE]
    assert report["accuracy"]["search"]["candidates"] == 6


def test_no_search_where_the_reference_itself_cannot_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A floor that 800 right answers of the reference do not show is not searched for, and the precision is refused."""
    folder = write_workspace(tmp_path / "workspace", floor=0.999)
    assert infc(monkeypatch, folder, "compile", "sensitive.infc.yaml") == 3
    printed = capsys.readouterr().err
    assert "trying" not in printed
    assert "the unquantised model itself would not pass on this data" in printed
    assert infc(monkeypatch, folder, "plan", "sensitive.infc.yaml") == 3


def test_looks_are_few_and_fixed_by_the_errors_that_are_left() -> None:
    """At most so many recipes, the most careful first with half of the operators raised, each bolder than the last."""
    random = np.random.default_rng(0)
    for _ in range(200):
        shares = np.sort(random.exponential(size=random.integers(2, 200)) ** random.integers(1, 5))[::-1]
        left = [1.0, *(1.0 - np.cumsum(shares) / shares.sum()).clip(0.0)]
        counts = steps(left)
        assert len(counts) <= MOST_LOOKS
        assert counts[0] == (len(left) - 1) // 2
        assert list(counts) == sorted(set(counts), reverse=True)
        assert counts[-1] >= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (MINILM / "minilm-l6-v2.onnx").is_file(), reason="make models fetches this model")
@pytest.mark.skipif("INFC_LARGE_MODELS" not in os.environ, reason="minutes: set INFC_LARGE_MODELS=1")
def test_minilm_recovers_a_floor_that_plain_int8_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WordSim-353: INT8 as a whole does not show that it keeps 98% of the rank correlation; with exceptions it does."""
    pytest.importorskip("tensorrt_rtx", reason="builds with the extra rtx")
    folder = tmp_path / "minilm"
    shutil.copytree(MINILM, folder)
    spec = folder / "minilm.infc.yaml"
    text = spec.read_text()
    for old, new in (
        ("max_drop: 3%", "max_drop: 2%"),
        ("precision: [int8, fp16]", "precision: [int8]"),
        ("hardware: [t4, l4, a10g, l40s]", "hardware: [l4]"),
    ):
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text)
    assert infc(monkeypatch, folder, "compile", "minilm.infc.yaml") == 0
    [block] = tomllib.loads((folder / "infc.lock").read_text())["artifact"]
    assert block["accuracy"]["verdict"] == "pass"
    (stored,) = (folder / "infc-profiles").glob("accuracy-*.json")
    evidence = accuracy_from_text(stored.read_text())
    assert evidence.search is not None
    assert evidence.search.looks[0].verdict.value != "pass"
    assert 1 <= len(evidence.kept) <= 24
    assert evidence.drop.high <= 0.02
    assert evidence.value.value > evidence.search.looks[0].value.value
