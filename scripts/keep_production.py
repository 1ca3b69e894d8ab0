"""Keep what counts of a production: candidates of each analysis in one compact file, and what was learned last.

    python scripts/keep_production.py PRODUCTION NAME [--counted PART] [--without ANALYSIS...] [--thin ANALYSIS...]

Writes trained/ANALYSIS/background/NAME.parquet (candidates of all pieces that count, and their luminosities),
trained/production/NAME.json (what each process took, with which selections) and, in place of an earlier one,
trained/production/learned.tar.xz: the latest selections for most analyses with the classifiers of that of B pairs, with
which scripts/make_production starts in another folder. NAME must be new: other seeds add up.
--thin: of candidates that fail a cut only a part is kept, by chance, with as much more weight.
--counted: only this part of the luminosity (and of all weights) counts, for a production whose selection left larger
weights than those it is added to: its part of the sum is then what it is worth.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from pathlib import Path
from typing import Any

from fei_lite.analyses.candidates.files import merge_candidates
from fei_lite.analyses.folders import find_analysis, load_analysis, with_models
from fei_lite.analyses.production.driver import production_files
from fei_lite.analyses.production.records import counted, read_manifest, records_of
from fei_lite.analyses.production.scores import classifiers_folder
from fei_lite.analyses.production.yields import learning_seconds
from fei_lite.cli import guarded
from fei_lite.production.learned import load_selection

#: What is kept of the candidates that fail a cut, where they are many; of those that fail two or more its square.
THIN = 0.05
TRAINED = Path(__file__).resolve().parents[1] / "trained"


def summary(folder: Path) -> dict[str, Any]:
    """Of each process: first and last seed, events, luminosity, seconds, pieces by selection, of those that count."""
    out: dict[str, Any] = {}
    for record in counted(records_of(folder)):
        of = out.setdefault(record["process"], {"seeds": [record["seed"], record["seed"]], "n_generated": 0,
                                                "luminosity_fb": 0.0, "cpu_seconds": 0.0, "pieces": {}})
        of["seeds"] = [min(of["seeds"][0], record["seed"]), max(of["seeds"][1], record["seed"])]
        of["n_generated"] += record["n_generated"]
        of["luminosity_fb"] += record["luminosity_fb"] or 0.0
        of["cpu_seconds"] += sum(record["seconds"].values())
        name = record["selection"]["name"] if record["selection"] else "plain"
        of["pieces"][name] = of["pieces"].get(name, 0) + 1
    return out


def learned_for(path: Path) -> tuple[int, int]:
    """For how many analyses a selection was learned, and its number."""
    return len(load_selection(path).learned_from.get("analyses", ())), int(path.stem.split("_")[1])


def main() -> int:
    """Read the command line, merge, copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("production", type=Path)
    parser.add_argument("name")
    parser.add_argument("--models", default="extended", help="model set of the tagger (default: %(default)s)")
    parser.add_argument("--without", nargs="+", default=[], metavar="ANALYSIS", help="whose candidates are not kept")
    parser.add_argument("--thin", nargs="+", default=[], metavar="ANALYSIS", help="which have many candidates")
    parser.add_argument("--counted", type=float, default=1.0, metavar="PART",
                        help="what counts of the luminosity (default: all)")
    arguments = parser.parse_args()
    if not 0.0 < arguments.counted <= 1.0:
        parser.error(f"--counted {arguments.counted:g}: expected a part, above 0 and at most 1.")
    manifest = read_manifest(arguments.production)
    for name in [name for name in manifest["analyses"] if name not in arguments.without]:
        analysis = with_models(load_analysis(find_analysis(name)), arguments.models)
        output = TRAINED / name / "background" / f"{arguments.name}.parquet"
        output.parent.mkdir(parents=True, exist_ok=True)
        inputs = merge_candidates(production_files(arguments.production, analysis), output, analysis, compact=True,
                                  thin=THIN if name in arguments.thin else 1.0, counted=arguments.counted)
        print(f"{output}: {len(inputs)} candidates, {output.stat().st_size / 1e6:.1f} MB")
    kept = TRAINED / "production"
    kept.mkdir(exist_ok=True)
    last = {kind: max((arguments.production / "selections").glob(f"{kind}_*.json"), key=learned_for)
            for kind in ("pairs", "events")}
    with tarfile.open(kept / "learned.tar.xz", "w:xz") as archive:
        for path in last.values():
            archive.add(path, f"selections/{path.name}")
            archive.add(classifiers_folder(arguments.production, last["pairs"].stem), f"classifiers/{path.stem}")
    said = {"fei_lite_version": manifest["fei_lite_version"], "settings": manifest["settings"],
            "counted_part": arguments.counted,
            "cpu_seconds_to_learn_and_decide": learning_seconds(arguments.production),
            "processes": summary(arguments.production)}
    (kept / f"{arguments.name}.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("keep_production", main))
