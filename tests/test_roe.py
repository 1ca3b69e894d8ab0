"""The rest of the event: a partition, conserved momentum, and missing momentum with known answers."""

from __future__ import annotations

from dataclasses import replace

import naive_roe as naive
import numpy as np
import pytest
from small_set import write_decays, write_small_set

from fei_lite.channels import load_channel_set
from fei_lite.errors import MaskError, MomentaError, UnknownNameError
from fei_lite.events import EventBatch, Jagged, concatenate, offsets_of
from fei_lite.events.schema import STATUS
from fei_lite.particles import mass
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, ReconstructionOptions, reconstruct
from fei_lite.reconstruction.frames import sqrt_s, to_cms
from fei_lite.roe import (
    find_mask,
    load_masks,
    masked_objects,
    mass_squared,
    missing,
    momentum_transfer,
    momentum_transfer_at_rest,
    objects_in,
    recoil,
    rest_of_event,
    rest_variables,
    side_momenta_cms,
    signal_b_cms,
    tag_side,
)
from fei_lite.roe.objects import displaced_pairs
from fei_lite.tagging.best import select_tags
from fei_lite.used_objects import everything, object_bits
from fei_lite.variables.cuts import parse_cut

#: One B to K nu nubar, one to a lepton and one neutrino; the other B generic.
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
N = 120
NEUTRINOS = (12, 14, 16)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    path = tmp_path_factory.mktemp("roe") / "signal.dec"
    path.write_text(DECAYS)
    return concatenate(list(simulate("signal", N, seed=5, dec_file=path)))


class Truth:
    """The two B mesons of each event, and who comes from which."""

    def __init__(self, batch):
        g = batch.generated
        self.mother = np.where(g["mother"] >= 0, g["mother"] + g.offsets[:-1][g.event_index], -1)
        self.pdg, self.p4 = g["pdg"], g["p4"]
        of_b = np.isin(abs(self.pdg), NEUTRINOS) & (abs(self.pdg[self.mother]) == 521) & (self.mother >= 0)
        # a generic B decays to a neutrino and a D: the signal's siblings are only K or mu
        siblings = [set(abs(self.pdg[self.mother == m])) for m in self.mother[of_b]]
        signal = {int(m) for m, s in zip(self.mother[of_b], siblings) if s - {22} in ({321, 16}, {13, 14})}
        self.signal = np.array([next(m for m in signal if g.event_index[m] == e) for e in range(batch.n_events)])
        self.tag = np.array([np.flatnonzero((abs(self.pdg) == 521) & (g.event_index == e)
                                            & (np.arange(len(g)) != self.signal[e]))[0]
                             for e in range(batch.n_events)])
        self.batch = batch

    def from_(self, ancestors):
        """Which generated particles descend from one of ``ancestors``."""
        found = np.isin(np.arange(len(self.pdg)), ancestors)
        for _ in range(40):
            found |= np.where(self.mother >= 0, found[self.mother], False)
        return found

    def used(self, ancestors):
        """Bit sets (n_events, n_words) of the objects of the descendants of ``ancestors``."""
        wanted = self.from_(ancestors)
        words = np.zeros_like(everything(self.batch))
        for kind in ("tracks", "clusters", "klm"):
            objects = getattr(self.batch, kind)
            index = objects["mc_index"]
            row = index + self.batch.generated.offsets[:-1][objects.event_index]
            rows = np.flatnonzero((index >= 0) & wanted[row])
            np.bitwise_or.at(words, objects.event_index[rows], object_bits(self.batch, kind, rows))
        return words


@pytest.fixture(scope="module")
def truth(batch):
    return Truth(batch)


@pytest.fixture(scope="module")
def sides(batch, truth):
    """True tag and signal: events, bit sets of each."""
    return np.arange(batch.n_events), truth.used(truth.tag), truth.used(truth.signal)


@pytest.fixture(scope="module")
def poor_sides(sides):
    """Sides that miss about half of their objects, so that the rest is rich."""
    event, tag, signal = sides
    rng = np.random.default_rng(8)
    return event, *(side & rng.integers(0, 2**63, side.shape, dtype=np.uint64) for side in (tag, signal))


