"""Toy candidates of the HTA with known distributions."""

from __future__ import annotations

import numpy as np

from fei_lite.analyses.candidates.files import VERSION
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.ntuple import write_ntuple
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.folders import load_analysis

HTA = load_analysis("hta")
RECIPE = HTA.recipe
EDGES = RECIPE.region[0].edges
FEATURES = RECIPE.classifier[0].features


def toy(process, n, *, seed, n_generated=None, shift=0.0):
    """Candidates with independent Gaussian inputs, those of signal shifted; a part of them fails each cut."""
    rng = np.random.default_rng([seed, sum(map(ord, process))])
    columns = {name: rng.normal(shift if i < 3 else 0.0, 1.0, n) for i, name in enumerate(FEATURES)}
    for name in ("nCleanedTracks", "nCleanedClusters"):
        columns[name] = rng.choice([3, 0], n)
    for name in ("visibleEnergyOfEventCMS", "E_ECL"):
        columns[name] = rng.uniform(1.0, 10.0, n)
    for name in ("Tracks", "K_S0", "pi0", "Lambda0"):
        columns[f"nROE_{name}"] = rng.choice([0, 0, 0, 0, 1], n)
    signal = process == "signal"
    columns |= {"event": np.arange(n), "weight": rng.uniform(0.5, 1.5, n) if signal else np.ones(n),
                "q2": rng.uniform(0, 22.9, n), "q2_generated": np.full(n, np.nan),
                "nROE_Photons": rng.poisson(1.0, n), "nKL_seen": rng.integers(0, 2, n),
                "nKL_lost": rng.integers(0, 2, n), "source": np.zeros(n, np.int32)}
    if signal:
        columns |= {"q2_generated": columns["q2"], "q2": columns["q2"] + rng.normal(0.0, 0.3, n)}
    source = Source(f"{process}{seed}.root", process, seed, n_generated or 20 * n, 2 * n,
                    {"decay_file": "k_nunu"} if signal else {})
    sample = "signal" if signal else RECIPE.samples_of(process)[0].name
    counts = {sample: {"events read": [2 * n, 2.0 * n], "Btag": [int(1.5 * n), 1.5 * n],
                       "Btag and signal side": [n, float(columns["weight"].sum())]}}
    return columns, source, counts


def inputs_of(*toys):
    """Several toys as the input of an analysis."""
    parts = [dict(columns, source=np.full(len(columns["event"]), i, np.int32))
             for i, (columns, _, _) in enumerate(toys)]
    return Inputs({name: np.concatenate([p[name] for p in parts]) for name in parts[0]},
                  tuple(t[1] for t in toys), tuple(t[2] for t in toys))


TOYS = [toy("signal", 12000, seed=1, shift=1.0), toy("charged", 9000, seed=2), toy("mixed", 6000, seed=3),
        toy("ccbar", 4000, seed=4), toy("uubar", 4000, seed=5), toy("ddbar", 2000, seed=6)]


def write_toys(folder, toys):
    """Ntuples of toy candidates."""
    files = []
    for columns, source, counts in toys:
        files.append(folder / f"{source.process}.parquet")
        write_ntuple(files[-1], columns, {"analysis": "hta", "version": VERSION, "models": {}, "recipe": HTA.identity,
                                          "sources": [{"source": source.to_json(), "counts": counts}]}, force=True)
    return files
