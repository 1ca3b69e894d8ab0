"""Files of other places, by URL, through fsspec."""

from __future__ import annotations

import os
import re
from functools import cache
from http import HTTPStatus
from typing import Any

from fei_lite.errors import EventFileError

#: How long a web server may take to say whether it gives parts of a file (s).
_PATIENCE = 30.0
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z0-9+.-]+)*://")


def is_url(path: object) -> bool:
    """Whether a name is a URL and not a local file.

    >>> is_url("root://server//store/a.root"), is_url("a.root"), is_url("/data/a.root")
    (True, False, False)
    """
    return isinstance(path, str | os.PathLike) and _URL.match(os.fspath(path)) is not None


def remote_files(pattern: str, place: str) -> list[str]:
    """What fits a pattern at another place."""
    import fsspec

    try:
        system, _, _ = fsspec.get_fs_token_paths(pattern.split("*")[0].rpartition("/")[0] or pattern)
        return sorted(str(system.unstrip_protocol(path)) for path in system.glob(pattern))
    except Exception as error:  # each protocol raises its own
        raise EventFileError(f"{place}{pattern}: cannot be listed: {_first_line(error)}") from error


def open_remote(url: str) -> Any:
    """A file of another place, open for reading bytes; raises :class:`EventFileError`."""
    import fsspec

    try:
        return fsspec.open(readable_url(url), "rb").open()
    except Exception as error:  # each protocol raises its own
        raise EventFileError(f"{url}: cannot be opened: {_first_line(error)}") from error


@cache
def readable_url(url: str) -> str:
    """The URL, or that of a copy on this machine where a web server gives files only as a whole.

    Such a server answers with all of the file, whatever part of it is asked for. The copy is made once in each process,
    in a temporary folder that is removed at its end.
    """
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        return url
    try:
        with urlopen(Request(url, headers={"Range": "bytes=0-0"}), timeout=_PATIENCE) as answer:
            gives_parts = answer.status == HTTPStatus.PARTIAL_CONTENT
    except (OSError, HTTPException, ValueError):  # not there, no answer, no URL: whoever opens it says why
        return url
    return url if gives_parts else f"simplecache::{url}"


def _first_line(error: Exception) -> str:
    return (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:200]
