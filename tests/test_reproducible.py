"""The same seed gives the same network, in any process, and no global state is read or written."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import make_classification

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor
from skneural._engine.cache import Store
from skneural._engine.model import template as _template

X, y = make_classification(n_samples=60, n_features=5, random_state=0)
X = X.astype(np.float32)

FIT_AND_PRINT = """
import hashlib
from sklearn.datasets import make_classification
from skneural import DenseNetClassifier
X, y = make_classification(n_samples=60, n_features=5, random_state=0)
network = DenseNetClassifier((8,), epochs=3, dropout=0.2, early_stopping=True, random_state=7)
print(hashlib.sha256(network.fit(X.astype("float32"), y).predict_proba(X.astype("float32")).tobytes()).hexdigest())
"""


def build(meta):
    n_outputs, activation = (1, "linear") if "n_classes_" not in meta else (1, "sigmoid")
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(4), keras.layers.Dropout(0.1), keras.layers.Dense(n_outputs, activation)]
    )
    model.compile(loss="mse" if activation == "linear" else "binary_crossentropy")
    return model


def estimators():
    return [
        DenseNetClassifier((8,), epochs=2, dropout=0.2, random_state=0),
        DenseNetRegressor((8,), epochs=2, random_state=0),
        KerasClassifier(build, random_state=0),
        KerasRegressor(build, random_state=0),
    ]


def digest(network):
    return hashlib.sha256(network.predict_proba(X).tobytes()).hexdigest()


@pytest.mark.slow
def test_the_same_int_gives_the_same_bits_in_another_process_and_after_other_fits():
    network = DenseNetClassifier((8,), epochs=3, dropout=0.2, early_stopping=True, random_state=7)
    here = digest(network.fit(X, y))
    DenseNetClassifier((3,), epochs=1).fit(X, y)
    assert digest(network.fit(X, y)) == here
    elsewhere = subprocess.run(
        [sys.executable, "-c", FIT_AND_PRINT], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    assert elsewhere == here


@pytest.mark.parametrize("estimator", estimators(), ids=lambda estimator: type(estimator).__name__)
def test_another_seed_gives_another_network_and_none_gives_a_new_one_each_time(estimator):
    def fitted(random_state):
        return estimator.set_params(random_state=random_state).fit(X, y).predict(
            X[:0:-1]
        ), estimator.model_.get_weights()

    first, second = fitted(0)[1], fitted(0)[1]
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert not np.array_equal(first[0], fitted(1)[1][0])
    assert not np.array_equal(fitted(None)[1][0], fitted(None)[1][0])


def test_a_random_state_instance_advances_with_each_fit():
    generator = np.random.RandomState(3)
    network = DenseNetClassifier((4,), epochs=1, random_state=generator)
    first, second = network.fit(X, y).predict_proba(X), network.fit(X, y).predict_proba(X)
    assert not np.array_equal(first, second)
    again = DenseNetClassifier((4,), epochs=1, random_state=np.random.RandomState(3)).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(again, first)


def global_state():
    name, keys, position, *gauss = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (name, keys.tobytes(), position, *gauss),
        "tensorflow seed": tf.random.get_global_generator().state.numpy().tobytes(),
        "dtype policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "soft placement": tf.config.get_soft_device_placement(),
    }


@pytest.mark.parametrize("estimator", estimators(), ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize("random_state", [0, None])
def test_no_global_state_is_changed(estimator, random_state):
    tf.random.set_seed(11)
    before = global_state()
    estimator.set_params(random_state=random_state).fit(X, y).predict(X)
    assert global_state() == before
    # The draw that follows set_seed(11) is the same whether or not a network was trained in between.
    after_fit = tf.random.uniform([3]).numpy()
    tf.random.set_seed(11)
    np.testing.assert_array_equal(after_fit, tf.random.uniform([3]).numpy())
    # With determinism switched on, an unseeded random operation would raise an error.
    tf.random.set_seed(None)
    tf.random.uniform([1])


def test_the_users_generators_do_not_steer_a_fit():
    network = DenseNetClassifier((4,), epochs=1, random_state=0)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    first = network.fit(X, y).predict_proba(X)
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    np.testing.assert_array_equal(network.fit(X, y).predict_proba(X), first)


def test_layers_have_the_same_names_in_each_network_and_keras_counts_on_undisturbed():
    before = keras.layers.Dense(1).name
    networks = [DenseNetClassifier((4, 3), dropout=0.1, epochs=1).fit(X, y).model_ for _ in range(2)]
    after = keras.layers.Dense(1).name

    for network in networks:
        assert [layer.name for layer in network.layers] == ["dense", "dropout", "dense_1", "dropout_1", "dense_2"]
    number = int(before.removeprefix("dense").removeprefix("_") or 0)
    assert after == f"dense_{number + 1}"


def test_freeing_dropped_architectures_leaves_tensorflows_seeded_operations_alone(monkeypatch):
    monkeypatch.setattr(_template, "_templates", Store(1, after_drop=_template._free_dropped))

    def drawn(between):
        tf.random.set_seed(3)
        first = float(tf.random.uniform([], seed=5))
        between()
        return first, float(tf.random.uniform([], seed=5))

    def two_architectures():
        for width in (23, 24):
            DenseNetClassifier((width,), epochs=1).fit(X, y)

    assert drawn(two_architectures) == drawn(lambda: None)
