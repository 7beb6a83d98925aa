"""JetPack releases and Jetson modules: the data holds together, and refusals name the way out."""

import re

import pytest

from infc.build.libraries import LIBRARIES, refused_options
from infc.ir.build_options import BuildOptions
from infc.resolve.jetson import (
    OLDEST_BUILT_MAJOR,
    dla_refusal,
    has_tensorrt,
    is_release,
    jetpack_for,
    jetpacks,
    modules,
)
from infc.resolve.targets import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The built-in catalogue."""
    return load_catalogue(None)


def test_every_module_of_the_catalogue_is_known_and_runs_some_jetpack(catalogue: Catalogue) -> None:
    """What can be planned has part numbers and a release; nothing else is in the data."""
    known = {hardware.id for hardware in catalogue.all() if hardware.kind == "jetson"}
    assert set(modules()) == known
    assert {id for jetpack in jetpacks() for id in jetpack.hardware_ids} == known
    assert all(jetpack_for(id, None) is not None for id in known)


def test_modules_and_catalogue_agree_on_accelerators(catalogue: Catalogue) -> None:
    """A module with DLA cores has a DLA in its catalogue row, and one without has none."""
    for id, module in modules().items():
        hardware = catalogue.find(id)
        assert hardware is not None
        assert bool(module.dla_cores) is (hardware.dla is not None), id
        if hardware.dla is not None:
            assert hardware.dla.startswith(f"{module.dla_cores}x"), id
        assert module.os_memory_bytes < 0.25 * hardware.memory_bytes


def test_every_release_says_who_says_so() -> None:
    """Versions with sources; what rests on recall is a key of the file."""
    keys = {
        "version",
        "l4t",
        "cuda",
        "tensorrt",
        "tensorrt_also",
        "ubuntu",
        "python",
        "families",
        "dla",
        "triton_image",
    }
    for jetpack in jetpacks():
        assert jetpack.sources
        assert set(jetpack.recalled_fields) <= keys
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", jetpack.l4t)
    assert [p.l4t for p in jetpacks()] == sorted((p.l4t for p in jetpacks()), key=lambda v: [*map(int, v.split("."))])


@pytest.mark.parametrize(
    ("version", "l4t", "cuda", "tensorrt"),
    [
        ("6.1", "36.4.0", "12.6", "10.3.0"),
        ("6.2", "36.4.3", "12.6", "10.3.0"),
        ("6.2.1", "36.4.4", "12.6", "10.3.0"),
        ("7.0", "38.2.0", "13.0", "10.13.2"),
        ("7.1", "38.4.0", "13.0", "10.13.3"),
        ("7.2", "39.2.0", "13.2", "10.16.2"),
    ],
)
def test_what_a_release_brings(version: str, l4t: str, cuda: str, tensorrt: str) -> None:
    """Jetson Linux, CUDA and TensorRT by JetPack, as NVIDIA's archive and OE4T's recipes have them."""
    (jetpack,) = [p for p in jetpacks() if is_release(p, version)]
    assert (jetpack.l4t, jetpack.cuda, jetpack.tensorrt) == (l4t, cuda, tensorrt)


def test_super_modes_came_with_6_2() -> None:
    """The twins that were flashed with Super mode run no older release; the plain ones run both."""
    assert jetpack_for("jetson-orin-nano-8gb-super", "6.1") is None
    assert jetpack_for("jetson-orin-nano-8gb", "6.1") is not None
    for jetpack in jetpacks():
        assert jetpack.has_super_modes is any(id.endswith("-super") for id in jetpack.hardware_ids)


@pytest.mark.parametrize(
    ("id", "wanted", "found"),
    [
        ("jetson-orin-nx-16gb", None, "7.2.2"),
        ("jetson-orin-nx-16gb", "6.2.0", "6.2"),
        ("jetson-agx-xavier-32gb", None, "5.1.5"),
        ("jetson-agx-xavier-32gb", "6.2", None),
        ("jetson-agx-thor-t5000", "7.0", "7.0"),
        ("jetson-t4000", "7.0", None),
        ("l4", None, None),
        ("jetson-orin-nx-16gb", "latest", None),
    ],
)
def test_the_wanted_release_or_the_newest(id: str, wanted: str | None, found: str | None) -> None:
    """None where the module does not run it."""
    jetpack = jetpack_for(id, wanted)
    assert (None if jetpack is None else jetpack.version) == found


@pytest.mark.parametrize(
    ("version", "is_there"),
    [("10.3", True), ("10.3.0.30", True), ("10.7.0", True), ("10.7", True), ("10.30", False), ("11.4.1", False)],
)
def test_a_tensorrt_of_a_release(version: str, is_there: bool) -> None:
    """What JetPack installs and what can stand beside it; a build is of its release, 10.30 is not 10.3."""
    jetpack = jetpack_for("jetson-orin-nx-16gb", "6.2")
    assert jetpack is not None
    assert has_tensorrt(jetpack, version) is is_there


def test_accelerators_agree_with_what_the_builder_knows() -> None:
    """For each module, release and TensorRT that infc builds with, planner and builder refuse the same."""
    option = BuildOptions(dla_core=0)
    compared = 0
    for jetpack in jetpacks():
        for id in jetpack.hardware_ids:
            for version in (jetpack.tensorrt, *jetpack.tensorrt_also):
                if LIBRARIES["tensorrt"].at(version) is None:
                    continue  # TensorRT 8, of JetPack 5 and 6.0: infc builds with 10 and later
                refused = bool(refused_options("tensorrt", version, option, id))
                assert refused is (dla_refusal(id, jetpack, version) is not None), (jetpack.version, id, version)
                compared += 1
    assert compared > 60


def test_a_refusal_names_versions_that_would_do() -> None:
    """The way out is in the sentence, for the module at hand."""
    orin = jetpack_for("jetson-agx-orin-64gb", "7.2")
    assert orin is not None
    assert dla_refusal("jetson-agx-orin-64gb", orin) == (
        "its accelerators cannot be used with TensorRT 10.16.2 on JetPack 7.2, but with 11.4.1 on JetPack 7.2.2,"
        " or 10.3 or 10.7 on JetPack 6.2.3"
    )


def test_releases_with_an_older_tensorrt_are_known_as_such() -> None:
    """What the planner says cannot be compiled is what the builder has no entry for."""
    for jetpack in jetpacks():
        for version in (jetpack.tensorrt, *jetpack.tensorrt_also):
            is_known = LIBRARIES["tensorrt"].at(version) is not None
            assert is_known is (int(version.partition(".")[0]) >= OLDEST_BUILT_MAJOR), version
