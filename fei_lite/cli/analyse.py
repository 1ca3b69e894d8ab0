"""Run an analysis on simulated events, from the Btag to a workspace for fei-lite fit.

ANALYSIS is hta, B+ -> K+ nu nubar with the hadronic tag. INPUT are event files of
fei-lite simulate (signal --dec k_nunu, charged, mixed, ccbar, uubar, ddbar,
ssbar), or candidates of an earlier run. OUTPUT gets the candidates of each file
(a second run goes on from there), ntuple.parquet, cutflow.json and .txt,
histograms.json, density.json (n(eta, q2)), workspace.json, the classifier and
figures. Example:

    fei-lite analyse hta signal.root charged.root mixed.root ccbar.root -o hta
    fei-lite fit hta/workspace.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fei_lite.constants import DEFAULT_MODELS

if TYPE_CHECKING:
    from fei_lite.analyses.analysis import Result

HELP = "run an analysis from the Btag to a workspace"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite analyse``."""
    parser.add_argument("analysis", choices=("hta",), metavar="ANALYSIS", help="hta")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="event files, or candidates (.parquet)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--luminosity", type=float, default=None, metavar="FB",
                        help="integrated luminosity to scale to in 1/fb (default: the recipe's, 362)")
    parser.add_argument("--classifier", type=Path, default=None, metavar="FOLDER",
                        help="trained classifier of an earlier run (default: train one on the input)")
    parser.add_argument("--models", default=DEFAULT_MODELS, help="model set of the tagger (default: %(default)s)")
    parser.add_argument("--set", dest="channel_set", default=None,
                        help="channel set of the tagger (default: that of the models)")
    parser.add_argument("--recipe", type=Path, default=None, metavar="FILE", help="cuts, samples, bins (TOML)")
    parser.add_argument("--systematics", type=Path, default=None, metavar="FILE", help="uncertainties (TOML)")
    parser.add_argument("--compare", type=Path, default=None, metavar="WORKSPACE",
                        help="published workspace whose templates are shown beside ours")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    parser.add_argument("--candidates-only", action="store_true",
                        help="stop at the candidates, merged into candidates.parquet")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="overwrite the results (candidates are kept)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite analyse``."""
    from fei_lite.analyses.analysis import analyse
    from fei_lite.analyses.candidate_files import Clock, candidate_files, merge_candidates, read_candidates
    from fei_lite.analyses.recipe import load_recipe
    from fei_lite.analyses.systematics import check_samples, load_systematics

    recipe, systematics = load_recipe(arguments.recipe), load_systematics(arguments.systematics)
    check_samples(systematics, list(recipe.samples))
    clock, folder = Clock(), arguments.output
    with _Bars(quiet=arguments.quiet) as bars:
        files = candidate_files(arguments.inputs, folder / "candidates", models=arguments.models,
                                channel_set=arguments.channel_set, workers=arguments.workers, report=bars, clock=clock)
    if clock.tagging:
        print(f"tag {clock.tagging:.1f} s, analysis after it {clock.analysis:.1f} s", file=sys.stderr)
    if arguments.candidates_only:
        merged = merge_candidates(files, folder / "candidates.parquet", force=arguments.force)
        print(f"{len(merged.columns['weight'])} candidates of {len(merged.sources)} files in "
              f"{folder / 'candidates.parquet'}", file=sys.stderr)
        return 0
    inputs = read_candidates(files)
    classifier = _classifier(arguments.classifier, recipe.features)
    result = analyse(inputs, recipe, systematics, luminosity=arguments.luminosity, classifier=classifier)
    published = _published(arguments.compare, len(recipe.eta_edges) - 1)
    text = _write(result, folder, published=published, trained=classifier is None, force=arguments.force)
    if not arguments.no_figures:
        _draw(result, folder, published)
    print(text, end="")
    if result.floored:
        print(f"bins without any background: {', '.join(str(i + 1) for i in result.floored)}; they got "
              f"{recipe.floor:g} +- {recipe.floor:g} entries. Give more events", file=sys.stderr)
    if result.missing:
        print(f"no events of {', '.join(result.missing)}: the templates lack them", file=sys.stderr)
    return 0


