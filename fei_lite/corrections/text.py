"""Correction factors as a table in plain text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fei_lite.corrections.factors import CorrectionFactors


def factors_table(found: CorrectionFactors, names: Mapping[str, str]) -> str:
    """The factors with the parts of their errors; then which modes are pooled, and which have none."""
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


def mode_label(b_type: str, modes: tuple[int, ...], names: Mapping[str, str]) -> str:
    """Text of a row of the factors: the decay, or how many modes have it in common."""
    if len(modes) > 1:
        return f"{b_type}: {len(modes)} other modes"
    return names.get(f"{b_type} {modes[0]}", f"{b_type} mode {modes[0]}")
