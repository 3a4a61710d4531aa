"""What holds for all tests."""

import signal

# Shells start jobs in the background with Ctrl-C ignored, and so would be all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
