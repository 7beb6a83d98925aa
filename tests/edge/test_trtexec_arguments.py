"""Every command line that infc can give trtexec, against the options that releases of both majors have."""

import itertools
from typing import Any

import pytest

from infc.build.far.options import unsupported_options
from infc.build.far.trtexec import trtexec_arguments
from infc.build.libraries import LIBRARIES, library_entry
from infc.ir.precision import Precision
from tests.edge.trtexec_lists import OPTION_LISTS, extract_options, options_of_version

VERSIONS = ["10.0.1", "10.3.0", "10.7.0", "10.13.3", "10.15.1", "10.16.2", "11.0.0", "11.1.0", "11.4.1"]
HARDWARE = ["jetson-agx-orin-64gb", "jetson-orin-nx-16gb", "jetson-agx-thor-t5000"]
GONE_IN_11 = {"--fp16", "--bf16", "--int8", "--fp8", "--int4", "--best", "--calib", "--precisionConstraints"}
CHOICES: dict[str, list[Any]] = {
    "optimization_level": [None, 5],
    "workspace_bytes": [None, 2**30 + 1],
    "is_version_compatible": [False, True],
    "hardware_compatibility": ["none", "ampere_plus", "same_compute_capability"],
    "is_weight_streaming": [False, True],
    "is_refittable": [False, True],
    "dla_core": [None, 0, 1],
}


def arguments_of(version: str, precision: Precision) -> set[str]:
    """Names of all arguments that a job of this precision can bring, whatever its options and its module."""
    library = LIBRARIES["tensorrt"]
    versions = library.at(version)
    assert versions is not None
    entry = library_entry("tensorrt", library, versions)
    shapes = [{"input": "x", "minimum": [1, 3], "optimum": [2, 3], "maximum": [4, 3]}]
    found: set[str] = set()
    for values in itertools.product(*CHOICES.values()):
        options = dict(zip(CHOICES, values, strict=True))
        for hardware in HARDWARE:
            if unsupported_options(options, hardware, version, entry):
                continue
            job = {"options": options, "precision": str(precision), "shapes": shapes, "compute_capability": "8.7"}
            for is_static in (False, True):
                words = trtexec_arguments(job, entry, "m", "e", "l", "t", is_static=is_static)
                found |= {word.partition("=")[0] for word in words}
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_argument_is_an_option_of_its_release(version: str) -> None:
    """All options of a build, on modules with and without an accelerator, in every precision."""
    asked = set().union(*(arguments_of(version, precision) for precision in Precision))
    assert asked <= options_of_version(version)
    assert not asked & GONE_IN_11
    assert "--memPoolSize" in asked


def test_what_eleven_dropped() -> None:
    """The lists say where the majors differ: precision flags and calibration are not in 11."""
    assert options_of_version("10.3.0") >= GONE_IN_11 - {"--int4"}
    assert not options_of_version("11.1.0") & GONE_IN_11


@pytest.mark.parametrize("major", ["10", "11"])
def test_the_lists_are_as_the_script_writes_them(major: str) -> None:
    """Read and written again they are the same bytes."""
    path = OPTION_LISTS / f"{major}.yaml"
    assert extract_options.releases_text(extract_options.read_releases(path)) == path.read_text()


def test_options_are_read_from_the_parsers_alone() -> None:
    """Not from help texts, error messages, other tools in the same file, or parts that are not compiled."""
    source = """
void BuildOptions::parse(Arguments& arguments)
{
    getFormats(inputFormats, "--inputIOFormats");
    if (getAndDelOption(arguments, "--best", best))
    {
        throw std::invalid_argument("--best and --stronglyTyped cannot be both set.");
    }
#if ENABLE_UNIFIED_BUILDER
    getAndDelOption(arguments, "--safetyPlugins", safetyPluginOption);
#endif // ENABLE_UNIFIED_BUILDER
}

bool parseHelp(Arguments& arguments)
{
    getAndDelOption(arguments, "-h", helpShort);
}

void SafeBuilderOptions::parse(Arguments& arguments)
{
    getAndDelOption(arguments, "--std", standard);
}

void BuildOptions::help(std::ostream& os)
{
    os << "  --remoteAutoTuningConfig";
}
"""
    assert extract_options.options_of(source) == {"--inputIOFormats", "--best", "-h"}


def test_a_version_between_two_listed_ones_has_what_both_have() -> None:
    """Nothing is promised for 10.3 that 10.0 or 10.7 lacks."""
    release = extract_options.Release
    listed = [
        release(version="10.0.1", commit=None, options=frozenset({"--a", "--b"})),
        release(version="10.7.0", commit=None, options=frozenset({"--b", "--c"})),
    ]
    assert extract_options.options_at(listed, "10.3.0") == {"--b"}
    assert extract_options.options_at(listed, "10.7.0") == {"--b", "--c"}
    assert extract_options.options_at(listed, "10.9.0") == {"--b", "--c"}
    assert extract_options.options_at(listed, "11.0.0") == frozenset()
