"""The report: its numbers counted again, plainly, from the same candidates; the page stands alone."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from naive_combine import mass_of
from scipy.stats import beta
from small_set import write_decays, write_small_set

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.fitting import fit_channel
from fei_lite.classifiers.model_set import ChannelModel, load_model_set
from fei_lite.classifiers.text import pack
from fei_lite.cli import main
from fei_lite.errors import ModelSetError
from fei_lite.events import EventWriter
from fei_lite.events.reading import open_events
from fei_lite.fractions import CONFIDENCE
from fei_lite.particles import pdg_code
from fei_lite.performance.best_tags import TagPieces
from fei_lite.performance.files import check_tags, compare_files, evaluate_file
from fei_lite.plain import as_plain
from fei_lite.production.simulate import simulate_file
from fei_lite.reconstruction.engine import Hooks, ReconstructionOptions, reconstruct
from fei_lite.report.channels import pull
from fei_lite.report.importance import gains, read_forest, split_counts
from fei_lite.report.numbers import report_numbers
from fei_lite.report.observed import Observed, Sets, observe_files
from fei_lite.report.page import render
from fei_lite.report.tag_figures import draw_tags
from fei_lite.report.tags import measure_tags, tag_numbers
from fei_lite.report.text import overtraining_table
from fei_lite.report.training import load_training
from fei_lite.tagging.driver import Totals, tag_files
from fei_lite.tagging.output import read_tags
from fei_lite.training.driver import Settings, train
from fei_lite.used_objects import object_indices

TAIL = 0.5 * (1.0 - CONFIDENCE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small training, weighted events that it has not seen, and the report of the command line about both."""
    folder = tmp_path_factory.mktemp("report")
    small, decays = write_small_set(folder / "small"), write_decays(folder / "signal.dec")
    simulate_file("signal", folder / "train.root", n=320, seed=1, dec_file=decays)
    with EventWriter(folder / "events.root", metadata={"process": "signal", "seed": 2}) as writer:
        for batch in open_events([folder / "train.root"], batch_size=120, entry_range=(200, 320)):
            batch.events["weight"][:] = np.where(np.arange(batch.n_events) % 3 == 0, 4.0, 1.0)
            writer.write(batch)
    parameters = {"n_trees": 20, "min_data_in_leaf": 5, "max_delta_step": 5.0}
    train([folder / "train.root"], folder / "models", date="2026-01-01",
          settings=Settings("mine", channel_set=str(small), min_entries=10, parameters=parameters,
                            max_events=200))
    assert run(folder, "models", "--events", "events.root", "--batch-size", "50", "--baseline", "models",
               "--baseline-set", "small", "-o", "report.html") == 0
    return folder


def run(folder, *arguments, channel_set="small"):
    """Exit code of ``fei-lite report`` in a folder; file names become paths in it."""
    words = [str(folder / a) if re.fullmatch(r"[a-z_]+(\.[a-z]+)?", a) else a for a in arguments]
    return main(["report", *words, *(["--set", str(folder / channel_set)] if channel_set else []), "--quiet"])


