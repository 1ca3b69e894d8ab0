"""Ntuples of Btags and of tag-signal pairs, and what Btag files say of the decay: against the tables they come from."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
import pytest
import uproot

import fei_lite
from fei_lite import variables
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.cli import main
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.errors import ExpressionError, FeiLiteError, UnknownNameError
from fei_lite.events import EventWriter
from fei_lite.particles import charge, mass, pdg_code
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.tagging.best import select_tags
from fei_lite.tagging.decay_parts import NAMES
from fei_lite.tagging.file_tables import root_name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A few events of B+B-, and of the signal with its decay file, in files."""
    folder = tmp_path_factory.mktemp("ntuple")
    with EventWriter(folder / "events.root") as writer:
        for batch in simulate("charged", 60, seed=8):
            batch.events["weight"][:] = np.arange(1, batch.n_events + 1) / 10
            writer.write(batch)
    return folder


@pytest.fixture(scope="module")
def tagger():
    return load_tagger(DEFAULT_MODELS)


@pytest.fixture(scope="module")
def result(folder, tagger):
    (batch,) = fei_lite.open([folder / "events.root"])
    return reconstruct(batch, *tagger)


@pytest.fixture(scope="module")
def tags(result):
    return select_tags(result, variables={"kaon": "daughter(0, daughter(0, kaonID))", "charge": "charge"})


def lists_of(column):
    offsets, values = column
    return [values[a:b].tolist() for a, b in pairwise(offsets)]


def test_parts_are_those_of_the_decay_chain(tags):
    """Would catch a hypothesis of another track, a lost V0, or another order than that of the chain's text."""
    lists = {name: lists_of(tags.columns[name]) for name in NAMES}
    assert len(tags) > 200 and any(":V0" in chain for chain in tags.columns["decayChain"])
    for i, chain in enumerate(tags.columns["decayChain"]):
        final, inner = list(lists["final_pdg"][i]), list(lists["intermediate_pdg"][i])
        written = [token for token in re.findall(r"[^\s()]+", str(chain)) if token != "->"][1:]
        opened = re.findall(r"\(([^\s()]+) ->", str(chain))
        for name in written:
            if name.endswith(":V0"):
                assert inner.pop(0) == pdg_code(name) and (final.pop(0), final.pop(0))
            elif opened and name == opened[0]:
                assert inner.pop(0) == pdg_code(opened.pop(0))
            else:
                assert final.pop(0) == pdg_code(name), chain
        assert not final and not inner


def test_parts_are_the_objects_used(tags, result):
    """Would catch an index of another event's track, a charge that is not the track's, a photon that is none."""
    batch = result.batch
    names = ("final_track", "final_cluster", "track_index", "cluster_index", "final_pdg")
    columns = [lists_of(tags.columns[name]) for name in names]
    for event, tracks, clusters, all_tracks, all_clusters, codes in zip(tags.event, *columns, strict=True):
        assert sorted(i for i in tracks if i >= 0) == all_tracks
        assert sorted(i for i in clusters if i >= 0) == all_clusters
        for code, track, cluster in zip(codes, tracks, clusters, strict=True):
            assert (track >= 0) != (cluster >= 0)
            if track >= 0:
                assert batch.tracks["charge"][batch.tracks.offsets[event] + track] == charge(code)
            else:
                assert code == 22


def test_intermediates_are_those_of_the_tables(tags, result):
    """Would catch the mass or probability of another candidate: the first intermediate is the first daughter."""
    columns = {name: lists_of(tags.columns[name]) for name in NAMES if name.startswith("intermediate")}
    seen = 0
    for i, (particle, row) in enumerate(zip(tags.particle, tags.row, strict=True)):
        table = result.tables[str(particle)]
        channel = result.channel_set.particles[str(particle)].channels[table["decayModeID"][row]]
        name = str(result.channel_set.resolve(channel.daughters[0]))
        if result.channel_set.particles[name].channels[0].leaf is None:
            daughter, at = result.tables[name], table["daughters"][row, 0]
            first = {key: values[i][0] for key, values in columns.items()}
            assert first["intermediate_M"] == daughter["M"][at]
            assert first["intermediate_SignalProbability"] == daughter["SignalProbability"][at]
            assert first["intermediate_decayModeID"] == daughter["decayModeID"][at]
            assert abs(first["intermediate_pdg"]) == abs(pdg_code(name))
            assert abs(first["intermediate_M"] - mass(name)) < 1
            seen += 1
    assert seen > 200


