"""Compare two results of fei-lite analyse to the last bit: templates, cut-flows, candidates.

    python scripts/compare_analyses.py before after
    python scripts/compare_analyses.py before after --rename "signal kaon=signal side"

BEFORE and AFTER are folders of results. Compared are the samples, modifiers and observations of workspace.json, the
rows of cutflow.json, and all columns of ntuple.parquet and of the files in candidates/. Columns of the second only are
listed and no difference. Exit code 1 if any number differs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.ntuple import read_ntuple


def main() -> int:
    """Parse the command line, compare, print one line per part and per difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW",
                        help="a column, step or sample with another name in AFTER (may be given several times)")
    arguments = parser.parse_args()
    renamed = dict(text.split("=", 1) for text in arguments.rename)
    differences = 0
    for part, found in compare(arguments.before, arguments.after, renamed):
        lines = list(found)
        wrong = [line for line in lines if not line.startswith("only after")]
        differences += len(wrong)
        print(f"{part}: {'differs' if wrong else 'equal to the bit'}")
        for line in lines:
            print(f"  {line}")
    return 1 if differences else 0


def compare(before: Path, after: Path, renamed: Mapping[str, str]) -> Iterator[tuple[str, Iterator[str]]]:
    """(part, its differences) of two folders of results."""
    yield "templates of workspace.json", trees(*(templates(_json(folder / "workspace.json"))
                                                 for folder in (before, after)), renamed, "")
    yield "cutflow.json", trees(*(_json(folder / "cutflow.json") for folder in (before, after)), renamed, "")
    yield "ntuple.parquet", columns(before / "ntuple.parquet", after / "ntuple.parquet", renamed)
    for path in sorted((before / "candidates").glob("*.parquet")):
        other = after / "candidates" / path.name
        yield f"candidates/{path.name}", columns(path, other, renamed) if other.exists() else iter(["missing after"])


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def templates(spec: Any) -> dict[str, Any]:
    """Templates of a workspace by channel, sample and modifier, with the observations.

    Settings of measurements are left out, and errors that are zero in all bins: they mean no error.
    """
    found: dict[str, Any] = {"observations": {o["name"]: o["data"] for o in spec["observations"]}}
    for channel in spec["channels"]:
        found[channel["name"]] = {sample["name"]: {"data": sample["data"], **{
            f"{m['type']} {m['name']}": m["data"] for m in sample["modifiers"]
            if m["type"] != "staterror" or any(m["data"])}} for sample in channel["samples"]}
    return found


def trees(one: Any, two: Any, renamed: Mapping[str, str], at: str) -> Iterator[str]:
    """Differences of two JSON values; floats have to be equal to the bit, NaN is equal to NaN."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key, value in one.items():
            new = renamed.get(key, key)
            if new not in two:
                yield f"{at}.{key}: missing after"
            else:
                yield from trees(value, two[new], renamed, f"{at}.{key}")
        there = {renamed.get(key, key) for key in one}
        yield from (f"only after: {at}.{key}" for key in two if key not in there)
    elif isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            yield f"{at}: {len(one)} entries, {len(two)} after"
        for i, (a, b) in enumerate(zip(one, two)):
            yield from trees(a, b, renamed, f"{at}[{i}]")
    elif isinstance(one, str):
        if renamed.get(one, one) != two:
            yield f"{at}: {one!r}, {two!r} after"
    elif not (one == two or (one != one and two != two)):
        yield f"{at}: {one!r}, {two!r} after"


def columns(one: Path, two: Path, renamed: Mapping[str, str]) -> Iterator[str]:
    """Differences of the columns of two ntuples."""
    (a, _), (b, _) = read_ntuple(one), read_ntuple(two)
    for name, values in a.items():
        new = renamed.get(name, name)
        if new not in b:
            yield f"{name}: missing after"
        elif len(values) != len(b[new]):
            yield f"{name}: {len(values)} entries, {len(b[new])} after"
        elif values.dtype.kind == "O":
            n = sum(renamed.get(x, x) != y for x, y in zip(values.tolist(), b[new].tolist()))
            if n:
                yield f"{name}: {n} of {len(values)} differ"
        elif not np.array_equal(values.astype(np.float64), b[new].astype(np.float64), equal_nan=True):
            x, y = values.astype(np.float64), b[new].astype(np.float64)
            differ = ~((x == y) | (np.isnan(x) & np.isnan(y)))
            yield f"{name}: {differ.sum()} of {len(values)} differ, by at most {np.nanmax(np.abs(x - y)[differ]):.3g}"
    there = {renamed.get(name, name) for name in a}
    yield from (f"only after: {name}" for name in b if name not in there)


if __name__ == "__main__":
    raise SystemExit(main())
