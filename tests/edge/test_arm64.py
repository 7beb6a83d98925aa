"""The program on the device in an emulated arm64 system, with no network and no package but the standard library.

`make edge` runs it, half an hour; see docs/edge.md for what it shows and what it cannot.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.arm64_root import FOLDER_VARIABLE, arm64_device, base, emulation, missing
from tests.edge.field import Field
from tests.edge.loopback import Loopback
from tests.edge.releases import Releases, small_releases
from tests.edge.scenarios import ALL, Scenario

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(FOLDER_VARIABLE not in os.environ, reason=f"`make edge` runs it; {FOLDER_VARIABLE} is not set"),
]
PORT = 8000


@pytest.fixture(scope="session")
def arm64_base() -> Iterator[Path]:
    """The system that devices start from; emulation is on while tests run."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with emulation() as why_not:
        if why_not is not None:
            pytest.skip(why_not)
        made = base(Path(os.environ[FOLDER_VARIABLE]))
        if isinstance(made, str):
            pytest.skip(made)
        yield made


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """Bundles of a small model."""
    return small_releases(tmp_path / "releases", PORT)


@pytest.fixture
def field(arm64_base: Path, tmp_path: Path, releases: Releases) -> Iterator[Field]:
    """A device in a network of its own."""
    with Loopback() as network, arm64_device(arm64_base, tmp_path / "device", network) as device:
        yield Field(device=device, python=("python3", "-I", "-S"), name=releases.name, key=releases.public)


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, field: Field, releases: Releases, record_property: pytest.Function) -> None:
    """Each scenario."""
    record_property("shown", scenario(field, releases))
