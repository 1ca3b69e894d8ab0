"""Features: against the plain twin, closed forms of kinematics, and the definitions' edges."""

from __future__ import annotations

import doctest
import math
import os
from pathlib import Path

import naive_features as naive
import numpy as np
import pytest

from fei_lite import candidates as candidate_module
from fei_lite.candidates import CandidateTable
from fei_lite.channels import load_channel_set
from fei_lite.errors import ExpressionError, UnknownNameError
from fei_lite.events import EventBatch, schema
from fei_lite.events.batch import Jagged
from fei_lite.particles import mass
from fei_lite.reconstruction import features as feature_module
from fei_lite.reconstruction.features import feature_matrix, opcode
from fei_lite.reconstruction.kinematics import track_kinematics
from fei_lite.variables.names import check, known

BEAM = np.array([0.457, 0.0, 2.999, 11.005])
N_EVENTS = 40

TRACK = ("electronID", "muonID", "pionID", "kaonID", "protonID", "deuteronID", "p", "pt", "pz", "dr", "dz",
         "dx", "dy", "abs(dz)", "chiProb", "preCut_rank", "E", "M", "dM", "useCMSFrame(p)")
PHOTON = ("clusterReg", "clusterNHits", "clusterTiming", "clusterE9E25", "preCut_rank", "pt", "E", "pz")
COMPOSITE = (
    "M", "dM", "abs(dM)", "Q", "dQ", "abs(dQ)", "p", "pt", "px", "py", "pz", "E", "Mbc", "deltaE", "abs(deltaE)",
    "dr", "dx", "dy", "dz", "distance", "significanceOfDistance", "cosAngleBetweenMomentumAndVertexVector",
    "chiProb", "preCut_rank", "decayModeID", "useCMSFrame(E)", "useCMSFrame(p)", "useCMSFrame(pz)", "useRestFrame(E)",
    "useCMSFrame(daughter(0,distance))", "useRestFrame(daughterAngle(0,1))",
    "daughterProductOf(SignalProbability)", "daughterProductOf(p)",
)
PER_DAUGHTER = (
    "daughter({},SignalProbability)", "daughter({},chiProb)", "daughter({},dz)", "daughter({},dr)",
    "daughter({},decayModeID)", "daughter({},pt)", "useRestFrame(daughter({},p))", "useRestFrame(daughter({},pz))",
    "useRestFrame(daughter({},distance))", "useRestFrame(daughter({},dx))", "decayAngle({})", "daughter({},M)",
    "abs(daughter({},dM))", "daughterInvariantMass({})",
)


def random_batch(rng):
    """Events with tracks, clusters and V0s of random content, IP away from the origin."""
    def jagged(table, counts, **given):
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        columns = {c.name: rng.normal(size=(offsets[-1], *c.shape)).astype(c.dtype) for c in table}
        return Jagged(offsets, columns | given)

    counts = rng.integers(2, 6, N_EVENTS)
    n = int(counts.sum())

    def helix(size):
        return np.stack([rng.normal(0, 0.3, size), rng.uniform(-np.pi, np.pi, size),
                         rng.choice([-1, 1], size) * rng.uniform(0.002, 0.03, size),
                         rng.normal(0, 1, size), rng.normal(0, 1, size)], axis=1)

    tracks = jagged(schema.TRACKS, counts, helix=helix(n), helix_cov=np.zeros((n, 15)),
                    pid_logl=rng.normal(-800, 3, (n, 6)).astype("f4"))
    one = np.ones(N_EVENTS, dtype=int)
    v0s = jagged(schema.V0S, one, positive_helix=helix(N_EVENTS), negative_helix=helix(N_EVENTS),
                 positive_index=np.zeros(N_EVENTS, "i4"), negative_index=np.ones(N_EVENTS, "i4"))
    return EventBatch(
        events={"event": np.arange(N_EVENTS), "bz": np.full(N_EVENTS, 1.5),
                "beam_p4": BEAM + rng.normal(0, 0.002, (N_EVENTS, 4)),
                "ip": rng.normal(0, 0.1, (N_EVENTS, 3)),
                "ip_cov": np.tile([1e-4, 1e-5, 0, 2e-4, 0, 1e-2], (N_EVENTS, 1))},
        tracks=tracks, clusters=jagged(schema.CLUSTERS, counts), klm=jagged(schema.KLM, 0 * one), v0s=v0s)


