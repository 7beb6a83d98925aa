"""Which devices a release is for, and what they must have; each refusal says what was found and what is needed."""

from typing import Any

import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.requirements import check_memory, check_version, is_within, matching_target
from tests.emit.jetson.device.bundles import manifest

DEVICE: dict[str, Any] = {
    "machine": "aarch64",
    "module": "p3767-0000",
    "soc": "tegra234",
    "model": "NVIDIA Jetson Orin NX",
    "l4t": "36.4.3",
    "tensorrt": "10.3.0",
    "memory_bytes": 16 << 30,
    "available_bytes": 8 << 30,
}

MODES = ("MAXN", "10W", "15W", "25W")


def _manifest(**changes: Any) -> dict[str, Any]:
    stated = manifest("7", 1)
    stated["targets"][0].update({"power_mode": None, **changes})
    return stated


def _refusal(stated: dict[str, Any], **changes: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        matching_target(stated, {**DEVICE, **changes}, MODES)
    return caught.value


def test_device_that_the_release_is_for() -> None:
    """The target of its module."""
    assert matching_target(_manifest(), DEVICE, MODES)["hardware_id"] == "jetson-orin-nx-16gb"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"machine": "x86_64"}, 20, "x86_64"),
        ({"module": None}, 20, "does not say which module"),
        ({"module": "p3767-0005"}, 20, "Jetson Orin NX 16GB (p3767-0000)"),
        ({"l4t": "35.6.1"}, 30, "L4T is 35.6.1; needed: 36.4 or later, before 37"),
        ({"l4t": "39.2.0"}, 30, "L4T is 39.2.0"),
        ({"l4t": None}, 30, "L4T is not found"),
        ({"tensorrt": "11.4.1"}, 30, "TensorRT is 11.4.1; needed: 10.3 or later, before 11"),
        ({"tensorrt": None}, 30, "TensorRT is not found"),
    ],
)
def test_device_that_it_is_not_for_or_not_ready(changes: dict[str, Any], code: int, words: str) -> None:
    """20: never; 30: once something is installed or updated."""
    refusal = _refusal(_manifest(), **changes)
    assert (refusal.code, words in refusal.message, bool(refusal.help)) == (code, True, True)


def test_second_target_of_the_same_module_counts_where_the_first_is_not_ready() -> None:
    """One bundle may serve a module under two JetPacks."""
    stated = _manifest()
    newer = {**stated["targets"][0], "hardware_id": "newer", "l4t": {"at_least": "39.2", "below": "40"}}
    stated["targets"].append(newer)
    assert matching_target(stated, {**DEVICE, "l4t": "39.2.0"}, MODES)["hardware_id"] == "newer"


def test_programs_that_serve_the_release_must_be_there() -> None:
    """The program nvpmodel is none of this machine; where nothing sets a power mode it is not needed."""
    refusal = _refusal(_manifest(power_mode="15W"))
    assert (refusal.code, refusal.message) == (30, "nvpmodel is not installed")


def test_version_ranges() -> None:
    """The upper end is not part of a range."""
    wanted = {"at_least": "36.4", "below": "37"}
    assert [is_within(text, wanted) for text in ("36.3", "36.4", "36.5.1", "37", "37.0")] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert is_within(None, None)
    assert not is_within(None, wanted)


def test_memory_in_use_counts_unless_a_release_makes_way() -> None:
    """What the release in service holds comes free when it stops."""
    target = {"min_memory_bytes": 10 << 30}
    check_memory(target, DEVICE, is_replacing=True)
    with pytest.raises(Refusal, match=r"10\.00 GiB of memory, 8\.00 GiB are available") as caught:
        check_memory(target, DEVICE, is_replacing=False)
    assert caught.value.code == 30


def test_older_release_is_code_14() -> None:
    """Versions are compared number by number; the same version again is not older."""
    check_version("7", None, is_downgrade_allowed=False)
    check_version("7.0", "7", is_downgrade_allowed=False)
    check_version("10", "9.5", is_downgrade_allowed=False)
    check_version("6", "7", is_downgrade_allowed=True)
    with pytest.raises(Refusal, match="release 9 is older than 10") as caught:
        check_version("9", "10", is_downgrade_allowed=False)
    assert caught.value.code == 14
