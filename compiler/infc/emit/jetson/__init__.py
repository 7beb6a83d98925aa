"""Bundles for Jetson modules: one signed, offline archive for every kind of module that a spec is planned for."""
