"""Simulation of servers' schedulers under an arrival process. Deterministic, no clock, no state between runs."""
