"""What channel files mean, checked against physics and against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fei_lite.channels import feature_names
from fei_lite.channels.cut_strings import CUT_ERRORS, intervals
from fei_lite.channels.files import ChannelDraft, Findings, ParticleDraft
from fei_lite.channels.graph import decay_graph, find_cycles, resolve
from fei_lite.channels.model import conjugate_daughters, same_final_state
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.particles import charge, conjugate, flavours, mass, pdg_code
from fei_lite.variables.cuts import Cut
from fei_lite.variables.names import known_of, needed_daughters
from fei_lite.variables.registry import KNOWN

#: Earlier channels that one is compared with: of thousands of equal ones, a few findings are enough.
_COMPARED = 20
#: Which particles the lists of an event hold.
LISTS = {
    "FSP": ("pi+", "K+", "p+", "e+", "mu+", "gamma", "K_L0"),
    "V0": ("K_S0", "Lambda0", "gamma"),
    "Btag": ("B+", "B0"),
}


def leaf_of(daughters: Sequence[str]) -> str | None:
    """"FSP", "V0" or "Btag" if the channel is a list of the event, else None."""
    if len(daughters) != 1:
        return None
    label = daughters[0].partition(":")[2]
    return label if label in LISTS else None


def check_drafts(drafts: Sequence[ParticleDraft], findings: Findings, *, complete: bool) -> None:
    """Add every defect and doubt to ``findings``. Not ``complete``: a file could not be read."""
    known = [draft for draft in drafts if _check_particle(draft, drafts, findings)]
    by_name = {draft.name: draft for draft in known}
    for draft in known:
        for channel in draft.channels:
            _check_channel(draft, channel, by_name, findings, complete=complete)
        _check_duplicates(draft, findings)
    graph = decay_graph({d.name: [[x for x in c.daughters if _exists(x)] for c in d.channels] for d in known})
    for cycle in find_cycles(graph):
        where = by_name[cycle[0]].where
        findings.error(f"{where}: channel", f"cycle: {' <-> '.join(cycle)}. A particle cannot come from itself.")


def _exists(name: str) -> bool:
    try:
        pdg_code(name)
    except UnknownNameError:
        return False
    return True


def n_feature_daughters(channel: ChannelDraft) -> int:
    """Daughters that ``{}`` runs over: a V0 has its two tracks, a track or cluster none."""
    leaf = leaf_of(channel.daughters)
    return len(channel.daughters) if leaf is None else 2 if leaf == "V0" else 0


def _check_particle(draft: ParticleDraft, drafts: Sequence[ParticleDraft], findings: Findings) -> bool:
    """Check what the channels share; False if the particle itself is of no use."""
    where = draft.where
    try:
        pdg_code(draft.name)
    except UnknownNameError as error:
        findings.error(f"{where}: particle", str(error))
        return False
    for other in drafts:
        if other is draft:
            break
        if _exists(other.name) and draft.name in (other.name, conjugate(other.name)):
            findings.error(f"{where}: particle", f"'{draft.name}' is already made by {other.where}. "
                           "One file makes a particle and its charge conjugate.")
            return False
    if draft.target not in feature_names.TARGETS:
        findings.error(f"{where}: target",
                       f"unknown target '{draft.target}'.{nearest(draft.target, feature_names.TARGETS)}")
    if draft.rank_by:
        _check_variable(draft, findings)
    for channel in draft.channels:
        own = channel.cuts is not None
        _check_cut(channel.cuts if channel.cuts is not None else draft.cuts, channel, findings,
                   f"{channel.where}.cuts" if own else f"{where}: cuts")
        own = channel.post_fit_cuts is not None
        _check_cut(channel.post_fit_cuts if channel.post_fit_cuts is not None else draft.post_fit_cuts, channel,
                   findings, f"{channel.where}.post_fit_cuts" if own else f"{where}: post_fit_cuts", fitted=True)
    return True


def _latest(leaf: str | None, *, fitted: bool = False) -> str:
    """The latest of ``KNOWN`` that a cut or ranking may ask for: tracks and clusters are measured, Btags classified."""
    if leaf == "Btag":
        return KNOWN[-1]
    return "after the ranking" if fitted else "always" if leaf is None else "after the fit"


def _check_variable(draft: ParticleDraft, findings: Findings) -> None:
    """The variable that candidates are ranked by."""
    where = f"{draft.where}: rank.by"
    for channel in draft.channels:
        leaf = leaf_of(channel.daughters)
        try:
            feature_names.check(draft.rank_by, n_feature_daughters(channel))
            known = known_of(draft.rank_by)
        except CUT_ERRORS as error:
            _once(findings, f"{where}: {error}")
            return
        if KNOWN.index(known) > KNOWN.index(_latest(leaf)):
            _once(findings, f"{where}: '{draft.rank_by}' is known {known} only.")


def _once(findings: Findings, line: str) -> None:
    """Add a defect of what channels share: one finding is enough."""
    if line not in findings.errors:
        findings.errors.append(line)


def _check_cut(cut: Cut, channel: ChannelDraft, findings: Findings, where: str, *, fitted: bool = False) -> None:
    """Whether a channel's candidates have what they are cut on, at its step, and whether any can pass."""
    leaf, n = leaf_of(channel.daughters), n_feature_daughters(channel)
    for part in cut.conjuncts:
        assert part.node is not None
        if not part.variables:
            _once(findings, f"{where}: '{part}' cuts on no variable.")
        if (needed := needed_daughters(part.node)) > n:
            _once(findings, f"{where}: '{part}' needs {needed} daughter{'s' if needed > 1 else ''}, "
                  f"{channel.where.rpartition(' ')[2]} has {n}.")
        if KNOWN.index(part.known) > KNOWN.index(_latest(leaf, fitted=fitted)):
            put = "Put it into post_fit_cuts." if part.known != KNOWN[-1] and not fitted else (
                "post.min_signal_probability cuts on SignalProbability.")
            _once(findings, f"{where}: '{part}' is known {part.known} only. {put}")
    for interval in intervals(cut).values():
        if interval.low >= interval.high:
            _once(findings, f"{where}: nothing passes {interval.low:g} < {interval.variable} < {interval.high:g}.")


