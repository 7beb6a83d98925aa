"""What an execution costs outside the engine: copies between host and device, and Triton's own work."""

from functools import lru_cache

from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.perf.work import FloatArray, KernelWork

EXECUTION_OVERHEAD_S = Interval(value=0.4e-3, low=0.1e-3, high=0.8e-3)
"""Triton's cost per execution, the hand-over to the backend and back included.

Source: measured on tritonserver 2.51 with python-based backends on 2 cores: 0.25-0.3 ms around the execution and
0.15-0.2 ms for its output, up to twice that on a busy machine. Backends in C++ are lighter: the lower bound.
"""
REQUEST_OVERHEAD_S = Interval(value=0.03e-3, low=0.005e-3, high=0.1e-3)
"""Triton's cost per further request of a batch.

Splitting and sending one response (measured 0.1 ms in the python backend).
"""
_HANDLING_S = Interval(value=0.4e-3, low=0.1e-3, high=1.5e-3)
_HANDLING_S_PER_BYTE = Interval(value=1.6e-9, low=0.5e-9, high=4e-9)

_FRONT_END_S = Interval(value=0.2e-3, low=0.036e-3, high=0.44e-3)
_FRONT_END_S_PER_BYTE = Interval(value=0.8e-9, low=0.4e-9, high=1.4e-9)
_FRONT_END_THREADS = 2
"""Threads that take in requests and send answers over gRPC; fixed in release 24.10 (an option since 2025)."""

_HOST_LINK_BYTES_PER_S = {
    "Turing": 11e9,
    "Volta": 11e9,
    "Hopper": 45e9,
    "Blackwell": 45e9,
    "Blackwell Ultra": 45e9,
    "Blackwell 2.0": 45e9,
}
_PCIE4_BYTES_PER_S = 22e9
_SHARED_MEMORY_BYTES_PER_S = 10e9


def host_link_bytes_per_s(hardware: Hardware) -> float:
    """Rate of pinned copies between host and device.

    About 85% of PCIe 3, 4 or 5 x16 by architecture; a memory copy where they share it.
    """
    if hardware.kind in ("cpu", "jetson"):
        return _SHARED_MEMORY_BYTES_PER_S
    return _HOST_LINK_BYTES_PER_S.get(hardware.architecture, _PCIE4_BYTES_PER_S)


def copy_s(work: KernelWork, hardware: Hardware, batches: FloatArray) -> FloatArray:
    """Seconds to bring the inputs in and the outputs out, per execution."""
    return batches * (work.input_bytes + work.output_bytes) / host_link_bytes_per_s(hardware)


def request_handling_s(payload_bytes: float) -> Interval:
    """Seconds that a request takes besides queue and execution: it is received, read, and its answer written and sent.

    `payload_bytes` are those of its inputs and outputs.

    Source: measured on tritonserver 2.51 over gRPC on loopback: 0.3 ms on a quiet host (a null model takes 0.56 ms at
    the client, of which 0.27 ms are the execution's), 0.6-1.2 ms where client, server and model share 2 cores; 1.4 ms
    more for an image of 0.6 MB there.

    >>> round(request_handling_s(600e3).value * 1e3, 2)
    1.36
    """
    fixed, per_byte = _HANDLING_S, _HANDLING_S_PER_BYTE
    return Interval(
        value=fixed.value + payload_bytes * per_byte.value,
        low=fixed.low + payload_bytes * per_byte.low,
        high=fixed.high + payload_bytes * per_byte.high,
    )


def front_end_rps(payload_bytes: float) -> Interval:
    """Requests per second that one tritonserver takes over gRPC, however fast its model is.

    Two threads read every request and write every answer. `payload_bytes` are those of inputs and outputs of a request.
    The interval is that of hosts and releases; the value is meant to hold on most of them.

    Source: measured on tritonserver 2.51 on 2 cores that the client shares: 65 to 140 us of these threads for a small
    request (answered from the cache), 300 to 450 us for one of 0.6 MB. Reported: 4,300 to 6,300/s for one client
    (triton-inference-server/server pull request 3803, 2022), 50,000 to 60,000/s with several clients and 20 cores
    (issue 7590, 24.06); 1.5 GB/s of images whatever the count of GPUs (issues 239 and 269, 2019). The value is 2.5
    GB/s, about what a network of 25 Gbit/s brings.

    >>> [round(each / 1e3, 1) for each in (front_end_rps(0.0).low, front_end_rps(0.0).value, front_end_rps(0.0).high)]
    [4.5, 10.0, 55.6]
    >>> round(front_end_rps(600e3).value)
    2941
    """
    fixed, per_byte = _FRONT_END_S, _FRONT_END_S_PER_BYTE
    return Interval(
        value=_FRONT_END_THREADS / (fixed.value + payload_bytes * per_byte.value),
        low=_FRONT_END_THREADS / (fixed.high + payload_bytes * per_byte.high),
        high=_FRONT_END_THREADS / (fixed.low + payload_bytes * per_byte.low),
    )


@lru_cache(maxsize=256)
def server_s(batch_size: int) -> Interval:
    """Triton's own seconds per execution of a batch.

    >>> round(server_s(1).value * 1e3, 2)
    0.4
    """
    extra = batch_size - 1
    return Interval(
        value=EXECUTION_OVERHEAD_S.value + extra * REQUEST_OVERHEAD_S.value,
        low=EXECUTION_OVERHEAD_S.low + extra * REQUEST_OVERHEAD_S.low,
        high=EXECUTION_OVERHEAD_S.high + extra * REQUEST_OVERHEAD_S.high,
    )
