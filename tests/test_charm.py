"""D mesons made of a signal side's kaon and all other tracks: beside loops over the tracks of an event."""

from __future__ import annotations

from itertools import combinations
from statistics import pstdev

import numpy as np
import pytest

from fei_lite import particles
from fei_lite.analyses.candidates.pairs import without_tag
from fei_lite.candidates import CandidateTable
from fei_lite.channels import load_channel_set
from fei_lite.errors import UnknownNameError
from fei_lite.events import concatenate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.reconstruction.final_state import track_candidates
from fei_lite.reconstruction.kinematics import impact_parameters
from fei_lite.reconstruction.vertexing import fit_vertices
from fei_lite.variables.detector import likelihood_ratios
from fei_lite.variables.subject import Subject

N = 120


@pytest.fixture(scope="module")
def batch():
    return concatenate(list(simulate("charged", N, seed=31)))


@pytest.fixture(scope="module")
def signal(batch):
    """Candidates of the B+ signal sides with a charged kaon first and the variables of theirs."""
    result = reconstruct(batch, without_tag(load_channel_set("xs_nunu")), NoClassifiers())
    table = result.tables["B+:sig"]
    chosen = table.select(table["decayModeID"] == 0)  # B+ -> K+
    assert len(chosen) > 50
    return Subject(chosen, result=result)


def fitted(batch, tables, kaon, pions, mother, sign):
    """M after the fit and p-value of a kaon and pions, or None outside of the window before the fit."""
    p4 = tables["K+"]["p4"][kaon] + sum(tables["pi+"]["p4"][i] for i in pions)
    if not 1.7 < np.sqrt(p4[3]**2 - p4[:3] @ p4[:3]) < 1.95:
        return None
    event = tables["K+"].event_index[kaon]
    offsets = np.zeros(batch.n_events + 1, dtype=np.int64)
    offsets[event + 1:] = 1
    one = CandidateTable(mother, offsets, {"sign": np.array([sign], np.int8),
                                           "daughters": np.array([[kaon, *pions]], np.int32)})
    fit = fit_vertices(one, [tables["K+"], *[tables["pi+"]] * len(pions)], batch)
    return np.sqrt(fit.p4[0, 3]**2 - fit.p4[0, :3] @ fit.p4[0, :3]), fit.chiProb[0]


@pytest.mark.parametrize(("word", "mother", "charges"), [
    ("D0", "D0", [(-1,), (-1, -1, 1)]), ("Dplus", "D+", [(-1, -1)])])
def test_by_loops(batch, signal, word, mother, charges):
    """Would catch a D of another kaon, of the kaon itself, a pion that is not looked at, and a spread about another
    mean: all combinations of each event, one by one (``charges`` relative to the kaon's)."""
    tables = {name: track_candidates(name, batch) for name in ("K+", "pi+")}
    tracks = batch.tracks
    kaon_id = likelihood_ratios(tracks["pid_logl"])[:, 3]
    dr, dz = impact_parameters(tracks["helix"], batch.events["ip"][tracks.event_index])
    good = np.flatnonzero((kaon_id <= 0.6) & (dr < 2.0) & (np.abs(dz) < 4.0))
    mass, spread = signal.value(f"charmM({word})"), signal.value(f"charmChiProbSpread({word})")
    several, nominal = 0, particles.mass(mother)
    kaons = signal.value("daughter(0, charge)")
    objects = signal.around.result.tables["K+:sig"]["object"][signal.column("daughters")[:, 0]]
    for i, kaon in enumerate(objects.tolist()):
        event, found = tracks.event_index[kaon], []
        here = [t for t in good if tracks.event_index[t] == event and t != kaon]
        for wanted in charges:
            for pions in combinations(here, len(wanted)):
                if sorted(tracks["charge"][list(pions)] * kaons[i]) == sorted(wanted):
                    found.append(fitted(batch, tables, kaon, pions, mother, -int(kaons[i])))
        found = [one for one in found if one is not None and np.isfinite(one[1])]
        if not found:
            assert np.isnan(mass[i]) and np.isnan(spread[i])
            continue
        several += len(found) > 1
        np.testing.assert_allclose(mass[i], max(found, key=lambda one: (one[1], -abs(one[0] - nominal)))[0], rtol=1e-9)
        np.testing.assert_allclose(spread[i], pstdev([p for _, p in found]), rtol=1e-6, atol=1e-9)
    assert several > 10


def test_unknown_word(signal):
    """Would catch a typing error that gives NaN."""
    with pytest.raises(UnknownNameError, match="Dplus"):
        signal.value("charmM(Dplu)")