def test_columns_that_were_asked_for(tags, result):
    """Would catch columns of another candidate, B+ and B0 mixed up."""
    for i in range(0, len(tags), 7):
        subject = variables.Subject(result.tables[str(tags.particle[i])], tags.row[i:i + 1], result=result)
        want = variables.evaluate(["daughter(0, daughter(0, kaonID))", "charge"], subject)
        np.testing.assert_equal(tags.columns["kaon"][i], want["daughter(0, daughter(0, kaonID))"][0])
        assert tags.columns["charge"][i] == want["charge"][0]


def test_ntuple_of_btags(folder, tags, tmp_path):
    """Would catch a lost candidate, a cut on other rows, a best that is not the most probable one that passes."""
    pd = pytest.importorskip("pandas")
    asked = {"Mbc": "Mbc", "probability": "SignalProbability", "extra": "roeEextra(hta)", "isSignal": "isSignal"}
    fei_lite.ntuple([folder / "events.root"], tmp_path / "all.parquet", variables=asked, batch_size=25)
    every = pd.read_parquet(tmp_path / "all.parquet")
    assert np.array_equal(every["Mbc"], tags.columns["Mbc"]) and len(every) == len(tags)
    for name in ("event", "weight"):
        assert np.array_equal(every[name], tags.columns[name])
    assert np.array_equal(every["candidate"] + 1, tags.columns["rank"])
    fei_lite.ntuple([folder / "events.root"], tmp_path / "best.root", variables=list(asked.values()), best=True,
                    cut="5.25 < Mbc < 5.27 and roeEextra(hta) > 0.2")
    with uproot.open(tmp_path / "best.root") as file:
        best = file["ntuple"].arrays(library="pd")
        metadata = json.loads(str(file["fei_lite_metadata"]))
    keep = every[(every["Mbc"] > 5.25) & (every["Mbc"] < 5.27) & (every["extra"] > 0.2)]
    wanted = keep.loc[keep.groupby("event")["probability"].idxmax()]
    assert 5 < len(wanted) < len(keep)
    assert np.array_equal(best["Mbc"], wanted["Mbc"]) and np.array_equal(best["roeEextra__bohta__bc"], wanted["extra"])
    assert np.array_equal(best["nCandidates"], keep.groupby("event").size())
    assert metadata["rows"] == "best" and metadata["variables"]["Mbc"] == "Mbc" and metadata["n_events"] == 60


def test_ntuple_of_pairs(folder, result, tmp_path):
    """Would catch the tag of another pair, or a Btag whose daughters are those of the signal side's tables."""
    pd = pytest.importorskip("pandas")
    loose = tmp_path / "loose"
    loose.mkdir()
    for name in ("B_plus_tag", "B_plus_sig", "K_plus", "Upsilon4S"):
        text = (fei_lite.load_channel_set("k_nunu").path / f"{name}.toml").read_text()
        for old, new in (("5.27", "5.2"), ("> 0.001", "> 0"), ("0.2  ", "0.5")):
            text = text.replace(old, new)
        (loose / f"{name}.toml").write_text(text)
    pairs = reconstruct(result.batch, fei_lite.load_channel_set(loose), NoClassifiers(), btags=result.tables)
    table = pairs.tables["Upsilon(4S)"]
    assert len(table) > 20
    file = tmp_path / "columns.toml"
    file.write_text('variables = ["daughter(0, daughter(0, M))", "m2Recoil"]\ncut = "daughter(0, Mbc) > 5.24"\n'
                    '[names]\nkaon = "daughter(1, daughter(0, p))"\nmode = "daughter(0, decayModeID)"\n')
    fei_lite.ntuple([folder / "events.root"], tmp_path / "pairs.parquet", variables=file, signal_set=str(loose))
    found = pd.read_parquet(tmp_path / "pairs.parquet")
    wanted = []
    for i in range(len(table)):
        tag, side = table["daughters"][i]
        row = pairs.tables["B+:tag"]["object"][tag]
        btag = result.tables["B+"]
        if variables.evaluate(["Mbc"], variables.Subject(btag, np.array([row]), result=result))["Mbc"][0] <= 5.24:
            continue
        channel = result.channel_set.particles["B+"].channels[btag["decayModeID"][row]]
        first = result.tables[str(result.channel_set.resolve(channel.daughters[0]))]
        kaon = pairs.tables["K+:sig"]["p4"][pairs.tables["B+:sig"]["daughters"][side, 0]]
        beam = result.batch.events["beam_p4"][table.event_index[i]]
        lost = beam - btag["p4"][row] - kaon
        wanted.append((first["M"][btag["daughters"][row, 0]], lost[3]**2 - lost[:3] @ lost[:3],
                       np.linalg.norm(kaon[:3]), btag["decayModeID"][row]))
    got = found[["daughter(0,daughter(0,M))", "m2Recoil", "kaon", "mode"]].to_numpy()
    assert 5 < len(wanted) == len(got)
    np.testing.assert_allclose(got[np.lexsort(got.T)], np.array(wanted)[np.lexsort(np.array(wanted).T)], rtol=1e-9,
                               atol=1e-9)


