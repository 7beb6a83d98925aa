"""Lowering: passes, verifier, quantisation."""
