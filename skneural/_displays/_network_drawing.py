"""The parts of a network's picture as matplotlib draws them: nodes, blocks, weights, arrows and text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._network_layers import NetworkLayer
from ._network_layout import MARGIN, Glyph, Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.patches import Polygon
    from matplotlib.text import Text

# Blue and vermilion of M. Okabe and K. Ito, told apart with any colour vision.
_POSITIVE, _NEGATIVE = "#0072b2", "#d55e00"
INK, SOFT_INK = "#222222", "#555555"
LINE_HEIGHT = 1.3


def text_width(lines: Sequence[str], weight: str = "normal") -> float:
    """Width of the widest line, in heights of the font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(weight=weight)
    widths = [TextPath((0, 0), line, size=100, prop=font).get_extents().x1 / 100 for line in lines if line]
    # A tenth more, because small text on few pixels is drawn wider than its outline.
    return 1.1 * max(widths, default=0.0)


def has_edges(layer: NetworkLayer, start: Glyph, end: Glyph) -> bool:
    return (
        layer.weights is not None
        and start.nodes is not None
        and end.nodes is not None
        and layer.weights.shape == (len(start.nodes), len(end.nodes))
    )


def draw_edges(ax: Axes, layer: NetworkLayer, start: Glyph, end: Glyph) -> LineCollection:
    """Draw a line for each weight, its width and opacity by its size."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    assert layer.weights is not None
    assert start.nodes is not None
    assert end.nodes is not None
    weights = layer.weights.ravel()
    largest = np.abs(weights).max()
    shares = np.abs(weights) / largest if largest > 0 else np.zeros(len(weights))
    colors = [
        to_rgba(_POSITIVE if w >= 0 else _NEGATIVE, 0.08 + 0.82 * s) for w, s in zip(weights, shares, strict=True)
    ]
    # Between layers that stand close, thick lines would cover each other.
    thickness = min(1.0, float(np.linalg.norm(end.nodes.mean(axis=0) - start.nodes.mean(axis=0))) / 60)
    lines = [(a, b) for a in start.nodes for b in end.nodes]
    edges = LineCollection(lines, colors=colors, linewidths=thickness * (0.4 + 1.6 * shares), zorder=1)
    ax.add_collection(edges, autolim=False)
    return edges


def draw_funnel(ax: Axes, start: Glyph, end: Glyph) -> None:
    """Shade what lies between two layers whose weights are not drawn one by one."""
    from matplotlib.patches import Polygon

    corners = [*start.exit, *reversed(end.entry)]
    ax.add_patch(Polygon(corners, facecolor="#f0f0f0", edgecolor="#d0d0d0", linewidth=0.6, zorder=0.5))


def draw_arc(ax: Axes, start: Glyph, end: Glyph, layout: Layout) -> None:
    """Draw a connection that leads past other layers."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    if layout.orientation == "horizontal":
        (x0, y0), (x1, y1) = start.top, end.top
        bend = [(x0, layout.edge), (x1, layout.edge)]
    else:
        (x0, y0), (x1, y1) = start.left, end.left
        bend = [(layout.edge, y0), (layout.edge, y1)]
    path = Path([(x0, y0), *bend, (x1, y1)], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    ax.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=7, color=SOFT_INK, lw=0.8, zorder=4))


def draw_nodes(ax: Axes, glyph: Glyph, color: str) -> PathCollection:
    assert glyph.nodes is not None
    return ax.scatter(
        glyph.nodes[:, 0],
        glyph.nodes[:, 1],
        s=glyph.diameter**2,
        facecolor=color,
        edgecolor=INK,
        linewidth=min(0.8, glyph.diameter / 8),
        zorder=3,
    )


def draw_block(ax: Axes, glyph: Glyph, color: str) -> list[Polygon]:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Polygon

    blocks = []
    for corners, lightness in glyph.faces:
        face = Polygon(corners, facecolor=_lighten(color, lightness), edgecolor=INK, linewidth=0.8, joinstyle="round")
        face.set_zorder(2)
        ax.add_patch(face)
        blocks.append(face)
    ax.add_collection(LineCollection(glyph.stripes, colors=INK, linewidths=0.3, zorder=2.5), autolim=False)
    return blocks


def _lighten(color: str, lightness: float) -> Any:
    from matplotlib.colors import to_rgb

    return tuple(1 - (1 - channel) * (1 - lightness) for channel in to_rgb(color))


def draw_loop(ax: Axes, glyph: Glyph) -> None:
    """Draw the arrow of a layer that feeds its output back to itself."""
    from matplotlib.patches import FancyArrowPatch

    x, y = glyph.top
    loop = FancyArrowPatch((x - 5, y), (x + 5, y), arrowstyle="-|>", connectionstyle="arc3,rad=-1.4", mutation_scale=5)
    loop.set(color=INK, linewidth=0.8, zorder=4)
    ax.add_patch(loop)


def write_beside(ax: Axes, names: list[str], glyph: Glyph, layout: Layout, *, side: int) -> list[Text]:
    """Write names before (side=-1) or after (side=1) the nodes of a layer."""
    if not names:
        return []
    assert glyph.nodes is not None
    away = glyph.diameter / 2 + 3
    spacing = np.ptp(glyph.nodes, axis=0).max() / max(len(names) - 1, 1) or np.inf
    style: dict[str, Any] = {"fontsize": min(layout.fontsize, 0.85 * spacing), "color": INK}
    if layout.orientation == "horizontal":
        style |= {"ha": "right" if side < 0 else "left", "va": "center_baseline"}
        offset = (side * away, 0.0)
    else:
        style |= {"ha": "center", "va": "bottom" if side < 0 else "top", "rotation": 90}
        offset = (0.0, -side * away)
    positions = (glyph.nodes + np.array(offset)).tolist()
    return [ax.text(x, y, name, **style) for (x, y), name in zip(positions, names, strict=True)]


def write_header(ax: Axes, title: str, signs: list[str], height: float, fontsize: float) -> Text:
    """Write the title, and below it what the colours of the weights mean."""
    style: dict[str, Any] = {"va": "top", "fontsize": fontsize}
    written = ax.text(MARGIN, height - MARGIN, title, color=INK, weight="bold", ha="left", **style)
    x = MARGIN
    for text, color in zip(signs, (_POSITIVE, _NEGATIVE), strict=False):
        ax.text(x, height - MARGIN - (LINE_HEIGHT + 0.3) * fontsize, text, color=color, ha="left", **style)
        x += (text_width([text]) + 1.0) * fontsize
    return written
