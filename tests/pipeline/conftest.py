"""A workspace of its own for every test: the Fashion-MNIST example, copied."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "specs" / "fashion-mnist"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with the example spec, its model and data, and no lock."""
    return copy_example(tmp_path / "workspace")


def copy_example(folder: Path) -> Path:
    """The Fashion-MNIST example in a folder of its own."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".infc", "dist"))
    return folder


@pytest.fixture
def edit() -> Callable[[Path, str, str], None]:
    """Replace a piece of a file that must be there."""

    def replace_text(path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace_text
