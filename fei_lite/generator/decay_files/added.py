"""Particles that a decay file adds: Belle II's files say so in a comment, as the steering file has to.

``# pdg.add_particle('X(3823)', 17443, 3.823, 0.0, 0, 2)``: name, code, mass and width in GeV, charge, spin, and
``max_width``, the furthest from the mass (three widths if it is left out).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fei_lite.errors import SimulationError

_ARGUMENTS = ("name", "pdgCode", "mass", "width", "charge", "spin", "max_width", "lifetime", "pythiaID")
#: Digits of a PDG code, and widths from the mass, as basf2 has them.
_MOST_DIGITS, _WIDTHS = 10, 3.0


@dataclass(frozen=True)
class Added:
    """A particle of a file's own: 2 x spin + 1, 3 x charge, mass, width, furthest from the mass in GeV."""

    line: int
    name: str
    code: int
    spin: int
    charge: int
    mass: float
    width: float
    furthest: float

    @property
    def definition(self) -> tuple[int, int, float, float, float]:
        """As in :data:`~fei_lite.generator.particle_names.OWN_DEFINITIONS`."""
        return self.spin, self.charge, self.mass, self.width, self.furthest


def added_particles(text: str, place: str) -> Iterator[Added]:
    """The particles that comments of a decay file add; ``place`` is its name in errors.

    Raises :class:`SimulationError` for one without the six numbers that are needed.

    >>> one = next(added_particles("# pdg.add_particle('X(3823)', 17443, 3.823, 0.0, 0, spin=2)", "x.dec"))
    >>> one.name, one.code, one.definition
    ('X(3823)', 17443, (5, 0, 3.823, 0.0, 0.0))
    """
    for number, line in enumerate(text.splitlines(), 1):
        found = re.search(r"#.*?\badd_particle\s*\((.*)\)", line)
        if found is None:
            continue
        try:
            yield _added(number, _values(found.group(1)))
        except (KeyError, ValueError) as error:
            raise SimulationError(f"{place}: line {number}: add_particle: expected ('name', code, mass, width, charge, "
                                  f"spin); got ({found.group(1)}): {error}.") from None


def _values(arguments: str) -> dict[str, str]:
    """Arguments by name, with or without their keywords."""
    out: dict[str, str] = {}
    for position, word in enumerate(arguments.split(",")):
        keyword, equals, value = word.partition("=")
        name = keyword.strip() if equals else _ARGUMENTS[min(position, len(_ARGUMENTS) - 1)]
        out[name] = (value if equals else word).strip().strip("'\"")
    return out


def _added(line: int, values: dict[str, str]) -> Added:
    width, code = float(values["width"]), int(values["pdgCode"])
    if not 0 < len(str(abs(code))) <= _MOST_DIGITS or code == 0:
        raise ValueError(f"no PDG code: {code}")
    furthest = float(values.get("max_width", "None").replace("None", f"{_WIDTHS * width:.9g}"))
    return Added(line, values["name"], code, round(2.0 * float(values["spin"])) + 1,
                 round(3.0 * float(values["charge"])), float(values["mass"]), width, furthest)
