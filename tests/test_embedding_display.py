"""Maps of rows in two dimensions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import EmbeddingDisplay

DIGITS = load_digits()
X, y = DIGITS.data[:100], DIGITS.target[:100]
PLACES = np.random.default_rng(0).normal(size=(100, 3))


def test_labels_have_a_colour_each_and_a_legend():
    fitted = PCA(2).fit(X)
    display = EmbeddingDisplay.from_estimator(fitted, X, y)
    assert len(display.points_) == 10
    np.testing.assert_allclose(display.points_[3].get_offsets(), fitted.transform(X)[y == 3])
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_}) == 10
    assert [text.get_text() for text in display.legend_.get_texts()] == [str(digit) for digit in range(10)]
    shown = [to_rgba(handle.get_color()) for handle in display.legend_.legend_handles]
    np.testing.assert_allclose(shown, [points.get_facecolor()[0] for points in display.points_])
    assert display.colorbar_ is None
    assert display.figure_ is display.ax_.figure


def test_names_are_labels_and_more_than_ten_of_them_differ():
    names = np.array([f"name {number:02d}" for number in range(25)])[np.arange(100) % 25]
    display = EmbeddingDisplay.from_embedding(PLACES, names)
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_}) == 25


def test_numbers_have_a_colour_bar():
    numbers = np.linspace(0.5, 2.25, 100)
    display = EmbeddingDisplay.from_embedding(PLACES, numbers)
    np.testing.assert_array_equal(display.points_[0].get_array(), numbers)
    assert (display.colorbar_.vmin, display.colorbar_.vmax) == (0.5, 2.25)
    assert display.legend_ is None


def test_components_axes_and_style_are_the_users():
    _, ax = plt.subplots()
    display = EmbeddingDisplay(embedding=PLACES).plot(ax, components=(2, 0), scatter_kw={"s": 7})
    assert display.ax_ is ax
    np.testing.assert_array_equal(display.points_[0].get_offsets(), PLACES[:, [2, 0]])
    assert display.points_[0].get_sizes().tolist() == [7]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("component 2", "component 0")


@pytest.mark.parametrize("kind", ["none", "labels", "numbers"])
def test_many_rows_are_shaded_cells(kind):
    places = np.random.default_rng(0).normal(size=(20_001, 2))
    y = {"none": None, "labels": (places[:, 0] > 0).astype(int), "numbers": places[:, 0]}[kind]
    display = EmbeddingDisplay.from_embedding(places, y)
    assert not display.points_
    cells = display.cells_.get_array()
    assert cells.shape == (200, 200, 4)
    counts = np.histogram2d(places[:, 0], places[:, 1], bins=200)[0].T
    # Where there are no rows nothing is drawn, and where most are it is opaque.
    np.testing.assert_array_equal(cells[..., 3] > 0, counts > 0)
    assert cells[..., 3].max() == cells[np.unravel_index(counts.argmax(), counts.shape)][3] == 1
    assert (display.legend_ is not None) == (kind == "labels")
    assert (display.colorbar_ is not None) == (kind == "numbers")
    if kind == "labels":
        colors = [handle.get_color()[:3] for handle in display.legend_.legend_handles]
        left, right = counts[:, :90] > 0, counts[:, 110:] > 0
        np.testing.assert_allclose(cells[:, :90, :3][left], np.broadcast_to(colors[0], (left.sum(), 3)))
        np.testing.assert_allclose(cells[:, 110:, :3][right], np.broadcast_to(colors[1], (right.sum(), 3)))


def test_thumbnails_stand_at_their_rows():
    fitted = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    display = EmbeddingDisplay.from_estimator(fitted, X, y, image_shape=(8, 8), thumbnails=True)
    boxes = [artist for artist in display.ax_.artists if hasattr(artist, "offsetbox")]
    assert len(boxes) == len(display.thumbnails_) > 20
    places = fitted.transform(X)
    for row, box in zip(display.thumbnails_, boxes, strict=True):
        np.testing.assert_allclose(box.xy, places[row])
        np.testing.assert_array_equal(box.offsetbox.get_data(), X[row].reshape(8, 8))
    squares = (12 * (places - places.min(axis=0)) / np.ptp(places, axis=0)).astype(int).clip(0, 11)
    assert len(np.unique(squares[display.thumbnails_], axis=0)) == len(np.unique(squares, axis=0))


def test_images_may_be_given_with_places():
    images = X.reshape(-1, 8, 8, 1)
    display = EmbeddingDisplay.from_embedding(PLACES, images=images, thumbnails=True)
    assert display.thumbnails_


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding": PLACES[:, :1]}, r"two components or more. Got \(100, 1\)"),
        ({"embedding": PLACES, "y": y[:3]}, "must have an entry for each row. Got 3 of 100"),
        ({"embedding": PLACES, "components": (0, 3)}, r"two column numbers below 3. Got \(0, 3\)"),
        ({"embedding": PLACES, "thumbnails": True}, "has no images for thumbnails=True"),
        ({"embedding": PLACES, "images": X, "thumbnails": True}, r"with 100 rows. Got \(100, 64\)"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay.from_embedding(**arguments)


def test_estimators_must_be_fitted_and_shapes_fit():
    with pytest.raises(NotFittedError):
        EmbeddingDisplay.from_estimator(PCA(2), X)
    with pytest.raises(ValueError, match="with a product of 64, the number of columns"):
        EmbeddingDisplay.from_estimator(PCA(2).fit(X), X, image_shape=(8, 9), thumbnails=True)
