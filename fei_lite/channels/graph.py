"""The decay graph: an edge from each daughter to its mother; its stages and cycles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fei_lite.errors import UnknownNameError
from fei_lite.particles import conjugate, mass

if TYPE_CHECKING:
    import networkx

#: Decays of a particle: one list of daughters per channel.
Decays = Mapping[str, Iterable[Sequence[str]]]


def resolve(name: str, known: Collection[str]) -> str | None:
    """The key of ``known`` that is ``name`` or its charge conjugate; ``:generic`` is no label.

    >>> resolve("anti-D0:generic", {"D0"})
    'D0'
    """
    name = name.removesuffix(":generic")
    if name in known:
        return name
    try:
        other = conjugate(name)
    except UnknownNameError:
        return None
    return other if other in known else None


def decay_graph(decays: Decays) -> networkx.DiGraph:
    """Graph of particles, daughter -> mother; charge conjugates share a node.

    Leaves (``pi+:FSP``) are no nodes, and neither are daughters that nothing
    makes. Each node carries its ``stage`` if the graph has no cycle.
    """
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from(decays)
    for mother, channels in decays.items():
        for daughters in channels:
            made = (resolve(d, decays) for d in daughters)
            graph.add_edges_from((d, mother) for d in made if d is not None)
    if networkx.is_directed_acyclic_graph(graph):
        for name, stage in stage_numbers(graph).items():
            graph.nodes[name]["stage"] = stage
    return graph


def stage_numbers(graph: networkx.DiGraph) -> dict[str, int]:
    """Stage of each particle: 0 without daughters, else one more than its latest daughter's."""
    import networkx

    stage: dict[str, int] = {}
    for name in networkx.topological_sort(graph):
        stage[name] = max((stage[d] + 1 for d in graph.predecessors(name)), default=0)
    return stage


def ordered_stages(graph: networkx.DiGraph) -> tuple[tuple[str, ...], ...]:
    """Names per stage; within a stage by mass, then by name."""
    numbers = stage_numbers(graph)
    order = sorted(numbers, key=lambda name: (numbers[name], mass(name), name))
    return tuple(tuple(name for name in order if numbers[name] == stage)
                 for stage in range(max(numbers.values(), default=-1) + 1))


def find_cycles(graph: networkx.DiGraph) -> list[list[str]]:
    """Cycles of the graph, each as a list of names (a particle that decays to itself is one)."""
    import networkx

    return [sorted(part) for part in networkx.strongly_connected_components(graph)
            if len(part) > 1 or any(graph.has_edge(name, name) for name in part)]
