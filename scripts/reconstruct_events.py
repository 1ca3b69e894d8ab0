"""Reconstruct Btags with the library: the loop of an analysis script.

    python scripts/reconstruct_events.py EVENTS... [--models fei_default]
"""

from __future__ import annotations

import argparse

import fei_lite
from fei_lite.classifiers.tagger import load_tagger


def main() -> None:
    """Print the best Btag of every event that has one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="+")
    parser.add_argument("--models", default="extended")
    parser.add_argument("--min-signal-probability", type=float, default=0.01)
    arguments = parser.parse_args()
    channels, models = load_tagger(arguments.models)
    for batch in fei_lite.open(arguments.events):
        tags = fei_lite.select_tags(fei_lite.reconstruct(batch, channels, models), first_entry=batch.start)
        for event in tags.to_awkward()[:, :1]:
            for tag in event:
                if tag.SignalProbability > arguments.min_signal_probability:
                    print(f"{batch.source} entry {tag.entry}: {tag.SignalProbability:.3f} "
                          f"Mbc {tag.Mbc:.4f} deltaE {tag.deltaE:+.3f}  {tag.decayChain}")


if __name__ == "__main__":
    main()
