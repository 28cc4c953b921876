"""Rows of another rank than the model's input: as in Keras a last axis of length one is added or dropped."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from skneural import KerasClassifier, KerasRegressor
from skneural._engine.xla.program import Program

rng = np.random.default_rng(0)
L = keras.layers
IMAGES, SERIES, TABLE = rng.random((20, 8, 8)), rng.random((20, 12)), rng.random((20, 5))
y = np.arange(20) % 2


def conv2d():
    return [keras.Input((8, 8, 1)), L.Conv2D(2, 3), L.Flatten(), L.Dense(2, "softmax")]


def conv1d():
    return [keras.Input((12, 1)), L.Conv1D(2, 3), L.Flatten(), L.Dense(2, "softmax")]


def lstm():
    return [keras.Input((12, 1)), L.LSTM(3), L.Dense(2, "softmax")]


def dense():
    return [keras.Input((5,)), L.Dense(3, "relu"), L.Dense(2, "softmax")]


CASES = {
    "conv2d": (conv2d, IMAGES, IMAGES[..., None]),
    "conv1d": (conv1d, SERIES, SERIES[..., None]),
    "lstm": (lstm, SERIES, SERIES[..., None]),
    "dense": (dense, TABLE[..., None], TABLE),
}


def trained(layers, X, **parameters):
    def build():
        return keras.Sequential(layers())

    network = KerasClassifier(build, loss="sparse_categorical_crossentropy", random_state=0, epochs=2, **parameters)
    return network.fit(X, y)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("parameters", [{}, {"run_eagerly": True}], ids=["engine", "keras"])
def test_rows_of_the_other_rank_are_learned_and_predicted_as_keras_does(case, parameters):
    layers, other, same = CASES[case]
    for fitted in (other, same):
        network = trained(layers, fitted, **parameters)
        expected = network.model_.predict(same, verbose=0)
        np.testing.assert_allclose(network.predict_proba(other), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(network.predict_proba(same), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(network.predict_proba(other, batch_size=3, steps=None), expected, rtol=1e-4)
    first, second = (trained(layers, X).model_.get_weights() for X in (other, same))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("case", "rows", "message"),
    [
        (
            "conv2d",
            rng.random((3, 8, 8, 3)),
            r"rows of shape \(8, 8, 3\), but the model takes rows of shape \(8, 8, 1\)",
        ),
        (
            "conv2d",
            rng.random((3, 8, 4, 2)),
            r"rows of shape \(8, 4, 2\), but the model takes rows of shape \(8, 8, 1\)",
        ),
        ("lstm", rng.random((3, 12, 2)), r"rows of shape \(12, 2\), but the model takes rows of shape \(12, 1\)"),
        ("dense", rng.random((3, 5, 2)), r"rows of shape \(5, 2\), but the model takes rows of shape \(5,\)"),
        ("dense", rng.random((3, 5, 1, 1)), r"rows of shape \(5, 1, 1\), but the model takes rows of shape \(5,\)"),
    ],
)
def test_rows_that_keras_refuses_are_refused_with_both_shapes(case, rows, message):
    layers, _, same = CASES[case]
    network = trained(layers, same)
    with pytest.raises(ValueError, match=message):
        network.predict(rows)
    with pytest.raises(ValueError, match=message):
        network.partial_fit(rows, y[:3])


def test_a_model_that_does_not_tell_its_input_names_the_shape_of_the_rows():
    @keras.saving.register_keras_serializable("test_row_shapes")
    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = L.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    network = KerasRegressor(lambda: Own(), loss="mean_squared_error", random_state=0).fit(TABLE, y)
    with pytest.raises(ValueError, match=r"cannot predict for rows of shape \(5, 2\): "):
        network.predict(rng.random((3, 5, 2)))


def test_a_program_refuses_arrays_that_it_was_not_traced_for():
    program = Program(lambda one: one * 2.0, tf.TensorSpec((None, 3), "float32"), is_compiled=False)
    np.testing.assert_array_equal(program(np.ones((2, 3), np.float32)), np.full((2, 3), 2.0))
    for wrong in (np.ones((2, 4), np.float32), np.ones(3, np.float32), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"traced for an array of shape \(None, 3\) and dtype float32"):
            program(wrong)
