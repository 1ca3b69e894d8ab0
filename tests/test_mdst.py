"""Belle II mDST files of four format generations against their own generator truth.

The files come from the environment variable FEI_LITE_TEST_DATA (folder
``basf2_mdst``); without it the tests that need them are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from particle.pdgid import charge

import fei_lite
from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.errors import EventFileError
from fei_lite.events import concatenate, count_events
from fei_lite.events.mdst import cluster_region, iterate_mdst, read_mdst
from fei_lite.events.mdst_conditions import FIELD, conditions_of, field_of
from fei_lite.events.mdst_tree import MdstTree, cdc_hits, pxd_hits, svd_hits
from fei_lite.events.schema import LISTS, STATUS
from fei_lite.particles import mass

FOLDER = Path(os.environ.get("FEI_LITE_TEST_DATA", "")) / "basf2_mdst"
FILES = sorted(FOLDER.glob("*.root")) if "FEI_LITE_TEST_DATA" in os.environ else []
needs_data = pytest.mark.skipif(not FILES, reason="FEI_LITE_TEST_DATA with basf2_mdst is not set")
each_file = pytest.mark.parametrize("path", FILES or [None], ids=lambda p: p.stem if p else "no data")


@pytest.fixture(scope="module")
def batches():
    return {path: read_mdst(path) for path in FILES}


def momenta(batch):
    """(n, 3) momenta at the perigee, from the helix by the formula in every textbook."""
    _, phi0, omega, _, tan_lambda = batch.tracks["helix"].T
    pt = CURVATURE_TO_PT * batch.events["bz"][batch.tracks.event_index] / np.abs(omega)
    return np.stack([pt * np.cos(phi0), pt * np.sin(phi0), pt * tan_lambda], axis=1)


def matched(batch, name):
    """(rows of the matched objects, rows of their generated particles in the whole batch)."""
    objects = getattr(batch, name)
    rows = np.flatnonzero(objects["mc_index"] >= 0)
    return rows, batch.generated.offsets[objects.event_index[rows]] + objects["mc_index"][rows]


# --- without files ------------------------------------------------------------------------------------------------

def test_hit_patterns_against_single_bits():
    """Would catch a wrong bit layout: the pattern is built hit by hit from its written definition."""
    rng = np.random.default_rng(0)
    cdc, vxd, expected = [], [], []
    for _ in range(200):
        n_cdc = int(rng.integers(0, 256))
        layers = sum(1 << int(layer) for layer in rng.choice(56, size=20, replace=False))
        cdc.append((n_cdc << 56) | layers)
        pattern, pxd, svd = int(rng.integers(0, 256)) << 24, 0, 0  # the highest byte is no hit counter
        for layer in range(6):  # 1, 2: pixels (normal, gated); 3 to 6: strips (u, v)
            for half in range(2):
                hits = int(rng.integers(0, 4))
                pattern |= hits << (4 * layer + 2 * half)
                pxd, svd = (pxd + hits, svd) if layer < 2 else (pxd, svd + hits)
        vxd.append(pattern)
        expected.append((n_cdc, pxd, svd))
    found = cdc_hits(np.array(cdc, np.uint64)), pxd_hits(np.array(vxd, np.uint32)), svd_hits(np.array(vxd, np.uint32))
    np.testing.assert_array_equal(np.stack(found, axis=1), expected)


def test_cluster_regions_at_their_edges():
    """Would catch regions shifted by one: acceptance 12.4-31.4, 32.2-128.7, 130.7-155.1 degrees."""
    degrees = np.array([12.3, 12.5, 31.3, 31.5, 32.1, 32.3, 128.6, 128.8, 130.6, 130.8, 155.0, 155.2])
    assert cluster_region(np.radians(degrees)).tolist() == [0, 1, 1, 11, 11, 2, 2, 13, 13, 3, 3, 0]


class FakeRelation(MdstTree):
    """A relation container held in memory."""

    def __init__(self, origin, target, weight):
        self.arrays = origin, target, weight
        self._branches = {"AToB": {"m_from": 0, "m_to": 1, "m_weights": 2}}
        self._offsets, self.path, self.start, self.stop = {}, "fake", 0, len(origin)

    def _array(self, branch):
        return self.arrays[branch]


def test_relations_against_plain_loops():
    """Would catch a match by the first or the signed weight, or links that cross events."""
    rng = np.random.default_rng(3)
    n_a, n_b = rng.integers(0, 6, 30), rng.integers(0, 8, 30)
    origin, target, weight, best = [], [], [], []
    for a, b in zip(n_a, n_b, strict=True):
        links = [(int(rng.integers(0, a)), [int(x) for x in rng.integers(0, b, rng.integers(0, 4))])
                 for _ in range(rng.integers(0, 7))] if a and b else []
        weights = [rng.normal(size=len(to)).round(3).tolist() for _, to in links]
        origin.append([f for f, _ in links])
        target.append([to for _, to in links])
        weight.append(weights)
        for index in range(a):
            options = [(abs(w), t) for (f, to), ws in zip(links, weights, strict=True) if f == index
                       for t, w in zip(to, ws, strict=True)]
            best.append(max(options)[1] if options else -1)
    tree = FakeRelation(*(ak.values_astype(ak.Array(x), np.int64 if x is not weight else np.float64)
                          for x in (origin, target, weight)))
    np.testing.assert_array_equal(tree.relation("A", "B", n_a, n_b), best)
    assert (tree.relation("A", "C", n_a, n_b) == -1).all()  # no such relation: data


class FakeTruth:
    """Generated particles of two events held in memory: an electron, a positron and a virtual photon each."""

    def __init__(self, scale, resonance):
        electron, positron = np.array([0.2905, 0, 6.998, 7.004]), np.array([0.1661, 0, -3.9985, 4.002])
        p4 = scale * np.array([electron, positron, electron + positron])
        pdg = [11, -11, 300553 if resonance else 10022]
        self.columns = {"m_pdg": pdg * 2, "m_status": [33, 33, 1] * 2, "m_mother": [0, 0, 0] * 2}
        self.columns |= dict(zip(("m_momentum_x", "m_momentum_y", "m_momentum_z", "m_energy"), np.tile(p4.T, 2),
                                 strict=True))
        for axis, value in (("x", 0.05), ("y", 0.01), ("z", 0.2)):
            self.columns[f"m_productionVertex_{axis}"] = [0, 0, value] * 2

    def has(self, *_):
        return True

    def values(self, _, member):
        return np.array(self.columns[member])

    def offsets(self, *_):
        return np.array([0, 3, 6])


@pytest.mark.parametrize("resonance", [True, False])
def test_beams_and_luminous_region(resonance):
    """Would catch the event's true beams taken for the nominal ones, or off-resonance energies ignored."""
    nominal = conditions_of(FakeTruth(1.0, resonance), 1.5)
    np.testing.assert_array_equal(nominal.beam_p4, [0.457, 0, 2.999, 11.005])
    np.testing.assert_allclose(nominal.ip, [0.05, 0.01, 0.2])
    off = conditions_of(FakeTruth(1 - 0.06 / 10.58, resonance), 1.5).beam_p4
    assert np.sqrt(off[3] ** 2 - off[:3] @ off[:3]) == pytest.approx(10.58 - 0.06, abs=0.003)


