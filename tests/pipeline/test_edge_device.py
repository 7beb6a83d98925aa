"""A release on a device behind ssh: refused before anything is sent, installed, rolled back, cut off."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.diag import DiagnosticError
from infc.emit.jetson.sums import with_sums
from infc.emit.supply.signing import new_key
from infc.ir.accuracy import Verdict
from infc.ir.edge_validation import EdgeOutcome, EdgeValidation
from infc.pipeline.edge_bundle import whole_bundles_of
from infc.pipeline.edge_device import DeviceRequest, store_device_times, validate_on_device, with_service_time
from infc.spec.workspace import Workspace
from infc.validate.edge.address import parse_device
from tests.edge.arm64_root import FOLDER_VARIABLE
from tests.edge.far_device import FarDevice, far_device
from tests.edge.releases import Releases, small_releases
from tests.edge.test_local_root import free_port

REPOSITORY = Path(__file__).parents[2]
ONLY_EDGE = pytest.mark.skipif(FOLDER_VARIABLE not in os.environ, reason=f"`make edge` runs it, with {FOLDER_VARIABLE}")


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """Small bundles whose service listens on a free port."""
    return small_releases(tmp_path / "releases", free_port())


@pytest.fixture
def device(tmp_path: Path, releases: Releases) -> Iterator[FarDevice]:
    """A device that has nothing installed."""
    with far_device(tmp_path, releases) as found:
        yield found


def run(device: FarDevice, *bundles: Path, said: list[str] | None = None, **options: bool) -> EdgeValidation:
    """Validate on the device."""
    lines = [] if said is None else said
    request = DeviceRequest(bundles=bundles, address=device.address, **options)
    return validate_on_device(request, progress=lines.append, announce=lines.append)


def refusal(device: FarDevice, *bundles: Path) -> str:
    """The id of what stands in the way."""
    with pytest.raises(DiagnosticError) as raised:
        run(device, *bundles)
    assert raised.value.exit_code == 1
    assert raised.value.diagnostics[0].help
    return raised.value.diagnostics[0].id


def test_an_unsigned_bundle_is_not_even_sent(releases: Releases) -> None:
    """Nobody is connected to; the fix is the command that signs."""
    files = {path: content for path, content in with_sums(releases.files("1")).items() if isinstance(content, bytes)}
    bundle = releases.packed("1", files, "unsigned")
    request = DeviceRequest(bundles=(bundle,), address=parse_device("ssh://nowhere.invalid"))
    with pytest.raises(DiagnosticError) as raised:
        validate_on_device(request, progress=print, announce=print)
    (problem,) = raised.value.diagnostics
    assert problem.id == "edge-unsigned"
    assert f"infc sign {bundle}" in (problem.help or "")


def test_a_damaged_bundle_is_named(releases: Releases) -> None:
    """The program that would run first there is not the one that was signed."""
    files = releases.signed(releases.files("1"))
    bundle = releases.packed("1", {**files, "bin/edge.py": b"print('not mine')\n"}, "damaged")
    request = DeviceRequest(bundles=(bundle,), address=parse_device("ssh://nowhere.invalid"))
    with pytest.raises(DiagnosticError, match=r"bin/edge.py is not as SHA256SUMS lists it"):
        validate_on_device(request, progress=print, announce=print)


def test_what_a_device_would_refuse_is_refused_before_it_is_sent(
    device: FarDevice, releases: Releases, tmp_path: Path
) -> None:
    """Another module, a key that it does not know, no key at all, nobody there: nothing is left there."""
    other = releases.archive("1", "other", changes={"targets.0.modules": ["p3701-0000"]})
    assert refusal(device, other) == "edge-other-module"
    bundle = releases.packed("1", releases.signed(releases.files("1"), _other_key(tmp_path)), "foreign")
    assert refusal(device, bundle) == "edge-not-trusted"
    device.device.file("/etc/infc/keys/release.pem").unlink()
    assert refusal(device, bundle) == "edge-not-trusted"
    device.machine.cut()
    assert refusal(device, bundle) == "builder-unreachable"
    assert device.sent == []
    assert not device.device.file("/opt/infc").exists()


@pytest.mark.slow
def test_a_dry_run_changes_nothing(device: FarDevice, releases: Releases) -> None:
    """Sent, verified by the device's own key, matched: it could be installed. Of two, the newest that fits is taken.

    Nor does it matter that the login greets before every command, as a line in ~/.bashrc may have it.
    """
    enter = device.machine.folder / "enter"
    enter.write_text(enter.read_text().replace("exec ", "echo '{Welcome to lab 3}'\nexec ", 1))
    bundles = [releases.archive(version) for version in ("2", "10")]
    bundles.append(releases.archive("11", changes={"targets.0.modules": ["p3701-0000"]}))
    found = run(device, *bundles, is_dry_run=True)
    assert (found.outcome, found.code, found.verdict, found.release.version) == (
        EdgeOutcome.CAN_BE_INSTALLED,
        0,
        None,
        "10",
    )
    assert device.sent == []
    assert not list(device.device.file("/opt/infc").glob("*/releases/*"))


@pytest.mark.slow
@pytest.mark.server
def test_a_release_is_installed_measured_and_rolled_back(device: FarDevice, releases: Releases, tmp_path: Path) -> None:
    """In service with its measurement; again: nothing to do; one that misses its objective makes way for it."""
    said: list[str] = []
    first = run(device, releases.archive("1"), said=said)
    assert (first.outcome, first.verdict, first.was_in_service) == (EdgeOutcome.IN_SERVICE, Verdict.PASS, False)
    assert any("trtexec" in line for line in said)
    assert first.acceptance is not None
    assert first.acceptance.latency_s["p90"].value > 0.0
    again = run(device, releases.archive("1"))
    assert (again.was_in_service, again.acceptance) == (True, first.acceptance)

    workspace = Workspace(root=tmp_path, boundary=tmp_path)
    measured = with_service_time(first, workspace)
    assert measured.service_time is not None
    assert measured.service_time.points[0].executions > 0
    stored = store_device_times(measured.service_time, workspace)
    assert json.loads(stored.read_text())["environment"]["power_mode"] == "15W"

    slow = releases.archive("2", changes={"slo.latency": [{"percentile": 90.0, "limit_s": 0.000001}]})
    missed = run(device, slow)
    assert (missed.outcome, missed.code, missed.verdict) == (EdgeOutcome.ROLLED_BACK, 40, Verdict.FAIL)
    assert missed.acceptance is not None
    assert missed.acceptance.verdicts[0].verdict == "fail"
    downgrade = run(device, releases.archive("0"))
    assert (downgrade.outcome, downgrade.code, downgrade.verdict) == (EdgeOutcome.REFUSED, 14, None)
    assert any("--allow-downgrade" in word for word in downgrade.words)
    assert device.sent == []


@pytest.mark.slow
@pytest.mark.server
@ONLY_EDGE
def test_ctrl_c_takes_back_what_was_done(device: FarDevice, releases: Releases) -> None:
    """The engine is being built when it comes: nothing is in service, nothing is under way, and it works again."""
    device.device.set(build_s=30)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from infc.pipeline.edge_device import DeviceRequest, validate_on_device\n"
        "from infc.validate.edge.address import parse_device\n"
        "def progress(line):\n"
        "    print(line, flush=True)\n"
        "    if 'trtexec builds' in line: os.kill(os.getpid(), signal.SIGINT)\n"
        "request = DeviceRequest(bundles=(Path(sys.argv[1]),), address=parse_device(sys.argv[2]))\n"
        "validate_on_device(request, progress=progress, announce=progress)\n"
    )
    command = [sys.executable, "-c", script, str(releases.archive("1")), device.text]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert "KeyboardInterrupt" in ended.stderr
    assert "the device puts back what it had in service" in ended.stdout
    deployment = device.device.file("/opt/infc/dock-camera")
    assert not (deployment / "journal.json").exists()
    assert not (deployment / "current").exists()
    device.device.set(build_s=None)
    assert run(device, releases.archive("1")).outcome is EdgeOutcome.IN_SERVICE


@pytest.mark.slow
@pytest.mark.server
@ONLY_EDGE
def test_an_install_goes_on_when_the_connection_is_lost(device: FarDevice, releases: Releases) -> None:
    """The next run waits for it where it has to, and reads what came of it."""

    def cut(line: str) -> None:
        if "trtexec builds" in line:
            device.machine.cut()

    request = DeviceRequest(bundles=(releases.archive("1"),), address=device.address)
    with pytest.raises(DiagnosticError) as raised:
        validate_on_device(request, progress=cut, announce=cut)
    assert raised.value.diagnostics[0].id == "edge-device-lost"
    device.machine.start()
    found = run(device, releases.archive("1"))
    assert (found.outcome, found.was_in_service) == (EdgeOutcome.IN_SERVICE, True)


def test_deltas_are_left_out(releases: Releases) -> None:
    """Of a folder; a delta that is named itself is taken."""
    base = releases.files("1")
    whole, delta = releases.archive("2", "both"), releases.delta("2", base, "1")
    moved = whole.parent / delta.name
    os.replace(delta, moved)
    assert whole_bundles_of(whole.parent) == (whole,)
    assert whole_bundles_of(moved) == (moved,)


def _other_key(folder: Path) -> Path:
    key = folder / "other.key"
    new_key(key)
    return key
