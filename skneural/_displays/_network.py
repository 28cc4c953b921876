"""A network as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import keras

from ._network_drawing import (
    INK,
    LINE_HEIGHT,
    SOFT_INK,
    draw_arc,
    draw_block,
    draw_edges,
    draw_funnel,
    draw_loop,
    draw_nodes,
    has_edges,
    text_width,
    write_beside,
    write_header,
)
from ._network_layers import NetworkLayer, read_layers
from ._network_layout import (
    MARGIN,
    Extent,
    Glyph,
    Label,
    Layout,
    Orientation,
    horizontal_layout,
    is_drawn_as_nodes,
    label_layer,
    place_glyphs,
    vertical_layout,
)
from ._network_names import class_names_of, feature_names_of, shorten
from ._requirements import check_matplotlib, path_to_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon
    from matplotlib.text import Text

# By P. Tol: told apart with any colour vision.
_COLORS = {
    "input": "#dddddd",
    "dense": "#99ddff",
    "convolution": "#44bb99",
    "pooling": "#bbcc33",
    "recurrent": "#ffaabb",
    "embedding": "#eedd88",
    "merge": "#ee8866",
    "other": "#bbbbbb",
}
_WIDEST_FIGURE = 14.0 * 72
_LEAST_FONTSIZE = 6.0


class NetworkDisplay:
    """A network as a picture: its layers with their sizes, activations and numbers of parameters.

    Small dense layers are drawn as nodes, with the weights between them as lines: blue for positive, orange for
    negative weights, the wider and darker the larger in size, in proportion to the largest weight of the layer. Other
    layers are blocks: bars for units, striped rectangles for timesteps x units, and boxes for height x width x
    channels. Layers without nodes of their own, such as dropout, are noted at the layer before.

    It is recommended to use :meth:`from_estimator` or :meth:`from_model` to make a `NetworkDisplay`. All parameters
    are stored as attributes.

    Parameters
    ----------
    layers : list of NetworkLayer
        The layers to draw, the input first, as :meth:`from_model` reads them.
    name : str, default=None
        Name of the network, put before the number of its parameters.
    feature_names : sequence of str, default=None
        Names of the inputs, drawn where the inputs are nodes.
    class_names : sequence of str, default=None
        Names of the outputs, drawn where the outputs are nodes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure that holds them.
    title_ : matplotlib Text
        The name and the number of all parameters.
    labels_ : list of matplotlib Text
        Name and description of each layer, two texts per layer.
    nodes_ : dict of int to matplotlib PathCollection
        The nodes, by the position of their layer in `layers`.
    blocks_ : dict of int to list of matplotlib Polygon
        The blocks, by the position of their layer.
    edges_ : dict of int to matplotlib LineCollection
        The weights that lead into a layer, by its position: first those of the first node before it.
    feature_labels_ : list of matplotlib Text
        The names at the input.
    class_labels_ : list of matplotlib Text
        The names at the output.

    See Also
    --------
    TrainingCurveDisplay : How the training went.

    Examples
    --------
    >>> from skneural import NetworkDisplay
    >>> import keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    >>> display = NetworkDisplay.from_model(model)
    >>> display.title_.get_text()
    '13 parameters'
    >>> display.figure_.savefig("network.png")  # doctest: +SKIP
    """

    __module__ = "skneural"

    ax_: Axes
    figure_: Figure
    title_: Text
    labels_: list[Text]
    nodes_: dict[int, PathCollection]
    blocks_: dict[int, list[Polygon]]
    edges_: dict[int, LineCollection]
    feature_labels_: list[Text]
    class_labels_: list[Text]

    def __init__(
        self,
        *,
        layers: Sequence[NetworkLayer],
        name: str | None = None,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.layers = layers
        self.name = name
        self.feature_names = feature_names
        self.class_names = class_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Axes | None = None,
        orientation: str = "auto",
        max_nodes: int = 16,
        name: str | None = None,
    ) -> Self:
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with a Keras model in `model_`. Of a fitted :class:`~sklearn.pipeline.Pipeline` the last
            step is taken, of a fitted search its `best_estimator_`.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.
        orientation : {"auto", "horizontal", "vertical"}, default="auto"
            Whether the layers follow each other from left to right or downwards. "auto" takes the way in which the
            text can be larger, from left to right where it makes no difference.
        max_nodes : int, default=16
            Input and dense layers up to this size are drawn as nodes.
        name : str, default=None
            Name of the network. None takes the name of the estimator's class.

        Returns
        -------
        NetworkDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network, or :meth:`plot` raises it.
        ValueError
            If the network has several inputs, or :meth:`plot` raises it.
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skneural import DenseNetClassifier, NetworkDisplay
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> classifier = DenseNetClassifier((5,), epochs=2, random_state=0).fit(X, y)
        >>> display = NetworkDisplay.from_estimator(classifier)
        >>> [text.get_text() for text in display.class_labels_]
        ['0', '1', '2']
        """
        caller = f"{cls.__name__}.from_estimator"
        if isinstance(estimator, keras.Model):
            raise TypeError(f"{caller} needs an estimator. Got a keras.Model: use {cls.__name__}.from_model instead.")
        path = path_to_network(estimator, "model_", holds="has its Keras network", caller=caller)
        layers = read_layers(path[-1].model_, caller)
        display = cls(
            layers=layers,
            name=type(path[-1]).__name__ if name is None else name,
            feature_names=feature_names_of(path),
            class_names=class_names_of(path[-1], layers[-1]),
        )
        return display.plot(ax, orientation=orientation, max_nodes=max_nodes)

    @classmethod
    def from_model(
        cls,
        model: keras.Model,
        *,
        ax: Axes | None = None,
        orientation: str = "auto",
        max_nodes: int = 16,
        name: str | None = None,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Draw a Keras model.

        Parameters
        ----------
        model : keras.Sequential or functional keras.Model
            A built model with one input. Connections past other layers are drawn as arcs.
        ax : matplotlib Axes, default=None
            The axes to draw on. With None, a new figure is made.
        orientation : {"auto", "horizontal", "vertical"}, default="auto"
            Whether the layers follow each other from left to right or downwards. "auto" takes the way in which the
            text can be larger, from left to right where it makes no difference.
        max_nodes : int, default=16
            Input and dense layers up to this size are drawn as nodes.
        name : str, default=None
            Name of the network, put before the number of its parameters.
        feature_names : sequence of str, default=None
            Names of the inputs, drawn where the inputs are nodes.
        class_names : sequence of str, default=None
            Names of the outputs, drawn where the outputs are nodes.

        Returns
        -------
        NetworkDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `model` is no Keras model or does not tell how its layers follow each other.
        ValueError
            If `model` is not built or has several inputs, or :meth:`plot` raises it.
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> from skneural import NetworkDisplay
        >>> import keras
        >>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 3), keras.layers.Flatten()])
        >>> NetworkDisplay.from_model(model).labels_[3].get_text().splitlines()
        ['26 × 26 × 8', 'linear,', 'flattened', '80 params']
        """
        layers = read_layers(model, f"{cls.__name__}.from_model")
        display = cls(layers=layers, name=name, feature_names=feature_names, class_names=class_names)
        return display.plot(ax, orientation=orientation, max_nodes=max_nodes)

    def plot(self, ax: Axes | None = None, *, orientation: str = "auto", max_nodes: int = 16) -> Self:
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on; their frame and ticks are switched off. With None, a new figure is made.
        orientation : {"auto", "horizontal", "vertical"}, default="auto"
            Whether the layers follow each other from left to right or downwards. "auto" takes the way in which the
            text can be larger, from left to right where it makes no difference.
        max_nodes : int, default=16
            Input and dense layers up to this size are drawn as nodes.

        Returns
        -------
        NetworkDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `orientation` or `max_nodes` is out of range, or there are not as many names as nodes.
        TypeError
            If `ax` is not Axes.
        ImportError
            If Matplotlib is not installed.

        Notes
        -----
        Text is fitted to the size that the axes have when they are drawn on. Draw again after changing it.

        Examples
        --------
        >>> from skneural import NetworkDisplay
        >>> import keras
        >>> from matplotlib.figure import Figure
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> axes = Figure().subplots()
        >>> NetworkDisplay.from_model(model, ax=axes).ax_ is axes
        True
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        self._check_parameters(ax, orientation, max_nodes)
        names = self._names_drawn(max_nodes)
        title = self._title()
        signs = _signs(self.layers, max_nodes)

        layouts = _Layouts(self.layers, names, title, signs)
        self.ax_ = _new_axes(layouts.natural_size(orientation)) if ax is None else ax
        self.figure_ = self.ax_.figure.get_figure(root=True)
        width, height = _size_in_points(self.ax_)
        layout, labels = layouts.fit((width, height), orientation)
        self.ax_.set(xlim=(0, width), ylim=(0, height))
        self.ax_.set_axis_off()

        glyphs = place_glyphs(self.layers, layout, max_nodes)
        self._draw_connections(glyphs, layout)
        self._draw_layers(glyphs)
        self._write_labels(labels, layout)
        self._write_names(names, glyphs, layout)
        self.title_ = write_header(self.ax_, title, signs, height, layout.fontsize)
        return self

    def _check_parameters(self, ax: Any, orientation: Any, max_nodes: Any) -> None:
        from matplotlib.axes import Axes

        owner = type(self).__name__
        if ax is not None and not isinstance(ax, Axes):
            raise TypeError(
                f"The 'ax' parameter of {owner} must be a matplotlib Axes. Got {type(ax).__name__} instead."
            )
        if orientation not in ("auto", "horizontal", "vertical"):
            raise ValueError(
                f"The 'orientation' parameter of {owner} must be 'auto', 'horizontal' or 'vertical'. "
                f"Got {orientation!r} instead."
            )
        if not isinstance(max_nodes, Integral) or isinstance(max_nodes, bool) or max_nodes < 0:
            raise ValueError(
                f"The 'max_nodes' parameter of {owner} must be an int in the range [0, inf). Got {max_nodes!r} instead."
            )
        for parameter, names, layer in (
            ("feature_names", self.feature_names, self.layers[0]),
            ("class_names", self.class_names, self.layers[-1]),
        ):
            if names is not None and (len(layer.shape) != 1 or len(names) != layer.shape[0]):
                raise ValueError(
                    f"The '{parameter}' parameter of {owner} must have one name for each of the {layer.size}. "
                    f"Got {len(names)} instead."
                )

    def _names_drawn(self, max_nodes: int) -> tuple[list[str], list[str]]:
        """Shortened names of the inputs and of the outputs, where these are nodes."""
        ends = ((self.feature_names, self.layers[0]), (self.class_names, self.layers[-1]))
        features, classes = (
            [shorten(str(name)) for name in names] if names is not None and is_drawn_as_nodes(layer, max_nodes) else []
            for names, layer in ends
        )
        return features, classes

    def _title(self) -> str:
        n_parameters = sum(layer.n_parameters for layer in self.layers)
        count = f"{n_parameters:,} parameter{'' if n_parameters == 1 else 's'}"
        return count if self.name is None else f"{self.name}: {count}"

    def _draw_connections(self, glyphs: list[Glyph], layout: Layout) -> None:
        self.edges_ = {}
        for position, layer in enumerate(self.layers):
            for source in layer.sources:
                start, end = glyphs[source], glyphs[position]
                if source != position - 1:
                    draw_arc(self.ax_, start, end, layout)
                elif has_edges(layer, start, end):
                    self.edges_[position] = draw_edges(self.ax_, layer, start, end)
                else:
                    draw_funnel(self.ax_, start, end)

    def _draw_layers(self, glyphs: list[Glyph]) -> None:
        self.nodes_, self.blocks_ = {}, {}
        for position, (layer, glyph) in enumerate(zip(self.layers, glyphs, strict=True)):
            if glyph.nodes is not None:
                self.nodes_[position] = draw_nodes(self.ax_, glyph, _COLORS[layer.kind])
            else:
                self.blocks_[position] = draw_block(self.ax_, glyph, _COLORS[layer.kind])
            if layer.kind == "recurrent":
                draw_loop(self.ax_, glyph)

    def _write_labels(self, labels: list[Label], layout: Layout) -> None:
        alignment = "center" if layout.orientation == "horizontal" else "left"
        self.labels_ = []
        for label, room in zip(labels, layout.rooms, strict=True):
            style: dict[str, Any] = {"ha": alignment, "va": "top", "fontsize": layout.fontsize, "linespacing": 1.15}
            x, y = room.label
            below = y - LINE_HEIGHT * layout.fontsize * (label.title.count("\n") + 1)
            self.labels_ += [
                self.ax_.text(x, y, label.title, color=INK, weight="bold", **style),
                self.ax_.text(x, below, label.body, color=SOFT_INK, **style),
            ]

    def _write_names(self, names: tuple[list[str], list[str]], glyphs: list[Glyph], layout: Layout) -> None:
        before = write_beside(self.ax_, names[0], glyphs[0], layout, side=-1)
        after = write_beside(self.ax_, names[1], glyphs[-1], layout, side=1)
        self.feature_labels_, self.class_labels_ = before, after


class _Layouts:
    """The two ways to arrange a network, with the labels that each takes."""

    def __init__(
        self, layers: Sequence[NetworkLayer], names: tuple[list[str], list[str]], title: str, signs: list[str]
    ) -> None:
        self._labels: dict[Orientation, list[Label]] = {}
        self._extents: dict[Orientation, list[Extent]] = {}
        last = len(layers) - 1
        orientations: tuple[Orientation, Orientation] = ("horizontal", "vertical")
        for orientation in orientations:
            labels = [label_layer(layer, orientation, is_output=i == last > 0) for i, layer in enumerate(layers)]
            self._labels[orientation] = labels
            self._extents[orientation] = [_extent(label) for label in labels]
        self._ends = (text_width(names[0]), text_width(names[1]))
        self._header = (LINE_HEIGHT + 0.4) * (1 + bool(signs))
        self._header_width = max(text_width([title], weight="bold"), text_width(["    ".join(signs)]))

    def fit(self, size: tuple[float, float], orientation: str) -> tuple[Layout, list[Label]]:
        """Arrange the layers in a picture of a size in points."""
        fontsize = min(_fontsize(), (size[0] - 2 * MARGIN) / self._header_width)
        arrangements: dict[Orientation, Callable[..., Layout]] = {
            "horizontal": horizontal_layout,
            "vertical": vertical_layout,
        }
        candidates = [
            arrange(size, self._extents[name], self._ends, self._header, fontsize=fontsize)
            for name, arrange in arrangements.items()
            if orientation in ("auto", name)
        ]
        layout = candidates[0]
        if layout.fontsize < min(_LEAST_FONTSIZE, candidates[-1].fontsize):
            layout = candidates[-1]
        return layout, self._labels[layout.orientation]

    def natural_size(self, orientation: str) -> tuple[float, float]:
        """Width and height in points with room for text of the wished size."""
        fontsize = _fontsize()
        extents = self._extents["horizontal"]
        width = sum(max(extent.width * fontsize, 48) + 22 for extent in extents) + sum(self._ends) * fontsize + 30
        width = max(width, self._header_width * fontsize + 2 * MARGIN)
        if orientation == "vertical" or (orientation == "auto" and width > _WIDEST_FIGURE):
            rows = self._extents["vertical"]
            row = max(44.0, 1.5 * fontsize * max(extent.height for extent in rows))
            widest = max(extent.width for extent in rows)
            return max(432.0, 1.9 * widest * fontsize), len(rows) * row + (self._header + sum(self._ends)) * fontsize
        below = max(extent.height for extent in extents)
        return width, 200 + (below + self._header) * fontsize


def _fontsize() -> float:
    """The size of labels in points, which follows the user's setting."""
    import matplotlib as mpl

    return 0.85 * float(mpl.rcParams["font.size"])


def _new_axes(size: tuple[float, float]) -> Axes:
    """Make a figure of a size in points that its axes fill."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(size[0] / 72, size[1] / 72))
    return figure.add_axes((0, 0, 1, 1))


def _size_in_points(ax: Axes) -> tuple[float, float]:
    box = ax.get_window_extent()
    dpi = ax.figure.dpi
    return 72 * box.width / dpi, 72 * box.height / dpi


def _extent(label: Label) -> Extent:
    width = max(text_width(label.title.split("\n"), weight="bold"), text_width(label.body.split("\n")))
    return Extent(width, LINE_HEIGHT * label.n_lines + 0.2)


def _signs(layers: Sequence[NetworkLayer], max_nodes: int) -> list[str]:
    """What the colours of weights mean, where weights are drawn."""
    for position, layer in enumerate(layers):
        previous = layers[position - 1] if position else layer
        drawn = all(is_drawn_as_nodes(end, max_nodes) for end in (previous, layer))
        if drawn and layer.weights is not None and position - 1 in layer.sources:
            return ["— positive weight", "— negative weight"]
    return []
