"""A user's own targets/ directory: it adds devices, replaces prices, and its mistakes are shown with their lines."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.resolve.targets import load_catalogue
from infc.resolve.targets.hardware import hardware_from_text
from infc.resolve.targets.records import MAXIMUM_DEPTH

PRIVATE_CARD = """\
name: Lab Card 1
vendor: ACME
kind: gpu
architecture: Hopper
compute_capability: "9.0"
form: workstation
is_emittable: true
aliases: [labby]
memory_gb: 48
memory_bandwidth_gb_per_s: 1000
dense_tflops: {fp32: 50, fp16: 400}
sources: [our own measurement]
"""

NEGOTIATED = """\
provider: aws
kind: cloud
prices:
  - {hardware: l4, sku: g6.xlarge, region: eu-west-1, commitment: on-demand, usd_per_accelerator_hour: 0.5,
     accelerators: 1, date: "2026-10-01", source: contract 4711}
"""


def write(root: Path, path: str, text: str | bytes) -> None:
    """Put a file into the overlay."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_private_device_joins_the_catalogue(tmp_path: Path) -> None:
    """One YAML file adds a device: found by id and alias, listed with the rest."""
    write(tmp_path, "hardware/lab-card-1.yaml", PRIVATE_CARD)
    catalogue = load_catalogue(tmp_path)
    assert catalogue.diagnostics == ()
    device = catalogue.find("labby")
    assert device is not None
    assert device.id == "lab-card-1"
    assert "lab-card-1" in catalogue.ids
    assert catalogue.find("l4") is not None


def test_a_file_of_a_built_in_id_replaces_the_device(tmp_path: Path) -> None:
    """The overlay wins."""
    write(tmp_path, "hardware/l4.yaml", PRIVATE_CARD)
    device = load_catalogue(tmp_path).find("l4")
    assert device is not None
    assert device.memory_bytes == 48e9


def test_negotiated_prices_replace_the_list_price_of_the_same_terms(tmp_path: Path) -> None:
    """Only L4 on demand changes at AWS; T4 and the discounts stay."""
    write(tmp_path, "prices/aws.yaml", NEGOTIATED)
    catalogue = load_catalogue(tmp_path)
    assert catalogue.diagnostics == ()
    own, other, reserved = (
        catalogue.price("l4", "aws", "on-demand"),
        catalogue.price("t4", "aws", "on-demand"),
        catalogue.price("l4", "aws", "1y"),
    )
    assert own is not None
    assert other is not None
    assert reserved is not None
    assert (own.usd_per_hour, own.source) == (0.5, "contract 4711")
    assert other.usd_per_hour == 0.526
    assert reserved.usd_per_hour == pytest.approx(0.34)
    cheapest = catalogue.price("l4", None, "on-demand")
    assert cheapest == own


def test_a_new_provider_is_one_file(tmp_path: Path) -> None:
    """A private cloud has its own book and takes part in the default choice."""
    write(tmp_path, "prices/acme.yaml", NEGOTIATED.replace("provider: aws", "provider: acme").replace("0.5,", "0.4,"))
    catalogue = load_catalogue(tmp_path)
    assert "acme" in catalogue.providers
    price = catalogue.price("l4", None, "on-demand")
    assert price is not None
    assert price.provider == "acme"


def test_own_amortisation_terms_apply_to_built_in_purchases(tmp_path: Path) -> None:
    """Five years and another price of electricity, over the built-in purchase price."""
    text = (
        'provider: owned\nkind: owned\namortisation: {years: 5, usd_per_kwh: 0.3, date: "2026", source: our contract}\n'
    )
    write(tmp_path, "prices/owned.yaml", text)
    price = load_catalogue(tmp_path).price("jetson-agx-orin-64gb", None, "owned")
    assert price is not None
    assert price.usd_per_hour == pytest.approx(1999 / (5 * 8760) + 0.060 * 0.3)


def test_every_problem_of_every_file_is_reported_at_once(tmp_path: Path) -> None:
    """Misspelt keys, units in numbers, missing keys, wrong words: each with file, line and column."""
    text = PRIVATE_CARD.replace("memory_gb: 48", "memory_gb: 48GB").replace("kind: gpu", "kind: gpuu")
    text = text.replace("memory_bandwidth_gb_per_s", "memory_bandwith_gb_per_s")
    write(tmp_path, "hardware/lab-card-1.yaml", text)
    write(tmp_path, "prices/aws.yaml", NEGOTIATED.replace("hardware: l4", "hardware: l4x").replace("0.5", "-0.5"))
    found = load_catalogue(tmp_path).diagnostics
    seen = {(d.id, Path(d.span.path).name, d.span.line, d.span.column) for d in found if d.span is not None}
    assert seen == {
        ("target-value", "lab-card-1.yaml", 3, 7),
        ("target-value", "lab-card-1.yaml", 9, 12),
        ("target-key", "lab-card-1.yaml", 10, 1),
        ("target-key", "lab-card-1.yaml", 1, 1),
        ("target-value", "aws.yaml", 4, 105),
    }
    assert any(d.help == "did you mean `memory_bandwidth_gb_per_s`?" for d in found)


