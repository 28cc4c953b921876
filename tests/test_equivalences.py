"""Equal things give equal networks; independent computations give the same numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_classification
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler, scale

from skneural import DenseNetClassifier, DenseNetRegressor

X, y = make_classification(n_samples=60, n_features=5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
X = X.astype(np.float32)
WHOLE = {"epochs": 15, "batch_size": 500, "random_state": 0}


def probabilities(sample_weight=None, rows=slice(None), **parameters):
    network = DenseNetClassifier((8,), **(WHOLE | parameters))
    weights = None if sample_weight is None else sample_weight[rows]
    return network.fit(X[rows], y[rows], sample_weight=weights).predict_proba(X)


def test_weights_of_one_equal_no_weights():
    np.testing.assert_array_equal(probabilities(np.ones(60)), probabilities())


def test_only_the_ratios_of_weights_count():
    weights = np.linspace(1, 3, 60)
    np.testing.assert_allclose(probabilities(7 * weights), probabilities(weights), atol=1e-5)


def test_a_weight_of_zero_equals_the_row_left_out():
    weights = np.ones(60)
    weights[::7] = 0
    np.testing.assert_array_equal(probabilities(weights), probabilities(rows=np.flatnonzero(weights)))


def test_a_weight_of_two_equals_the_row_twice():
    weights = np.ones(60)
    weights[:10] = 2
    twice = np.r_[np.arange(60), np.arange(10)]
    np.testing.assert_allclose(probabilities(weights), probabilities(rows=twice), atol=1e-6)


def test_class_weights_multiply_with_sample_weights():
    by_class = {0: 1.0, 1: 2.0, 2: 5.0}
    weights = np.linspace(1, 2, 60)
    product = weights * np.array([by_class[label] for label in y])
    np.testing.assert_allclose(probabilities(weights, class_weight=by_class), probabilities(product), atol=1e-6)


def test_balanced_class_weights_are_those_of_scikit_learn():
    counts = np.bincount(y)
    by_class = {label: 60 / (3 * counts[label]) for label in range(3)}
    np.testing.assert_allclose(probabilities(class_weight="balanced"), probabilities(class_weight=by_class), atol=1e-6)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_rows_equal_dense_rows(container):
    thin = np.where(np.abs(X) > 0.5, X, 0).astype(np.float32)
    dense = DenseNetClassifier((8,), epochs=3, random_state=0).fit(thin, y).predict_proba(thin)
    network = DenseNetClassifier((8,), epochs=3, random_state=0).fit(container(thin), y)
    np.testing.assert_allclose(network.predict_proba(container(thin)), dense, atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [X.astype(np.float64), np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X.tolist(), X.astype(object)],
    ids=["float64", "fortran", "strided", "lists", "objects"],
)
def test_every_form_of_the_same_rows_gives_the_same_network(given):
    expected = DenseNetClassifier((8,), epochs=3, random_state=0).fit(X, y).predict_proba(X)
    network = DenseNetClassifier((8,), epochs=3, random_state=0).fit(given, y)
    np.testing.assert_allclose(network.predict_proba(given), expected, atol=1e-6)


def test_the_callers_arrays_stay_as_they_are():
    kept_X, kept_y, weights = X.copy(), y.copy(), np.linspace(0, 2, 60)
    kept_weights = weights.copy()
    for array in (X, y, weights):
        array.flags.writeable = False
    try:
        DenseNetClassifier((8,), epochs=2, class_weight="balanced").fit(X, y, sample_weight=weights).predict(X)
    finally:
        for array in (X, y):
            array.flags.writeable = True
    np.testing.assert_array_equal(X, kept_X)
    np.testing.assert_array_equal(y, kept_y)
    np.testing.assert_array_equal(weights, kept_weights)


def test_probabilities_are_those_of_a_forward_pass_in_numpy():
    network = DenseNetClassifier((8, 6), activation=["relu", "tanh"], epochs=2, random_state=0).fit(X, y)
    W1, b1, W2, b2, W3, b3 = network.model_.get_weights()
    logits = np.tanh(np.maximum(X @ W1 + b1, 0) @ W2 + b2) @ W3 + b3
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict_proba(X), expected, atol=1e-6)
    np.testing.assert_allclose(network.predict_proba(X), network.model_.predict(X, verbose=0), atol=1e-6)


@pytest.mark.slow
def test_a_network_without_hidden_layers_converges_to_linear_regression():
    features, target = load_diabetes(return_X_y=True)
    features = scale(features)
    network = DenseNetRegressor((), l2=0.0, epochs=2500, learning_rate=0.02, batch_size=442, random_state=0)
    predicted = network.fit(features, target).predict(features)
    expected = LinearRegression().fit(features, target).predict(features)
    assert np.abs(predicted - expected).max() < 0.02 * target.std()


def test_targets_in_the_millions_train_as_well_as_small_ones():
    target = np.sin(X[:, 0]) + X[:, 1]
    network = DenseNetRegressor((16,), epochs=40, learning_rate=1e-2, random_state=0)
    small = clone(network).fit(X, target)
    large = clone(network).fit(X, 3e6 + 1e6 * target)
    np.testing.assert_allclose((large.predict(X) - 3e6) / 1e6, small.predict(X), atol=1e-3)
    assert small.score(X, target) > 0.9


@pytest.mark.parametrize(
    "labels", [["cat", "dog", "eel"], [True, False], [3, -1, 8], [1.0, 2.0]], ids=["str", "bool", "int", "float"]
)
@pytest.mark.parametrize("dtype", [None, object])
def test_labels_come_back_as_they_were_given(labels, dtype):
    named = np.array(labels, dtype=dtype)[y % len(labels)]
    network = DenseNetClassifier((16,), epochs=40, learning_rate=1e-2, random_state=0).fit(X, named)
    assert set(network.predict(X).tolist()) <= set(labels)
    assert (network.predict(X) == named).mean() > 0.8
    assert network.classes_.tolist() == sorted(labels)
    one_row = network.predict_proba(X[:1])
    assert one_row.shape == (1, len(labels))
    np.testing.assert_allclose(network.predict_proba(X).sum(axis=1), 1, atol=1e-6)


def test_multilabel_targets_give_one_probability_per_label():
    indicators = np.c_[y == 0, y != 2, X[:, 0] > 0].astype(int)
    network = DenseNetClassifier((16,), epochs=60, learning_rate=1e-2, random_state=0).fit(X, indicators)
    assert network.predict_proba(X[:1]).shape == (1, 3)
    assert (network.predict(X) == indicators).mean() > 0.8
    np.testing.assert_array_equal(network.predict(X), network.predict_proba(X) > 0.5)


def test_several_outputs_are_scaled_one_by_one():
    target = np.c_[X[:, 0], 1e6 * X[:, 1] + 5e6]
    network = DenseNetRegressor((16,), epochs=80, learning_rate=1e-2, random_state=0).fit(X, target)
    errors = np.abs(network.predict(X) - target).mean(axis=0) / target.std(axis=0)
    assert network.predict(X).shape == target.shape
    assert (errors < 0.3).all()


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    network = DenseNetClassifier((32,), epochs=200, learning_rate=0.05, early_stopping=True, random_state=0)
    X_val, y_val = X[40:], np.roll(y[40:], 1)
    network.fit(X[:40], y[:40], X_val=X_val, y_val=y_val)
    curve = network.history_["val_loss"]
    assert network.best_epoch_ == int(np.argmin(curve)) + 1
    assert network.n_iter_ == len(curve) < 200
    kept = -np.log(network.predict_proba(X_val)[np.arange(20), y_val]).mean()
    assert kept + 1e-4 * sum((w**2).sum() for w in network.model_.get_weights()[::2]) == pytest.approx(
        min(curve), abs=1e-4
    )


def test_each_parameter_reaches_the_network():
    network = DenseNetClassifier(
        (7, 5), activation=["sigmoid", "tanh"], dropout=0.25, batch_normalization=True, l2=0.01, optimizer="sgd",
        learning_rate=0.3, optimizer__momentum=0.4, kernel_initializer="he_normal", epochs=1,
    ).fit(StandardScaler().fit_transform(X), y)  # fmt: skip
    layers = network.model_.layers
    assert isinstance(network.model_, keras.Sequential)
    assert [type(layer).__name__ for layer in layers] == [
        *["Dense", "BatchNormalization", "Activation", "Dropout"] * 2, "Dense",
    ]  # fmt: skip
    assert [layers[0].units, layers[4].units, layers[8].units] == [7, 5, 3]
    assert [layers[2].activation.__name__, layers[6].activation.__name__] == ["sigmoid", "tanh"]
    assert layers[3].rate == 0.25
    assert layers[0].kernel_regularizer.l2 == pytest.approx(0.01)
    assert type(layers[0].kernel_initializer).__name__ == "HeNormal"
    assert network.model_.optimizer.momentum == 0.4
    assert float(network.model_.optimizer.learning_rate) == pytest.approx(0.3)
