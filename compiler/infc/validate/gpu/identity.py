"""Whether a GPU is the device of a catalogue row: the driver's name against the catalogue's, and the memory.

Names differ in form only: `NVIDIA A100-SXM4-80GB` is a100-sxm-80gb, `NVIDIA H100 80GB HBM3` h100-sxm, `Tesla T4` t4.
"""

import re
from collections.abc import Iterable

from infc.ir.hardware import Hardware
from infc.validate.gpu.device import GpuDevice

_FORMS = frozenset({"sxm", "pcie", "nvl"})
_SAME = {"sxm2": "sxm", "sxm4": "sxm", "sxm5": "sxm", "sxm6": "sxm"}
_SAYS_NOTHING = frozenset(
    {
        *("nvidia", "geforce", "tesla", "quadro", "graphics", "gpu", "generation", "edition", "workstation"),
        *("hbm2", "hbm2e", "hbm3", "hbm3e", "ac", "jetson", "developer", "kit", "engineering", "reference", "super"),
    }
)
_MAY_BE_UNSAID = frozenset({"dgx", "spark", "super", "jetson", "t5000"})
_SIZE = re.compile(r"\d+gb?")
_MEMORY_SHARE = (0.85, 1.1)
"""What the driver reports of a card's nominal memory.

Data sheets mean GiB by GB (an A100 of 80 GB has 85.9e9 bytes); ECC and the driver's own reserve take a part of it.
"""


def is_device(device: GpuDevice, hardware: Hardware) -> bool:
    """Whether this GPU is that row of the catalogue. A slice of a partitioned card and a laptop's card are not."""
    if device.compute_capability != hardware.compute_capability:
        return False
    low, high = _MEMORY_SHARE
    is_size = low <= device.memory_bytes / hardware.memory_bytes <= high
    return is_size and any(is_name(device.name, name) for name in (hardware.id, hardware.name, *hardware.aliases))


def is_name(reported: str, hardware_id: str) -> bool:
    """Whether the driver's name can be that of the catalogue's id; sizes in names are not compared.

    >>> is_name("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"), is_name("NVIDIA A100 80GB PCIe", "a100-sxm-80gb")
    (True, False)
    >>> is_name("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090"), is_name("NVIDIA H100 80GB HBM3", "h100-sxm")
    (False, True)
    """
    told, wanted = _words(reported), _words(hardware_id)
    form = wanted & _FORMS
    if told & _FORMS:
        if told & _FORMS != form:
            return False
    elif form - {"sxm"}:
        return False  # the driver names PCIe and NVL cards as such
    core = wanted - _FORMS - _MAY_BE_UNSAID
    return core <= told and told - _FORMS - _SAYS_NOTHING - _MAY_BE_UNSAID <= core


def ids_of(device: GpuDevice, catalogue: Iterable[Hardware]) -> tuple[str, ...]:
    """The ids of the catalogue that this GPU can be; several where rows differ only in their settings."""
    return tuple(hardware.id for hardware in catalogue if is_device(device, hardware))


def _words(name: str) -> frozenset[str]:
    words = (_SAME.get(word, word) for word in re.split(r"[^a-z0-9]+", name.lower()))
    return frozenset(word for word in words if word and not _SIZE.fullmatch(word))
