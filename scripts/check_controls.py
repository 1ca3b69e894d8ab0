"""Controls of an analysis, as [controls] of its recipe says them: embedding, sidebands, continuum, closure.

    python scripts/check_controls.py hta RESULTS INPUT... --embedded controls/simulation/*.parquet \
        --embedded-data controls/data/*.parquet --data SECOND -o controls

RESULTS holds the classifiers of `fei-lite analyse hta`, INPUT are candidates or productions of the simulation, --data
the same of a second simulation (other seeds, or --settings) that stands in for data; both may hold those of variants
(`fei-lite produce hta hta:pion ...`, `scripts/produce_candidates.py hta:pion pi_k0 ...`). What there are no candidates
for is left out, and said. Writes NAME.txt, NAME.json and plots/NAME.png of every control into OUTPUT.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.ntuple import is_ntuple, read_ntuple
from fei_lite.analyses.classifier import FoldClassifier
from fei_lite.analyses.controls.closure import closure_data, closure_templates
from fei_lite.analyses.controls.continuum import continuum_control
from fei_lite.analyses.controls.efficiency import embedding_efficiency
from fei_lite.analyses.controls.judged import Judged, judged
from fei_lite.analyses.controls.shapes import compare_shapes, shown
from fei_lite.analyses.drawings import Panel
from fei_lite.analyses.folders import Analysis, load_analysis
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.production.driver import production_files
from fei_lite.cli import guarded
from fei_lite.errors import FeiLiteError
from fei_lite.outputs import atomic_output
from fei_lite.plots.analysis import plot_panels
from fei_lite.statistics.closure import fit_closure


def candidates_of(paths: Sequence[Path], analysis: Analysis, control: str | None = None) -> Inputs | None:
    """Those of the files (and productions) that are candidates of the analysis, or of one of its controls.

    Files of earlier versions call a control as they call its decay file.
    """
    found = []
    names = {None} if control is None else {control, *(
        Path(name).stem for name in analysis.recipe.controls.embedding[control].decay_files)}
    for path in paths:
        for file in (production_files(path, analysis) if path.is_dir() and _made_for(path, analysis) else [path]):
            if not file.is_file() or not is_ntuple(file):
                continue
            _, said = read_ntuple(file)
            of = {source["source"]["options"].get("control") for source in said["sources"]}
            if said.get("recipe") == analysis.identity and of <= names:
                found.append(file)
    return read_candidates(found, analysis) if found else None


def _background(given: Inputs) -> bool:
    """Whether there are candidates of any background."""
    return any(source.process != "signal" for source in given.sources)


def _made_for(folder: Path, analysis: Analysis) -> bool:
    """Whether a production has candidates of an analysis (or of one with the same ones)."""
    return (folder / "manifest.json").is_file() and (folder / analysis.name).is_dir()


class Output:
    """The folder of the results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plots").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, lines: Sequence[str], content: Any, panels: Sequence[Panel]) -> None:
        """Text, numbers and picture of one control."""
        for suffix, text in (("txt", "\n".join(lines)), ("json", json.dumps(content, indent=1))):
            with atomic_output(self.folder / f"{name}.{suffix}", force=True) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
        if panels:
            plot_panels(panels, self.folder / "plots" / f"{name}.png")
        print(f"{name}\n" + "\n".join(lines) + "\n", flush=True)


