"""The Python API: `infc.load`, `infc.plan`, `infc.compile`, `infc.validate`."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import infc
import infc.plan.search
import infc.validate.session
from infc.diag import DiagnosticError
from infc.ir.plan import Infeasible, Plan

SPEC = Path(__file__).parents[2] / "specs/fashion-mnist/fashion-mnist.infc.yaml"


def test_stages_are_called_by_their_verbs() -> None:
    """Packages named like a verb are called and hold modules all the same, however often; paths may be texts."""
    assert infc.load(str(SPEC)).name == "fashion-mnist"
    for _ in range(2):
        decisions = infc.plan(SPEC)
        assert set(decisions) == {None, "cpu"}
        assert all(isinstance(decision, Plan) for decision in decisions.values())
    assert infc.plan.search.__name__ == "infc.plan.search"  # type: ignore[attr-defined]
    assert list(inspect.signature(infc.plan).parameters) == ["path", "overlay"]
    assert list(inspect.signature(infc.validate).parameters) == ["bundle", "budget_s", "is_rehearsal"]


def test_problems_are_raised_with_their_exit_code(tmp_path: Path) -> None:
    """Every problem at once, with the code of the command line; an objective that cannot be met is a result."""
    wrong = tmp_path / "wrong.infc.yaml"
    wrong.write_text("slo: {latency: {p99: fast}}\nworkload: {rat: 1/s}\n")
    for stage in (infc.load, infc.plan, infc.compile):
        with pytest.raises(DiagnosticError) as raised:
            stage(wrong)
        assert raised.value.exit_code == 5
        assert len(raised.value.diagnostics) > 1
    text = SPEC.read_text().replace("p50: 10ms, p99: 80ms", "p99: 1us").replace("  targets: [cpu]", "")
    (tmp_path / "resnet8.onnx").write_bytes((SPEC.parent / "resnet8.onnx").read_bytes())
    for name in ("test-2000.npz", "calibration-256.npz"):
        (tmp_path / name).write_bytes((SPEC.parent / name).read_bytes())
    hard = tmp_path / "hard.infc.yaml"
    hard.write_text(text)
    assert isinstance(infc.plan(hard)[None], Infeasible)


def test_importing_infc_imports_nothing_of_it() -> None:
    """The stages are imported when they are used; what is no part of the API is an AttributeError."""
    code = (
        "import sys, infc; assert [m for m in sys.modules if m.startswith('infc.')] == [], sys.modules;"
        "from infc import compile, validate; assert callable(compile) and callable(validate);"
        "assert not hasattr(infc, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
