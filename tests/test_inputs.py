"""Events that users have: names, patterns, lists and URLs; mappings and conditions; what leads back to the input."""

from __future__ import annotations

import http.server
import json
import os
import resource
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from other_layouts import basf2_columns, write_edm4hep, write_trees
from toy_events import assert_same, toy_batch

import fei_lite
from fei_lite.classifiers.model_set import find_model_set
from fei_lite.cli import main
from fei_lite.errors import EventFileError
from fei_lite.events import EventWriter
from fei_lite.events.conditions import Beams, load_conditions
from fei_lite.events.inputs import EventInput, event_inputs
from fei_lite.events.mapping import load_mapping
from fei_lite.events.mdst import read_mdst
from fei_lite.events.ranges import entry_ranges
from fei_lite.events.remote import readable_url
from fei_lite.inspection import inspect_file, inspection_text
from fei_lite.tagging.merging import merge_tags
from fei_lite.tagging.output import read_tags
from fei_lite.tagging.skim import ranges_text

MDST = sorted(Path(os.environ.get("FEI_LITE_TEST_DATA", "none")).glob("basf2_mdst/*.root"))
needs_data = pytest.mark.skipif(not MDST, reason="FEI_LITE_TEST_DATA does not name the folder of the mDST files")

CONDITIONS = """
bz = 1.4534
[beams]
her = 7.004
ler = 4.002
crossing_angle = 0.083
[interaction_point]
position = [-0.05, 0.017, -0.02]
size = [12.5e-4, 1.0e-4, 300e-4]
"""

#: Another program's conventions: mm, degrees, theta and q/pT, the lower triangle in another order, kG.
OTHER = """
name = "other"
tree = "t"
[events]
experiment = 7
run = "runno"
event = "evt"
bz = { branch = "field", unit = "kG" }
[tracks.columns]
d0 = { branch = "D", unit = "mm", factor = -1.0 }
phi0 = { branch = "phi", unit = "deg" }
omega = { branch = "qpt", quantity = "qOverPt" }
z0 = { branch = "Z", unit = "mm" }
tanLambda = { branch = "theta", unit = "deg", quantity = "theta" }
[tracks.covariance]
branch = "cov"
order = "lower"
parameters = ["tanLambda", "omega", "phi0", "d0", "z0"]
[clusters.columns]
E = { branch = "cE", unit = "MeV" }
theta = { branch = "ceta", quantity = "eta" }
phi = "cphi"
r = { branch = "cr", unit = "m" }
E_error = { branch = "cdE", unit = "MeV" }
theta_error = 0.01
phi_error = 0.01
"""


def write(path, text):
    path.write_text(text)
    return path


def other_arrays(batch):
    """The events of a batch in the conventions of OTHER; each from its definition, not by the reader's code."""
    tracks, clusters = batch.tracks, batch.clusters
    helix = tracks["helix"]
    bz = batch.events["bz"][tracks.event_index]
    k = 0.00299792458 * bz
    tan_lambda = helix[:, 4]
    theta = np.arctan2(1.0, tan_lambda)
    full = np.zeros((len(tracks), 5, 5))
    i, j = np.triu_indices(5)
    full[:, i, j] = full[:, j, i] = tracks["helix_cov"]
    # d(theirs)/d(ours) of d0 (mm, turned), phi0 (deg), omega (q/pT), z0 (mm), tanLambda (deg)
    slope = np.stack([np.full(len(k), -10.0), np.full(len(k), 180 / np.pi), 1 / k, np.full(len(k), 10.0),
                      -180 / np.pi / (1 + tan_lambda**2)], axis=1)
    theirs = (full * slope[:, :, None] * slope[:, None, :])[:, [4, 2, 1, 0, 3]][:, :, [4, 2, 1, 0, 3]]
    low = np.tril_indices(5)

    def lists(objects, values):
        return ak.unflatten(values, objects.counts)

    packed = ak.unflatten(theirs[:, low[0], low[1]].ravel(), 15 * tracks.counts)
    return {
        "runno": batch.events["run"], "evt": batch.events["event"], "field": 10 * batch.events["bz"],
        "D": lists(tracks, -10 * helix[:, 0]), "phi": lists(tracks, np.degrees(helix[:, 1]) % 360),
        "qpt": lists(tracks, helix[:, 2] / k), "Z": lists(tracks, 10 * helix[:, 3]),
        "theta": lists(tracks, np.degrees(theta)), "cov": packed,
        "cE": lists(clusters, 1000 * clusters["E"].astype(float)),
        "ceta": lists(clusters, -np.log(np.tan(clusters["theta"].astype(float) / 2))),
        "cphi": lists(clusters, clusters["phi"]), "cr": lists(clusters, clusters["r"].astype(float) / 100),
        "cdE": lists(clusters, 1000 * clusters["E_error"].astype(float))}


