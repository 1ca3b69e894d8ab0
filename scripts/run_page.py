"""Run the commands (sh) and the code (python) of a page of the documentation as they stand, in a folder.

    python scripts/run_page.py docs/signal_side.md --folder pictures
    python scripts/run_page.py docs/signal_side.md --folder small --events 3000

Folders of the repository that commands name (scripts, decay_channels, trained) are linked there. Simulated events that
are there already are kept; other outputs are made anew. First all commands, then all code.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: (language, text)."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def run_page(page: Path, folder: Path, *, events: int | None = None, known: Collection[str] = ()) -> str:
    """Run a page; returns what its code printed. Raises RuntimeError with what failed, and what that said.

    ``events``: simulated, in place of the page's numbers. Blocks of ``known`` have been run there already.
    """
    for name in ("scripts", "decay_channels", "trained"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    found = blocks(page)
    for language, text in found:
        if language == "sh" and text not in known:
            run(["bash", "-euc", in_folder(text, folder, events)], folder, page)
    code = "\n".join(text for language, text in found if language == "python")
    return run([sys.executable, "-c", code], folder, page) if code else ""


def in_folder(commands: str, folder: Path, events: int | None) -> str:
    """The commands with another number of events, without those whose events are there; others overwrite."""
    lines = []
    for line in commands.replace("\\\n", "").splitlines():
        output = re.search(r"^fei-lite .* -o (\S+)", line)
        if output and line.startswith("fei-lite simulate"):
            line = ":" if (folder / output[1]).exists() else line
        elif output:
            line += " --force"
        lines.append(line if events is None else re.sub(r"(?<= -n )\d+", str(events), line))
    return "\n".join(lines)


def run(command: list[str], folder: Path, page: Path) -> str:
    """Run a command in ``folder`` with this Python's programs; its standard output."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MPLBACKEND": "Agg"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{page.name}: {command[-1]}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Parse the command line, run the page, print what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="working folder, made if it is not there")
    parser.add_argument("--events", type=int, default=None, help="events to simulate, in place of the page's numbers")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(run_page(arguments.page, arguments.folder.resolve(), events=arguments.events), end="")


if __name__ == "__main__":
    main()
