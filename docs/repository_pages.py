"""README files of other folders as pages of the site.

They are read where they stand, too, so that they are not moved here: ``write`` copies them into a folder of the site
with their links bent to the new place, and links of the site's own pages to them are bent likewise when a page is read
(``on_source_read``). Links to pictures, and to files that are no page, stay what they are: Sphinx copies these.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
FOLDER = DOCS / "repository"

#: File in the repository -> name of its page.
PAGES = {
    "decay_channels/README.md": "decay_channels",
    "fei_lite/analyses/README.md": "analyses",
    "fei_lite/analyses/hta/README.md": "hta",
    "fei_lite/analyses/k_tau_l/README.md": "k_tau_l",
    "fei_lite/analyses/kstar_tau_tau/README.md": "kstar_tau_tau",
    "fei_lite/analyses/recoil_controls/README.md": "recoil_controls",
    "fei_lite/analyses/xs_nunu/README.md": "xs_nunu",
    "scripts/examples/b_tau_nu/README.md": "b_tau_nu",
    "scripts/examples/pipelines/README.md": "pipelines",
    "trained/README.md": "trained",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
}


def write(folder: Path) -> None:
    """Write the pages into ``folder``; what has not changed is not touched."""
    folder.mkdir(exist_ok=True)
    for source, name in PAGES.items():
        path = ROOT / source
        put(folder / f"{name}.md", with_links(path.read_text(encoding="utf-8"), path.parent, folder))


def put(path: Path, text: str) -> None:
    """Write a page if its text is new: Sphinx reads pages again by their time."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def with_links(text: str, old: Path, new: Path) -> str:
    """``text`` of a page in the folder ``old`` with the relative links that it needs in ``new``."""
    def moved(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        if re.match(r"[a-z]+:", target):
            return link[0]
        path = Path(os.path.normpath(old / target))
        page = PAGES.get(path.relative_to(ROOT).as_posix()) if path.is_relative_to(ROOT) else None
        place = path if page is None else FOLDER / f"{page}.md"
        return f"]({os.path.relpath(place, new)}{anchor})"

    return re.sub(r"\]\(([^)#\s]+)(#[^)\s]*)?\)", moved, text)


def on_source_read(_app: object, docname: str, source: list[str]) -> None:
    """Bend the links of the site's own pages (Sphinx' event ``source-read``)."""
    if not docname.startswith(("api/", "repository/")):
        source[0] = with_links(source[0], DOCS, DOCS)
