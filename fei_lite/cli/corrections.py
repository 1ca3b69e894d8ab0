"""``fei-lite evaluate DATA --simulation SIM``: correction factors per decay mode."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fei_lite.corrections.factors import CorrectionFactors
    from fei_lite.performance.best_tags import BestTags


def correct(arguments: argparse.Namespace) -> str:
    """Derive the factors of the arguments' files; draws the figure, returns the result as text."""
    from dataclasses import replace

    from fei_lite.corrections.factors import derive_factors
    from fei_lite.corrections.samples import Options, control_tags
    from fei_lite.performance.best_tags import read_best_tags
    from fei_lite.performance.origin import NEARLY_RIGHT, foreign_energy, read_best_objects
    from fei_lite.performance.plain import as_plain

    data = read_best_tags(arguments.btags[0], choose=arguments.choose, truth=False)
    simulation = read_best_tags(arguments.simulation, choose=arguments.choose)
    scale = data.events.weight / simulation.events.weight if arguments.scale is None else arguments.scale
    nearly_right = None
    if arguments.events:
        objects = read_best_objects(arguments.simulation, choose=arguments.choose)
        nearly_right = foreign_energy(simulation, objects, arguments.events) < NEARLY_RIGHT
    above = arguments.min_signal_probability
    found = derive_factors(
        control_tags(data, min_signal_probability=above),
        control_tags(simulation, min_signal_probability=above, nearly_right=nearly_right),
        options=Options(scale=scale, scale_error=arguments.scale_error, min_expected=arguments.min_expected))
    names = mode_names(simulation)
    if arguments.figure is not None:
        from fei_lite.plots.validation import draw_corrections

        draw_corrections(found, arguments.figure, names=names, force=arguments.force)
    if arguments.format == "json":
        return json.dumps({"names": names, "scale": scale, **as_plain(replace(found, fits=None))}, indent=1)
    return table(found, names)


def mode_names(tags: BestTags) -> dict[str, str]:
    """Text of each B decay mode by ``"B+ 3"``, from the channel set that the file names."""
    from fei_lite.channels import load_channel_set
    from fei_lite.performance.working_points import B_TYPES

    particles = load_channel_set(str(tags.metadata["channel_set"])).particles
    return {f"{b_type} {channel.index}": channel.text for b_type in B_TYPES if b_type in particles
            for channel in particles[b_type].channels}


def table(found: CorrectionFactors, names: Mapping[str, str]) -> str:
    """The factors with the parts of their errors; then which modes are pooled, and which have none."""
    import numpy as np

    from fei_lite.plots.validation import mode_label

    parts = {name: np.sqrt(np.diag(part)) for name, part in found.parts.items()}
    lines = ["yields of the fits of Mbc; closure: the simulation's over its true one",
             f"peak of data against simulation: shift {1e3 * found.shift[0]:.3f} +- {1e3 * found.shift[1]:.3f} MeV, "
             f"width {found.width[0]:.3f} +- {found.width[1]:.3f}", "",
             f"{'':44} {'data':>9} {'simulation':>10} {'closure':>7} {'factor':>8} {'error':>7}  of which "
             + " ".join(f"{name:>12}" for name in parts)]
    for i, mode in enumerate(found.modes):
        lines.append(f"{mode_label(mode.b_type, mode.modes, names):44} {mode.yields[0]:9.1f} {mode.yields[1]:10.1f} "
                     f"{mode.closure:7.3f} "
                     f"{mode.factor:8.3f} {mode.error:7.3f}           "
                     + " ".join(f"{part[i]:12.4f}" for part in parts.values()))
    for mode in found.modes:
        if mode.pooled:
            pooled = ", ".join(mode_label(mode.b_type, (m,), names) for m in mode.modes)
            lines += ["", f"pooled, one factor (too few events each): {pooled}"]
    if found.left_out:
        lines += ["", *(f"no factor: {names.get(key, key)}: {why}" for key, why in found.left_out.items())]
    return "\n".join(lines)
