"""Resolution of q2 and missing mass squared with hadronic tags, on simulated events.

    python scripts/measure_q2.py --models fei_default --events 20000

Half of the signal B decay to K nu nubar, half to mu nu (phase space). The tag
is the best Btag with Mbc > 5.27 GeV and a signal probability above
``--probability``; the signal side is the track of the true kaon or muon, if the
tag left it and has the opposite charge. Of q2 (found minus generated) and of the missing mass squared
(0 for mu nu) the table has median, half the central 68 % and the fraction beyond
1 GeV^2. Memory depends on the batch, not on the number of events.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import fei_lite
from fei_lite.events import EventBatch
from fei_lite.particles import mass
from fei_lite.reconstruction.kinematics import track_kinematics
from fei_lite.roe import masked_objects, mass_squared, rest_of_event, rest_variables, tag_side
from fei_lite.used_objects import object_bits

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
KAON, MUON = 321, 13


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
        if code[particle] not in (KAON, MUON) or b < 0 or code[b] != 521:
            continue
        siblings = set(code[generated.offsets[event]:generated.offsets[event + 1]][
            mother[generated.offsets[event]:generated.offsets[event + 1]] == b]) - {22}
        if siblings in ({KAON, 16}, {MUON, 14}):
            q2 = mass_squared(generated["p4"][b] - generated["p4"][particle])
            found.setdefault(event, (int(track), int(code[particle]), float(q2)))
    return found


def measure(batch: EventBatch, channels: object, models: object, *, probability: float) -> np.ndarray:
    """Rows (n, 6): code, generated q2, q2, q2 of the plain recoil, missing mass squared, correct tag."""
    result = fei_lite.reconstruct(batch, channels, models)
    tags = fei_lite.select_tags(result)
    side, columns = tag_side(result, tags), tags.columns
    best = columns["best"] == 1
    good = (columns["Mbc"][best] > 5.27) & (columns["SignalProbability"][best] > probability)
    signal = signal_tracks(batch)
    charge = np.sign(columns["pdg"][best]) * (np.abs(columns["pdg"][best]) == 521)
    rows = [k for k in np.flatnonzero(good) if int(side.event[k]) in signal
            and batch.tracks["charge"][signal[int(side.event[k])][0]] == -charge[k]]
    picked = [signal[int(side.event[k])] for k in rows]
    track = np.array([t for t, _, _ in picked], dtype=np.int64)
    bits = object_bits(batch, "tracks", track)
    free = ~(bits & side.used[rows]).any(axis=1)
    rows, track, bits = np.array(rows, dtype=np.int64)[free], track[free], bits[free]
    code, q2 = (np.array([p[k] for p in picked], dtype=float)[free] for k in (1, 2))
    event = side.event[rows]
    p4 = track_kinematics(batch.tracks["helix"][track], batch.tracks["helix_cov"][track],
                          batch.events["bz"][event], 0.0)[0]
    masses = np.where(code == KAON, mass("K+"), mass("mu+"))
    p4[:, 3] = np.sqrt((p4[:, :3] ** 2).sum(axis=1) + masses**2)
    rest = rest_of_event(masked_objects(batch, "hta"), event, tag=side.used[rows], signal=bits)
    found = rest_variables(rest, side.p4[rows], p4)
    return np.column_stack([code, q2, found["q2"], found["q2_recoil"], found["missing_mass2"],
                            columns["isSignal"][best][rows] == 1])


def line(name: str, values: np.ndarray) -> str:
    """Median, half width and tails of a distribution, as text."""
    if not len(values):
        return f"{name:44s}      0"
    low, median, high = np.quantile(values, [0.16, 0.5, 0.84])
    return (f"{name:44s} {len(values):6d} {median:9.3f} {(high - low) / 2:12.3f} "
            f"{np.mean(np.abs(values) > 1.0):14.3f}")


def main() -> int:
    """Parse the command line, simulate, reconstruct, print one line per quantity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="fei_default", help="name or folder of a model set")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--probability", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    channels, models = fei_lite.load_channel_set("hadronic"), fei_lite.load_model_set(arguments.models)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.dec"
        path.write_text(DECAYS)
        rows = np.concatenate([
            measure(batch, channels, models, probability=arguments.probability)
            for batch in fei_lite.simulate("signal", arguments.events, seed=arguments.seed, dec_file=path)])
    print(f"{'GeV^2':44s} {'events':>6s} {'median':>9s} {'half of 68 %':>12s} {'share beyond 1':>14s}")
    code, q2, found, plain, mm2, correct = rows.T
    for tag, chosen in (("any tag", np.ones(len(rows), dtype=bool)), ("correct tag", correct == 1)):
        kaon, muon = chosen & (code == KAON), chosen & (code == MUON)
        print(line(f"{tag}: q2 - generated, K nu nubar", (found - q2)[kaon]))
        print(line(f"{tag}: the same from the plain recoil", (plain - q2)[kaon]))
        print(line(f"{tag}: mass squared of the nu, mu nu", found[muon]))
        print(line(f"{tag}: missing mass squared, rest seen", mm2[muon]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