class Page(HTMLParser):
    """Links, identifiers and the embedded numbers of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.sources, self.identifiers, self.stack, self.open = [], [], [], [], []
        self._in, self.numbers, self.text = None, None, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs["href"]] if "href" in attrs else []
        self.sources += [attrs["src"]] if "src" in attrs else []
        self.identifiers += [attrs["id"]] if "id" in attrs else []
        self._in = tag if tag in ("script", "style") else None
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        if attrs.get("id") == "numbers":
            self._in = "numbers"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._in = None

    def handle_data(self, data):
        if self._in == "numbers":
            self.numbers = json.loads(data, parse_constant=lambda word: pytest.fail(f"not JSON: {word}"))
        elif self._in is None:
            self.text += data


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def numbers(page):
    return page.numbers


@pytest.fixture(scope="module")
def events(folder):
    """The same events in one batch: reconstruction, and the candidates of every channel before the classifier."""
    channels, models = load_channel_set(folder / "small"), load_model_set(folder / "models")
    (batch,) = open_events([folder / "events.root"], batch_size=1000)
    seen = {}
    result = reconstruct(batch, channels, models,
                         options=ReconstructionOptions(with_truth=True, early_exit=False), hooks=Hooks(
                             observer=lambda channel, table, X: seen.__setitem__(channel.identifier, (table, X))))
    return result, seen, models


def interval(passed, total, n_effective):
    """Clopper-Pearson of effective counts."""
    k = passed / total * n_effective
    return (0.0 if k == 0 else beta.ppf(TAIL, k, n_effective - k + 1),
            1.0 if k >= n_effective else beta.ppf(1 - TAIL, k + 1, n_effective - k))


# Numbers


def test_channels_counted_again(numbers, events):
    """Would catch candidates lost between batches, weights or truth swapped, AUC of other candidates."""
    result, seen, models = events
    weight = result.batch.events["weight"]
    judged = 0
    for identifier, (table, X) in seen.items():
        row = numbers["channels"][identifier]
        true = table["isSignal"] == 1
        assert (row["n_candidates"], row["n_true"]) == (len(table), true.sum()), identifier
        if not models.has_model(identifier):
            assert row["status"] == "untrained" and row["reason"] == models.untrained[identifier]
            continue
        p, w = models.predict(identifier, X), weight[table.event_index]
        on_events = row["on_events"]
        assert (on_events["n_signal"], on_events["n_background"]) == (true.sum(), (~true).sum())
        if not 0 < true.sum() < len(true):
            assert on_events["auc"] is None
            continue
        pairs = w[true][:, None] * w[~true][None, :]
        above = (p[true][:, None] > p[~true][None, :]) + 0.5 * (p[true][:, None] == p[~true][None, :])
        assert on_events["auc"] == pytest.approx((pairs * above).sum() / pairs.sum(), rel=1e-9), identifier
        assert on_events["promised"] == pytest.approx(np.average(p, weights=w))
        assert on_events["right"] == pytest.approx(np.average(true, weights=w))
        judged += 1
    assert judged >= 6


def test_particles_counted_again(numbers, events):
    """Would catch a step that is not the engine's: what is kept at the end are the tables of the reconstruction."""
    result, _, models = events
    batch = result.batch
    weight = batch.events["weight"].astype(float)
    for row in numbers["particles"]:
        table = result.tables[row["name"]]
        steps = {step["step"]: step for step in row["steps"]}
        true = table["isSignal"] == 1
        kept = steps["kept"]
        assert (kept["candidates"], kept["true"]) == (len(table), true.sum()), row["name"]
        flow = [dict(zip(("stage", "name", "step", "count"), entry)) for entry in result.cutflow]
        counted = {entry["step"]: entry["count"] for entry in flow if entry["name"] == row["name"]}
        if "classified" in counted and any(models.has_model(c) for c in row["channels"]):
            assert steps["classified"]["candidates"] == counted["classified"]
            assert steps["merged"]["candidates"] == counted["classified"] - counted["duplicates dropped"]
        inside = [entry["count"] for entry in flow if entry["name"] in row["channels"]
                  and entry["step"] in ("combinations inside the cuts", "inside the cuts")]
        assert steps["pre-cut"]["candidates"] == sum(inside), row["name"]
        if len(table) and true.any():
            w = weight[table.event_index]
            assert kept["purity"]["value"] == pytest.approx(w[true].sum() / w.sum())
            low, high = interval(w[true].sum(), w.sum(), w.sum() ** 2 / (w**2).sum())
            assert (kept["purity"]["lower"], kept["purity"]["upper"]) == (pytest.approx(low), pytest.approx(high))
        found = [step["found"] for step in row["steps"]]
        assert row["generated"] >= found[0] and found == sorted(found, reverse=True), row["name"]


