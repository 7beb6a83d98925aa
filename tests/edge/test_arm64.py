"""The program on the device in an emulated arm64 system, with no network and no package but the standard library.

`make edge` runs it, half an hour; see docs/edge.md for what it shows and what it cannot.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build.far_machine import far_machine
from tests.edge.arm64_root import FOLDER_VARIABLE, arm64_device, base, emulation, missing, small_disk
from tests.edge.field import Field
from tests.edge.kills import killed_at_random_points, killed_in_every_step
from tests.edge.loopback import Loopback
from tests.edge.releases import Releases, small_releases
from tests.edge.root import Device
from tests.edge.scenarios import (
    ALL,
    FRESH,
    Scenario,
    another_model,
    in_service,
    refused,
    wait_for_step,
    wait_until_ready,
)
from tests.edge.test_local_root import free_port
from tests.edge.workshop import INFC, NAME, Workshop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(FOLDER_VARIABLE not in os.environ, reason=f"`make edge` runs it; {FOLDER_VARIABLE} is not set"),
]
PORT = 8000
SECONDS = 60.0
"""Time that an emulated server gets to prove itself: it starts slowly, and slow requests in a row say little."""


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


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Bundles of a small model."""
    return small_releases(tmp_path_factory.mktemp("releases"), PORT, SECONDS)


@pytest.fixture(scope="session")
def installed(arm64_base: Path, tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> Path:
    """What a device has changed once release 1 is in service on it."""
    scratch = tmp_path_factory.mktemp("installed") / "device"
    with Loopback() as network, arm64_device(arm64_base, scratch, network) as device:
        in_service(field_of(device, releases), releases)
        device.stop()
        subprocess.run(["cp", "-a", str(scratch / "changed"), str(scratch / "kept")], check=True)
    return scratch / "kept"


@pytest.fixture
def field(arm64_base: Path, installed: Path, tmp_path: Path, releases: Releases) -> Iterator[Field]:
    """A device in a network of its own, with release 1 in service."""
    with Loopback() as network, arm64_device(arm64_base, tmp_path / "device", network, installed) as device:
        yield field_of(device, releases)


@pytest.fixture
def fresh_field(arm64_base: Path, tmp_path: Path, releases: Releases) -> Iterator[Field]:
    """A device that has nothing yet."""
    with Loopback() as network, arm64_device(arm64_base, tmp_path / "device", network) as device:
        yield field_of(device, releases)


def field_of(device: Device, releases: Releases) -> Field:
    """Whoever brings bundles to a device, with Debian's Python as it is."""
    return Field(device=device, python=("python3", "-I", "-S"), name=releases.name, key=releases.public)


@pytest.mark.parametrize("scenario", FRESH, ids=lambda scenario: scenario.__name__)
def test_first(
    scenario: Scenario, fresh_field: Field, releases: Releases, record_property: Callable[[str, object], None]
) -> None:
    """What happens on a device that has nothing."""
    record_property("shown", scenario(fresh_field, releases))


@pytest.mark.parametrize("scenario", [one for one in ALL if one not in FRESH], ids=lambda scenario: scenario.__name__)
def test_scenario(
    scenario: Scenario, field: Field, releases: Releases, record_property: Callable[[str, object], None]
) -> None:
    """Each scenario."""
    record_property("shown", scenario(field, releases))


def test_disk_full(field: Field, releases: Releases, record_property: Callable[[str, object], None]) -> None:
    """No room for the bundle; no room any more in the middle of the build: code 30, and release 1 serves on."""
    with small_disk(field.device, "/opt/infc", 40 << 20):
        field.device.restart()
        in_service(field, releases)
        answer = field.install(releases.archive("2", content={"calib/ballast.json": os.urandom(30 << 20)}))
        refused(field, answer, 30, "free")
        field.device.set(build_s=8.0)
        process = field.device.start(*field.install_words(releases.archive("2", content=another_model(releases))))
        wait_for_step(field, "build")
        with contextlib.suppress(OSError), field.device.file("/opt/infc/filler").open("wb") as filler:
            while filler.write(b"x" * 4096):
                filler.flush()
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 30, out
        assert "Traceback" not in out
        assert wait_until_ready(field) == "1"
        field.device.file("/opt/infc/filler").unlink()
        assert field.install(releases.archive("3")).code == 0
        assert field.is_clean()
        field.device.stop()
    record_property(
        "shown", "code 30 without room for the bundle, and where the disk fills up in the build; 1 serves on"
    )


def test_kill(field: Field, releases: Releases, record_property: Callable[[str, object], None]) -> None:
    """Signal 9 at 20 random points of an install."""
    record_property("shown", killed_at_random_points(field, releases))


def test_kill_in_every_step(field: Field, releases: Releases, record_property: Callable[[str, object], None]) -> None:
    """Signal 9 in each step of the journal."""
    record_property("shown", killed_in_every_step(field, releases))


def test_compiled(arm64_base: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """What `infc compile` writes and `infc sign` signs: verified here and there, installed, followed by its delta."""
    with Loopback() as network, arm64_device(arm64_base, tmp_path / "device", network) as device:
        workshop = Workshop(tmp_path / "workshop", network)
        first = workshop.compile("20s")
        field = Field(device=device, python=("python3", "-I", "-S"), name=NAME, key=workshop.public)
        workshop.infc("verify", str(first), "--public-key", str(workshop.public))
        answer = field.first_install(first)
        assert answer.code == 0, answer.words
        measured = field.deployment()["acceptance"]
        assert (measured["verdict"], measured["outputs"]["samples"]) == ("pass", 16)
        second = workshop.compile("19s", "--delta-from", str(first))
        (delta,) = workshop.deltas()
        answer = field.install(delta)
        assert answer.code == 0, answer.words
        assert field.serves() == "2"
        assert field.deployment()["acceptance"]["engine"]["is_reused"]
        sent = f"{delta.stat().st_size} of {second.stat().st_size} bytes"
    worst = measured["outputs"]["worst"]["logits"]["max_absolute"]
    record_property("shown", f"compiled, signed, installed; 16 samples off by {worst:.2g} at most; delta of {sent}")


def test_over_ssh(arm64_base: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """`infc validate` brings the same bundle to a device behind sshd, and the measurement back."""
    releases = small_releases(tmp_path / "releases", free_port(), SECONDS)
    with arm64_device(arm64_base, tmp_path / "device", None) as device:
        field = field_of(device, releases)
        with far_machine(tmp_path / "far", device.root, Path("/usr/local/bin")) as far:
            bundle = releases.archive("1")
            shown = validate(bundle, far.address, tmp_path)
            assert shown["verdict"] == "pass", shown
            assert field.serves() == "1"
            again = validate(bundle, far.address, tmp_path)
            assert again["verdict"] == "pass"
    record_property("shown", "infc validate ssh://: installed and judged in the root behind sshd; again: no change")


def validate(bundle: Path, address: str, folder: Path) -> dict[str, Any]:
    """What `infc validate BUNDLE ssh://` says, as JSON."""
    command = [INFC, "validate", str(bundle), address, "--no-store", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
