"""The program on the device in a plain folder: the scenarios without emulation, quick enough for every test run."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.edge.arm64_root import FOLDER_VARIABLE
from tests.edge.field import Field
from tests.edge.kills import killed_at_random_points, killed_in_every_step
from tests.edge.releases import Releases, small_releases
from tests.edge.root import BOARD, furnish_identity, plain_device
from tests.edge.scenarios import (
    ALL,
    Scenario,
    installs,
    refuses_extra_file,
    refuses_wrong_l4t,
    refuses_wrong_module,
)

LACKING = [tool for tool in ("openssl", "zstd", "sh", "sha256sum") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"a device has {', '.join(LACKING)}; this machine has not")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """Bundles whose service listens on a free port."""
    return small_releases(tmp_path / "releases", free_port())


@pytest.fixture
def field(tmp_path: Path, releases: Releases) -> Iterator[Field]:
    """A device whose Python finds nothing but its standard library."""
    device = plain_device(tmp_path / "device")
    yield Field(device=device, python=(sys.executable, "-I", "-S"), name=releases.name, key=releases.public)
    device.stop()


@pytest.mark.server
def test_quick(field: Field, releases: Releases) -> None:
    """A first install that measures the running service, then everything that must be refused."""
    installs(field, releases)
    for refusal in (refuses_extra_file, refuses_wrong_l4t, refuses_wrong_module):
        refusal(field, releases)
        furnish_identity(field.device.root, BOARD)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(FOLDER_VARIABLE not in os.environ, reason=f"`make edge` runs it; {FOLDER_VARIABLE} is not set")
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.__name__)
def test_scenario(
    scenario: Scenario, field: Field, releases: Releases, record_property: Callable[[str, object], None]
) -> None:
    """Each scenario, from a device that has nothing."""
    record_property("shown", scenario(field, releases))


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(3600)
@pytest.mark.skipif(FOLDER_VARIABLE not in os.environ, reason=f"`make edge` runs it; {FOLDER_VARIABLE} is not set")
@pytest.mark.parametrize("kill", [killed_at_random_points, killed_in_every_step], ids=lambda kill: kill.__name__)
def test_kill(kill: Scenario, field: Field, releases: Releases, record_property: Callable[[str, object], None]) -> None:
    """Signal 9 at random points, and in each step."""
    record_property("shown", kill(field, releases))
