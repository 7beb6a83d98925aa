"""What a spec says of a Jetson module, joined with the data: release, TensorRT, accelerators, memory."""

from dataclasses import replace
from pathlib import Path

import pytest

from infc.ir.jetson import JetsonSetup
from infc.resolve.jetson_setup import jetson_setup
from infc.resolve.targets import load_catalogue
from infc.spec import load_spec

from .test_problem import BASE, resolved

LOAD = "workload: {rate: 30/s}\n"


def setup_of(folder: Path, hardware: str, options: str) -> tuple[JetsonSetup | None, list[str]]:
    """The setup of one module under these options, and the ids of the diagnostics."""
    text = BASE + LOAD + f"constraints: {{hardware: [{hardware}]}}\n"
    if options:
        text += f"deploy: {{jetson: {{{options}}}}}\n"
    problem, ids = resolved(folder, text)
    return (None if problem is None else problem.jetson_of(hardware)), ids


def test_the_newest_release_is_taken_unasked(tmp_path: Path) -> None:
    """Without deploy.jetson a module has the newest JetPack and its TensorRT, and others get the usual memory."""
    setup, ids = setup_of(tmp_path, "jetson-orin-nx-16gb", "")
    assert not ids
    assert setup is not None
    assert setup.jetpack is not None
    assert (setup.jetpack.version, setup.tensorrt) == ("7.2.2", "10.16.2")
    assert setup.reserved_bytes is None
    assert not setup.is_dla_wanted


def test_a_named_tensorrt_picks_the_release_that_takes_it(tmp_path: Path) -> None:
    """10.7 stands beside JetPack 6's: the newest of those is meant."""
    setup, ids = setup_of(tmp_path, "jetson-orin-nx-16gb", 'tensorrt: "10.7", dla: true')
    assert not ids
    assert setup is not None
    assert setup.jetpack is not None
    assert (setup.jetpack.version, setup.tensorrt, setup.dla_refusal) == ("6.2.3", "10.7", None)


def test_the_system_counts_beside_what_is_reserved(tmp_path: Path) -> None:
    """reserved_memory is for other programs; what the system holds comes from the module."""
    setup, _ = setup_of(tmp_path, "jetson-orin-nx-16gb", "reserved_memory: 2GB, max_temperature: 85C")
    assert setup is not None
    assert setup.reserved_bytes == 2e9 + 1.3e9
    assert setup.max_temperature_c == 85.0


def test_other_devices_have_no_such_setup(tmp_path: Path) -> None:
    """A card is no module."""
    assert setup_of(tmp_path, "l4", "") == (None, [])


def test_an_unknown_release_is_an_error(tmp_path: Path) -> None:
    """With the nearest one that infc knows."""
    assert setup_of(tmp_path, "jetson-orin-nx-16gb", 'jetpack: "6.3"') == (None, ["jetson-jetpack"])


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ('jetpack: "6.2", tensorrt: "10.9.0"', True),
        ('tensorrt: "9.9"', True),
        ('jetpack: "6.2", tensorrt: "10.7"', False),
    ],
)
def test_a_tensorrt_that_the_release_is_not_known_to_take_is_a_warning(
    tmp_path: Path, options: str, warned: bool
) -> None:
    """It may be there all the same: the device is asked before anything is installed."""
    setup, ids = setup_of(tmp_path, "jetson-orin-nx-16gb", options)
    assert setup is not None
    assert ids == (["jetson-tensorrt"] if warned else [])


@pytest.mark.parametrize(
    ("hardware", "jetpack", "words"),
    [
        ("jetson-orin-nx-16gb-super", "6.1", "Super mode came with JetPack 6.2"),
        ("jetson-agx-thor-t5000", "6.2", "7.0, 7.1, 7.2, 7.2.1, 7.2.2 do"),
        ("jetson-agx-xavier-32gb", "6.2", "5.1.2, 5.1.3, 5.1.4, 5.1.5 do"),
    ],
)
def test_a_release_that_the_module_does_not_run_refuses_the_module(
    tmp_path: Path, hardware: str, jetpack: str, words: str
) -> None:
    """Not the spec: another module may run it."""
    setup, ids = setup_of(tmp_path, hardware, f'jetpack: "{jetpack}"')
    assert not ids
    assert setup is not None
    assert setup.jetpack is None
    assert setup.refusal is not None
    assert words in setup.refusal


def test_a_module_of_the_users_own_is_planned_without_facts(tmp_path: Path) -> None:
    """An accelerator of which infc knows nothing stays unused, and that is said."""
    catalogue = load_catalogue(None)
    own = catalogue.find("jetson-orin-nx-16gb")
    assert own is not None
    spec = tmp_path / "own.infc.yaml"
    (tmp_path / "model.onnx").write_bytes(b"")
    spec.write_text(BASE + LOAD + "deploy: {jetson: {dla: true}}\n")
    loaded = load_spec(spec)
    assert loaded.spec is not None
    setup = jetson_setup(loaded.spec, replace(own, id="jetson-acme-board"))
    assert setup is not None
    assert (setup.jetpack, setup.module, setup.refusal) == (None, None, None)
    assert setup.dla_refusal == "infc does not know the accelerators of jetson-acme-board"
