"""Tests of infc.validate."""
