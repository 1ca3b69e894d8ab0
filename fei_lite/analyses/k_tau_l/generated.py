"""The generated B -> K tau l: which of the four, and where in the Dalitz plane."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch

Floats = NDArray[np.float64]

#: Modes in the order of their numbers; the charges are those of decays of a B0 or B+.
MODES = ("tau+ e-", "tau+ mu-", "tau- e+", "tau- mu+")
_B_MESONS, _TAU, _LIGHT, _NEUTRINOS = (511, 521), 15, (11, 13), (12, 14, 16)


@dataclass(frozen=True)
class Generated:
    """Of every event (n,): ``mode`` (position in :data:`MODES`, -1 without such a decay), and of the decay the masses
    squared ``m2_taul`` = (p_B - p_K)^2 and ``m2_Kl`` = (p_B - p_tau)^2, the hadron's mass ``m_K`` (GeV), and ``cos``
    of the angle between tau and B in the rest frame of tau l; NaN without.
    """

    mode: NDArray[np.int64]
    m2_taul: Floats = field(repr=False)
    m2_Kl: Floats = field(repr=False)
    m_K: Floats = field(repr=False)
    cos: Floats = field(repr=False)


def generated_decays(batch: EventBatch) -> Generated:
    """What the generated B -> K tau l of each event is; photons radiated by the lepton count with it.

    Raises :class:`EventFileError` without truth.
    """
    generated = batch.generated
    if generated is None:
        raise EventFileError(f"{batch.source or 'batch'}: no list 'generated': the signal needs its generated decay.")
    code, event, p4 = generated["pdg"], generated.event_index, generated["p4"]
    first = generated.offsets[:-1][event]
    mother = np.where(generated["mother"] >= 0, generated["mother"] + first, 0)
    of_b = np.isin(np.abs(code[mother]), _B_MESONS) & (generated["mother"] >= 0)
    n = len(code)
    taus, leptons, neutrinos = (np.flatnonzero(of_b & np.isin(np.abs(code), codes)) for codes in
                                ((_TAU,), _LIGHT, _NEUTRINOS))
    tau_of, lepton_of = np.full(n, -1), np.full(n, -1)
    tau_of[mother[taus]], lepton_of[mother[leptons]] = taus, leptons
    kaon_of = np.full(n, -1)
    hadrons = np.flatnonzero(of_b & (np.abs(code) > 100))
    kaon_of[mother[hadrons]] = hadrons
    good = (tau_of >= 0) & (lepton_of >= 0) & (kaon_of >= 0)
    good[mother[neutrinos]] = False
    b = np.flatnonzero(good)
    tau, lepton, kaon = tau_of[b], lepton_of[b], kaon_of[b]
    mode = 2 * (code[tau] * code[b] > 0) + (np.abs(code[lepton]) == 13)  # the tau+ is -15, the B0 511
    pair = p4[b] - p4[kaon]
    m2_pair, m2_kl, m_k = _square(pair), _square(p4[b] - p4[tau]), np.sqrt(np.maximum(_square(p4[kaon]), 0.0))
    out = Generated(np.full(batch.n_events, -1), *(np.full(batch.n_events, np.nan) for _ in range(4)))
    where = event[b]
    out.mode[where] = mode
    for column, values in ((out.m2_taul, m2_pair), (out.m2_Kl, m2_kl), (out.m_K, m_k),
                           (out.cos, _cosine(pair, p4[tau], p4[b]))):
        column[where] = values
    return out


def _square(p4: Floats) -> Floats:
    return np.asarray(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))


def _product(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 3] * b[:, 3] - np.sum(a[:, :3] * b[:, :3], axis=1))


def _cosine(pair: Floats, tau: Floats, b: Floats) -> Floats:
    """Cosine of the angle between the flight of the pair and the tau in the pair's frame, without a boost."""
    m2 = _square(pair)
    energies = [_product(pair, x) / np.sqrt(m2) for x in (tau, b)]
    momenta = [np.sqrt(np.maximum(e**2 - _square(x), 0.0)) for e, x in zip(energies, (tau, b), strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        # in the frame of the pair the B flies against the pair's flight as the B sees it
        return np.asarray((_product(tau, b) - energies[0] * energies[1]) / (momenta[0] * momenta[1]))
