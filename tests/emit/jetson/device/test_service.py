"""The service of a release: unit, image, readiness; through the device's own systemctl and docker."""

import sys
from pathlib import Path

import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.service import (
    require_images,
    restart_service,
    service_state,
    stop_service,
    wait_ready,
)
from tests.emit.jetson.device.servers import Service, serving
from tests.emit.jetson.device.stand_ins import Bench, bench

UNIT = "infc-dock-camera.service"
IMAGE = "nvcr.io/nvidia/tritonserver:24.10-py3-igpu"
TEXT = """\
[Unit]
Description=dock-camera
[Service]
ExecStart={python} -c {program}
[Install]
WantedBy=multi-user.target
"""


def served(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str = "'import time; time.sleep(600)'") -> Bench:
    """A device whose current release has a unit that runs a Python program."""
    place = bench(folder, monkeypatch)
    place.manifest["service"].update(kind="triton", url="http://127.0.0.1:9", ready_timeout_s=20.0)
    home = place.device.root / "opt" / "infc" / "dock-camera"
    home.mkdir(parents=True)
    (home / "current").symlink_to(place.release)
    (place.release / "systemd").mkdir(exist_ok=True)
    (place.release / "systemd" / UNIT).write_text(TEXT.format(python=sys.executable, program=program))
    (place.release / "compose.yaml").write_text(f"services:\n  dock-camera:\n    image: {IMAGE}\n")
    return place


def test_a_service_is_started_and_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit is put in place once, enabled, restarted; afterwards nothing of it is left."""
    place = served(tmp_path, monkeypatch)
    try:
        restart_service(place.root, place.manifest)
        restart_service(place.root, place.manifest)
        installed = place.device.file(f"/etc/systemd/system/{UNIT}")
        assert installed.read_bytes() == (place.release / "systemd" / UNIT).read_bytes()
        verbs = [call[0] for call in place.device.calls("systemctl")]
        assert verbs.count("daemon-reload") == 1
        assert verbs.count("restart") == 2
        with serving(Service()) as service:
            place.manifest["service"]["url"] = service.url
            wait_ready(place.manifest)
            assert service_state(place.manifest) == {"unit": UNIT, "is_active": True, "is_ready": True}
        assert service_state(place.manifest)["is_ready"] is False
        stop_service(place.root, place.manifest)
        assert not installed.exists()
        assert service_state(place.manifest)["is_active"] is False
        stop_service(place.root, place.manifest)
    finally:
        place.device.stop()


@pytest.mark.slow
def test_a_service_that_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 40, long before its time is over."""
    place = served(tmp_path, monkeypatch, "'raise SystemExit(3)'")
    place.manifest["service"]["ready_timeout_s"] = 600.0
    restart_service(place.root, place.manifest)
    with pytest.raises(Refusal, match=f"{UNIT} ended before it answered") as caught:
        wait_ready(place.manifest)
    assert caught.value.code == 40


@pytest.mark.slow
def test_a_service_that_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last that it answered is told."""
    place = served(tmp_path, monkeypatch)
    try:
        restart_service(place.root, place.manifest)
        with serving(Service(is_ready=False)) as service:
            place.manifest["service"].update(url=service.url, ready_timeout_s=1.0)
            with pytest.raises(Refusal, match=r"is not ready after 1 s: /v2/health/ready: HTTP status 503") as caught:
                wait_ready(place.manifest)
        assert caught.value.code == 40
    finally:
        place.device.stop()


def test_a_unit_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words, and code 40."""
    place = served(tmp_path, monkeypatch)
    place.device.set(start_fails=True)
    with pytest.raises(Refusal, match=rf"systemctl restart {UNIT} failed: Job for {UNIT} failed") as caught:
        restart_service(place.root, place.manifest)
    assert caught.value.code == 40


def test_an_image_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 30 after those that were brought along were loaded: the device has no network."""
    place = served(tmp_path, monkeypatch)
    place.device.set(missing_images=[IMAGE])
    (place.release / "images").mkdir()
    (place.release / "images" / "triton.tar").write_bytes(b"layers")
    with pytest.raises(Refusal) as caught:
        require_images(place.release)
    assert caught.value.code == 30
    assert caught.value.message == f"the image {IMAGE} is not on this device"
    assert "docker load" in caught.value.help
    assert place.device.calls("docker")[1][0] == "load"


def test_a_release_that_another_program_serves_has_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started, waited for or stopped."""
    place = bench(tmp_path, monkeypatch)
    assert place.manifest["service"]["kind"] == "none"
    restart_service(place.root, place.manifest)
    wait_ready(place.manifest)
    stop_service(place.root, place.manifest)
    assert service_state(place.manifest) == {"unit": None, "is_active": None, "is_ready": None}
    assert place.device.calls("systemctl") == []


def test_a_name_that_leads_elsewhere_is_no_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest is signed, and still not believed to name any file."""
    place = served(tmp_path, monkeypatch)
    place.manifest["service"]["unit"] = "../../etc/infc-x.service"
    with pytest.raises(Refusal, match="cannot be the name of a unit"):
        restart_service(place.root, place.manifest)
