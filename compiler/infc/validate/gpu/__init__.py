"""Engines on this machine's GPU: sessions for the accuracy gate and calibration, and what the device does meanwhile.

Nothing here imports CUDA or TensorRT before it is used: the package loads on a machine without either.
"""

from pathlib import Path

from infc.validate.gpu.device import GpuDevice, find_gpus
from infc.validate.gpu.session import GpuSession, engine_session, engine_sessions

__all__ = ["RUNNER_FILE", "GpuDevice", "GpuSession", "engine_session", "engine_sessions", "find_gpus"]

RUNNER_FILE = Path(__file__).with_name("engine_runner.py")
"""The file that runs engines; it stands alone, so that a bundle can carry it."""
