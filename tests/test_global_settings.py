"""Keras's global settings: which of them networks follow, and that programs of other times are not taken for theirs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skneural import (
    ConvNetClassifier,
    ConvNetRegressor,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasRegressor,
    RecurrentNetRegressor,
)

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


@pytest.fixture
def set_policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture
def float64_policy(set_policy):
    set_policy("float64")


FAMILIES = [
    (DenseNetRegressor(activation="tanh"), SEQUENCES[:, 0]),
    (ConvNetRegressor(filters=(2,), augment=False), IMAGES),
    (RecurrentNetRegressor(units=(2,), filters=(2,), kernel_size=2, pooling="average"), SEQUENCES),
]


def in_one_step(estimator, **parameters):
    """Leave the weights as they are, so that the loss is that of the network that is left."""
    parameters |= {"epochs": 1, "batch_size": 20, "learning_rate": 1e-12, "random_state": 0, "hidden_layer_sizes": (3,)}
    if "batch_normalization" in estimator.get_params():
        parameters |= {"batch_normalization": False, "dropout": 0}
    return clone(estimator).set_params(**parameters)


@pytest.mark.parametrize(("estimator", "X"), FAMILIES, ids=lambda value: type(value).__name__)
def test_penalty_under_a_policy_of_float64(estimator, X, float64_policy):
    fitted = in_one_step(estimator, l2=0.1).fit(X, VALUES)
    assert fitted.engine_ == "compiled"
    z = (VALUES - VALUES.mean()) / VALUES.std()
    errors = z - fitted.model_.predict(X, verbose=0)[:, 0]
    kernels = [weight for weight in fitted.model_.trainable_weights if "kernel" in weight.name]
    assert {weight.dtype for weight in kernels} == {"float64"}
    expected = np.mean(errors**2) + 0.1 * sum(float(np.sum(weight.numpy() ** 2)) for weight in kernels)
    assert_allclose(fitted.loss_curve_, [expected], rtol=1e-5)


class AtEachBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(("estimator", "X"), FAMILIES, ids=lambda value: type(value).__name__)
def test_penalty_that_keras_cannot_add_is_an_error_of_ours(estimator, X, float64_policy):
    with pytest.raises(ValueError, match=r"^Keras's own fit cannot add a penalty on weights of dtype float64 .*l2=0"):
        in_one_step(estimator, l2=0.1, callbacks=AtEachBatch()).fit(X, VALUES)
    assert in_one_step(estimator, l2=0, callbacks=AtEachBatch()).fit(X, VALUES).engine_ == "keras"


def test_recurrent_weights_of_bfloat16_are_an_error_of_ours(set_policy):
    estimator = RecurrentNetRegressor(units=(2,), filters=(), epochs=1, random_state=0)
    set_policy("bfloat16")
    with pytest.raises(ValueError, match=r"^RecurrentNetRegressor cannot draw first weights .*'mixed_bfloat16'"):
        estimator.fit(SEQUENCES, VALUES)
    set_policy("mixed_bfloat16")
    fitted = estimator.fit(SEQUENCES, VALUES)
    assert {weight.dtype for weight in fitted.model_.weights} == {"float32"}
    assert_allclose(fitted.predict(SEQUENCES), fitted.predict(SEQUENCES[::-1])[::-1], rtol=1e-5)
