"""Events from simulation: generator, detector, event file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fei_lite.detector.response import Response, default_response
from fei_lite.errors import SimulationError
from fei_lite.events.batch import EventBatch
from fei_lite.generator.processes import check_seed, find_process
from fei_lite.generator.settings import DEFAULT_SETTINGS, load_settings
from fei_lite.production.selections import Selector, find_selection, selected

if TYPE_CHECKING:
    from fei_lite.generator.decay_files.signal import SignalDecay
    from fei_lite.generator.enrichment import Enrichment
    from fei_lite.generator.generate import GeneratedBatch

#: Events simulated at a time. Fixed: the random numbers of the detector are drawn batch by batch.
BATCH_SIZE = 2000

#: A decay file: its path, the name of a shipped one, or one that was read.
DecayFile: TypeAlias = "str | os.PathLike[str] | SignalDecay"

#: Called with the number of generated events done and wanted.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Simulated:
    """What was written: events generated, events kept, and the sum of their weights."""

    n_generated: int
    n_events: int
    sum_of_weights: float


def simulate(
    process: str, n: int, *, seed: int, dec_file: DecayFile | None = None, background: bool = True,
    keep_uncovered: float | None = None, channel_set: str | os.PathLike[str] = "hadronic", enrich: str | None = None,
    selection: str | None = None, reuse: int = 1, settings: str = DEFAULT_SETTINGS, response: Response | None = None,
    report: Report | None = None,
) -> Iterator[EventBatch]:
    """Simulated events in batches of at most 2000, reproducible from ``seed``.

    ``process`` is one of ``charged``, ``mixed``, ``uubar``, ``ddbar``,
    ``ssbar``, ``ccbar``, ``taupair`` or ``signal`` (which needs ``dec_file``).
    ``background=False`` leaves out what the beams add. With ``keep_uncovered``
    F in (0, 1], events in which a B decays inside a simple acceptance through a
    chain of the channel set are kept with weight 1, and the other ones with
    probability F and weight 1/F, before the detector: the weighted sample is
    still generic. Continuum has no B: all its events are kept. A ``selection`` of
    :mod:`fei_lite.production.selections` keeps events likewise for an analysis;
    with ``reuse`` the n decays of each B make n reuse combinations. ``settings``
    names Pythia's settings (:mod:`fei_lite.generator.settings`), or a file of them.

    ``enrich`` (charged and mixed only) names an enrichment
    (:mod:`fei_lite.generator.enrichment`): decays that lead into rare channels
    are frequent, and weights keep the sample generic. With ``keep_uncovered``
    the weights multiply; uncovered events are then kept with probability F
    times their weight, and those with a decay of a D, D_s, Lambda_c ... by a
    rare channel more often.

    Raises :class:`SimulationError`.
    """
    from fei_lite.detector.simulate import simulate_detector
    from fei_lite.generator.enrichment import load_enrichment
    from fei_lite.generator.generate import generate

    if n < 1:
        raise SimulationError(f"number of events: got {n}, expected 1 or more.")
    check_seed(seed)
    keep = None
    enrichment = None if enrich is None else load_enrichment(enrich)
    if keep_uncovered is not None:
        if not 0.0 < keep_uncovered <= 1.0:
            raise SimulationError(f"share of uncovered events to keep: got {keep_uncovered}, expected above 0 "
                                  "and up to 1.")
        if find_process(process).kind == "bb":
            keep = stratified(keep_uncovered, channel_set, enrichment)
    selector = _selector(selection, reuse, seed=seed, alone=keep_uncovered is None and enrich is None)
    response = response or default_response()
    rng = np.random.default_rng([seed, 10])

    def generated() -> Iterator[GeneratedBatch]:
        done = 0
        for batch in generate(process, n, seed=seed, dec_file=_signal(dec_file, process), batch_size=BATCH_SIZE,
                              keep=keep, enrichment=enrichment, settings=load_settings(settings)):
            yield batch
            done += batch.n_generated
            if report is not None:
                report(done, n)

    for batch in generated() if selector is None else selected(generated(), selector, BATCH_SIZE):
        if batch.n_events:
            yield simulate_detector(batch, response, rng=rng, background=background)


def _signal(dec_file: DecayFile | None, process: str) -> SignalDecay | None:
    """The decay file, read for a process."""
    from fei_lite.generator.decay_file import read_signal_decay

    if not isinstance(dec_file, str | os.PathLike):
        return dec_file
    return read_signal_decay(Path(dec_file), process=process)


def _selector(name: str | None, reuse: int, *, seed: int, alone: bool) -> Selector | None:
    """The generator-level selection of this name."""
    if name is None and reuse == 1:
        return None
    if name is None or not alone:
        raise SimulationError("reuse goes with a selection (--select), and a selection with neither --keep-uncovered "
                              "nor --enrich.")
    if reuse < 1:
        raise SimulationError(f"reuse: got {reuse}, expected 1 or more.")
    return Selector(find_selection(name), np.random.default_rng([seed, 11]), reuse)


def stratified(share: float, channel_set: str | os.PathLike[str],
               enrichment: Enrichment | None) -> Callable[..., tuple[NDArray, NDArray]]:
    """The generator's ``keep``: covered events with weight 1, a share of the others with weight 1 / share.

    Among events that have weights of their own, the others are kept with probability share x weight. With an
    enrichment, their shares are at least those that it has for their decays.
    """
    from fei_lite.channels import load_channel_set
    from fei_lite.channels.covered_decays import Acceptance, covered_particles, events_with_tag
    from fei_lite.generator.enrichment import keep_shares

    channels, acceptance = load_channel_set(Path(channel_set)), Acceptance()

    def keep(batch: GeneratedBatch, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        generated = batch.generated
        modes = covered_particles(channels, generated, acceptance=acceptance)
        good = events_with_tag(channels, generated, modes)
        # in proportion to the weight, so that the kept uncovered events have equal weights in the end
        shares = np.where(good, 1.0, np.minimum(share * batch.events["weight"], 1.0))
        if enrichment is not None:
            np.maximum.at(shares, generated.event_index, keep_shares(enrichment, generated["pdg"], modes))
        lucky = rng.uniform(size=len(good)) < shares
        return lucky, 1.0 / shares

    return keep


def simulate_file(
    process: str, output: str | os.PathLike[str], *, n: int, seed: int,
    dec_file: DecayFile | None = None, force: bool = False, background: bool = True,
    keep_uncovered: float | None = None, channel_set: str | os.PathLike[str] = "hadronic", enrich: str | None = None,
    selection: str | None = None, reuse: int = 1, settings: str = DEFAULT_SETTINGS, response: Response | None = None,
    report: Report | None = None, inputs: Sequence[str | os.PathLike[str] | None] = (),
) -> Simulated:
    """Simulate ``n`` events of a process and write them to ``output`` (ROOT, or Parquet by the suffix).

    The arguments are those of :func:`simulate`; ``force`` overwrites an
    older file, but none that is read (those of ``inputs`` neither). The file is written whole or
    not at all, and says in its metadata what it is: process, seed, Pythia's settings, events generated,
    cross-section in nb and the integrated luminosity they stand for in 1/fb (weights included).

    Raises :class:`SimulationError` and :class:`OutputError`.
    """
    from fei_lite import __version__
    from fei_lite.events.files import EventWriter
    from fei_lite.generator.enrichment import load_enrichment
    from fei_lite.generator.fragmentation import measured_settings
    from fei_lite.generator.generate import made_by, run_of

    taken = load_settings(settings)
    metadata: dict[str, str | int | float] = {
        "process": process, "seed": seed, "n_generated": n * reuse, "fei_lite_version": __version__,
        "background": int(background), "settings": taken.name}
    cross_section = find_process(process).cross_section
    if find_process(process).kind == "bb":
        metadata["fragmentation_measured_for"] = measured_settings(taken.name)
    if cross_section > 0.0 and dec_file is None:  # with decays of a file's own the number stands for no luminosity
        metadata |= {"cross_section_nb": cross_section, "luminosity_fb": n * reuse / (cross_section * 1e6)}
    if selection is not None:
        metadata |= {"selection": selection, "reuse": reuse}
    dec_file = _signal(dec_file, process)
    decays = "" if dec_file is None else dec_file.place
    enrichment = None if enrich is None else load_enrichment(enrich)
    metadata |= made_by(dec_file, enrichment, taken)
    metadata["run"] = run_of(process, seed, dec_file, enrichment, taken)
    if dec_file is not None:
        metadata |= {"decay_file": Path(dec_file.place).name, "decay_process": dec_file.process,
                     "decay_lines": dec_file.lines_json(), "decay_notices": "\n".join(map(str, dec_file.notices))}
    if keep_uncovered is not None:
        metadata |= {"keep_uncovered": keep_uncovered, "channel_set": str(channel_set)}
    if enrich is not None:
        metadata["enrich"] = enrich
    kept, weights = 0, 0.0
    read = [path for path in (decays or None, enrich, channel_set, *inputs) if path is not None]
    with EventWriter(output, force=force, metadata=metadata, inputs=read) as writer:
        for batch in simulate(
                process, n, seed=seed, dec_file=dec_file, background=background, keep_uncovered=keep_uncovered,
                channel_set=channel_set, enrich=enrich, response=response, report=report, selection=selection,
                reuse=reuse, settings=settings):
            writer.write(batch)
            kept += batch.n_events
            weights += float(batch.events["weight"].sum())
    return Simulated(n * reuse, kept, weights)