def table_of(name, offsets, rng, **columns):
    """A candidate table with every column that features read; random where not given."""
    n = int(offsets[-1])
    square = rng.normal(size=(n, 7, 7)) * 1e-2
    default = {
        "vertex": rng.normal(0, 0.2, (n, 3)), "cov": square @ square.transpose(0, 2, 1),
        "chiProb": np.where(rng.random(n) < 0.2, np.nan, rng.random(n)), "SignalProbability": rng.random(n),
        "decayModeID": rng.integers(0, 9, n).astype("i2"), "preCut_rank": rng.integers(1, 20, n).astype("i2"),
        "object": np.full(n, -1, "i4"), "daughters": np.empty((n, 0), "i4"),
        "M": np.sqrt(np.maximum(columns["p4"][:, 3] ** 2 - (columns["p4"][:, :3] ** 2).sum(1), 0)),
    }
    return CandidateTable(name, offsets, default | columns)


def tracks_table(name, batch, rng):
    p4, vertex, _ = track_kinematics(batch.tracks["helix"], batch.tracks["helix_cov"], 1.5, mass(name))
    n = len(p4)
    return table_of(name, batch.tracks.offsets, rng, p4=p4, vertex=vertex, object=np.arange(n, dtype="i4"),
                    M=np.full(n, mass(name)))


def photons_table(batch, rng):
    p3 = rng.normal(size=(len(batch.clusters), 3))
    p4 = np.concatenate([p3, np.linalg.norm(p3, axis=1, keepdims=True)], axis=1)
    vertex = batch.events["ip"][batch.clusters.event_index]
    return table_of("gamma", batch.clusters.offsets, rng, p4=p4, vertex=vertex, M=np.zeros(len(p3)),
                    object=np.arange(len(p3), dtype="i4"), cov=np.full((len(p3), 7, 7), np.nan))


def combined(name, tables, rng):
    """Three random combinations per event; the momentum is not quite the daughters' sum, as after a fit."""
    n_events = len(tables[0].offsets) - 1
    pick = rng.integers(0, 100, 3 * n_events)  # neighbours, so that no candidate is its own brother
    rows = np.stack([np.repeat(t.offsets[:-1], 3) + (pick + j) % np.repeat(np.diff(t.offsets), 3)
                     for j, t in enumerate(tables)], axis=1)
    p4 = sum(t["p4"][rows[:, j]] for j, t in enumerate(tables))
    p4 = p4 * rng.normal(1, 1e-3, (len(p4), 1))
    return table_of(name, 3 * np.arange(n_events + 1), rng, p4=p4, daughters=rows.astype("i4"))


@pytest.fixture(scope="module")
def world():
    """A batch and tables of all kinds: pi+, gamma, K_S0 (pi pi), B+ (K_S0 pi+ gamma)."""
    rng = np.random.default_rng(11)
    batch = random_batch(rng)
    pion, gamma = tracks_table("pi+", batch, rng), photons_table(batch, rng)
    kshort = combined("K_S0", [pion, pion], rng)
    heavy = combined("B+", [kshort, pion, gamma], rng)
    return batch, {"pi+": pion, "gamma": gamma, "K_S0": kshort, "B+": heavy}


def perigee_by_walking(helix, ip):
    """Nearest point to the IP in the transverse plane, found by stepping along the helix."""
    d0, phi0, omega, z0, tan_lambda = helix
    low, high = -3.0, 3.0
    for _ in range(6):
        s = np.linspace(low, high, 2001)
        x = d0 * np.sin(phi0) + (np.sin(phi0) - np.sin(phi0 - omega * s)) / omega
        y = -d0 * np.cos(phi0) + (np.cos(phi0 - omega * s) - np.cos(phi0)) / omega
        best = np.argmin(np.hypot(x - ip[0], y - ip[1]))
        low, high = s[max(best - 2, 0)], s[min(best + 2, 2000)]
    return np.array([x[best] - ip[0], y[best] - ip[1], z0 + s[best] * tan_lambda - ip[2]])


