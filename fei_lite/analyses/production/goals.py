"""How much of each process a production is to make, and which process lacks most of it.

Where the candidates say when it is enough, those that say it must not count: whoever stops as soon as the weights so
far are small and even stops too often before the large ones came, and finds too little (3 to 7 % of 40 unweighted
events' worth, more of fewer). So where an effective luminosity is wanted, every fifth piece is a *guide*, which decides
and does no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fei_lite.analyses.production.learning import kind_of
from fei_lite.analyses.production.records import counted, late, selection_number
from fei_lite.generator.processes import events_in

Records = Sequence[dict[str, Any]]

#: Candidates of an analysis without which its effective luminosity is not known yet.
_KNOWN = 5
#: One of so many pieces is a guide.
GUIDES = 5


@dataclass(frozen=True)
class Wanted:
    """How much of each process: an integrated luminosity (1/fb), or generated events (signal); seconds to spend.

    ``effective`` (1/fb) is the effective luminosity of B pairs and of each process of continuum to be reached, on
    (geometric) average over the analyses.
    """

    luminosity: float | None = None
    events: int | None = None
    seconds: float | None = None
    effective: tuple[float, float] | None = None

    @property
    def nothing(self) -> bool:
        """Whether no end was named."""
        return self.luminosity is None and self.events is None and self.seconds is None and self.effective is None


def fraction_done(process: str, records: Records, planned: int, wanted: Wanted) -> float | None:
    """Fraction of what is wanted of a process that is there (``planned`` events included), or None: that is enough.

    Where only the time is bounded it is the luminosity, 1/fb; where an effective luminosity is wanted the events
    that are planned count as those that are there.
    """
    kind = kind_of(process)
    done = sum(record["n_generated"] for record in records if record["process"] == process)
    if kind != "signal" and wanted.effective is not None:
        goal = wanted.effective[0 if kind == "pairs" else 1]
        reached = effective_of(process, records) * (1.0 + planned / max(done, 1)) / goal
        return reached if reached < 1.0 else None
    if kind == "signal":
        goal_events, scale = wanted.events, 1
    else:
        goal_events = None if wanted.luminosity is None else events_in(process, wanted.luminosity)
        scale = events_in(process, 1.0)
    if goal_events is not None and done + planned >= goal_events:
        return None
    return float((done + planned) / (goal_events or scale))


def most_lacking(processes: Sequence[str], records: Records, planned: Mapping[str, int], wanted: Wanted) -> str | None:
    """The process that lacks most of what is wanted (of equal ones that with least time spent); None if none does."""
    best: tuple[float, float, str] | None = None
    for process in processes:
        fraction = fraction_done(process, records, planned.get(process, 0), wanted)
        if fraction is None:
            continue
        spent = sum(sum(record["seconds"].values()) for record in records if record["process"] == process)
        if best is None or (fraction, spent + planned.get(process, 0)) < best[:2]:
            best = fraction, spent + planned.get(process, 0), process
    return None if best is None else best[2]


def effective_of(process: str, records: Records) -> float:
    """Effective luminosity (1/fb) of selected candidates of a process, the geometric mean over the analyses.

    The luminosity is that of the pieces that count; the candidates, and how uneven their weights are, those of the
    guides (of plain pieces, whose weights are all equal, their own). Where few are selected the generated luminosity
    stands for it: what is rare has not been found yet, whatever the weights of all candidates.
    """
    own = [record for record in records if record["process"] == process]
    guides = late([record for record in own if record.get("guide") or record["selection"] is None])
    names = dict.fromkeys(name for record in guides for name in record["analyses"])
    found = []
    for name in names:
        parts = [record["analyses"][name] for record in guides if name in record["analyses"]]
        parts = [part for part in parts if part.get("classified")] or parts
        number, weight, variance = (sum(part[key] for part in parts) for key in ("selected", "sum_of_weights",
                                                                                 "variance"))
        found.append(weight / variance if number >= _KNOWN and variance > 0.0 else 1.0)
    luminosity = sum(record["luminosity_fb"] for record in counted(own))
    return luminosity * float(np.exp(np.mean(np.log(found)))) if found else 0.0


def next_is_guide(process: str, records: Records, planned: int, wanted: Wanted) -> bool:
    """Whether the next piece of a process only decides, ``planned`` pieces of it being on their way.

    Where an effective luminosity is wanted it is the first one that is made with something learned, and every fifth
    after it.
    """
    done = sum(record["process"] == process and selection_number(record) > 0 for record in records)
    return wanted.effective is not None and (done + planned) % GUIDES == 0
