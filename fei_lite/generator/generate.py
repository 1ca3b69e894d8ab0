"""Generated events: Pythia's record as columns, in the laboratory frame.

Laboratory four-momenta in GeV, vertices in cm, times in ns. ``mother`` counts
within the event; the first particle is the Upsilon(4S) (300553) or the virtual
photon (22, status virtual). Photons that the beams radiated have no mother either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.errors import SimulationError
from fei_lite.events import Jagged
from fei_lite.events.batch import offsets_of
from fei_lite.events.schema import STATUS
from fei_lite.generator.beams import Beams, rotation_to
from fei_lite.generator.continuum import CONTINUUM_SETTINGS, start_continuum
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.decay_files.install import install, settle
from fei_lite.generator.decay_files.signal import SignalDecay
from fei_lite.generator.enrichment import Enrichment, decay_weights, install_enriched
from fei_lite.generator.fragmentation import install_generic
from fei_lite.generator.groups import Groups
from fei_lite.generator.matrix_elements.book import TAU, Book, generic_book, signal_book
from fei_lite.generator.matrix_elements.inclusive import system_masses, with_systems
from fei_lite.generator.matrix_elements.redraw import redrawn, redrawn_pairs
from fei_lite.generator.pair_sources import UPSILON_SETTINGS, generic_pair, mixing_times, start_pairs
from fei_lite.generator.processes import Process, check_seed, find_process, run_number
from fei_lite.generator.pythia import Generator, initialised, new_pythia, relabel
from fei_lite.generator.records import blocks, retimed
from fei_lite.generator.records import chosen as events_of
from fei_lite.generator.settings import Settings, load_settings
from fei_lite.kernels import frames


@dataclass(frozen=True)
class GeneratedBatch:
    """Generated events: the event-level and ``generated`` columns of the event schema.

    ``n_generated`` events were made for them: more than ``len(events["event"])``
    where ``keep`` left some out.
    """

    events: dict[str, NDArray]
    generated: Jagged
    process: Process
    n_generated: int

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.events["event"])

    def slice(self, start: int, stop: int) -> GeneratedBatch:
        """Events ``start`` to ``stop`` (excluded)."""
        return GeneratedBatch({k: v[start:stop] for k, v in self.events.items()},
                              self.generated.slice(start, stop), self.process, stop - start)


#: Code of a virtual photon that a decay file decays.
VIRTUAL_PHOTON = 10022

#: Chooses events before the detector: (batch, rng) -> (mask (n,), weight (n,)).
Keep = Callable[[GeneratedBatch, np.random.Generator], tuple[NDArray[np.bool_], NDArray[np.float64]]]


def generate(process: str, n: int, *, seed: int, dec_file: Path | SignalDecay | None = None, batch_size: int = 2000,
             keep: Keep | None = None, enrichment: Enrichment | None = None,
             beams: Beams | None = None, settings: Settings | None = None) -> Iterator[GeneratedBatch]:
    """Generate ``n`` events of a process in batches.

    ``signal`` needs ``dec_file`` (a path, or a decay file that was read): what it says is made, B's or continuum,
    and decays by it; a process of the continuum may have one, too.
    The same seed gives the same events whatever ``batch_size`` is. ``keep``
    drops events (all of a batch's events are offered to it at once) and weights
    the others; ``n`` counts before. With ``enrichment`` (charged and mixed
    only) rare decays are frequent, and the events have weights that undo it.
    ``settings`` are Pythia's (default: Belle II's).
    Raises :class:`SimulationError`.
    """
    chosen = find_process(process)
    check_seed(seed)
    if n < 0:
        raise SimulationError(f"number of events: got {n}, expected 0 or more.")
    if dec_file is None and process == "signal":
        raise SimulationError("the process 'signal' needs a decay file (--dec).")
    if dec_file is not None and process != "signal" and chosen.kind == "bb":
        raise SimulationError(f"a decay file (--dec) goes with 'signal' and with continuum; got {process}.")
    if enrichment is not None and (chosen.kind != "bb" or dec_file is not None):
        raise SimulationError(f"only charged and mixed events can be enriched; got {process}.")
    beams = beams or Beams()
    signal = read_signal_decay(dec_file, process=process) if isinstance(dec_file, Path) else dec_file
    if signal is not None and process != signal.process:
        if process != "signal":
            raise SimulationError(f"{signal.place}: read for {signal.process}, not for {process}.")
        chosen = find_process(signal.process)
    rng = np.random.default_rng([seed, 1])
    keep_rng = np.random.default_rng([seed, 2])
    run = run_of(process, seed, signal, enrichment, settings)
    model_rng = np.random.default_rng([seed, 4])
    generator, groups, book = _prepare(chosen, seed=seed, beams=beams, rng=np.random.default_rng([seed, 3]),
                                       signal=signal, enrichment=enrichment, settings=settings or load_settings())

    def in_laboratory() -> Iterator[GeneratedBatch]:
        number = 0
        for records in blocks(generator, n):
            if chosen.code == TAU:
                records = redrawn_pairs(records, model_rng, book.meant)
            records = redrawn(records, book, model_rng, generator.copies)
            batch = laboratory_batch(records, chosen, beams, rng, first=number, copies=generator.copies,
                                     mixes=signal is None or signal.mixes)
            batch.events["run"][:] = run
            if enrichment is not None:
                batch.events["weight"] = (groups[chosen.code].weights(records["pdg"][b_rows(records)])
                                          * decay_weights(records, enrichment))
            yield batch
            number += len(records.counts)

    for batch in _rebatched(in_laboratory(), batch_size):
        if keep is not None:
            mask, weight = keep(batch, keep_rng)
            batch = select(batch, mask, batch.events["weight"] * weight)
        yield batch


def made_by(signal: SignalDecay | None, enrichment: Enrichment | None, settings: Settings | None) -> dict[str, str]:
    """Digests of what decides, with process and seed, which events are generated; empty for what is not there."""
    return {"settings_digest": (settings or load_settings()).digest,
            "enrich_digest": "" if enrichment is None else enrichment.digest,
            "decay_digest": "" if signal is None else signal.digest}


def run_of(process: str, seed: int, signal: SignalDecay | None, enrichment: Enrichment | None,
           settings: Settings | None) -> int:
    """The run number of generated events: that of process and seed where nothing else is asked for."""
    usual = made_by(None, None, None).items()
    return run_number(process, seed, " ".join(
        value for key, value in made_by(signal, enrichment, settings).items() if (key, value) not in usual))


def _prepare(process: Process, *, seed: int, beams: Beams, rng: np.random.Generator,
             signal: SignalDecay | None, enrichment: Enrichment | None,
             settings: Settings) -> tuple[Generator, Mapping[int, Groups], Book]:
    """An initialised Pythia for a process, the decay groups of its B's, and the decays to be drawn anew."""
    groups: Mapping[int, Groups] = {}
    book = generic_book().fresh()
    if process.kind == "continuum":
        generator = new_pythia(seed=seed, settings=(*CONTINUUM_SETTINGS, *settings.lines(process.name)))
        if signal is not None:
            signal = install(generator, signal)
            book = signal_book(signal).fresh()
        start_continuum(generator, process.code, beams=beams, rng=rng, pairs=() if signal is None else signal.pairs)
    else:
        generator = new_pythia(seed=seed, settings=(*UPSILON_SETTINGS, *settings.lines(process.name)))
        groups = (install_generic(generator, settings.name) if enrichment is None
                  else install_enriched(generator, enrichment, settings.name))
        if signal is not None:
            signal = install(generator, with_systems(signal))
            book = signal_book(signal).fresh()
        pairs = [generic_pair(process.code)] if signal is None else signal.pairs
        start_pairs(generator, pairs, groups=groups, beams=beams, rng=rng,
                    before=system_masses(generator.pythia, book.systems, np.random.default_rng([seed, 5])))
    initialised(generator, beauty=process.kind != "continuum")
    if signal is not None:
        settle(generator, signal)
    return generator, groups, book


