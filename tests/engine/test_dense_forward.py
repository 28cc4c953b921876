"""Oracle: dense networks in NumPy answer as Keras does."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from skneural._engine import Network, predict
from skneural._engine.dense_forward import DenseForward, dense_forward


def built(*layers, n_features=5):
    model = keras.Sequential([keras.Input((n_features,)), *layers])
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(rng.normal(1, 0.5, weight.shape)) for weight in model.get_weights()])
    return model


def rows(n_rows=37, n_features=5):
    return np.random.default_rng(1).normal(size=(n_rows, n_features)).astype(np.float32)


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh", "softmax", "softplus"])
def test_answers_equal_those_of_keras(activation):
    model = built(
        keras.layers.Dense(7, activation=activation),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(6, use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.Activation(activation),
        keras.layers.BatchNormalization(center=False, scale=False),
        keras.layers.Dense(3, activation=activation),
    )
    X = rows()
    kept = X.copy()
    assert isinstance(dense_forward(model), DenseForward)
    np.testing.assert_allclose(predict(Network.from_model(model), X), model.predict(X, verbose=0), rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(X, kept)


def test_large_inputs_overflow_nowhere():
    model = built(keras.layers.Dense(4, activation="sigmoid"), keras.layers.Dense(3, activation="softmax"))
    probabilities = predict(Network.from_model(model), 1e6 * rows())
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_many_rows_go_through_in_blocks():
    model = built(keras.layers.Dense(2**12, activation="relu"), keras.layers.Dense(1))
    X = rows(1000)
    forward = dense_forward(model)
    assert forward.block_size < len(X)
    np.testing.assert_allclose(predict(Network.from_model(model), X), model.predict(X, verbose=0), rtol=1e-5)


@pytest.mark.parametrize("n_rows", [16, 300, 1000, 5000])
def test_few_rows_are_multiplied_in_parts_that_stay_in_one_thread(n_rows, monkeypatch):
    model = built(keras.layers.Dense(100, activation="tanh"), keras.layers.Dense(3), n_features=64)
    network, X = Network.from_model(model), rows(n_rows, 64)
    expected = model.predict(X, verbose=0)
    sizes = []
    multiply = np.matmul

    def counting(left, right, out=None):
        sizes.append(left.shape[-2] * right.size)
        return multiply(left, right, out=out)

    monkeypatch.setattr(np, "matmul", counting)
    np.testing.assert_allclose(predict(network, X), expected, rtol=1e-4, atol=1e-5)
    is_for_one_thread = n_rows < dense_forward(model).block_size
    assert sizes
    assert all(size <= 2**18 for size in sizes) == is_for_one_thread


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(3, activation="gelu"),
        keras.layers.Dense(3, dtype="bfloat16"),
        keras.layers.LayerNormalization(),
        keras.layers.Rescaling(0.5),
    ],
    ids=["activation", "dtype", "layer", "rescaling"],
)
def test_what_it_does_not_know_goes_to_tensorflow(layer):
    model = built(keras.layers.Dense(4), layer, keras.layers.Dense(2))
    assert dense_forward(model) is None
    expected = model.predict(rows(), verbose=0)
    np.testing.assert_allclose(predict(Network.from_model(model), rows()), expected, rtol=1e-2, atol=1e-3)


def test_the_callers_rows_stay_as_they_are_where_no_dense_layer_stands_in_front():
    model = built(keras.layers.BatchNormalization(), keras.layers.Dense(2))
    assert dense_forward(model) is None
