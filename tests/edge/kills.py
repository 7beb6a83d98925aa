"""Installs ended by signal 9: the device then serves the old or the new release, and a rerun goes through."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from infc.emit.jetson.device.journal import STEPS
from tests.edge.field import Field
from tests.edge.releases import Releases
from tests.edge.scenarios import in_service, journal_step, wait_until_ready

SEED = 6
_POLL_S = 0.001
_TRIES = 6


def bundles_with_new_engines(releases: Releases) -> Iterator[tuple[str, Path]]:
    """Releases 2, 3, ... each of whose engine no device has yet, so that every install goes through every step."""
    model = releases.manifest["engines"][0]["model"]
    for number in range(2, 1000):
        words = f"release {number}".encode()
        # Field 6 of ModelProto is its documentation: the same function under another digest.
        content = {model: releases.base[model] + b"\x32" + bytes([len(words)]) + words}
        yield str(number), releases.archive(str(number), content=content)


def killed_at_random_points(field: Field, releases: Releases, points: int = 20) -> str:
    """At moments spread over a measured install, the program alone and the whole device in turn."""
    in_service(field, releases)
    bundles = bundles_with_new_engines(releases)
    version, bundle = next(bundles)
    assert field.install(bundle).code == 0
    duration_s = field.durations_s[-1]
    rng = random.Random(SEED)
    hit: list[str] = []
    for point in range(points):
        while True:
            before, (version, bundle) = version, next(bundles)
            process = field.device.start(*field.install_words(bundle))
            time.sleep(duration_s * (point + rng.random()) / points)
            if process.poll() is None:
                break
            process.communicate()  # it was faster than the one that was measured: another try, sooner
            assert process.returncode == 0
            duration_s *= 0.9
        hit.append(journal_step(field) or "outside")
        field.kill(process, is_power_cut=point % 2 == 1)
        old_or_new(field, before, version)
        rerun(field, version, bundle)
    steps = ", ".join(f"{hit.count(step)} {step}" for step in ("outside", *STEPS) if step in hit)
    return f"{points} kills over {duration_s:.0f} s, each followed by a clean rerun ({steps})"


def killed_in_every_step(field: Field, releases: Releases) -> str:
    """Once in each step that the journal knows, as soon as it says so; the whole device every other time."""
    in_service(field, releases)
    bundles = bundles_with_new_engines(releases)
    version = "1"
    hit = []
    for index, step in enumerate(STEPS):
        for _ in range(_TRIES):
            before, (version, bundle) = version, next(bundles)
            process = field.device.start(*field.install_words(bundle))
            while (now := journal_step(field)) != step and process.poll() is None:
                time.sleep(_POLL_S)
            field.kill(process, is_power_cut=index % 2 == 0)
            old_or_new(field, before, version)
            rerun(field, version, bundle)
            if now == step:
                hit.append(step)
                break
    assert hit == list(STEPS), f"not caught in {set(STEPS) - set(hit)}"
    return f"caught in all {len(STEPS)} steps, each followed by a clean rerun"


def old_or_new(field: Field, old: str, new: str) -> None:
    """The link leads to a whole release, and the service answers for it; looking at the status changes nothing."""
    link = os.readlink(field.folder / "current").rpartition("/")[2]
    assert link.split("-")[0] in (old, new)
    assert (field.folder / "releases" / link / "manifest.json").is_file()
    before = journal_step(field)
    found = field.deployment()
    assert found["release"] == link
    assert journal_step(field) == before


def rerun(field: Field, version: str, bundle: Path) -> None:
    """The same command again ends in service, with nothing left behind."""
    answer = field.install(bundle)
    assert answer.code == 0, answer.words
    assert wait_until_ready(field) == version
    assert field.is_clean(), sorted(str(path) for path in field.folder.rglob("*"))
    found = field.deployment()
    assert found["acceptance"]["version"] == version
    assert found["acceptance"]["verdict"] == "pass"
    assert found["journal"] is None
