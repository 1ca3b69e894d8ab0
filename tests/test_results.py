"""The numbers that the pages show of the shipped model sets are those of the files beside the sets."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import write_results  # noqa: E402


@pytest.mark.parametrize("page", write_results.PAGES, ids=lambda page: page.name)
def test_pages_show_what_was_measured(page):
    """Would catch efficiencies of an earlier set, and typed ones."""
    text = page.read_text(encoding="utf-8")
    assert "<!-- efficiencies:" in text
    assert write_results.filled(text, json.loads(write_results.COMPARISON.read_text(encoding="utf-8"))) == text
