"""The Btag: B+ and B0 candidates of an event merged, and the best one chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.errors import ArgumentTypeError
from fei_lite.particles import pdg_code
from fei_lite.reconstruction.chains import Chains
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.frames import beam_constrained
from fei_lite.tagging.decay_parts import DecayParts
from fei_lite.tagging.table import Column, TagTable
from fei_lite.used_objects import object_indices
from fei_lite.variables.evaluation import evaluate
from fei_lite.variables.subject import Subject

#: Particles that make a Btag, in the order of the tie-break.
TAG_PARTICLES = ("B+", "B0")


@dataclass(frozen=True)
class Btags(TagTable):
    """All B candidates of a batch, one row each, sorted by event and then by rank.

    ``columns`` are flat arrays, or (offsets, values) for lists; names are
    basf2's. ``event`` is the row of the event in the batch, ``particle`` and
    ``row`` say where in the reconstruction the candidate stands.
    """

    columns: dict[str, Column]
    event: NDArray[np.int64]
    particle: NDArray[np.str_]
    row: NDArray[np.int64]

    n_events: int

    def __len__(self) -> int:
        return len(self.event)

    def __repr__(self) -> str:
        return (f"Btags({len(self)} candidates in {len(np.unique(self.event))} of {self.n_events} events: "
                f"{', '.join(self.columns)})")

    def _per_event(self) -> NDArray[np.integer]:
        return np.bincount(self.event, minlength=self.n_events)


def rank_tags(event: NDArray, probability: NDArray, chi_prob: NDArray,
              defined: NDArray | None = None) -> tuple[NDArray, NDArray]:
    """Order of the B candidates and their rank in the event (1 is the best).

    The highest SignalProbability wins; ties go to the higher chiProb (an
    undefined one loses), then to the order of :data:`TAG_PARTICLES`, then to
    the order of the candidates. Those that are not ``defined`` come last. Returns (order, rank of the ordered rows).
    """
    chi = np.where(np.isnan(chi_prob), -1.0, chi_prob)
    undefined = np.isnan(probability) if defined is None else ~defined
    order = np.lexsort((-chi, -probability, undefined, event))
    ordered = event[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left") + 1
    return order, rank


def select_tags(result: Reconstruction, *, first_entry: int = 0,
                variables: Mapping[str, str] | None = None, file: int = 0) -> Btags:
    """Merge the B+ and B0 lists of a reconstructed batch and flag the best Btag.

    ``first_entry`` is the number of the batch's first event in the whole
    input: column ``entry`` counts from there. Columns ``file`` (the number of the input, from 0) and ``file_entry``
    (of the event in that file, from 0) lead back to it. ``variables`` are further columns: name -> variable or
    expression (:mod:`fei_lite.variables`), such as ``daughter(0, daughter(0, kaonID))``. Raises
    :class:`ArgumentTypeError` for what is no reconstruction.
    """
    if not isinstance(result, Reconstruction):
        raise ArgumentTypeError(f"select_tags(result): got an object of type {type(result).__name__}, expected a "
                                "reconstruction: fei_lite.reconstruct(batch, channels, models) gives it.")
    present = [name for name in TAG_PARTICLES if name in result.tables]
    tables = [result.tables[name] for name in present]
    event = np.concatenate([t.event_index for t in tables])
    row = np.concatenate([np.arange(len(t)) for t in tables])
    which = np.repeat(np.arange(len(tables)), [len(t) for t in tables])

    def join(name: str) -> NDArray:
        return np.concatenate([t[name] for t in tables])

    columns = _columns(result, tables, event, first_entry, join)
    # a helix of absurd variance can fit to a momentum without an Mbc: such a candidate is listed, and never the best
    defined = np.isfinite(columns["Mbc"]) & np.isfinite(columns["deltaE"]) & np.isfinite(columns["SignalProbability"])
    order, rank = rank_tags(event, join("SignalProbability"), join("chiProb"), defined)
    chains = Chains(result)
    columns["decayChain"] = np.concatenate([chains.texts(name) for name in present])
    columns = {name: values[order] for name, values in columns.items()}
    columns["rank"] = rank.astype(np.int16)
    columns["file"] = np.full(len(order), file, dtype=np.int32)
    columns["file_entry"] = (event[order] + result.batch.start).astype(np.int64)
    columns["best"] = ((rank == 1) & defined[order]).astype(np.int8)
    used = join("used")[order]
    lists: dict[str, Column] = {f"{kind[:-1]}_index": object_indices(result.batch, used, event[order], kind)
                                for kind in ("tracks", "clusters")}
    lists |= DecayParts(result).columns(present, order)
    asked = _asked(result, present, variables or {}, order)
    return Btags({**columns, **lists, **asked}, event[order], np.array(present, dtype=str)[which[order]], row[order],
                 result.batch.n_events)


def _asked(result: Reconstruction, present: Sequence[str], variables: Mapping[str, str],
           order: NDArray[np.integer]) -> dict[str, NDArray]:
    """Further columns of all B candidates, in ``order``."""
    if not variables:
        return {}
    parts = [evaluate(list(variables.values()), Subject(result.tables[name], result=result)) for name in present]
    return {name: np.concatenate([part[text] for part in parts])[order] for name, text in variables.items()}


def _columns(result: Reconstruction, tables: list[CandidateTable], event: NDArray, first_entry: int,
             join: Callable[[str], NDArray]) -> dict[str, NDArray]:
    """The flat columns of all B candidates, in the order of the tables."""
    batch = result.batch
    p4 = join("p4")
    mbc, delta_e = beam_constrained(p4, batch.events["beam_p4"][event])
    sign = join("sign")
    code = np.concatenate([np.full(len(t), pdg_code(t.particle)) for t in tables])
    columns = {name: batch.events[name][event] for name in ("experiment", "run", "event", "weight")}
    columns |= {
        "entry": (event + first_entry).astype(np.int64),
        "pdg": np.where(sign < 0, -code, code).astype(np.int32),
        "isUnflavored": (sign == 0).astype(np.int8),
        "SignalProbability": join("SignalProbability"), "Mbc": mbc, "deltaE": delta_e,
        "M": join("M"), "chiProb": join("chiProb"), "decayModeID": join("decayModeID").astype(np.int32),
    }
    for name in ("channelProbability", "SignalProbabilityGivenBB"):
        if all(name in t.columns for t in tables):
            columns[name] = join(name)
    columns |= dict(zip(("px", "py", "pz", "E"), p4.T, strict=True))
    if result.batch.generated is not None and all("isSignal" in t.columns for t in tables):
        mc = join("mc")
        columns["isSignal"] = join("isSignal").astype(np.int8)
        columns["mcErrors"] = join("mcErrors").astype(np.int32)
        generated = batch.generated["pdg"] if batch.generated is not None else np.zeros(0, np.int32)
        columns["mcPDG"] = np.where(mc >= 0, np.append(generated, 0)[mc], 0).astype(np.int32)
    return columns
