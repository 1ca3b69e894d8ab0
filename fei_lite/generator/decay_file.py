"""Signal events: one B decays by a user's EvtGen-style file, the other generically.

The file is in EvtGen's language, as for basf2. Its first ``Decay`` of a B meson
(or of an alias of one) is the signal; charge conjugates follow. Aliases and
further ``Decay`` blocks describe how its daughters decay, there only::

    Alias      MyK*+   K*+
    Decay B+
      1.0  MyK*+ nu_tau anti-nu_tau  PHSP;
    Enddecay
    Decay MyK*+
      1.0  K+ pi0  VSS;
    Enddecay
    End
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fei_lite.errors import SimulationError, UnknownNameError, nearest
from fei_lite.generator.decay_table import Mode, code_of, mother_modes
from fei_lite.generator.pythia import copy_particle, relabel, set_modes

_COPY_STEP, _FIRST_COPY, _LAST_COPY = 10_000, 31, 99  # of the copies' codes, free in PDG's scheme and in Pythia


@dataclass(frozen=True)
class SignalDecay:
    """A signal decay: the B's code, and private copies of the particles that decay specially.

    ``private`` maps the code of a copy to the code it stands for; ``modes``
    holds the copies' decays.
    """

    code: int
    signal: int
    private: Mapping[int, int]
    modes: Mapping[int, tuple[Mode, ...]]

    def install(self, pythia: Any) -> list[tuple[int, int]]:
        """Teach Pythia the copies; returns the pairs (signal, other) for B and anti-B in turn."""
        for copy, code in self.private.items():
            copy_particle(pythia, copy, code)
        for copy, modes in self.modes.items():
            for finding in set_modes(pythia, copy, modes):
                raise SimulationError(f"signal decay: {finding}.")
        return [(self.signal, -self.code), (-self.signal, self.code)]

    def relabel(self, codes: NDArray) -> NDArray:
        """Codes of the copies replaced by those of the particles they stand for."""
        return relabel(codes, self.private)


def shipped_decays() -> dict[str, Path]:
    """Decay files that come with fei-lite, by name.

    >>> sorted(shipped_decays())
    ['k_nunu', 'k_nunu_sm', 'kst_nunu', 'xs_nunu', 'xs_nunu_neutral']
    """
    return {path.stem: path for path in Path(__file__).parent.glob("*.dec")}


def read_signal_decay(path: Path) -> SignalDecay:
    """Read a decay file: a user's, or a shipped one by its name. Raises :class:`SimulationError`."""
    from decaylanguage import DecFileParser

    path = shipped_decays().get(str(path), Path(path))
    if not path.is_file():
        raise SimulationError(f"{path}: no such decay file, and none of that name is shipped "
                              f"({', '.join(sorted(shipped_decays()))}).{nearest(str(path), shipped_decays())}")
    try:
        parser = DecFileParser(str(path))
        parser.parse(include_ccdecays=False)
    except Exception as error:  # lark's errors carry line and column
        raise SimulationError(f"{path}: not an EvtGen decay file: {error}") from None
    aliases = dict(parser.dict_aliases())
    mothers = parser.list_decay_mother_names()
    copies: dict[str, int] = {}
    private: dict[int, int] = {}
    for i, name in enumerate(mothers):
        try:
            code = code_of(name, aliases)
        except UnknownNameError as error:
            raise SimulationError(f"{path}: Decay {name}: {error}") from None
        if _FIRST_COPY + i > _LAST_COPY:
            raise SimulationError(f"{path}: more than {_LAST_COPY - _FIRST_COPY + 1} Decay blocks.")
        # the last digits, the quarks, stay: Pythia tells hadrons from other particles by them
        copies[name] = (_FIRST_COPY + i) * _COPY_STEP + abs(code) % _COPY_STEP
        private[copies[name]] = code
    signals = [name for name in mothers if abs(private[copies[name]]) in (511, 521)]
    if not signals:
        raise SimulationError(f"{path}: no 'Decay' of a B+ or B0 (or of an alias of one); found "
                              f"{', '.join(mothers) or 'none'}.")
    modes = {copies[name]: _modes(parser, name, aliases, copies, private, path) for name in mothers}
    signal = signals[0]
    return SignalDecay(private[copies[signal]], copies[signal], private, modes)


def _modes(parser: Any, name: str, aliases: Mapping[str, str], copies: Mapping[str, int],
           private: Mapping[int, int], path: Path) -> tuple[Mode, ...]:
    """The modes of one ``Decay`` block; daughters with a block of their own become copies."""
    from decaylanguage.dec.dec import get_final_state_particle_names

    modes, lost = mother_modes(parser, name, private[copies[name]], aliases)
    if lost:
        raise SimulationError(f"{path}: Decay {name}: {lost[0].what}.")
    if not any(mode.fraction > 0.0 for mode in modes):
        raise SimulationError(f"{path}: Decay {name}: no mode with a positive branching fraction.")
    out = []
    for mode, line in zip(modes, parser._find_decay_modes(name), strict=True):
        if mode.fraction <= 0.0:
            continue
        waiting = [copies[d] for d in get_final_state_particle_names(line) if d in copies]
        products = []
        for code in mode.products:
            copy = next((c for c in waiting if private[c] == code), None)
            if copy is not None:
                waiting.remove(copy)
            products.append(code if copy is None else copy)
        out.append(replace(mode, products=tuple(products)))
    return tuple(out)
