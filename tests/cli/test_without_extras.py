"""Without any extra installed: what reads plans and locks works on stored profiles."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SPECS = Path(__file__).parents[2] / "specs"
WITHOUT = """
import sys
for name in ("onnx", "onnxruntime", "tritonclient", "google.protobuf", "tensorrt", "torch", "transformers"):
    sys.modules[name] = None
from infc.cli import main
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [("check", "."), ("lock", "--check", "."), ("plan", "tiny-llama", "--format", "markdown")],
    ids=" ".join,
)
def test_reviews_need_no_extra(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """ONNX models, language models and devices alike are planned and checked from what is committed."""
    shutil.copytree(SPECS, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".infc", "prepare"))
    command = [sys.executable, "-c", WITHOUT, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
