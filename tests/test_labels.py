"""Labels: read in one way by fit and score, and encoded in time that grows with their number."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import check_cv, cross_val_score

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier
from skneural._estimators.targets import ClassTargets
from skneural._rows.weights import class_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
CODES = X.argmax(axis=1)
LABELS = (X > 0).astype(int)


def build(meta):
    units = meta["n_classes_"]
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, "softmax" if units > 1 else "sigmoid")])


def classifiers():
    fast = {"epochs": 3, "random_state": 0}
    return [
        DenseNetClassifier((4,), **fast),
        KerasClassifier(build, loss="sparse_categorical_crossentropy", **fast),
    ]


# --- fit and score --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", classifiers(), ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    "labels",
    [CODES, CODES == 0, np.array([10, -3, 7])[CODES], CODES.astype(float)],
    ids=["int", "bool", "odd", "float"],
)
def test_labels_in_object_arrays_are_scored_as_they_are_fitted(classifier, labels):
    expected = cross_val_score(classifier, X, labels, cv=3, error_score="raise")
    # Stratified folds are there for labels of native dtypes only.
    folds = list(check_cv(3, labels, classifier=True).split(X, labels))
    scores = cross_val_score(classifier, X, labels.astype(object), cv=folds, error_score="raise")
    np.testing.assert_array_equal(scores, expected)
    fitted = classifier.fit(X, labels.astype(object))
    assert fitted.score(X, labels.astype(object)) == (fitted.predict(X) == labels).mean()
    assert fitted.score(X, labels.tolist()) == fitted.score(X, labels)


def test_classes_of_partial_fit_in_an_object_array():
    model = DenseNetClassifier((4,), random_state=0).partial_fit(X, CODES, classes=np.array([0, 1, 2], dtype=object))
    assert model.classes_.dtype.kind == "i"
    assert model.score(X, CODES.astype(object)) == (model.predict(X) == CODES).mean()


@pytest.mark.parametrize(
    "labels", [LABELS.astype(object), LABELS.astype(bool).astype(object), sparse.csr_array(LABELS)]
)
def test_indicators_are_scored_as_they_are_fitted(labels):
    model = DenseNetClassifier((4,), epochs=3, random_state=0).fit(X, labels)
    assert model.score(X, labels) == (model.predict(X) == LABELS).all(axis=1).mean()


def test_numbers_in_object_arrays_are_scored_as_they_are_fitted():
    model = DenseNetRegressor((4,), epochs=3, random_state=0).fit(X, X[:, 0].astype(object))
    assert model.score(X, X[:, 0].astype(object)) == model.score(X, X[:, 0])


# --- many classes ---------------------------------------------------------------------------------------------------


class _Counted(str):
    """A label that counts how often it is compared or looked up."""

    n_looks = 0

    def __hash__(self):
        _Counted.n_looks += 1
        return super().__hash__()

    def __eq__(self, other):
        _Counted.n_looks += 1
        return super().__eq__(other)

    def __lt__(self, other):
        _Counted.n_looks += 1
        return super().__lt__(other)


def looks_at(n_classes):
    """How often labels are looked at while three rows of each class are encoded and weighed."""
    names = np.array([_Counted(f"{number:06}") for number in range(n_classes)] * 3, dtype=object)
    weights = dict.fromkeys(names[:n_classes].tolist(), 2.0)
    _Counted.n_looks = 0
    encoder = ClassTargets().fit(names)
    codes = encoder.transform(names)
    assert codes[:, 0].tolist() == list(range(n_classes)) * 3
    assert class_weights("It", weights, names, None).tolist() == [2.0] * (3 * n_classes)
    return _Counted.n_looks


def test_encoding_takes_time_in_proportion_to_the_classes():
    # Sorting has a logarithm; comparing each class with each would be 64 times as much.
    assert looks_at(4096) < 16 * looks_at(512)


def test_labels_of_20_000_classes():
    labels = np.arange(20_000).repeat(2)[::-1]
    encoder = ClassTargets(layout="one-hot", n_columns=20_000).fit(labels)
    indicators = encoder.transform(labels[:3])
    assert indicators.shape == (3, 20_000)
    assert indicators.argmax(axis=1).tolist() == [19_999, 19_999, 19_998]
    weights = class_weights("It", {19_999: 3.0}, labels, None)
    assert weights[:3].tolist() == [3.0, 3.0, 1.0]
