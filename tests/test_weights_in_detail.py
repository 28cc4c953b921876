"""Weights of classes beside rows for validation and in folds, weights of any size, and rows that are many."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.utils.class_weight import compute_sample_weight
from test_weights import (
    ESTIMATORS,
    FULL_BATCH,
    LABELS,
    WEIGHTS,
    X,
    Y,
    assert_other_weights,
    assert_same_weights,
    build,
)

from skneural import (
    ConvNetClassifier,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    RecurrentNetClassifier,
)
from skneural._estimators import base as _neural


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def make(request):
    """A function that makes an estimator of each class, trained in full batches unless told otherwise."""
    return lambda **given: type(request.param)(**(request.param.get_params() | FULL_BATCH | given))


CLASSIFIERS = [make for make in ESTIMATORS if hasattr(make, "class_weight")]


@pytest.fixture(params=CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
def make_classifier(request):
    """A function that makes a classifier of each class."""
    return lambda **given: type(request.param)(**(request.param.get_params() | FULL_BATCH | given))


# --- class weights and rows for validation --------------------------------------------------------------------------

STILL = {"epochs": 1, "batch_size": 200, "random_state": 0}
CLASS_WEIGHT = {0: 1.0, 1: 9.0, 2: 0.1}


def still_users(**parameters):
    def build_still(meta):
        model = build(meta)
        model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.SGD(1e-9))
        return model

    split = {"validation_split": parameters.pop("validation_fraction")} if "validation_fraction" in parameters else {}
    parameters.pop("early_stopping", None)
    return KerasClassifier(build_still, **STILL, **split, **parameters)


def still_family(cls, **shape):
    still = {"optimizer": "sgd", "learning_rate": 1e-9, "l2": 0.0, "dropout": 0.0, "batch_normalization": False}
    return lambda **parameters: cls(**STILL, **still, **shape, **parameters)


STILL_CLASSIFIERS = {
    "DenseNet": still_family(DenseNetClassifier, hidden_layer_sizes=(4,)),
    "ConvNet": still_family(
        ConvNetClassifier, image_shape=(1, 3), filters=2, kernel_size=1, pooling=None, augment=False
    ),
    "RecurrentNet": still_family(RecurrentNetClassifier, units=2, filters=(), standardize=False),
    "Keras": still_users,
}


@pytest.mark.parametrize("name", STILL_CLASSIFIERS)
def test_class_weights_do_not_weigh_rows_for_validation(name):
    make_still = STILL_CLASSIFIERS[name]
    rows, labels, weights = X[::-1] + 0.1, Y, WEIGHTS + 1.0
    model = make_still(class_weight=CLASS_WEIGHT).fit(X, Y, X_val=rows, y_val=labels, sample_weight_val=weights)
    expected = log_loss(labels, model.predict_proba(rows), sample_weight=weights, labels=[0, 1, 2])
    np.testing.assert_allclose(model.history_["val_loss"][0], expected, rtol=1e-5)
    by_row = np.array([1.0, 9.0, 0.1])[Y]
    expected = log_loss(Y, model.predict_proba(X), sample_weight=by_row, labels=[0, 1, 2])
    np.testing.assert_allclose(model.history_["loss"][0], expected, rtol=1e-5)


# A ConvNet scales pixels by moments of weighted rows, and so is another network with other class weights.
@pytest.mark.parametrize("name", ["DenseNet", "RecurrentNet", "Keras"])
def test_class_weights_do_not_weigh_rows_split_off(name):
    split = {"early_stopping": True, "validation_fraction": 0.5}
    plain = STILL_CLASSIFIERS[name](**split).fit(X, Y)
    weighted = STILL_CLASSIFIERS[name](class_weight={0: 1.0, 1: 9.0, 2: 0.0}, **split).fit(X, Y)
    np.testing.assert_allclose(weighted.history_["val_loss"], plain.history_["val_loss"], rtol=1e-5)
    assert abs(weighted.loss_curve_[0] - plain.loss_curve_[0]) > 1e-3


def test_no_row_with_weight_is_left_for_training():
    model = DenseNetClassifier((4,), class_weight={0: 0.0, 1: 0.0, 2: 1.0}, **FULL_BATCH)
    with pytest.raises(ValueError, match="class_weight times sample_weight is zero for each"):
        model.fit(X, Y, sample_weight=(Y != 2).astype(float), X_val=X, y_val=Y)


# --- labels that the rows at hand lack ------------------------------------------------------------------------------


def test_class_weight_of_a_label_that_the_rows_lack(make_classifier):
    common = Y != 2
    whole = make_classifier(class_weight={0: 1.0, 1: 5.0, 2: 30.0}).fit(X[common], Y[common])
    assert whole.classes_.tolist() == [0, 1]
    assert_same_weights(whole, make_classifier(class_weight={0: 1.0, 1: 5.0}).fit(X[common], Y[common]))
    # scikit-learn takes the same, and takes a label for a mistake where a class has no weight.
    expected = compute_sample_weight({0: 1.0, 1: 5.0, 2: 30.0}, Y[common])
    assert_same_weights(whole, make_classifier().fit(X[common], Y[common], sample_weight=expected))
    with pytest.raises(ValueError, match=r"has the label 2, which is not among the classes \[0, 1\]"):
        make_classifier(class_weight={0: 1.0, 2: 30.0}).fit(X[common], Y[common])


def test_class_weight_of_a_rare_class_in_ordered_folds():
    labels = np.array(["a", "b"] * 20 + ["rare", "a"] * 4)
    rows = np.random.default_rng(0).normal(size=(48, 3))
    model = DenseNetClassifier((4,), class_weight={"a": 1, "b": 1, "rare": 10}, **FULL_BATCH)
    scores = cross_val_score(model, rows, labels, cv=TimeSeriesSplit(3), error_score="raise")
    assert np.isfinite(scores).all()


# --- weights of any size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e307, 1e308, 1e-300, 5e-324])
def test_weights_of_any_size_train_alike(make, size):
    weights = np.array([1.0, 2.0, 4.0])[Y] if size > 1e-300 else WEIGHTS
    weights = weights / 4 if size == 1e308 else weights
    huge = make().fit(X, Y, sample_weight=weights * size)
    assert_same_weights(huge, make().fit(X, Y, sample_weight=weights))
    assert_other_weights(huge, make().initialize(X, Y))


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_products_of_weights_of_any_size(make_classifier, size):
    # Powers of two, whose products are exact.
    size = 2.0 ** round(np.log2(size))
    by_class = {0: 1.0 * size, 1: 4.0 * size, 2: 0.5 * size}
    both = make_classifier(class_weight=by_class).fit(X, Y, sample_weight=WEIGHTS * size)
    plain = make_classifier(class_weight={0: 1.0, 1: 4.0, 2: 0.5}).fit(X, Y, sample_weight=WEIGHTS)
    assert_same_weights(both, plain)
    columns = [{0: size, 1: 4 * size}, {0: 0.5 * size, 1: size}]
    small = [{0: 1.0, 1: 4.0}, {0: 0.5, 1: 1.0}]
    listed = DenseNetClassifier((4,), class_weight=columns, **FULL_BATCH).fit(X, LABELS)
    assert_same_weights(listed, DenseNetClassifier((4,), class_weight=small, **FULL_BATCH).fit(X, LABELS))


def test_scores_of_weights_of_any_size(make):
    model = make().fit(X, Y)
    expected = model.score(X, Y, sample_weight=WEIGHTS / 8)
    np.testing.assert_allclose(model.score(X, Y, sample_weight=WEIGHTS / 8 * 1e308), expected, rtol=1e-12)
    assert abs(expected - model.score(X, Y)) > 1e-6


# --- equal rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample_weight", [None, np.arange(40_000) % 3])
def test_many_rows_in_one_batch_are_not_sorted(sample_weight, monkeypatch):
    monkeypatch.setattr(_neural, "merge_equal_rows", lambda *rows: pytest.fail("sorted"))
    rows = np.zeros((40_000, 2))
    model = DenseNetRegressor((), epochs=1, batch_size=40_000, random_state=0)
    model.fit(rows, np.arange(40_000) % 5, sample_weight=sample_weight)
    assert model.n_iter_ == 1
