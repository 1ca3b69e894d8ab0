"""Values of options that are checked while the command line is parsed."""

from __future__ import annotations

import argparse
import datetime


def natural(text: str) -> int:
    """A whole number of 0 or more, such as a seed.

    >>> natural("12")
    12
    """
    return _whole(text, least=0)


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole(text, least=1)


def _whole(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"got '{text[:40]}', expected a whole number of {least} or more")
    return value


def day(text: str) -> str:
    """A date as ISO 8601 has it, or nothing.

    >>> day("2026-11-29")
    '2026-11-29'
    """
    try:
        return text and datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"got '{text[:40]}', expected a date such as 2026-11-29") from None
