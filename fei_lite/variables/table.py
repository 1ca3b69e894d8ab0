"""The table of all variables, as text for the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fei_lite.variables.registry import SUBJECTS, Variable, listed

_HEADINGS = {
    "candidate": "Of a candidate", "daughters": "Of its daughters", "frame": "In another frame",
    "function": "Functions of numbers", "recoil": "What recoils", "rest of event": "Rest of the event",
    "event shape": "Event shape", "event": "The event", "truth": "Truth"}

_HEAD = """# Variables

Every quantity has a name, basf2's where it has one, and can stand in a channel file, a ranking, a training, a cut, a
mask, a recipe or an ntuple. `fei-lite variables [PATTERN]` lists them. This page is made from the registry by
`scripts/write_variable_table.py`; change the variable where it is registered, in `fei_lite/variables/`.

**Grammar.** Variables nest without limit: `daughter(1, daughter(0, useCMSFrame(p)))`. Numbers and `+ - * / **` may
stand anywhere (`formula(...)` is optional). Cuts: `kaonID > 0.9 and 0.2967 < theta < 2.6180`, with `and or not`
(`&& || !`), `< <= > >= == !=`, round or square brackets; NaN fails every comparison; `#` starts a comment. `x=` is an
argument that may be left out, without a mask every unused object counts; `x, ...` comes once or more.

**Your own**: in a module `mine.py`

```python
from fei_lite import variables

@variables.register("pOverE", unit="", meaning="momentum over energy", nan="E is 0", source="ours")
def p_over_e(subject):
    return subject.value("p") / subject.value("E")
```

and `FEI_LITE_VARIABLES=mine fei-lite ntuple ...`: commands and worker processes import it. A script may register it
itself.

Units are GeV, cm, ns, rad; momenta and places are those of the laboratory unless a frame is named. *known*: cuts of a
channel file come before the vertex fit, `post_fit_cuts` after it.
"""


@dataclass(frozen=True)
class Row:
    """One variable in words."""

    name: str
    unit: str
    definition: str
    nan: str
    source: str
    of: str
    known: str


def rows(pattern: str = "*") -> tuple[Row, ...]:
    """The variables whose name fits the pattern, in the order of :func:`~fei_lite.variables.registry.listed`."""
    return tuple(_row(variable) for variable in listed(pattern))


def _row(variable: Variable) -> Row:
    return Row(variable.signature, variable.unit, variable.meaning, variable.nan, variable.source, variable.of,
               variable.known)


def as_markdown(pattern: str = "*") -> str:
    """The documentation of all variables, a table for each thing that they are of."""
    found = rows(pattern)
    parts = [_HEAD]
    for of in SUBJECTS:
        if some := [row for row in found if row.of == of]:
            parts.append(f"## {_HEADINGS[of]}\n\n" + _table(some))
    return "\n".join(parts)


def _table(some: Iterable[Row]) -> str:
    lines = ["| name | unit | definition | NaN if | known | source |", "|---|---|---|---|---|---|"]
    lines += [f"| `{row.name}` | {row.unit} | {row.definition} | {row.nan} | "
              f"{'' if row.known == 'always' else row.known} | {row.source} |" for row in some]
    return "\n".join(lines) + "\n"
