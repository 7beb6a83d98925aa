"""The built-in catalogue: complete, valid, and true to the figures it was converted from."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.resolve.targets import Catalogue, data_directory, hardware_schema, load_catalogue, prices_schema

TARGETS = data_directory("targets")

NAMED_IN_THE_ISSUE = (
    "t4",
    "a2",
    "l4",
    "a10",
    "a10g",
    "a30",
    "a40",
    "l40s",
    "rtx-4090",
    "rtx-5090",
    "rtx-pro-6000-blackwell-server",
    "rtx-pro-6000-blackwell-workstation",
    "a100-pcie-40gb",
    "a100-pcie-80gb",
    "a100-sxm-40gb",
    "a100-sxm-80gb",
    "h100-pcie",
    "h100-sxm",
    "h100-nvl",
    "h200-sxm",
    "b200-sxm",
    "jetson-orin-nano-8gb",
    "jetson-orin-nx-8gb",
    "jetson-orin-nx-16gb",
    "jetson-agx-orin-32gb",
    "jetson-agx-orin-64gb",
    "jetson-agx-thor-t5000",
    "jetson-t4000",
    "cpu",
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The built-in catalogue."""
    return load_catalogue(None)


@pytest.mark.parametrize("id", NAMED_IN_THE_ISSUE)
def test_every_promised_device_is_there(catalogue: Catalogue, id: str) -> None:
    """The devices that users were promised can be found by id, are emittable, and name their sources."""
    device = catalogue.find(id)
    assert device is not None
    assert device.id == id
    assert device.is_emittable
    assert device.sources


@pytest.mark.parametrize("file", sorted((TARGETS / "hardware").glob("*.yaml")), ids=lambda file: file.stem)
def test_hardware_files_match_their_schema(file: Path) -> None:
    """Every built-in hardware file validates against the JSON Schema that editors use."""
    Draft202012Validator(hardware_schema()).validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("file", sorted((TARGETS / "prices").glob("*.yaml")), ids=lambda file: file.stem)
def test_price_files_match_their_schema(file: Path) -> None:
    """Every built-in price book validates against the JSON Schema that editors use."""
    Draft202012Validator(prices_schema()).validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(("name", "schema"), [("hardware", hardware_schema()), ("prices", prices_schema())])
def test_committed_schemas_are_current(name: str, schema: dict[str, object]) -> None:
    """schemas/ holds exactly what the field tables generate."""
    committed = json.loads((data_directory("schemas") / f"{name}.schema.json").read_text())
    assert committed == schema


def test_every_priced_device_is_in_the_catalogue(catalogue: Catalogue) -> None:
    """No price row names a device that does not exist, and every row is dated and sourced."""
    for file in (TARGETS / "prices").glob("*.yaml"):
        book = yaml.safe_load(file.read_text())
        for row in (*book.get("prices", ()), *book.get("purchases", ())):
            assert row["hardware"] in catalogue.ids
            assert row["source"] in book["sources"]
            assert row["date"]


def test_figures_are_those_of_the_sources(catalogue: Catalogue) -> None:
    """Spot checks in base units: dense peaks, bandwidth, power, and the card's own memory."""
    l4, h100, t4 = catalogue.find("l4"), catalogue.find("h100-sxm"), catalogue.find("t4")
    assert l4 is not None
    assert h100 is not None
    assert t4 is not None
    assert (l4.memory_bytes, l4.memory_bandwidth_bytes_per_s, l4.tdp_w, l4.sm_count) == (24e9, 300e9, 72, 58)
    assert l4.peak_flops[Precision.INT8] == 242e12
    assert h100.peak_flops[Precision.FP8] == 1979e12
    assert h100.memory_bandwidth_bytes_per_s == 3352e9
    assert h100.details.nvlink_bytes_per_s == 900e9
    assert t4.peak_flops[Precision.FP32] == 8.14e12


def test_turing_has_neither_bf16_nor_fp8(catalogue: Catalogue) -> None:
    """A precision that the silicon does not have is absent, so that no plan can use it."""
    t4, l4 = catalogue.find("t4"), catalogue.find("l4")
    assert t4 is not None
    assert l4 is not None
    assert {Precision.BF16, Precision.TF32, Precision.FP8}.isdisjoint(t4.peak_flops)
    assert {Precision.BF16, Precision.TF32, Precision.FP8} <= set(l4.peak_flops)