def write_other(path, batch):
    arrays = other_arrays(batch)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: ak.to_arrow(array, extensionarray=False) for name, array in arrays.items()}),
                       path, row_group_size=3)
        return
    with uproot.recreate(path) as file:
        file.mktree("t", {n: a.dtype if isinstance(a, np.ndarray) else a.type.content for n, a in arrays.items()})
        file["t"].extend(arrays)


def physical(seed=0, n_events=7):
    """Toy events whose angles and field can be written in other conventions."""
    batch = toy_batch(n_events, seed=seed, truth=False)
    rng = np.random.default_rng(seed)
    batch.events["run"][:] = 1000 + seed
    batch.events["event"][:] = np.arange(n_events)
    batch.events["bz"][:] = 1.5
    helix = batch.tracks["helix"]
    helix[:, 1] = rng.uniform(-np.pi, np.pi, len(helix))
    batch.clusters["theta"][:] = rng.uniform(0.3, 2.6, len(batch.clusters))
    batch.clusters["phi"][:] = rng.uniform(-3.1, 3.1, len(batch.clusters))
    return batch


# Names


def test_names_patterns_lists_and_urls(tmp_path, monkeypatch):
    """Would catch a pattern in another order, a comment taken for a file, and a URL whose slashes are tidied away."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.root", "a.root", "odd[1].root"):
        write(tmp_path / name, "")
    write(tmp_path / "list.txt", "# ours\n\n a.root \nroot://host//store/x.root  # theirs\n[ab].root\n")
    found = [str(path) for path in event_inputs(["odd[1].root", "?.root", "@list.txt"], files_from=["list.txt"])]
    listed = ["a.root", "root://host//store/x.root", "a.root", "b.root"]
    assert found == ["odd[1].root", "a.root", "b.root", *listed, *listed]
    assert isinstance(event_inputs(["root://host//x"])[0], EventInput)


@pytest.mark.parametrize("text, message", [
    ("", "names no file"), ("# nothing\n", "names no file"),
    ("*.none\n", r"list\.txt: line 1: \*\.none: no file"),
    ("@other.txt\n", "line 1: .*lists do not name lists"), ("a\0b\n", "line 1: got a NUL"),
])
def test_lists_that_are_none(tmp_path, text, message):
    """Would catch a traceback, or a list without files that is a success."""
    write(tmp_path / "list.txt", text)
    with pytest.raises(EventFileError, match=message):
        event_inputs([f"@{tmp_path / 'list.txt'}"])


def test_urls_are_read_by_fsspec(tmp_path):
    """Would catch events of a URL that differ from those of the file, in either format, and one that is not there."""
    batch = toy_batch(4)
    for name in ("a.root", "a.parquet"):
        with EventWriter(tmp_path / name) as writer:
            writer.write(batch)
        assert_same(next(iter(fei_lite.open(f"file://{tmp_path}/{name}"))), next(iter(fei_lite.open(tmp_path / name))))
    assert [str(path) for path in event_inputs([f"file://{tmp_path}/*.root"])] == [f"file://{tmp_path}/a.root"]
    with pytest.raises(EventFileError, match=r"none\.root"):
        list(fei_lite.open(f"file://{tmp_path}/none.root"))
    with pytest.raises(EventFileError, match="given twice"):
        entry_ranges(event_inputs(2 * [f"file://{tmp_path}/a.root"]))


class _Whole(http.server.SimpleHTTPRequestHandler):
    """A web server of files that answers with all of a file, whatever part is asked for."""

    asked: ClassVar[list[str]] = []

    def log_message(self, *_):
        self.asked.append(self.command)


class _Parts(_Whole):
    """One that gives the part that is asked for."""

    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        data = Path(self.translate_path(self.path)).read_bytes()
        first, last = (int(x) for x in self.headers["Range"].removeprefix("bytes=").split("-"))
        self.answer(data[first:last + 1], f"bytes {first}-{min(last + 1, len(data)) - 1}/{len(data)}")

    def answer(self, data, content_range=None):
        size = len(data) or os.path.getsize(self.translate_path(self.path))
        self.send_response(206 if content_range else 200)
        self.send_header("Content-Length", str(size))
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(data)


@pytest.mark.parametrize("handler, fetched", [(_Whole, True), (_Parts, False)])
def test_files_of_web_servers(tmp_path, handler, fetched):
    """Would catch events of a server without ranges that are silently none, or of others."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra fei-lite[remote])")
    batch = toy_batch(400)
    for name in ("a.root", "a.parquet"):
        with EventWriter(tmp_path / name) as writer:
            writer.write(batch)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        for name in ("a.root", "a.parquet"):
            assert readable_url(f"{place}/{name}").startswith("simplecache::") == fetched
            there, here = (list(fei_lite.open(f"{folder}/{name}", batch_size=150)) for folder in (place, tmp_path))
            assert [part.n_events for part in there] == [150, 150, 100]
            for one, other in zip(there, here, strict=True):
                assert_same(one, other)
        with pytest.raises(EventFileError, match=r"none\.root: cannot be opened"):
            list(fei_lite.open(f"{place}/none.root"))
        server.shutdown()


