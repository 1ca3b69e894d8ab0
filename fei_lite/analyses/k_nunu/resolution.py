"""Resolution of q2 and missing mass squared with hadronic tags and the true signal track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fei_lite.classifiers.tagger import Tagger
from fei_lite.events import EventBatch
from fei_lite.particles import mass
from fei_lite.reconstruction.engine import reconstruct
from fei_lite.reconstruction.kinematics import track_kinematics
from fei_lite.roe import masked_objects, mass_squared, rest_of_event, rest_variables, tag_side
from fei_lite.tagging.best import select_tags
from fei_lite.used_objects import object_bits

#: Decay file: half of the signal B decay to K nu nubar, half to mu nu (phase space).
DECAYS = """
Decay Upsilon(4S)
0.5 B+sig B- VSS;
0.5 B-sig B+ VSS;
Enddecay
Decay B+sig
0.5 K+ nu_tau anti-nu_tau PHSP;
0.5 mu+ nu_mu PHSP;
Enddecay
CDecay B-sig
End
"""
_KAON, _MUON = 321, 13


def signal_tracks(batch: EventBatch) -> dict[int, tuple[int, int, float]]:
    """Event -> (track, PDG code without sign, generated q2) of the signal side, where it was found."""
    generated, tracks = batch.generated, batch.tracks
    assert generated is not None
    first = generated.offsets[:-1]
    mother = np.where(generated["mother"] >= 0, generated["mother"] + first[generated.event_index], -1)
    code = np.abs(generated["pdg"])
    found: dict[int, tuple[int, int, float]] = {}
    for track in np.flatnonzero(tracks["mc_index"] >= 0):
        event = int(tracks.event_index[track])
        particle = tracks["mc_index"][track] + first[event]
        b = mother[particle]
        if code[particle] not in (_KAON, _MUON) or b < 0 or code[b] != 521:
            continue
        siblings = set(code[generated.offsets[event]:generated.offsets[event + 1]][
            mother[generated.offsets[event]:generated.offsets[event + 1]] == b]) - {22}
        if siblings in ({_KAON, 16}, {_MUON, 14}):
            q2 = mass_squared(generated["p4"][b] - generated["p4"][particle])
            found.setdefault(event, (int(track), int(code[particle]), float(q2)))
    return found


def resolution_rows(batch: EventBatch, tagger: Tagger, *, probability: float) -> NDArray[np.float64]:
    """One row per event with a tag and its true signal track, (n, 6).

    PDG code (321 or 13), generated q2, q2 from the tag's direction, (beams - tag - signal side)^2, missing mass
    squared with the rest subtracted (all GeV^2), and 1 for a correct tag. The tag is the best Btag with Mbc > 5.27
    GeV and a signal probability above ``probability``.
    """
    result = reconstruct(batch, *tagger)
    tags = select_tags(result)
    side, columns = tag_side(result, tags), tags.columns
    best = columns["best"] == 1
    good = (columns["Mbc"][best] > 5.27) & (columns["SignalProbability"][best] > probability)
    signal = signal_tracks(batch)
    charge = np.sign(columns["pdg"][best]) * (np.abs(columns["pdg"][best]) == 521)
    some = [k for k in np.flatnonzero(good) if int(side.event[k]) in signal
            and batch.tracks["charge"][signal[int(side.event[k])][0]] == -charge[k]]
    picked = [signal[int(side.event[k])] for k in some]
    track = np.array([t for t, _, _ in picked], dtype=np.int64)
    bits = object_bits(batch, "tracks", track)
    free = ~(bits & side.used[some]).any(axis=1)
    rows, track, bits = np.array(some, dtype=np.int64)[free], track[free], bits[free]
    code, q2 = (np.array([p[k] for p in picked], dtype=float)[free] for k in (1, 2))
    event = side.event[rows]
    p4 = track_kinematics(batch.tracks["helix"][track], batch.tracks["helix_cov"][track],
                          batch.events["bz"][event], 0.0)[0]
    masses = np.where(code == _KAON, mass("K+"), mass("mu+"))
    p4[:, 3] = np.sqrt((p4[:, :3] ** 2).sum(axis=1) + masses**2)
    rest = rest_of_event(masked_objects(batch, "hta"), event, tag=side.used[rows], signal=bits)
    found = rest_variables(rest, side.p4[rows], p4)
    return np.column_stack([code, q2, found["missingMass2FromTagDirection"],
                            found["missingMass2OfTagAndSignal"], found["missingMass2OfTagSignalAndRest"],
                            columns["isSignal"][best][rows] == 1])


def resolution_table(rows: NDArray[np.float64]) -> str:
    """Rows of :func:`resolution_rows` as text: median, half of the central 68 %, fraction beyond 1 GeV^2."""
    lines = [f"{'GeV^2':44s} {'events':>6s} {'median':>9s} {'half of 68 %':>12s} {'beyond 1':>14s}"]
    code, q2, found, plain, rest_seen, correct = rows.T
    for tag, chosen in (("any tag", np.ones(len(rows), dtype=bool)), ("correct tag", correct == 1)):
        kaon, muon = chosen & (code == _KAON), chosen & (code == _MUON)
        lines += [_line(f"{tag}: q2 - generated, K nu nubar", (found - q2)[kaon]),
                  _line(f"{tag}: the same from the plain recoil", (plain - q2)[kaon]),
                  _line(f"{tag}: mass squared of the nu, mu nu", found[muon]),
                  _line(f"{tag}: missing mass squared, rest seen", rest_seen[muon])]
    return "\n".join(lines)


def _line(name: str, values: NDArray[np.float64]) -> str:
    """Median, half width and tails of a distribution, as text."""
    if not len(values):
        return f"{name:44s}      0"
    low, median, high = np.quantile(values, [0.16, 0.5, 0.84])
    return (f"{name:44s} {len(values):6d} {median:9.3f} {(high - low) / 2:12.3f} "
            f"{np.mean(np.abs(values) > 1.0):14.3f}")