def particle(table, row, batch, daughters=()):
    """A row of a table as the twin's Particle."""
    event = table.event_index[row]
    ip = batch.events["ip"][event]
    xx, xy, xz, yy, yz, zz = batch.events["ip_cov"][event]
    values = {k: float(table[k][row]) for k in ("chiProb", "SignalProbability", "decayModeID", "preCut_rank", "M")}
    values["nominal"] = mass(table.particle)
    values["cov"] = table["cov"][row, 4:, 4:] + np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    place = table["vertex"][row] - ip
    if table.particle == "pi+":
        index = table["object"][row]
        place = perigee_by_walking(batch.tracks["helix"][index], ip)
        logl = batch.tracks["pid_logl"][index].astype(float)
        ratio = 1.0 / np.exp(logl[None, :] - logl[:, None]).sum(axis=1)
        values |= dict(zip(("electronID", "muonID", "pionID", "kaonID", "protonID", "deuteronID"), ratio, strict=True))
    if table.particle == "gamma":
        index = table["object"][row]
        for name, column in (("clusterReg", "region"), ("clusterNHits", "n_hits"), ("clusterTiming", "timing"),
                             ("clusterE9E25", "E9E21")):
            values[name] = float(batch.clusters[column][index])
    return naive.Particle(table["p4"][row], place, values, daughters)


def expanded(patterns, k):
    return [p.replace("{}", str(j)) for p in patterns for j in range(k)]


def check_against_twin(names, table, daughters, batch, *, atol=1e-9):
    got = feature_matrix(names, table, daughters, batch)
    assert got.shape == (len(table), len(names)) and got.flags.c_contiguous
    for row in range(0, len(table), 3):
        parts = tuple(particle(d, table["daughters"][row, j], batch) for j, d in enumerate(daughters))
        whole = particle(table, row, batch, parts)
        beam = batch.events["beam_p4"][table.event_index[row]]
        want = [naive.feature(name, whole, beam) for name in names]
        for name, value, wanted in zip(names, got[row], want, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=atol, err_msg=f"{table.particle} {name}")
    return got


def test_tracks_and_photons_equal_the_twin(world):
    """Would catch a wrong PID index, a perigee to the origin, a cluster column mixed up."""
    batch, tables = world
    check_against_twin(TRACK, tables["pi+"], [], batch, atol=1e-5)  # the walk ends at 1e-6 cm
    check_against_twin(PHOTON, tables["gamma"], [], batch)


def test_composites_equal_the_twin(world):
    """Would catch a wrong frame, sign, daughter, nominal mass, or a daughter of another row."""
    batch, tables = world
    for name, daughters in (("K_S0", ("pi+", "pi+")), ("B+", ("K_S0", "pi+", "gamma"))):
        k = len(daughters)
        names = [*COMPOSITE, *expanded(PER_DAUGHTER, k), "daughterAngle(0,1)", f"daughterAngle({k - 1},0)",
                 "daughterInvariantMass(0,1)", f"daughterInvariantMass({','.join(map(str, range(k)))})"]
        got = check_against_twin(names, tables[name], [tables[d] for d in daughters], batch, atol=1e-5)
        assert np.isnan(got).any(axis=0)[names.index("chiProb")]  # NaN goes through


