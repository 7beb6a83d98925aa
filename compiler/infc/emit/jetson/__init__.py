"""Bundles for Jetson modules."""
