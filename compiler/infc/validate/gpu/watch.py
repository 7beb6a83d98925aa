"""Opens the right sampler for a device: NVML for a GPU, tegrastats for a Jetson."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from infc.ir.device_usage import DeviceUsage
from infc.validate.gpu.device import GpuDevice
from infc.validate.gpu.nvml import nvml_reader
from infc.validate.gpu.sampler import DeviceSampler
from infc.validate.gpu.tegrastats import tegrastats_reader


@dataclass(frozen=True, kw_only=True)
class DeviceWatch:
    """What to ask while a device is measured; `reason` says why there is no sampler, where there is none."""

    sampler: DeviceSampler | None = None
    reason: str = ""

    def span(self) -> AbstractContextManager[None]:
        """A stretch of time that counts."""
        return nullcontext() if self.sampler is None else self.sampler.span()

    def last_span(self) -> DeviceUsage | None:
        """What the last span saw."""
        return None if self.sampler is None else self.sampler.last_span()

    def usage(self) -> DeviceUsage | None:
        """What all spans saw."""
        return None if self.sampler is None else self.sampler.usage()


UNWATCHED = DeviceWatch(reason="a CPU is not sampled")


@contextmanager
def watch_device(device: GpuDevice) -> Iterator[DeviceWatch]:
    """Sample this device inside the block, by whatever sensors it has."""
    reader = tegrastats_reader() if "Jetson" in device.name else nvml_reader(device)
    if isinstance(reader, str):
        yield DeviceWatch(reason=reader)
        return
    with DeviceSampler(reader) as sampler:
        yield DeviceWatch(sampler=sampler)
