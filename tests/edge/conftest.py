"""The table that `make edge` prints: what each scenario showed, and how long it took."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the scenarios that passed say of themselves."""
    rows = []
    for report in terminalreporter.getreports("passed"):
        shown = dict(report.user_properties).get("shown")
        if shown is not None:
            place = "arm64" if "test_arm64" in report.nodeid else "plain"
            name = report.nodeid.partition("[")[2].rstrip("]") or report.nodeid.rpartition("::")[2]
            rows.append((place, name.removeprefix("test_").replace("_", " "), f"{report.duration:.0f} s", str(shown)))
    if rows:
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        terminalreporter.section("what was shown")
        for row in rows:
            terminalreporter.write_line(
                "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=False)) + "  " + row[3]
            )
