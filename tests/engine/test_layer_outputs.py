"""The outputs of a layer within a network are those of Keras's model that ends there."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from skneural import ConvNetClassifier, DenseNetClassifier, KerasClassifier
from skneural._engine import predict
from skneural._engine.xla.program import traces

rng = np.random.default_rng(0)
X, y = rng.random((40, 16)).astype(np.float32), np.arange(40) % 2
L = keras.layers


def branched(meta):
    inputs = keras.Input((16,))
    hidden = L.Dense(5, "relu", name="hidden")(inputs)
    outputs = L.Dense(2, "softmax")(L.Concatenate(name="both")([hidden, L.Dense(3, name="side")(inputs)]))
    return keras.Model(inputs, outputs)


NETWORKS = {
    "dense": DenseNetClassifier((6, 5), epochs=2, random_state=0),
    "convolutions": ConvNetClassifier(image_shape=(4, 4), filters=(3,), epochs=1, random_state=0),
    "users": KerasClassifier(branched, loss="sparse_categorical_crossentropy", random_state=0),
    "eager": KerasClassifier(branched, loss="sparse_categorical_crossentropy", random_state=0, run_eagerly=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_of_each_layer_are_kerass(name):
    estimator = NETWORKS[name].fit(X, y)
    model = estimator.model_
    for layer in (one for one in model.layers if not isinstance(one, L.InputLayer)):
        expected = keras.Model(model.inputs, layer.output).predict(X, verbose=0)
        np.testing.assert_allclose(predict(estimator._network, X, output=layer.name), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"^The network has no layer 'absent'\. Its layers: "):
        predict(estimator._network, X, output="absent")


def test_networks_of_one_architecture_share_the_way_to_a_layer():
    first, second = (DenseNetClassifier((7,), epochs=1, random_state=seed).fit(X, y) for seed in (0, 1))
    one = predict(first._network, X, output="dense")
    before = traces.n_traces
    other = predict(second._network, X, output="dense")
    assert traces.n_traces == before
    assert one.shape == other.shape == (40, 7)
    assert not np.array_equal(one, other)