class _Bars:
    """A progress bar per file."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self.file, self.bar = quiet, "", None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, file: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if file != self.file:
            self.__exit__()
            self.file, self.bar = file, tqdm(unit="event", desc=file, total=total, file=sys.stderr,
                                             disable=self.quiet)
        assert self.bar is not None
        self.bar.update(done - self.bar.n)


def _classifier(folder: Path | None, features: tuple[str, ...]) -> Any:
    from fei_lite.analyses.classifier import load_classifier

    return None if folder is None else load_classifier(folder, features)


def _published(path: Path | None, n_bins: int) -> dict[str, Any] | None:
    """Nominal templates of a published workspace with one channel."""
    import numpy as np

    from fei_lite.errors import WorkspaceError
    from fei_lite.statistics.workspaces import read_workspace

    if path is None:
        return None
    samples = read_workspace(path)["channels"][0]["samples"]
    found = {s["name"]: np.array(s["data"], dtype=np.float64) for s in samples}
    if any(len(values) != n_bins for values in found.values()):
        raise WorkspaceError(f"{path}: channels[0] has {len(samples[0]['data'])} bins, the analysis {n_bins}.")
    return found


def workspace_of(result: Result) -> dict[str, Any]:
    """The workspace of the templates; the observation is their sum (Asimov data)."""
    from fei_lite.statistics.from_templates import workspace_of as of

    return of({"hta": result.templates})


def _write(result: Result, folder: Path, *, published: dict[str, Any] | None, trained: bool, force: bool) -> str:
    """Write everything but the figures; returns the tables."""
    from fei_lite.analyses import tables
    from fei_lite.analyses.analysis import summary
    from fei_lite.analyses.classifier import save_classifier
    from fei_lite.analyses.ntuple import write_ntuple
    from fei_lite.statistics.workspaces import save_workspace

    folder.mkdir(parents=True, exist_ok=True)
    recipe, content = result.recipe, summary(result)
    flows = {s.name: s.flow for s in result.samples}
    yields = tables.yields_table(result.templates, recipe.eta_edges, published=published)
    text = tables.cut_flow_table(flows) + _samples_table(content) + "\n" + yields
    files = {
        "cutflow.json": {name: [row.to_json() for row in rows] for name, rows in flows.items()},
        "histograms.json": {"variable": "eta", "edges": list(recipe.eta_edges), **content,
                            "templates": [t.to_json() for t in result.templates]},
        "density.json": result.density.to_json() | {"luminosity_fb": result.normalisation.luminosity,
                                                    "branching_fraction": recipe.branching_fraction},
    }
    for name, values in files.items():
        _write_text(folder / name, json.dumps(values, indent=1) + "\n", force)
    _write_text(folder / "cutflow.txt", text, force)
    write_ntuple(folder / "ntuple.parquet", result.columns | {"sample": result.sample.astype(object)}, content,
                 force=force)
    save_workspace(workspace_of(result), folder / "workspace.json", force=force)
    if trained:
        save_classifier(result.classifier, folder / "classifier", force=force, extra={
            "samples": content["samples"], "seed": recipe.seed, "parameters": dict(recipe.parameters)})
    return text


def _write_text(path: Path, text: str, force: bool) -> None:
    from fei_lite.outputs import atomic_output

    with atomic_output(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _samples_table(content: dict[str, Any]) -> str:
    lines = [f"signal efficiency {100 * content['signal_efficiency']:.3f} %, area under the ROC curve "
             f"{content['classifier']['auc']:.3f} +- {content['classifier']['auc_uncertainty']:.3f}; "
             f"q2 - generated: half of 68 % {content['q2_resolution_GeV2']['half_68']:.3f} GeV^2, beyond 1 GeV^2 "
             f"{100 * content['q2_resolution_GeV2']['beyond_1']:.0f} %",
             f"{'sample':10s} {'generated':>12s} {'worth 1/fb':>12s} {'selected':>10s} {'expected':>10s} "
             f"{'in the fit':>12s}"]
    lines += [f"{name:10s} {s['n_generated']:12d} {s['luminosity_fb']:12.4g} {s['entries']:10d} {s['expected']:10.2f} "
              f"{s['effective_luminosity_fb']:12.4g}" for name, s in content["samples"].items()]
    return "\n".join(lines) + "\n"


def _draw(result: Result, folder: Path, published: dict[str, Any] | None) -> None:
    import numpy as np

    from fei_lite.analyses.analysis import efficiency_in_q2
    from fei_lite.plots import hta as plots

    recipe, drawn = result.recipe, folder / "plots"
    drawn.mkdir(parents=True, exist_ok=True)
    total = None if published is None else np.sum(list(published.values()), axis=0)
    plots.plot_templates(result.templates, recipe.eta_edges, drawn / "eta.png",
                          luminosity=result.normalisation.luminosity, published=total)
    plots.plot_inputs(result.columns, result.sample, recipe.features, drawn / "inputs.png")
    plots.plot_efficiency(*efficiency_in_q2(result), recipe.q2_edges, drawn / "efficiency.png")
    plots.plot_spectra(drawn / "spectra.png", result.density)
