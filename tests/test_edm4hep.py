"""EDM4hep files that podio wrote: conventions against their own truth, names of collections, errors."""

from pathlib import Path

import numpy as np
import pytest
import uproot
from particle import Particle

import fei_lite
from fei_lite.cli import main
from fei_lite.errors import EventFileError
from fei_lite.inspection import inspect_file
from fei_lite.kernels.helix import cartesian_to_helix
from fei_lite.tagging.output import read_tags

FOLDER = Path(__file__).parent / "edm4hep"
FULL = FOLDER / "edm4hep_ILD_mumuH_v01-00_podio_v01-07_10ev.root"
FAST = FOLDER / "p8_ee_WW_ecm240_edm4hep.root"
EXAMPLES = sorted(FOLDER.glob("edm4hep_example_*.root"))

CONDITIONS = """
bz = 2.0
[beams]
her = 120.0
ler = 120.0
crossing_angle = 0.03
[interaction_point]
position = [0.0, 0.0, 0.0]
size = [1e-3, 1e-5, 3e-2]
"""
NAMES = {
    FULL: {"tracks": "SiTracks_Refitted", "clusters": "PandoraClusters", "track_truth": "SiTracksMCTruthLink",
           "cluster_truth": "ClusterMCTruthLink"},
    FAST: {"tracks": "EFlowTrack", "clusters": "EFlowPhoton", "particles": "Particle"},
}


def options(folder, path):
    (folder / "conditions.toml").write_text(CONDITIONS)
    names = "\n".join(f'{word} = "{name}"' for word, name in NAMES[path].items())
    (folder / "names.toml").write_text(f'extends = "edm4hep"\nname = "test"\n[names]\n{names}\n')
    return {"mapping": folder / "names.toml", "conditions": folder / "conditions.toml"}


def read(folder, path):
    return next(iter(fei_lite.open(path, **options(folder, path))))


def generated_helices(batch, rows):
    """Helices of generated particles from their vertex and momentum, in a field of 2 T."""
    charge = np.array([Particle.from_pdgid(int(pdg)).charge for pdg in batch.generated["pdg"][rows]], dtype=np.float64)
    out = np.empty((len(rows), 5))
    cartesian_to_helix(np.ascontiguousarray(batch.generated["p4"][rows, :3], dtype=np.float64),
                       np.ascontiguousarray(batch.generated["vertex"][rows], dtype=np.float64), charge,
                       np.full(len(rows), 2.0), out)
    return out


def test_tracks_against_their_truth(tmp_path):
    """Would catch a sign, unit, order of the covariance or reference point that differs from podio's, and links that
    point to another particle: the tracks of a full simulation against what was generated."""
    batch = read(tmp_path, FULL)
    tracks, generated = batch.tracks, batch.generated
    matched = tracks["mc_index"] >= 0
    assert len(tracks) == 238 and matched.sum() >= 230
    said = " ".join(batch.notes)
    assert "no particle identification" in said and "tracks have no truth" not in said
    rows = (generated.offsets[:-1][tracks.event_index] + tracks["mc_index"])[matched]
    expected = generated_helices(batch, rows)
    assert np.mean(np.sign(expected[:, 2]) == tracks["charge"][matched]) > 0.97
    difference = tracks["helix"][matched] - expected
    difference[:, 1] = np.remainder(difference[:, 1] + np.pi, 2 * np.pi) - np.pi
    pulls = np.abs(difference) / np.sqrt(tracks["helix_cov"][matched][:, (0, 5, 9, 12, 14)])
    medians = np.median(pulls, axis=0)  # 0.67 for Gaussian errors
    assert ((medians > 0.5) & (medians < 1.0))[[0, 1, 3, 4]].all() and 0.5 < medians[2] < 2.0
    assert np.median(tracks["helix"][matched][:, 2] / expected[:, 2]) == pytest.approx(1.0, abs=0.002)  # field and unit
    displaced = (np.abs(expected[:, 0]) > 0.01) & (np.hypot(*generated["vertex"][rows, :2].T) < 5.0)
    assert displaced.sum() > 50
    assert np.mean(np.sign(tracks["helix"][matched][displaced, 0]) == np.sign(expected[displaced, 0])) > 0.9


