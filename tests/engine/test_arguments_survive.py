"""Arguments that a Keras object's config leaves out reach training, programs, copies and pickles all the same.

The oracle is a model that Keras built and trained; each case has a second object with other arguments.
"""

from __future__ import annotations

import copy
import logging
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone

from skneural import ConvNetRegressor, DenseNetRegressor, KerasRegressor, RecurrentNetRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 3)).astype(np.float32)
Y = 10 * np.column_stack([X[:, 0], X[:, 1] - X[:, 2]]).astype(np.float32)


class Tilted(keras.losses.Loss):
    """Its config says nothing of ``slope``."""

    def __init__(self, slope=1.0):
        super().__init__()
        self.slope = slope

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        return keras.ops.mean(keras.ops.maximum(self.slope * error, -error), axis=-1)


class Times(keras.layers.Layer):
    """Its config says nothing of ``factor``."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return {"name": self.name}


class Weighted(keras.metrics.Mean):
    """A mean of errors times numbers in a list and in a dict, of which its config says nothing."""

    def __init__(self, weight=1.0, name="weighted"):
        super().__init__(name=name)
        self.factors = [{"of all": weight}, weight]

    def update_state(self, y_true, y_pred, sample_weight=None):
        factor = self.factors[0]["of all"] * self.factors[1]
        return super().update_state(factor * keras.ops.abs(y_true - y_pred), sample_weight)

    def get_config(self):
        return {"name": self.name}


def weighed(weight):
    """Give one of many functions of one name."""

    def errors(y_true, y_pred):
        return weight * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    return errors


class Share(keras.metrics.Metric):
    """The share of errors above a limit, of which its config says nothing."""

    def __init__(self, limit=1.0, name="share"):
        super().__init__(name=name)
        self.limit = limit
        self.total, self.count = (self.add_weight(shape=(), initializer="zeros", name=name) for name in ("sum", "n"))

    def update_state(self, y_true, y_pred, sample_weight=None):
        is_above = keras.ops.cast(keras.ops.abs(y_true - y_pred) > self.limit, "float32")
        self.total.assign_add(keras.ops.sum(is_above))
        self.count.assign_add(keras.ops.sum(keras.ops.ones_like(is_above)))

    def result(self):
        return self.total / self.count

    def get_config(self):
        return {"name": self.name}


class Pull(keras.regularizers.Regularizer):
    def __init__(self, strength=1.0):
        self.strength = strength

    def __call__(self, weights):
        return self.strength * keras.ops.sum(keras.ops.square(weights - 1))

    def get_config(self):
        return {}


class Between(keras.constraints.Constraint):
    def __init__(self, limit=1.0):
        self.limit = limit

    def __call__(self, weights):
        return keras.ops.clip(weights, -self.limit, self.limit)

    def get_config(self):
        return {}


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """It has no config at all."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / (1 + keras.ops.cast(step, "float32"))


def model(
    loss=None,
    times=1.0,
    metrics=None,
    penalty=None,
    constraint=None,
    schedule=None,
    normalize=False,
    initializer="ones",
):
    dense = keras.layers.Dense(
        2, kernel_initializer=initializer, kernel_regularizer=penalty, kernel_constraint=constraint
    )
    layers = [keras.Input((3,)), dense, *([Times(times)] if times != 1 else [])]
    network = keras.Sequential(layers)
    rate = 0.05 if schedule is None else schedule
    network.compile(keras.optimizers.SGD(rate), loss or "mean_squared_error", metrics=metrics)
    return network


CASES = {
    "huber": lambda value: {"loss": keras.losses.Huber(delta=value)},
    "cosine": lambda value: {"loss": keras.losses.CosineSimilarity(axis=0 if value > 1 else -1)},
    "own loss": lambda value: {"loss": Tilted(value)},
    "own layer": lambda value: {"times": value},
    "own penalty": lambda value: {"penalty": Pull(value)},
    "own constraint": lambda value: {"constraint": Between(value)},
    "own schedule": lambda value: {"schedule": Falling(value / 50)},
    "own metric": lambda value: {"metrics": [Share(value)]},
    "own metric with a list": lambda value: {"metrics": [Weighted(value)]},
    "metric": lambda value: {"metrics": [keras.metrics.CosineSimilarity(axis=0 if value > 1 else -1)]},
    "metric of a function": lambda value: {"metrics": [keras.metrics.MeanMetricWrapper(weighed(value), name="one")]},
    "identity": lambda value: {"initializer": keras.initializers.Identity(gain=value)},
}
VALUES = (5.0, 0.1, 0.7)


def keras_history(case, value):
    network = model(**CASES[case](value))
    return network.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0).history, network.get_weights()