def test_ten_thousand_files(tmp_path):
    """Would catch a start that opens every file: seconds, memory and open files are those of a few."""
    with EventWriter(tmp_path / "a.root") as writer:
        writer.write(toy_batch(3))
    data = (tmp_path / "a.root").read_bytes()
    names = [tmp_path / f"f{i}.root" for i in range(10_000)]
    for name in names[:200]:
        name.write_bytes(data)
    for i, name in enumerate(names[200:]):
        os.link(names[i % 200], name)
    write(tmp_path / "list.txt", "\n".join(map(str, names)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime, len(os.listdir("/proc/self/fd"))
    ranges = entry_ranges(event_inputs([f"@{tmp_path}/list.txt"]), distinct=False)
    first = next(iter(ranges))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_utime, len(os.listdir("/proc/self/fd"))
    assert (first.start, first.stop, ranges._counted) == (0, 3, 1)
    assert after[0] - before[0] < 10.0 and after[1] <= before[1] + 2
    assert ranges.expected_events == 30_000


# Mappings


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_another_programs_conventions(tmp_path, suffix):
    """Would catch a wrong unit, sign, angle, order of the covariance, or Jacobian of it."""
    batch = physical()
    write_other(tmp_path / f"a{suffix}", batch)
    mapping = write(tmp_path / "other.toml", OTHER)
    conditions = write(tmp_path / "c.toml", CONDITIONS.replace("bz = 1.4534", ""))
    found = fei_lite.open(tmp_path / f"a{suffix}", mapping=mapping, conditions=conditions, batch_size=4)
    parts = list(found)
    assert [part.n_events for part in parts] == [4, 3] and [part.start for part in parts] == [0, 4]
    for part, start in zip(parts, (0, 4), strict=True):
        mine = batch.slice(start, start + part.n_events)
        np.testing.assert_allclose(part.tracks["helix"], mine.tracks["helix"], rtol=1e-9)
        sigma = np.sqrt(mine.tracks["helix_cov"][:, [0, 5, 9, 12, 14]])
        i, j = np.triu_indices(5)
        np.testing.assert_allclose(part.tracks["helix_cov"] / (sigma[:, i] * sigma[:, j]),
                                   mine.tracks["helix_cov"] / (sigma[:, i] * sigma[:, j]), atol=1e-9)
        for name in ("E", "theta", "phi", "r", "E_error"):
            np.testing.assert_allclose(part.clusters[name], mine.clusters[name], rtol=2e-6, atol=1e-6)
        assert (part.tracks["charge"] == mine.tracks["charge"]).all()
        assert (part.events["experiment"] == 7).all() and (part.events["event"] == mine.events["event"]).all()
        assert part.events["bz"] == pytest.approx(1.5) and part.events["ip"][0].tolist() == [-0.05, 0.017, -0.02]
        assert any("kaonID is 1/6" in note for note in part.notes)


@pytest.mark.parametrize("old, new, message", [
    ('unit = "mm"', 'unit = "furlong"', r"tracks\.columns\.d0.*unit: got 'furlong'"),
    ('unit = "mm"', 'unit = "GeV"', r"tracks\.d0: unit: got 'GeV', expected cm or mm"),
    ('quantity = "theta"', 'quantity = "thet"', "tanLambda: quantity: got 'thet'.*Nearest known: 'theta'"),
    ("z0 = ", "zz0 = ", "unknown column 'zz0'"), ("phi_error = 0.01", "", "clusters: columns phi_error are missing"),
    ('order = "lower"', 'order = "left"', r"tracks\.covariance\.order"),
    ('"d0", "z0"]', '"d0"]', "expected each of d0"),
    ('name = "other"', 'nam = "other"', "unknown key 'nam'"), ('branch = "D"', 'branch = "Dx"', r"d0: no branch 'Dx'"),
    ('bz = { branch = "field", unit = "kG" }', "", "neither the file nor its mapping 'other' says bz"),
    ('evt"', 'runn"', "no branch 'runn'"),
    ('tree = "t"', 'tree = "u"', "expected 'u'"), ('branch = "cov"', 'branch = "qpt"', "expected 15 numbers"),
])
def test_mappings_that_do_not_fit(tmp_path, old, new, message):
    """Would catch a defect of a mapping that is not told with its place."""
    write_other(tmp_path / "a.root", physical())
    assert old in OTHER
    mapping = write(tmp_path / "other.toml", OTHER.replace(old, new, 1))
    conditions = write(tmp_path / "c.toml", CONDITIONS.replace("bz = 1.4534", ""))
    with pytest.raises(EventFileError, match=message):
        list(fei_lite.open(tmp_path / "a.root", mapping=mapping, conditions=conditions))


@needs_data
@pytest.mark.parametrize("path", MDST, ids=lambda path: path.name)
def test_basf2_ntuple_of_real_events(path, tmp_path):
    """Would catch any column of VariablesToNtuple that is taken for another, rows of other events, and lost events."""
    batch = read_mdst(path)
    trees, neutral = basf2_columns(batch)
    write_trees(tmp_path / "b.root", trees)
    parts = list(fei_lite.open(tmp_path / "b.root", mapping="basf2_ntuple", batch_size=4))
    event = np.concatenate([part.events["event"] for part in parts])
    assert event.tolist() == batch.events["event"].tolist()
    for name, columns in (("tracks", batch.tracks.columns), ("clusters", batch.clusters.columns)):
        for column, values in columns.items():
            if column != "mc_index":
                mine = values if name == "tracks" else values[neutral]
                found = np.concatenate([getattr(part, name)[column] for part in parts])
                np.testing.assert_array_equal(found, mine, err_msg=column)
    for column in ("beam_p4", "ip", "ip_cov"):
        np.testing.assert_array_equal(np.concatenate([part.events[column] for part in parts]), batch.events[column])


def shuffled(columns, change):
    return {name: change(values) for name, values in columns.items()}


def test_rows_of_an_event_stand_together(tmp_path):
    """Would catch an event made of the rows of two, an event counted twice, and candidates that were cut away."""
    batch = physical()
    trees, _ = basf2_columns(batch)
    columns = trees["tracks"]
    again = trees | {"tracks": shuffled(columns, lambda v: np.concatenate([v, v[:3]]))}
    write_trees(tmp_path / "again.root", again)
    with pytest.raises(EventFileError, match=r"tree 'tracks': experiment .*at row 0 and again at row"):
        list(fei_lite.open(tmp_path / "again.root", mapping="basf2_ntuple"))
    write_trees(tmp_path / "cut.root", trees | {"tracks": shuffled(columns, lambda v: v[:-1])})
    with pytest.raises(EventFileError, match=r"rows, expected .*candidates were left out"):
        list(fei_lite.open(tmp_path / "cut.root", mapping="basf2_ntuple"))


def test_events_of_one_list_only(tmp_path):
    """Would catch an event without tracks that is lost, or stands behind all others."""
    batch = toy_batch(6, truth=False, counts={"tracks": np.array([2, 0, 3, 0, 1, 2]), "v0s": np.zeros(6, int),
                                              "clusters": np.array([1, 2, 0, 1, 2, 1])})
    batch.clusters["is_track"][:] = 0
    batch.events["event"][:] = [50, 40, 30, 20, 10, 60]  # as they come, not by number
    trees, _ = basf2_columns(batch)
    write_trees(tmp_path / "b.root", trees)
    parts = list(fei_lite.open(tmp_path / "b.root", mapping=load_mapping("basf2_ntuple"), batch_size=2,
                               conditions=write(tmp_path / "c.toml", CONDITIONS)))
    events = [int(e) for part in parts for e in part.events["event"]]
    assert events == [50, 40, 20, 30, 10, 60]  # each behind the one it follows in its own tree
    order = [[50, 40, 30, 20, 10, 60].index(e) for e in events]
    assert np.concatenate([part.tracks.counts for part in parts]).tolist() == batch.tracks.counts[order].tolist()
    assert np.concatenate([part.clusters.counts for part in parts]).tolist() == batch.clusters.counts[order].tolist()


@needs_data
def test_edm4hep_of_real_events(tmp_path):
    """Would catch a second track state taken for the first, d0 or a unit of EDM4hep wrong, and mothers of others."""
    batch = read_mdst(MDST[-1])
    write_edm4hep(tmp_path / "e.root", batch)
    conditions = write(tmp_path / "c.toml", CONDITIONS)
    found = next(iter(fei_lite.open(tmp_path / "e.root", mapping="edm4hep", conditions=conditions)))
    np.testing.assert_allclose(found.tracks["helix"], batch.tracks["helix"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.tracks["helix_cov"], batch.tracks["helix_cov"], rtol=1e-6, atol=1e-15)
    for name in ("E", "theta", "phi", "r"):
        np.testing.assert_allclose(found.clusters[name], batch.clusters[name], rtol=1e-5, atol=1e-5)
    for name in ("pdg", "mother"):
        np.testing.assert_array_equal(found.generated[name], batch.generated[name])
    np.testing.assert_allclose(found.generated["p4"], batch.generated["p4"], atol=1e-5)
    np.testing.assert_allclose(found.generated["vertex"], batch.generated["vertex"], rtol=1e-6, atol=1e-12)
    with pytest.raises(EventFileError, match=r"says bz.*--conditions"):
        next(iter(fei_lite.open(tmp_path / "e.root", mapping="edm4hep")))


# Conditions


def test_beams_from_energies():
    """Would catch a crossing angle that is not halved: the invariant mass of the pair in closed form."""
    her, ler, angle = 7.0, 4.0, 0.083
    px, py, pz, energy = Beams(her=her, ler=ler, crossing_angle=angle).total
    mass = 0.51099895e-3
    p1, p2 = np.sqrt(her**2 - mass**2), np.sqrt(ler**2 - mass**2)
    s = 2 * mass**2 + 2 * (her * ler + p1 * p2 * np.cos(angle))
    assert energy**2 - px**2 - py**2 - pz**2 == pytest.approx(s, rel=1e-12) and pz > 0 < px


@needs_data
def test_conditions_of_periods(tmp_path):
    """Would catch conditions that reach other runs, a file of ours, or that do not reach the events at all."""
    batch = read_mdst(MDST[-1])
    experiment, run = int(batch.events["experiment"][0]), int(batch.events["run"][0])
    text = CONDITIONS + f"[[period]]\nexperiment = {experiment}\nruns = [{run + 1}, {run + 5}]\nbz = 1.1\n" \
        f"[[period]]\nexperiment = {experiment}\nruns = [{run}, {run}]\nbz = 1.2\n"
    found = next(iter(fei_lite.open(MDST[-1], conditions=write(tmp_path / "c.toml", text))))
    assert (found.events["bz"] == 1.2).all()
    np.testing.assert_allclose(found.events["beam_p4"][0], [0.457, 0.0, 2.999, 11.006], atol=1e-3)
    with EventWriter(tmp_path / "a.root") as writer:
        writer.write(batch)
    ours = next(iter(fei_lite.open(tmp_path / "a.root", conditions=tmp_path / "c.toml")))
    np.testing.assert_array_equal(ours.events["bz"], batch.events["bz"])


@pytest.mark.parametrize("text, message", [
    ("", "says nothing"), ("bz = 0.0", "got 0 T"), ("bz = 100.0", "bz"), ("[beams]\nher = 7.0", "her and ler"),
    ("[beams]\np4 = [9.0, 0.0, 9.0, 11.0]", "energy above"), ("[interaction_point]\nposition=[0.0,0.0,0.0]", "size"),
    ("[interaction_point]\nsize=[0.0,1.0,1.0]", "no covariance"), ("bzz = 1.5", "unknown key 'bzz'"),
])
def test_conditions_that_cannot_be(tmp_path, text, message):
    """Would catch conditions without physics: a field of 0, a pair that travels faster than light."""
    with pytest.raises(EventFileError, match=message):
        load_conditions(write(tmp_path / "c.toml", text))


# From inputs to outputs and back


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A mixed list: mDST of four generations, ours in ROOT and Parquet, an ntuple."""
    folder = tmp_path_factory.mktemp("mixed")
    for seed, name in enumerate(["ours.root", "ours.parquet"], start=7):
        assert main(["simulate", "charged", "-n", "40", "--seed", str(seed), "--quiet", "-o",
                     str(folder / name)]) == 0
    write_other(folder / "theirs.root", physical(seed=3))
    write(folder / "other.toml", OTHER)
    write(folder / "c.toml", CONDITIONS)
    names = [*map(str, MDST), *(str(folder / name) for name in ("ours.root", "ours.parquet", "theirs.root"))]
    write(folder / "list.txt", "\n".join(names))
    return folder, names


def keys_of(folder, names):
    """(experiment, run, event) of every event of every file, read file by file."""
    found = []
    for name in names:
        for batch in fei_lite.open(name, mapping=folder / "other.toml", conditions=folder / "c.toml"):
            found.append(np.stack([batch.events[k] for k in ("experiment", "run", "event")], axis=1))
    return found


@needs_data
def test_one_command_over_a_mixed_list(mixed, tmp_path):
    """Would catch an event that is left out, counted twice, or whose link leads to another one."""
    folder, names = mixed
    common = ["--mapping", str(folder / "other.toml"), "--conditions", str(folder / "c.toml")]
    for name in ("a.root", "a.parquet"):
        assert main(["reconstruct", "--files-from", str(folder / "list.txt"), *common, "--models", "fei_default",
                     "--batch-size", "4", "--quiet", "-o", str(tmp_path / name)]) == 0
    found = read_tags(tmp_path / "a.root")
    keys = keys_of(folder, names)
    assert found.metadata["n_events"] == sum(map(len, keys)) == len(MDST) * 10 + 40 + 40 + 7
    flow = {name: count for _, name, count in found.cutflow}
    assert flow["all: read"] == found.metadata["n_events"]
    assert found.metadata["inputs"] == names and list(found.metadata["mappings"]) == ["other"]
    assert found.metadata["conditions"]["content"]["bz"] == 1.4534
    assert found.metadata["provenance"]["command"].startswith("fei-lite reconstruct --files-from")
    assert found.metadata["provenance"]["versions"]["fei_lite"] == fei_lite.__version__
    assert len(found) > 20 and len(set(found["file"])) > 3
    for i in range(len(found)):
        np.testing.assert_array_equal(keys[found["file"][i]][found["file_entry"][i]],
                                      [found[k][i] for k in ("experiment", "run", "event")])
    theirs = found["file"] == len(names) - 1
    assert (found["isSignal"][theirs] == -1).all() and (found["isSignal"][~theirs] >= 0).all()
    assert main(["evaluate", str(tmp_path / "a.root")]) == 0
    other = read_tags(tmp_path / "a.parquet")
    for column in ("entry", "file", "file_entry", "Mbc"):
        np.testing.assert_array_equal(found[column], other[column])


@pytest.fixture(scope="module")
def tags(mixed):
    """Btag files of two event files, and of both."""
    folder, _ = mixed
    for name, files in {"one": ["ours.root"], "two": ["ours.parquet"], "both": ["ours.root", "ours.parquet"]}.items():
        assert main(["reconstruct", *(str(folder / file) for file in files), "--models", "fei_default", "--quiet",
                     "-o", str(folder / f"{name}.root")]) == 0
    return folder


def test_merged_btags_are_those_of_one_run(tags, tmp_path, capsys):
    """Would catch entries that meet, sums that are not added, and events that count twice."""
    merge_tags([tags / "one.root", tags / "two.root"], tmp_path / "merged.root")
    merged, both = read_tags(tmp_path / "merged.root"), read_tags(tags / "both.root")
    for name, column in both.columns.items():
        if not isinstance(column, tuple):
            np.testing.assert_array_equal(merged[name], column, err_msg=name)
    assert sorted(merged.cutflow) == sorted(both.cutflow)
    for key in ("n_events", "sum_of_weights", "event_types", "inputs"):
        assert merged.metadata[key] == both.metadata[key]
    assert main(["evaluate", str(tags / "one.root"), str(tags / "two.root"), "--merge", str(tmp_path / "again.parquet"),
                 "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_events"] == 80
    for wrong in (["one", "one"], ["one", "both"]):
        with pytest.raises(EventFileError, match="twice"):
            merge_tags([tags / f"{name}.root" for name in wrong], tmp_path / "wrong.root")
    assert not (tmp_path / "wrong.root").exists()


def test_skimmed_events_are_the_tagged_ones(tags, tmp_path):
    """Would catch other events than the tagged ones, and a list that leads uproot or basf2 elsewhere."""
    btags = read_tags(tags / "both.root")
    best = btags["best"] == 1
    expected = sorted(zip(btags["file"][best], btags["file_entry"][best], btags["event"][best], strict=True))
    for name in ("a.root", "a.parquet", "a.json", "a.csv"):
        assert main(["skim", str(tags / "both.root"), "-o", str(tmp_path / name)]) == 0
    for name in ("a.root", "a.parquet"):
        events = [e for batch in fei_lite.open(tmp_path / name) for e in batch.events["event"]]
        assert events == [event for _, _, event in expected] and len(events) > 0
    content = json.loads((tmp_path / "a.json").read_text())
    found = [(i, entry, event) for i, one in enumerate(content["files"])
             for entry, event in zip(one["entry"], one["event"], strict=True)]
    assert found == [tuple(map(int, row)) for row in expected]
    tree = uproot.open(tags / "ours.root")["events"]
    assert [int(tree["event"].array()[i]) for i in content["files"][0]["entry"]] == content["files"][0]["event"]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == len(expected) + 1
    assert main(["skim", str(tags / "one.root"), "--events", str(tags / "ours.parquet"), "-o",
                 str(tmp_path / "wrong.root")]) == 2


@pytest.mark.parametrize("entries", [[], [0], [0, 1, 2], [1, 3, 4, 9]])
def test_entry_sequences(entries):
    """Would catch a range that basf2 would expand to other entries."""
    text = ranges_text(np.array(entries, dtype=np.int64))
    expanded = [i for part in text.split(",") if part for a, _, b in [part.partition(":")]
                for i in range(int(a), int(b or a) + 1)]
    assert expanded == entries


def test_vectors_of_what_is_written(tags):
    """Would catch awkward Btags without vector behaviour, or a mass that is not that of the four-vector."""
    import vector

    vector.register_awkward()
    found = fei_lite.read_tags(tags / "both.root")
    array = found.to_awkward()
    np.testing.assert_allclose(ak.flatten(array.p4.mass), found["M"], rtol=1e-6)
    assert len(array) == 80 and len(found) > 10
    assert found.to_arrow().num_rows == len(found) == len(found.to_pandas())
    assert found.to_arrow().column("track_index")[0].as_py() == array[int(found["entry"][0])].track_index[0].to_list()


# What a file holds


@needs_data
def test_inspect(tags, mixed, tmp_path, capsys):
    """Would catch a file that is taken for another kind, and a lack that is not said."""
    folder, _ = mixed
    batch = read_mdst(MDST[-1])
    trees, _ = basf2_columns(batch)
    write_trees(tmp_path / "b.root", trees)
    write_trees(tmp_path / "less.root", trees | {"tracks": {k: v for k, v in trees["tracks"].items() if k != "omega"}})
    write_edm4hep(tmp_path / "e.root", batch)
    (tmp_path / "w.json").write_text(json.dumps({"channels": [], "measurements": []}))
    expected = {
        MDST[0]: ("Belle II mDST, release-", True), folder / "ours.root": ("events of fei-lite", True),
        folder / "ours.parquet": ("events of fei-lite", True), folder / "one.root": ("Btags", True),
        folder / "theirs.root": ("ROOT trees of others", False), tmp_path / "b.root": ("basf2 VariablesToNtuple", True),
        tmp_path / "less.root": ("basf2 VariablesToNtuple", False), tmp_path / "e.root": ("EDM4hep", False),
        find_model_set("fei_default"): ("model set", True), folder / "other.toml": ("mapping file", True),
        folder / "c.toml": ("conditions file", True), tmp_path / "w.json": ("statistical workspace", True)}
    for path, (holds, usable) in expected.items():
        found = inspect_file(path)
        assert found.holds.startswith(holds) and found.usable is usable, inspection_text(found)
    assert "omega" in " ".join(inspect_file(tmp_path / "less.root").lacks)
    assert "--conditions" in " ".join(inspect_file(tmp_path / "e.root").lacks)
    assert main(["inspect", str(folder / "ours.root"), str(tmp_path / "e.root"), "--format", "json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown[0]["facts"]["process"] == "charged" and shown[0]["facts"]["n_events"] == 40


def test_version():
    """Would catch a command that does not say what it is."""
    done = subprocess.run([sys.executable, "-c", "from fei_lite.cli import main; main(['--version'])"],
                          capture_output=True, text=True)
    assert done.stdout.strip() == f"fei-lite {fei_lite.__version__}" and done.returncode == 0
