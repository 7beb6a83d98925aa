"""A signed manifest that says what it must in another way is refused by the name of the field, never stumbled over."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.shapes import check_shape, misfit, samples_of
from tests.emit.jetson.device.bundles import Maker, manifest


def places_of(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    found = [at] if at else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for name, child in children for place in places_of(child, (*at, name))]


def with_value(stated: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a place."""
    changed = copy.deepcopy(stated)
    parent: Any = changed
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    return changed


def test_every_field_that_is_read_is_checked() -> None:
    """A value that JSON can hold and no field is, at any place: the refusal names it, or what is above or in it."""
    stated = manifest("7", 1)
    check_shape(stated)
    unread = {
        "format_version", "name", "version", "content_digest", "infc_version", "delta", "soc", "power_cap_w",
        "predicted", "source_digest", "recipe_digest",
    }  # fmt: skip
    checked = [place for place in places_of(stated) if not unread & set(place) and place != ("engines", 0, "kind")]
    for place in checked:
        with pytest.raises(Refusal) as caught:
            check_shape(with_value(stated, place, [[[-1]]]))
        named = caught.value.message.split(" has no ")[1].split(" ")[0].split(".")
        assert all(part == str(wanted) for part, wanted in zip(named, place, strict=False)), (named, place)
        assert caught.value.code == 11


def test_fields_of_a_later_minor_format_are_left_alone() -> None:
    """Whatever stands beside the fields that are read."""
    stated = manifest("7", 1)
    stated["later"] = stated["targets"][0]["later"] = {"a": 1}
    check_shape(stated)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("load", "rate_rps"), 0),
        (("load", "rate_rps"), float("nan")),
        (("slo", "confidence"), 1.0),
        (("slo", "latency", 0, "percentile"), 100),
        (("engines", 0, "model"), "../../etc/passwd"),
        (("engines", 0, "options", "dla_core"), True),
        (("service", "url"), "http://127.0.0.1:8000/%0a"),
        (("targets", 0, "environment"), {"A": "1\nB=2"}),
        (("releases_kept",), 0),
    ],
)
def test_values_that_would_do_harm_are_code_11(place: tuple[str | int, ...], value: Any) -> None:
    """No division by zero, no path out of the release, no second line in a file of variables."""
    with pytest.raises(Refusal) as caught:
        check_shape(with_value(manifest("7", 1), place, value))
    assert caught.value.code == 11
    assert caught.value.help


def test_one_of_several_shapes_is_enough() -> None:
    """Of a tuple any fits; what is said is the place in the last."""
    assert misfit({"a": None}, {"a": (None, {"b": None})}) is None
    assert misfit({"a": {"b": 1}}, {"a": (None, {"b": None})}) == "a.b"


def test_samples_of_another_shape_are_code_11(tmp_path: Path) -> None:
    """Also none at all, and a file outside of the release."""
    folder = Maker(tmp_path).unpacked("7")
    stated, path = manifest("7", 1), folder / "verify" / "samples.json"
    document = samples_of(folder, stated)
    assert document is not None
    samples = document["samples"]
    outside = [{**samples[0], "inputs": [{**samples[0]["inputs"][0], "file": "../key"}]}]
    for spoilt in ({"samples": []}, {"samples": outside}, {"tolerances": None}, {"samples": {}}):
        path.write_text(json.dumps({**document, **spoilt}))
        with pytest.raises(Refusal) as caught:
            samples_of(folder, stated)
        assert caught.value.code == 11
    assert samples_of(folder, {**stated, "verify": None}) is None
