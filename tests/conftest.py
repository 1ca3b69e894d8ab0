"""What all tests share."""

import os
import signal
from collections import Counter

# Of several test processes each has one processor: threads that wait for each other would take them all.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts background jobs with Ctrl-C ignored, and processes hand that on: the tests that
# interrupt a process would wait for ever where CI runs them so.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Files that take long, the longest first: with --no-loadscope-reorder they begin first, so that the end is not waited
#: for. What --durations prints of a whole run says which they are.
LONGEST = ("test_training", "test_generator", "test_readme", "test_parallel", "test_every_writer", "test_jit_cache",
           "test_inputs", "test_pipelines", "test_command_line", "test_scaleout", "test_shipped_models")


def pytest_collection_modifyitems(items):
    """The files that take longest first; the others, and the tests of a file, in their order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_terminal_summary(terminalreporter, config):
    """With --durations: the seconds of each file as well, which --dist loadfile gives to one process."""
    if not config.option.durations:
        return
    seconds = Counter()
    for report in (one for reports in terminalreporter.stats.values() for one in reports):
        if hasattr(report, "duration") and hasattr(report, "nodeid"):
            seconds[report.nodeid.split("::")[0]] += report.duration
    terminalreporter.section("slowest files")
    for name, spent in seconds.most_common(40):
        terminalreporter.write_line(f"{spent:7.1f}s {100 * spent / seconds.total():5.1f} % {name}")
