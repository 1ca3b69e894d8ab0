"""What all tests share."""

import signal

# A shell without job control starts background jobs with Ctrl-C ignored, and processes hand that on: the tests that
# interrupt a process would wait for ever where CI runs them so.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
