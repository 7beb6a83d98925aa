"""Releases for edge devices in the lock: written, read back, compared; other entries are as they were."""

from dataclasses import replace

import jsonschema
import pytest

from infc.lock import Lock, diff_entries, holds, merge
from infc.lock.document import lock_from_text
from infc.lock.schema import lock_schema
from infc.lock.text import text_from_lock
from infc.lock.values import LockedEngine, LockedRelease, LockEntry
from infc.report.diff_text import render_diff_text

from .entries import choice, digest, entry

RELEASE = LockedRelease(version="7", content=digest("3"), repeats=digest("4"))


def edge_entry(release: LockedRelease = RELEASE) -> LockEntry:
    """A deployment on a module that builds its engine itself, on an accelerator."""
    module = choice(server="jetson", hardware="jetson-orin-nx-16gb", power_mode="25W", dla_core=0)
    engine = LockedEngine(kind="tensorrt", inputs=digest("5"), key="ab" * 32, file=None, is_pending=False, toolchain={})
    own = entry("camera", "jetson-orin-nx-16gb@25W", choice=module, engine=engine)
    return replace(own, release=release)


def test_a_release_survives_and_others_are_as_they_were() -> None:
    """The text is read back, follows the schema, and an entry without a release says nothing of one."""
    import tomllib

    lock = merge(Lock(), [edge_entry(), entry()])
    text = text_from_lock(lock)
    assert lock_from_text(text, "infc.lock") == (lock, ())
    jsonschema.validate(tomllib.loads(text), lock_schema())
    assert text.count("[artifact.release]") == 1
    assert "dla_core = 0" in text
    assert edge_entry().choice.candidate().dla_core == 0


@pytest.mark.parametrize("version", ["v7", "1.2.3.4.5", "07", "-1", ""])
def test_a_release_that_is_no_number_is_named(version: str) -> None:
    """With its line."""
    text = text_from_lock(merge(Lock(), [edge_entry()])).replace('version = "7"', f'version = "{version}"')
    lock, problems = lock_from_text(text, "infc.lock")
    assert lock is None
    assert [problem.id for problem in problems] == ["lock-invalid"]


def test_a_diff_says_which_release() -> None:
    """Its number, and the digest that devices go by."""
    after = edge_entry(LockedRelease(version="8", content=digest("6"), repeats=digest("7")))
    assert "3333333333" in render_diff_text([diff_entries(edge_entry(), after)])
    changed = {field.path: (field.old, field.new) for field in diff_entries(edge_entry(), after).fields}
    assert changed == {"release.version": ("7", "8"), "release.content": (digest("3"), digest("6"))}


def test_a_locked_compile_holds_what_repeats() -> None:
    """The last bits of reference outputs may differ from machine to machine; nothing else may."""
    assert holds(edge_entry(), edge_entry(replace(RELEASE, content=digest("6"))))
    assert not holds(edge_entry(), edge_entry(replace(RELEASE, repeats=digest("6"))))
    assert not holds(edge_entry(), edge_entry(replace(RELEASE, version="8")))
