"""Generated events: Pythia's record as columns, in the laboratory frame.

Laboratory four-momenta in GeV, vertices in cm, times in ns. ``mother`` counts
within the event; the first particle is the Upsilon(4S) (300553) or the virtual
photon (22, status virtual).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.errors import SimulationError
from fei_lite.events import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.simulation.beams import Beams, boost, rotation_to
from fei_lite.simulation.processes import Process, find_process
from fei_lite.simulation.pythia import Generator, new_pythia
from fei_lite.simulation.signal import SignalDecay, read_signal_decay
from fei_lite.simulation.sources import UPSILON, continuum_settings, pair_source_class

#: Rows of Pythia's record before the particle that all others come from.
_HEADER = 5
_BLOCK = 1000  # events asked of Pythia at a time; fixed, so that batches of any size give the same events


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


#: Chooses events before the detector: (batch, rng) -> (mask (n,), weight (n,)).
Keep = Callable[[GeneratedBatch, np.random.Generator], tuple[NDArray[np.bool_], NDArray[np.float64]]]


def generate(process: str, n: int, *, seed: int, dec_file: Path | None = None, batch_size: int = 2000,
             keep: Keep | None = None, beams: Beams | None = None) -> Iterator[GeneratedBatch]:
    """Generate ``n`` events of a process in batches.

    ``signal`` needs ``dec_file``: one B decays by it, the other generically.
    The same seed gives the same events whatever ``batch_size`` is. ``keep``
    drops events (all of a batch's events are offered to it at once) and weights
    the others; ``n`` counts before. Raises :class:`SimulationError`.
    """
    chosen = find_process(process)
    if n < 0:
        raise SimulationError(f"number of events: got {n}, expected 0 or more.")
    if (process == "signal") != (dec_file is not None):
        raise SimulationError("a decay file (--dec) goes with the process 'signal', and with no other.")
    beams = beams or Beams()
    signal = read_signal_decay(dec_file) if dec_file is not None else None
    rng = np.random.default_rng([seed, 1])
    keep_rng = np.random.default_rng([seed, 2])
    generator = _prepare(chosen, seed=seed, beams=beams, rng=np.random.default_rng([seed, 3]), signal=signal)
    number, rest = 0, _blocks(generator.pythia, n)
    for records in _rebatched(rest, batch_size):
        batch = _batch(records, chosen, beams, rng, number, signal)
        number += batch.n_events
        if keep is not None:
            mask, weight = keep(batch, keep_rng)
            batch = select(batch, mask, weight)
        yield batch


def _prepare(process: Process, *, seed: int, beams: Beams, rng: np.random.Generator,
             signal: SignalDecay | None) -> Generator:
    """An initialised Pythia for a process."""
    if process.kind == "continuum":
        generator = new_pythia(seed=seed, settings=continuum_settings(process.code, beams))
    else:
        generator = new_pythia(seed=seed, settings=("Beams:frameType = 5",
                                                    f"{UPSILON}:new = Upsilon4S void 3 0 0 10.5794 0.0205 10.4 10.8 0"))
        pythia = generator.pythia
        code = process.code if signal is None else abs(signal.code)
        pairs = [(code, -code)]
        if signal is not None:
            pairs = signal.install(pythia)
        source = pair_source_class()(
            pairs, mass=pythia.particleData.m0(code), lifetime=pythia.particleData.tau0(code),
            mixing=code == 511, beams=beams, rng=rng)
        pythia.setLHAupPtr(source)
        generator.keep_alive.append(source)
    if not generator.pythia.init():
        raise SimulationError(f"Pythia could not be initialised for '{process.name}'.")
    return generator


def _blocks(pythia: Any, n: int) -> Iterator[Any]:
    """Pythia's records (awkward arrays) until ``n`` events are there."""
    done = 0
    while done < n:
        wanted = min(_BLOCK, n - done)
        records = pythia.nextBatch(wanted)
        if len(records) == 0:
            raise SimulationError("Pythia made no event in a whole block.")
        done += len(records)
        yield records.prt


def _rebatched(blocks: Iterator[Any], batch_size: int) -> Iterator[Any]:
    """Records in batches of at most ``batch_size`` events."""
    import awkward as ak

    waiting: list[Any] = []
    n = 0
    for block in blocks:
        waiting.append(block)
        n += len(block)
        while n >= batch_size:
            whole = ak.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            yield whole[:batch_size]
            waiting, n = [whole[batch_size:]], n - batch_size
    if n:
        yield ak.concatenate(waiting) if len(waiting) > 1 else waiting[0]


def _batch(records: Any, process: Process, beams: Beams, rng: np.random.Generator, first: int,
           signal: SignalDecay | None) -> GeneratedBatch:
    """The columns of a batch from Pythia's records."""
    import awkward as ak

    n = len(records)
    counts = ak.to_numpy(ak.num(records.id))
    flat = ak.flatten(records)
    index = ak.to_numpy(ak.flatten(ak.local_index(records.id)))
    event = np.repeat(np.arange(n), counts)

    def column(values: Any) -> NDArray:
        return np.asarray(ak.to_numpy(values))

    kept = index >= _HEADER
    event, index = event[kept], index[kept]
    codes, status = column(flat.id)[kept], column(flat.status)[kept]
    mother = np.where(index == _HEADER, -1, np.maximum(column(flat.mother1)[kept] - _HEADER, 0))
    p4 = np.stack([column(flat.p[name])[kept] for name in ("px", "py", "pz", "e")], axis=1)
    x4 = np.stack([column(ak.fill_none(flat.vProd[name], 0.0))[kept] for name in ("px", "py", "pz", "e")], axis=1)
    hadrons, mother = without_partons(codes, mother, event, counts - _HEADER)
    index, event, codes, status = index[hadrons], event[hadrons], codes[hadrons], status[hadrons]
    p4, x4 = p4[hadrons], x4[hadrons]
    codes = _relabelled(codes, index, process, signal)
    rotation = rotation_to(beams.axis_cms)
    frame = beams.smeared(n, rng)
    place = beams.vertices(n, rng)
    p4[:, :3] = p4[:, :3] @ rotation.T
    x4[:, :3] = x4[:, :3] @ rotation.T
    p4 = boost(p4, frame[event])
    x4 = boost(x4 / 10.0, frame[event])  # mm -> cm
    bits = np.full(len(codes), STATUS["primary"], dtype=np.int32)
    bits[status > 0] |= STATUS["stable"]
    bits[(codes == 22) & (np.abs(status) == 51) & (mother > 0)] |= STATUS["photos_photon"]
    bits[index == _HEADER] |= STATUS["virtual"] if process.kind == "continuum" else 0
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=n))]).astype(np.int64)
    generated = Jagged(offsets, {
        "pdg": codes.astype(np.int32), "mother": mother, "status": bits, "p4": p4,
        "vertex": x4[:, :3] + place[event], "time": (x4[:, 3] / SPEED_OF_LIGHT).astype(np.float32)})
    return GeneratedBatch(_event_columns(n, first, beams), generated, process, n)


