"""Two Btag files, column by column, to the last bit.

    python scripts/compare_btags.py before.root after.root

Names that changed are compared under their present names. Exit code 1 if a
column, a row of the cut-flow or the number of events differs in any bit.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from fei_lite.benchmarks.identity import different_tag_files


def main() -> int:
    """Parse the command line, compare, print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expected", type=Path, metavar="FILE", help="Btag file, ROOT or Parquet")
    parser.add_argument("found", type=Path, metavar="FILE", help="Btag file to compare with it")
    parser.add_argument("--more-columns", action="store_true",
                        help="the second file may have columns that the first one lacks")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # old names are what this compares
    rows, columns, found = different_tag_files(arguments.found, arguments.expected,
                                               more_columns=arguments.more_columns)
    print(f"{arguments.expected} and {arguments.found}: {rows} Btags, {columns} columns: "
          f"{'DIFFERENT' if found else 'identical to the last bit'}")
    print(*found[:50], sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
