"""Rows beside their reconstructions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skneural import Autoencoder, ReconstructionDisplay

DIGITS = load_digits().data[:50]


@pytest.fixture(autouse=True)
def closes_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pca():
    return PCA(5).fit(DIGITS)


def test_images_stand_above_their_reconstructions(pca):
    display = ReconstructionDisplay.from_estimator(pca, DIGITS[:4], image_shape=(8, 8))
    assert display.axes_.shape == (2, 4)
    row, found = display.artists_[2]
    np.testing.assert_array_equal(row.get_array(), DIGITS[2].reshape(8, 8))
    expected = pca.inverse_transform(pca.transform(DIGITS[:4]))[2]
    np.testing.assert_allclose(found.get_array(), expected.reshape(8, 8))
    # One scale of brightness.
    assert row.get_clim() == found.get_clim() == (DIGITS[2].min(), DIGITS[2].max())
    assert [one.get_ylabel() for one in display.axes_[:, 0]] == ["row", "reconstruction"]


def test_columns_are_lines_with_names(pca):
    frame = pd.DataFrame(DIGITS[:, :6], columns=list("abcdef"))
    display = ReconstructionDisplay.from_estimator(PCA(2).fit(frame), frame.iloc[:3])
    assert display.axes_.shape == (3,)
    line, other = display.artists_[1]
    np.testing.assert_array_equal(line.get_ydata(), DIGITS[1, :6])
    assert not np.array_equal(other.get_ydata(), line.get_ydata())
    assert [text.get_text() for text in display.axes_[0].get_xticklabels()] == list("abcdef")


def test_the_shape_of_images_is_the_estimators():
    fitted = Autoencoder(2, image_shape=(8, 8), filters=(4,), epochs=1, random_state=0).fit(DIGITS)
    assert ReconstructionDisplay.from_estimator(fitted, DIGITS[:2]).axes_.shape == (2, 2)


def test_colours_and_axes_of_the_users_own():
    rows = np.random.default_rng(0).random((2, 12))
    _, axes = plt.subplots(2, 2)
    display = ReconstructionDisplay(rows=rows, reconstructions=rows, image_shape=(2, 2, 3)).plot(axes=axes)
    assert display.axes_[0, 0] is axes[0, 0]
    assert display.artists_[0][0].get_array().shape == (2, 2, 3)
    with pytest.raises(ValueError, match=r"must have the shape \(2, 2\)"):
        display.plot(axes=axes[:, :1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": np.ones((2, 4)), "reconstructions": np.ones((2, 3))}, r"Got \(2, 4\) and \(2, 3\)"),
        ({"rows": np.ones((2, 4)), "reconstructions": np.ones((2, 4)), "image_shape": (3, 2)}, "product of 4"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay(**arguments).plot()
