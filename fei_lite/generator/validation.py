"""The generator against its decay table, and against the Belle II software's generator histograms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.generator.decay_table import belle2_table, fragments, require_modes
from fei_lite.generator.records import conjugated, hashed

#: Particles of the multiplicity histograms: name of the histogram -> absolute PDG code.
MULTIPLICITIES: Mapping[str, int] = {
    "nPIp": 211, "nKp": 321, "nPI0": 111, "nPHOTON": 22, "nD0": 421, "nDp": 411, "nJPSI": 443, "nKS0": 310,
    "nKL0": 130, "nELECTRON": 11, "nMUON": 13,
}

_RADIATED = STATUS["photos_photon"] | STATUS["fsr_photon"]


@dataclass(frozen=True)
class ModeCount:
    """A decay mode: products (PDG codes; empty for all modes not listed), decays seen and expected."""

    products: tuple[int, ...]
    seen: int
    expected: float


@dataclass(frozen=True)
class ModeComparison:
    """Decays of one particle against the table; ``p_value`` of Pearson's chi2 of all ``modes``."""

    code: int
    n_decays: int
    modes: tuple[ModeCount, ...]
    chi2: float
    p_value: float


class DecayCounter:
    """Counts decays of given particles (and of their antiparticles) by their products.

    Photons of final-state radiation are not products.
    """

    def __init__(self, codes: Sequence[int]) -> None:
        self.counts: dict[int, dict[int, int]] = {code: {} for code in codes}

    def add(self, generated: Jagged) -> None:
        """Count the decays of a batch (columns pdg, mother, status)."""
        pdg, mother = generated["pdg"].astype(np.int64), generated["mother"]
        rows = np.flatnonzero((mother >= 0) & (generated["status"] & _RADIATED == 0))
        above = mother[rows] + generated.offsets[generated.event_index[rows]]
        for code, counts in self.counts.items():
            mine = np.abs(pdg[above]) == code
            decayed, group = np.unique(above[mine], return_inverse=True)
            products = pdg[rows[mine]]
            products = np.where(pdg[above[mine]] < 0, conjugated(products), products)
            sums = np.zeros(len(decayed), dtype=np.uint64)
            np.add.at(sums, group, hashed(products))
            for key, n in zip(*np.unique(sums, return_counts=True), strict=True):
                counts[int(key)] = counts.get(int(key), 0) + int(n)

    def compare(self, code: int, n_modes: int = 50) -> ModeComparison:
        """The most frequent modes of the table, with all others as one more, against what was counted.

        Modes of the table with the same products are one mode. Parton modes
        have no products of their own and belong to the others.
        """
        from scipy.stats import chi2 as chi2_distribution

        fractions: dict[tuple[int, ...], float] = {}
        for mode in require_modes(belle2_table(), code):
            key = () if fragments(mode) else tuple(sorted(mode.products))
            fractions[key] = fractions.get(key, 0.0) + mode.fraction
        total = sum(fractions.values())
        fractions.pop((), None)
        counts = self.counts[code]
        n = sum(counts.values())
        listed = sorted(fractions, key=lambda products: -fractions[products])[:n_modes]
        modes = [ModeCount(products, counts.get(_key(products), 0), n * fractions[products] / total)
                 for products in listed]
        others = ModeCount((), n - sum(m.seen for m in modes), n - sum(m.expected for m in modes))
        if others.expected > 1e-6 * n or others.seen:
            modes.append(others)
        chi2 = sum((m.seen - m.expected) ** 2 / m.expected if m.expected > 0.0 else np.inf for m in modes)
        return ModeComparison(code, n, tuple(modes), float(chi2), float(chi2_distribution.sf(chi2, len(modes) - 1)))


def _key(products: Sequence[int]) -> int:
    """What :class:`DecayCounter` calls a set of products."""
    return int(hashed(np.array(products, dtype=np.int64)).sum())


@dataclass(frozen=True)
class Multiplicity:
    """Particles (with antiparticles) per event: ours, the same with K_L decayed, the reference; one-sigma errors."""

    name: str
    code: int
    ours: float
    error: float
    with_kl_decays: float
    reference: float
    reference_error: float

    @property
    def ratio(self) -> float:
        """Ours, with K_L decayed, over the reference."""
        return self.with_kl_decays / self.reference


def count_particles(generated: Jagged, codes: Sequence[int]) -> NDArray[np.int64]:
    """Particles and antiparticles of each code, in each event; shape (events, codes)."""
    absolute, event = np.abs(generated["pdg"]), generated.event_index
    n = len(generated.counts)
    return np.stack([np.bincount(event[absolute == code], minlength=n) for code in codes], axis=1)


def kl_products() -> dict[int, float]:
    """Particles in the decay of a K_L by the table (pi0 decayed too), by absolute PDG code.

    The Belle II software's histograms were made with decayed K_L; here the
    detector sees them fly.
    """
    def mean_products(code: int) -> dict[int, float]:
        modes = require_modes(belle2_table(), code)
        total = sum(mode.fraction for mode in modes)
        out: dict[int, float] = {}
        for mode in modes:
            for product in mode.products:
                out[abs(product)] = out.get(abs(product), 0.0) + mode.fraction / total
        return out

    products = mean_products(130)
    for code, n in mean_products(111).items():
        products[code] = products.get(code, 0.0) + n * products.get(111, 0.0)
    return products


def compare_multiplicities(counts: NDArray[np.int64], reference: str | os.PathLike[str]) -> list[Multiplicity]:
    """Means per event of :func:`count_particles` of ``MULTIPLICITIES`` against histograms of a file.

    ``counts`` (events, particles). The reference file is
    MultiplicityPlotsCharged.root or MultiplicityPlotsMixed.root of the Belle II
    software's validation.
    """
    import uproot

    names = list(MULTIPLICITIES)
    mean, error = counts.mean(axis=0), counts.std(axis=0) / np.sqrt(len(counts))
    kl = mean[names.index("nKL0")]
    extra = kl_products()
    out = []
    with uproot.open(Path(reference)) as file:
        for i, (name, code) in enumerate(MULTIPLICITIES.items()):
            values, edges = file[name].to_numpy()
            centres = np.floor(0.5 * (edges[1:] + edges[:-1]) + 1e-9)
            n = values.sum()
            centre = float(np.sum(values * centres) / n)
            spread = float(np.sqrt(np.sum(values * (centres - centre) ** 2) / n))
            out.append(Multiplicity(name, code, float(mean[i]), float(error[i]),
                                    float(mean[i] + kl * extra.get(code, 0.0)), centre, spread / float(np.sqrt(n))))
    return out
