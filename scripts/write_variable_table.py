"""Write the table of all variables: docs/variables.md.

    python scripts/write_variable_table.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fei_lite.outputs import atomic_output
from fei_lite.variables import as_markdown


def main() -> int:
    """Parse the command line, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).resolve().parents[1] / "docs/variables.md")
    output = parser.parse_args().output
    with atomic_output(output, force=True) as temporary:
        temporary.write_text(as_markdown(), encoding="utf-8")
    print(output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
