"""Efficiencies and purities of Btag files: counted by hand, weighted intervals against integrals and toys."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution

from fei_lite.cli import main
from fei_lite.errors import EventFileError, FeiLiteError, UnknownNameError
from fei_lite.fractions import CONFIDENCE
from fei_lite.performance.best_tags import TagPieces, read_best_tags
from fei_lite.performance.mbc_peak import mbc_peak
from fei_lite.performance.working_points import evaluate_tags
from fei_lite.tagging.output import TagWriter

TAIL = 0.5 * (1.0 - CONFIDENCE)

#: Candidates of ten events: (event, PDG code, SignalProbability, isSignal, best). Events 8 and 9 have none;
#: the second candidate of event 4 is right and not the best; event 7 lies on a working point.
CANDIDATES = [
    (0, 521, 0.5, 1, 1), (0, 511, 0.2, 0, 0), (1, -521, 0.05, 1, 1), (2, 521, 0.05, 0, 1), (3, 511, 0.9, 1, 1),
    (4, 511, 0.005, 0, 1), (4, 521, 0.004, 1, 0), (5, -511, 0.005, 1, 1), (6, 521, 0.0005, 1, 1), (7, 521, 0.01, 1, 1),
]
#: Tags and right tags above 0.001, 0.01, 0.1, counted by hand.
COUNTED = {"B+": [(4, 3), (3, 2), (1, 1)], "B0": [(3, 2), (1, 1), (1, 1)]}
WEIGHTS = np.array([2.0, 1, 1, 4, 1, 1, 1, 3, 1, 5])
#: The same with WEIGHTS.
WEIGHED = {"B+": [(7.0, 6.0), (4.0, 3.0), (2.0, 2.0)], "B0": [(6.0, 5.0), (4.0, 4.0), (4.0, 4.0)]}
TYPES = np.array(["B+B-"] * 3 + ["B0B0bar"] * 3 + ["B+B-"] * 3 + ["B0B0bar"])


def table_of(candidates=CANDIDATES, *, weights=None, truth=True):
    """Columns and metadata of a Btag file with these candidates."""
    weights = np.ones(10) if weights is None else weights
    event, pdg, probability, signal, best = (np.array(c) for c in zip(*candidates, strict=True))
    columns = {"entry": event, "event": event, "decayModeID": np.zeros(len(event), np.int32),
               "deltaE": np.zeros(len(event)), "pdg": pdg.astype(np.int32), "SignalProbability": probability,
               "best": best.astype(np.int8), "weight": weights[event], "Mbc": np.full(len(event), 5.28)}
    if truth:
        columns |= {"isSignal": signal.astype(np.int8), "mcPDG": np.full(len(event), 300553, np.int32)}
    types = {str(name): {"n_events": int(np.sum(mask := name == TYPES)), "sum_of_weights": float(weights[mask].sum()),
                         "sum_of_squared_weights": float((weights[mask]**2).sum())}
             for name in np.unique(TYPES)} if truth else {"unknown": {"n_events": 10, "sum_of_weights": 10.0}}
    return columns, {"n_events": len(weights), "sum_of_weights": float(weights.sum()),
                     "sum_of_squared_weights": float((weights**2).sum()), "event_types": types}


def evaluate(columns, metadata, **options):
    """The JSON of a table in memory."""
    pieces = TagPieces()
    pieces.add(columns)
    return evaluate_tags(pieces.best_tags(metadata), **options).to_json()


def write(path, columns, metadata, *, tagged=8, read=None):
    n = metadata["n_events"] if read is None else read
    rows = [("events", "all: read", n), ("events", "all: tagged", tagged),
            ("events", "all: untagged", metadata["n_events"] - tagged)]
    with TagWriter(path) as writer:
        writer.write(columns)
        writer.finish(rows, metadata)
    return path


def run(capsys, *arguments):
    code = main(["evaluate", *map(str, arguments)])
    return code, capsys.readouterr()


def cumulative(x, a, b):
    """Regularised incomplete beta function by numerical integration."""
    return quad(lambda t: beta_distribution.pdf(t, a, b), 0.0, x, epsabs=1e-12, limit=200)[0]


@pytest.mark.parametrize("weights,counted", [(np.ones(10), COUNTED), (WEIGHTS, WEIGHED)], ids=["counts", "weights"])
def test_numbers_counted_by_hand(weights, counted):
    """Would catch candidates counted instead of events, second-best ones, a charge forgotten, >= for >, no weights."""
    result = evaluate(*table_of(weights=weights))
    n = weights.sum()
    for b_type, expected in counted.items():
        assert result[b_type]["n_events"] == 10
        for point, cut, (tags, right), number in zip(result[b_type]["working_points"], (0.001, 0.01, 0.1), expected,
                                                     COUNTED[b_type], strict=True):
            assert point["min_signal_probability"] == cut
            assert point["tagging_efficiency"]["value"] == pytest.approx(tags / n, rel=1e-14)
            assert point["tag_side_efficiency"]["value"] == pytest.approx(right / n, rel=1e-14)
            assert point["purity"]["value"] == pytest.approx(right / tags, rel=1e-14)
            assert (point["n_tagged"], point["n_correct"]) == number
            for name in ("tagging_efficiency", "tag_side_efficiency", "purity"):
                assert 0 <= point[name]["lower"] <= point[name]["value"] <= point[name]["upper"] <= 1
    assert result["weighted"] == bool(weights.max() > 1)


def test_efficiency_per_event_type():
    """Would catch the number of all events below the fraction: 3 of 6 B+B- events, 2 of 4 B0B0bar events."""
    result = evaluate(*table_of())
    expected = {"B+": ("B+B-", 6, (3 / 6, 2 / 6, 1 / 6)), "B0": ("B0B0bar", 4, (2 / 4, 1 / 4, 1 / 4))}
    for b_type, (event_type, n, values) in expected.items():
        block = result[b_type]["per_event_type"]
        assert (block["event_type"], block["n_events"]) == (event_type, n)
        assert [m["value"] for m in block["tag_side_efficiency"]] == pytest.approx(values)
    weighted = evaluate(*table_of(weights=WEIGHTS))["B+"]["per_event_type"]["tag_side_efficiency"]
    assert [m["value"] for m in weighted] == pytest.approx([6 / 9, 3 / 9, 2 / 9])


@pytest.mark.parametrize("stored", [True, False], ids=["file", "file of an earlier version"])
def test_weighted_interval_of_one_event_type(stored):
    """Would catch the effective number of all events, of the tags, or the sum of weights below one event type.

    The B+B- events weigh 2, 1, 1, 1, 3, 1: n = 9^2 / 17; B0B0bar 4, 1, 1, 5: n = 11^2 / 43. Where a file does not
    say so, squares go with the weight: n = 9 x 20 / 60 and 11 x 20 / 60. The ends solve the binomial tails, with
    factorials continued by the incomplete beta function: here by numerical integration.
    """
    columns, metadata = table_of(weights=WEIGHTS)
    sizes = {"B+": 81 / 17, "B0": 121 / 43} if stored else {"B+": 9 * 20 / 60, "B0": 11 * 20 / 60}
    if not stored:
        for row in metadata["event_types"].values():
            del row["sum_of_squared_weights"]
    result = evaluate(columns, metadata)
    for b_type, total in (("B+", 9.0), ("B0", 11.0)):
        found = result[b_type]["per_event_type"]["tag_side_efficiency"]
        for end, (_, right) in zip(found, WEIGHED[b_type], strict=True):
            n = sizes[b_type]
            k = n * right / total
            assert end["value"] == pytest.approx(right / total, rel=1e-14)
            assert 1 - cumulative(end["lower"], k, n - k + 1) == pytest.approx(1 - TAIL, abs=1e-7)
            assert cumulative(end["upper"], k + 1, n - k) == pytest.approx(1 - TAIL, abs=1e-7)


def test_coverage_of_one_event_type():
    """Toys, heavy B+B- events among many light others: would catch an interval of the wrong events, far too short."""
    rng, n, toys, inside = np.random.default_rng(12), 2000, 300, 0
    for _ in range(toys):
        own = rng.random(n) < 0.1
        weight = np.where(own, rng.choice([1.0, 30.0], n, p=[0.8, 0.2]), 1.0)
        entry = np.flatnonzero(own & (rng.random(n) < 0.3))
        ones = np.ones(len(entry))
        columns = {"best": ones, "SignalProbability": ones, "pdg": 521 * ones, "Mbc": ones, "weight": weight[entry],
                   "isSignal": ones, "mcPDG": ones, "entry": entry, "event": entry, "decayModeID": ones,
                   "deltaE": ones}
        types = {name: {"n_events": int(rows.sum()), "sum_of_weights": weight[rows].sum(),
                        "sum_of_squared_weights": (weight[rows]**2).sum()} for name, rows in (
                            ("B+B-", own), ("B0B0bar", ~own))}
        metadata = {"n_events": n, "sum_of_weights": weight.sum(), "sum_of_squared_weights": (weight**2).sum(),
                    "event_types": types}
        (found,) = evaluate(columns, metadata, working_points=[0.5])["B+"]["per_event_type"]["tag_side_efficiency"]
        inside += found["lower"] <= 0.3 <= found["upper"]
    assert 0.60 < inside / toys < 0.82  # 0.683 +- 0.027, and more because counts are whole


def test_weights_that_sum_to_the_number_of_events():
    """Would catch a weighted file called unweighted because its mean weight is 1."""
    assert evaluate(*table_of(weights=np.array([0.5, 1.5] * 5)))["weighted"]


def test_interval_of_effective_counts():
    """Would catch sums of weights used as counts: n = (sum w)^2 / sum w^2 = 400 / 60, k = n x 0.35."""
    point = evaluate(*table_of(weights=WEIGHTS))["B+"]["working_points"][0]
    tags = WEIGHTS[[0, 1, 2, 7]]
    for name, value, n in (("tagging_efficiency", 7 / 20, 400 / 60), ("tag_side_efficiency", 6 / 20, 400 / 60),
                           ("purity", 6 / 7, 49 / (tags**2).sum())):
        k = value * n
        assert 1 - cumulative(point[name]["lower"], k, n - k + 1) == pytest.approx(1 - TAIL, abs=1e-7)
        assert cumulative(point[name]["upper"], k + 1, n - k) == pytest.approx(1 - TAIL, abs=1e-7)
    heavier = evaluate(*table_of(weights=7 * WEIGHTS))["B+"]["working_points"][0]
    assert heavier["purity"] == pytest.approx(point["purity"], rel=1e-12)  # a common factor means nothing


def test_nothing_divided_by_nothing():
    """Would catch a purity of 0 or 1 where there is no tag."""
    point = evaluate(*table_of(), working_points=[0.95])["B0"]["working_points"][0]
    assert point["purity"] == {"value": None, "lower": None, "upper": None}
    assert point["tag_side_efficiency"]["value"] == 0 and point["tag_side_efficiency"]["upper"] > 0


def toy_coverage(*, heavy_fraction, tag_light, tag_heavy, right_light, right_heavy, n=1000, toys=300):
    """Fraction of toys whose interval holds the true value; events weigh 1 or 10."""
    rng = np.random.default_rng(11)
    rate = np.array([(1 - heavy_fraction), 10 * heavy_fraction])
    tag, right = np.array([tag_light, tag_heavy]), np.array([right_light, right_heavy])
    true = {"tagging_efficiency": rate @ tag / rate.sum(), "tag_side_efficiency": rate @ (tag * right) / rate.sum(),
            "purity": rate @ (tag * right) / (rate @ tag)}
    inside = dict.fromkeys(true, 0)
    for _ in range(toys):
        heavy = (rng.random(n) < heavy_fraction).astype(int)
        weight = np.where(heavy, 10.0, 1.0)
        tagged = np.flatnonzero(rng.random(n) < tag[heavy])
        signal = rng.random(len(tagged)) < right[heavy[tagged]]
        ones = np.ones(len(tagged))
        columns = {"best": ones, "SignalProbability": ones, "pdg": 521 * ones, "Mbc": ones, "weight": weight[tagged],
                   "isSignal": signal, "mcPDG": ones, "entry": tagged, "event": tagged, "decayModeID": ones,
                   "deltaE": ones}
        metadata = {"n_events": n, "sum_of_weights": weight.sum(), "sum_of_squared_weights": (weight**2).sum(),
                    "event_types": {}}
        point = evaluate(columns, metadata, working_points=[0.5])["B+"]["working_points"][0]
        for name, value in true.items():
            inside[name] += point[name]["lower"] <= value <= point[name]["upper"]
    return {name: count / toys for name, count in inside.items()}


def test_coverage_with_weights():
    """Toys with weights 1 and 10 that tell nothing about the outcome: would catch errors too small by sqrt(<w>)."""
    coverage = toy_coverage(heavy_fraction=0.3, tag_light=0.2, tag_heavy=0.2, right_light=0.4, right_heavy=0.4)
    for name, value in coverage.items():
        assert 0.60 < value < 0.82, name  # 0.683 +- 0.027, and more because counts are whole


def test_coverage_of_a_stratified_sample():
    """Heavy events are hardly ever tagged and never right: intervals may be too long, never too short."""
    coverage = toy_coverage(heavy_fraction=0.3, tag_light=0.3, tag_heavy=0.06, right_light=0.5, right_heavy=0.0)
    for name, value in coverage.items():
        assert value > 0.60, name


@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_json_of_the_command(tmp_path, capsys, suffix):
    """Would catch another shape than promised, NaN in the JSON, or talk on stdout."""
    code, printed = run(capsys, write(tmp_path / f"btag.{suffix}", *table_of()), "--format", "json")
    assert code == 0 and printed.err == ""
    result = json.loads(printed.out, parse_constant=lambda text: pytest.fail(f"not JSON: {text}"))
    for b_type, counted in COUNTED.items():
        block = result[b_type]
        assert block["n_events"] == 10
        assert [p["min_signal_probability"] for p in block["working_points"]] == [0.001, 0.01, 0.1]
        for point, (tags, right) in zip(block["working_points"], counted, strict=True):
            for name, value in (("tagging_efficiency", tags / 10), ("tag_side_efficiency", right / 10),
                                ("purity", right / tags)):
                assert set(point[name]) == {"value", "lower", "upper"}
                assert point[name]["value"] == pytest.approx(value)
    assert result["every_event_accounted_for"] is True
    assert {"stage": "events", "name": "all: tagged", "count": 8} in result["cutflow"]


def test_table_of_the_command(tmp_path, capsys):
    """Would catch a table that shows other numbers than the JSON."""
    code, printed = run(capsys, write(tmp_path / "btag.root", *table_of()))
    assert code == 0
    row = next(line for line in printed.out.splitlines() if line.startswith("B+") and " 0.001 " in line)
    numbers = [float(word.strip("[],")) for word in row.split()[1:]]
    assert numbers[:2] == [0.001, 4]
    assert [numbers[i] for i in (2, 5, 8)] == [40.0, 30.0, 75.0]
    assert "read 10 = tagged 8 + untagged 2" in printed.out


def test_file_without_truth(tmp_path, capsys):
    """Would catch an efficiency of 0 for data: without truth there is only the tagging efficiency."""
    path = write(tmp_path / "btag.root", *table_of(truth=False))
    code, printed = run(capsys, path, "--format", "json")
    result = json.loads(printed.out)
    assert code == 0 and result["has_truth"] is False and result["mbc_of_correct_tags"] is None
    for b_type, counted in COUNTED.items():
        assert "per_event_type" not in result[b_type]
        for point, (tags, _) in zip(result[b_type]["working_points"], counted, strict=True):
            assert point["tagging_efficiency"]["value"] == pytest.approx(tags / 10)
            assert point["tag_side_efficiency"] is None and point["purity"] is None
    code, printed = run(capsys, path)
    assert code == 0 and "no truth in the file: tag-side efficiency and purity are unknown" in printed.out


def test_no_candidate_at_all(tmp_path, capsys):
    """Would catch 0 / 0 or an error for a sample in which nothing was tagged."""
    columns, metadata = table_of()
    path = write(tmp_path / "btag.root", {name: values[:0] for name, values in columns.items()}, metadata, tagged=0)
    code, printed = run(capsys, path, "--format", "json")
    point = json.loads(printed.out)["B+"]["working_points"][0]
    assert code == 0
    assert point["tagging_efficiency"] == pytest.approx({"value": 0, "lower": 0, "upper": 1 - TAIL**0.1})
    assert point["purity"] == {"value": None, "lower": None, "upper": None}
    assert run(capsys, path)[0] == 0


def test_no_event_at_all():
    """Would catch a division by zero events."""
    columns, _ = table_of()
    nothing = {"n_events": 0, "sum_of_weights": 0.0, "sum_of_squared_weights": 0.0, "event_types": {}}
    result = evaluate({name: values[:0] for name, values in columns.items()}, nothing)
    for b_type in COUNTED:
        for point in result[b_type]["working_points"]:
            assert point["tagging_efficiency"]["value"] is None and point["purity"]["value"] is None


@pytest.mark.parametrize("tagged,read", [(8, 11), (8, 9)])
def test_cut_flow_that_loses_events(tmp_path, capsys, tagged, read):
    """Would catch events lost or counted twice without a word: exit code 1, and the numbers are shown."""
    path = write(tmp_path / "btag.root", *table_of(), tagged=tagged, read=read)
    code, printed = run(capsys, path, "--format", "json")
    assert code == 1 and json.loads(printed.out)["every_event_accounted_for"] is False


def test_cut_flow_that_disagrees_with_the_candidates(tmp_path, capsys):
    """Would catch a cut-flow that says 7 tagged where 8 events have a best Btag."""
    code, _ = run(capsys, write(tmp_path / "btag.root", *table_of(), tagged=7))
    assert code == 1


def test_own_working_points(tmp_path, capsys):
    """Would catch working points that are ignored, or nonsense ones accepted."""
    path = write(tmp_path / "btag.root", *table_of())
    code, printed = run(capsys, path, "--working-points", "0", "0.3", "--format", "json")
    assert code == 0
    assert [p["n_tagged"] for p in json.loads(printed.out)["B+"]["working_points"]] == [5, 1]
    for bad in ("1.5", "-0.1", "nan"):
        code, printed = run(capsys, path, f"--working-points={bad}")
        assert code == 2 and "working point" in printed.err and printed.out == ""


def test_output_file(tmp_path, capsys):
    """Would catch an older result lost without --force, or half a result."""
    path, output = write(tmp_path / "btag.root", *table_of()), tmp_path / "result.json"
    assert run(capsys, path, "--format", "json", "-o", output)[1].out == ""
    assert json.loads(output.read_text())["B+"]["n_events"] == 10
    code, printed = run(capsys, path, "-o", output)
    assert code == 2 and "--force" in printed.err and json.loads(output.read_text())
    assert run(capsys, path, "-o", output, "--force")[0] == 0


def test_what_is_no_btag_file(tmp_path):
    """Would catch a KeyError for columns or metadata that are not there."""
    columns, metadata = table_of()
    for name in ("best", "SignalProbability", "pdg", "weight", "Mbc"):
        path = write(tmp_path / f"{name}.root", {k: v for k, v in columns.items() if k != name}, metadata)
        with pytest.raises(UnknownNameError, match=f"no Btag column '{name}'"):
            read_best_tags(path)
    for name in ("n_events", "sum_of_weights", "sum_of_squared_weights", "event_types"):
        with pytest.raises(EventFileError, match=f"no '{name}'"):
            evaluate(columns, {k: v for k, v in metadata.items() if k != name})
    with pytest.raises(FeiLiteError, match="working point 1"):
        evaluate(columns, metadata, working_points=[1.0])


@pytest.mark.parametrize("rows", [3, 1000])
def test_a_file_and_its_columns_agree(tmp_path, rows):
    """Would catch columns that change between writing and reading, or at the seams of its pieces."""
    columns, metadata = table_of(weights=WEIGHTS)
    read = read_best_tags(write(tmp_path / "btag.parquet", columns, metadata), rows=rows)
    assert evaluate_tags(read).to_json() == evaluate(columns, metadata)


def test_mbc_peak_of_toys():
    """Would catch a wrong width: a Gaussian of 2.5 MeV on a flat tail has that core, whatever the tail."""
    rng = np.random.default_rng(4)
    mass = 5.27934
    pure = rng.normal(mass, 0.0025, 20_000)
    peak = mbc_peak(pure)
    assert peak.n == 20_000
    assert peak.core_mean == pytest.approx(mass, abs=4 * 0.0025 / np.sqrt(20_000))
    assert peak.core_sigma == pytest.approx(0.0025, rel=4 / np.sqrt(40_000))
    assert peak.width == pytest.approx(0.0025, rel=0.03)
    tail = mbc_peak(np.concatenate([pure, rng.uniform(5.2, 5.26, 2000), np.full(50, np.nan)]))
    assert tail.n == 22_000 and tail.core_sigma == pytest.approx(peak.core_sigma, rel=1e-6)
    few = mbc_peak(pure[:9])
    assert few.n == 9 and np.isnan([few.median, few.width, few.core_mean, few.core_sigma]).all()