def test_efficiency_counted_again(numbers, events):
    """Would catch efficiencies of candidates in place of particles, and a wrong denominator."""
    result, seen, _ = events
    generated, weight = result.batch.generated, result.batch.events["weight"]
    for name in ("K+", "pi0"):
        (row,) = [row for row in numbers["particles"] if row["name"] == name]
        primary = (np.abs(generated["pdg"]) == pdg_code(name)) & (generated["status"] & 1 != 0)
        if name == "pi0":  # those that decay to two photons (radiated ones, status 128 or 256, aside)
            photons = np.zeros(len(generated["pdg"]), dtype=int)
            for i in np.flatnonzero((generated["mother"] >= 0) & (generated["status"] & (128 | 256) == 0)):
                mother = generated["mother"][i] + generated.offsets[generated.event_index[i]]
                photons[mother] += 1 if generated["pdg"][i] == 22 else 10
            primary &= photons == 2
        goal = set(np.flatnonzero(primary))
        assert row["generated"] == len(goal), name
        table = seen["K+_FSP" if name == "K+" else "pi0_gamma_gamma"][0]
        found = sorted({int(m) for m in table["mc"][table["isSignal"] == 1]} & goal)
        (ranked,) = [step for step in row["steps"] if step["step"] == "ranked"]
        assert ranked["found"] == len(found)
        w = weight[generated.event_index]
        assert ranked["efficiency"]["value"] == pytest.approx(w[found].sum() / w[sorted(goal)].sum()), name


def test_combinations_before_the_cuts(numbers, events):
    """Would catch a count of combinations that knows cuts, or true ones lost before the cut: all pairs, by a loop."""
    result = events[0]
    batch = result.batch
    pions, kaons = result.tables["pi+"], result.tables["K+"]
    truth = {name: object_indices(batch, t["used"], t.event_index, "tracks")[1] for name, t in
             (("pi+", pions), ("K+", kaons))}
    n = inside = true = true_inside = 0
    for event in range(batch.n_events):
        rows = [range(*table.offsets[event:event + 2]) for table in (kaons, pions)]
        for k, p in itertools.product(*rows):
            if kaons["sign"][k] == pions["sign"][p] or truth["K+"][k] == truth["pi+"][p]:
                continue
            m = mass_of(kaons["p4"][k] + pions["p4"][p])
            mother = [generated_mother(batch, table["mc"][row]) for table, row in ((kaons, k), (pions, p))]
            right = (kaons["mcErrors"][k] == 0 and pions["mcErrors"][p] == 0 and mother[0] == mother[1] >= 0
                     and batch.generated["pdg"][mother[0]] == -421 * int(kaons["sign"][k])
                     and sum(not radiated(batch, i) for i in daughters(batch, mother[0])) == 2)
            n += 1
            inside += 1.7 < m < 1.95
            true += right
            true_inside += bool(right and 1.7 < m < 1.95)
    channel = numbers["channels"]["D0_K-_pi+"]
    assert true > 20 and n > 5 * inside
    for step, counted in (("combined", (n, true)), ("pre-cut", (inside, true_inside))):
        assert (channel["steps"][step]["candidates"], channel["steps"][step]["true"]) == counted


def generated_mother(batch, row):
    """Row of the mother of a generated particle; -1 if there is none."""
    if row < 0 or batch.generated["mother"][row] < 0:
        return -1
    return batch.generated["mother"][row] + batch.generated.offsets[batch.generated.event_index[row]]


def daughters(batch, row):
    first, stop = batch.generated.offsets[batch.generated.event_index[row]:][:2]
    return [i for i in range(first, stop) if generated_mother(batch, i) == row]


def radiated(batch, row):
    return bool(batch.generated["status"][row] & (128 | 256))


