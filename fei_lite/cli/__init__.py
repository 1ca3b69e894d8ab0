# PYTHON_ARGCOMPLETE_OK
"""The command line: it parses, calls the library and prints. Nothing else.

Exit codes: 0 done, 1 findings, 2 wrong use, 128 and the number of the signal interrupted
(130 Ctrl-C, 143 SIGTERM, 129 a closed terminal, 131 SIGQUIT). Results go to stdout or
``--output``, talk and progress bars to stderr.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType

import fei_lite
from fei_lite.provenance import running
from fei_lite.renamed import renamed

#: Subcommands, in the order of the line of the data. Each is a module of this
#: package with ``HELP``, ``configure(parser)`` and ``run(arguments) -> int``.
COMMANDS = ("channels", "variables", "simulate", "enrich", "produce", "train", "reconstruct", "skim", "ntuple",
            "evaluate", "inspect", "analyse", "fit", "reinterpret", "report", "benchmark")


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``fei-lite`` with every subcommand."""
    parser = argparse.ArgumentParser(
        prog="fei-lite", description="Hadronic B tagging for e+e- -> Upsilon(4S) -> B Bbar.")
    parser.add_argument("--version", action="version", version=f"fei-lite {fei_lite.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"fei_lite.cli.{name}")
        sub = subparsers.add_parser(
            name, help=module.HELP, description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def _current_options(arguments: Sequence[str]) -> list[str]:
    """Arguments with renamed options under their present names, and a notice for each."""
    found = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        new = renamed("options").get(option) if option.startswith("--") else None
        if new is not None:
            print(f"fei-lite: {option} is called {new} now; the old name goes with the next version.", file=sys.stderr)
        found.append(argument if new is None else f"{new}{equals}{value}")
    return found


#: Signals that end a command like Ctrl-C: of job schedulers and time limits, of a closed terminal, and Ctrl-Backslash.
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name))
#: A closed terminal sends SIGHUP twice, and schedulers repeat SIGTERM: not while the first one cleans up (s).
_CLEANING = 10.0


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Clean up on SIGTERM, SIGHUP and SIGQUIT as on Ctrl-C. What is ignored (by nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = -_CLEANING

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > _CLEANING:
            last = time.monotonic()
            raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, interrupt) for number in _ENDING
              if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _warning_text(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                  line: str | None = None) -> str:
    """A warning as a line; those of other packages with their place."""
    place = "" if "fei_lite" in filename else f"{category.__name__}, {filename}:{lineno}: "
    return f"fei-lite: {place}{message}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``fei-lite``; returns the exit code."""
    warnings.formatwarning = _warning_text
    parser, words = build_parser(), _current_options(sys.argv[1:] if arguments is None else arguments)
    with suppress(ImportError):  # completion by the shell, where that package is (fei-lite[shell])
        from argcomplete import autocomplete

        autocomplete(parser)
    options = parser.parse_args(words)

    def work() -> int:
        with running(words):
            return int(options.run(options))

    return guarded(f"fei-lite {options.command}", work)


def guarded(name: str, work: Callable[[], int]) -> int:
    """Do the work of a command; errors and signals that end it become a line on stderr and an exit code."""
    from fei_lite.errors import FeiLiteError

    try:
        with _termination_as_interrupt():
            return work()
    except FeiLiteError as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        with suppress(OSError):  # the terminal may be gone
            print(f"{name}: interrupted; no half-written file was left.", file=sys.stderr)
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
