"""The signal side on the engine: Upsilon(4S) -> Btag Bsig on what the tag leaves."""

from __future__ import annotations

import numpy as np
import pytest
from signal_events import Truth, signal_batch, true_tags

from fei_lite.channels import load_channel_set
from fei_lite.channels.files import find_channel_set
from fei_lite.errors import ChannelFileError, UnknownNameError
from fei_lite.reconstruction.chains import Chains
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.reconstruction.kinematics import impact_parameters
from fei_lite.used_objects import everything
from fei_lite.variables.detector import likelihood_ratios

SET = load_channel_set("k_nunu")
N = 150


@pytest.fixture(scope="module")
def batch():
    return signal_batch(N, seed=11)


@pytest.fixture(scope="module")
def truth(batch):
    return Truth(batch)


@pytest.fixture(scope="module")
def result(batch, truth):
    return reconstruct(batch, SET, NoClassifiers(), btags=true_tags(batch, truth))


def test_set():
    """Would catch a decay of the signal side that is read as something else."""
    texts = {c.text for c in SET.channels()}
    assert texts == {"K+:sig -> K+:FSP", "B+:tag -> B+:Btag", "B+:sig -> K+:sig ?nu_tau ?anti-nu_tau",
                     "Upsilon(4S) -> B+:tag B-:sig"}
    assert SET.tags == ("Upsilon(4S)",)
    identifiers = [c.identifier for c in SET.channels()]
    assert len(set(identifiers)) == len(identifiers)


def test_kaons_by_hand(batch, result):
    """Would catch a kaon cut that is not applied, or applied to another column: every track, one at a time."""
    tracks, found = batch.tracks, []
    kaon = likelihood_ratios(tracks["pid_logl"])[:, 3]
    for i in range(len(tracks)):
        dr, dz = impact_parameters(tracks["helix"][i:i + 1], batch.events["ip"][tracks.event_index[i]])
        theta = np.degrees(np.pi / 2 - np.arctan(tracks["helix"][i, 4]))
        if kaon[i] > 0.9 and tracks["n_cdc_hits"][i] >= 20 and dr[0] < 0.5 and abs(dz[0]) < 4 and 17 < theta < 150:
            found.append(i)
    assert 50 < len(found) < len(tracks) / 2
    assert sorted(result.tables["K+:sig"]["object"]) == found


def test_pairs_by_hand(batch, result):
    """Would catch a combination that is lost, shares an object or has the wrong charge: all pairs, in a loop."""
    tag, kaon, both = (result.tables[n] for n in ("B+:tag", "K+:sig", "Upsilon(4S)"))
    wanted = set()
    for i, e in enumerate(tag.event_index):
        for j in range(kaon.offsets[e], kaon.offsets[e + 1]):
            if tag["sign"][i] == -kaon["sign"][j] and not (tag["used"][i] & kaon["used"][j]).any():
                wanted.add((i, int(kaon["object"][j])))
    sides = result.tables["B+:sig"]
    of_kaon = kaon["object"][sides["daughters"][:, 0]]
    found = {(int(i), int(of_kaon[j])) for i, j in both["daughters"]}
    assert found == wanted and len(both) == len(wanted) > 0.3 * N
    assert set(np.sign(both["sign"])) == {-1, 1}
    np.testing.assert_array_equal(both["sign"], tag["sign"][both["daughters"][:, 0]])


def test_nothing_shared(batch, result):
    """Would catch a signal side that uses what the tag uses: the bits of the pair are the sum of both."""
    both = result.tables["Upsilon(4S)"]
    tag, side = (result.tables[n]["used"][both["daughters"][:, j]] for j, n in enumerate(("B+:tag", "B+:sig")))
    assert not (tag & side).any()
    np.testing.assert_array_equal(both["used"], tag | side)
    assert not (both["used"] & ~everything(batch)[both.event_index]).any()
    np.testing.assert_array_equal(np.bitwise_count(side).sum(axis=1), 1)