@pytest.mark.parametrize(("release", "field"), [("release-00-09-01", 1.484), ("release-01-02-00", 1.484),
                                                ("release-02-00-00", 1.4534), ("release-09-00-00", 1.4534),
                                                ("light-2106-rhine", 1.4534)])
def test_field_by_release(tmp_path, release, field):
    """Would catch old files read with the field of the new ones: momenta 2 % off."""
    name = ak.Array([release])
    with uproot.recreate(tmp_path / "file.root") as file:
        file.mktree("persistent", {"m_release": name.type.content}).extend({"m_release": name})
    notes = {}
    with uproot.open(tmp_path / "file.root") as file:
        assert field_of(file, notes) == field
    assert bool(notes) == release.startswith("light")


# --- with files ---------------------------------------------------------------------------------------------------

@needs_data
@each_file
def test_every_event_and_object_is_read(batches, path):
    """Would catch lost events or objects; the numbers are counted by uproot's own branch counters."""
    batch = batches[path]
    tree = uproot.open(path)["tree"]
    assert batch.n_events == count_events(path) == tree.num_entries == 10
    for name, container, column in (("tracks", "Tracks", "m_qualityIndicator"), ("clusters", "ECLClusters", "m_time"),
                                    ("klm", "KLMClusters", "m_p"), ("v0s", "V0s", "m_trackIndexPositive"),
                                    ("generated", "MCParticles", "m_pdg")):
        expected = ak.num(tree[f"{container}.{column}"].array()).to_numpy()
        dropped = sum(n for note, n in batch.notes.items() if note.startswith(f"{name} dropped"))
        assert len(getattr(batch, name)) + dropped == expected.sum(), name
        for column_info in LISTS[name]:
            values = getattr(batch, name)[column_info.name]
            assert values.dtype == column_info.dtype and values.shape[1:] == column_info.shape, column_info.name
    assert batch.notes.get("tracks dropped: impossible covariance", 0) == 0
    np.testing.assert_array_equal(batch.events["event"], tree["m_event"].array())


