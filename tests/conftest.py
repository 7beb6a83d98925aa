"""What all tests rest on."""

import signal

# A shell that starts tests in the background has them ignore Ctrl-C, and so all that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
