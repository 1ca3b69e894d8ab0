"""The README's own commands and code, as they stand, in an empty folder."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
specification = importlib.util.spec_from_file_location("run_page", ROOT / "scripts" / "run_page.py")
pages = importlib.util.module_from_spec(specification)
specification.loader.exec_module(pages)
blocks = pages.blocks
#: Events that a page's commands simulate here, where they say more.
EVENTS = {"signal_side.md": 8000, "decay_files.md": 100}


@pytest.mark.slow
def test_the_readme_runs(tmp_path):
    """Would catch a command or a line of code in the README, or code in the docs, that a newcomer cannot run."""
    found = blocks(ROOT / "README.md")
    assert [language for language, _ in found] == ["sh", "python"]
    bin_folder = Path(sys.executable).parent
    for language, text in found:
        shell = ["bash", "-euc", f"PATH={bin_folder}:$PATH\n{text}"]
        command = shell if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "B candidates in 2000 events" in done.stdout
    assert (tmp_path / "btag.root").exists()
    first = next(text for language, text in found if language == "python")
    for page in PAGES[1:]:
        languages = {language for language, _ in blocks(page)}
        if "sh" in languages:  # a page that stands alone; what the README's block made is there
            pages.run_page(page, tmp_path, events=EVENTS.get(page.name), known=[text for _, text in found])
        elif "python" in languages:  # one that goes on where the README stops
            code = "\n".join(text for language, text in blocks(page) if language == "python")
            done = subprocess.run([sys.executable, "-c", first + code], cwd=tmp_path, capture_output=True, text=True,
                                  check=False)
            assert done.returncode == 0, f"{page.name}: {done.stderr}"
    check_made_by_pages(tmp_path)


def check_made_by_pages(folder):
    """What the commands of the pages made, of fewer events than they say."""
    pairs = pyarrow.parquet.read_table(folder / "pairs.parquet").to_pandas()
    right = pairs[pairs.isSignal == 1]
    assert len(pairs) >= 5 and len(right) >= 1
    assert abs(right.missingMass2.median()) < 0.3  # GeV^2: one neutrino is missing and nothing else
    for name in ("mbc.png", "missing_mass.png", "my_channels.svg"):
        assert (folder / name).stat().st_size > 5000, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Would catch a link to a page or picture that was moved."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    """Would catch a page that shows a command, an option or a script that is no more."""
    from fei_lite.cli import COMMANDS, build_parser

    text = page.read_text(encoding="utf-8")
    parser = next(action for action in build_parser()._actions if action.choices)
    for command, rest in re.findall(r"(?:^ {4}|`)fei-lite (\w+)([^\n`|]*)", text, flags=re.MULTILINE):
        if command in COMMANDS:
            known = parser.choices[command].format_help() + "".join(
                inner.format_help() for action in parser.choices[command]._actions if isinstance(action.choices, dict)
                for inner in action.choices.values())
            for option in re.findall(r"(?<!\S)(--[\w-]+)", rest.partition("#")[0]):
                assert option in known, f"fei-lite {command} {option}"
        else:
            raise AssertionError(f"fei-lite {command}")
    for script in re.findall(r"(scripts/[\w/.]+\w)", text):
        assert (ROOT / script).exists(), script
