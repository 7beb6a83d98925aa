"""The stages in order: what the command line and the Python API (`api.py`) call."""
