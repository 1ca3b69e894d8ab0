"""Pictures of a decay graph: GraphViz DOT text, or a figure."""

from __future__ import annotations

from pathlib import Path

from fei_lite.channels.model import ChannelSet


def to_dot(channel_set: ChannelSet) -> str:
    """The decay graph in GraphViz's DOT language, stages from left to right.

    Boxes name a particle and its number of channels; an arrow goes from each
    daughter to its mother, labelled with the number of channels that use it.
    """
    lines = [f'digraph "{channel_set.name}" {{', "  rankdir=LR;", "  node [shape=box, fontname=Helvetica];"]
    for names in channel_set.stages:
        nodes = " ".join(f'"{name}" [label="{name}\\n{len(channel_set.particles[name].channels)}"];' for name in names)
        lines.append(f"  {{ rank=same; {nodes} }}")
    lines += [f'  "{daughter}" -> "{mother}" [label={n}];'
              for (daughter, mother), n in sorted(uses(channel_set).items())]
    return "\n".join([*lines, "}"]) + "\n"


def uses(channel_set: ChannelSet) -> dict[tuple[str, str], int]:
    """Number of channels per (daughter, mother), charge conjugates counted together."""
    counts: dict[tuple[str, str], int] = {}
    for channel in channel_set.channels():
        if channel.leaf is None:
            for daughter in {channel_set.particle(d).name for d in channel.daughters}:
                key = (daughter, channel.particle)
                counts[key] = counts.get(key, 0) + 1
    return counts


def draw(channel_set: ChannelSet, path: Path) -> None:
    """Write a figure of the decay graph in the format of the suffix (.svg, .png, .pdf)."""
    import networkx
    from matplotlib.figure import Figure

    height = max(len(names) for names in channel_set.stages)
    position = {
        name: (stage, (len(names) - 1) / 2 - i)
        for stage, names in enumerate(channel_set.stages) for i, name in enumerate(names)}
    figure = Figure(figsize=(2.2 * len(channel_set.stages), 1.1 * height), layout="constrained")
    axes = figure.subplots()
    widths = [0.4 + 0.12 * n for n in (uses(channel_set)[edge] for edge in channel_set.graph.edges)]
    networkx.draw_networkx_edges(channel_set.graph, position, ax=axes, width=widths, alpha=0.35,
                                 node_size=2300, connectionstyle="arc3,rad=0.08")
    networkx.draw_networkx_nodes(channel_set.graph, position, ax=axes, node_size=2300, node_color="white",
                                 edgecolors="black")
    labels = {n: f"{n}\n{len(p.channels)}" for n, p in channel_set.particles.items()}
    networkx.draw_networkx_labels(channel_set.graph, position, labels, ax=axes, font_size=8)
    for stage in range(len(channel_set.stages)):
        axes.text(stage, height / 2 + 0.2, f"stage {stage}", ha="center", fontsize=9)
    axes.set_axis_off()
    figure.savefig(path, dpi=150)