def test_generated_particles_and_clusters(tmp_path):
    """Would catch particles of the detector's simulation that count as generated, mothers that do not conserve momentum
    and clusters linked to the wrong particle."""
    batch = read(tmp_path, FULL)
    generated, clusters = batch.generated, batch.clusters
    primary = generated["status"] > 0
    assert primary.sum() == 1029 and len(generated) == 2051
    at = generated.offsets[:-1][generated.event_index]
    higgs = np.flatnonzero(generated["pdg"] == 25)
    last = [row for row in higgs if not ((generated["mother"] + at == row) & (generated["pdg"] == 25)).any()]
    assert len(last) == 10
    p4 = generated["p4"][last]
    np.testing.assert_allclose(np.sqrt(p4[:, 3]**2 - np.sum(p4[:, :3]**2, axis=1)), 125.0, atol=0.5)
    photon = (clusters["mc_index"] >= 0) & \
        (generated["pdg"][generated.offsets[:-1][clusters.event_index] + clusters["mc_index"]] == 22)
    rows = (generated.offsets[:-1][clusters.event_index] + clusters["mc_index"])[photon]
    p4 = generated["p4"][rows]
    theta, phi = clusters["theta"][photon], clusters["phi"][photon]
    cosine = (p4[:, 0] * np.sin(theta) * np.cos(phi) + p4[:, 1] * np.sin(theta) * np.sin(phi) +
              p4[:, 2] * np.cos(theta)) / np.linalg.norm(p4[:, :3], axis=1)
    energetic = clusters["E"][photon] > 0.5
    assert energetic.sum() > 50 and np.median(cosine[energetic]) > 0.999
    assert np.median(clusters["E"][photon][energetic] / p4[energetic, 3]) == pytest.approx(1.0, abs=0.1)


def test_without_links_the_truth_is_missing_and_said(tmp_path):
    """Would catch a file without links that gets a truth, or loses its lack."""
    batch = read(tmp_path, FAST)
    assert len(batch.tracks) == 287 and len(batch.clusters) == 293 and (batch.tracks["mc_index"] == -1).all()
    assert "mapping: tracks without mc_index: tracks have no truth" in batch.notes
    assert batch.events["event"].tolist() == list(range(10))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem[16:24])
def test_other_names_are_an_error_that_names_them(path, tmp_path):
    """Would catch a collection of another name that is called a damaged file, in old and new releases."""
    (tmp_path / "c.toml").write_text(CONDITIONS)
    with pytest.raises(EventFileError, match=r"no branch 'Tracks\.trackStates_begin'.*'TrackCollection\."):
        list(fei_lite.open(path, mapping="edm4hep", conditions=tmp_path / "c.toml"))


def test_inspect_names_the_collections():
    """Would catch collections of another type, or subsets, that are offered as tracks."""
    found = inspect_file(FULL)
    assert found.holds == "EDM4hep (podio)"
    assert found.facts["collections"]["tracks"] == ["SiTracks", "SiTracksCT", "SiTracks_Refitted"]
    assert found.facts["collections"]["particles"] == ["MCParticles"]
    assert found.facts["collections"]["track_truth"] == ["MCTruthSiTracksLink", "SiTracksMCTruthLink"]
    assert "tracks = 'SiTracks' or " in " ".join(found.lacks)
    assert inspect_file(FAST).facts["collections"]["clusters"] == ["EFlowNeutralHadron", "EFlowPhoton"]
    for path in EXAMPLES:
        assert inspect_file(path).facts["collections"]["tracks"] == ["TrackCollection"]


def test_inspect_of_names_like_podios(tmp_path):
    """Would catch a file that has an object 'events', or podio's tables, but no tree of events: no error."""
    with uproot.recreate(tmp_path / "h.root") as file:
        file["events"] = np.histogram([1.0, 2.0])
        file["podio_metadata"] = {"x": np.arange(3)}
    found = inspect_file(tmp_path / "h.root")
    assert found.holds == "a ROOT file without events" and not found.usable


def test_truth_where_it_cannot_be(tmp_path):
    """Would catch links for a list without a match, and unequal branches of links that are taken."""
    (tmp_path / "c.toml").write_text(CONDITIONS)
    text = 'extends = "edm4hep"\nname = "test"\n[names]\ntracks = "SiTracks_Refitted"\nclusters = "PandoraClusters"\n'
    (tmp_path / "m.toml").write_text(text + '[generated.truth]\nobject = ["a"]\nparticle = ["b"]\n')
    with pytest.raises(EventFileError, match=r"generated\.truth: expected with rows"):
        list(fei_lite.open(FULL, mapping=tmp_path / "m.toml", conditions=tmp_path / "c.toml"))
    (tmp_path / "m.toml").write_text(text + '[tracks.truth]\nobject = ["_SiTracksMCTruthLink_from.index"]\n'
                                            'particle = ["_ClusterMCTruthLink_to.index"]\n')
    with pytest.raises(EventFileError, match=r"tracks\.truth: the branches of the links have different lengths"):
        list(fei_lite.open(FULL, mapping=tmp_path / "m.toml", conditions=tmp_path / "c.toml"))


def test_reconstruct(tmp_path):
    """Would catch a file of podio that the tagger cannot take from end to end."""
    given = options(tmp_path, FULL)
    assert main(["reconstruct", str(FULL), "--mapping", str(given["mapping"]), "--conditions", str(given["conditions"]),
                 "--models", "fei_default", "-o", str(tmp_path / "tags.root")]) == 0
    tags = read_tags(tmp_path / "tags.root")
    assert tags.metadata["n_events"] == 10
