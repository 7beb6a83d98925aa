"""Percentages of builds whose phases nest."""

import pytest

from infc.build.far import progress
from infc.build.far.progress import Progress


def test_each_phase_is_a_step_of_the_phase_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the second of four steps is three eighths."""
    monkeypatch.setattr(progress, "REPORT_EVERY_S", 0.0)
    shown = Progress()
    shown.start("build", None, 4)
    assert shown.step("build", 0) == "25% built (build)"
    shown.start("tactics", "build", 10)
    lines = [shown.step("tactics", step) for step in range(5)]
    assert lines[-1] == "37% built (tactics)"
    shown.finish("tactics")
    assert shown.step("build", 1) == "50% built (build)"
    assert shown.step("build", 1) is None


def test_short_builds_say_nothing() -> None:
    """Lines come once a second."""
    shown = Progress()
    shown.start("build", None, 2)
    assert shown.step("build", 0) is None
