"""Power modes by name, on boards that number and write them differently; a restart is never agreed to."""

from pathlib import Path

import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.power import power_mode_now, power_modes, restore_power, set_power_mode
from tests.emit.jetson.device.stand_ins import Bench, bench

# Names and numbers of the modes in the tables of real boards: Jetson Linux 36.4 (Orin), 35 (Xavier NX), 38.2 (Thor).
BOARDS = {
    "orin-nano-super": {"15W": 0, "25W": 1, "MAXN_SUPER": 2, "7W": 3},
    "agx-orin": {"MAXN": 0, "MODE_15W": 1, "MODE_30W": 2, "MODE_50W": 3},
    "xavier-nx": {"MODE_15W_2CORE": 0, "MODE_15W_4CORE": 1, "MODE_15W_6CORE": 2, "MODE_10W_2CORE": 3},
    "thor": {"MAXN": 0, "120W": 1, "90W": 2, "70W": 3},
}


def board(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Bench:
    """A device with a board's table, where `/etc/nvpmodel.conf` leads to the module's."""
    place = bench(folder, monkeypatch, **settings)
    text = "".join(
        f"< POWER_MODEL ID={number} NAME={mode} >\nGPU MAX_FREQ -1\n\n" for mode, number in BOARDS[name].items()
    )
    table = place.device.file("/etc/nvpmodel/nvpmodel_module.conf")
    table.parent.mkdir()
    table.write_text(f"# < POWER_MODEL ID=id_num NAME=mode_name >\n{text}< PM_CONFIG DEFAULT=0 >\n")
    conf = place.device.file("/etc/nvpmodel.conf")
    conf.unlink()
    conf.symlink_to("nvpmodel/nvpmodel_module.conf")
    (place.device.root / "opt" / "infc").mkdir(parents=True)
    return place


@pytest.mark.parametrize(
    ("name", "wanted", "number"),
    [("orin-nano-super", "MAXN_SUPER", 2), ("agx-orin", "30W", 2), ("xavier-nx", "15W_6CORE", 2), ("thor", "120W", 1)],
)
def test_modes_are_set_by_name(
    name: str, wanted: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With or without the prefix that some boards write."""
    place = board(name, tmp_path, monkeypatch)
    before = power_mode_now(place.root)
    assert set_power_mode(place.root, wanted) == {"before": before, "after": wanted, "is_restart_needed": False}
    assert ["-m", str(number)] in place.device.calls("nvpmodel")
    assert set_power_mode(place.root, wanted)["before"] == wanted
    assert len([call for call in place.device.calls("nvpmodel") if "-m" in call]) == 1


def test_a_name_that_is_a_part_of_another_is_another_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAXN is not MAXN_SUPER; the refusal lists what there is."""
    place = board("orin-nano-super", tmp_path, monkeypatch)
    with pytest.raises(Refusal) as caught:
        set_power_mode(place.root, "MAXN")
    assert caught.value.code == 30
    assert caught.value.message == "this device has no power mode MAXN (it has 15W, 25W, MAXN_SUPER, 7W)"


def test_a_mode_that_needs_a_restart_is_noted_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saying no to nvpmodel's question cancels the change, so it is noted where nvpmodel looks when it starts."""
    place = board("orin-nano-super", tmp_path, monkeypatch, restart_modes=[3])
    assert set_power_mode(place.root, "7W") == {"before": "15W", "after": "15W", "is_restart_needed": True}
    assert not place.device.file("/var/lib/standins/restart_asked").exists()
    assert place.device.file("/var/lib/nvpmodel/status").read_text().startswith("pmode:0003")
    place.device.restart()
    assert power_mode_now(place.root) == "7W"


def test_what_nvpmodel_says_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It failed, and the mode is still the old one."""
    place = board("agx-orin", tmp_path, monkeypatch, nvpmodel_fails=True)
    with pytest.raises(Refusal, match="nvpmodel did not set power mode 30W: NVPM ERROR: Error writing 1") as caught:
        set_power_mode(place.root, "30W")
    assert caught.value.code == 30


def test_mode_and_pinned_clocks_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What jetson_clocks had set before the mode was changed is there again."""
    place = board("agx-orin", tmp_path, monkeypatch)
    clocks = place.device.file("/var/lib/standins/clocks")
    clocks.write_text("max")
    set_power_mode(place.root, "30W")
    clocks.write_text("dynamic")
    restore_power(place.root, "MAXN")
    assert power_mode_now(place.root) == "MAXN"
    assert clocks.read_text() == "max"
    assert [call[0] for call in place.device.calls("jetson_clocks")] == ["--store", "--restore"]


def test_a_device_without_modes_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No table, no tool."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("infc.emit.jetson.device.programs.PROGRAM_FOLDERS", ())
    assert power_mode_now(str(tmp_path)) is None
    assert power_modes(str(tmp_path)) == {}
