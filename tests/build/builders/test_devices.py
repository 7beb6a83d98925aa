"""What clusters call the devices of the catalogue."""

from pathlib import Path

import pytest

from infc.build.builders.devices import device_names
from infc.diag import DiagnosticError
from infc.resolve.targets import load_catalogue


def test_every_device_is_in_the_catalogue_with_label_values_that_kubernetes_takes() -> None:
    """63 characters, and the driver's spaces as hyphens."""
    names = device_names(None)
    assert set(names) <= set(load_catalogue(None).ids)
    assert names["a100-pcie-80gb"].product_labels == ("NVIDIA-A100-80GB-PCIe",)
    for device in names.values():
        assert device.driver_names
        assert all(len(label) <= 63 and " " not in label for label in device.product_labels)


def test_ray_derives_the_same_types_from_the_drivers_names() -> None:
    """Ray's own function, of the version at hand."""
    nvidia_gpu = pytest.importorskip("ray._private.accelerators.nvidia_gpu", reason="extra ray is not installed")
    derived = nvidia_gpu.NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type
    for device in device_names(None).values():
        assert {derived(name) for name in device.driver_names} <= set(device.ray_types)


def test_a_users_file_adds_and_replaces(tmp_path: Path) -> None:
    """Rows by hardware; the others stay."""
    (tmp_path / "builders").mkdir()
    file = tmp_path / "builders" / "devices.yaml"
    file.write_text("devices:\n  - {hardware: l4, driver_names: [NVIDIA L4 (lab)], ray_types: [LAB]}\n")
    names = device_names(tmp_path)
    assert names["l4"].product_labels == ("NVIDIA-L4-lab",)
    assert names["t4"] == device_names(None)["t4"]
    file.write_text("devices:\n  - {hardware: l4, ray_type: [LAB]}\n")
    with pytest.raises(DiagnosticError) as caught:
        device_names(tmp_path)
    [problem] = caught.value.diagnostics
    assert (problem.span.line if problem.span else None) == 2
    assert "ray_types" in (problem.help or "")
