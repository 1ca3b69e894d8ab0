"""Correction factors from Btag files of a control sample: data and simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fei_lite.channels import load_channel_set
from fei_lite.corrections.factors import CorrectionFactors, derive_factors
from fei_lite.corrections.samples import Options, control_tags
from fei_lite.performance.best_tags import B_TYPES, BestTags, Choice, read_best_tags, said
from fei_lite.performance.origin import nearly_right_tags
from fei_lite.plain import as_plain


@dataclass(frozen=True)
class FileFactors:
    """The factors of two Btag files, the scale (events in data over simulation), and the text of ``"B+ 3"``."""

    factors: CorrectionFactors
    scale: float
    names: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the fits; :func:`fei_lite.corrections.factors.factors_from_plain` reads it."""
        return {"names": self.names, "scale": self.scale, **as_plain(replace(self.factors, fits=None))}


def correct_files(data: Path, simulation: Path, *, events: Sequence[Path] = (), choose: Choice = "event",
                  min_signal_probability: float = 0.01, scale: float | None = None, scale_error: float = 0.0,
                  min_expected: float = 50.0) -> FileFactors:
    """Correction factors per decay mode of the best Btags above ``min_signal_probability``.

    ``scale``: events in data over those in simulation (default: the files'), with its relative error.
    ``events``: the simulated Btags' event files, which tell the nearly right Btags.
    ``min_expected``: see :class:`Options`. Raises :class:`FitError` and :class:`EventFileError`.
    """
    real, simulated = read_best_tags(data, choose=choose, truth=False), read_best_tags(simulation, choose=choose)
    if scale is None:
        scale = real.events.weight / simulated.events.weight
    nearly_right = nearly_right_tags(simulated, simulation, events, choose=choose) if events else None
    found = derive_factors(
        control_tags(real, min_signal_probability=min_signal_probability),
        control_tags(simulated, min_signal_probability=min_signal_probability, nearly_right=nearly_right),
        options=Options(scale=scale, scale_error=scale_error, min_expected=min_expected))
    return FileFactors(found, scale, mode_names(simulated))


def mode_names(tags: BestTags) -> dict[str, str]:
    """Text of each B decay mode by ``"B+ 3"``, from the channel set that the file names."""
    particles = load_channel_set(str(said(tags.metadata, "channel_set"))).particles
    return {f"{b_type} {channel.index}": channel.text for b_type in B_TYPES if b_type in particles
            for channel in particles[b_type].channels}
