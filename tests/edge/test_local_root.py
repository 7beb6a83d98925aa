"""The program on the device in a plain folder: the scenarios without emulation, quick enough for every test run."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.field import Field
from tests.edge.releases import Releases, small_releases
from tests.edge.root import plain_device
from tests.edge.scenarios import ALL, QUICK, Scenario

WANTED = "INFC_EDGE_ROOT"


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
@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.__name__)
def test_quick(scenario: Scenario, field: Field, releases: Releases) -> None:
    """What every test run shows."""
    scenario(field, releases)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(WANTED not in os.environ, reason=f"minutes: `make edge` runs it ({WANTED} is set there)")
@pytest.mark.parametrize("scenario", [one for one in ALL if one not in QUICK], ids=lambda scenario: scenario.__name__)
def test_all(scenario: Scenario, field: Field, releases: Releases) -> None:
    """All scenarios."""
    scenario(field, releases)
