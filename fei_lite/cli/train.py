"""Train the classifiers of a channel set on simulated events, stage by stage.

An interrupted training goes on where it stopped when the same command is
given again. Exit code 1 if no channel of the B got a classifier: the events are
too few (these are, for the default set). Example:

    fei-lite simulate charged -n 2000 --seed 1 -o charged.root
    fei-lite simulate mixed -n 2000 --seed 2 -o mixed.root
    fei-lite train charged.root mixed.root --name mine -o mine --min-entries 200
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fei_lite.cli.options import add_event_inputs, day, event_inputs_of, natural
from fei_lite.cli.workers import add_workers, wants_journal, workers_of

if TYPE_CHECKING:
    from fei_lite.classifiers.model_set import ModelSet
    from fei_lite.training.driver import Settings

HELP = "train the classifiers of a channel set"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite train``."""
    add_event_inputs(parser, "samples", metavar="EVENTS")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the model set; resumed if begun")
    parser.add_argument("--name", help="name of the model set (default: the folder's)")
    parser.add_argument("--set", dest="channel_set", default=None,
                        help="channel set (default: hadronic; with --renew the one that the set names)")
    parser.add_argument("--seed", type=natural, default=1, help="seed (default: %(default)s)")
    parser.add_argument("--max-entries", type=int, default=None,
                        help="candidates kept of each class of a channel (default: 150000)")
    parser.add_argument("--min-entries", type=int, default=500,
                        help="fewer candidates of a class: no model (default: %(default)s)")
    parser.add_argument("--search", action="store_true",
                        help="search the classifiers' settings for each stage on held-out events, with no more trees "
                             "than do as well there as on the training events (default: the FEI's settings)")
    parser.add_argument("--no-tag-classifier", action="store_true",
                        help="no tag classifier, which judges all tag candidates of an event against each other: "
                             "the channels' own probabilities choose, as in the FEI")
    parser.add_argument("--last-stage-events", nargs="+", metavar="EVENTS", default=[],
                        help="more events with truth for the channels of the last stage, the B's, whose candidates are "
                             "rare")
    parser.add_argument("--tag-classifier-events", nargs="+", metavar="EVENTS", default=[],
                        help="more events with truth for the tag classifier, which otherwise has the fifth of the "
                             "samples that no channel is fitted on")
    parser.add_argument("--renew", metavar="SET", default=None,
                        help="keep the channels' classifiers of this set, and fit its tag classifier anew, on all of "
                             "EVENTS, which no channel may know")
    parser.add_argument("--first-look", metavar="SET", default=None,
                        help="keep all classifiers of this set, and add small forests that drop most combinations "
                             "before any fit (fei-lite reconstruct --speed), fitted on EVENTS, which no channel may "
                             "know")
    parser.add_argument("--speed", type=natural, default=None, metavar="LEVEL",
                        help="with --first-look: the level that the set is used at unless told another (default: 0, "
                             "none)")
    parser.add_argument("--same-luminosity", action="store_true",
                        help="weight events as if every process had the luminosity of the first; files of one process "
                             "add up")
    parser.add_argument("--max-events", type=int, default=None, help="use so many events only, evenly from all files")
    parser.add_argument("--early-fraction", type=float, default=None, metavar="F",
                        help="fraction of the events that the stages before the B's use (default: 1)")
    parser.add_argument("--batch-size", type=int, default=2000, help="events of a batch (default: %(default)s)")
    add_workers(parser, journal="OUTPUT.journal")
    parser.add_argument("--date", type=day, default=None, help="date for the manifest, ISO 8601 (default: today)")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="of the summary on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite train``."""
    import datetime
    import json
    from dataclasses import replace

    from tqdm.auto import tqdm

    from fei_lite.channels import load_channel_set
    from fei_lite.errors import FeiLiteError
    from fei_lite.training.driver import Settings, train
    from fei_lite.training.outcome import missing_b_channels

    if arguments.speed is not None and arguments.first_look is None:
        raise FeiLiteError("--speed is the level of a first look: give it with --first-look SET.")
    bars: dict[str, tqdm] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = tqdm(total=total, desc=what, file=sys.stderr, disable=arguments.quiet)
        bars[what].update(done - bars[what].n)
        if done >= total:
            bars[what].close()

    arguments.samples = event_inputs_of(arguments, arguments.samples, listed=True)
    for name in ("last_stage_events", "tag_classifier_events"):
        setattr(arguments, name, event_inputs_of(arguments, getattr(arguments, name)))
    date = arguments.date or datetime.date.today().isoformat()
    given = {name: value for name in ("max_entries", "early_fraction")
             if (value := getattr(arguments, name)) is not None}  # otherwise the defaults of Settings
    settings = Settings(
        name=arguments.name or arguments.output.resolve().name, channel_set=arguments.channel_set or "hadronic",
        seed=arguments.seed, min_entries=arguments.min_entries, batch_size=arguments.batch_size,
        journal=wants_journal(arguments), max_events=arguments.max_events, search=arguments.search,
        tag_classifier=not arguments.no_tag_classifier, same_luminosity=arguments.same_luminosity, **given)
    with workers_of(arguments) as workers:
        settings = replace(settings, workers=workers)
        if arguments.renew is not None or arguments.first_look is not None:
            models = _renew(arguments, settings, date, report)
        else:
            models = train(arguments.samples, arguments.output, last_stage_samples=arguments.last_stage_events,
                           tag_classifier_samples=arguments.tag_classifier_events, date=date, settings=settings,
                           report=report)
    missing = missing_b_channels(models, load_channel_set(settings.channel_set))
    if arguments.format == "json":
        print(json.dumps(models.manifest, indent=1))
    else:
        _print_summary(models)
    if missing:
        print(f"fei-lite train: {missing}", file=sys.stderr)
        return 1
    return 0


