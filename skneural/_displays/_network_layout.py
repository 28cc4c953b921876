"""Where the parts of a network's picture stand: geometry in points, from sizes alone."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._network_layers import NetworkLayer

Orientation = Literal["horizontal", "vertical"]
Segment = tuple[tuple[float, float], tuple[float, float]]

# Points, but for shares of the picture and for _LINE, in heights of the font.
MARGIN = 6.0
_GAP = 14.0
_LINE = 1.3
_NODE_SPACING = 26.0
_NODE_DIAMETER = 15.0
_LOOP = 12.0
_ARC_ROOM = 16.0


class Label(NamedTuple):
    """Text at a layer: its name and what there is to say of it."""

    title: str
    body: str

    @property
    def n_lines(self) -> int:
        return self.title.count("\n") + self.body.count("\n") + 2


class Extent(NamedTuple):
    """Width and height of a text, in heights of its font."""

    width: float
    height: float


@dataclass(frozen=True)
class Room:
    """Where one layer is drawn: the centre and the size of the room for it, and the top of its label."""

    x: float
    y: float
    width: float
    height: float
    label: tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """All rooms of a picture, and the size of its font."""

    orientation: Orientation
    fontsize: float
    rooms: list[Room]
    edge: float  # the y (horizontal) or x (vertical) that connections past a layer bend to


@dataclass(frozen=True)
class Glyph:
    """The outline of one layer: nodes of shape (n_nodes, 2), or faces with how light each is."""

    entry: Segment
    exit: Segment
    nodes: NDArray[np.float64] | None = None
    diameter: float = 0.0
    faces: tuple[tuple[NDArray[np.float64], float], ...] = ()
    stripes: tuple[Segment, ...] = ()

    @property
    def top(self) -> tuple[float, float]:
        """The middle of the upper edge."""
        points = self._points()
        return float(points[:, 0].min() + points[:, 0].max()) / 2, float(points[:, 1].max()) + self.diameter / 2

    @property
    def left(self) -> tuple[float, float]:
        """The middle of the left edge."""
        points = self._points()
        return float(points[:, 0].min()) - self.diameter / 2, float(points[:, 1].min() + points[:, 1].max()) / 2

    def _points(self) -> NDArray[np.float64]:
        return self.nodes if self.nodes is not None else np.concatenate([corners for corners, _ in self.faces])


def label_layer(layer: NetworkLayer, orientation: Orientation, *, is_output: bool) -> Label:
    """Write the label of a layer, narrow under a column or wide beside a row."""
    name = f"Output: {layer.name}" if is_output else layer.name
    # The space within a note is kept together.
    notes = ", ".join(note.replace(" ", "\xa0") for note in (layer.activation, *layer.notes) if note)
    count = f"{layer.n_parameters:,} param{'' if layer.n_parameters == 1 else 's'}" if layer.n_parameters else ""
    if orientation == "horizontal":
        lines = [layer.size, *textwrap.wrap(notes, 16, break_long_words=False), count]
        return Label(textwrap.fill(name, 14, break_long_words=False), _join(lines, "\n"))
    described = " · ".join(filter(None, [notes, count]))
    return Label(f"{name} · {layer.size}", _join(textwrap.wrap(described, 48, break_long_words=False), "\n"))


def _join(texts: Sequence[str], separator: str) -> str:
    return separator.join(filter(None, texts)).replace("\xa0", " ")


def horizontal_layout(
    size: tuple[float, float], extents: Sequence[Extent], ends: tuple[float, float], header: float, *, fontsize: float
) -> Layout:
    """Put the layers side by side, labels below.

    ``size`` is that of the picture in points; ``extents`` are those of the labels, ``ends`` the widths of the names at
    the input and at the output, and ``header`` the height of what stands above, each in heights of the font.
    """
    width, height = size
    gap = min(_GAP, 0.15 * width / len(extents))
    free = width - 2 * MARGIN - gap * (len(extents) + 1)
    label_height = max(extent.height for extent in extents)
    text_width = sum(extent.width for extent in extents) + sum(ends)
    fontsize = min(fontsize, free / text_width, 0.6 * height / (label_height + header))
    spread = (free - text_width * fontsize) / len(extents)
    widths = [extent.width * fontsize + spread for extent in extents]
    starts = MARGIN + ends[0] * fontsize + gap + np.cumsum([0.0, *(w + gap for w in widths[:-1])])
    below = MARGIN + label_height * fontsize
    top = height - MARGIN - header * fontsize
    room_height = top - below - 8
    room_width = min(90.0, 0.85 * min(widths))
    rooms = [
        Room(start + w / 2, below + 6 + room_height / 2, room_width, room_height, (start + w / 2, below))
        for start, w in zip(starts.tolist(), widths, strict=True)
    ]
    return Layout("horizontal", fontsize, rooms, top - 2)


def vertical_layout(
    size: tuple[float, float], extents: Sequence[Extent], ends: tuple[float, float], header: float, *, fontsize: float
) -> Layout:
    """Put the layers one below the other, labels at the right; for the parameters see `horizontal_layout`."""
    width, height = size
    n_layers = len(extents)
    label_width = max(extent.width for extent in extents)
    label_height = max(extent.height for extent in extents)
    fontsize = min(
        fontsize,
        0.6 * (width - 2 * MARGIN) / label_width,
        (height - 2 * MARGIN) / (n_layers * 1.08 * label_height + header + sum(ends) + 1),
    )
    row = (height - 2 * MARGIN - (header + sum(ends)) * fontsize - 8) / n_layers
    room_width = width - 2 * MARGIN - label_width * fontsize - 14
    label_x = width - MARGIN - label_width * fontsize
    first = height - MARGIN - (header + ends[0]) * fontsize - 4 - row / 2
    rooms = [
        Room(
            MARGIN + room_width / 2,
            first - position * row,
            room_width,
            0.62 * row,
            (label_x, first - position * row + extent.height * fontsize / 2),
        )
        for position, extent in enumerate(extents)
    ]
    return Layout("vertical", fontsize, rooms, MARGIN)


def place_glyphs(layers: Sequence[NetworkLayer], layout: Layout, max_nodes: int) -> list[Glyph]:
    """Outline every layer in its room, each size in proportion to the largest of its kind in the network."""
    largest = _Largest(
        max((n or 1 for layer in layers if len(layer.shape) > 1 for n in layer.shape[:-1]), default=1),
        max((layer.shape[-1] or 1 for layer in layers if layer.shape), default=1),
    )
    has_arcs = any(source != position - 1 for position, layer in enumerate(layers) for source in layer.sources)
    return [
        _glyph(layer, _without_edge(room, layer, layout, has_arcs=has_arcs), layout, largest, max_nodes)
        for layer, room in zip(layers, layout.rooms, strict=True)
    ]


def is_drawn_as_nodes(layer: NetworkLayer, max_nodes: int) -> bool:
    """Whether a layer is small and plain enough for a node for each of its units."""
    is_plain = layer.kind in ("input", "dense") and len(layer.shape) == 1
    return is_plain and layer.shape[0] is not None and layer.shape[0] <= max_nodes


class _Largest(NamedTuple):
    """The largest extent in space or time, and the most units or channels, in a network."""

    extent: int
    units: int

    def share_of_extent(self, extent: int | None) -> float:
        return math.sqrt((extent or self.extent / 2) / self.extent)

    def share_of_units(self, units: int | None) -> float:
        return math.log1p(units or self.units / 2) / math.log1p(self.units)


def _without_edge(room: Room, layer: NetworkLayer, layout: Layout, *, has_arcs: bool) -> Room:
    """Keep free what connections past a layer and the loop of a recurrent layer need."""
    width, height, x, y = room.width, room.height, room.x, room.y
    if has_arcs and layout.orientation == "horizontal":
        height, y = height - _ARC_ROOM, y - _ARC_ROOM / 2
    elif has_arcs:
        width, x = width - _ARC_ROOM, x + _ARC_ROOM / 2
    if layer.kind == "recurrent":
        loop = min(_LOOP, 0.4 * height)
        # Above and below, so that the layer stays in the line of the others.
        height -= 2 * loop if layout.orientation == "horizontal" else loop
    return Room(x, y, width, height, room.label)


def _glyph(layer: NetworkLayer, room: Room, layout: Layout, largest: _Largest, max_nodes: int) -> Glyph:
    is_vertical = layout.orientation == "vertical"
    if is_drawn_as_nodes(layer, max_nodes):
        return _nodes(int(layer.shape[0] or 1), room, is_vertical=is_vertical)
    units = largest.share_of_units(layer.shape[-1]) if layer.shape else 1.0
    if len(layer.shape) <= 1:
        across, along = (room.width, room.height) if is_vertical else (room.height, room.width)
        length, thickness = across * (0.15 + 0.8 * units), min(14.0, 0.7 * along)
        return _rectangle(room, (length, thickness) if is_vertical else (thickness, length), is_vertical=is_vertical)
    if len(layer.shape) == 2:
        steps = largest.share_of_extent(layer.shape[0])
        width = min(room.width, 90.0) * (0.2 + 0.8 * steps)
        height = min(room.height, 110.0) * (0.15 + 0.85 * units)
        n_stripes = min(layer.shape[0] or 6, 12)
        return _rectangle(room, (width, height), is_vertical=is_vertical, n_stripes=n_stripes)
    shares = [largest.share_of_extent(extent) for extent in layer.shape[-3:-1]]
    return _cuboid(room, (shares[0], shares[1], units), is_vertical=is_vertical)


def _nodes(n_nodes: int, room: Room, *, is_vertical: bool) -> Glyph:
    across = room.width if is_vertical else room.height
    spacing = min(_NODE_SPACING, across / n_nodes)
    diameter = min(_NODE_DIAMETER, 0.72 * spacing, room.height if is_vertical else room.width)
    offsets = spacing * (np.arange(n_nodes) - (n_nodes - 1) / 2)
    middle = np.zeros(n_nodes)
    # The first unit is the uppermost, or the leftmost.
    centre = np.array([room.x, room.y])
    nodes = centre + np.column_stack((offsets, middle) if is_vertical else (middle, -offsets))
    half = np.array([0.0, diameter / 2] if is_vertical else [-diameter / 2, 0.0])
    entry, leaving = nodes[[0, -1]] + half, nodes[[0, -1]] - half
    return Glyph(_segment(entry), _segment(leaving), nodes=nodes, diameter=diameter)


def _rectangle(room: Room, size: tuple[float, float], *, is_vertical: bool, n_stripes: int = 1) -> Glyph:
    x, y = room.x - size[0] / 2, room.y - size[1] / 2
    corners = np.array([[x, y], [x + size[0], y], [x + size[0], y + size[1]], [x, y + size[1]]])
    stripes = tuple(((at, y), (at, y + size[1])) for at in np.linspace(x, x + size[0], n_stripes + 1)[1:-1].tolist())
    return _block(((corners, 0.0),), corners, stripes, is_vertical=is_vertical)


def _cuboid(room: Room, shares: tuple[float, float, float], *, is_vertical: bool) -> Glyph:
    """Outline height x width x channels: the width runs into the picture, the channels to the right."""
    width = min(room.width, 90.0, 1.3 * room.height)
    depth_x = 0.45 * width * shares[1]
    depth_y = 0.6 * depth_x
    height = min(room.height - 0.27 * width, 1.2 * width) * shares[0]
    thickness = 0.04 * width + 0.5 * width * shares[2]
    x, y = room.x - (thickness + depth_x) / 2, room.y - (height + depth_y) / 2
    into = np.array([depth_x, depth_y])
    front = np.array([[x, y], [x + thickness, y], [x + thickness, y + height], [x, y + height]])
    top = np.array([front[3], front[2], front[2] + into, front[3] + into])
    side = np.array([front[1], front[1] + into, front[2] + into, front[2]])
    box = np.array([front[0], front[1] + into * (1, 0), front[2] + into, front[3] + into * (0, 1)])
    return _block(((front, 0.0), (top, 0.45), (side, 0.2)), box, (), is_vertical=is_vertical)


def _block(
    faces: tuple[tuple[NDArray[np.float64], float], ...],
    box: NDArray[np.float64],
    stripes: tuple[Segment, ...],
    *,
    is_vertical: bool,
) -> Glyph:
    """Make a glyph of faces within a box of corners (4, 2): lower left, lower right, upper right, upper left."""
    entry, leaving = (box[[3, 2]], box[[0, 1]]) if is_vertical else (box[[3, 0]], box[[2, 1]])
    return Glyph(_segment(entry), _segment(leaving), faces=faces, stripes=stripes)


def _segment(points: NDArray[np.float64]) -> Segment:
    (x0, y0), (x1, y1) = points.tolist()
    return (x0, y0), (x1, y1)
