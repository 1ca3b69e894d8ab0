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
    "pi(1)(1400)+": 9000213, "pi(1)(1400)-": -9000213, "pi(1)(1400)0": 9000113, "pi(1)(1600)+": 9010213,
    "pi(1)(1600)-": -9010213, "pi(1)(1600)0": 9010113, "a(0)(1450)+": 10211, "a(0)(1450)-": -10211,
    "a(0)(1450)0": 10111, "pi(2)(1670)+": 10215, "pi(2)(1670)-": -10215, "pi(2)(1670)0": 10115, "rho(3)(1690)+": 217,
    "rho(3)(1690)-": -217, "rho(3)(1690)0": 117, "K(2)(1770)+": 10325, "K(2)(1770)-": -10325, "K(2)(1770)0": 10315,
    "anti-K(2)(1770)0": -10315, "K(2)(1820)+": 20325, "K(2)(1820)-": -20325, "K(2)(1820)0": 20315,
    "anti-K(2)(1820)0": -20315, "eta(2)(1645)": 10225, "omega(3)(1670)": 227, "f(0)(1710)": 10331,
    "phi(3)(1850)": 337, "f(2)(1950)": 9050225, "f(2)(2010)": 9060225, "f(4)(2050)": 229, "f(2)(2300)": 9080225,
    "f(2)(2340)": 9090225, "eta_b(2S)": 100551, "eta_b(3S)": 200551, "eta_b2(1D)": 10555, "eta_b2(2D)": 110555,
    "Upsilon_1(1D)": 30553, "Upsilon_2(1D)": 20555, "Upsilon_3(1D)": 557, "Upsilon_1(2D)": 130553,
    "Upsilon_2(2D)": 120555, "Upsilon_3(2D)": 100557, "chi_b0(3P)": 210551, "chi_b1(3P)": 220553,
    "chi_b2(3P)": 200555, "h_b(3P)": 210553, "Xi_cc++": 4422, "anti-Xi_cc--": -4422, "Xi_cc+": 4412,
    "anti-Xi_cc-": -4412, "Xi_cc*++": 4424, "anti-Xi_cc*--": -4424, "Xi_cc*+": 4414, "anti-Xi_cc*-": -4414,
    "Omega_cc+": 4432, "anti-Omega_cc-": -4432, "Omega_cc*+": 4434, "anti-Omega_cc*-": -4434, "tritium": 1000010030,
    "anti-tritium": -1000010030, "anti-R0": -41, "vpho": 10022, "L-": 17, "L+": -17, "nu_L": 18, "anti-nu_L": -18,
    "W'+": 34, "W'-": -34, "Higgs+": 37, "Higgs-": -37,
}

#: Particles that are always copies of their own, since Pythia or the table means another particle by their code:
#: heavy bosons that searches give a mass (``Particle A0 1.2 0.0``), and the rho(1700), whose code the table's Xu
#: has here. Name -> (2 x spin + 1, 3 x charge, mass, width, furthest from the mass in GeV).
OWN_DEFINITIONS: Mapping[str, tuple[int, int, float, float, float]] = {
    "Higgs0": (1, 0, 125.2, 0.0, 0.0), "Z'0": (3, 0, 500.0, 0.0, 0.0), "Z''0": (3, 0, 900.0, 0.0, 0.0),
    "Higgs'0": (1, 0, 310.0, 0.0, 0.0), "A0": (1, 0, 310.0, 0.0, 0.0), "R0": (3, 0, 5000.0, 0.0, 0.0),
    "rho(3S)0": (3, 0, 1.72, 0.25, 0.8), "rho(3S)+": (3, 3, 1.72, 0.25, 0.8), "rho(3S)-": (3, -3, 1.72, 0.25, 0.8),
    "anti-R0": (3, 0, 5000.0, 0.0, 0.0), "L-": (2, -3, 400.0, 0.0, 0.0), "L+": (2, 3, 400.0, 0.0, 0.0),
    "nu_L": (2, 0, 0.0, 0.0, 0.0), "anti-nu_L": (2, 0, 0.0, 0.0, 0.0), "W'+": (3, 3, 500.0, 0.0, 0.0),
    "W'-": (3, -3, 500.0, 0.0, 0.0), "Higgs+": (1, 3, 310.0, 0.0, 0.0), "Higgs-": (1, -3, 310.0, 0.0, 0.0),
    "vpho": (3, 0, 10.58, 0.0, 0.0),
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
    100551: ("eta_b(2S)", "void", 1, 0, 9.999, 0.0, 0.0), 200551: ("eta_b(3S)", "void", 1, 0, 10.335, 0.0, 0.0),
    10555: ("eta_b2(1D)", "void", 5, 0, 10.157, 0.0, 0.0), 110555: ("eta_b2(2D)", "void", 5, 0, 10.441, 0.0, 0.0),
    30553: ("Upsilon_1(1D)", "void", 3, 0, 10.1576, 0.0, 0.0), 557: ("Upsilon_3(1D)", "void", 7, 0, 10.1674, 0.0, 0.0),
    130553: ("Upsilon_1(2D)", "void", 3, 0, 10.4349, 0.0, 0.0),
    120555: ("Upsilon_2(2D)", "void", 5, 0, 10.4406, 0.0, 0.0),
    100557: ("Upsilon_3(2D)", "void", 7, 0, 10.4443, 0.0, 0.0),
    210551: ("chi_b0(3P)", "void", 1, 0, 10.5007, 0.0, 0.0), 210553: ("h_b(3P)", "void", 3, 0, 10.516, 0.0, 0.0),
}

#: What files for other places than the Upsilon(4S) decay, in words.
NOT_SIMULATED: Mapping[str, str] = {
    "B0long": "B mesons of the Upsilon(5S)", "anti-B0long": "B mesons of the Upsilon(5S)",
    "B0heavy": "B mesons of the Upsilon(5S)", "anti-B0heavy": "B mesons of the Upsilon(5S)",
    "B*+nospin": "B mesons of the Upsilon(5S)", "B*-nospin": "B mesons of the Upsilon(5S)",
    **dict.fromkeys([f"Zb({mass}){sign}" for mass in (10610, 10650) for sign in ("+", "-", "0")], "the Z_b"),
    "B_s0": "B_s mesons", "anti-B_s0": "B_s mesons", "B_c+": "B_c mesons",
    "B_c-": "B_c mesons", "Upsilon(5S)": "the Upsilon(5S)", "Upsilon(6S)": "the Upsilon(6S)",
    "Upsilon(3S)": "the Upsilon(3S) on its resonance", "Upsilon(2S)": "the Upsilon(2S) on its resonance",
    "Upsilon": "the Upsilon(1S) on its resonance",
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