def check(regressor, history, weights):
    for name, values in history.items():
        np.testing.assert_allclose(regressor.history_[name], values, rtol=2e-4, atol=1e-6, err_msg=name)
    for own, expected in zip(regressor.model_.get_weights(), weights, strict=True):
        np.testing.assert_allclose(own, expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("is_ready", [False, True], ids=["built by a function", "ready"])
def test_arguments_that_a_config_leaves_out_are_trained_with(case, is_ready):
    histories = []
    for value in VALUES:
        history, weights = keras_history(case, value)
        histories.append(history)
        given = model(**CASES[case](value)) if is_ready else lambda value=value: model(**CASES[case](value))
        regressor = KerasRegressor(given, epochs=3, batch_size=16, shuffle=False, random_state=0)
        check(regressor.fit(X, Y), history, weights)
        assert regressor.engine_ != "keras"
    assert histories[0] != histories[1]


@pytest.mark.parametrize("case", ["huber", "own loss", "own layer", "own penalty", "own metric"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), clone])
def test_a_copy_trains_with_the_same_arguments(case, copied):
    for value in VALUES[:2]:
        history, weights = keras_history(case, value)
        regressor = KerasRegressor(model(**CASES[case](value)), epochs=1, batch_size=16, shuffle=False, random_state=0)
        if copied is clone:
            twin = clone(regressor.set_params(epochs=3)).fit(X, Y)
        else:
            twin = copied(regressor.fit(X, Y))
            for _ in range(2):
                twin.partial_fit(X, Y)
        check(twin, history, weights)


def test_estimators_with_other_losses_keep_them_in_clones_pickles_and_copies():
    for delta in (5, 0.1):
        for copied in (clone, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
            twin = copied(DenseNetRegressor(loss=keras.losses.Huber(delta=delta)))
            assert float(twin.loss(np.zeros((1, 1)), np.full((1, 1), 10.0))) == pytest.approx(delta * (10 - delta / 2))


@pytest.mark.parametrize(
    ("family", "rows"),
    [
        (DenseNetRegressor((4,)), X),
        (ConvNetRegressor(image_shape=(4, 4), filters=(4,), batch_normalization=False), rng.normal(size=(64, 4, 4))),
        (RecurrentNetRegressor((4,), filters=()), rng.normal(size=(64, 4, 1))),
    ],
    ids=["dense", "conv", "recurrent"],
)
def test_a_family_trains_with_the_delta_that_is_asked_for(family, rows):
    """Far from zero the gradient of Huber's loss is delta times the sign, so one step of SGD moves a bias by that."""
    y = np.where(np.arange(64) % 2, 1e4, -1e4) + 2e4
    moved = []
    for delta in (0.5, 0.05):
        network = clone(family).set_params(loss="huber", optimizer="sgd", learning_rate=1.0, epochs=1, batch_size=64)
        network.set_params(learning_rate_schedule="constant")
        network.set_params(loss__delta=delta, random_state=0, dropout=0.0).fit(rows, y * 0 + np.arange(64) + 1)
        before = clone(network).set_params(learning_rate=1e-30).fit(rows, y * 0 + np.arange(64) + 1)
        after = network.model_.get_weights()[-1] - before.model_.get_weights()[-1]
        predicted = before.model_.predict(rows, verbose=0)[:, 0]
        target = (np.arange(64) - np.arange(64).mean()) / np.arange(64).std()
        moved.append((after[0], np.clip(target - predicted, -delta, delta).mean()))
    for own, expected in moved:
        assert own == pytest.approx(expected, abs=1e-5)


def test_operations_between_layers_are_compiled(caplog):
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, kernel_initializer="ones")(inputs)
    outputs = keras.layers.Dense(2, kernel_initializer="ones")(keras.ops.relu(hidden) + hidden[:, 1:2] * 2.0)
    network = keras.Model(inputs, outputs)
    network.compile("sgd", "mean_squared_error")
    with caplog.at_level(logging.INFO, logger="skneural"):
        regressor = KerasRegressor(network, epochs=3, batch_size=12, shuffle=False, random_state=0).fit(X, Y / 10)
    assert regressor.engine_ == "compiled"
    assert not caplog.records
    # Eagerly: XLA, which Keras asks for, takes the wrong gradient of this sum where the number of rows is not fixed.
    network.compile("sgd", "mean_squared_error", run_eagerly=True)
    history = network.fit(X, Y / 10, epochs=3, batch_size=12, shuffle=False, verbose=0).history
    check(regressor, history, network.get_weights())
    np.testing.assert_allclose(regressor.predict(X), network.predict(X, verbose=0), rtol=1e-4, atol=1e-5)
