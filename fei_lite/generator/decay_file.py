"""Signal events: B's that decay by a user's EvtGen-style file, on top of the Belle II table.

The file is in EvtGen's language, as for basf2, and is read after the table, whose head declares names
such as ``B+sig``. The ``Upsilon(4S)`` block says which B's are made; a B that it calls by an alias decays
by the alias's block, the others by the table::

    Alias      MyK*+   K*+
    Alias      MyK*-   K*-
    ChargeConj MyK*+   MyK*-
    Decay Upsilon(4S)
      0.5  B+sig B-  VSS;
      0.5  B-sig B+  VSS;
    Enddecay
    Decay B+sig
      1.0  MyK*+ nu_tau anti-nu_tau  PHSP;
    Enddecay
    CDecay B-sig
    Decay MyK*+
      1.0  K+ pi0  VSS;
    Enddecay
    CDecay MyK*-
    End

Without that block both B's of an event decay as the file says of B+, B-, B0 or anti-B0. Other modes of the
Upsilon(4S), those of a virtual photon (``Decay vpho``), charm and taus: see
:mod:`fei_lite.generator.decay_files.starts`.
"""

from __future__ import annotations

from pathlib import Path

from fei_lite.data_files import read_bytes
from fei_lite.errors import SimulationError, nearest
from fei_lite.generator.decay_files.added import added_particles
from fei_lite.generator.decay_files.grammar import statements_of
from fei_lite.generator.decay_files.models import APPROXIMATED, REFUSED, ranges
from fei_lite.generator.decay_files.reading import Reading
from fei_lite.generator.decay_files.signal import SignalDecay
from fei_lite.generator.decay_files.starts import start_of
from fei_lite.generator.decay_files.state import carried_out
from fei_lite.generator.decay_files.statements import Notice
from fei_lite.generator.decay_table import table_state


def shipped_decays() -> dict[str, Path]:
    """Decay files that come with fei-lite, by name.

    >>> {"k_nunu", "k_tau_l", "kst_tau_tau"} <= set(shipped_decays())
    True
    """
    return {path.stem: path for path in Path(__file__).parent.glob("*.dec")}


def read_signal_decay(path: Path, *, strict: bool = False, process: str = "signal") -> SignalDecay:
    """Read a decay file: a user's, or a shipped one by its name; ``strict`` refuses approximated models.

    ``process`` is one of the continuum, or ``signal``: then the file says what is made.

    Raises :class:`SimulationError` with file and line.
    """
    path = shipped_decays().get(str(path), Path(path))
    if not path.exists():
        raise SimulationError(f"{path}: no such decay file, and none of that name is shipped "
                              f"({', '.join(sorted(shipped_decays()))}).{nearest(str(path), shipped_decays())}")
    text = read_bytes(path, error=SimulationError).decode("utf-8", errors="replace")
    return signal_decay(text, str(path), strict=strict, process=process)


def signal_decay(text: str, place: str, *, strict: bool = False, process: str = "signal") -> SignalDecay:
    """A decay file from its text; ``place`` is its name in errors."""
    state = carried_out(statements_of(text, place), place, start=table_state(), added=added_particles(text, place))
    reading = Reading(state, place)
    faults, notices = reading.checked()
    _raise(place, faults)
    start = start_of(state, place, process)
    _raise(place, reading.begin(start))
    lines = reading.treated()
    _raise(place, [Notice(t.line, f"{t.mother} -> {t.products}: the model {t.model} is refused: {t.reason}")
                   for t in lines if t.treatment == REFUSED])
    if strict and (bad := [t for t in lines if t.treatment == APPROXIMATED]):
        raise SimulationError(f"{place}: strict: only approximated: {ranges(t.line for t in bad)}; line {bad[0].line}: "
                              f"{bad[0].model}: {bad[0].reason}.")
    return SignalDecay(place, text, reading.pairs(), reading.copies(), reading.redefined(), reading.properties(),
                       tuple(state.settings), state.photos != "noPhotos", tuple(lines),
                       tuple([*state.notices, *notices, *reading.unused()]), start.process)


def _raise(place: str, faults: list[Notice]) -> None:
    """:class:`SimulationError` with the first of the faults, and where the others are."""
    if faults:
        others = [fault.line for fault in faults[1:] if fault.line != faults[0].line]
        more = f" (more faults: {ranges(others)})" if others else ""
        raise SimulationError(f"{place}: {faults[0]}.{more}")