def _check_channel(draft: ParticleDraft, channel: ChannelDraft, by_name: dict[str, ParticleDraft],
                   findings: Findings, *, complete: bool) -> None:
    leaf = leaf_of(channel.daughters)
    _check_features(draft, channel, findings)
    if leaf is not None:
        _check_leaf(draft, channel, leaf, findings)
        return
    fit = channel.fit or draft.fit
    if fit == "mass" and [name.partition(":")[0] for name in channel.daughters] != ["gamma", "gamma"]:
        findings.error(f"{channel.where}.fit", "a mass fit is for two photons only.")
    made = [_check_daughter(name, f"{channel.where}.daughters[{i}]", by_name, findings, complete=complete)
            for i, name in enumerate(channel.daughters)]
    for i, name in enumerate(channel.invisible):
        if not _exists(name):
            findings.error(f"{channel.where}.invisible[{i}]", f"unknown particle '{name}'.")
            made.append(False)
    if channel.daughters and all(made):
        _check_conservation(draft, channel, by_name, findings)


def _check_features(draft: ParticleDraft, channel: ChannelDraft, findings: Findings) -> None:
    own = channel.features is not None
    patterns = channel.features if channel.features is not None else draft.features
    n = n_feature_daughters(channel)
    at = f"{channel.where}.features" if own else f"{draft.where}: features"
    seen: dict[str, int] = {}
    for i, pattern in enumerate(patterns):
        for name in feature_names.expand([pattern], n):
            if name in seen:
                findings.error(f"{at}[{i}]", f"'{name}' is there already, from features[{seen[name]}].")
            seen[name] = i
            try:
                feature_names.check(name, n)
            except CUT_ERRORS as error:
                # a particle's features are shared by its channels: one finding is enough
                if (line := f"{at}[{i}]: {error}") not in findings.errors:
                    findings.errors.append(line)
                break
    if draft.classified and not patterns:
        findings.error(at, "no features. A classifier needs at least one.")
    if patterns and not draft.classified:
        findings.error(at, "features without a classifier. Leave them out, or the line classifier = \"none\".")


def _check_leaf(draft: ParticleDraft, channel: ChannelDraft, leaf: str, findings: Findings) -> None:
    base = channel.daughters[0].partition(":")[0]
    if base != draft.name.partition(":")[0]:
        findings.error(f"{channel.where}.daughters[0]",
                       f"the list '{channel.daughters[0]}' makes '{base}', not '{draft.name}'.")
    elif base not in LISTS[leaf]:
        findings.error(f"{channel.where}.daughters[0]", f"events have no list '{base}:{leaf}'. "
                       f"'{leaf}' lists: {', '.join(LISTS[leaf])}.")