def test_cuts_of_a_signal_side(result, tmp_path):
    """Would catch a cut of a pair on its rest of the event, or on its tag's daughters, that looks elsewhere."""
    def pairs(name, cuts):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("B_plus_tag", "B_plus_sig", "K_plus", "Upsilon4S"):
            text = (fei_lite.load_channel_set("k_nunu").path / f"{file}.toml").read_text()
            text = text.replace("5.27", "5.2").replace("> 0.001", "> 0").replace("best = 20", "best = 500")
            (folder / f"{file}.toml").write_text(text if file != "Upsilon4S" else text.replace('cuts = ""', cuts))
        return reconstruct(result.batch, fei_lite.load_channel_set(folder), NoClassifiers(), btags=result)

    every = pairs("all", 'cuts = ""')
    cut = "roeEextra(hta) < 1.5 and daughter(0, daughter(0, M)) > 1.8 and m2Recoil > 5"
    found = pairs("cut", f'cuts = "{cut}"').tables["Upsilon(4S)"]
    table = every.tables["Upsilon(4S)"]
    keep = variables.parse_cut(cut).passes(variables.Subject(table, result=every))
    assert 0 < len(found) == np.count_nonzero(keep) < len(table)
    assert sorted(map(tuple, found["daughters"])) == sorted(map(tuple, table["daughters"][keep]))


def test_what_is_wrong_is_said_before_anything_is_read(folder, tmp_path):
    """Would catch an hour of reconstruction that ends with a typing error."""
    events, output = [folder / "events.root"], tmp_path / "x.root"
    with pytest.raises(UnknownNameError, match=r"column 'kaonId': column 1: unknown variable 'kaonId'"):
        fei_lite.ntuple(events, output, variables=["Mbc", "kaonId"])
    with pytest.raises(ExpressionError, match="expected a comparison"):
        fei_lite.ntuple(events, output, variables=["Mbc"], cut="Mbc")
    with pytest.raises(FeiLiteError, match="always written"):
        fei_lite.ntuple(events, output, variables={"event": "evtNum"})
    with pytest.raises(FeiLiteError, match="has a classifier"):
        fei_lite.ntuple(events, output, variables=["Mbc"], signal_set="hadronic")
    file = tmp_path / "bad.toml"
    file.write_text('variable = ["Mbc"]')
    with pytest.raises(ExpressionError, match=r"unknown key 'variable'\. Nearest known: 'variables'"):
        fei_lite.ntuple(events, output, variables=file)
    assert not output.exists()


def test_a_variable_of_ones_own(folder, tmp_path):
    """Would catch a registered variable that an ntuple does not know."""
    pd = pytest.importorskip("pandas")

    @variables.register("halfM", unit="GeV", meaning="half the mass", nan="M is", source="this test")
    def _(subject):
        return subject.value("M") / 2

    try:
        fei_lite.ntuple([folder / "events.root"], tmp_path / "own.parquet", variables=["halfM", "M"], max_events=20)
    finally:
        variables.unregister("halfM")
    found = pd.read_parquet(tmp_path / "own.parquet")
    assert len(found) > 20 and np.array_equal(found["halfM"], found["M"] / 2)


def test_commands(folder, tmp_path, capsys):
    """Would catch columns of the command line or of a file that are lost, and a cut for a file that has all rows."""
    events, output = str(folder / "events.root"), str(tmp_path / "tags.root")
    file = tmp_path / "columns.toml"
    file.write_text('[names]\nkaon = "daughter(0, daughter(0, kaonID))"\n')
    assert main(["reconstruct", events, "-o", output, "--max-events", "20", "--variables", str(file), "--quiet"]) == 0
    tags = fei_lite.read_tags(output)
    assert {"kaon", "final_pdg", "intermediate_M"} <= set(tags.columns)
    assert main(["ntuple", events, "-o", str(tmp_path / "n.root"), "--max-events", "20", "--variables", str(file),
                 "--variable", "M", "--quiet"]) == 0
    with uproot.open(tmp_path / "n.root") as opened:
        assert {"kaon", "M"} <= set(opened["ntuple"].keys())
        np.testing.assert_array_equal(opened["ntuple"]["kaon"].array(), tags.columns["kaon"])
    file.write_text('variables = ["M"]\ncut = "M > 5"')
    assert main(["reconstruct", events, "-o", output, "--variables", str(file), "--force"]) == 2
    assert "write an ntuple" in capsys.readouterr().err
    assert root_name("daughter(0, p)") == "daughter__bo0__cm__spp__bc"
