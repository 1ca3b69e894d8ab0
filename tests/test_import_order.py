"""The line of the data is the order of the imports: nothing flows back."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import networkx
import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fei_lite"

#: A module imports only modules that stand before it. A name ending in a dot
#: is a folder; inside a folder anything goes but circles.
ORDER = (
    "errors", "data_files", "array_files", "constants", "renamed", "particles", "outputs", "provenance",
    "templates", "fractions", "plain",
    "parallel.",
    "variables.tree", "variables.grammar", "variables.registry", "variables.names", "variables.evaluation",
    "variables.cuts", "kernels.", "event_shape.", "events.", "channels.", "generator.", "detector.", "used_objects",
    "candidates", "classifiers.", "reconstruction.frames", "reconstruction.kinematics", "variables.tracks",
    "variables.subject", "reconstruction.", "training.", "tagging.", "production.", "roe.", "variables.",
    "analyses.", "performance.", "corrections.",
    "benchmarks.", "statistics.", "reinterpretation.", "inspection", "plots.", "report.", "cli.",
)

#: Packages that only one path needs: never imported at the top of a module outside these places.
HEAVY = {"matplotlib", "mplhep", "hist", "pythia8mc", "decaylanguage", "lightgbm", "pyhf", "iminuit", "emcee"}


def modules():
    """Module name without the package -> its file; ``__init__`` is the folder itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


MODULES = modules()


def imports(path, *, top_only=False):
    """Modules that a file imports, also inside functions; those under TYPE_CHECKING do not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skip = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for inner in ast.walk(node)}
    for node in tree.body if top_only else ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("fei_lite.") in MODULES else str(node.module)


def own(path):
    """Modules of this package that a file imports."""
    return {name.removeprefix("fei_lite.") for name in imports(path) if name.startswith("fei_lite.")}


def place(module):
    """Position of a module in the order; -1 if it has none."""
    for i, entry in enumerate(ORDER):
        if module == entry.rstrip(".") or (entry.endswith(".") and module.startswith(entry)):
            return i
    return -1


@pytest.mark.parametrize("module", MODULES)
def test_only_modules_that_stand_before(module):
    """Would catch a module without a place, and an import against the line of the data."""
    assert place(module) >= 0, f"give fei_lite/{module} a place in ORDER"
    for other in own(MODULES[module]):
        assert place(other) <= place(module), f"{module} imports {other}, which stands after it"


def test_no_circles():
    """Would catch two modules of one folder that need each other."""
    graph = networkx.DiGraph((other, module) for module, path in MODULES.items() for other in own(path))
    graph.remove_edges_from(list(networkx.selfloop_edges(graph)))
    circles = list(networkx.simple_cycles(graph))
    assert not circles, circles[:3]


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_are_imported_late(module):
    """Would catch ``import fei_lite`` (or a channel file check) loading a plotting library or a generator."""
    top = {name.partition(".")[0] for name in imports(MODULES[module], top_only=True)}
    if place(module) < ORDER.index("generator."):
        assert not top & HEAVY
    assert "matplotlib" not in top or place(module) >= ORDER.index("plots")


def test_import_is_light():
    """Would catch ``import fei_lite`` compiling kernels or paying for packages that nobody asked for."""
    code = "import sys, fei_lite, fei_lite.channels; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & (HEAVY | {"numba", "networkx", "particle", "scipy", "uproot", "awkward"})


def test_order_names_each_place_once():
    """Would catch a typing error in the list above."""
    assert len(set(ORDER)) == len(ORDER)
    assert all(place(a.rstrip(".")) < place(b.rstrip(".")) for a, b in pairwise(ORDER))
