"""Quantities by name: find and list them, register new ones, evaluate them, cut on them.

::

    from fei_lite import variables

    variables.find("daughter(0, useCMSFrame(p))").unit          # 'GeV'
    subject = variables.Subject(result.tables["B+"], result=result)
    columns = variables.evaluate(["Mbc", "daughter(0, kaonID)", "roeEextra(hta)"], subject)
    cut = variables.parse_cut("Mbc > 5.27 and abs(deltaE) < 0.2", where="my cuts")
    keep = cut.passes(subject)                                   # or cut.passes(columns)

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fei_lite.variables.cuts import Cut, Interval, joined, parse_cut
    from fei_lite.variables.evaluation import Columns, evaluate
    from fei_lite.variables.names import find
    from fei_lite.variables.registry import Variable, listed, register, unregister
    from fei_lite.variables.subject import Subject
    from fei_lite.variables.table import as_markdown

_PUBLIC = {
    "Columns": "evaluation", "Cut": "cuts", "Interval": "cuts", "Subject": "subject", "Variable": "registry",
    "as_markdown": "table", "evaluate": "evaluation", "find": "names", "joined": "cuts", "listed": "registry",
    "parse_cut": "cuts", "register": "registry", "unregister": "registry",
}

__all__ = ["Columns", "Cut", "Interval", "Subject", "Variable", "as_markdown", "evaluate", "find", "joined", "listed",
           "parse_cut", "register", "unregister"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fei_lite.variables' has no attribute '{name}'")
    value = getattr(import_module(f"fei_lite.variables.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value
