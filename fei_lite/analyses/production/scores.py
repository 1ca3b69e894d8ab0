"""What a production knows of its analyses' classifiers: trained on its own pieces and on signal that it was given.

They say which candidates come near the bins of a fit, so that what is learned promises these. A weak one costs time, it
biases nothing: the analyses train their own on all that was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fei_lite.analyses.analysis import trained_classifiers
from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.ntuple import Columns, read_ntuple
from fei_lite.analyses.classification import scores_of
from fei_lite.analyses.classifier import FoldClassifier, save_classifier
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.output import read_classifiers
from fei_lite.analyses.production.records import selection_number
from fei_lite.errors import AnalysisError

Classifiers = Sequence[FoldClassifier]


def classifiers_folder(folder: Path, selection: str) -> Path:
    """Where the classifiers are that a learned selection knew, a folder for each analysis."""
    return folder / "classifiers" / selection


def check_signal(files: Sequence[Path], analyses: Sequence[Analysis]) -> None:
    """Raise :class:`AnalysisError` unless each file holds candidates of one of the analyses."""
    for path in files:
        if not any(_of(path, analysis) for analysis in analyses):
            raise AnalysisError(f"{path}: candidates of none of {', '.join(a.name for a in analyses)} as they are now. "
                                "Give those that fei-lite analyse --candidates-only makes of simulated signal.")


def train_classifiers(folder: Path, selection: str, analyses: Sequence[Analysis], records: Sequence[dict[str, Any]],
                      signal: Sequence[Path]) -> None:
    """Train the classifiers of every analysis of which there is signal, on all pieces so far, and write them.

    ``signal`` may be candidates of background, too, of earlier productions: so the first classifiers know much.
    """
    for analysis in analyses:
        given = files_of(signal, analysis)
        if not given or not analysis.recipe.classifier:
            continue
        pieces = [candidates_of(folder, analysis, record) for record in records if analysis.name in record["analyses"]]
        for line, used in zip(analysis.recipe.classifier,
                              trained_classifiers(read_candidates([*given, *pieces], analysis), analysis), strict=True):
            where = classifiers_folder(folder, selection) / analysis.name
            save_classifier(used, where if len(analysis.recipe.classifier) == 1 else where / line.name, extra={},
                            force=True)


def latest_folder(folder: Path, kind: str) -> str | None:
    """The name of the latest selection of a kind that has classifiers; None if there is none."""
    numbers = [int(path.name.split("_")[1]) for path in (folder / "classifiers").glob(f"{kind}_*")]
    return f"{kind}_{max(numbers)}" if numbers else None


def known_classifiers(folder: Path, selection: str | None, analysis: Analysis) -> Classifiers:
    """The classifiers of an analysis that a selection knew; none if there are none with a forest."""
    where = None if selection is None else classifiers_folder(folder, selection) / analysis.name
    if where is None or not where.exists():
        return ()
    found = read_classifiers(where, analysis)
    return found if any(used.folds for used in found) else ()


def latest_classifiers(records: Sequence[tuple[Path, dict[str, Any]]], analysis: Analysis) -> Classifiers:
    """The latest classifiers of an analysis that a piece (with its folder) has used; none if there are none."""
    for folder, record in sorted(records, key=lambda one: -selection_number(one[1])):
        if record["analyses"].get(analysis.name, {}).get("classified"):
            return known_classifiers(folder, record["selection"]["name"], analysis)
    return ()


def candidates_of(folder: Path, analysis: Analysis, record: dict[str, Any]) -> Path:
    """The candidates of a piece."""
    return folder / analysis.name / f"{record['process']}_{record['seed']}.parquet"


def with_scores(inputs: Inputs, analysis: Analysis, classifiers: Classifiers) -> Columns:
    """The columns of candidates, with the scores of the classifiers if there are any."""
    columns = dict(inputs.columns)
    if classifiers:
        columns["decay"] = inputs.decay()
        for line, used in zip(analysis.recipe.classifier, classifiers, strict=True):
            columns |= scores_of(line, used, columns, inputs.sources)
    return columns


def files_of(files: Sequence[Path], analysis: Analysis) -> list[Path]:
    """Those of some files that hold candidates of an analysis, as it is now."""
    return [path for path in files if _of(path, analysis)]


def _of(path: Path, analysis: Analysis) -> bool:
    """Whether candidates are of an analysis, as it is now."""
    _, metadata = read_ntuple(path)
    return metadata.get("recipe") == analysis.identity
