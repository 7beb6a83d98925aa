"""The wheel is complete: it installs, and its command line works away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without touching the network."""
    pytest.importorskip("hatchling", reason="builds the wheel with the build back end of the dev extra")
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        out,
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=out)
    [built] = out.glob("infc-*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_targets_and_schemas(wheel: Path) -> None:
    """Hardware, prices, templates and schemas travel inside the wheel."""
    names = zipfile.ZipFile(wheel).namelist()
    for expected in ("targets/hardware/l4.yaml", "targets/prices/aws.yaml", "schemas/spec.schema.json"):
        assert f"infc/_data/{expected}" in names
    assert "infc/py.typed" in names


@pytest.mark.slow
def test_installed_wheel_lists_targets(wheel: Path, tmp_path: Path) -> None:
    """`infc targets list` and `infc explain` work from the wheel alone, in an empty folder."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "infc", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
        return done.stdout

    where = [sys.executable, "-c", "import infc; print(infc.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment).stdout
    assert Path(found.strip()).is_relative_to(site)
    assert "l4" in run("targets", "list")
    assert "spec" in run("explain")
