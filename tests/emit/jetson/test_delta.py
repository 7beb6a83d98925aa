"""Deltas: what did not change stays away, and base and delta together are the full release."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.diag import ToolError
from infc.emit.jetson.archive import read_archive
from infc.emit.jetson.delta import delta_of, missing_at, sums_of_archive
from infc.emit.jetson.sums import OF_THE_RELEASE, SUMS_NAME, content_digest, parse_sums, with_sums
from tests.emit.jetson.releases import CONTENT, MODEL, bundle, delta_bundle, release_of

CONTENTS = st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e", "manifest.json"]), st.binary(max_size=3))


def contents_of(archive: Path) -> dict[str, bytes]:
    """Path -> content."""
    return {member.path: b"".join(member.chunks) for member in read_archive(archive)}


def test_only_what_changed_travels(tmp_path: Path) -> None:
    """The new model does; the rest is named by digest, and the archive is smaller by that much."""
    new = {**CONTENT, "install.sh": b"#!/bin/sh\n# newer\n"}
    full = bundle(tmp_path, new, "8")
    delta = delta_bundle(tmp_path, new, "8", release_of(CONTENT))
    held = contents_of(delta)
    assert MODEL not in held
    assert held["install.sh"] == new["install.sh"]
    assert set(contents_of(full)) - set(held) == set(CONTENT) - {"install.sh"}
    assert delta.stat().st_size < full.stat().st_size


def test_base_and_delta_are_the_full_release_byte_for_byte(tmp_path: Path) -> None:
    """But for the manifest, which says that it is a delta, and the list of digests, which has that manifest's."""
    new = {**CONTENT, MODEL: b"new" * 999, "verify/1/image.bin": b"1"}
    full = contents_of(bundle(tmp_path, new, "8"))
    base = contents_of(bundle(tmp_path, CONTENT, "7"))
    held = contents_of(delta_bundle(tmp_path, new, "8", release_of(CONTENT)))
    by_digest = {hashlib.sha256(content).hexdigest(): content for content in base.values()}
    signed = parse_sums(held[SUMS_NAME])
    assert signed is not None
    whole = {path: held.get(path, by_digest.get(digest, b"?")) for path, digest in signed.items()}
    for path, content in whole.items():
        assert hashlib.sha256(content).hexdigest() == signed[path]
    assert content_digest(whole) == content_digest(full)
    assert {path for path in full if full[path] != whole.get(path)} == {"manifest.json", SUMS_NAME}


def test_a_file_that_moved_does_not_travel() -> None:
    """The device looks for content, not for names."""
    delta = delta_of(
        with_sums({"models/new.onnx": b"m" * 10}), bytes(with_sums({"models/old.onnx": b"m" * 10})[SUMS_NAME])
    )
    assert [each.path for each in delta.absent] == ["models/new.onnx"]
    assert delta.absent[0].size_bytes == 10


@settings(max_examples=50)
@given(CONTENTS, CONTENTS)
def test_nothing_is_lost(base: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Every file of the new release travels or is in the base; what names the release always travels."""
    files = with_sums(new)
    delta = delta_of(files, bytes(with_sums(base)[SUMS_NAME]))
    carried, absent = delta.carried(files), {each.path for each in delta.absent}
    assert set(carried) | absent == set(files)
    assert not set(carried) & absent
    assert not absent & set(OF_THE_RELEASE)
    assert missing_at(delta.absent, (hashlib.sha256(content).hexdigest() for content in base.values())) == ()
    assert all(each.size_bytes == len(files[each.path]) for each in delta.absent)


def test_the_sums_of_a_delta_serve_the_next_delta(tmp_path: Path) -> None:
    """They list the whole release, so a delta is as good a base as the full archive."""
    new = {**CONTENT, "install.sh": b"#!/bin/sh\n# newer\n"}
    sums = parse_sums(sums_of_archive(delta_bundle(tmp_path, new, "8", release_of(CONTENT))))
    assert sums is not None
    assert set(new) < set(sums)


def test_a_base_that_is_none_is_refused(tmp_path: Path) -> None:
    """A list that is none, an archive that has none."""
    with pytest.raises(ToolError, match="cannot be read"):
        delta_of({"a": b""}, b"hello")
    from tests.emit.jetson.releases import packed

    with pytest.raises(ToolError, match="has no SHA256SUMS"):
        sums_of_archive(packed({"a": b"x"}, "n-1", tmp_path / "x.tar.zst"))