def _rebatched(blocks: Iterator[GeneratedBatch], batch_size: int) -> Iterator[GeneratedBatch]:
    """Events in batches of ``batch_size`` (the last one may be smaller)."""
    waiting: list[GeneratedBatch] = []
    n = 0
    for block in blocks:
        start = 0
        while n + block.n_events - start >= batch_size:
            stop = start + batch_size - n
            yield joined([*waiting, block.slice(start, stop)])
            waiting, n, start = [], 0, stop
        if start < block.n_events:
            waiting.append(block.slice(start, block.n_events))
            n += block.n_events - start
    if n:
        yield joined(waiting)


def joined(parts: list[GeneratedBatch]) -> GeneratedBatch:
    """One batch of the events of all."""
    if len(parts) == 1:
        return parts[0]
    lists = [part.generated for part in parts]
    offsets = offsets_of(np.concatenate([item.counts for item in lists]))
    generated = Jagged(offsets, {k: np.concatenate([item[k] for item in lists]) for k in lists[0].columns})
    events = {k: np.concatenate([part.events[k] for part in parts]) for k in parts[0].events}
    return GeneratedBatch(events, generated, parts[0].process, sum(part.n_generated for part in parts))


def b_rows(records: Jagged) -> NDArray[np.intp]:
    """Rows (n, 2) of the two B's of each event: they follow the Upsilon(4S)."""
    rows: NDArray[np.intp] = records.offsets[:-1, None] + np.array([1, 2])
    return rows


