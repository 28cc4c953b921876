"""What a translation looks at, as a picture."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from skneural import AttentionDisplay

WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.0, 0.4, 0.6]])
ONE = (WEIGHTS, ["▁eine", "</s>"], ["▁a", "▁$5", "▁"])


class Translator:
    """Stands for a fitted translator."""

    def attention(self, X, y=None):
        return [(WEIGHTS, [sentence, "</s>"], ["a", "b", "c"]) for sentence in (X if y is None else y)]


def test_weights_are_drawn_with_the_tokens_of_both():
    display = AttentionDisplay(attention=[ONE]).plot()
    (image,), (axes,) = display.images_, display.axes_
    np.testing.assert_array_equal(image.get_array(), WEIGHTS)
    assert image.get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", r"\$5", "_"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["eine", "</s>"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source", "translation")
    (scale,) = set(display.figure_.axes) - {axes}
    assert (scale.get_ylabel(), scale.get_ylim()) == ("share of the attention", (0, 1))
    display.figure_.draw_without_rendering()


def test_an_estimator_tells_what_it_looks_at():
    display = AttentionDisplay.from_estimator(Translator(), ["x", "y"], cmap="Reds")
    assert display.axes_.shape == (2,)
    assert display.axes_[1].get_yticklabels()[0].get_text() == "y"
    assert display.images_[0].get_cmap().name == "Reds"
    given = AttentionDisplay.from_estimator(Translator(), ["x"], ["z"])
    assert given.axes_[0].get_yticklabels()[0].get_text() == "z"


def test_axes_of_the_users_own():
    _, axes = plt.subplots()
    assert AttentionDisplay(attention=[ONE]).plot(axes=axes).axes_[0] is axes
    assert axes.figure.axes == [axes]
    with pytest.raises(ValueError, match="one for each of the 2 sentences"):
        AttentionDisplay(attention=[ONE, ONE]).plot(axes=axes)


def test_wrong_input_is_told_of():
    with pytest.raises(ValueError, match=r"must have the shape \(n_target, n_source\) = \(2, 3\)"):
        AttentionDisplay(attention=[(WEIGHTS.T, *ONE[1:])]).plot()
    with pytest.raises(ValueError, match="at least one sentence"):
        AttentionDisplay(attention=[]).plot()
    with pytest.raises(TypeError, match="which has no 'attention'"):
        AttentionDisplay.from_estimator(LinearRegression().fit([[1]], [1]), ["x"])