def _print_summary(models: ModelSet) -> None:
    """The channels, trained or not, and what was found of the settings."""
    print(f"{'channel':<48} {'signal':>8} {'background':>10} {'trees':>5} {'AUC':>7} {'AUC held out':>18}")
    for identifier, entry in models.manifest["channels"].items():
        training, held = entry["training"], entry["validation"]
        held_text = (f"{held['auc']:.4f} +- {held['auc_uncertainty']:.4f}"
                     if held and held["auc"] is not None and held["auc_uncertainty"] is not None else "-")
        print(f"{identifier:<48} {training['n_signal']:8d} {training['n_background']:10d} {entry['n_trees']:5d} "
              f"{training['auc']:7.4f} {held_text:>18}")
    for identifier, reason in models.untrained.items():
        print(f"{identifier:<48} no model: {reason}")
    for key, what in (("no_tag_classifier", "tag classifier"),
                      ("no_tag_classifier_given_bb", "tag classifier in B Bbar events")):
        if key in models.manifest:
            print(f"{what:<48} no model: {models.manifest[key]}")
    for i, level in enumerate(models.levels):
        used = ", used unless told another" if models.speed == i + 1 else ""
        print(f"speed {i + 1}: a first look above {level['least']:.2e} loses {100.0 * level['lost']:g} % of the right "
              f"best tags{used}")
    for stage, found in models.manifest.get("search", {}).items():
        print(f"stage {stage}: {found['chosen']}")


def _renew(arguments: argparse.Namespace, settings: Settings, date: str,
           report: Callable[[str, int, int], None]) -> ModelSet:
    """The set of ``--renew`` with a new tag classifier, or that of ``--first-look`` with a first look."""
    from dataclasses import replace

    from fei_lite.classifiers.model_set import load_model_set
    from fei_lite.errors import FeiLiteError
    from fei_lite.training.renewal import add_first_look, renew_tag_classifier

    option, old = ("--renew", arguments.renew)
    if old is None:
        option, old = "--first-look", arguments.first_look
    elif arguments.first_look is not None:
        raise FeiLiteError("--renew and --first-look: one after the other. A new tag classifier sees the candidates "
                           "of the level that the set is used at.")
    for given, other in ((arguments.last_stage_events, "--last-stage-events"),
                          (arguments.tag_classifier_events, "--tag-classifier-events"),
                          (arguments.no_tag_classifier, "--no-tag-classifier"),
                          (arguments.search, "--search"), (arguments.max_entries is not None, "--max-entries"),
                          (arguments.early_fraction is not None, "--early-fraction")):
        if given:
            raise FeiLiteError(f"{other} is for a training of the channels, and {option} keeps those of "
                               f"{old}: leave one of the two out.")
    if arguments.channel_set is None:
        named = str(load_model_set(old).manifest["channel_set"]["name"])
        settings = replace(settings, channel_set=named)
    words = ["fei-lite", "train", *(path.name for path in arguments.samples), option, Path(old).name,
             "--name", settings.name, "--seed", settings.seed, "--min-entries", settings.min_entries]
    words += ["--max-events", settings.max_events] if settings.max_events is not None else []
    words += ["--set", Path(settings.channel_set).name] if arguments.channel_set is not None else []
    words += ["--speed", arguments.speed] if arguments.speed is not None else []
    words += ["--same-luminosity"] * settings.same_luminosity
    command = shlex.join(str(word) for word in [*words, "-o", settings.name])
    make = (renew_tag_classifier if arguments.renew is not None
            else partial(add_first_look, speed=arguments.speed or 0))
    return make(old, arguments.samples, arguments.output, settings=settings, date=date, command=command, report=report)
