"""`infc validate` finds a bundle's quality shadow, and starts the server as the bundle's own launch command does."""

from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.validate.session import shadow_of


def settings_file(bundle: Path) -> Path:
    """Where a bundle has the settings of its shadow."""
    folder = bundle / "model_repository" / "encoder-shadow" / "1"
    folder.mkdir(parents=True)
    return folder / "shadow.json"


def test_a_bundle_without_a_shadow_has_none(tmp_path: Path) -> None:
    """Nothing is captured then."""
    assert shadow_of(tmp_path, "encoder") is None


def test_the_sampled_share_is_that_of_the_bundle(tmp_path: Path) -> None:
    """One request in so many."""
    settings_file(tmp_path).write_text('{"one_in": 50}')
    assert shadow_of(tmp_path, "encoder") == 50


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"one_in": null}'])
def test_settings_that_cannot_be_read_are_said(tmp_path: Path, text: str) -> None:
    """With the file, and what to do."""
    settings_file(tmp_path).write_text(text)
    with pytest.raises(ToolError, match=r"shadow\.json cannot be read"):
        shadow_of(tmp_path, "encoder")