def laboratory_batch(records: Jagged, process: Process, beams: Beams, rng: np.random.Generator, *, first: int,
                     copies: Mapping[int, int], mixes: bool = True) -> GeneratedBatch:
    """A block of records in the laboratory frame, ``copies`` named as what they stand for.

    With ``mixes`` the decay times of B0 pairs are those of mixing. A virtual photon without a process is
    :data:`VIRTUAL_PHOTON` in the records.
    """
    n, event = len(records.counts), records.event_index
    codes = relabel(records["pdg"], copies)
    records = Jagged(records.offsets, {**records.columns, "pdg": codes})
    if process.kind == "bb" and mixes:
        records = _mixed(records, rng)
    mother = records["mother"]
    root = np.zeros(len(codes), dtype=bool)
    root[records.offsets[:-1]] = True
    virtual = root if process.kind == "continuum" else root & (codes == VIRTUAL_PHOTON)
    codes = np.where(virtual, 22, codes)
    rotation = rotation_to(beams.axis_cms)
    frame, place = beams.smeared(n, rng), beams.vertices(n, rng)
    p4, x4 = np.empty_like(records["p4"]), np.empty_like(records["x4"])
    frames.to_laboratory(records["p4"], event, rotation, frame, p4)
    frames.to_laboratory(records["x4"] / 10.0, event, rotation, frame, x4)  # mm -> cm
    bits = np.full(len(codes), STATUS["primary"], dtype=np.int32)
    bits[records["status"] > 0] |= STATUS["stable"]
    bits[records["radiated"]] |= STATUS["photos_photon"]
    bits[(mother < 0) & ~root] |= STATUS["isr_photon"]
    bits[virtual] |= STATUS["virtual"]
    generated = Jagged(records.offsets, {
        "pdg": codes.astype(np.int32), "mother": mother, "status": bits, "p4": p4,
        "vertex": x4[:, :3] + place[event], "time": (x4[:, 3] / SPEED_OF_LIGHT).astype(np.float32)})
    return GeneratedBatch(_event_columns(n, first, beams), generated, process, n)


def _mixed(records: Jagged, rng: np.random.Generator) -> Jagged:
    """B0 pairs with the decay times that belong to their flavours (the two particles after the Upsilon(4S))."""
    rows = b_rows(records)[records.counts > 2]
    codes = records["pdg"][rows]
    pairs = np.flatnonzero(np.all((np.abs(codes) == 511) & (records["mother"][rows] == 0), axis=1))
    if not len(pairs):
        return records
    times = mixing_times(codes[pairs, 0] == codes[pairs, 1], rng) * (SPEED_OF_LIGHT / 100.0)  # ps -> mm
    x4 = retimed(records, rows[pairs].ravel(), times.ravel())
    return Jagged(records.offsets, {**records.columns, "x4": x4})


def _event_columns(n: int, first: int, beams: Beams) -> dict[str, NDArray]:
    sx, sy, sz = beams.size
    return {
        "experiment": np.zeros(n, dtype=np.int32), "run": np.zeros(n, dtype=np.int32),
        "event": np.arange(first, first + n, dtype=np.int64), "weight": np.ones(n),
        "beam_p4": np.tile(beams.nominal, (n, 1)), "ip": np.zeros((n, 3)),
        "ip_cov": np.tile([sx**2, 0.0, 0.0, sy**2, 0.0, sz**2], (n, 1)), "bz": np.full(n, beams.bz),
    }


def select(batch: GeneratedBatch, mask: NDArray[np.bool_], weight: NDArray[np.float64]) -> GeneratedBatch:
    """The events of a mask, with weights."""
    events = {name: values[mask] for name, values in batch.events.items()}
    events["weight"] = weight[mask].astype(np.float64)
    return replace(batch, events=events, generated=events_of(batch.generated, mask))
