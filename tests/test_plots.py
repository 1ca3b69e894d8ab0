"""Figures: the files are made, and hold what numpy counts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fei_lite.classifiers.quality import reliability
from fei_lite.errors import OutputError, UnknownNameError
from fei_lite.plots.tags import plot_delta_e, plot_mass, plot_mbc, plot_reliability

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def tags():
    """Btags with a peak of true ones above a flat background."""
    rng = np.random.default_rng(8)
    n = 4000
    true = rng.random(n) < 0.3
    return {
        "Mbc": np.where(true, rng.normal(5.2793, 0.0026, n), rng.uniform(5.2, 5.289, n)),
        "deltaE": np.where(true, rng.normal(0, 0.02, n), rng.uniform(-0.5, 0.5, n)),
        "SignalProbability": np.where(true, rng.beta(2, 2, n), rng.beta(0.3, 5, n)),
        "pdg": rng.choice([521, -521, 511, -511], n), "isSignal": true.astype("i1"),
        "weight": rng.uniform(0.5, 1.5, n), "best": (rng.random(n) < 0.8).astype("i1"),
    }


def is_png(path):
    return path.read_bytes().startswith(PNG) and path.stat().st_size > 5000


def test_mbc_bins_are_those_of_numpy(tags, tmp_path):
    """A cut left out, a panel or truth swapped, or a lost weight changes a bin."""
    edges = np.linspace(5.2, 5.29, 31)
    drawn = plot_mbc(tags, tmp_path / "mbc.png", min_signal_probability=0.1, max_abs_delta_e=0.2, edges=edges)
    assert is_png(tmp_path / "mbc.png")
    for name, code in (("B+", 521), ("B0", 511)):
        for truth, counts in ((1, drawn[name].signal), (0, drawn[name].background)):
            rows = [i for i in range(len(tags["Mbc"]))
                    if tags["SignalProbability"][i] > 0.1 and abs(tags["deltaE"][i]) < 0.2 and tags["best"][i] == 1
                    and abs(tags["pdg"][i]) == code and tags["isSignal"][i] == truth]
            want, _ = np.histogram(tags["Mbc"][rows], edges, weights=tags["weight"][rows])
            np.testing.assert_allclose(counts, want)
            assert want.sum() > 50


def test_delta_e_without_truth_and_weights(tags, tmp_path):
    """Data have neither: all entries are counted once, as points."""
    data = {name: tags[name] for name in ("Mbc", "deltaE", "SignalProbability", "pdg")}
    drawn = plot_delta_e(data, tmp_path / "delta_e.pdf", min_signal_probability=0.1, min_mbc=5.27)
    assert (tmp_path / "delta_e.pdf").read_bytes().startswith(b"%PDF")
    inside = (data["SignalProbability"] > 0.1) & (data["Mbc"] > 5.27) & (np.abs(data["deltaE"]) <= 0.2)
    for name, code in (("B+", 521), ("B0", 511)):
        assert drawn[name].signal.sum() == 0.0
        assert drawn[name].background.sum() == np.count_nonzero(inside & (np.abs(data["pdg"]) == code))


def test_no_candidate_and_undefined_values_draw_an_empty_figure(tags, tmp_path):
    """A sample without tags must not fail the demo; NaN is in no bin."""
    empty = {name: values[:0] for name, values in tags.items()}
    assert plot_mbc(empty, tmp_path / "empty.png")["B0"].signal.sum() == 0.0
    undefined = tags | {"Mbc": np.full(len(tags["Mbc"]), np.nan)}
    assert plot_mbc(undefined, tmp_path / "nan.png")["B+"].background.sum() == 0.0
    assert is_png(tmp_path / "empty.png") and is_png(tmp_path / "nan.png")


def test_mass_peak(tmp_path):
    """The default window holds the peak; counts are numpy's."""
    rng = np.random.default_rng(1)
    values, truth = rng.normal(1.8648, 0.005, 500), rng.random(500) < 0.5
    stack = plot_mass(values, tmp_path / "d0.png", particle="D0", truth=truth)
    np.testing.assert_array_equal(stack.signal, np.histogram(values[truth], stack.edges)[0])
    assert stack.signal.sum() + stack.background.sum() == 500 and is_png(tmp_path / "d0.png")


@pytest.mark.filterwarnings("error")
def test_reliability_pages(tmp_path):
    """145 classifiers go to as many pages as needed, each a file, none lost."""
    rng = np.random.default_rng(2)
    panels = {}
    for i in range(14):
        p = rng.beta(0.3, 3, 2000 if i else 0)
        panels[f"channel_{i}"] = reliability(rng.random(len(p)) < p, p, n_bins=10)
    files = plot_reliability(panels, tmp_path / "reliability.png", columns=3, rows=2, title="test")
    assert [f.name for f in files] == ["reliability.png", "reliability-2.png", "reliability-3.png"]
    assert all(is_png(f) for f in files)


def test_errors_name_the_column_and_keep_what_exists(tags, tmp_path):
    """A missing column is named; an older figure survives unless force is given."""
    with pytest.raises(UnknownNameError, match="no column 'Mbc'"):
        plot_mbc({k: v for k, v in tags.items() if k != "Mbc"}, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.png").write_text("old")
    with pytest.raises(OutputError, match="never overwritten"):
        plot_mbc(tags, tmp_path / "old.png", force=False)
    assert (tmp_path / "old.png").read_text() == "old"


def test_import_needs_no_plotting():
    """The module itself must not import matplotlib: every command would pay for it."""
    code = "import sys, fei_lite.plots.tags; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
