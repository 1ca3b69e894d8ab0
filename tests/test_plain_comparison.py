"""Candidates of a selection beside plain ones: ratios with right errors, pieces that scatter as they say, the cuts."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from toy_candidates import HTA, toy, write_toys

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.production.plain_comparison import Step, compared, fraction_of, scatter_of
from fei_lite.analyses.recipes.recipe import CutLine

PIECES, N, FAMILY = 12, 4000, 1000


def inputs_of(rng, rate, weight, *, families=1, x=None, scale=1.0):
    """Pieces of N events with ``rate`` candidates each on average, ``families`` of them from one decay."""
    source = np.repeat(np.arange(PIECES), rng.poisson(rate * N / weight / families, PIECES) * families)
    n = len(source)
    decay = np.repeat(np.arange(n // families), families)
    event = decay * FAMILY + np.arange(n) % families
    columns = {"weight": scale * weight * np.ones(n), "source": source, "event": event,
               "partner": np.arange(n), "x": rng.uniform(size=n) if x is None else np.full(n, x)}
    sources = tuple(Source(f"s{k}", "charged", k, N, N, {"family": FAMILY, "recombined": 1}) for k in range(PIECES))
    counts = tuple({"charged": {"events read": [N, scale * float(N)]}} for _ in range(PIECES))
    return Inputs(columns, sources, counts)


def only(inputs):
    return fraction_of(inputs, np.ones(len(inputs), dtype=bool))


def test_ratio_has_the_error_it_states():
    """Would catch a family or a weight that the error forgets: pulls of 200 ratios, families of three of weight 0.5."""
    rng = np.random.default_rng(4)
    pulls, scatters = [], []
    for _ in range(200):
        step = Step("", only(inputs_of(rng, 0.02, 1.0)), only(inputs_of(rng, 0.02, 0.5, families=3)))
        pulls.append((step.ratio - 1.0) / step.error)
        scatters.append(step.selected.scatter)
    assert np.std(pulls) == pytest.approx(1.0, abs=3.5 / np.sqrt(400.0)) and abs(np.mean(pulls)) < 0.3
    assert np.mean(np.square(scatters)) == pytest.approx(1.0, abs=3.5 * np.sqrt(2.0 / (PIECES - 1) / 200.0))


def test_a_bias_of_the_size_that_is_promised_is_seen():
    """Would catch a promise that is too good: a loss of the size ``seen`` is two sigma away, on average of 100."""
    rng = np.random.default_rng(5)
    away = []
    for _ in range(100):
        plain, whole = only(inputs_of(rng, 0.02, 1.0)), only(inputs_of(rng, 0.02, 0.5))
        lost = 1.0 - Step("", plain, whole).seen
        step = Step("", only(inputs_of(rng, 0.02, 1.0)), only(inputs_of(rng, 0.02, 0.5, scale=lost)))
        away.append((step.ratio - 1.0) / step.error)
    assert np.mean(away) == pytest.approx(-2.0 / 0.9, abs=0.4)  # the ratio's own error is smaller, by the loss


def test_pieces_of_unlike_size_scatter_as_one():
    """Would catch pieces that count alike whatever their size: 2000 totals of three pieces of Poisson numbers."""
    rng, sizes = np.random.default_rng(6), np.array([100.0, 300.0, 600.0])
    found = [scatter_of(rng.poisson(0.5 * sizes).astype(float), sizes) ** 2 for _ in range(2000)]
    assert np.mean(found) / (0.5 * sizes.sum()) == pytest.approx(1.0, abs=0.12)
    assert np.isnan(scatter_of(np.array([3.0]), np.array([10.0])))


def test_cuts_of_some_candidates():
    """Would catch a cut that ignores its condition, one on a score that is not there yet, and lost counts."""
    cuts = (CutLine(name="large", cut="x > 0.5", origin="test", where="event < 0"),
            CutLine(name="score", cut="BDT_ks_e > 0.5", origin="test"),
            CutLine(name="none", cut="x > 2", origin="test"))
    recipe = load_analysis("k_tau_l").recipe
    rng = np.random.default_rng(8)
    plain, selected = inputs_of(rng, 0.02, 1.0), inputs_of(rng, 0.02, 0.5, scale=1.01)
    steps = list(compared(plain, selected, recipe.model_copy(update={"cut": cuts})))
    assert [step.name for step in steps] == ["events read", "candidates", "large", "none"]
    assert steps[0].ratio == pytest.approx(1.01) and steps[0].plain.entries == PIECES * N
    assert steps[2].plain == steps[1].plain and steps[1].plain.entries == len(plain)
    assert steps[3].plain.entries == 0 and np.isnan(steps[3].ratio)


def toy_production(folder, seeds, n):
    """A production of the HTA, pieces of toy candidates of B+B- with these seeds, each of 20 n events."""
    (folder / "pieces").mkdir(parents=True)
    (folder / "hta").mkdir()
    for seed in seeds:
        (written,) = write_toys(folder, [toy("charged", n, seed=seed)])
        written.rename(folder / "hta" / f"charged_{seed}.parquet")
        record = {"process": "charged", "seed": seed, "n_generated": 20 * n, "luminosity_fb": 1.0, "selection": None,
                  "seconds": {}, "analyses": {"hta": {"identity": HTA.identity}}}
        (folder / "pieces" / f"charged_{seed}.json").write_text(json.dumps(record))
    return folder


def test_the_script_compares_and_promises(tmp_path, monkeypatch, capsys):
    """Would catch a script that compares nothing, and events that are on both sides: their ratio would be 1 for sure.

    Plain 3000 candidates of 60 000 events, as many in the other sample: two sigma are 2 sqrt(2 / 3000), or 5.2 %.
    """
    plain = toy_production(tmp_path / "plain", (1, 2, 3), 1000)
    other = toy_production(tmp_path / "other", (11, 12, 13), 1000)
    script = str(Path(__file__).resolve().parents[1] / "scripts/check_selection.py")
    monkeypatch.setattr("sys.argv", [script, str(plain), str(other), "--bias", "2", "3"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(script, run_name="__main__")
    said = capsys.readouterr().out
    assert caught.value.code == 0, said
    assert "hta, charged: 60000 plain events, 60000 with the selection" in said
    (last,) = [line.split() for line in said.splitlines() if line.startswith("hta charged")]
    assert last[2:] == ["1.0000", "+-", "0.0258", "5.2", "2.0", "400000", "400000"]
    assert "no good track left" in said and "events read" in said
    monkeypatch.setattr("sys.argv", [script, str(plain), str(plain)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(script, run_name="__main__")
    assert caught.value.code != 0 and "seeds 1, 2, 3 are in both" in capsys.readouterr().err
