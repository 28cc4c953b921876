"""Convolutions as products of matrices, pooling as maxima of slices, beside TensorFlow's own kernels."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from skneural._architectures.sequence_layers import MaskedConv1D
from skneural._engine import Data, Network, Settings, fit
from skneural._engine.loop.passes import passes_of
from skneural._engine.model import products as _products
from skneural._engine.model.products import let_layers_use_products, suits_xla
from skneural._engine.xla import runs as _run_programs
from skneural._engine.xla.program import Program

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


class Owner:
    """Stands in the place of a template while nothing is traced."""

    class step:
        is_compiled = True


def outputs_and_gradients(model, values, weights):
    """Outputs of a model of one layer, and the gradients of their weighted sum by inputs and kernel."""
    inputs = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs)
        total = tf.reduce_sum(outputs * weights(outputs.shape))
    gradients = tape.gradient(total, [inputs, *(variable.value for variable in model.trainable_variables)])
    return [outputs, *gradients]


def compare(layer, row_shape, values=None):
    rng = np.random.default_rng(0)
    if values is None:
        values = rng.normal(size=(5, *row_shape)).astype(np.float32)
    model = keras.Sequential([L.Input(row_shape), layer])
    factors = rng.normal(size=5000).astype(np.float32)

    def weights(shape):
        return np.resize(factors, shape)

    expected = outputs_and_gradients(model, values, weights)
    let_layers_use_products(model, Owner)
    either = layer.call
    assert not isinstance(either._compiled, type(either._other))
    either._other = None
    for ours, theirs in zip(outputs_and_gradients(model, values, weights), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected[1], 0)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("window", [(1, 1), (3, 3), (2, 3), (4, 2), (5, 7)])
def test_convolution_of_images(window, padding):
    compare(L.Conv2D(4, window, padding=padding, activation="tanh"), (6, 7, 3))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_dilated_convolution_of_images_without_bias(padding):
    compare(L.Conv2D(4, (2, 3), dilation_rate=(3, 2), padding=padding, use_bias=False), (6, 7, 3))


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("window", "rate"), [(1, 1), (3, 1), (4, 1), (3, 2), (2, 5)])
def test_convolution_of_sequences(window, rate, padding):
    compare(L.Conv1D(4, window, dilation_rate=rate, padding=padding, activation="tanh"), (9, 3))


@pytest.mark.parametrize("kind", [L.MaxPooling2D, L.AveragePooling2D])
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (1, 4)])
def test_pooling_of_images(kind, size):
    compare(kind(size), (7, 9, 2))


@pytest.mark.parametrize("kind", [L.MaxPooling1D, L.AveragePooling1D])
def test_pooling_of_sequences(kind):
    compare(kind(3), (8, 2))


def test_of_equal_largest_values_the_first_takes_the_gradient():
    values = np.random.default_rng(1).integers(0, 2, (5, 8, 8, 2)).astype(np.float32)
    compare(L.MaxPooling2D(2), (8, 8, 2), values)


def test_a_value_that_is_not_a_number_is_not_pooled_away():
    layer = L.MaxPooling2D(2)
    model = keras.Sequential([L.Input((2, 2, 1)), layer])
    let_layers_use_products(model, Owner)
    for place in range(4):
        values = np.zeros(4, np.float32)
        values[place] = np.nan
        assert np.isnan(model(values.reshape(1, 2, 2, 1))).all()


def images_model(*layers, side=8):
    model = keras.Sequential([L.Input((side, side, 1)), *layers, L.Flatten(), L.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("layers", "side", "batch_size", "expected"),
    [
        ([L.Conv2D(8, 3), L.MaxPooling2D(2)], 8, 32, True),
        ([L.Conv2D(8, 3), L.Conv2D(8, 3)], 28, 32, False),
        ([L.Conv2D(8, 3, padding="same")], 28, 70, True),
        ([L.Conv2D(8, 3, padding="same")], 28, 71, False),
        ([L.Conv2D(8, 3, padding="same"), L.BatchNormalization()], 28, 170, True),
        ([L.Conv2D(8, 3, padding="same"), L.BatchNormalization()], 28, 171, False),
        ([L.Conv2D(8, 3, strides=2)], 8, 32, False),
        ([L.Conv2D(8, 3, dilation_rate=2)], 8, 32, True),
        ([L.Conv2D(8, 3), L.Conv2D(8, 3, groups=2)], 8, 32, False),
        ([L.Conv2D(8, 3), L.MaxPooling2D(3, strides=1)], 8, 32, False),
        ([L.Conv2D(8, 3), L.MaxPooling2D(3, padding="same")], 8, 32, False),
        ([L.DepthwiseConv2D(3)], 8, 32, False),
        ([L.SeparableConv2D(2, 3)], 8, 32, False),
        ([L.Conv2DTranspose(2, 3)], 8, 32, False),
        ([keras.Sequential([L.Conv2D(8, 3)])], 8, 32, True),
        ([L.Flatten(), L.Dense(4)], 28, 256, True),
    ],
)
def test_xla_trains_networks_of_small_images(layers, side, batch_size, expected):
    assert suits_xla(images_model(*layers, side=side), batch_size) == expected


@pytest.mark.parametrize(
    ("layers", "n_steps", "expected"),
    [
        ([L.Conv1D(8, 5)], 100, True),
        ([L.Conv1D(8, 5, padding="causal", dilation_rate=4)], 100, True),
        ([L.Conv1D(8, 5), L.Conv1D(8, 5)], 1000, False),
        ([L.Conv1D(8, 5), L.Conv1D(8, 5), L.GRU(4)], 1000, True),
        ([L.Conv1D(8, 5), L.Conv1D(8, 50), L.GRU(4)], 1000, False),
        ([L.Conv1D(8, 5, strides=2)], 100, False),
        ([L.Conv1D(8, 5, strides=2), L.LSTM(4)], 100, True),
        ([L.SeparableConv1D(8, 5)], 100, False),
        ([MaskedConv1D(64, 8)], 1000, True),
    ],
)
def test_xla_trains_networks_of_short_sequences_and_recurrent_ones(layers, n_steps, expected):
    model = keras.Sequential([L.Input((n_steps, 2)), *layers])
    assert suits_xla(model, 32) == expected


def test_training_compiles_convolutions_into_one_program_where_images_are_small(monkeypatch):
    """Compiled and not, the same network comes out; and the operations show which way was taken."""
    rng = np.random.default_rng(0)
    data = Data.of(rng.random((64, 8, 8, 1), dtype=np.float32), rng.integers(0, 3, 64))
    weights, compiled = [], []

    def record(function, inputs, *, is_compiled):
        compiled.append(is_compiled)
        return Program(function, inputs, is_compiled=is_compiled)

    monkeypatch.setattr(_run_programs, "Program", record)
    for limit in (_products.MAX_WINDOW_VALUES, 0):
        monkeypatch.setattr(_products, "MAX_WINDOW_VALUES", limit)
        keras.utils.set_random_seed(0)
        network = Network.from_model(images_model(L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2)))
        assert fit(network, data, None, Settings(epochs=3, batch_size=16, seed=0)).way == "compiled"
        weights.append(network.state.variables)
    assert compiled == [True, False]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_validation_is_in_batches_that_xla_suits():
    """Two rows a batch of training let a batch of 256 images through, whose windows are a hundred times as large."""
    rng = np.random.default_rng(0)
    data = Data.of(rng.random((300, 28, 28, 1), dtype=np.float32), rng.integers(0, 3, 300))
    network = Network.from_model(images_model(L.Conv2D(8, 3, padding="same"), side=28))
    training, judged = passes_of(network, data, data, Settings(epochs=1, batch_size=2, seed=0))
    assert training.shape.is_compiled
    assert judged.shape.batch_size == 64
    training, judged = passes_of(
        network, data, data, Settings(epochs=1, batch_size=2, validation_batch_size=128, seed=0)
    )
    assert not training.shape.is_compiled
    assert judged.shape.batch_size == 256
