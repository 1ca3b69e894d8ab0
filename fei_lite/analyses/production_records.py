"""What the pieces of a production say of themselves, and which of them count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_record(path: Path) -> dict[str, Any]:
    """What a piece says of itself."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def records_of(folder: Path) -> list[dict[str, Any]]:
    """What the pieces of a folder say of themselves."""
    return [read_record(path) for path in sorted((folder / "pieces").glob("*.json"))]


def counted(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of pieces that count: those of the first selection do not where their process has later ones.

    Before anything was learned weights are large: few such pieces would make most of the error of all. They are left
    out whatever was found in them.
    """
    later = {record["process"] for record in records if _number(record) > 0}
    return [record for record in records
            if record["selection"] is None or _number(record) > 0 or record["process"] not in later]


def _number(record: dict[str, Any]) -> int:
    """The number of a record's selection; 0 without one."""
    return 0 if record["selection"] is None else int(record["selection"]["name"].split("_")[1])
