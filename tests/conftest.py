"""What all tests rest on."""

import signal

from hypothesis import HealthCheck, settings

# A shell that starts tests in the background has them ignore Ctrl-C, and so all that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, however busy the machine: no time limit, and no complaint that making them took long.
# `--hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")