@pytest.mark.parametrize("name", ["all", "hta", "skim", "ita"])
def test_rest_against_the_twin(batch, poor_sides, name):
    """Would catch an object lost, counted twice or kept by a cut that it fails, in any mask."""
    event, tag, signal = poor_sides
    mask = find_mask(name)
    rest = rest_of_event(masked_objects(batch, mask), event, tag=tag, signal=signal)
    momenta, energy, charge = rest.momenta_lab(), rest.extra_energy(), rest.charge()
    counts = {kind: rest.count(kind) for kind in ("tracks", "photons", *rest.composites)}
    for e in range(batch.n_events):
        used = naive.of_bits(batch, e, tag[e] | signal[e])
        wanted = naive.rest(batch, e, used, mask)
        assert naive.of_bits(batch, e, rest.bits[e]) == wanted["left"]
        assert counts["tracks"][e] == len(wanted["tracks"]) and counts["photons"][e] == len(wanted["photons"])
        found = momenta.p4[momenta.offsets[e]:momenta.offsets[e + 1]]
        p4 = np.array(wanted["tracks"] + wanted["photons"]).reshape(-1, 4)
        assert np.allclose(np.sort(found, axis=0), np.sort(p4, axis=0), rtol=1e-9, atol=1e-9)
        assert energy[e] == pytest.approx(sum(p[3] for p in wanted["photons"]))
        assert charge[e] == wanted["charge"] and rest.n_klm()[e] == wanted["n_klm"]
        if "pi0" in counts:
            assert counts["pi0"][e] == wanted["n_pi0"]
    assert counts["tracks"].sum() > 0 and counts["photons"].sum() > 0


