"""Pages of the public names, made from their docstrings, and of the commands, made from their help.

``fei_lite.__all__`` says what is public: each of its names has a page of its own. The names of the modules below, which
are for those who write variables, analyses or formats, share a page per module.
"""

from __future__ import annotations

import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path

from repository_pages import put

import fei_lite

#: Further public modules, in the order of the line of the data; names are those of ``__all__``, or defined there.
MODULES = (
    "fei_lite.events", "fei_lite.events.formats", "fei_lite.events.schema", "fei_lite.channels", "fei_lite.candidates",
    "fei_lite.variables", "fei_lite.reconstruction.engine", "fei_lite.reconstruction.truth", "fei_lite.roe",
    "fei_lite.event_shape", "fei_lite.parallel", "fei_lite.parallel.cluster", "fei_lite.performance.best_tags",
    "fei_lite.performance.working_points", "fei_lite.plots.tags", "fei_lite.analyses.physics",
    "fei_lite.analyses.controls.embedding", "fei_lite.analyses.controls.reweighting", "fei_lite.analyses.candidates.true_tags",
    "fei_lite.analyses.k_nunu.density", "fei_lite.analyses.k_nunu.spectrum", "fei_lite.statistics.unbinned",
    "fei_lite.fractions", "fei_lite.errors",
)


#: What is said of ``fei_lite.__version__``, which has no docstring.
VERSION = "The version of the package."
#: What autodoc makes of NDArray[...].
_ARRAY = re.compile(r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?(?:numpy\.)?dtype\[([^\[\]]+)\]\]")


def write(folder: Path) -> None:
    """Write all pages into ``folder``, and remove those of names that are no more."""
    pages = {"index": index(), "commands": commands()}
    pages |= {name: page_of_name(name) for name in fei_lite.__all__}
    pages |= {module.replace("fei_lite.", "module."): page_of_module(module) for module in MODULES}
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        put(folder / f"{name}.rst", text)


def index() -> str:
    """The page that lists all others."""
    names = [*fei_lite._PUBLIC, "__version__"]  # in the order of the line of the data
    rows = [(f":py:obj:`fei_lite.{name}`", first_line(getattr(fei_lite, name), name)) for name in names]
    modules = [(f":py:mod:`{name}`", first_line(import_module(name), name)) for name in MODULES]
    return "\n".join([
        *title("API reference"),
        "Made from the docstrings of this version. Momenta are in GeV, lengths in cm, times in ns, the frame is in",
        "the name (``p4_lab``, ``p4_cms``); four-vectors are (px, py, pz, E), last axis.", "",
        *title("Names of ``fei_lite``", "-"), *table(rows), *title("Modules", "-"),
        "For variables, formats and analyses of your own, and for what the names above return.", "", *table(modules),
        *title("Commands", "-"), ":doc:`commands`: the help of every command.", "",
        *toctree(["commands", *names, *(module.replace("fei_lite.", "module.") for module in MODULES)])])


def page_of_name(name: str) -> str:
    """The page of a name of ``fei_lite``."""
    value = getattr(fei_lite, name)
    if inspect.isclass(value):
        value.__name__ = name  # else Sphinx would call TrainingSettings an alias of the name it is defined under
    lines = [*title(f"fei_lite.{name}"), *directive("fei_lite", name, value), ""]
    if name in fei_lite._PUBLIC:
        lines += [f"Defined in ``{fei_lite._PUBLIC[name][0]}``.", ""]
    return "\n".join(lines)


def page_of_module(name: str) -> str:
    """The page of a module: what it says of itself, then its public names."""
    module = import_module(name)
    lines = [*title(name), f".. automodule:: {name}", ""]
    of_package = {id(getattr(fei_lite, public)): public for public in fei_lite._PUBLIC}
    elsewhere = []
    for public in names_of(module):
        value = getattr(module, public)
        if id(value) in of_package:
            elsewhere.append(f":py:obj:`fei_lite.{of_package[id(value)]}`")
        else:
            lines += [*directive(name, public, value), ""]
    if elsewhere:
        lines += [f"With a page of their own: {', '.join(elsewhere)}.", ""]
    return "\n".join(lines)


def names_of(module: object) -> list[str]:
    """``__all__``, or the functions and classes that a module defines, as they stand there."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [name for name, value in vars(module).items() if not name.startswith("_")
            and (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__]


def directive(module: str, name: str, value: object) -> list[str]:
    """What tells Sphinx to document one name."""
    if inspect.isclass(value):
        return [f".. autoclass:: {module}.{name}", "   :members:", "   :undoc-members:", "   :show-inheritance:"]
    if callable(value):
        return [f".. autofunction:: {module}.{name}"]
    if isinstance(value, str):  # autodoc would show the docstring of str
        return [f".. py:data:: {module}.{name}", "   :type: str", f"   :value: {value!r}", "", f"   {VERSION}"]
    return [f".. autodata:: {module}.{name}"]


def on_signature(_app: object, _what: str, _name: str, _value: object, _options: object, signature: str | None,
                 result: str | None) -> tuple[str | None, str | None]:
    """Signatures as they are written (event ``autodoc-process-signature``): NDArray, and defaults that parse."""
    def as_written(text: str | None) -> str | None:
        return text and _ARRAY.sub(r"NDArray[\1]", text).replace("=<factory>", "=...").replace("= <factory>", "= ...")

    return as_written(signature), as_written(result)


def commands() -> str:
    """The help of every command, as the terminal shows it."""
    from fei_lite.cli import COMMANDS, build_parser

    parser = next(action for action in build_parser()._actions if action.choices)
    about = "What ``fei-lite COMMAND --help`` prints. Exit status: 0 done, 1 findings, 2 wrong use."
    lines = [*title("Commands"), about, ""]
    for name in COMMANDS:
        text = parser.choices[name].format_help()
        lines += [*title(f"fei-lite {name}", "-"), ".. code-block:: none", "",
                  *(f"   {line}".rstrip() for line in text.splitlines()), ""]
    return "\n".join(lines)


def first_line(value: object, name: str) -> str:
    """The first sentence of a docstring."""
    if name == "__version__":
        return VERSION
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")


def title(text: str, line: str = "=") -> list[str]:
    """A heading."""
    return [text, line * len(text), ""]


def table(rows: list[tuple[str, str]]) -> list[str]:
    """Two columns."""
    lines = [".. list-table::", "   :widths: 35 65", ""]
    for left, right in rows:
        lines += [f"   * - {left}", f"     - {right}"]
    return [*lines, ""]


def toctree(names: list[str]) -> list[str]:
    """The pages in the order of the menu."""
    return [".. toctree::", "   :hidden:", "", *(f"   {name}" for name in names), ""]
