"""Names of EvtGen's particle table: those of the `particle` package, and what it lacks.

Codes, masses and widths of the particles that `particle` or Pythia do not know are
those of the Belle II particle table (evt.pdl).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from fei_lite.errors import UnknownNameError, nearest
from fei_lite.particles import pdg_code

#: Quarks and diquarks of the fragmentation modes (PDG numbering scheme).
PARTONS: Mapping[str, int] = {
    "d": 1, "u": 2, "s": 3, "c": 4, "b": 5, "g": 21, "dd_1": 1103, "ud_0": 2101, "ud_1": 2103, "uu_1": 2203,
    "sd_0": 3101, "sd_1": 3103, "su_0": 3201, "su_1": 3203, "ss_1": 3303, "cd_0": 4101, "cd_1": 4103,
    "cu_0": 4201, "cu_1": 4203, "cs_0": 4301, "cs_1": 4303,
}

#: Names that the `particle` package does not know, with the codes of EvtGen's particle table.
EXTRA_NAMES: Mapping[str, int] = {
    "D'_1+": 20413, "D'_1-": -20413, "D(2S)+": 100411, "D(2S)-": -100411, "D(2S)0": 100421, "anti-D(2S)0": -100421,
    "D*(2S)+": 100413, "D*(2S)-": -100413, "D*(2S)0": 100423, "anti-D*(2S)0": -100423,
    "Xsd": 30343, "anti-Xsd": -30343, "Xsu": 30353, "anti-Xsu": -30353, "Xss": 30363, "anti-Xss": -30363,
    "Xdd": 30643, "anti-Xdd": -30643, "Xdu+": 30653, "anti-Xdu-": -30653,
    "Xu0": 30113, "Xu+": 30213, "Xu-": -30213, "rndmflav": 82, "anti-rndmflav": -82,
    "X_1(3872)": 9120443, "X_2(3872)": 9910445, "Z(4430)+": 9042413, "Z(4430)-": -9042413,
    "Higgs0": 25, "Z'0": 32, "Z''0": 33, "Higgs'0": 35, "A0": 36, "R0": 41,
    "rho(3S)0": 30113, "rho(3S)+": 30213, "rho(3S)-": -30213,
}

#: Particles that are always copies of their own, since Pythia or the table means another particle by their code:
#: heavy bosons that searches give a mass (``Particle A0 1.2 0.0``), and the rho(1700), whose code the table's Xu
#: has here. Name -> (2 x spin + 1, 3 x charge, mass, width, furthest from the mass in GeV).
OWN_DEFINITIONS: Mapping[str, tuple[int, int, float, float, float]] = {
    "Higgs0": (1, 0, 125.2, 0.0, 0.0), "Z'0": (3, 0, 500.0, 0.0, 0.0), "Z''0": (3, 0, 900.0, 0.0, 0.0),
    "Higgs'0": (1, 0, 310.0, 0.0, 0.0), "A0": (1, 0, 310.0, 0.0, 0.0), "R0": (3, 0, 5000.0, 0.0, 0.0),
    "rho(3S)0": (3, 0, 1.72, 0.25, 0.8), "rho(3S)+": (3, 3, 1.72, 0.25, 0.8), "rho(3S)-": (3, -3, 1.72, 0.25, 0.8),
}

#: Particles that neither Pythia nor the `particle` package knows under their code, from the Belle II particle
#: table: code -> (name, anti-name, 2 x spin + 1, 3 x charge, mass, width, furthest from the mass in GeV).
EXTRA_PARTICLES: Mapping[int, tuple[str, str, int, int, float, float, float]] = {
    100411: ("D(2S)+", "D(2S)-", 1, 3, 2.564, 0.135, 0.5), 100421: ("D(2S)0", "anti-D(2S)0", 1, 0, 2.564, 0.135, 0.5),
    100413: ("D*(2S)+", "D*(2S)-", 3, 3, 2.623, 0.139, 0.5),
    100423: ("D*(2S)0", "anti-D*(2S)0", 3, 0, 2.623, 0.139, 0.5),
    9120443: ("X_1(3872)", "void", 3, 0, 3.87169, 0.00115, 0.006),
    9910445: ("X_2(3872)", "void", 5, 0, 3.87169, 0.00115, 0.006),
    9042413: ("Z(4430)+", "Z(4430)-", 3, 3, 4.478, 0.181, 0.6),
}

#: What files for other places than the Upsilon(4S) decay, in words.
NOT_SIMULATED: Mapping[str, str] = {
    "vpho": "virtual photons", "B_s0": "B_s mesons", "anti-B_s0": "B_s mesons", "B_c+": "B_c mesons",
    "B_c-": "B_c mesons", "Upsilon(5S)": "the Upsilon(5S)", "Upsilon(6S)": "the Upsilon(6S)",
    "Upsilon(3S)": "the Upsilon(3S)", "Upsilon(2S)": "the Upsilon(2S)", "Upsilon": "the Upsilon(1S)",
    "tau+": "tau pairs", "tau-": "tau pairs",
}


def code_of(name: str, aliases: Mapping[str, str]) -> int:
    """PDG code of a name of a decay file: alias, parton or particle.

    Raises :class:`UnknownNameError`.

    >>> code_of("anti-cd_0", {}), code_of("MyPi", {"MyPi": "pi+"})
    (-4101, 211)
    """
    name = aliases.get(name, name)
    for known in (PARTONS, EXTRA_NAMES):
        if name in known:
            return known[name]
    if name.startswith("anti-") and name[5:] in PARTONS:
        return -PARTONS[name[5:]]
    try:
        return pdg_code(name)
    except UnknownNameError:
        raise UnknownNameError(f"unknown particle '{name}'.{nearest(name, [*known_names(), *aliases])}") from None


@cache
def known_names() -> Mapping[str, int]:
    """Every name that is no alias, with its code."""
    from particle import Particle

    names: dict[str, int] = {}
    for entry in Particle.all():
        try:
            name = entry.evtgen_name
        except Exception:  # particle raises its own MatchingIDNotFound family
            continue
        if name:
            names[name] = int(entry.pdgid)
    anti = {f"anti-{name}": -code for name, code in PARTONS.items() if code != 21}
    return {**names, **PARTONS, **anti, **EXTRA_NAMES}


@cache
def _by_code() -> Mapping[int, str]:
    return {code: name for name, code in known_names().items() if not name.startswith("Xu")}


_XU = {"Xu0": "Xu0", "Xu+": "Xu-", "Xu-": "Xu+"}


def conjugate_name(name: str) -> str:
    """Name of the charge conjugate of a particle or parton that is no alias; its own if it has none.

    >>> conjugate_name("D'_1+"), conjugate_name("anti-cd_0"), conjugate_name("J/psi"), conjugate_name("K_S0")
    ("D'_1-", 'cd_0', 'J/psi', 'K_S0')
    """
    if name in _XU:
        return _XU[name]
    return _by_code().get(-code_of(name, {}), name)
