"""Networks without a loss, and steps for them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from skneural._engine import Network, Settings, Step, fit

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 5)).astype(np.float32) @ RNG.normal(size=(5, 5)).astype(np.float32)
WEIGHTS = RNG.uniform(0.5, 2.0, len(X)).astype(np.float32)


def network_of(layers, optimizer=None, seed=3, n_features=5):
    """A network without a loss, with kernels drawn from the seed."""
    model = keras.Sequential([keras.Input((n_features,)), *layers])
    rng = np.random.default_rng(seed)
    model.set_weights([w if w.ndim < 2 else rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.05) if optimizer is None else optimizer)
    return Network.from_model(model)


def trained(network, step, data, validation=None, **changes):
    settings = Settings(**{"epochs": 3, "batch_size": 16, "seed": 5, "step": step} | changes)
    result = fit(network, data, validation, settings)
    assert result.way == "compiled"
    return result


def assert_close(network, expected, rtol=1e-5, atol=1e-6):
    for value, other in zip(network.get_weights(), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=rtol, atol=atol)


def squared_errors(call, batch):
    return tf.reduce_mean((call(batch.inputs[0]) - batch.targets) ** 2, axis=-1)


RECONSTRUCT = Step("reconstruct", squared_errors)


def linear_autoencoder(loss=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), L.Dense(2, use_bias=False), L.Dense(5, use_bias=False)])
    model.compile(keras.optimizers.Adam(0.02), loss)
    return Network.from_model(model)
