"""Controls of an analysis as data: what the table ``[controls]`` of a recipe may say.

A control is a comparison that shows whether the simulation describes what the analysis relies on. In place of data it
has a second simulation: other seeds, or other settings of the generator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated

from pydantic import Field

from fei_lite.analyses.recipes.columns import is_condition, needed
from fei_lite.analyses.recipes.parts import Best, Positive, SignalDecay, Text
from fei_lite.data_files import Strict
from fei_lite.errors import ExpressionError, nearest
from fei_lite.generator.processes import PROCESSES


class Embedding(Strict):
    """Control decays of which a part is removed, and may be replaced by a signal decay: the signal's efficiency.

    In events of ``decay_files`` the ``best`` candidate of ``particle`` (of ``channel_set``) is removed with all that it
    uses. ``replace_by`` names the signal decay whose B takes its place, with its momentum; without one the events
    count as those of ``process``. They are compared with ``signal`` (a condition; default: all of it), in ``bins`` of
    columns.
    """

    title: str = ""
    decay_files: Annotated[tuple[Text, ...], Field(min_length=1)]
    channel_set: Text
    particle: Text
    best: Best = Best(by="abs(dM)", keep="lowest")
    replace_by: Text | None = None
    process: Text = "charged"
    signal: Text | None = None
    bins: dict[str, Annotated[tuple[float, ...], Field(min_length=2)]] = Field(default_factory=dict)
    origin: Text


class Variant(Strict):
    """The analysis with changes: ``ANALYSIS:NAME`` stands for it in every command.

    Another ``channel_set`` of the signal side; ``cuts``: name -> another text, "" for none; other ``signal_decays``,
    which take the places of those of the recipe in its samples, in their order; more columns of ``truth``; another
    generator-level ``selection`` ("": none). Further things that the physics of the folder makes are left out
    where the signal is another one.
    """

    title: Text
    channel_set: Text | None = None
    cuts: dict[str, str] = Field(default_factory=dict)
    signal_decays: dict[str, SignalDecay] = Field(default_factory=dict)
    truth: dict[str, Text] = Field(default_factory=dict)
    selection: str | None = None
    origin: Text

    @property
    def new_candidates(self) -> bool:
        """Whether the variant has candidates of its own, not those of the analysis."""
        return bool(self.channel_set or self.signal_decays or self.truth)


class Sideband(Strict):
    """Candidates of a ``variant`` (default: the analysis itself) ``where`` a condition holds after the classifiers.

    ``shown`` are the columns whose shapes are compared (default: the first classifier's inputs and the variables of
    the regions).
    """

    variant: Text | None = None
    where: Text | None = None
    shown: tuple[Text, ...] = ()
    origin: Text


class Continuum(Strict):
    """Continuum against (a stand-in for) off-resonance data, before and after weights that a classifier learns.

    Candidates of ``processes`` that pass all cuts but those named in ``without``. ``settings`` are those of the
    generator of the stand-in.
    """

    processes: Annotated[tuple[Text, ...], Field(min_length=1)] = ("ccbar", "uubar", "ddbar", "ssbar")
    without: tuple[Text, ...] = ()
    settings: Text = "monash"
    seed: int = 1
    origin: Text


class Closure(Strict):
    """A known decay measured in a ``variant`` as the signal is in the analysis.

    Candidates of background for which ``exclude`` holds are that decay itself: they are left out of the templates.
    ``branching_fraction`` is the one with which the stand-in for data was generated.
    """

    variant: Text
    exclude: Text
    branching_fraction: Positive
    origin: Text


class Controls(Strict):
    """All controls of an analysis by their kind and name."""

    variants: dict[str, Variant] = Field(default_factory=dict)
    embedding: dict[str, Embedding] = Field(default_factory=dict)
    sidebands: dict[str, Sideband] = Field(default_factory=dict)
    continuum: Continuum | None = None
    closure: dict[str, Closure] = Field(default_factory=dict)


def control_findings(controls: Controls, *, columns: Collection[str], cuts: Collection[str],
                     decays: Collection[str]) -> Iterator[str]:
    """What is wrong with the meaning of controls: lines "key path: defect".

    ``columns``, ``cuts`` and ``decays`` are the names that the recipe has.
    """
    for name, variant in controls.variants.items():
        at = f"controls.variants.{name}"
        yield from (f"{at}.cuts.{cut}: no cut of this name.{nearest(cut, cuts)}" for cut in variant.cuts
                    if cut not in cuts)
        yield from (f"{at}.cuts.{cut}: {wrong}" for cut, text in variant.cuts.items()
                    if text and (wrong := _wrong(text)))
        if variant.signal_decays and len(variant.signal_decays) != len(decays):
            yield (f"{at}.signal_decays: got {len(variant.signal_decays)}, expected {len(decays)}, one in place of "
                   "each of the recipe's.")
        yield from (f"{at}.signal_decays.{decay}: the name is that of a process of the simulation."
                    for decay in variant.signal_decays if decay in PROCESSES)
    for name, line in controls.embedding.items():
        at = f"controls.embedding.{name}"
        if line.replace_by is not None and line.replace_by not in decays:
            yield f"{at}.replace_by: no signal decay '{line.replace_by}'.{nearest(line.replace_by, decays)}"
        yield from (f"{at}.bins.{column}: no such column.{nearest(column, columns)}" for column in line.bins
                    if column not in columns)
        yield from _condition(line.signal, f"{at}.signal", columns)
    for name, side in controls.sidebands.items():
        yield from _known(side.variant, f"controls.sidebands.{name}", controls)
        yield from _condition(side.where, f"controls.sidebands.{name}.where", columns)
        yield from (f"controls.sidebands.{name}.shown: no column '{column}'.{nearest(column, columns)}"
                    for column in side.shown if column not in columns)
    if controls.continuum is not None:
        yield from (f"controls.continuum.without: no cut '{cut}'.{nearest(cut, cuts)}"
                    for cut in controls.continuum.without if cut not in cuts)
        yield from (f"controls.continuum.processes: no process '{process}'.{nearest(process, PROCESSES)}"
                    for process in controls.continuum.processes if process not in PROCESSES)
    for name, closure in controls.closure.items():
        yield from _known(closure.variant, f"controls.closure.{name}", controls)
        measured_in = controls.variants.get(closure.variant)
        if measured_in is not None:
            yield from _condition(closure.exclude, f"controls.closure.{name}.exclude", {*columns, *measured_in.truth})
            if not measured_in.signal_decays:
                yield f"controls.closure.{name}.variant: '{closure.variant}' has no signal_decays of its own."


def _known(variant: str | None, at: str, controls: Controls) -> Iterator[str]:
    if variant is not None and variant not in controls.variants:
        yield f"{at}.variant: no variant '{variant}'.{nearest(variant, controls.variants)}"


def _condition(text: str | None, at: str, columns: Collection[str]) -> Iterator[str]:
    """What is wrong with a condition on ready columns."""
    if text is None:
        return
    if wrong := _wrong(text):
        yield f"{at}: {wrong}"
        return
    try:
        unknown = needed(text, columns)
    except ExpressionError as error:
        yield f"{at}: {error}"
        return
    yield from (f"{at}: no column '{name}'.{nearest(name, columns)}" for name in unknown)


def _wrong(text: str) -> str:
    """What is wrong with a text as a condition; "" if nothing."""
    try:
        return "" if is_condition(text) else f"'{text}' is no condition."
    except ExpressionError as error:
        return str(error)
