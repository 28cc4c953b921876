"""Weights: what the weight of a row or of a class means."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = RNG.integers(0, 3, size=24)
LABELS = RNG.integers(0, 2, size=(24, 2))
WEIGHTS = RNG.integers(0, 4, size=24)
FULL_BATCH = {"epochs": 5, "batch_size": 200, "random_state": 0}


def build(meta):
    outputs = meta.get("n_classes_", 1)
    model = keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(4, activation="tanh"),
            keras.layers.Dense(outputs, activation="softmax" if outputs > 1 else "linear"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy" if outputs > 1 else "mse", optimizer=keras.optimizers.SGD(0.1))
    return model


ESTIMATORS = [DenseNetClassifier((4,)), DenseNetRegressor((4,)), KerasClassifier(build), KerasRegressor(build)]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def make(request):
    """A function that makes an estimator of each class, trained in full batches unless told otherwise."""
    return lambda **given: type(request.param)(**(request.param.get_params() | FULL_BATCH | given))


def weights_of(model):
    return model.model_.get_weights()


def assert_same_weights(one, other):
    for mine, theirs in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_other_weights(one, other):
    assert any(
        not np.allclose(mine, theirs, atol=1e-4)
        for mine, theirs in zip(weights_of(one), weights_of(other), strict=True)
    )


# --- sample_weight --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 1.0, 0.1, 7])
@pytest.mark.parametrize("batch_size", [200, 7])
def test_equal_weights_are_no_weights(make, value, batch_size):
    weighted = make(batch_size=batch_size).fit(X, Y, sample_weight=np.full(24, value))
    assert_same_weights(weighted, make(batch_size=batch_size).fit(X, Y))


def test_weight_of_zero_equals_the_row_left_out(make):
    kept = WEIGHTS > 0
    weighted = make().fit(X, Y, sample_weight=kept.astype(float))
    assert_same_weights(weighted, make().fit(X[kept], Y[kept]))
    assert weighted.loss_curve_ == make().fit(X[kept], Y[kept]).loss_curve_
    assert_other_weights(weighted, make().fit(X, Y))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_weight_equals_the_row_as_often(make, container):
    repeated = make().fit(container(X.repeat(WEIGHTS, axis=0)), Y.repeat(WEIGHTS))
    weighted = make().fit(container(X), Y, sample_weight=WEIGHTS)
    assert_same_weights(weighted, repeated)
    assert weighted.loss_curve_ == repeated.loss_curve_
    assert_other_weights(weighted, make().fit(container(X), Y))


def test_order_of_rows_in_a_full_batch_does_not_matter(make):
    order = np.random.default_rng(1).permutation(24)
    one = make().fit(X, Y, sample_weight=WEIGHTS)
    assert_same_weights(one, make().fit(X[order], Y[order], sample_weight=WEIGHTS[order]))


def test_only_ratios_of_weights_count(make):
    assert_same_weights(make().fit(X, Y, sample_weight=WEIGHTS), make().fit(X, Y, sample_weight=16.0 * WEIGHTS))


@pytest.mark.parametrize("kind", [list, pd.Series, np.float32, np.int8])
def test_weights_of_any_kind(make, kind):
    one = make().fit(X, Y, sample_weight=kind(WEIGHTS) if kind in (list, pd.Series) else WEIGHTS.astype(kind))
    assert_same_weights(one, make().fit(X, Y, sample_weight=WEIGHTS.astype(float)))


def test_loss_is_the_weighted_mean():
    model = DenseNetClassifier((4,), l2=0.0, optimizer="sgd", learning_rate=1e-9, **(FULL_BATCH | {"epochs": 1}))
    weights = RNG.uniform(size=24)
    model.fit(X, Y, sample_weight=weights)
    expected = log_loss(Y, model.predict_proba(X), sample_weight=weights)
    np.testing.assert_allclose(model.loss_curve_[0], expected, rtol=1e-5)
    np.testing.assert_allclose(
        model.history_["accuracy"][0], np.average(model.predict(X) == Y, weights=weights), rtol=1e-5
    )
    assert abs(expected - log_loss(Y, model.predict_proba(X))) > 1e-3


def test_weights_in_small_batches_pull_towards_heavy_rows():
    zeros = np.zeros((40, 1))
    y = np.tile([0.0, 10.0], 20)
    weights = np.tile([1.0, 3.0], 20)
    model = DenseNetRegressor((), epochs=300, batch_size=8, learning_rate=0.02, l2=0.0, random_state=0)
    np.testing.assert_allclose(model.fit(zeros, y, sample_weight=weights).predict(zeros), 7.5, atol=0.7)


def test_equal_rows_count_one_by_one_in_metrics():
    rows, labels = np.array([[0.0, 0.0]] * 5 + [[1.0, 1.0]]), np.array([0] * 5 + [1])
    slow = {"optimizer": "sgd", "learning_rate": 1e-9, "epochs": 1, "random_state": 0, "batch_size": 200}
    model = DenseNetClassifier((), **slow).fit(rows, labels)
    np.testing.assert_allclose(model.history_["accuracy"][0], (model.predict(rows) == labels).mean())

    def build_with_metrics():
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
        network.compile(
            loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.SGD(1e-9), metrics=["accuracy"]
        )
        return network

    model = KerasClassifier(build_with_metrics, epochs=1, random_state=0, batch_size=200).fit(rows, labels)
    np.testing.assert_allclose(model.history_["accuracy"][0], (model.predict(rows) == labels).mean())


def test_sum_of_losses_counts_each_row():
    rows, y = np.zeros((6, 1)), np.array([1.0] * 5 + [2.0])
    loss = keras.losses.MeanSquaredError(reduction="sum")

    def build_sum():
        network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        network.compile(loss=loss, optimizer=keras.optimizers.SGD(1e-9))
        return network

    model = KerasRegressor(build_sum, batch_size=-1, random_state=0).fit(rows, y)
    np.testing.assert_allclose(model.loss_curve_[0], 5 * 1.0 + 4.0, rtol=1e-5)


def test_weights_in_partial_fit(make):
    heavy = make(epochs=1).partial_fit(X, Y).partial_fit(X, Y, sample_weight=WEIGHTS)
    repeated = make(epochs=1).partial_fit(X, Y).partial_fit(X.repeat(WEIGHTS, axis=0), Y.repeat(WEIGHTS))
    assert_same_weights(heavy, repeated)


# --- class_weight ---------------------------------------------------------------------------------------------------

CLASSIFIERS = [make for make in ESTIMATORS if hasattr(make, "class_weight")]


@pytest.fixture(params=CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
def make_classifier(request):
    """A function that makes a classifier of each class."""
    return lambda **given: type(request.param)(**(request.param.get_params() | FULL_BATCH | given))


def test_class_weight_is_a_weight_of_rows(make_classifier):
    by_class = make_classifier(class_weight={0: 1.0, 1: 5.0, 2: 0.5}).fit(X, Y)
    by_row = make_classifier().fit(X, Y, sample_weight=np.array([1.0, 5.0, 0.5])[Y])
    assert_same_weights(by_class, by_row)
    assert_other_weights(by_class, make_classifier().fit(X, Y))


def test_class_weight_by_label(make_classifier):
    names = np.array(["b", "c", "a"])
    by_name = make_classifier(class_weight={"c": 5.0, "a": 0.5, "b": 1.0}).fit(X, names[Y])
    assert_same_weights(by_name, make_classifier().fit(X, names[Y], sample_weight=np.array([1.0, 5.0, 0.5])[Y]))


def test_class_that_is_not_named_weighs_one(make_classifier):
    some = make_classifier(class_weight={1: 5.0}).fit(X, Y)
    assert_same_weights(some, make_classifier(class_weight={0: 1.0, 1: 5.0, 2: 1.0}).fit(X, Y))


def test_balanced_class_weight(make_classifier):
    uneven = np.where(np.arange(24) < 18, 0, Y)
    balanced = make_classifier(class_weight="balanced").fit(X, uneven)
    sizes = np.bincount(uneven)
    assert_same_weights(balanced, make_classifier().fit(X, uneven, sample_weight=(24 / sizes / 3)[uneven]))
    assert_other_weights(balanced, make_classifier().fit(X, uneven))


def test_class_and_sample_weight_multiply(make_classifier):
    both = make_classifier(class_weight={0: 1.0, 1: 5.0, 2: 0.5}).fit(X, Y, sample_weight=WEIGHTS)
    product = WEIGHTS * np.array([1.0, 5.0, 0.5])[Y]
    assert_same_weights(both, make_classifier().fit(X, Y, sample_weight=product))
    assert_other_weights(both, make_classifier().fit(X, Y, sample_weight=WEIGHTS))


def test_class_of_weight_zero_is_left_out(make_classifier):
    kept = Y != 1
    without = make_classifier(class_weight={1: 0.0}).fit(X, Y)
    assert without.classes_.tolist() == [0, 1, 2]
    assert_same_weights(without, make_classifier().fit(X, Y, sample_weight=kept.astype(float)))


def test_class_weight_of_columns():
    columns = [{0: 1.0, 1: 3.0}, {0: 0.5, 1: 1.0}]
    listed = DenseNetClassifier((4,), class_weight=columns, **FULL_BATCH).fit(X, LABELS)
    product = np.where(LABELS[:, 0], 3.0, 1.0) * np.where(LABELS[:, 1], 1.0, 0.5)
    plain = DenseNetClassifier((4,), **FULL_BATCH)
    assert_same_weights(listed, plain.fit(X, LABELS, sample_weight=product))
    np.testing.assert_allclose(product, compute_sample_weight(columns, LABELS))
    balanced = DenseNetClassifier((4,), class_weight="balanced", **FULL_BATCH).fit(X, LABELS)
    assert_same_weights(balanced, plain.fit(X, LABELS, sample_weight=compute_sample_weight("balanced", LABELS)))


def test_class_weight_of_one_hot_labels():
    parameters = {"loss": "categorical_crossentropy", "class_weight": {1: 5.0}} | FULL_BATCH
    one_hot = DenseNetClassifier((4,), **parameters).fit(X, np.eye(3, dtype=int)[Y])
    assert_same_weights(one_hot, DenseNetClassifier((4,), **parameters).fit(X, Y))


def test_class_weight_in_partial_fit_where_a_class_is_missing(make_classifier):
    some = Y != 1
    weighted = make_classifier(class_weight={1: 5.0, 2: 3.0}).partial_fit(X[some], Y[some], classes=[0, 1, 2])
    plain = make_classifier().partial_fit(
        X[some], Y[some], classes=[0, 1, 2], sample_weight=np.where(Y[some] == 2, 3.0, 1.0)
    )
    assert_same_weights(weighted, plain)


def test_heavy_class_is_predicted_more_often():
    model = DenseNetClassifier((), epochs=50, learning_rate=0.1, random_state=0)
    plain = model.fit(X, Y).predict(X)
    heavy = model.set_params(class_weight={2: 20.0}).fit(X, Y).predict(X)
    assert (heavy == 2).sum() > (plain == 2).sum()


# --- weights of validation ------------------------------------------------------------------------------------------


def test_validation_loss_is_the_weighted_mean(make):
    rows, labels = X[::-1] + 0.1, Y
    options = {"X_val": rows, "y_val": labels}
    weighted = make().fit(X, Y, **options, sample_weight_val=WEIGHTS)
    repeated = make().fit(X, Y, X_val=rows.repeat(WEIGHTS, axis=0), y_val=labels.repeat(WEIGHTS))
    plain = make().fit(X, Y, **options)
    np.testing.assert_allclose(weighted.history_["val_loss"], repeated.history_["val_loss"], rtol=1e-5)
    assert not np.allclose(weighted.history_["val_loss"], plain.history_["val_loss"], rtol=1e-3)
    assert_same_weights(weighted, plain)


def test_validation_loss_is_the_log_loss():
    model = DenseNetClassifier((4,), l2=0.0, **(FULL_BATCH | {"epochs": 3}))
    model.fit(X, Y, X_val=X[:9], y_val=Y[:9], sample_weight_val=WEIGHTS[:9] + 1)
    expected = log_loss(Y[:9], model.predict_proba(X[:9]), sample_weight=WEIGHTS[:9] + 1, labels=[0, 1, 2])
    np.testing.assert_allclose(model.history_["val_loss"][-1], expected, rtol=1e-5)
    accuracy = np.average(model.predict(X[:9]) == Y[:9], weights=WEIGHTS[:9] + 1)
    np.testing.assert_allclose(model.history_["val_accuracy"][-1], accuracy, rtol=1e-5)


def test_weights_decide_the_best_epoch():
    # The first half agrees with training, the second contradicts it.
    labels = np.hstack([Y[:12], (Y[12:] + 1) % 3])
    model = DenseNetClassifier((8,), early_stopping=True, learning_rate=0.05, **(FULL_BATCH | {"epochs": 10}))
    first, second = (np.arange(24) < 12).astype(float), (np.arange(24) >= 12).astype(float)
    agreeing = model.fit(X, Y, X_val=X, y_val=labels, sample_weight_val=first).best_epoch_
    contradicting = model.fit(X, Y, X_val=X, y_val=labels, sample_weight_val=second).best_epoch_
    assert contradicting < agreeing


def test_rows_split_off_keep_their_weights():
    model = DenseNetClassifier((4,), early_stopping=True, validation_fraction=0.5, l2=0.0, **FULL_BATCH)
    one = model.fit(X, Y, sample_weight=WEIGHTS + 1).history_
    other = model.fit(X, Y, sample_weight=24 - np.arange(24)).history_
    assert not np.allclose(one["val_loss"], other["val_loss"], rtol=1e-3)