def test_a_price_of_an_unknown_device_names_the_nearest(tmp_path: Path) -> None:
    """A row for `l4x` would price nothing."""
    write(tmp_path, "prices/aws.yaml", NEGOTIATED.replace("hardware: l4", "hardware: l4x"))
    (problem,) = load_catalogue(tmp_path).diagnostics
    assert problem.id == "target-unknown"
    assert problem.help is not None
    assert "l4" in problem.help
    assert problem.span is not None
    assert problem.span.line == 4


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("", "target-syntax"),
        ("name: [", "target-syntax"),
        ("name: *a", "target-syntax"),
        ("a: &a [*a]", "target-key"),
        ("- 1\n- 2\n", "target-value"),
        ("--- 1\n--- 2\n", "target-syntax"),
        (b"name: \xff\xfe", "target-syntax"),
        ("name: \x00", "target-syntax"),
        ("[" * 50_000, "target-syntax"),
        ("a: " + "[" * (MAXIMUM_DEPTH + 1) + "]" * (MAXIMUM_DEPTH + 1), "target-syntax"),
        (PRIVATE_CARD + "name: twice\n", "target-key"),
        (PRIVATE_CARD.replace('compute_capability: "9.0"\n', ""), "target-value"),
        (PRIVATE_CARD.replace('"9.0"', '"9"'), "target-value"),
        (PRIVATE_CARD.replace("fp16: 400", "fp17: 400"), "target-key"),
        (PRIVATE_CARD.replace("{fp32: 50, fp16: 400}", "{}"), "target-value"),
        (PRIVATE_CARD.replace("is_emittable: true", "is_emittable: yes"), "target-value"),
        (PRIVATE_CARD.replace("memory_gb: 48", "memory_gb: 1e999"), "target-value"),
        (PRIVATE_CARD.replace("memory_gb: 48", "memory_gb: '48'"), "target-value"),
        (PRIVATE_CARD.replace("memory_gb: 48", "memory_gb:"), "target-value"),
        (PRIVATE_CARD + "sm_count: 1.5\n", "target-value"),
        (PRIVATE_CARD + "released: next year\n", "target-value"),
        (PRIVATE_CARD + "recalled_fields: [speed]\n", "target-value"),
        (PRIVATE_CARD + "power_modes: 15W\n", "target-value"),
    ],
)
def test_a_malformed_file_is_a_diagnostic_and_the_rest_stays(tmp_path: Path, text: str | bytes, id: str) -> None:
    """No text crashes the reader; the built-in catalogue still works."""
    write(tmp_path, "hardware/lab-card-1.yaml", text)
    catalogue = load_catalogue(tmp_path)
    assert [problem.id for problem in catalogue.diagnostics][:1] == [id]
    assert all(problem.span is not None and problem.span.line >= 1 for problem in catalogue.diagnostics)
    assert catalogue.find("lab-card-1") is None
    assert catalogue.find("l4") is not None


def test_the_file_name_must_be_an_id() -> None:
    """An id becomes a file name, a label and a path segment elsewhere."""
    device, problems = hardware_from_text(PRIVATE_CARD, "Lab_Card", "Lab_Card.yaml")
    assert device is None
    assert problems[0].help == "name it lab-card.yaml"


def test_a_missing_overlay_is_no_overlay(tmp_path: Path) -> None:
    """The directory is optional."""
    catalogue = load_catalogue(tmp_path / "targets")
    assert catalogue.overlay_path is None
    assert catalogue.diagnostics == ()


@given(st.text(alphabet=st.sampled_from("abcdename: -[]{},\"'\n#&*!|>%@`\t\x00é0123."), max_size=80))
@settings(max_examples=150, deadline=None)
def test_no_text_crashes_the_reader(text: str) -> None:
    """Whatever stands in a file is a device or a list of problems with lines."""
    device, problems = hardware_from_text(text, "own", "own.yaml")
    assert (device is None) == bool(problems)
    assert all(problem.span is not None and problem.span.line >= 1 for problem in problems)
