"""Emission for vLLM."""
