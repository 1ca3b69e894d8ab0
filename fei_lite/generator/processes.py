"""The processes that can be simulated, and how often they happen at the Upsilon(4S)."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from fei_lite.errors import SimulationError, nearest


@dataclass(frozen=True)
class Process:
    """A process of e+e-: what is made, and its cross-section in nb at sqrt(s) = 10.58 GeV."""

    name: str
    kind: str  # "bb" (through the Upsilon(4S)) or "continuum"
    code: int  # PDG code of the B or fermion
    cross_section: float


#: e+e- -> Upsilon(4S): 1.110 nb; continuum: tab. 17 of the Belle II Physics Book, arXiv:1808.10567.
UPSILON_4S = 1.110
#: Fraction of B+B- and B0B0bar: f+- = 0.5113, f00 = 0.4861 (as used in arXiv:2311.14647).
F_CHARGED, F_NEUTRAL = 0.5113, 0.4861

PROCESSES = {process.name: process for process in (
    Process("charged", "bb", 521, UPSILON_4S * F_CHARGED),
    Process("mixed", "bb", 511, UPSILON_4S * F_NEUTRAL),
    Process("uubar", "continuum", 2, 1.61),
    Process("ddbar", "continuum", 1, 0.40),
    Process("ssbar", "continuum", 3, 0.38),
    Process("ccbar", "continuum", 4, 1.30),
    Process("taupair", "continuum", 15, 0.919),
    Process("signal", "bb", 0, 0.0),
)}

#: Time-integrated mixing probability of a B0 (PDG) and its mixing frequency [1/ps], lifetime [ps].
CHI_D = 0.186
DELTA_M_D = 0.5065
TAU_B0 = 1.517


def find_process(name: str) -> Process:
    """The process called ``name``; :class:`SimulationError` with the nearest name otherwise."""
    if name not in PROCESSES:
        raise SimulationError(f"unknown process '{name}': expected one of {', '.join(PROCESSES)}."
                              f"{nearest(name, PROCESSES)}")
    return PROCESSES[name]


#: Seeds run from 0 to one less than this: Pythia has 900 000 000 of them, and each gives another sequence.
SEEDS = 900_000_000


def check_seed(seed: int) -> int:
    """The seed, if Pythia has one of its own for it; :class:`SimulationError` otherwise.

    Pythia's ``Random:seed`` goes from 1 to 900 000 000 (0 is the time, a negative one the default), which its
    generator (Marsaglia, Zaman and Tsang) maps one to one onto starting points; ours is one less. Larger ones
    would have to share.
    """
    if not 0 <= seed < SEEDS:
        raise SimulationError(f"seed: got {seed}, expected 0 to {SEEDS - 1}: Pythia has no others, and two seeds that "
                              "share one would give the same events.")
    return seed


def run_number(process: str, seed: int, made_by: str = "") -> int:
    """The run of simulated events, 1 to 2^31 - 1: the same for the same process, seed, and digests of what made them.

    With the event number it is a key: files of other events have other runs, but for one pair in 2^31.

    >>> run_number("charged", 1), run_number("charged", 2)
    (1817072528, 1197670477)
    """
    return zlib.crc32(f"{process} {seed} {made_by}".encode()) % (2**31 - 1) + 1


def events_in(name: str, luminosity: float) -> int:
    """Events of a process in an integrated luminosity (1/fb), on average and rounded.

    Raises :class:`SimulationError` for a process without a cross-section and for a luminosity that is not positive.

    >>> events_in("ccbar", 0.01)
    13000
    """
    process = find_process(name)
    if not process.cross_section > 0.0:
        raise SimulationError(f"{name}: no cross-section, so a luminosity is no number of events: give -n.")
    if not (luminosity > 0.0 and math.isfinite(luminosity)):
        raise SimulationError(f"luminosity {luminosity}: expected a positive number of inverse femtobarn.")
    return round(luminosity * 1e6 * process.cross_section)