def _check_daughter(name: str, where: str, by_name: dict[str, ParticleDraft],
                    findings: Findings, *, complete: bool) -> bool:
    """True if some file makes the daughter."""
    names = [*by_name, *(conjugate(n) for n in by_name)]
    if not _exists(name):
        findings.error(where, f"unknown particle '{name}'.{nearest(name, names)}")
        return False
    if resolve(name, by_name) is not None:
        return True
    if name.partition(":")[2] in LISTS:
        findings.error(where, f"the list '{name}' can only be the one daughter of its own particle.")
    elif complete:  # the file that cannot be read may be the one that makes it
        findings.error(where, f"no file of the set makes '{name}'.{nearest(name, names)} Add a file for it.")
    return False


def _check_conservation(draft: ParticleDraft, channel: ChannelDraft, by_name: dict[str, ParticleDraft],
                        findings: Findings) -> None:
    daughters = channel.daughters
    where = f"{channel.where}.daughters"
    products = [*daughters, *channel.invisible]
    if (total := sum(charge(d) for d in products)) != charge(draft.name):
        findings.error(where, f"charge {total} of {' '.join(products)}, expected {charge(draft.name)} "
                       f"of '{draft.name}'.")
    if len(products) == 1:
        findings.error(where, f"one daughter, '{daughters[0]}'. Give two or more, or a list like '{draft.name}:FSP'.")
    if _suppressed(draft.name, daughters):
        findings.warn(where, f"{draft.name} -> {' '.join(daughters)} is flavour-suppressed.")
    least = sum(_window(by_name[found])[0] for d in daughters if (found := resolve(d, by_name)) is not None)
    least += sum(mass(d) for d in channel.invisible)
    most = _window(draft, channel.cuts)[1]
    if least > most:
        findings.error(where, f"the daughters have at least {least:.3f} GeV, '{draft.name}' at most {most:.3f} GeV.")


def _suppressed(mother: str, daughters: Sequence[str]) -> bool:
    """Whether a weak decay gives the charm or strangeness of the wrong sign.

    A B+ (anti-b) changes the charm by -1 or 0, a D0 (c) the strangeness by -1
    or 0. K_S0 and K_L0 leave the strangeness open.
    """
    before, after = flavours(mother), [flavours(d) for d in daughters]
    strange, charm, bottom = (sum(f[i] for f in after) - before[i] for i in range(3))
    if bottom:
        return charm * bottom < 0
    return strange * charm < 0 and not {"K_S0", "K_L0"} & set(daughters)


def _window(draft: ParticleDraft, cut: Cut | None = None) -> tuple[float, float]:
    """Lowest and highest mass of the candidates: the cut on M, else the nominal mass. GeV."""
    low = high = mass(draft.name)
    window = intervals(draft.cuts if cut is None else cut).get("M")
    if window is not None:
        low = low if math.isinf(window.low) else window.low
        high = high if math.isinf(window.high) else window.high
    return low, high


def _check_duplicates(draft: ParticleDraft, findings: Findings) -> None:
    """The same daughters twice, in any order; conjugate final states only raise a doubt."""
    channels = [c for c in draft.channels if all(_exists(d) for d in c.daughters)]
    alike: dict[tuple[str, ...], list[ChannelDraft]] = {}  # by daughters up to order and conjugation
    for channel in channels:
        mine = tuple(channel.daughters)
        same = alike.setdefault(min(tuple(sorted(d)) for d in (mine, conjugate_daughters(mine))), [])
        earliest = same[:_COMPARED]
        same.append(channel)
        for earlier in earliest:
            text = f"'{' '.join(mine)}' is the same as {earlier.where.rpartition(' ')[2]}"
            if same_final_state(mine, tuple(earlier.daughters)):
                findings.error(f"{channel.where}.daughters", f"{text}, '{' '.join(earlier.daughters)}'.")
            elif same_final_state(conjugate_daughters(mine), tuple(earlier.daughters)):
                findings.warn(f"{channel.where}.daughters", f"{text} with the charge conjugate of "
                              f"'{' '.join(earlier.daughters)}': the decay does not tell the flavour.")