def test_tags_are_those_of_reconstruct(numbers, folder):
    """Would catch tags other than those of fei-lite reconstruct, an efficiency over all events, a shifted purity."""
    tag_files([folder / "events.root"], folder / "btag.root", models=str(folder / "models"),
              channel_set=str(folder / "small"))
    columns, cutflow, metadata = read_tags(folder / "btag.root")
    best = columns["best"] == 1
    charged = best & (np.abs(columns["pdg"]) == 521)
    (batch,) = open_events([folder / "events.root"], batch_size=1000)
    total = batch.events["weight"].sum()  # every event is B+B-
    assert numbers["events"]["event_types"]["B+B-"]["n_events"] == batch.n_events == 120
    assert metadata["event_types"]["B+B-"]["sum_of_squared_weights"] == (batch.events["weight"].astype(float)**2).sum()
    points = numbers["tags"]["set"]["B+"]["working_points"]
    for point in points:
        chosen = charged & (columns["SignalProbability"] > point["min_signal_probability"])
        right = chosen & (columns["isSignal"] == 1)
        assert (point["n_tagged"], point["n_correct"]) == (chosen.sum(), right.sum())
        w = columns["weight"]
        assert point["tag_side_efficiency"]["value"] == pytest.approx(w[right].sum() / total)
        purity = pytest.approx(w[right].sum() / w[chosen].sum()) if chosen.any() else None
        assert point["purity"]["value"] == purity
    assert points[0]["n_correct"] > 5
    rows = {(row["stage"], f"{row['name']}: {row['step']}"): row["count"] for row in numbers["cutflow"]}
    for stage, name, count in cutflow:  # the observer makes candidates of channels without a model: counted besides
        if "without a model" not in name:
            assert rows[stage, name] == count, name
    gains_of = numbers["tags"]["gain"]["B+"]["0.1"]  # of a set over itself
    assert (gains_of["value"], gains_of["lower"], gains_of["upper"]) == (1.0, 1.0, 1.0)
    # and they have the numbers of fei-lite evaluate, intervals among them
    evaluated = evaluate_file(folder / "btag.root").evaluation
    (compared,) = compare_files([folder / "btag.root"])[0].sets["B+"].values()
    for b_type, of_b_type in numbers["tags"]["set"].items():
        assert of_b_type["working_points"] == as_plain(evaluated.working_points[b_type])
    block = numbers["tags"]["set"]["B+"]
    assert block["no_cut"]["tag_side_efficiency"] == as_plain(compared.maximum)
    assert block["no_cut"]["purity"] == as_plain(compared.purity)
    at = {str(at.purity): at.tag_side_efficiency.value for at in compared.at_purity}
    assert {p: row["tag_side_efficiency"]["value"] for p, row in block["at_purity"].items()} == as_plain(at)
    checks = check_tags(folder / "btag.root")
    assert [row["right"] for row in block["calibration"]] == [as_plain(c.right) for c in checks.calibration["B+"]]
    for background, slices in checks.sculpting.slices["B+"].items():
        assert [row["ratio"] for row in block["sculpting"][background]] == [as_plain(part.ratio) for part in slices]


def columns_of_tags(n, n_correct):
    """A Btag table of n events with one B+ candidate each, of which the first are correct."""
    return {"entry": np.arange(n), "event": np.arange(n), "pdg": np.full(n, 521, np.int32),
            "decayModeID": np.zeros(n, np.int32), "SignalProbability": np.linspace(0.3, 0.0005, n),
            "Mbc": np.linspace(5.2, 5.289, n), "deltaE": np.zeros(n), "weight": np.ones(n),
            "best": np.ones(n, np.int8), "isSignal": (np.arange(n) < n_correct).astype(np.int8),
            "mcPDG": np.zeros(n, np.int32)}


def observed_tags(event_type, n_correct):
    """What 90 events give, 40 of them with a Btag of either set."""
    observed = Observed(totals=Totals(90, 90.0, 90.0, {event_type: {"n_events": 90, "sum_of_weights": 90.0}}))
    for which, n in n_correct.items():
        observed.tags[which] = TagPieces()
        observed.tags[which].add(columns_of_tags(40, n))
    return observed


