"""From a folder of channel files to a :class:`ChannelSet`."""

from __future__ import annotations

from pathlib import Path

from fei_lite.channels import feature_names
from fei_lite.channels.checks import check_drafts, leaf_of, n_feature_daughters
from fei_lite.channels.files import ChannelDraft, Findings, ParticleDraft, find_channel_set, read_drafts
from fei_lite.channels.graph import decay_graph, ordered_stages, stage_numbers
from fei_lite.channels.model import Channel, ChannelSet, ParticleConfig, conjugate_daughters, same_final_state
from fei_lite.errors import ChannelFileError
from fei_lite.particles import charge, is_self_conjugate, mass, pdg_code


def load_channel_set(name_or_path: str | Path = "hadronic") -> ChannelSet:
    """Read, check and order a channel set: a shipped name or the path of a folder.

    Raises :class:`ChannelFileError` with all defects at once, each with its
    file and key path, also as the tuple ``findings``.

    >>> load_channel_set("hadronic").n_channels
    145
    """
    folder = find_channel_set(name_or_path)
    findings = Findings()
    drafts, complete = read_drafts(folder, findings)
    check_drafts(drafts, findings, complete=complete)
    if findings.errors:
        count = len(findings.errors)
        head = "" if count == 1 else f"{count} findings in channel set '{folder.name}':\n  "
        raise ChannelFileError(head + "\n  ".join(findings.errors), findings.errors)
    graph = decay_graph({draft.name: [c.daughters for c in draft.channels] for draft in drafts})
    stages, numbers = ordered_stages(graph), stage_numbers(graph)
    by_name = {draft.name: draft for draft in drafts}
    particles = {name: _particle(by_name[name], numbers[name]) for names in stages for name in names}
    return ChannelSet(name=folder.name, path=folder, particles=particles, stages=stages,
                      warnings=tuple(findings.warnings))


def _particle(draft: ParticleDraft, stage: int) -> ParticleConfig:
    return ParticleConfig(
        name=draft.name, pdg=pdg_code(draft.name), mass=mass(draft.name), charge=charge(draft.name),
        self_conjugate=is_self_conjugate(draft.name),
        channels=tuple(_channel(draft, c, i) for i, c in enumerate(draft.channels)),
        cuts=draft.cuts, rank_by=draft.rank_by, rank_highest=draft.rank_highest, best_pre=draft.best_pre,
        min_signal_probability=draft.min_signal_probability, best_post=draft.best_post, target=draft.target,
        stage=stage, same_objects=draft.same_objects)


def _channel(draft: ParticleDraft, channel: ChannelDraft, index: int) -> Channel:
    daughters, leaf = tuple(channel.daughters), leaf_of(channel.daughters)
    patterns = draft.features if channel.features is None else channel.features
    return Channel(
        particle=draft.name, index=index, daughters=daughters, leaf=leaf, invisible=tuple(channel.invisible),
        cuts=draft.cuts if channel.cuts is None else channel.cuts,
        post_fit_cuts=draft.post_fit_cuts if channel.post_fit_cuts is None else channel.post_fit_cuts,
        features=feature_names.expand(patterns, n_feature_daughters(channel)),
        fit=_fit(channel.fit or draft.fit, daughters, leaf),
        unflavoured=leaf is None and not is_self_conjugate(draft.name)
        and same_final_state(daughters, conjugate_daughters(daughters)))


def _fit(wanted: str, daughters: tuple[str, ...], leaf: str | None) -> str | None:
    """The fit of a channel; "auto" is the FEI's rule."""
    if wanted != "auto":
        return None if wanted == "none" else wanted
    if leaf is not None or len(daughters) < 2 or daughters.count("pi0") > 1:
        return None
    return "vertex"
