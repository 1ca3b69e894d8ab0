"""The workspace of the templates that an analysis ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fei_lite.errors import WorkspaceError
from fei_lite.statistics.workspaces import Channel, Sample, Workspace, build_workspace
from fei_lite.templates import Template


def workspace_of(regions: Mapping[str, Sequence[Template]]) -> Workspace:
    """Region -> templates as a workspace; the observation is their sum (Asimov data).

    The parameter of interest is the first strength of the templates; further strengths are free
    normalisations, any of which ``fei-lite fit --poi`` can ask for.
    Raises :class:`WorkspaceError` without a signal.
    """
    strengths = list(dict.fromkeys(t.strength or "mu" for templates in regions.values() for t in templates if t.signal))
    if not strengths:
        raise WorkspaceError("no template is a signal: nothing scales with a strength.")
    channels = [Channel(name, [_sample(t, strengths[0]) for t in templates]) for name, templates in regions.items()]
    return build_workspace(channels, poi=strengths[0])


def _sample(template: Template, poi: str) -> Sample:
    strength = (template.strength or "mu") if template.signal else ""
    return Sample(template.name, template.values, template.errors, strength == poi, template.normalisations,
                  template.shapes, (strength,) if strength and strength != poi else ())