def test_gain_is_that_of_the_set_over_the_baseline():
    """Would catch the ratio upside down, or of other tags: 12 correct ones against 8."""
    found = tag_numbers(measure_tags(observed_tags("B+B-", {"set": 12, "baseline": 8}), seed=1))
    assert {p: row["value"] for p, row in found["gain"]["B+"].items()} == {"0.1": 1.5, "0.5": 1.5, "no_cut": 1.5}
    assert found["set"]["B+"]["no_cut"]["tag_side_efficiency"]["value"] == 12 / 90
    assert found["baseline"]["B+"]["at_purity"]["0.5"]["tag_side_efficiency"]["value"] == 8 / 90


def test_events_without_any_b(numbers):
    """Would catch a page that fails on continuum alone: no efficiency of B events, no ratio, no curve."""
    results = measure_tags(observed_tags("other", {"set": 0, "baseline": 0}), seed=1)
    found = tag_numbers(results)
    assert found["gain"] == {} and found["set"]["B+"]["no_cut"] is None
    point = found["set"]["B+"]["working_points"][0]
    assert point["n_tagged"] == 39 and point["purity"]["value"] == 0.0 and point["of_own_events"] is None
    figures = draw_tags(results, {"set": "mine", "baseline": "other"})
    empty = {"steps": {}, "reliability": {}}
    page = Page(render({**numbers, "tags": found, "baseline": numbers["set"]}, empty | figures))
    assert page.numbers["tags"]["set"]["B0"]["working_points"][0]["n_tagged"] == 0


def test_coverage(numbers, events):
    """Would catch a branching fraction over the wrong particles: D0 -> K- pi+ and K- pi+ pi0 by a loop over truth."""
    batch = events[0].batch
    rows = np.flatnonzero(np.abs(batch.generated["pdg"]) == 421)
    weight = batch.events["weight"][batch.generated.event_index]
    covered = []
    for row in rows:
        products = sorted(np.abs(batch.generated["pdg"][[i for i in daughters(batch, row) if not radiated(batch, i)]]))
        covered.append(products in ([211, 321], [111, 211, 321]))
    (found,) = [row for row in numbers["coverage"]["particles"] if row["name"] == "D0"]
    assert found["n"] == len(rows)
    # other modes reach K- pi+ pi0 through resonances, K_S0 pi0 is of the set: the loop finds at most those
    assert found["covered"]["value"] >= weight[rows][covered].sum() / weight[rows].sum() > 0.3


# The page


