"""Measuring that also runs on a device: Python 3.8 and its standard library; `emit.jetson.edge_file` merges it."""
