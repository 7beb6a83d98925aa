"""The driver's name of a GPU is found in the catalogue, and only there."""

import pytest

from infc.resolve.targets import load_catalogue
from infc.validate.gpu.device import GpuDevice
from infc.validate.gpu.identity import ids_of, is_name


@pytest.mark.parametrize(
    ("name", "capability", "memory_mib", "ids"),
    [
        ("NVIDIA H100 80GB HBM3", "9.0", 81079, ("h100-sxm",)),
        ("NVIDIA H100 PCIe", "9.0", 81079, ("h100-pcie",)),
        ("NVIDIA H100 NVL", "9.0", 95300, ("h100-nvl",)),
        ("NVIDIA H200", "9.0", 143167, ("h200-sxm",)),
        ("NVIDIA GH200 480GB", "9.0", 96768, ("gh200-96gb",)),
        ("NVIDIA A100-SXM4-80GB", "8.0", 81251, ("a100-sxm-80gb",)),
        ("NVIDIA A100-SXM4-40GB", "8.0", 40442, ("a100-sxm-40gb",)),
        ("NVIDIA A100 80GB PCIe", "8.0", 81251, ("a100-pcie-80gb",)),
        ("NVIDIA L4", "8.9", 22574, ("l4",)),
        ("NVIDIA L40S", "8.9", 45589, ("l40s",)),
        ("Tesla T4", "7.5", 14930, ("t4",)),
        ("NVIDIA A10G", "8.6", 22731, ("a10g",)),
        ("NVIDIA GeForce RTX 4090", "8.9", 24217, ("rtx-4090",)),
        ("NVIDIA RTX 6000 Ada Generation", "8.9", 48645, ("rtx-6000-ada",)),
        (
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
            "12.0",
            97251,
            ("rtx-pro-6000-blackwell-max-q",),
        ),
        ("NVIDIA GB10", "12.1", 122566, ("gb10-dgx-spark",)),
        (
            "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
            "8.7",
            15656,
            ("jetson-orin-nx-16gb", "jetson-orin-nx-16gb-super"),
        ),
        ("NVIDIA Jetson AGX Orin Developer Kit", "8.7", 30536, ("jetson-agx-orin-32gb",)),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9", 16000, ()),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0", 4864, ()),
        ("NVIDIA GeForce RTX 3090 Ti", "8.6", 24257, ()),
    ],
)
def test_names_of_the_driver_are_found_in_the_catalogue(
    name: str, capability: str, memory_mib: int, ids: tuple[str, ...]
) -> None:
    """Memory tells cards of one name apart; a laptop's card and a slice of a card are no row."""
    device = GpuDevice(
        index=0,
        name=name,
        compute_capability=capability,
        memory_bytes=memory_mib * 2**20,
        sm_count=1,
        pci_bus_id=None,
        driver_cuda="13.0",
    )
    assert ids_of(device, load_catalogue(None).all()) == ids


def test_a_name_alone_is_compared_without_sizes() -> None:
    """Which is why the memory is asked, too."""
    assert is_name("NVIDIA A100-SXM4-40GB", "a100-sxm-80gb")
    assert not is_name("NVIDIA L40", "l4")
