"""Rows beside what an autoencoder makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ._requirements import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of fewer columns each has room for its name.
_MOST_NAMES = 12


class ReconstructionDisplay:
    """Rows beside their reconstructions: images one above the other, or lines over the columns.

    It is recommended to use :meth:`from_estimator` to make a `ReconstructionDisplay`. All parameters are stored as
    attributes.

    Parameters
    ----------
    rows : array-like of shape (n_rows, n_features)
        Rows as they are.
    reconstructions : array-like of shape (n_rows, n_features)
        What came back of them, in the same units.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of images that the rows are. None draws lines.
    feature_names : sequence of str, default=None
        Names of the columns, for lines.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (2, n_rows) for images and (n_rows,) for lines
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure that holds them.
    artists_ : list of pairs of matplotlib artists
        For each row the image or line of the row and that of its reconstruction.

    See Also
    --------
    Autoencoder : What brings rows back.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import Autoencoder, ReconstructionDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> autoencoder = Autoencoder(8, hidden_layer_sizes=()).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(autoencoder, X[:5], image_shape=(8, 8))
    >>> display.axes_.shape
    (2, 5)
    >>> display.figure_.savefig("digits.png")  # doctest: +SKIP
    """

    __module__ = "skneural"

    axes_: NDArray[np.object_]
    figure_: Figure
    artists_: list[tuple[Artist, Artist]]

    def __init__(
        self,
        *,
        rows: ArrayLike,
        reconstructions: ArrayLike,
        image_shape: Sequence[int] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.rows = rows
        self.reconstructions = reconstructions
        self.image_shape = image_shape
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, image_shape: Sequence[int] | None = None, **plot_arguments: Any
    ) -> Self:
        """Draw rows beside what a fitted estimator brings back of them.

        Parameters
        ----------
        estimator : estimator with ``transform`` and ``inverse_transform``
            Such as an Autoencoder or a PCA, fitted.
        X : array-like or DataFrame of shape (n_rows, n_features)
            The rows to draw, a few of them.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of images. None takes the estimator's ``image_shape``, and
            where it has none draws lines.
        **plot_arguments : dict
            Arguments of :meth:`plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The drawn display.
        """
        check_is_fitted(estimator)
        rows = np.asarray(X, dtype=float)
        rows = rows.reshape(len(rows), -1)
        shape = getattr(estimator, "image_shape", None) if image_shape is None else image_shape
        found = np.asarray(estimator.inverse_transform(estimator.transform(X)))
        names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
        display = cls(rows=rows, reconstructions=found, image_shape=shape, feature_names=names)
        return display.plot(**plot_arguments)

    def plot(self, *, axes: Any = None, cmap: str = "gray") -> Self:
        """Draw the display.

        Parameters
        ----------
        axes : array of matplotlib Axes, default=None
            Of shape (2, n_rows) for images and (n_rows,) for lines. None makes a new figure.
        cmap : str, default="gray"
            Colours of images of one channel.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        rows, found = np.asarray(self.rows, float), np.asarray(self.reconstructions, float)
        if rows.ndim != 2 or rows.shape != found.shape or not len(rows):
            raise ValueError(
                f"The rows and reconstructions of {type(self).__name__} must have one shape (n_rows, n_features). "
                f"Got {rows.shape} and {found.shape}."
            )
        shape = self._shape_of_images(rows.shape[1])
        self.axes_ = _axes(axes, (2, len(rows)) if shape else (len(rows),))
        first: Any = self.axes_.flat[0]
        self.figure_ = first.figure.get_figure(root=True)
        if shape is None:
            self.artists_ = [self._draw_lines(*one) for one in zip(self.axes_, rows, found, strict=True)]
            self.axes_[0].legend(frameon=False)
        else:
            images = (np.stack([rows, found], axis=1)).reshape(len(rows), 2, *shape)
            self.artists_ = [_draw_images(*one, cmap) for one in zip(self.axes_.T, images, strict=True)]
            for label, one in zip(("row", "reconstruction"), self.axes_[:, 0], strict=True):
                one.set_ylabel(label)
        return self

    def _shape_of_images(self, n_features: int) -> tuple[int, ...] | None:
        if self.image_shape is None:
            return None
        shape = tuple(self.image_shape)
        if len(shape) not in (2, 3) or math.prod(shape) != n_features:
            raise ValueError(
                f"The 'image_shape' parameter of {type(self).__name__} must be (height, width) or (height, width, "
                f"channels) with a product of {n_features}, the number of columns. Got {shape}."
            )
        return shape[:2] if shape[2:] == (1,) else shape

    def _draw_lines(self, one: Axes, row: NDArray[Any], found: NDArray[Any]) -> tuple[Artist, Artist]:
        places = np.arange(len(row))
        (line,) = one.plot(places, row, marker="o", markersize=3, label="row")
        (other,) = one.plot(places, found, marker="x", markersize=4, linestyle="--", label="reconstruction")
        if self.feature_names is not None and len(row) <= _MOST_NAMES:
            one.set_xticks(places, self.feature_names, rotation=45, ha="right")
        else:
            one.set_xlabel("column")
        return line, other


def _axes(given: Any, shape: tuple[int, ...]) -> NDArray[np.object_]:
    """Give axes of a shape: those of the caller, or new ones."""
    if given is not None:
        axes = np.asarray(given, dtype=object)
        if axes.shape != shape:
            raise ValueError(f"The 'axes' must have the shape {shape}. Got {axes.shape}.")
        return axes
    import matplotlib.pyplot as plt

    n_down, n_across = shape if len(shape) == 2 else (shape[0], 1)
    size = (1.2 * n_across + 0.6, 2.8) if len(shape) == 2 else (7.0, 2.0 * n_down)
    _, axes = plt.subplots(n_down, n_across, figsize=size, squeeze=False, layout="constrained")
    return np.asarray(axes, dtype=object).reshape(shape)


def _draw_images(axes: Any, images: NDArray[Any], cmap: str) -> tuple[Artist, Artist]:
    """Draw an image and its reconstruction in one scale of brightness."""
    low, high = float(np.nanmin(images[0])), float(np.nanmax(images[0]))
    if images.ndim == 4:
        images = np.clip((images - low) / max(high - low, 1e-12), 0, 1)
        low, high = 0.0, 1.0
    drawn = []
    for one, image in zip(axes, images, strict=True):
        drawn.append(one.imshow(image, cmap=cmap, vmin=low, vmax=high))
        one.set_xticks([])
        one.set_yticks([])
    return drawn[0], drawn[1]
