"""The simulated detector beside the Belle II software: its events (mDST) and its validation histograms.

Each :class:`Row` is an observable with the value of Belle II's simulation, ours, and the tolerance within which
they are to agree. The tolerances are what an observable needs to be to serve a tagger, not statistical errors.
The numbers of ``detector/response.toml`` marked "tuned" were chosen on these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uproot
from numpy.typing import NDArray

from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.detector.simulate import simulate_detector
from fei_lite.events.batch import EventBatch, Jagged, concatenate
from fei_lite.events.mdst import read_mdst
from fei_lite.generator.generate import generate
from fei_lite.production.gun import particle_gun
from fei_lite.reconstruction.kinematics import helix_from_cartesian

HYPOTHESES = {"e": (11, 0), "mu": (13, 1), "pi": (211, 2), "K": (321, 3), "p": (2212, 4)}
ID_NAMES = {"e": "electronID", "mu": "muonID", "pi": "pionID", "K": "kaonID", "p": "protonID"}
DIAGONAL = {"d0": 0, "phi0": 5, "omega": 9, "z0": 12, "tanLambda": 14}


@dataclass(frozen=True)
class Row:
    """One line of the comparison; ``tolerance`` is relative, or absolute where ``absolute``."""

    observable: str
    reference: float
    ours: float
    tolerance: float
    absolute: bool = False

    @property
    def ratio(self) -> float:
        """Ours over the reference."""
        return self.ours / self.reference if self.reference else float("nan")

    @property
    def agrees(self) -> bool:
        """Within the tolerance."""
        scale = 1.0 if self.absolute else abs(self.reference)
        return abs(self.ours - self.reference) <= self.tolerance * scale


def matched(batch: EventBatch, objects: Jagged) -> tuple[NDArray, NDArray]:
    """Row of the matched generated particle (0 where none) and whether there is one."""
    assert batch.generated is not None
    index = objects["mc_index"]
    return np.where(index >= 0, index + batch.generated.offsets[objects.event_index], 0), index >= 0


def half_width(values: NDArray) -> float:
    """Half of the central 68 %."""
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2.0


def multiplicities(ours: EventBatch, theirs: EventBatch) -> list[Row]:
    """Mean numbers per event; the mDST files have no beam background."""
    rows = []
    for what, tolerance in (("tracks", 0.10), ("clusters", 0.15), ("klm", 0.25)):
        rows.append(Row(f"{what} per event (mDST)", float(getattr(theirs, what).counts.mean()),
                        float(getattr(ours, what).counts.mean()), tolerance))

    def neutral(batch: EventBatch, what: str) -> float:
        c = batch.clusters
        gen, has = matched(batch, c)
        assert batch.generated is not None
        photon = has & (batch.generated["pdg"][gen] == 22) & (batch.generated["status"][gen] & 1 == 1)
        base = (c["is_track"] == 0) & (c["is_photon"] == 1) & (c["E"] > 0.05)
        chosen = {"photons": base & photon, "other": base & ~photon, "tracked": c["is_track"] == 1}[what]
        return float(chosen.sum()) / batch.n_events

    for what, tolerance in (("photons", 0.15), ("other", 0.3), ("tracked", 0.25)):
        rows.append(Row(f"clusters: {what} per event (mDST)", neutral(theirs, what), neutral(ours, what), tolerance))
    return rows


def track_errors(ours: EventBatch, theirs: EventBatch) -> list[Row]:
    """Median stored errors of tracks with vertex hits, in bins of pT."""
    def errors(batch: EventBatch, name: str, low: float, high: float) -> float:
        t = batch.tracks
        pt = CURVATURE_TO_PT * batch.events["bz"][t.event_index] / np.abs(t["helix"][:, 2])
        chosen = (pt > low) & (pt < high) & (t["n_pxd_hits"] > 0) & (t["n_svd_hits"] > 3)
        chosen &= np.abs(t["helix"][:, 4] - 0.3) < 1.0
        sigma = np.sqrt(t["helix_cov"][chosen, DIAGONAL[name]])
        return float(np.median(sigma / np.abs(t["helix"][chosen, 2]) if name == "omega" else sigma))

    return [Row(f"sigma({name}){'/omega' if name == 'omega' else ''} pT {low}-{high} (mDST)",
                errors(theirs, name, low, high), errors(ours, name, low, high), 0.2)
            for name in DIAGONAL for low, high in ((0.1, 0.2), (0.2, 0.35), (0.35, 0.6), (0.6, 1.0), (1.0, 2.0))]


def tracking(ours: EventBatch, data: Path) -> list[Row]:
    """Finding efficiency of primary particles and resolutions against pT."""
    assert ours.generated is not None
    t, g = ours.tracks, ours.generated
    gen, has = matched(ours, t)
    found = np.zeros(len(g), dtype=bool)
    found[gen[has]] = True
    pt, pz = np.hypot(g["p4"][:, 0], g["p4"][:, 1]), g["p4"][:, 2]
    theta = np.degrees(np.arctan2(pt, pz))
    charged = np.isin(np.abs(g["pdg"]), [11, 13, 211, 321, 2212]) & (g["status"] & 3 == 3)
    charged &= (theta > 17) & (theta < 150) & (np.hypot(g["vertex"][:, 0], g["vertex"][:, 1]) < 1.0)
    rows = []
    with uproot.open(data / "basf2_validation/tracking/FullTrackingValidationBkg.root") as file:
        profile = file["FullBkg_finding_efficiency_by_p_t"]
        edges, values, counts = profile.axis().edges(), profile.values(), profile.counts()
        for low, high in ((0.05, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.5), (0.5, 1.0), (1.0, 2.3)):
            bins = (edges[:-1] > low - 0.03) & (edges[1:] < high + 0.03)
            chosen = charged & (pt > low) & (pt < high)
            rows.append(Row(f"track finding efficiency pT {low}-{high}",
                            float(np.average(values[bins], weights=counts[bins])),
                            float(found[chosen].mean()), 0.03, absolute=True))
        for name in ("d0", "z0", "pt"):
            graph = file[f"FullBkg_{name}_res_resolution"]
            for centre, value in zip(graph.member("fX"), graph.member("fY"), strict=True):
                low, high = centre * 0.75, centre * 1.25
                m = has & (pt[gen] > low) & (pt[gen] < high) & charged[gen]
                truth = true_quantity(ours, name, gen[m], t.event_index[m])
                measured = (CURVATURE_TO_PT * 1.5 / np.abs(t["helix"][m, 2]) if name == "pt"
                            else t["helix"][m, {"d0": 0, "z0": 3}[name]])
                rows.append(Row(f"resolution {name} pT {centre:.3g} (validation)", float(value),
                                half_width(measured - truth), 0.35))
    return rows


def true_quantity(batch: EventBatch, name: str, gen: NDArray, event: NDArray) -> NDArray:
    """True d0, z0 or pT of matched tracks."""
    assert batch.generated is not None
    g = batch.generated
    charge = np.sign(g["pdg"][gen]) * np.where(np.isin(np.abs(g["pdg"][gen]), [11, 13]), -1, 1)
    helix = helix_from_cartesian(g["p4"][gen, :3], g["vertex"][gen], charge=charge, bz=batch.events["bz"][event])
    if name == "pt":
        return np.asarray(np.hypot(g["p4"][gen, 0], g["p4"][gen, 1]))
    return np.asarray(helix[:, {"d0": 0, "z0": 3}[name]])


def pid(data: Path, rng: np.random.Generator) -> list[Row]:
    """Efficiencies and fake rates of L_i / sum L above 0.2 and 0.8, from particle guns flat in p."""
    rows = []
    with uproot.open(data / "basf2_validation/reconstruction/Global_ChargedPID_Validation.root") as file:
        for true, (code, _) in HYPOTHESES.items():
            shot = particle_gun(code, 30000, rng=rng, momentum=(0.05, 5.0))
            ours = simulate_detector(shot, rng=rng, background=False)
            t = ours.tracks
            gen, has = matched(ours, t)
            assert ours.generated is not None
            has &= np.abs(ours.generated["pdg"][gen]) == code  # not what it becomes: muons, protons knocked out
            likelihood = np.exp(t["pid_logl"].astype(np.float64))
            ratio = likelihood / likelihood.sum(axis=1, keepdims=True)
            p = np.linalg.norm(ours.generated["p4"][gen, :3], axis=1)
            for cut in (0.2, 0.8):
                for tested, (_, column) in HYPOTHESES.items():
                    prefix = "" if tested == true else "fake_"
                    name = f"{prefix}cut{cut * 10:02.0f}_{true}_{ID_NAMES[tested]}_p/p"
                    values, total = file[name].values(), file[f"total_{true}_p/p;1"].values()
                    edges = file[name].axis().edges()
                    for low, high in ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0)):
                        bins = (edges[:-1] >= low - 1e-6) & (edges[1:] <= high + 1e-6)
                        chosen = has & (p > low) & (p < high)
                        rows.append(Row(f"{true}: {ID_NAMES[tested]} > {cut}, p {low}-{high}",
                                        float(values[bins].sum() / total[bins].sum()),
                                        float((ratio[chosen, column] > cut).mean()), 0.04, absolute=True))
    return rows


def photons(data: Path, rng: np.random.Generator) -> list[Row]:
    """Photon guns of 0.1 and 1 GeV in the barrel, 0.1 GeV in the endcaps."""
    rows = []
    for name, energy, theta in (("Barrel", 0.1, (33, 128)), ("FWD", 0.1, (13, 31)), ("BWD", 0.1, (131, 154)),
                                ("Barrel_1000MeV", 1.0, (33, 128))):
        gun = particle_gun(22, 20000, rng=rng, momentum=(energy, energy), theta_deg=theta)
        c = simulate_detector(gun, rng=rng, background=False).clusters
        with uproot.open(data / f"basf2_validation/ecl/ECLCluster{name}.root") as file:
            none = float(file["hMultip"].values()[0] / file["hMultip"].values().sum())
            rows.append(Row(f"photon {name}: no cluster", none, float((c.counts == 0).mean()), 0.06, absolute=True))
            for key, column, scale in (("hEnergy", "E", 1.0), ("hthetaerror", "theta_error", 1.0),
                                       ("hphierror", "phi_error", 1.0), ("hE9oE21", "E9E21", 1.0),
                                       ("hNofCrystals", "n_hits", 1.0)):
                h = file[key]
                median = float(np.interp(0.5, np.cumsum(h.values()) / h.values().sum(), h.axis().edges()[1:]))
                rows.append(Row(f"photon {name}: median {column}", median, float(np.median(c[column])) * scale, 0.15))
    return rows


def detector_rows(data: Path, *, n_events: int = 2000, seed: int = 1) -> list[Row]:
    """All observables, from ``n_events`` generated B+B- events and particle guns.

    ``data`` holds ``basf2_validation/`` and ``basf2_mdst/``. The mDST files have no beam
    background, the histograms do: the events are simulated both ways.
    """
    rng = np.random.default_rng(seed)
    made = list(generate("charged", n_events, seed=seed))
    ours = concatenate([simulate_detector(b, rng=rng, background=False) for b in made])
    full = concatenate([simulate_detector(b, rng=rng) for b in made])
    theirs = concatenate([read_mdst(path) for path in sorted((data / "basf2_mdst").glob("mdst-v0[569]*.root"))])
    return (multiplicities(ours, theirs) + track_errors(ours, theirs) + tracking(full, data)
            + photons(data, rng) + pid(data, rng))