def test_jetson_modules_carry_their_power_modes(catalogue: Catalogue) -> None:
    """Orin NX has nvpmodel's modes, with what each leaves of GPU, memory and DLAs; its Super twin has others."""
    modes = {mode.name: mode for mode in _module(catalogue, "jetson-orin-nx-16gb").power_modes}
    assert set(modes) == {"10W", "15W", "25W", "MAXN"}
    assert modes["10W"].sm_count == 4
    assert modes["10W"].memory_bandwidth_bytes_per_s == 68.3e9
    assert modes["15W"].is_default
    assert modes["MAXN"].watts is None
    assert modes["25W"].peak_flops[Precision.INT8] == 13.37e12
    assert modes["25W"].dla_int8_flops == 20.1e12
    faster = {mode.name: mode for mode in _module(catalogue, "jetson-orin-nx-16gb-super").power_modes}
    assert set(faster) == {"10W", "15W", "25W", "40W", "MAXN_SUPER"}
    assert faster["40W"].is_default
    assert faster["15W"].dla_core0_int8_flops > 0.8 * faster["15W"].dla_int8_flops  # its second DLA hardly runs


@pytest.mark.parametrize(
    ("id", "names"),
    [
        ("jetson-orin-nano-8gb", {"7W", "15W"}),
        ("jetson-orin-nano-8gb-super", {"15W", "25W", "MAXN_SUPER"}),
        ("jetson-orin-nx-8gb", {"10W", "15W", "20W", "MAXN"}),
        ("jetson-orin-nx-8gb-super", {"10W", "15W", "20W", "40W", "MAXN_SUPER"}),
        ("jetson-agx-orin-64gb", {"MODE_15W", "MODE_30W", "MODE_50W", "MAXN"}),
    ],
)
def test_modes_have_the_names_of_nvpmodel(catalogue: Catalogue, id: str, names: set[str]) -> None:
    """A bundle sets the mode by its name in the device's own table; one of them is what the module boots into."""
    modes = _module(catalogue, id).power_modes
    assert {mode.name for mode in modes} == names
    assert sum(mode.is_default for mode in modes) == 1
    assert all(0.0 <= mode.dla_core0_int8_flops <= mode.dla_int8_flops for mode in modes)


def test_a_mode_is_meant_with_and_without_its_prefix(catalogue: Catalogue) -> None:
    """AGX Orin's table says MODE_30W where people say 30W."""
    named = {mode.name: mode for mode in _module(catalogue, "jetson-agx-orin-64gb").power_modes}
    assert named["MODE_30W"].is_named("30W")
    assert named["MODE_30W"].is_named("mode_30w")
    assert not named["MODE_30W"].is_named("0W")


def _module(catalogue: Catalogue, id: str) -> Hardware:
    module = catalogue.find(id)
    assert module is not None
    return module


@pytest.mark.parametrize("id", ["tpu-v5e", "aws-inferentia2-chip", "mi300x", "intel-gaudi2"])
def test_foreign_accelerators_are_for_comparison_only(catalogue: Catalogue, id: str) -> None:
    """Nothing is emitted for TPUs, Inferentia, AMD and Intel accelerators."""
    device = catalogue.find(id)
    assert device is not None
    assert device.kind == "other"
    assert not device.is_emittable


def test_recalled_fields_are_named(catalogue: Catalogue) -> None:
    """What rests on recall alone is said so, by the key of the file."""
    module = catalogue.find("jetson-t4000")
    assert module is not None
    assert "memory_bandwidth_gb_per_s" in module.recalled_fields
    assert "dense_tflops.int8" in module.recalled_fields


def test_names_are_unambiguous(catalogue: Catalogue) -> None:
    """No alias is another device's id or alias."""
    names = [name for device in catalogue.all() for name in (device.id, *device.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("tesla-t4", "t4"),
        ("A100 SXM 80GB", "a100-sxm-80gb"),
        ("L4", "l4"),
        ("b200", "b200-sxm"),
        ("gb10", "gb10-dgx-spark"),
    ],
)
def test_devices_are_found_by_alias_and_name(catalogue: Catalogue, name: str, id: str) -> None:
    """An alias or the display name finds the device."""
    device = catalogue.find(name)
    assert device is not None
    assert device.id == id


@pytest.mark.parametrize(
    ("name", "near"),
    [("a100-80gb", "a100-sxm-80gb"), ("rtx4090", "rtx-4090"), ("l40z", "l40s"), ("orin-nx", "jetson-orin-nx-16gb")],
)
def test_an_unknown_name_is_an_error_with_the_nearest(catalogue: Catalogue, name: str, near: str) -> None:
    """There is no guessing: the nearest names are in the help, and nothing is found."""
    assert catalogue.find(name) is None
    problem = catalogue.unknown_hardware(name, None)
    assert problem.id == "target-unknown"
    assert problem.help is not None
    assert near in problem.help


def test_one_device_reads_one_file(tmp_path: Path) -> None:
    """Asking for one device does not read the rest: a broken neighbour goes unnoticed."""
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "l4.yaml").write_text((TARGETS / "hardware" / "l4.yaml").read_text())
    (tmp_path / "hardware" / "broken.yaml").write_text("{")
    assert Catalogue(tmp_path, None).find("l4") is not None
