"""Settings of the documentation: sphinx-build -W --keep-going -b html docs OUT (scripts/build_docs)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import api_pages  # noqa: E402
import repository_pages  # noqa: E402

import fei_lite  # noqa: E402

project = "fei-lite"
author = copyright = "The fei-lite developers"
version = release = fei_lite.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
highlight_language = "none"  # of blocks that name none: commands

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"fei-lite {version}"
html_copy_source = False


def setup(app):
    """Pages that are made here: of the public names and commands, and of the README files of other folders."""
    app.connect("builder-inited", lambda app: api_pages.write(Path(app.srcdir) / "api"))
    app.connect("builder-inited", lambda app: repository_pages.write(Path(app.srcdir) / "repository"))
    app.connect("autodoc-process-signature", api_pages.on_signature)
    app.connect("source-read", repository_pages.on_source_read)