@needs_data
@each_file
def test_batches_are_parts_of_the_whole(batches, path):
    """Would catch indices that depend on where a batch starts."""
    parts = list(fei_lite.open(path, batch_size=3))
    assert [b.n_events for b in parts] == [3, 3, 3, 1]
    joined, whole = concatenate(parts), batches[path]
    for name in LISTS:
        for column, values in getattr(whole, name).columns.items():
            np.testing.assert_array_equal(getattr(joined, name)[column], values, err_msg=f"{name}.{column}")
    np.testing.assert_array_equal(joined.events["ip"], whole.events["ip"])


@needs_data
@each_file
def test_track_momenta_agree_with_generated_ones(batches, path):
    """Would catch a wrong field, unit, helix order or matching (1.5 T alone shifts the ratio by 3 %)."""
    batch = batches[path]
    rows, truth = matched(batch, "tracks")
    p, expected = momenta(batch)[rows], batch.generated["p4"][truth, :3]
    primary = batch.generated["status"][truth] & STATUS["primary"] != 0
    ratio = (np.linalg.norm(p, axis=1) / np.linalg.norm(expected, axis=1))[primary]
    assert len(rows) > 0.9 * len(batch.tracks)
    assert abs(np.median(ratio) - 1.0) < 0.002
    assert np.subtract(*np.percentile(ratio, [75, 25])) < 0.015
    cosine = np.sum(p * expected, axis=1) / np.linalg.norm(p, axis=1) / np.linalg.norm(expected, axis=1)
    assert np.median(cosine) > 0.9999


@needs_data
def test_helix_pulls_of_all_files(batches):
    """Would catch a covariance in another order or unit: pulls of phi0 and tanLambda of primary tracks."""
    pulls = []
    for batch in batches.values():
        rows, truth = matched(batch, "tracks")
        near = np.hypot(*(batch.generated["vertex"][truth, :2] - batch.events["ip"][0, :2]).T) < 0.01
        rows, truth = rows[near], truth[near]
        px, py, pz, _ = batch.generated["p4"][truth].T
        tan_lambda = batch.tracks["helix"][rows, 4] - pz / np.hypot(px, py)
        pulls.append(tan_lambda / np.sqrt(batch.tracks["helix_cov"][rows, 14]))
    pulls = np.concatenate(pulls)
    width = np.subtract(*np.percentile(pulls, [84.13, 15.87])) / 2
    assert len(pulls) > 200 and abs(np.median(pulls)) < 0.25 and 0.8 < width < 1.4


@needs_data
def test_identification_and_charge(batches):
    """Would catch hypotheses in another order, likelihoods of other tracks, or a flipped charge."""
    right = {211: [0, 0], 321: [0, 0], 11: [0, 0]}
    position = {11: 0, 211: 2, 321: 3}
    charges = []
    for batch in batches.values():
        rows, truth = matched(batch, "tracks")
        pdg = batch.generated["pdg"][truth]
        for row, code in zip(rows, pdg, strict=True):
            if abs(code) in right:
                logl = batch.tracks["pid_logl"][row, [0, 2, 3]]
                right[abs(code)][0] += (0, 2, 3)[int(np.argmax(logl))] == position[abs(code)]
                right[abs(code)][1] += 1
        expected = np.where(np.isin(np.abs(pdg), (11, 13)), -np.sign(pdg), np.sign(pdg))
        charges.append(batch.tracks["charge"][rows] == expected)
    for code, (n_right, n) in right.items():
        assert n_right > 0.6 * n, (code, n_right, n)
    assert np.mean(np.concatenate(charges)) > 0.9  # the rest turned back inside the drift chamber


