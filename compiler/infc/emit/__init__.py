"""Emitters: a plan and its engine as files, and the one writer that puts them on disk."""
