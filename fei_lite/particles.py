"""Particle names, codes, masses and charges, in the field's (EvtGen) names.

The numbers are those of the `particle` package (PDG); this module turns MeV
into GeV, writes anti-particles as EvtGen and basf2 do (``anti-D0``,
``anti-p-``) and knows what a charge conjugate is.
"""

from __future__ import annotations

from functools import cache

from fei_lite.errors import UnknownNameError, nearest

#: Positive and negative track of a V0 by PDG code; those of an anti-particle follow from it (:func:`v0_tracks`).
_V0_TRACKS = {310: (211, -211), 22: (-11, 11), 3122: (2212, -211)}

#: basf2 names that EvtGen's table spells differently.
_ALIASES = {"pi0": 111, "K_S0": 310, "K_L0": 130, "J/psi": 443, "gamma": 22}


@cache
def _tables() -> tuple[dict[str, int], dict[int, str]]:
    from particle import Particle  # takes a third of a second: only when needed

    codes: dict[str, int] = {}
    for entry in Particle.all():
        try:
            name = entry.evtgen_name
        except Exception:  # particle raises its own MatchingIDNotFound family
            continue
        if name:
            codes[name] = int(entry.pdgid)
    codes.update(_ALIASES)
    return codes, {code: name for name, code in codes.items()}


def pdg_code(name: str) -> int:
    """PDG code of a particle name; labels (``D0:generic``, ``K_S0:V0``) are ignored.

    Raises :class:`UnknownNameError` with the nearest known name.

    >>> pdg_code("anti-D0"), pdg_code("K_S0:V0")
    (-421, 310)
    """
    base = name.split(":", 1)[0]
    codes, _ = _tables()
    if base not in codes:
        raise UnknownNameError(f"unknown particle '{base}'.{nearest(base, codes)}")
    return codes[base]


def particle_name(code: int) -> str:
    """Name of a PDG code.

    Raises :class:`UnknownNameError` for a code without an EvtGen name.

    >>> particle_name(-2212)
    'anti-p-'
    """
    _, names = _tables()
    if int(code) not in names:
        raise UnknownNameError(f"unknown PDG code {code}.")
    return names[int(code)]


@cache
def _entry(code: int):  # type: ignore[no-untyped-def]
    from particle import Particle

    return Particle.from_pdgid(code)


def mass(name: str | int) -> float:
    """Nominal (PDG) mass in GeV; 0 where the PDG gives none (photon, neutrinos).

    >>> round(mass("pi+"), 5)
    0.13957
    """
    code = name if isinstance(name, int) else pdg_code(name)
    value = _entry(code).mass
    return 0.0 if value is None else float(value) / 1000.0


def charge(name: str | int) -> int:
    """Electric charge in units of the positron's.

    >>> charge("anti-p-"), charge("D*+")
    (-1, 1)
    """
    code = name if isinstance(name, int) else pdg_code(name)
    return int(_entry(code).charge)


def is_self_conjugate(name: str | int) -> bool:
    """True for a particle that is its own anti-particle (pi0, K_S0, J/psi, gamma).

    >>> is_self_conjugate("K_S0"), is_self_conjugate("D0")
    (True, False)
    """
    code = name if isinstance(name, int) else pdg_code(name)
    return code in (310, 130) or _entry(code).is_self_conjugate


def conjugate(name: str) -> str:
    """Name of the charge conjugate; the label stays.

    >>> conjugate("D*-"), conjugate("K_S0:V0"), conjugate("p+")
    ('D*+', 'K_S0:V0', 'anti-p-')
    """
    base, colon, label = name.partition(":")
    code = pdg_code(base)
    other = base if is_self_conjugate(code) else particle_name(-code)
    return other + colon + label


def flavours(name: str | int) -> tuple[int, int, int]:
    """Strangeness, charm and bottomness, from the digits of the PDG code.

    Signs are those of the PDG's review: an s or b quark counts -1, a c quark
    +1. K_S0 and K_L0 are mixtures without a strangeness; it is given as 0.
    Leptons, photons and excited states alike: the last three quark digits count.

    >>> flavours("K+"), flavours("D_s+"), flavours("anti-B0"), flavours("Lambda_c+")
    ((1, 0, 0), (1, 1, 0), (0, 0, -1), (0, 1, 0))
    """
    code = name if isinstance(name, int) else pdg_code(name)
    digits = [abs(code) // 10**k % 10 for k in (3, 2, 1)]
    count = dict.fromkeys(range(10), 0)
    sign = 1 if code > 0 else -1
    if abs(code) >= 100 and code not in (130, 310):
        if digits[0]:  # a baryon: three quarks
            for quark in digits:
                count[quark] += sign
        else:  # a meson: the heavier flavour is a quark if it is of up type, else an antiquark
            heavy = sign if digits[1] % 2 == 0 else -sign
            count[digits[1]] += heavy
            count[digits[2]] -= heavy
    return -count[3], count[4], -count[5]


def v0_tracks(code: int) -> tuple[int, int]:
    """PDG codes of the positive and the negative track of a V0.

    >>> v0_tracks(3122), v0_tracks(-3122), v0_tracks(22)
    ((2212, -211), (211, -2212), (-11, 11))
    """
    if code in _V0_TRACKS:
        return _V0_TRACKS[code]
    if -code not in _V0_TRACKS:
        raise UnknownNameError(f"PDG code {code} is no V0, expected one of {', '.join(map(str, _V0_TRACKS))}.")
    positive, negative = _V0_TRACKS[-code]
    return -negative, -positive


def v0_daughters(name: str) -> tuple[str, str]:
    """Species of the tracks of a V0, both named as the positive particle; the positive track of ``name`` first.

    Of the conjugate the first is the negative one.

    >>> v0_daughters("Lambda0"), v0_daughters("K_S0"), v0_daughters("gamma:V0")
    (('p+', 'pi+'), ('pi+', 'pi+'), ('e+', 'e+'))
    """
    positive, negative = v0_tracks(abs(pdg_code(name)))
    return particle_name(positive), particle_name(-negative)