def test_page_stands_alone(page, folder):
    """Would catch anything fetched from elsewhere, a dead entry of the table of contents, an unclosed element."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert page.open == []
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    assert len(page.sources) > 15
    assert all(link.startswith("#") and link[1:] in page.identifiers for link in page.links)
    assert "@import" not in text and not re.search(r"url\(|<link|srcset", text)
    assert len(text) < 10e6
    assert str(folder) not in text


def test_page_prints_the_numbers(page, folder):
    """Would catch tables that show something else than the embedded numbers."""
    text = page.text.replace("\N{NARROW NO-BREAK SPACE}", "")
    for row in page.numbers["channels"].values():
        if row["on_events"] and row["on_events"]["auc"] is not None:
            assert f"{row['on_events']['auc']:.4f}" in text
        assert str(row["n_candidates"]) in text
    for row in page.numbers["particles"]:
        for step in row["steps"]:
            assert str(step["candidates"]) in text and str(step["found"]) in text
    manifest = json.loads((folder / "models" / "manifest.json").read_text())
    for word in (manifest["command"], manifest["sample"]["files"][0]["sha256"][:16], manifest["channel_set"]["hash"]):
        assert word in text
    assert all(entry["reason"] in text for entry in manifest["untrained"].values())


def test_overtraining_table(numbers, folder, tmp_path, capsys):
    """Would catch AUC of one sample under the heading of another, a channel left out, a summary that miscounts."""
    manifest = json.loads((folder / "models" / "manifest.json").read_text())
    lines = overtraining_table(numbers).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:] if " +- " in line}
    assert rows.keys() == manifest["channels"].keys()
    for name, words in rows.items():
        row = numbers["channels"][name]
        training, found = manifest["channels"][name]["training"], row["on_events"]
        assert words[:2] == [f"{training['auc']:.4f}", str(training["n_signal"])]
        assert words[7:11] == [f"{found['auc']:.4f}" if found["auc"] is not None else "-", "+-",
                               f"{found['auc_uncertainty']:.4f}" if found["auc_uncertainty"] is not None else "-",
                               str(found["n_signal"])]
        assert words[11] == ("-" if row["pull"] is None else f"{row['pull']:.2f}")
        assert (words[-1] == "*") == row["flag"]
    judged = [row["pull"] for row in numbers["channels"].values() if row["pull"] is not None]
    summary = next(line for line in lines if line.startswith("independent:"))
    assert judged and f"independent: {len(judged)} channels judged, pulls {np.mean(judged):.2f} on average" in summary
    assert summary.endswith(f"{sum(abs(p) > 3.0 for p in judged)} beyond 3 ({0.0027 * len(judged):.1f} by chance)")
    counts = {name: entry["training"]["n_signal"]
              for part in ("channels", "untrained") for name, entry in manifest[part].items()}
    few = {name: n for name, n in counts.items() if n < 1000}
    heading = f"fewer than 1000 true candidates to train on: {len(few)} of {len(numbers['channels'])} channels"
    place = lines.index(heading)
    assert few and {name: int(n) for name, n in (line.split() for line in lines[place + 1:])} == few
    capsys.readouterr()
    for form in ("table", "json"):
        assert run(folder, "models", "--generate", "0", f"--format={form}", "-o", str(tmp_path / f"{form}.html")) == 0
        printed = capsys.readouterr().out
        said = Page((tmp_path / f"{form}.html").read_text(encoding="utf-8")).numbers
        assert printed == overtraining_table(said) + "\n" if form == "table" else json.loads(printed) == said


def test_page_of_the_manifest_alone(folder, tmp_path):
    """Would catch sections that vanish or fail without events, and a file written over without --force."""
    assert run(folder, "models", "--generate", "0", "-o", str(tmp_path / "page.html")) == 0
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.numbers["tags"] is None and page.numbers["cutflow"] is None and page.numbers["coverage"] is None
    assert page.text.count("--events FILE...") >= 4
    manifest = json.loads((folder / "models" / "manifest.json").read_text())
    last = page.numbers["tag_classifier"]
    assert last["reason"] == manifest["no_tag_classifier"] if "no_tag_classifier" in manifest else (
        last["held_out"] == manifest["tag_classifier"]["validation"])
    gained = page.numbers["channels"]["K+_FSP"]
    assert gained["importance_source"] == "gain in the training" and gained["importance"][0][0] == "kaonID"
    before = (tmp_path / "page.html").read_bytes()
    assert run(folder, "models", "--generate", "0", "-o", str(tmp_path / "page.html")) == 2
    assert (tmp_path / "page.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def unfinished(folder, to, *, lost):
    """The training as it was before it came to the channels of some stages."""
    shutil.copytree(folder / "models", to)
    manifest = json.loads((to / "manifest.json").read_text())
    for part in ("channels", "untrained"):
        manifest[part] = {name: entry for name, entry in manifest[part].items() if entry["stage"] not in lost}
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_unfinished_training(folder, tmp_path):
    """Would catch an unfinished training refused, or passed off as finished; finished stages are measured."""
    half = unfinished(folder, tmp_path / "half", lost=(3, 4, 5))
    training = load_training(str(half), str(folder / "small"))
    last = training.last_stage
    assert not training.complete and 0 <= last < len(training.channels.stages) - 1
    observed = observe_files([folder / "events.root"], Sets(str(half), str(folder / "small"), last), max_events=20)
    numbers = report_numbers(training, observed=observed, coverage=observed.coverage)
    page = Page(render(numbers, {"steps": {}, "reliability": {}}))
    assert [stage["finished"] for stage in page.numbers["stages"]] == [
        stage["stage"] <= last for stage in page.numbers["stages"]]
    assert "The training is not finished" in page.text and page.numbers["tags"] is None
    assert page.numbers["channels"]["K+_FSP"]["on_events"]["n_signal"] > 0
    assert page.numbers["channels"]["B+_anti-D0_pi+"]["status"] == "not yet"


# Wrong use


def test_wrong_use_is_said(folder, tmp_path, capsys):
    """Would catch a page about nothing: what is wrong, and what to do, must be said; no file is left."""
    half = unfinished(folder, tmp_path / "half", lost=(3, 4, 5))
    target = str(tmp_path / "page.html")
    for arguments, channel_set, message in (
            (("nothing",), None, "neither a shipped model set nor a folder"),
            (("small",), None, "a folder without a manifest.json"),
            (("models",), None, "channel set 'small', which is not among the shipped ones"),
            (("models",), "hadronic", "no channel set '.*/hadronic'"),
            (("models", "--baseline", "models"), "small", "--events FILE"),
            (("models", "--events", "train.root"), "small", "was trained on"),
            (("models", "--events", "none.root"), "small", "none.root: no such file"),
            (("models", "--events", "events.root", "--baseline", str(half), "--baseline-set", str(folder / "small")),
             "small", "not finished"),
            (("models", "--events", "events.root", "--baseline", "models", "--baseline-set", "hadronic"), "small",
             "no channel set '.*/hadronic'"),
            (("models", "--baseline-set", "small"), "small", "needs a baseline")):
        assert run(folder, *arguments, "-o", target, channel_set=channel_set) == 2
        said = capsys.readouterr().err
        assert re.search(message, said), said
    with pytest.raises(SystemExit):
        run(folder, "models", "--generate", "-1", "-o", target, channel_set="small")
    assert "--generate: got '-1'" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_unfinished_training_of_other_channels(folder, tmp_path):
    """Would catch a half-finished training of one channel set taken for one of another."""
    half = unfinished(folder, tmp_path / "half", lost=(3, 4, 5))
    with pytest.raises(ModelSetError, match="is not channel set 'hadronic'"):
        load_training(str(half), "hadronic")


# Parts


def test_gains_are_those_of_lightgbm():
    """LightGBM's own importances, on its own training sample: catches a wrong split, side, order of trees, formula."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(3000, 4))
    X[:, 3] = np.where(rng.random(3000) < 0.2, np.nan, X[:, 3])
    y = rng.random(3000) < 1 / (1 + np.exp(3 - 2 * X[:, 0] - X[:, 1] - np.nan_to_num(X[:, 3], nan=1.0)))
    names = ["a", "b", "c", "d"]
    fitted = fit_channel(X, y, np.ones(3000), names=names, seed=3, min_entries=10, parameters={
        "n_trees": 30, "bagging_fraction": 1.0, "bagging_freq": 0, "max_delta_step": 0.0, "boost_from_average": False})
    model = ChannelModel("toy", tuple(names), {}, "toy", pack(fitted.text))
    forest = read_forest(model)
    found = gains(forest, X, y, np.ones(3000))
    np.testing.assert_allclose(found, fitted.gain, rtol=2e-3)
    assert found.argmax() == 0 and split_counts(forest).sum() == sum(len(t.threshold) for t in forest.trees)


def test_pull_does_not_trust_a_handful():
    """Ten true candidates above all false ones claim an AUC of 1 +- 0: no reason to flag a channel."""
    sample = {"auc": 0.99, "auc_uncertainty": 0.001, "n_signal": 1000}
    assert abs(pull(sample, 1.0, 0.0, 10)) < 1.5
    assert pull(sample, 0.9, 0.001, 9) is None
    assert pull(sample, 0.95, 0.005, 1000) < -7
