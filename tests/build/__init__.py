"""Engine builders and their cache."""