@needs_data
@each_file
def test_multiplicities_and_field(batches, path):
    """Would catch a reader that takes every hypothesis for a cluster of its own, or the wrong field."""
    batch = batches[path]
    assert 9 < batch.tracks.counts.mean() < 14 and 20 < batch.clusters.counts.mean() < 45
    assert (batch.events["bz"] == FIELD).all()
    hits = batch.tracks["n_svd_hits"]
    assert np.median(hits) in (7, 8) and hits.max() < 20  # four layers of two sides
    assert 0 <= np.median(batch.tracks["n_pxd_hits"]) <= 2 and 30 < np.median(batch.tracks["n_cdc_hits"]) < 70
    generated = batch.generated
    root = generated["pdg"] == 300553
    assert root.sum() == 10
    np.testing.assert_allclose(generated["p4"][root], batch.events["beam_p4"], atol=0.025)  # spread 5.6 MeV in E
    np.testing.assert_allclose(generated["vertex"][root], batch.events["ip"], atol=0.12)  # z: 0.03 cm
    assert np.abs(generated["vertex"][root, 0] - batch.events["ip"][:, 0]).max() < 0.003


@needs_data
@each_file
def test_photon_hypothesis_and_angular_errors(batches, path):
    """Would catch neutral-hadron clusters taken for photons, and the errors of theta and phi swapped.

    Hypotheses are counted from the raw member. A shower is round: sigma(phi) sin(theta) = sigma(theta).
    """
    clusters = batches[path].clusters
    raw = uproot.open(path)["tree"]["ECLClusters"]
    if "ECLClusters.m_hypotheses" in set(raw.keys()):
        photon = (ak.flatten(raw["ECLClusters.m_hypotheses"].array()).to_numpy() // 16) % 2
    else:
        photon = ak.flatten(raw["ECLClusters.m_hypothesisId"].array()).to_numpy() == 5
    np.testing.assert_array_equal(clusters["is_photon"], photon)
    theta, theta_error, phi_error = (clusters[c][photon == 1] for c in ("theta", "theta_error", "phi_error"))
    assert (theta_error > 0).all() and np.isnan(clusters["theta_error"][photon == 0]).all()
    roundness = phi_error * np.sin(theta) / theta_error
    assert 0.9 < np.median(roundness) < 1.15


@needs_data
@each_file
def test_mothers_conserve_charge_and_momentum(batches, path):
    """Would catch mothers off by one: primary daughters carry the charge and momentum of their mother.

    Charge is exact; momentum is only as good as the generator's own events (some lose up to 0.1 GeV).
    """
    generated = batches[path].generated
    first = generated.offsets[generated.event_index]
    mother = np.where(generated["mother"] >= 0, first + generated["mother"], -1)
    primary = generated["status"] & STATUS["primary"] != 0
    differences = []
    for b in np.flatnonzero(np.isin(np.abs(generated["pdg"]), (411, 421, 431, 511, 521))):
        daughters = primary & (mother == b)
        assert sum(charge(int(c)) for c in generated["pdg"][daughters]) == charge(int(generated["pdg"][b]))
        differences.append(np.abs(generated["p4"][daughters].sum(axis=0) - generated["p4"][b]).max())
    assert len(differences) > 30 and np.median(differences) < 1e-3


@needs_data
def test_matched_neutral_pions_peak_at_their_mass(batches):
    """Would catch wrong energies, angles, photon flags or matches of clusters.

    The peak is the middle of the shortest interval that holds half of the masses: leakage makes a low tail.
    """
    masses, energy_ratio = [], []
    for batch in batches.values():
        rows, truth = matched(batch, "clusters")
        generated, clusters = batch.generated, batch.clusters
        photon = (clusters["is_photon"][rows] == 1) & (clusters["is_track"][rows] == 0)
        photon &= generated["pdg"][truth] == 22
        rows, truth = rows[photon], truth[photon]
        order = np.lexsort((-clusters["E"][rows], truth))  # the largest cluster of a photon stands for it
        truth, first_of = np.unique(truth[order], return_index=True)
        rows = rows[order][first_of]
        energy, theta, phi = (clusters[c][rows].astype(float) for c in ("E", "theta", "phi"))
        energy_ratio.append((energy / generated["p4"][truth, 3])[generated["p4"][truth, 3] > 0.1])
        p4 = energy[:, None] * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta),
                                         np.ones_like(theta)], axis=1)
        mother = generated.offsets[generated.event_index[truth]] + generated["mother"][truth]
        for pion in np.unique(mother):
            pair = p4[mother == pion]
            if generated["pdg"][pion] == 111 and len(pair) == 2:
                masses.append(np.sqrt(pair.sum(axis=0)[3] ** 2 - np.sum(pair.sum(axis=0)[:3] ** 2)))
    ordered = np.sort(masses)
    half = len(ordered) // 2
    narrowest = np.argmin(ordered[half:] - ordered[:-half])
    low, high = ordered[narrowest], ordered[narrowest + half]
    assert len(masses) > 100
    assert abs((low + high) / 2 - mass("pi0")) < 0.004 and high - low < 0.012
    assert abs(np.median(np.concatenate(energy_ratio)) - 1.0) < 0.03


