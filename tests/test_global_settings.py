"""Keras's global settings: which of them networks follow, and that programs of other times are not taken for theirs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skneural import ConvNetClassifier, ConvNetRegressor, DenseNetClassifier, KerasRegressor, RecurrentNetRegressor

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(20, 6, 6, 3)).astype(np.float32)
SEQUENCES = RANDOM.normal(size=(20, 8, 2)).astype(np.float32)
VALUES = IMAGES[:, 0, 0, 0]
SMALL = {"filters": (2,), "hidden_layer_sizes": (3,), "epochs": 2, "random_state": 0}


@pytest.fixture
def settings():
    before = keras.config.image_data_format(), keras.config.epsilon()
    yield
    keras.config.set_image_data_format(before[0])
    keras.config.set_epsilon(before[1])


@pytest.mark.parametrize(
    ("estimator", "X", "y"),
    [
        (ConvNetRegressor(**SMALL), IMAGES, VALUES),
        (ConvNetClassifier(**SMALL, pooling="average"), IMAGES, VALUES > 0),
        (RecurrentNetRegressor(units=(2,), kernel_size=2, **SMALL), SEQUENCES, VALUES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_images_and_sequences_have_their_channels_last_whatever_the_setting(estimator, X, y, settings):
    expected = clone(estimator).fit(X, y)
    shapes = [weight.shape for weight in expected.model_.get_weights()]
    keras.config.set_image_data_format("channels_first")
    fitted = clone(estimator).fit(X, y)
    assert_array_equal(fitted.predict(X), expected.predict(X))
    assert [weight.shape for weight in fitted.model_.get_weights()] == shapes
    assert keras.config.image_data_format() == "channels_first"
    for layer in fitted.model_.layers:
        assert getattr(layer, "data_format", "channels_last") == "channels_last"


def build():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="softplus")])


def test_losses_have_the_epsilon_of_their_time(settings):
    """The logarithmic error takes predictions below epsilon for epsilon, where no gradient is."""
    X, y = SEQUENCES[:, 0], np.abs(VALUES)
    estimator = KerasRegressor(build, loss="mean_squared_logarithmic_error", optimizer="sgd", epochs=1, random_state=0)
    first = clone(estimator).initialize(X, y).model_.get_weights()
    trained = clone(estimator).fit(X, y)
    assert np.abs(trained.model_.get_weights()[0] - first[0]).max() > 1e-5
    keras.config.set_epsilon(1000.0)
    assert_array_equal(clone(estimator).fit(X, y).model_.get_weights()[0], first[0])
    keras.config.set_epsilon(1e-7)
    assert_array_equal(clone(estimator).fit(X, y).model_.get_weights()[0], trained.model_.get_weights()[0])


def test_native_engine_is_for_the_usual_epsilon(settings):
    X, y = SEQUENCES[:, 0], VALUES > 0
    estimator = DenseNetClassifier((2,), epochs=1, random_state=0)
    assert clone(estimator).fit(X, y).engine_ in ("native", "compiled")
    keras.config.set_epsilon(0.1)
    assert clone(estimator).fit(X, y).engine_ == "compiled"
