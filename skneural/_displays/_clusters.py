"""Clusters: where they are, what is typical of them, how large and how tight they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ._embedding import EmbeddingDisplay, as_images, label_colors
from ._requirements import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# To compare all pairs of more rows takes long.
_MOST_ROWS_COMPARED = 5000


class ClusterDisplay:
    """A map of rows in the colours of their clusters, the most typical row of each drawn, and how tight they are.

    Beside the map each cluster has a bar: the silhouettes of its rows, sorted, as thick as it has rows. It is
    recommended to use :meth:`from_estimator` to make a `ClusterDisplay`. All parameters are stored as attributes.

    Parameters
    ----------
    embedding : array-like of shape (n_rows, n_components)
        Where each row is; of more than two dimensions the two principal ones are drawn.
    labels : array-like of shape (n_rows,)
        The cluster of each row, -1 for noise.
    prototypes : array-like of shape (n_clusters,), default=None
        For each cluster the row that is typical of it. None takes the one nearest to the cluster's mean.
    images : array-like of shape (n_rows, height, width) or (n_rows, height, width, channels), default=None
        What the rows look like: prototypes are then drawn as thumbnails in the colours of their clusters, side by side
        with a line to their places.

    Attributes
    ----------
    map_ : EmbeddingDisplay
        The map.
    axes_ : tuple of matplotlib Axes
        The axes of the map and of the silhouettes.
    figure_ : matplotlib Figure
        The figure that holds them.
    prototypes_ : list of matplotlib Artist
        What stands at the prototypes.
    silhouettes_ : list of ndarray
        For each label the silhouettes of its rows, sorted; of at most 5,000 rows together, evenly taken.
    sizes_ : dict of int to int
        The number of rows with each label.

    See Also
    --------
    DeepEmbeddedClustering : What finds such clusters.
    EmbeddingDisplay : The map alone, in any colours.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skneural import ClusterDisplay, DeepEmbeddedClustering
    >>> X, _ = load_iris(return_X_y=True)
    >>> clustering = DeepEmbeddedClustering(3, random_state=0).fit(X)
    >>> display = ClusterDisplay.from_estimator(clustering, X)
    >>> sum(display.sizes_.values())
    150
    >>> display.figure_.savefig("clusters.png")  # doctest: +SKIP
    """

    __module__ = "skneural"

    map_: EmbeddingDisplay
    axes_: tuple[Axes, Axes]
    figure_: Figure
    prototypes_: list[Artist]
    silhouettes_: list[NDArray[np.float64]]
    sizes_: dict[int, int]

    def __init__(
        self,
        *,
        embedding: ArrayLike,
        labels: ArrayLike,
        prototypes: ArrayLike | None = None,
        images: ArrayLike | None = None,
    ) -> None:
        self.embedding = embedding
        self.labels = labels
        self.prototypes = prototypes
        self.images = images

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, image_shape: Sequence[int] | None = None, **plot_arguments: Any
    ) -> Self:
        """Draw the clusters that a fitted estimator finds in rows.

        Parameters
        ----------
        estimator : estimator with ``predict`` and ``transform``
            Such as a DeepEmbeddedClustering, a KMeans or a Pipeline that ends in one, fitted.
        X : array-like, sparse matrix or DataFrame of shape (n_rows, n_features)
            The rows to draw, those of fit or others.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of the images that rows of X are. None takes the estimator's.
        **plot_arguments : dict
            Arguments of :meth:`plot`.

        Returns
        -------
        display : ClusterDisplay
            The drawn display.
        """
        check_is_fitted(estimator)
        shape = getattr(estimator, "image_shape", None) if image_shape is None else image_shape
        images = None if shape is None else as_images(cls.__name__, X, tuple(shape))
        labels = estimator.predict(X)
        return cls(embedding=estimator.transform(X), labels=labels, images=images).plot(**plot_arguments)

    def plot(
        self,
        axes: tuple[Axes, Axes] | None = None,
        *,
        cmap: str | None = None,
        scatter_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the display.

        Parameters
        ----------
        axes : tuple of two matplotlib Axes, default=None
            The axes for the map and for the silhouettes. None makes a new figure.
        cmap : str, default=None
            Colours: None is "tab10" for up to ten labels, "turbo" for more.
        scatter_kw : dict, default=None
            Keyword arguments passed to Matplotlib's `scatter`.

        Returns
        -------
        display : ClusterDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        embedding, labels = self._checked()
        self.axes_ = _new_axes() if axes is None else axes
        self.figure_ = self.axes_[0].figure.get_figure(root=True)
        places = _in_two_dimensions(embedding)
        self.map_ = EmbeddingDisplay(embedding=places, y=labels).plot(self.axes_[0], cmap=cmap, scatter_kw=scatter_kw)
        if self.map_.legend_ is not None:
            # The bars beside the map have the labels.
            self.map_.legend_.remove()
        names = np.unique(labels)
        self.sizes_ = {int(name): int((labels == name).sum()) for name in names}
        colors = label_colors(labels, cmap)
        self._draw_prototypes(embedding, places, labels, dict(zip(names.tolist(), colors, strict=True)))
        self._draw_silhouettes(embedding, labels, names, colors)
        return self

    def _checked(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        owner = type(self).__name__
        embedding = np.asarray(self.embedding, dtype=np.float64)
        labels = column_or_1d(self.labels)
        if embedding.ndim != 2 or not len(embedding) or len(embedding) != len(labels):
            raise ValueError(
                f"The embedding of {owner} must have the shape (n_rows, n_components), and its labels one entry for "
                f"each row. Got {embedding.shape} and {labels.shape}."
            )
        return embedding, labels.astype(np.int64)

    def _draw_prototypes(
        self,
        embedding: NDArray[np.float64],
        places: NDArray[np.float64],
        labels: NDArray[np.int64],
        color_of: Mapping[int, NDArray[np.float64]],
    ) -> None:
        rows = _nearest_to_means(embedding, labels) if self.prototypes is None else np.asarray(self.prototypes)
        ax = self.axes_[0]
        if self.images is None:
            self.prototypes_ = [
                ax.text(x, y, str(labels[row]), ha="center", va="center", weight="bold", bbox=_BOX)
                for row, (x, y) in zip(rows.tolist(), places[rows], strict=True)
            ]
            return
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        figure = ax.figure.get_figure(root=True)
        ax.get_xlim()  # limits are found when they are asked for, not by transData
        # A third more, for frame and air.
        offsets = _apart(ax.transData.transform(places[rows]) * 72 / figure.dpi, _THUMBNAIL * 4 / 3)
        self.prototypes_ = []
        for row, offset in zip(rows.tolist(), offsets, strict=True):
            image, color = np.asarray(self.images)[row], color_of[int(labels[row])]
            shown = image[..., 0] if image.shape[2:] == (1,) else image
            picture = OffsetImage(shown, zoom=_THUMBNAIL / max(shown.shape[:2]), cmap="gray_r")
            box = AnnotationBbox(
                picture,
                places[row],
                xybox=offset,
                boxcoords="offset points",
                pad=0.15,
                bboxprops={"edgecolor": color, "linewidth": 2},
                arrowprops={"arrowstyle": "-", "color": color},
            )
            self.prototypes_.append(ax.add_artist(box))

    def _draw_silhouettes(
        self,
        embedding: NDArray[np.float64],
        labels: NDArray[np.int64],
        names: NDArray[np.int64],
        colors: NDArray[np.float64],
    ) -> None:
        """Draw the silhouettes of each cluster as a bar of as many rows as it has."""
        ax = self.axes_[1]
        taken = np.arange(0, len(labels), -(-len(labels) // _MOST_ROWS_COMPARED))
        seen = labels[taken]
        has_others = 1 < len(np.unique(seen)) < len(seen)
        values = silhouette_samples(embedding[taken], seen) if has_others else np.zeros(len(seen))
        self.silhouettes_ = [np.sort(values[seen == name]) for name in names]
        start, middles = 0, []
        for name, values, color in zip(names, self.silhouettes_, colors, strict=True):
            size = self.sizes_[int(name)]
            if len(values):
                ax.fill_betweenx(
                    np.linspace(start, start + size, len(values) + 1), 0, [*values, values[-1]], color=color
                )
            middles.append(start + size / 2)
            start += size
        texts = [f"{'noise' if name < 0 else name} ({self.sizes_[int(name)]})" for name in names]
        ax.set_yticks(middles, texts)
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.set_xlabel("silhouette")
        ax.set_ylabel("cluster (rows)")
        ax.set_ylim(0, start)
        mean = float(
            np.average([v.mean() if len(v) else 0 for v in self.silhouettes_], weights=list(self.sizes_.values()))
        )
        ax.set_title(f"mean {mean:.2f}")


# Points from side to side.
_THUMBNAIL = 36
_BOX = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "0.5"}


def _new_axes() -> tuple[Axes, Axes]:
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(11, 6), width_ratios=(2, 1), layout="constrained")
    return left, right


def _apart(points: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Give offsets by which squares around points, of shape (n, 2), stand side by side, the shortest way by turns.

    Where the squares are too many for the space between them, some still cover others.
    """
    angles = 2 * np.pi * np.arange(len(points)) / max(len(points), 1)
    moved = points + 0.01 * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # equal points must part too
    for _ in range(100):
        difference = moved[:, np.newaxis] - moved
        overlap = np.maximum(side - np.abs(difference).max(axis=2), 0)
        np.fill_diagonal(overlap, 0)
        if not overlap.any():
            break
        along = np.abs(difference) >= np.abs(difference).max(axis=2, keepdims=True)
        moved += 0.3 * (overlap[..., np.newaxis] * along * np.sign(difference)).sum(axis=1)
    return moved - points


def _in_two_dimensions(embedding: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give two columns: those that there are, beside zeros for one, or the two principal ones."""
    if embedding.shape[1] == 1:
        return np.hstack([embedding, np.zeros_like(embedding)])
    if embedding.shape[1] == 2 or len(embedding) < 2:
        return embedding[:, :2]
    places: NDArray[np.float64] = PCA(2, svd_solver="full").fit_transform(embedding)
    return places


def _nearest_to_means(embedding: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Give for each cluster, noise left out, the row that is nearest to its mean."""
    nearest = []
    for name in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == name)
        own = embedding[rows]
        nearest.append(rows[((own - own.mean(axis=0)) ** 2).sum(axis=1).argmin()])
    return np.array(nearest, np.intp)