@pytest.fixture(scope="module")
def crowded(batch):
    """Events of three words and more: the objects of ten events in one; and random sets of them."""
    def pooled(objects):
        return Jagged(offsets_of(objects.counts.reshape(-1, 10).sum(axis=1)), objects.columns)

    none = Jagged(np.zeros(N // 10 + 1, np.int64), {name: v[:0] for name, v in batch.v0s.columns.items()})
    large = EventBatch({name: v[::10] for name, v in batch.events.items()}, pooled(batch.tracks),
                       pooled(batch.clusters), pooled(batch.klm), none)
    every = everything(large)
    random = np.random.default_rng(11).integers(0, 2**64, (2, *every.shape), dtype=np.uint64)
    return large, every, every & random[0] & random[1]


def test_rest_and_sets_of_several_words(crowded):
    """Would catch objects beyond the 64th that are lost or taken for the first: rest and set against Python sets."""
    large, every, tag = crowded
    assert every.shape[1] >= 3 and np.all(tag[:, :2].any(axis=0))
    event, mask = np.arange(large.n_events), find_mask("skim")
    objects = masked_objects(large, mask)
    rest, side = rest_of_event(objects, event, tag=tag), objects_in(objects, event, tag)
    for found, of_words in ((rest, lambda e: naive.objects(large, e) - naive.of_bits(large, e, tag[e])),
                            (side, lambda e: naive.of_bits(large, e, tag[e]))):
        energy, charge, klm = found.extra_energy(), found.charge(), found.n_klm()
        for e in event:
            wanted = naive.rest(large, e, naive.objects(large, e) - of_words(e), mask)
            assert naive.of_bits(large, e, found.bits[e]) == wanted["left"]
            assert found.count("tracks")[e] == len(wanted["tracks"])
            assert found.count("photons")[e] == len(wanted["photons"])
            assert energy[e] == pytest.approx(sum(p[3] for p in wanted["photons"]))
            assert charge[e] == wanted["charge"] and klm[e] == wanted["n_klm"]
    assert np.array_equal(rest.bits | tag, every) and not (rest.bits & tag).any()


def test_composites_of_a_set_are_inside(batch, poor_sides):
    """Would catch a pi0 of which one photon is in the set and one is not."""
    event, tag, _ = poor_sides
    objects = masked_objects(batch, "hta")
    offsets, rows = objects_in(objects, event, tag).composites["pi0"]
    table = objects.composites["pi0"]
    wanted = [row for e in event for row in range(table.offsets[e], table.offsets[e + 1])
              if naive.of_bits(batch, e, table["used"][row]) <= naive.of_bits(batch, e, tag[e])]
    assert rows.tolist() == wanted and len(wanted) > 5 and len(offsets) == len(event) + 1


def test_v0s_of_unused_tracks(batch, poor_sides):
    """Would catch a K_S0 or Lambda of used tracks, a wrong pair of tracks, or a window that is not applied."""
    event, some, _ = poor_sides
    # of three events, one is not used at all, one altogether, one in part
    tag = np.where((event % 3 == 1)[:, None], everything(batch), some)
    tag[event % 3 == 0] = 0
    objects = masked_objects(batch, "hta")
    rest, v0s = rest_of_event(objects, event, tag=tag), batch.v0s
    for name, code in (("K_S0", 310), ("Lambda0", 3122)):
        table, of = objects.composites[name], np.arange(batch.n_events)
        assert np.all(np.abs(table["M"] - mass(name)) < 0.011)
        pairs = [naive.of_bits(batch, e, bits) for e, bits in zip(table.event_index, table["used"], strict=True)]
        assert len({(e, s, *sorted(p)) for e, s, p in zip(table.event_index, table["sign"], pairs, strict=True)}) \
            == len(table)
        for e, row, sign, pair in zip(table.event_index, table["object"], table["sign"], pairs, strict=True):
            charges = [batch.tracks["charge"][batch.tracks.offsets[e] + i] for _, i in pair]
            assert sorted(charges) == [-1, 1]
            if row >= 0:
                assert v0s["pdg"][row] == int(sign) * code
                assert pair == {("tracks", int(v0s[f"{s}_index"][row])) for s in ("positive", "negative")}
        used = [naive.of_bits(batch, e, tag[e]) for e in of]
        wanted = [sum(not p & used[e] for k, p in zip(table.event_index, pairs, strict=True) if k == e) for e in of]
        assert rest.count(name).tolist() == wanted
    assert 0 < rest.count("K_S0").sum() < len(objects.composites["K_S0"])


def test_pairs_add_to_the_v0s(batch, truth):
    """Would catch pairs with a wrong mass hypothesis or charge: most of the K_S0 of pairs are true ones."""
    table = masked_objects(batch, "hta").composites["K_S0"]
    pairs = np.flatnonzero(table["object"] < 0)
    assert len(pairs)
    good = []
    for k in pairs:
        e = table.event_index[k]
        tracks = [batch.tracks.offsets[e] + i for _, i in naive.of_bits(batch, e, table["used"][k])]
        index = batch.tracks["mc_index"][tracks]
        mothers = {truth.mother[batch.generated.offsets[e] + i] if i >= 0 else -1 for i in index}
        good.append(len(mothers) == 1 and truth.pdg[mothers.pop()] == 310)
    assert np.mean(good) > 0.5


def test_conjugate_pairs_have_conjugate_masses(batch):
    """Would catch the positive track of an anti-Lambda0 taken for its proton."""
    table = displaced_pairs("Lambda0", batch)
    pairs = np.flatnonzero(table["object"] < 0)
    assert set(table["sign"][pairs]) == {-1, 1}
    for k in pairs:
        e = table.event_index[k]
        total = np.zeros(4)
        for _, i in naive.of_bits(batch, e, table["used"][k]):
            p = naive.track(batch, e, i)[0][:3]
            is_proton = batch.tracks["charge"][batch.tracks.offsets[e] + i] == table["sign"][k]
            total += np.append(p, np.sqrt(p @ p + mass("p+" if is_proton else "pi+")**2))
        assert abs(np.sqrt(mass_squared(total)) - mass("Lambda0")) < 0.0301


def test_masks_only_take_away(batch, poor_sides):
    """Would catch a mask that adds, or one that cuts nothing."""
    event, tag, signal = poor_sides
    plain = rest_of_event(masked_objects(batch, "all"), event, tag=tag, signal=signal)
    for name in ("hta", "skim", "ita"):
        masked = rest_of_event(masked_objects(batch, name), event, tag=tag, signal=signal)
        assert np.all(masked.extra_energy() <= plain.extra_energy())
        assert np.array_equal(masked.bits, plain.bits)
        for kind in ("tracks", "photons"):
            assert np.all(masked.count(kind) <= plain.count(kind))
            assert 0 < masked.count(kind).sum() < plain.count(kind).sum()


def test_partition_and_visible_momentum(batch, sides):
    """Would catch an object of two sides or of none: bits and four-momenta of all sides are the event's."""
    event, tag, signal = sides
    rest = rest_of_event(masked_objects(batch, "all"), event, tag=tag, signal=signal)
    assert not (tag & signal).any() and not (tag & rest.bits).any() and not (signal & rest.bits).any()
    assert np.array_equal(tag | signal | rest.bits, everything(batch))
    assert tag.any(axis=1).all() and rest.bits.any(axis=1).all()
    parts = [side_momenta_cms(batch, event, side).sum() for side in (tag, signal, rest.bits)]
    whole = side_momenta_cms(batch, event, everything(batch)).sum()
    np.testing.assert_allclose(sum(parts), whole, atol=1e-10)
    np.testing.assert_allclose(parts[2], to_cms(rest.p4_lab(), rest.beam_p4), atol=1e-10)


class Flat(NoClassifiers):
    """A classifier that likes every candidate; the hash of its features breaks ties."""

    def has_model(self, identifier):
        return True

    def predict(self, identifier, features, *, above=0.0):
        return 0.5 + 0.4 * np.sin(1e3 * np.nansum(features, axis=1)) ** 2


def test_partition_with_reconstructed_tags(tmp_path):
    """Would catch a Btag whose rest contains its own objects, or momentum that is counted on two sides."""
    decays = write_decays(tmp_path / "rich.dec")
    batch = concatenate(list(simulate("signal", 60, seed=6, dec_file=decays)))
    result = reconstruct(batch, load_channel_set(write_small_set(tmp_path / "small")), Flat(),
                         options=ReconstructionOptions(with_truth=False))
    tags = select_tags(result)
    side = tag_side(result, tags)
    assert len(side) == np.count_nonzero(tags.columns["best"]) > 30
    every = tag_side(result, tags, best=False)
    assert len(every) == len(tags) > 2 * len(side)
    rest = rest_of_event(masked_objects(batch, "hta"), every.event, tag=every.used)
    assert not (rest.bits & every.used).any()
    assert np.array_equal(rest.bits | every.used, everything(batch)[every.event])
    for a, name in enumerate(("px", "py", "pz", "E")):
        np.testing.assert_array_equal(every.p4[:, a], tags.columns[name])
    tracks, rows = tags.columns["track_index"]
    for k in range(0, len(every), 7):
        bits = naive.of_bits(batch, every.event[k], every.used[k])
        assert {i for kind, i in bits if kind == "tracks"} == set(rows[tracks[k]:tracks[k + 1]].tolist())
    columns = rest_variables(rest, every.p4)
    np.testing.assert_allclose(columns["missing_p4_lab"] + columns["roe_p4_lab"] + every.p4, rest.beam_p4, atol=1e-12)
    np.testing.assert_allclose(columns["recoil_p4_lab"] - columns["roe_p4_lab"], columns["missing_p4_lab"], atol=1e-12)


def test_order_of_rows_does_not_matter(batch, poor_sides):
    """Would catch offsets mixed up where rows are not one per event, in order."""
    event, tag, signal = poor_sides
    objects = masked_objects(batch, "hta")
    order = np.random.default_rng(7).integers(0, len(event), 300)
    straight = rest_variables(rest_of_event(objects, event, tag=tag, signal=signal), np.zeros((len(event), 4)))
    mixed = rest_variables(rest_of_event(objects, event[order], tag=tag[order], signal=signal[order]),
                           np.zeros((300, 4)))
    for name, values in straight.items():
        np.testing.assert_array_equal(mixed[name], values[order], err_msg=name)


def stable(truth):
    """Final-state particles of the generator: those it made and nothing generated decays further."""
    status = truth.batch.generated["status"]
    primary = (status & STATUS["primary"]) > 0
    leaf = ~np.isin(np.arange(len(primary)), truth.mother[primary])
    return primary & leaf


def test_one_neutrino_is_massless_and_two_are_q2(batch, truth):
    """Would catch a wrong sign, frame or metric: generated momenta balance to the last digits.

    Everything but the signal's neutrinos is seen: the missing mass squared is 0
    for B -> mu nu, and (p_nu + p_nubar)^2 for B -> K nu nubar.
    """
    g = batch.generated
    lost = np.isin(abs(truth.pdg), NEUTRINOS) & np.isin(truth.mother, truth.signal)
    seen = stable(truth) & ~lost
    total, neutrinos = (np.stack([np.bincount(g.event_index[which], truth.p4[which, a], minlength=batch.n_events)
                                  for a in range(4)], axis=1) for which in (seen, lost))
    beam = truth.p4[g.offsets[:-1]]  # the Upsilon(4S) itself, not the nominal beams
    found = missing(total, beam)
    np.testing.assert_allclose(found.p4_lab, neutrinos, atol=1e-5)
    one = np.bincount(g.event_index[lost], minlength=batch.n_events) == 1
    assert 20 < one.sum() < batch.n_events - 20
    np.testing.assert_allclose(found.mass2[one], 0.0, atol=1e-4)
    np.testing.assert_allclose(found.mass2, mass_squared(neutrinos), atol=1e-4)
    np.testing.assert_allclose(found.mass2, mass_squared(found.p4_lab), atol=1e-9)
    np.testing.assert_allclose(found.energy_plus_momentum[one], 2 * found.p4_cms[one, 3], atol=1e-4)
    np.testing.assert_allclose(np.cos(found.theta_lab), neutrinos[:, 2] / np.linalg.norm(neutrinos[:, :3], axis=1),
                               atol=1e-4)


def test_q2_of_a_perfect_tag(batch, truth):
    """Would catch a recoil in the wrong direction or frame: the generated tag gives the generated q2."""
    beam = truth.p4[batch.generated.offsets[:-1]]
    tag, signal = truth.p4[truth.tag], truth.p4[truth.signal]
    lost = np.isin(abs(truth.pdg), NEUTRINOS) & np.isin(truth.mother, truth.signal)
    event = batch.generated.event_index[lost]
    neutrinos = np.stack([np.bincount(event, truth.p4[lost, a], minlength=batch.n_events) for a in range(4)], axis=1)
    visible = signal - neutrinos  # the kaon or muon, with what it radiated
    q2 = mass_squared(neutrinos)
    assert q2.max() > 15.0
    np.testing.assert_allclose(momentum_transfer(recoil(tag, beam), visible), q2, atol=1e-4)
    constrained = signal_b_cms(tag, beam, mass_b=float(np.sqrt(mass_squared(signal)).mean()))
    np.testing.assert_allclose(constrained, to_cms(signal, beam), atol=1e-4)
    np.testing.assert_allclose(momentum_transfer(constrained, to_cms(visible, beam)), q2, atol=2e-3)
    # without a tag, the signal B at rest: smeared by 2 p*_B p*_visible at most
    at_rest = momentum_transfer_at_rest(to_cms(visible, beam), sqrt_s(beam))
    p_b = np.linalg.norm(to_cms(signal, beam)[:, :3], axis=1)
    bound = 2 * p_b * np.linalg.norm(to_cms(visible, beam)[:, :3], axis=1)
    assert np.all(np.abs(at_rest - q2 - p_b**2) <= bound + 1e-3)
    assert np.std(at_rest - q2) > 0.3


def test_q2_with_nominal_beams_is_unbiased(batch, truth):
    """Would catch a nominal beam that is not the mean of the true ones: q2 of a true tag is off by the spread only."""
    beam = batch.events["beam_p4"]
    kaon = np.isin(abs(truth.pdg), (321,)) & np.isin(truth.mother, truth.signal)
    event = batch.generated.event_index[kaon]
    visible = truth.p4[kaon]
    q2 = mass_squared(truth.p4[truth.signal][event] - visible)
    found = momentum_transfer(signal_b_cms(truth.p4[truth.tag][event], beam[event]), to_cms(visible, beam[event]))
    assert np.all(np.isfinite(found)) and len(found) > 30
    # 5 MeV of spread in E*, times twice the kaon's energy of up to 2.6 GeV
    assert np.abs(np.mean(found - q2)) < 0.05 and np.std(found - q2) < 0.2


def test_undefined_is_nan():
    """Would catch a made-up direction for a tag at rest, below threshold or undefined."""
    beam = np.array([0.0, 0.0, 0.0, 10.58])
    tags = np.array([[0, 0, 0, 5.29], [0, 0, 0.3, 5.29], [np.nan, 0, 0, 5.0]])
    found = signal_b_cms(tags, beam)
    assert np.isnan(found[[0, 2], :3]).all() and np.isfinite(found[1]).all()
    assert np.isnan(signal_b_cms(tags, beam, mass_b=5.3)).all()
    lost = missing(np.stack([beam, tags[2]]), beam)
    assert np.isnan(lost.theta_lab[0]) and lost.mass2[0] == 0.0 and np.isnan(lost.mass2[1])


def test_no_candidates_and_no_objects(batch, sides):
    """Would catch a crash for a batch without tags, and a rest that is empty but not 0."""
    _, tag, _ = sides
    objects = masked_objects(batch, "hta")
    rest = rest_of_event(objects, np.zeros(0, np.int64), tag=tag[:0])
    assert all(len(values) == 0 for values in rest_variables(rest, np.zeros((0, 4)), np.zeros((0, 4))).values())
    assert len(rest.momenta_cms()) == 0
    rest = rest_of_event(objects, np.array([3]), tag=everything(batch)[[3]])
    columns = rest_variables(rest, rest.beam_p4)
    assert columns["roeEextra"][0] == columns["nROE_Tracks"][0] == columns["missingMass2OfTagSignalAndRest"][0] == 0
    assert not rest.bits.any()


def test_track_hypotheses(batch):
    """Would catch the wrong mass of a track: the pion wins ties and undefined likelihoods, the deuteron never."""
    logl = np.zeros((len(batch.tracks), 6), np.float32)
    logl[:, 5] = 1.0
    logl[0], logl[1], logl[2, 3] = np.nan, (1, 0, 1, 0, 0, 0), 2.0
    tracks = replace(batch.tracks, columns=batch.tracks.columns | {"pid_logl": logl})
    table = masked_objects(replace(batch, tracks=tracks)).tracks
    names = ["pi+", "pi+", "K+"] + ["pi+"] * (len(table) - 3)
    np.testing.assert_allclose(np.sqrt(mass_squared(table["p4"])), [mass(name) for name in names], rtol=1e-5)


def test_sides_that_do_not_fit(batch, sides):
    """Would catch a signal side that uses the tag's tracks, or a bit set of another event, without a word."""
    event, tag, signal = sides
    objects = masked_objects(batch)
    with pytest.raises(MomentaError, match="share objects"):
        rest_of_event(objects, event, tag=tag, signal=tag | signal)
    with pytest.raises(MomentaError, match="does not have"):
        rest_of_event(objects, event, tag=np.full_like(tag, np.uint64(2**64 - 1)))
    with pytest.raises(MomentaError, match="shape"):
        rest_of_event(objects, event[1:], tag=tag)


def test_masks_name_every_defect(tmp_path):
    """Would catch a typing error in a mask that silently selects something else."""
    path = tmp_path / "masks.toml"
    path.write_text("""
        [good]
        origin = "here"
        tracks = "dr < 1"
        [bad]
        clusters = []
        photons = 5
        [worse]
        origin = "here"
        tracks = [{ cut = "dr < 1" }]
        photons = [{ cut = "E > 0.1 and clusterThetta < 2", origin = "x" }]
        pi0 = "M > 0.1 and SignalProbability > 0.1"
        K_S0 = "M >"
        [old]
        origin = "here"
        tracks = [{ variable = "dr", origin = "x" }]
        photons = [{ variable = "E", minimum = 0.1, region = "front", origin = "x" }, { variable = "E", minimum = 1 }]
        """)
    with pytest.raises(MaskError) as error:
        load_masks(path)
    for text in ("bad: origin: missing", "bad: clusters: unknown key", "bad: photons: got 5, expected a text",
                 "worse: tracks[0]: origin: missing", "worse: K_S0: column 4: expected a name",
                 "worse: photons[0].cut: column 13: unknown variable 'clusterThetta'. Nearest known: 'clusterTheta'",
                 "worse: pi0: 'SignalProbability > 0.1' is known after the classifier only",
                 "old: tracks[0]: cuts nothing", "old: photons[0].region: unknown region 'front'",
                 "old: photons[1].origin: missing"):
        assert text in str(error.value), text
    assert "good" not in str(error.value)
    with pytest.raises(UnknownNameError, match="Nearest known: 'hta'"):
        find_mask("htaa")
    with pytest.raises(MaskError, match="cannot be read"):
        load_masks(tmp_path / "none.toml")


def test_every_number_of_the_masks_has_an_origin():
    """Would catch a number without a used."""
    for mask in load_masks().values():
        assert mask.origin
        for kind, cut in mask.cuts.items():
            lines = mask.origins[kind]
            assert all(origin for _, origin in lines)
            parts = [str(part) for text, _ in lines for part in parse_cut(text).conjuncts]
            assert parts == list(map(str, cut.conjuncts))


def test_masks_of_earlier_versions(tmp_path):
    """Would catch another selection from the tables of earlier versions, or that they are read without a word."""
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text("""
        [a]
        origin = "x"
        tracks = [{ variable = "abs(dz)", maximum = 4, origin = "x" }]
        photons = [{ variable = "E", minimum = 0.1, region = "forward", origin = "x" },
                   { variable = "minC2TDist", minimum = 50, origin = "x" },
                   { variable = "E", minimum = 0.06, region = "barrel", origin = "x" }]
        """)
    new.write_text("""
        [a]
        origin = "x"
        tracks = "abs(dz) < 4"
        photons = "minC2TDist > 50 and [clusterReg == 1 and E > 0.1 or clusterReg == 2 and E > 0.06]"
        """)
    with pytest.warns(FutureWarning, match="write the cut as a text"):
        assert load_masks(old)["a"].cuts == load_masks(new)["a"].cuts


def test_names_of_earlier_versions(batch, sides):
    """Would catch another missing mass under an old name, or no notice of it."""
    event, tag, signal = sides
    rest = rest_of_event(masked_objects(batch), event, tag=tag, signal=signal)
    columns = rest_variables(rest, rest.beam_p4 * 0.4, rest.beam_p4 * 0.1)
    for old, new in (("q2", "missingMass2FromTagDirection"), ("q2_recoil", "missingMass2OfTagAndSignal"),
                     ("missing_mass2", "missingMass2OfTagSignalAndRest")):
        with pytest.warns(FutureWarning, match=new):
            assert np.array_equal(columns[old], columns[new], equal_nan=True)
    np.testing.assert_allclose(columns["missingMass2OfTagAndSignal"], 0.25 * mass_squared(rest.beam_p4))
    with pytest.raises(UnknownNameError, match="Nearest known: 'mRecoil'"):
        columns["mrecoil"]


def test_photons_far_from_no_track(batch):
    """Would catch photons lost in events without tracks: an undefined distance to the nearest track is not near."""
    def photons(distance):
        columns = batch.clusters.columns | {"min_track_distance": np.full(len(batch.clusters), distance, np.float32)}
        return len(masked_objects(replace(batch, clusters=replace(batch.clusters, columns=columns)), "hta").photons)

    assert photons(np.nan) == photons(51.0) > photons(49.0) == 0