def test_two_body_decay_at_rest_and_in_flight():
    """In the candidate's rest frame the daughters of a two-body decay have the textbook momentum,
    are back to back, and their decay angles add up to pi, however fast the mother is."""
    rng = np.random.default_rng(3)
    n, m, m1, m2 = 200, mass("D0"), mass("K+"), mass("pi+")
    p = math.sqrt((m**2 - (m1 + m2) ** 2) * (m**2 - (m1 - m2) ** 2)) / (2 * m)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    flight = rng.normal(0, 2, size=(n, 3))
    mother = np.concatenate([flight, np.sqrt(m**2 + (flight**2).sum(1, keepdims=True))], axis=1)
    pair = []
    for sign, m_daughter in ((1, m1), (-1, m2)):
        rest = np.concatenate([sign * p * direction, np.full((n, 1), math.hypot(p, m_daughter))], axis=1)
        pair.append(np.stack([np.linalg.inv(naive.boost_matrix(q)) @ r for q, r in zip(mother, rest, strict=True)]))
    batch = random_batch(rng)
    offsets = np.linspace(0, n, N_EVENTS + 1).astype(np.int64)
    rows = np.stack([np.arange(n)] * 2, axis=1).astype("i4")
    daughters = [table_of(name, offsets, rng, p4=p4, object=np.zeros(n, "i4"))
                 for name, p4 in zip(("K+", "pi+"), pair, strict=True)]
    table = table_of("D0", offsets, rng, p4=mother, daughters=rows)
    got = dict(zip(
        names := ["useRestFrame(daughter(0,p))", "useRestFrame(daughter(1,p))", "useRestFrame(daughterAngle(0,1))",
                  "decayAngle(0)", "decayAngle(1)", "daughterInvariantMass(0,1)", "dM", "Q", "dQ", "useRestFrame(p)"],
        feature_matrix(names, table, daughters, batch).T, strict=True))
    np.testing.assert_allclose(got["useRestFrame(daughter(0,p))"], p, rtol=1e-9)
    np.testing.assert_allclose(got["useRestFrame(daughter(1,p))"], p, rtol=1e-9)
    np.testing.assert_allclose(got["useRestFrame(daughterAngle(0,1))"], math.pi, rtol=1e-9)
    np.testing.assert_allclose(got["decayAngle(0)"] + got["decayAngle(1)"], math.pi, rtol=1e-9)
    np.testing.assert_allclose(got["daughterInvariantMass(0,1)"], m, rtol=1e-9)
    np.testing.assert_allclose(got["Q"], m - m1 - m2, rtol=1e-8)
    for name in ("dM", "dQ", "useRestFrame(p)"):
        np.testing.assert_allclose(got[name], 0.0, atol=1e-8)


def test_generated_b_has_no_delta_e_and_its_own_mbc():
    """A B of half the beam energy: deltaE = 0 and Mbc = m_B, in any direction. Would catch a wrong boost."""
    rng = np.random.default_rng(5)
    batch = random_batch(rng)
    beam, n = batch.events["beam_p4"], N_EVENTS
    m_b = mass("B+")
    energy = np.array([naive.mass(b) / 2 for b in beam])
    direction = rng.normal(size=(n, 3))
    direction *= (np.sqrt(energy**2 - m_b**2) / np.linalg.norm(direction, axis=1))[:, None]
    p4 = np.stack([np.linalg.inv(naive.boost_matrix(b)) @ np.append(d, e)
                   for b, d, e in zip(beam, direction, energy, strict=True)])
    table = table_of("B+", np.arange(n + 1), rng, p4=p4)
    got = feature_matrix(["deltaE", "Mbc", "useCMSFrame(E)"], table, [], batch)
    np.testing.assert_allclose(got[:, 0], 0.0, atol=1e-10)
    np.testing.assert_allclose(got[:, 1], m_b, rtol=1e-10)
    np.testing.assert_allclose(got[:, 2], energy, rtol=1e-12)


def test_mass_and_q_do_not_depend_on_the_frame(world):
    """Boosting everything leaves invariant masses, rest-frame momenta and probabilities as they are."""
    batch, tables = world
    matrix = naive.boost_matrix([0.3, -1.0, 2.0, 4.0])

    def boosted(table):
        return CandidateTable(table.particle, table.offsets, table.columns | {"p4": table["p4"] @ matrix.T})

    names = ["daughterInvariantMass(0,1)", "daughterInvariantMass(0,1,2)", "Q", "useRestFrame(daughter(1,p))",
             "useRestFrame(daughter(0,E))", "daughterProductOf(SignalProbability)"]
    daughters = [tables[d] for d in ("K_S0", "pi+", "gamma")]
    np.testing.assert_allclose(
        feature_matrix(names, boosted(tables["B+"]), [boosted(d) for d in daughters], batch),
        feature_matrix(names, tables["B+"], daughters, batch), rtol=1e-6, atol=1e-9)


