"""The errors that fei-lite raises: one base class, a few children.

A message says what went wrong, where, what was found, what was expected and
what to do. The command line prints it and leaves with :attr:`exit_code`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

#: A word of a message longer than this (damaged input that is quoted) is shortened to its ends.
_LONGEST_WORD, _START, _END = 400, 100, 40

#: A line of a message longer than this is shortened likewise.
_LONGEST_LINE, _HEAD, _TAIL = 1600, 900, 300


def _shortened(word: re.Match[str]) -> str:
    text = word.group()
    return f"{text[:_START]}...({len(text) - _START - _END} characters)...{text[-_END:]}"


def _readable(text: str) -> str:
    lines = re.sub(rf"\S{{{_LONGEST_WORD},}}", _shortened, text).split("\n")
    return "\n".join(line if len(line) <= _LONGEST_LINE else
                     f"{line[:_HEAD]} ...({len(line) - _HEAD - _TAIL} characters)... {line[-_TAIL:]}" for line in lines)


class FeiLiteError(Exception):
    """Base class of every error that fei-lite raises on purpose; long words and lines of its message are shortened.

    >>> print(FeiLiteError("no column '" + 1000 * "y" + "'."))  # doctest: +ELLIPSIS
    no column 'yyy...(863 characters)...yyy'.
    """

    exit_code = 2

    def __str__(self) -> str:
        return _readable(super().__str__())


class ArgumentTypeError(FeiLiteError, TypeError):
    """An argument of a type that the function does not take, such as a name where a loaded set is wanted."""


class EventFileError(FeiLiteError, ValueError):
    """An event file is missing, truncated, empty, foreign or badly typed."""


class ChannelFileError(FeiLiteError, ValueError):
    """A channel file is malformed, or its content contradicts physics.

    ``findings`` are the single defects, each with its file and key path; none
    if there is no such set, which is wrong use and not a finding.
    """

    def __init__(self, message: str, findings: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)
        self.exit_code = 1 if self.findings else 2


class ModelSetError(FeiLiteError, ValueError):
    """A model set is missing, damaged, or does not fit the channel set."""


class OutputError(FeiLiteError, OSError):
    """An output could not be written; nothing was left behind."""


class SimulationError(FeiLiteError, RuntimeError):
    """The simulation was asked for something that it cannot do."""


class MomentaError(FeiLiteError, ValueError):
    """Lists of momenta or candidates that do not fit together."""


class MaskError(FeiLiteError, ValueError):
    """A file of rest-of-event masks is missing, malformed, or asks for what does not exist."""


class AnalysisError(FeiLiteError, ValueError):
    """An analysis cannot use what it was given: a selection, a sample, a classifier."""


class WorkspaceError(FeiLiteError, ValueError):
    """A statistical workspace is missing, malformed, or contradicts itself."""


class FitError(FeiLiteError, RuntimeError):
    """A fit has no answer: no minimum was found, or nothing depends on the parameter."""


class WorkerError(FeiLiteError, RuntimeError):
    """A worker process was ended from outside."""


class ExpressionError(FeiLiteError, ValueError):
    """An expression or a cut that cannot be read: the message names the column and points at it."""


class UnknownNameError(FeiLiteError, KeyError):
    """A name (particle, column, feature, ...) that is not known."""

    def __str__(self) -> str:  # KeyError would print the repr
        return _readable(str(self.args[0])) if self.args else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Nearest known: 'x'."`` for an error message, or ``""``.

    >>> nearest("K_S", ["K_S0", "pi+"])
    " Nearest known: 'K_S0'."
    """
    names = list(known)
    same = [other for other in names if other.lower() == name.lower()]
    matches = same or get_close_matches(name, names, n=1, cutoff=0.4)
    return f" Nearest known: '{matches[0]}'." if matches else ""


def shortened(value: object, length: int = 80) -> str:
    """A value as an error message shows it: what it is, not all of it.

    >>> shortened("x"), shortened("y" * 100, 10)
    ("'x'", "'yyyyyy...")
    """
    text = repr(value)
    return text if len(text) <= length else text[:length - 3] + "..."
