"""Engines on this machine's GPU: sessions for the accuracy gate and calibration, and what the device does meanwhile.

Nothing here imports CUDA or TensorRT before it is used: the package loads on a machine without either.
"""

from pathlib import Path

__all__ = ["RUNNER_FILE"]

RUNNER_FILE = Path(__file__).with_name("engine_runner.py")
"""The file that runs engines; it stands alone, so that a bundle can carry it."""
