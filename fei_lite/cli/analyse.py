"""Run an analysis on simulated events, from the Btag to a workspace for fei-lite fit.

ANALYSIS is a shipped one (hta: B+ -> K+ nu nubar with the hadronic tag) or a folder with a recipe.toml. INPUT are
event files of fei-lite simulate (signal with the recipe's decay file, charged, mixed, ccbar, uubar, ddbar, ssbar),
candidates of an earlier run, or folders of fei-lite produce. OUTPUT gets the candidates of each file (a second run
goes on from there), ntuple.parquet, cutflow.json and .txt, histograms.json, workspace.json, the classifiers, figures,
and what the analysis itself adds. Example:

    fei-lite analyse hta signal.root charged.root mixed.root ccbar.root -o hta
    fei-lite fit hta/workspace.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fei_lite.cli.options import add_event_inputs, event_inputs_of, files_read
from fei_lite.cli.workers import add_workers, workers_of
from fei_lite.provenance import RECORD

if TYPE_CHECKING:
    from fei_lite.analyses.analysis import Result
    from fei_lite.analyses.folders import Analysis
    from fei_lite.analyses.output import Published

#: Files of the results.
_RESULTS = ("cutflow.json", "histograms.json", "density.json", "cutflow.txt", "ntuple.parquet", "workspace.json",
            RECORD, "candidates.parquet", "values.parquet")

HELP = "run an analysis from the Btag to a workspace"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite analyse``."""
    parser.add_argument("analysis", metavar="ANALYSIS", help="a shipped analysis, or the folder of one")
    add_event_inputs(parser, others="; candidates (.parquet) and folders of productions")
    parser.add_argument("--samples", type=Path, default=None, metavar="FILE",
                        help="TOML file that says what was simulated into files that do not say it (see "
                             "docs/inputs.md)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--luminosity", type=float, default=None, metavar="FB",
                        help="integrated luminosity to scale to in 1/fb (default: the recipe's)")
    parser.add_argument("--classifier", type=Path, default=None, metavar="FOLDER",
                        help="trained classifiers of an earlier run (default: train on the input)")
    parser.add_argument("--models", default=None, help="model set of the tagger (default: the recipe's)")
    parser.add_argument("--set", dest="channel_set", default=None,
                        help="channel set of the tagger (default: that of the models)")
    parser.add_argument("--recipe", type=Path, default=None, metavar="FILE",
                        help="in place of the folder's recipe.toml")
    parser.add_argument("--systematics", type=Path, default=None, metavar="FILE",
                        help="in place of the folder's systematics.toml")
    parser.add_argument("--compare", type=Path, default=None, metavar="WORKSPACE",
                        help="published workspace whose templates are shown beside ours")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    parser.add_argument("--candidates-only", action="store_true",
                        help="stop at the candidates, merged into candidates.parquet")
    add_workers(parser)
    parser.add_argument("--force", action="store_true", help="overwrite the results (candidates are kept)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite analyse``."""
    from fei_lite.analyses.analysis import analyse
    from fei_lite.analyses.candidates.files import Clock, Setup, candidate_files, merge_candidates, read_candidates
    from fei_lite.analyses.candidates.ntuple import is_ntuple
    from fei_lite.analyses.folders import load_analysis
    from fei_lite.analyses.origin import made_from
    from fei_lite.analyses.output import read_classifiers, write_results
    from fei_lite.outputs import check_free, make_folder, refuse_inputs
    from fei_lite.statistics.from_templates import workspace_of
    from fei_lite.statistics.workspaces import published_templates

    analysis = load_analysis(arguments.analysis, recipe=arguments.recipe, systematics=arguments.systematics)
    read = [*files_read(arguments), arguments.recipe, arguments.systematics, arguments.compare, arguments.samples]
    arguments.inputs = _inputs(arguments, analysis)
    for name in (*_RESULTS, *(f"candidates/{path.stem}.parquet" for path in arguments.inputs if not is_ntuple(path))):
        refuse_inputs(arguments.output / name, [*arguments.inputs, *read])
    for name in ("candidates.parquet",) if arguments.candidates_only else _RESULTS[:-2]:
        check_free(arguments.output / name, force=arguments.force)  # now, not after hours of work
    setup = Setup(analysis.reference, arguments.recipe, arguments.models, arguments.channel_set)
    clock, folder = Clock(), arguments.output
    with workers_of(arguments) as workers, _Bars(quiet=arguments.quiet) as bars:
        files = candidate_files(arguments.inputs, folder / "candidates", setup, workers=workers, report=bars,
                                clock=clock)
    if clock.tagging:
        print(f"tag {clock.tagging:.1f} s, analysis after it {clock.analysis:.1f} s", file=sys.stderr)
    if arguments.candidates_only:
        merged = merge_candidates(files, make_folder(folder) / "candidates.parquet", analysis, force=arguments.force)
        print(f"{len(merged)} candidates of {len(merged.sources)} files in {folder / 'candidates.parquet'}",
              file=sys.stderr)
        return 0
    given = None if arguments.classifier is None else read_classifiers(arguments.classifier, analysis)
    result = analyse(read_candidates(files, analysis), analysis, luminosity=arguments.luminosity, classifiers=given)
    published = None if arguments.compare is None else published_templates(
        arguments.compare, {region.name: len(region.edges) - 1 for region in result.regions})
    said = made_from(analysis, files, recipe=arguments.recipe, systematics=arguments.systematics)
    more = {} if analysis.recipe.fit == "unbinned" else {"workspace.json": workspace_of(
        {region.name: region.templates for region in result.regions}, statistics=analysis.recipe.statistics)}
    print(write_results(result, folder, trained=given is None, published=published, said=said, more=more,
                        force=arguments.force), end="")
    if not arguments.no_figures:
        _draw(result, folder / "plots", published)
    for line in _closing(result):
        print(line, file=sys.stderr)
    return 0


def _inputs(arguments: argparse.Namespace, analysis: Analysis) -> list[Any]:
    """The files of the inputs, each with how it is read and, if that is given, what was simulated into it."""
    from fei_lite.analyses.candidates.simulated import load_simulated, with_simulated
    from fei_lite.analyses.production.driver import with_productions

    found = with_productions(event_inputs_of(arguments, arguments.inputs, listed=True), analysis)
    if arguments.samples is None:
        return found
    return with_simulated(found, load_simulated(arguments.samples), arguments.samples)


def _closing(result: Result) -> list[str]:
    """What is missing from the result."""
    from fei_lite.analyses.shortage import empty_bins, empty_templates

    lines = [*empty_bins(result), *empty_templates(result)]
    if result.missing:
        lines.append(f"no events of {', '.join(result.missing)}: the templates lack them")
    return lines


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
        from tqdm.auto import tqdm

        if file != self.file:
            self.__exit__()
            self.file, self.bar = file, tqdm(unit="event", desc=file, total=total, file=sys.stderr,
                                             disable=self.quiet)
        assert self.bar is not None
        self.bar.update(done - self.bar.n)


def _draw(result: Result, folder: Path, published: Published | None) -> None:
    """Templates of each region, inputs of each classifier, and the analysis's own figures."""
    import numpy as np

    from fei_lite.outputs import make_folder
    from fei_lite.plots import analysis as plots

    recipe, physics = result.recipe, result.analysis.physics
    make_folder(folder)
    titles = {line.name: line.title for line in recipe.sample}
    for region in result.regions:
        found = (published or {}).get(region.name)
        plots.plot_region(region, folder / f"{region.name}.png", luminosity=result.expectation.luminosity,
                          titles=titles, published=None if found is None else np.sum(list(found.values()), axis=0))
    signal = np.isin(result.sample, [line.name for line in recipe.signals])
    for line in recipe.classifier:
        plots.plot_inputs(result.columns, signal, line.features, folder / f"inputs_{line.name}.png")
    for name, panels in ({} if physics.figures is None else physics.figures(result)).items():
        plots.plot_panels(panels, folder / f"{name}.png")
