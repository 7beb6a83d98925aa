"""The load test: open-loop traffic against a real server, layers from its own statistics, and a verdict."""

from infc.validate.load.run import LoadProgress, run_load_test
from infc.validate.load.settings import LoadSettings

__all__ = ["LoadProgress", "LoadSettings", "run_load_test"]
