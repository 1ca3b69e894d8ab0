"""Which variables a file of candidates shall have, as data.

A TOML file::

    variables = ["Mbc", "daughter(0, kaonID)"]      # columns under the names of the variables
    cut = "Mbc > 5.27"                              # rows, if not all

    [names]                                         # columns under names of your own
    kaon_momentum = "daughter(1, daughter(0, useCMSFrame(p)))"
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import ExpressionError, UnknownNameError
from fei_lite.variables.cuts import parse_cut
from fei_lite.variables.evaluation import spelling
from fei_lite.variables.names import check


class _File(Strict):
    variables: tuple[str, ...] = ()
    names: dict[str, str] = Field(default_factory=dict)
    cut: str = ""


@dataclass(frozen=True)
class Request:
    """Columns (name -> variable or expression) and the cut that rows must pass."""

    columns: Mapping[str, str] = field(default_factory=dict)
    cut: str = ""


def request(variables: str | os.PathLike[str] | Sequence[str] | Mapping[str, str], *, cut: str = "") -> Request:
    """The columns of a list of variables, of a mapping of names to variables, or of a TOML file (its path).

    Raises :class:`UnknownNameError` or :class:`ExpressionError` with all that does not exist.
    """
    if isinstance(variables, str | os.PathLike):
        content = read_toml(variables, _File, error=ExpressionError)
        columns = {spelling(text): text for text in content.variables} | content.names
        cuts, where = [(content.cut, f"{variables}: cut"), (cut, "cut")], f"{variables}: "
    else:
        columns = dict(variables) if isinstance(variables, Mapping) else {spelling(text): text for text in variables}
        cuts, where = [(cut, "cut")], ""
    findings = [str(error) for name, text in columns.items() if (error := _defect(text, f"{where}column '{name}'"))]
    if findings:
        raise UnknownNameError("\n  ".join(findings))
    parts = [text for text, place in cuts if parse_cut(text, place)]
    return Request(columns, " and ".join(f"[{part}]" for part in parts))


def columns_of(path: str | os.PathLike[str]) -> Mapping[str, str]:
    """The columns of a TOML file for a table of all Btags; raises :class:`ExpressionError` if it has a cut."""
    found = request(path)
    if found.cut:
        raise ExpressionError(f"{path}: cut: Btag files hold all candidates. Leave it out, or write an ntuple.")
    return found.columns


def _defect(text: str, where: str) -> Exception | None:
    try:
        check(text, where)
    except (UnknownNameError, ExpressionError) as error:
        return error
    return None
