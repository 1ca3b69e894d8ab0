"""The documentation site: built without a warning, a page for every public name, and pages that say what files say."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import fei_lite
from fei_lite import variables
from fei_lite.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "scripts" / "examples" / "d_l_nu"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(out / ".doctrees"),
               str(DOCS), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


def inventory(site):
    """What the site documents: name -> (type, page), from its objects.inv."""
    content = (site / "objects.inv").read_bytes()
    text = zlib.decompress(content.split(b"\n", 4)[4]).decode("utf-8")
    found = {}
    for line in text.splitlines():
        name, kind, _, place, _ = re.fullmatch(r"(.+?) (\S+) (\S+) (\S+) (.*)", line).groups()
        if kind.startswith("py:"):
            found[name] = kind, place.partition("#")[0]
    return found


def test_every_public_name_has_a_page(site):
    """Would catch a new public name without a page of its own, or one whose docstring does not reach it."""
    known = inventory(site)
    for name in fei_lite.__all__:
        kind, page = known[f"fei_lite.{name}"]
        assert page == f"api/{name}.html", name
        text = re.sub(r"<[^>]+>|\s", "", (site / page).read_text(encoding="utf-8"))
        if kind in ("py:class", "py:function", "py:exception"):
            first = (getattr(fei_lite, name).__doc__ or "").strip().splitlines()[0]
            assert re.sub(r"[`\s]|:\w+:", "", first)[:20] in text, name
    pages = {path.stem for path in (site / "api").glob("*.html")}
    assert set(fei_lite.__all__) | {"index", "commands"} == {page for page in pages if not page.startswith("module.")}


def test_names_of_modules_are_there(site):
    """Would catch a name of fei_lite.variables, or one that a page mentions, which the reference does not know."""
    known = inventory(site)
    assert not [name for name in variables.__all__ if f"fei_lite.variables.{name}" not in known]
    pages = [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "decay_channels" / "README.md",
             *(ROOT / "fei_lite" / "analyses").rglob("README.md"), ROOT / "trained" / "README.md"]
    for page in pages:
        for name in set(re.findall(r"\bfei_lite(?:\.\w+)+", page.read_text(encoding="utf-8"))):
            documented = name in known or name.endswith("__") or is_module(name)
            assert documented, f"{page.relative_to(ROOT)}: {name} has no page"


def is_module(name):
    """Whether a name is a module that no page needs to document."""
    try:
        return importlib.import_module(name) is not None
    except ImportError:
        return False


def test_pictures_and_pages_are_copied(site):
    """Would catch a picture or a README of another folder that the site lacks, and a command without its help."""
    for page in site.rglob("*.html"):
        for target in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text(encoding="utf-8")):
            assert target.startswith("data:") or (page.parent / target).exists(), f"{page.name}: {target}"
    assert "Origin of" in (site / "repository" / "decay_channels.html").read_text(encoding="utf-8")
    commands = (site / "api" / "commands.html").read_text(encoding="utf-8")
    assert all(f"usage: fei-lite {name}" in commands for name in COMMANDS)


def test_formulas_are_formulas(site):
    """Would catch formulas that reach the reader as text with dollar signs."""
    text = (site / "definitions.html").read_text(encoding="utf-8")
    source = (DOCS / "definitions.md").read_text(encoding="utf-8")
    assert text.count('class="math notranslate') == len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", source, flags=re.DOTALL))


def test_the_page_shows_the_files():
    """Would catch a file of the example that changed while the page still shows the old one."""
    shown = re.findall(r"^```toml\n(.*?)^```$", (DOCS / "signal_side.md").read_text(encoding="utf-8"),
                       flags=re.MULTILINE | re.DOTALL)
    assert len(shown) == 2
    files = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.toml")]
    assert all(text in files for text in shown)
