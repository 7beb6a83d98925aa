"""`infc targets` as its user sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.report.targets_json import targets_schema
from infc.resolve.targets import data_directory


def infc(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in `cwd`, piped."""
    command = [sys.executable, "-c", "from infc.cli import main; main()", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"}
    )


def test_list_is_plain_and_fits_a_terminal(tmp_path: Path) -> None:
    """Piped: no colour codes, no line over 100 columns, every kind under its title."""
    result = infc("targets", "list", cwd=tmp_path)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    assert "jetson-orin-nx-16gb" in result.stdout
    assert "Jetson modules:" in result.stdout


def test_list_can_be_narrowed(tmp_path: Path) -> None:
    """--kind cpu shows CPUs only."""
    result = infc("targets", "list", "--kind", "cpu", "--format", "json", cwd=tmp_path)
    kinds = {device["kind"] for device in json.loads(result.stdout)["hardware"]}
    assert kinds == {"cpu"}


def test_json_matches_the_committed_schema(tmp_path: Path) -> None:
    """The JSON output validates against schemas/targets.schema.json, which is current."""
    committed = json.loads((data_directory("schemas") / "targets.schema.json").read_text())
    assert committed == targets_schema()
    result = infc("targets", "list", "--format", "json", cwd=tmp_path)
    Draft202012Validator(committed).validate(json.loads(result.stdout))


def test_show_tells_units_modes_prices_and_sources(tmp_path: Path) -> None:
    """One page per device."""
    result = infc("targets", "show", "jetson-agx-orin-64gb", cwd=tmp_path)
    assert result.returncode == 0
    for expected in ("204.8 GB/s*", "power modes:", "MAXN", "owned", "sources:", "* from recall alone"):
        assert expected in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 110


def test_show_tells_the_software_of_a_module(tmp_path: Path) -> None:
    """How it names itself, when it throttles, which JetPack it runs and where its accelerators work."""
    page = " ".join(infc("targets", "show", "jetson-orin-nx-16gb", cwd=tmp_path).stdout.split())
    for expected in ("p3767-0000", "tegra234", "from 99 C", "6.2.3, 7.2", "10.3 or 10.7 (up to JetPack 6.2.3)"):
        assert expected in page
    (shown,) = json.loads(infc("targets", "show", "jetson-t4000", "--format", "json", cwd=tmp_path).stdout)["hardware"]
    assert shown["jetson"]["modules"] == ["p3834-0000"]
    assert [release["version"] for release in shown["jetson"]["jetpacks"]] == ["7.1", "7.2", "7.2.1", "7.2.2"]
    assert not any(release["dla_tensorrt"] for release in shown["jetson"]["jetpacks"])


def test_an_unknown_device_is_a_usage_error_with_the_nearest(tmp_path: Path) -> None:
    """Exit 64, nothing on stdout, no traceback."""
    result = infc("targets", "show", "a100-80gb", cwd=tmp_path)
    assert result.returncode == 64
    assert result.stdout == ""
    assert "did you mean `a100-pcie-80gb` or `a100-sxm-80gb`" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_workspace_overlay_is_used(tmp_path: Path) -> None:
    """A targets/ directory in the workspace adds devices; a mistake in it is shown and exits 5."""
    device = (data_directory("targets") / "hardware" / "l4.yaml").read_text()
    (tmp_path / "targets" / "hardware").mkdir(parents=True)
    own = tmp_path / "targets" / "hardware" / "my-card.yaml"
    own.write_text(device)
    assert "my-card" in infc("targets", "show", "my-card", cwd=tmp_path).stdout
    assert str(tmp_path / "targets") in infc("targets", "path", cwd=tmp_path).stdout
    own.write_text(device.replace("memory_gb: 24", "memory_gb: lots"))
    pytest.importorskip("infc.report.diagnostics_text", reason="the renderer of diagnostics")
    result = infc("targets", "list", cwd=tmp_path)
    assert result.returncode == 5
    assert "my-card.yaml:11:12" in result.stderr