@needs_data
def test_true_k_shorts_carry_their_hypothesis(batches):
    """Would catch V0 hypotheses or track indices mixed up: true K_S0 daughters found as pdg 310."""
    true, hypotheses = 0, 0
    for batch in batches.values():
        v0s, tracks, generated = batch.v0s, batch.tracks, batch.generated
        event = v0s.event_index
        rows = [tracks.offsets[event] + v0s[f"{side}_index"] for side in ("positive", "negative")]
        assert set(np.unique(v0s["pdg"])) <= {22, 310, 3122, -3122}
        for plus, minus, pdg, e in zip(*rows, v0s["pdg"], event, strict=True):
            indices = tracks["mc_index"][[plus, minus]]
            mothers = generated["mother"][generated.offsets[e] + indices]
            if (indices < 0).any() or mothers[0] != mothers[1] or mothers[0] < 0:
                continue
            if generated["pdg"][generated.offsets[e] + mothers[0]] == 310:
                true += 1
                hypotheses += pdg == 310
    assert true >= 4 and hypotheses >= 0.4 * true


@needs_data
def test_missing_members_are_named(monkeypatch):
    """Would catch a KeyError of uproot, or a column of zeros, for a member another generation lacks."""
    original = MdstTree.__init__

    def without(container, member):
        def init(self, *arguments):
            original(self, *arguments)
            if member is None:
                del self._branches[container]
            else:
                self._branches[container].pop(member)
        return init

    for container, member, expected in (
        ("ECLClusters", "m_theta", ["'ECLClusters'", "'m_theta'", "Nearest known"]),
        ("ECLClusters", "m_logEnergy", ["'m_logEnergy' or 'm_sqrtEnergy'"]),
        ("TrackFitResults", "m_cov5", ["'TrackFitResults'", "'m_cov5'"]),
        ("Tracks", None, ["'Tracks', which are not in the file"]),
    ):
        monkeypatch.setattr(MdstTree, "__init__", without(container, member))
        with pytest.raises(EventFileError) as caught:
            read_mdst(FILES[0])
        for text in expected:
            assert text in str(caught.value)


@needs_data
def test_data_without_truth(monkeypatch):
    """Would catch a reader that needs MCParticles, or invents an interaction point."""
    original = MdstTree.__init__

    def init(self, *arguments):
        original(self, *arguments)
        for name in [n for n in self._branches if "MCParticles" in n]:
            del self._branches[name]

    monkeypatch.setattr(MdstTree, "__init__", init)
    batch = read_mdst(FILES[-1])
    assert batch.generated is None and (batch.events["ip"] == 0).all()
    assert (batch.tracks["mc_index"] == -1).all() and len(batch.tracks) > 100


@needs_data
def test_truncated_mdst(tmp_path):
    """Would catch a truncated mDST file read as a shorter one."""
    data = FILES[0].read_bytes()
    damaged = tmp_path / "mdst.root"
    for size in np.linspace(100, len(data) - 1, 6).astype(int):
        damaged.write_bytes(data[:size])
        with pytest.raises(EventFileError):
            list(iterate_mdst(damaged))
