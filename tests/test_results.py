"""The numbers that the pages show are those of the files in trained/."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import write_results  # noqa: E402


@pytest.mark.parametrize("page", write_results.PAGES, ids=lambda page: page.name)
def test_pages_show_what_was_measured(page):
    """Would catch efficiencies of an earlier set, limits of an earlier production, and typed ones."""
    text = page.read_text(encoding="utf-8")
    assert "<!-- table:" in text
    assert write_results.filled(text) == text