def without_partons(
    codes: NDArray, mother: NDArray, event: NDArray, counts: NDArray,
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Rows that are no quarks, gluons or diquarks, and their mothers counted among those rows.

    A hadron made in fragmentation gets the nearest ancestor that is no parton:
    the B or D meson that decayed into quarks, or the virtual photon. So did
    EvtGen, and four-momentum is conserved at each vertex.
    """
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    ancestor = np.where(mother >= 0, mother + first[event], -1)
    absolute = np.abs(codes)
    parton = (absolute <= 8) | (absolute == 21) | ((absolute > 1000) & (absolute < 10000) & (absolute // 10 % 10 == 0))
    parton |= (absolute >= 81) & (absolute <= 99)
    while True:
        through = (ancestor >= 0) & parton[ancestor]
        if not through.any():
            break
        ancestor[through] = ancestor[ancestor[through]]
    kept = np.flatnonzero(~parton)
    position = np.cumsum(~parton) - 1
    per_event = np.bincount(event[kept], minlength=len(counts))
    new_first = np.concatenate([[0], np.cumsum(per_event)])[:-1]
    above = ancestor[kept]
    return kept, np.where(above >= 0, position[above] - new_first[event[kept]], -1).astype(np.int32)


def _relabelled(codes: NDArray, index: NDArray, process: Process, signal: SignalDecay | None) -> NDArray:
    """Codes of the signal's private copies turned back; the root of a continuum event is a photon."""
    if signal is not None:
        codes = signal.relabel(codes)
    if process.kind == "continuum":
        codes = np.where(index == _HEADER, 22, codes)
    return codes


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
    objects = np.repeat(mask, batch.generated.counts)
    offsets = np.concatenate([[0], np.cumsum(batch.generated.counts[mask])]).astype(np.int64)
    events = {name: values[mask] for name, values in batch.events.items()}
    events["weight"] = weight[mask].astype(np.float64)
    generated = Jagged(offsets, {name: values[objects] for name, values in batch.generated.columns.items()})
    return replace(batch, events=events, generated=generated)