def test_moving_the_origin_changes_nothing(world):
    """Candidates, IP and vertices shifted together: all distances stay. Tracks apart, whose helices
    are relative to the origin."""
    batch, tables = world
    shift = np.array([0.4, -0.3, 1.0])

    def shifted(table):
        return CandidateTable(table.particle, table.offsets, table.columns | {"vertex": table["vertex"] + shift})

    moved = EventBatch(**{k: getattr(batch, k) for k in ("tracks", "clusters", "klm", "v0s")},
                       events=batch.events | {"ip": batch.events["ip"] + shift})
    rng = np.random.default_rng(2)
    table = combined("B0", [tables["K_S0"], tables["gamma"]], rng)
    names = ["dr", "dz", "distance", "significanceOfDistance", "cosAngleBetweenMomentumAndVertexVector",
             "useRestFrame(daughter(0,distance))", "useRestFrame(daughter(1,distance))", "daughter(0,dx)"]
    np.testing.assert_allclose(
        feature_matrix(names, shifted(table), [shifted(tables[d]) for d in ("K_S0", "gamma")], moved),
        feature_matrix(names, table, [tables[d] for d in ("K_S0", "gamma")], batch), rtol=1e-9, atol=1e-12)


def test_v0_tracks_count_as_daughters(world):
    """A V0 gives angles, momenta and impact parameters of its two tracks; they have no probability."""
    batch, _ = world
    rng = np.random.default_rng(4)
    pair = [track_kinematics(batch.v0s[f"{side}_helix"], batch.v0s["positive_cov"], 1.5, mass("pi+"))
            for side in ("positive", "negative")]
    v0_p4 = np.stack([p[0] for p in pair], axis=1)
    table = table_of("K_S0", batch.v0s.offsets, rng, p4=v0_p4.sum(axis=1), v0_p4=v0_p4,
                     v0_vertex=np.stack([p[1] for p in pair], axis=1), object=np.arange(N_EVENTS, dtype="i4"),
                     sign=np.ones(N_EVENTS, dtype="i1"))
    names = ["daughterAngle(0,1)", "useRestFrame(daughter(1,p))", "daughter(1,dr)", "daughter(1,dz)", "Q", "dQ",
             "daughter(0,SignalProbability)", "daughter(1,M)", "M"]
    got = feature_matrix(names, table, [], batch)
    for row in range(N_EVENTS):
        ip = batch.events["ip"][row]
        parts = [naive.Particle(v0_p4[row, j], perigee_by_walking(batch.v0s[f"{side}_helix"][row], ip),
                                {"M": mass("pi+"), "nominal": mass("pi+"), "SignalProbability": math.nan})
                 for j, side in enumerate(("positive", "negative"))]
        whole = particle(table, row, batch, parts)
        want = [naive.feature(name, whole, batch.events["beam_p4"][row]) for name in names]
        np.testing.assert_allclose(got[row], want, rtol=1e-6, atol=1e-5)
    assert np.isnan(got[:, 6]).all() and not np.isnan(got[:, [0, 1, 2, 3, 4, 5]]).any()


def test_undefined_stays_undefined_and_empty_stays_empty(world):
    """A NaN momentum, a vertex on the IP, a massless rest frame: NaN, no warning, no other row touched."""
    batch, tables = world
    table = tables["K_S0"].select(np.arange(len(tables["K_S0"])))
    table.columns["p4"][0] = np.nan
    table.columns["p4"][1] = [1.0, 0.0, 0.0, 1.0]
    table.columns["vertex"][2] = batch.events["ip"][table.event_index[2]]
    names = ["p", "useRestFrame(daughter(0,p))", "decayAngle(0)", "significanceOfDistance",
             "cosAngleBetweenMomentumAndVertexVector", "deltaE"]
    got = feature_matrix(names, table, [tables["pi+"]] * 2, batch)
    assert np.isnan(got[0, [0, 1, 2, 4, 5]]).all()
    assert np.isnan(got[1, [1, 2]]).all() and got[1, 0] == 1.0
    assert np.isnan(got[2, [3, 4]]).all()
    assert not np.isnan(got[3:]).any()
    none = table.select(np.zeros(len(table), dtype=bool))
    assert feature_matrix(names, none, [tables["pi+"]] * 2, batch).shape == (0, len(names))
    assert feature_matrix([], table, [tables["pi+"]] * 2, batch).shape == (len(table), 0)


@pytest.mark.parametrize(("name", "part"), [
    ("electronId", "Nearest known: 'electronID'"), ("daughterAngel(0,1)", "Nearest known: 'daughterAngle'"),
    ("daughter(p,0)", "a whole number from 0"), ("daughterAngle(0)", "got 1 argument"),
    ("daughterAngle(0,0)", "must differ"), ("abs(M", "not closed"), ("daughter(0,useRestFrame)", "takes arguments"),
])
def test_bad_names_say_what_is_wrong(name, part):
    """A misspelt feature must not be read as another one."""
    assert not known(name)
    with pytest.raises((UnknownNameError, ExpressionError), match=part.replace("(", r"\(")):
        check(name)