def test_truth_and_probability(batch, truth, result):
    """Would catch a signal side that is not signal because the neutrinos are missing, or a foreign kaon that is."""
    both, sides, kaons = (result.tables[n] for n in ("Upsilon(4S)", "B+:sig", "K+:sig"))
    tag = result.tables["B+:tag"]
    mc = kaons["mc"][sides["daughters"][:, 0]]
    is_kaon = np.isin(mc, truth.kaon)
    assert is_kaon.sum() > 0.4 * N
    assert np.all(sides["mc"][is_kaon] == np.array(truth.signal)[sides.event_index[is_kaon]])
    good = sides["isSignal"] == 1
    assert np.all(is_kaon[good]) and np.mean(good[is_kaon]) > 0.95  # radiated photons are accepted, hits of others not
    assert np.all(sides["mcErrors"][good] & 8 == 8)
    assert np.all(tag["SignalProbability"][both["daughters"][:, 0]] == both["SignalProbability"])
    right = (tag["isSignal"][both["daughters"][:, 0]] == 1) & good[both["daughters"][:, 1]]
    np.testing.assert_array_equal(both["isSignal"] == 1, right)


def test_momentum_and_chain(result):
    """Would catch a pair whose momentum is not that of its sides."""
    both = result.tables["Upsilon(4S)"]
    parts = [result.tables[n]["p4"][both["daughters"][:, j]] for j, n in enumerate(("B+:tag", "B+:sig"))]
    np.testing.assert_allclose(both["p4"], parts[0] + parts[1], rtol=1e-12)
    texts = Chains(result).texts("Upsilon(4S)")
    assert set(texts) == {"Upsilon(4S) -> B+:tag (B-:sig -> K-:sig)", "Upsilon(4S) -> B-:tag (B+:sig -> K+:sig)"}


def test_without_btags(batch):
    """Would catch a signal side that is silently empty because nobody gave it the tags."""
    with pytest.raises(UnknownNameError, match=r"needs the Btags 'B\+' of the batch.*got none"):
        reconstruct(batch, SET, NoClassifiers())


DEFECTS = {
    "unknown invisible": ("B_plus_sig", '"nu_tau", "anti-nu_tau"', '"nu_x"', "invisible[0]: unknown particle 'nu_x'."),
    "charged invisible": ("B_plus_sig", '"nu_tau", "anti-nu_tau"', '"mu+"', "charge 2 of K+:sig mu+, expected 1"),
    "heavy invisible": ("B_plus_sig", '"nu_tau", "anti-nu_tau"', '"Upsilon"', "'B+:sig' at most 5.279 GeV."),
    "nothing invisible": ("B_plus_sig", 'invisible = ["nu_tau", "anti-nu_tau"]', "", "one daughter, 'K+:sig'."),
    "other Btags": ("B_plus_tag", '"B+:Btag"', '"B0:Btag"', "the list 'B0:Btag' makes 'B0', not 'B+:tag'."),
    "no such Btags": ("K_plus", '"K+:FSP"', '"K+:Btag"', "events have no list 'K+:Btag'. 'Btag' lists: B+, B0."),
    "unknown classifier": ("K_plus", '"none"', '"bdt"\nfeatures = ["p"]',
                           "classifier: got 'bdt', expected: 'model' or 'none'."),
    "features and none": ("K_plus", 'classifier = "none"', 'classifier = "none"\nfeatures = ["p"]',
                          "features without a classifier."),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects(tmp_path, defect):
    """Would catch a defect of a signal side that is passed on silently."""
    file, old, new, message = DEFECTS[defect]
    folder = tmp_path / "k_nunu"
    folder.mkdir()
    for path in find_channel_set("k_nunu").glob("*.toml"):
        text = path.read_text()
        if path.stem == file:
            assert old in text
            text = text.replace(old, new)
        (folder / path.name).write_text(text)
    with pytest.raises(ChannelFileError) as caught:
        load_channel_set(folder)
    assert message in str(caught.value)
    assert len(caught.value.findings) == 1, caught.value.findings


def test_models_of_older_sets_still_fit():
    """Would catch a new key of the format that changes the hash of sets which do not use it."""
    assert load_channel_set("hadronic").hash == "8849f0aeaea53d68"