class Controls:
    """The samples of a check, and what is made of them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.given, self.analysis = arguments, load_analysis(arguments.analysis)
        self.classifiers: list[FoldClassifier] = read_classifiers(arguments.results / "classifier", self.analysis)
        self.output, self.missing = Output(arguments.output), 0

    def variant(self, name: str | None) -> Analysis:
        """The analysis, or a variant of it."""
        return self.analysis if name is None else load_analysis(f"{self.analysis.folder}:{name}")

    def samples(self, analysis: Analysis) -> tuple[Inputs | None, Inputs | None]:
        """Candidates of simulation, and of what stands in for data."""
        return candidates_of(self.given.inputs, analysis), candidates_of(self.given.data, analysis)

    def absent(self, name: str, what: str) -> None:
        """Say what a control would need."""
        self.missing += 1
        print(f"{name}: left out, no candidates of {what}.\n", flush=True)

    def embedding(self) -> None:
        """Efficiencies of embedded events and of signal."""
        signal, _ = self.samples(self.analysis)
        for name, line in self.analysis.recipe.controls.embedding.items():
            simulation = candidates_of(self.given.embedded, self.analysis, name)
            if simulation is None or signal is None:
                self.absent(f"embedding_{name}", "embedded simulation (--embedded)" if signal else "signal (INPUT)")
                continue
            found = embedding_efficiency(name, line, self.analysis, self.classifiers, simulation=simulation,
                                         signal=signal,
                                         data=candidates_of(self.given.embedded_data, self.analysis, name))
            self.output.write(f"embedding_{name}", found.lines(), found.to_json(), found.panels())

    def sidebands(self) -> None:
        """Sidebands in data and simulation, and beside the signal region where they have the same candidates."""
        for name, line in self.analysis.recipe.controls.sidebands.items():
            variant = self.variant(line.variant)
            simulation, data = self.samples(variant)
            if simulation is None:
                self.absent(f"sideband_{name}", f"'{variant.name}' (INPUT)")
                continue
            here = judged(simulation, variant, self.classifiers).where(line.where)
            pairs: list[tuple[str, Judged, str, Judged, set[str] | None]] = []
            if data is not None:
                other = judged(data, variant, self.classifiers).where(line.where)
                pairs.append(("in place of data", other, "simulation", here, {s.process for s in data.sources}))
            if variant.identity == self.analysis.identity:
                full = judged(simulation, self.analysis, self.classifiers)
                pairs.append(("sideband", here, "signal region", full.inside_only(), None))
            if not pairs:
                self.absent(f"sideband_{name}", f"'{variant.name}' in place of data (--data)")
                continue
            shapes = [compare_shapes(f"{a} and {b}, background", (a, one), (b, two), shown(line, variant.recipe),
                                     variant.recipe, processes=of) for a, one, b, two, of in pairs]
            for one in shapes:
                if one.empty:
                    self.absent(f"sideband_{name}", f"'{variant.name}' background: {' and '.join(one.empty)}")
            shapes = [one for one in shapes if not one.empty]
            if not shapes:
                continue
            self.output.write(f"sideband_{name}", [text for s in shapes for text in s.lines()],
                              {f"{s.names[0]} and {s.names[1]}": s.to_json() for s in shapes}, shapes[0].panels())

    def continuum(self) -> None:
        """Continuum weighted to that in place of data."""
        line = self.analysis.recipe.controls.continuum
        if line is None:
            return
        simulation, data = self.samples(self.analysis)
        if simulation is None or data is None:
            self.absent("continuum", "continuum " + ("in place of data (--data)" if simulation else "(INPUT)"))
            return
        found = continuum_control(line, self.analysis, data=data, simulation=simulation)
        self.output.write("continuum", found.lines(), found.to_json(), found.panels())

    def closure(self) -> None:
        """Known decays measured as the signal is."""
        for name, line in self.analysis.recipe.controls.closure.items():
            variant = self.variant(line.variant)
            simulation, data = self.samples(variant)
            lacking = [where for given, where in ((simulation, "(INPUT)"), (data, "in place of data (--data)"))
                       if given is None or not _background(given)]
            if simulation is None or data is None or lacking:
                self.absent(f"closure_{name}", f"'{variant.name}' background {' and '.join(lacking)}")
                continue
            result = closure_templates(line, variant, self.classifiers, simulation)
            observed = closure_data(line, variant, self.classifiers, data)
            decay = next(iter(variant.recipe.signal_decays.values()))
            found = fit_closure({r.name: r.templates for r in result.regions}, observed.counts,
                                expected=line.branching_fraction / decay.branching_fraction,
                                unit=decay.branching_fraction, statistics=variant.recipe.statistics,
                                rng=np.random.default_rng(self.given.seed))
            self.output.write(f"closure_{name}", found.lines(), found.to_json(), ())


def main() -> int:
    """Parse the command line; every control by itself, so that one without enough candidates hides no other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis", help="a shipped analysis, or the folder of one")
    parser.add_argument("results", type=Path, help="folder of fei-lite analyse, with its classifiers")
    parser.add_argument("inputs", nargs="+", type=Path, help="candidates and productions of simulation")
    parser.add_argument("--data", nargs="+", type=Path, default=[], help="the same, of what stands in for data")
    parser.add_argument("--embedded", nargs="+", type=Path, default=[], help="of scripts/produce_controls.py")
    parser.add_argument("--embedded-data", nargs="+", type=Path, default=[], help="the same, in place of data")
    parser.add_argument("--only", nargs="+", choices=("embedding", "sidebands", "continuum", "closure"),
                        default=("embedding", "sidebands", "continuum", "closure"))
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap samples (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    controls, failed = Controls(parser.parse_args()), 0
    for kind in controls.given.only:
        try:
            getattr(controls, kind)()
        except FeiLiteError as error:
            failed += 1
            print(f"{kind}: {error}\n", flush=True)
    return 1 if failed or controls.missing else 0


if __name__ == "__main__":
    raise SystemExit(guarded("check_controls", main))
