"""Settings for all tests."""

import signal

# Shells start background jobs with Ctrl-C ignored; everything that the tests start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
