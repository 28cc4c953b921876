"""Rows in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ._requirements import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.legend import Legend

# Of more rows points would hide each other: cells are shaded instead.
_MOST_POINTS = 20_000
_CELLS_ACROSS = 200
_THUMBNAILS_ACROSS = 12
_FAINTEST = 0.15


class EmbeddingDisplay:
    """A map of rows: one point each, or shaded cells where there are more than 20,000, in the colours of y.

    It is recommended to use :meth:`from_estimator` or :meth:`from_embedding` to make an `EmbeddingDisplay`. All
    parameters are stored as attributes.

    Parameters
    ----------
    embedding : array-like of shape (n_rows, n_components)
        Where each row is, in two dimensions or more.
    y : array-like of shape (n_rows,), default=None
        Labels, which get a colour each and a legend, or numbers, which get a colour bar.
    images : array-like of shape (n_rows, height, width) or (n_rows, height, width, channels), default=None
        What the rows look like, for thumbnails.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure that holds them.
    points_ : list of matplotlib PathCollection
        The points, those of a label each; empty where cells are shaded.
    cells_ : matplotlib AxesImage or None
        The shaded cells.
    legend_ : matplotlib Legend or None
        The legend of the labels.
    colorbar_ : matplotlib Colorbar or None
        The colour bar of numbers.
    thumbnails_ : list of int
        The rows whose images are shown.

    See Also
    --------
    NeighborEmbedding : What finds such a map.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skneural import EmbeddingDisplay
    >>> flowers = load_iris()
    >>> species = flowers.target_names[flowers.target]
    >>> display = EmbeddingDisplay.from_estimator(PCA(2).fit(flowers.data), flowers.data, species)
    >>> [text.get_text() for text in display.legend_.get_texts()]
    ['setosa', 'versicolor', 'virginica']
    >>> display.figure_.savefig("flowers.png")  # doctest: +SKIP
    """

    __module__ = "skneural"

    ax_: Axes
    figure_: Figure
    points_: list[PathCollection]
    cells_: AxesImage | None
    legend_: Legend | None
    colorbar_: Colorbar | None
    thumbnails_: list[int]

    def __init__(self, *, embedding: ArrayLike, y: ArrayLike | None = None, images: ArrayLike | None = None) -> None:
        self.embedding = embedding
        self.y = y
        self.images = images

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        image_shape: Sequence[int] | None = None,
        **plot_arguments: Any,
    ) -> Self:
        """Draw where a fitted estimator places rows.

        Parameters
        ----------
        estimator : estimator with ``transform``
            Such as a NeighborEmbedding, an Autoencoder, a PCA or a Pipeline that ends in one, fitted.
        X : array-like, sparse matrix or DataFrame of shape (n_rows, n_features)
            The rows to draw.
        y : array-like of shape (n_rows,), default=None
            Labels or numbers of the rows.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of the images that rows of X are. None takes the estimator's.
        **plot_arguments : dict
            Arguments of :meth:`plot`.

        Returns
        -------
        display : EmbeddingDisplay
            The drawn display.
        """
        check_is_fitted(estimator)
        shape = getattr(estimator, "image_shape", None) if image_shape is None else image_shape
        images = None
        if shape is not None and plot_arguments.get("thumbnails"):
            images = as_images(cls.__name__, X, tuple(shape))
        return cls(embedding=estimator.transform(X), y=y, images=images).plot(**plot_arguments)

    @classmethod
    def from_embedding(
        cls, embedding: ArrayLike, y: ArrayLike | None = None, *, images: ArrayLike | None = None, **plot_arguments: Any
    ) -> Self:
        """Draw places that are known already.

        Parameters
        ----------
        embedding : array-like of shape (n_rows, n_components)
            Where each row is.
        y : array-like of shape (n_rows,), default=None
            Labels or numbers of the rows.
        images : array-like of shape (n_rows, height, width) or (n_rows, height, width, channels), default=None
            What the rows look like, for thumbnails.
        **plot_arguments : dict
            Arguments of :meth:`plot`.

        Returns
        -------
        display : EmbeddingDisplay
            The drawn display.
        """
        return cls(embedding=embedding, y=y, images=images).plot(**plot_arguments)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        components: tuple[int, int] = (0, 1),
        cmap: str | None = None,
        thumbnails: bool = False,
        scatter_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on. None makes a new figure.
        components : tuple of two int, default=(0, 1)
            The columns of the embedding to draw, across and upwards.
        cmap : str, default=None
            Colours: None is "tab10" for up to ten labels, "turbo" for more, and "viridis" for numbers.
        thumbnails : bool, default=False
            Whether images stand at some of the places, at most one in each of 12 by 12 squares.
        scatter_kw : dict, default=None
            Keyword arguments passed to Matplotlib's `scatter`.

        Returns
        -------
        display : EmbeddingDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        places = self._places(components)
        labels, numbers = self._labels_or_numbers(len(places))
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure.get_figure(root=True)
        self.points_, self.cells_, self.legend_, self.colorbar_, self.thumbnails_ = [], None, None, None, []
        colors = label_colors(labels, cmap)
        if len(places) > _MOST_POINTS:
            self._shade(places, labels, numbers, colors, cmap)
        else:
            self._scatter(places, labels, numbers, colors, cmap, dict(scatter_kw or {}))
        if labels is not None:
            self.legend_ = _legend(self.ax_, np.unique(labels), colors)
        if thumbnails:
            self._draw_thumbnails(places)
        self.ax_.set_aspect("equal", adjustable="datalim")
        self.ax_.set_xlabel(f"component {components[0]}")
        self.ax_.set_ylabel(f"component {components[1]}")
        return self

    def _places(self, components: tuple[int, int]) -> NDArray[np.float64]:
        owner = type(self).__name__
        embedding = np.asarray(self.embedding, dtype=np.float64)
        if embedding.ndim != 2 or embedding.shape[1] < 2 or not len(embedding):
            raise ValueError(
                f"The embedding of {owner} must have the shape (n_rows, n_components) with two components or more. "
                f"Got {embedding.shape}."
            )
        n_components = embedding.shape[1]
        if len(components) != 2 or any(not -n_components <= one < n_components for one in components):
            raise ValueError(
                f"The 'components' of {owner}.plot must be two column numbers below {n_components}. Got {components!r}."
            )
        places: NDArray[np.float64] = embedding[:, list(components)]
        return places

    def _labels_or_numbers(self, n_rows: int) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        if self.y is None:
            return None, None
        y = column_or_1d(self.y)
        if len(y) != n_rows:
            raise ValueError(
                f"The y of {type(self).__name__} must have an entry for each row. Got {len(y)} of {n_rows}."
            )
        is_number = type_of_target(y).startswith("continuous")
        return (None, y.astype(float)) if is_number else (y, None)

    def _scatter(
        self,
        places: NDArray[np.float64],
        labels: NDArray[Any] | None,
        numbers: NDArray[Any] | None,
        colors: NDArray[np.float64],
        cmap: str | None,
        style: dict[str, Any],
    ) -> None:
        style = {"s": float(np.clip(20_000 / len(places), 2, 30)), "linewidths": 0} | style
        if labels is None:
            by_number: dict[str, Any] = {} if numbers is None else {"c": numbers, "cmap": cmap or "viridis"}
            self.points_ = [self.ax_.scatter(places[:, 0], places[:, 1], **by_number, **style)]
            if numbers is not None:
                self.colorbar_ = self.ax_.figure.colorbar(self.points_[0], ax=self.ax_)
            return
        for label, color in zip(np.unique(labels), colors, strict=True):
            across, upwards = places[labels == label].T
            self.points_.append(self.ax_.scatter(across, upwards, color=color, label=str(label), **style))

    def _shade(
        self,
        places: NDArray[np.float64],
        labels: NDArray[Any] | None,
        numbers: NDArray[Any] | None,
        colors: NDArray[np.float64],
        cmap: str | None,
    ) -> None:
        """Colour cells by the mean of what is in them, the fainter the fewer rows."""
        import matplotlib as mpl

        counts, across, upwards = np.histogram2d(places[:, 0], places[:, 1], bins=_CELLS_ACROSS)

        def sums(weights: NDArray[Any]) -> NDArray[np.float64]:
            return np.histogram2d(places[:, 0], places[:, 1], bins=[across, upwards], weights=weights)[0]

        cells = np.zeros((*counts.shape, 4))
        filled = counts > 0
        if labels is not None:
            of_rows = colors[np.unique(labels, return_inverse=True)[1]]
            for channel in range(3):
                cells[..., channel][filled] = sums(of_rows[:, channel])[filled] / counts[filled]
        elif numbers is not None:
            scale = mpl.colors.Normalize(numbers.min(), numbers.max())
            colored = mpl.cm.ScalarMappable(scale, cmap or "viridis")
            cells[filled] = colored.to_rgba(sums(numbers)[filled] / counts[filled])
            self.colorbar_ = self.ax_.figure.colorbar(colored, ax=self.ax_)
        share = np.log1p(counts) / np.log1p(counts.max())
        cells[..., 3] = np.where(filled, _FAINTEST + (1 - _FAINTEST) * share, 0)
        extent = (across[0], across[-1], upwards[0], upwards[-1])
        self.cells_ = self.ax_.imshow(cells.transpose(1, 0, 2), origin="lower", extent=extent, interpolation="nearest")

    def _draw_thumbnails(self, places: NDArray[np.float64]) -> None:
        """Show the row nearest to the middle of each square that has rows."""
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        if self.images is None:
            raise ValueError(
                f"{type(self).__name__} has no images for thumbnails=True. Give images=..., or image_shape=... of the "
                "rows in from_estimator."
            )
        images = np.asarray(self.images)
        if images.ndim not in (3, 4) or len(images) != len(places):
            raise ValueError(
                f"The images of {type(self).__name__} must have the shape (n_rows, height, width) or (n_rows, height, "
                f"width, channels) with {len(places)} rows. Got {images.shape}."
            )
        low = places.min(axis=0)
        width = np.maximum((places.max(axis=0) - low) / _THUMBNAILS_ACROSS, np.finfo(float).tiny)
        squares = np.minimum(((places - low) / width).astype(int), _THUMBNAILS_ACROSS - 1)
        from_middle = (((places - low) / width - squares - 0.5) ** 2).sum(axis=1)
        order = np.lexsort((from_middle, squares[:, 1], squares[:, 0]))
        _, first = np.unique(squares[order], axis=0, return_index=True)
        self.thumbnails_ = sorted(order[first].tolist())
        for row in self.thumbnails_:
            shown = images[row][..., 0] if images.shape[3:] == (1,) else images[row]
            picture = OffsetImage(shown, zoom=24 / max(shown.shape[:2]), cmap="gray_r")
            self.ax_.add_artist(AnnotationBbox(picture, places[row], frameon=False))


def _new_axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7, 6), layout="constrained")[1]


def as_images(owner: str, X: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    rows = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
    rows = rows.reshape(len(rows), -1)
    if len(shape) not in (2, 3) or math.prod(shape) != rows.shape[1]:
        raise ValueError(
            f"The 'image_shape' parameter of {owner} must be (height, width) or (height, width, channels) with a "
            f"product of {rows.shape[1]}, the number of columns. Got {shape}."
        )
    return rows.reshape(len(rows), *shape)


def label_colors(labels: NDArray[Any] | None, cmap: str | None) -> NDArray[np.float64]:
    """Give a colour for each label, shape (n_labels, 4)."""
    import matplotlib as mpl

    if labels is None:
        return np.empty((0, 4))
    n_labels = len(np.unique(labels))
    chosen = mpl.colormaps[cmap or ("tab10" if n_labels <= 10 else "turbo")]
    # Colour maps of few colours are taken one by one, others evenly.
    places = np.arange(n_labels) if n_labels <= chosen.N and chosen.N <= 20 else np.linspace(0, 1, n_labels)
    return np.asarray(chosen(places))


def _legend(ax: Axes, labels: NDArray[Any], colors: NDArray[np.float64]) -> Legend:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", color=color, label=str(label))
        for label, color in zip(labels, colors, strict=True)
    ]
    return ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