def test_daughters_and_columns_that_are_not_there(world):
    """The error names the particle and the feature instead of reading a neighbour's column."""
    batch, tables = world
    with pytest.raises(UnknownNameError, match=r"pi\+: feature 'daughterAngle\(0,1\)' needs 2 daughters"):
        feature_matrix(["daughterAngle(0,1)"], tables["pi+"], [], batch)
    pions = tables["pi+"]
    bare = CandidateTable("pi+", pions.offsets, {k: v for k, v in pions.columns.items() if k != "chiProb"})
    with pytest.raises(UnknownNameError, match=r"pi\+: no column 'chiProb'"):
        feature_matrix(["chiProb"], bare, [], batch)


def test_every_feature_of_the_default_channels_is_known():
    """The channel files and this module must not drift apart."""
    names = {name for channel in load_channel_set("hadronic").channels() for name in channel.features}
    assert len(names) > 60 and [name for name in names if not known(name)] == []


def test_spelling_of_basf2_is_understood(world):
    """extraInfo and blanks of the FEI's own configuration mean the same feature."""
    batch, tables = world
    names = ["daughter(0, extraInfo(SignalProbability))", "daughter(0,SignalProbability)", "extraInfo(preCut_rank)",
             "preCut_rank"]
    got = feature_matrix(names, tables["K_S0"], [tables["pi+"]] * 2, batch)
    assert np.array_equal(got[:, 0], got[:, 1]) and np.array_equal(got[:, 2], got[:, 3])


def test_every_default_feature_is_compiled():
    """Would catch a feature of the shipped sets that falls out of the fast kernel: the time per event would double."""
    for name in ("hadronic", "extended"):
        names = {feature for channel in load_channel_set(name).channels() for feature in channel.features}
        assert [feature for feature in names if opcode(feature) is None] == []


@pytest.mark.parametrize("module", [feature_module, candidate_module])
def test_numbers_in_docstrings(module):
    """The numbers of the docstrings."""
    assert doctest.testmod(module).failed == 0


def test_belle2_tracks_have_the_right_identity_and_impact_parameters():
    """Belle II's own simulation: true kaons, pions and muons look like themselves, and prompt tracks come
    within 0.2 mm of the interaction point, which is 0.5 mm off the origin. Would catch swapped
    likelihoods and impact parameters to the origin."""
    folder = os.environ.get("FEI_LITE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FEI_LITE_TEST_DATA does not name the folder with the Belle II files")
    import fei_lite

    right, impact = {211: [], 321: [], 13: []}, []
    for name in ("mdst-v06-00-00.root", "mdst-v09-00-00.root"):
        for batch in fei_lite.open([Path(folder) / "basf2_mdst" / name]):
            n, tracks, generated = len(batch.tracks), batch.tracks, batch.generated
            table = CandidateTable("pi+", tracks.offsets, {
                "object": np.arange(n), "p4": np.zeros((n, 4)), "vertex": np.zeros((n, 3)),
                "daughters": np.empty((n, 0), "i4")})
            got = feature_matrix(["muonID", "pionID", "kaonID", "dr", "dz"], table, [], batch)
            row = np.maximum(tracks["mc_index"], 0) + generated.offsets[tracks.event_index]
            code = np.where(tracks["mc_index"] >= 0, np.abs(generated["pdg"][row]), 0)
            for pdg, column in ((13, 0), (211, 1), (321, 2)):
                right[pdg].extend(got[code == pdg][:, :3].argmax(axis=1) == column)
            prompt = (code == 211) & (np.linalg.norm(generated["vertex"][row], axis=1) < 0.15)
            impact.extend(got[prompt, 3])
            assert np.hypot(*batch.events["ip"][0, :2]) > 0.05
    assert len(impact) > 50 and np.median(impact) < 0.02
    assert np.mean(right[211]) > 0.6 and np.mean(right[321]) > 0.7 and np.mean(right[13]) > 0.4
