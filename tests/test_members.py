"""Several networks in one estimator: each is what a single fit with its seed gives, and their answers are averaged."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skneural import DenseNetClassifier, DenseNetRegressor, parallel_fits
from skneural._families.members import OfMembers, member_seeds
from skneural._seeds import draw_seeds

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


class Classifiers(OfMembers, DenseNetClassifier):
    def __init__(self, hidden_layer_sizes=(8,), *, n_members=5, epochs=4, random_state=0, dropout=0.1, **others):
        super().__init__(hidden_layer_sizes, epochs=epochs, random_state=random_state, dropout=dropout, **others)
        self.n_members = n_members


class Regressors(OfMembers, DenseNetRegressor):
    def __init__(self, hidden_layer_sizes=(8,), *, n_members=2, epochs=4, random_state=0):
        super().__init__(hidden_layer_sizes, epochs=epochs, random_state=random_state)
        self.n_members = n_members


def singles(estimator, kind, y, **parameters):
    """Fits of one network each, with the seeds that the members are to have."""
    seeds = member_seeds(draw_seeds(estimator.random_state).weights, estimator.n_members)
    return [kind((8,), epochs=4, random_state=seed, **parameters).fit(X, y) for seed in seeds]


def test_five_members_are_five_single_fits():
    together = Classifiers().fit(X, Y)
    alone = singles(together, DenseNetClassifier, Y, dropout=0.1)
    for member, single in zip(together._network.networks, alone, strict=True):
        for one, other in zip(member.get_weights(), single.model_.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    expected = np.mean([single.predict_proba(X) for single in alone], axis=0)
    np.testing.assert_allclose(together.predict_proba(X), expected, rtol=1e-5)
    assert not np.allclose(alone[0].predict_proba(X), alone[1].predict_proba(X))
    losses = np.mean([single.history_["loss"] for single in alone], axis=0)
    np.testing.assert_allclose(together.history_["loss"], losses)
    assert [len(history["loss"]) for history in together._network.histories] == [4] * 5
    assert together.engine_ == "native"


def test_targets_of_members_are_averaged_in_the_units_of_y():
    y = 1e3 * X[:, 0] + 5
    together = Regressors().fit(X[:, 1:], y)
    seeds = member_seeds(draw_seeds(0).weights, 2)
    alone = [DenseNetRegressor((8,), epochs=4, random_state=seed).fit(X[:, 1:], y).predict(X[:, 1:]) for seed in seeds]
    np.testing.assert_allclose(together.predict(X[:, 1:]), np.mean(alone, axis=0), rtol=1e-4)


def test_the_keras_model_averages_the_members():
    together = Classifiers(n_members=3).fit(X, Y)
    np.testing.assert_allclose(together.model_.predict(X, verbose=0), together.predict_proba(X), atol=1e-6)


def test_members_survive_pickles_clones_and_searches():
    together = Classifiers(n_members=2).fit(X, Y)
    again = pickle.loads(pickle.dumps(together))
    np.testing.assert_array_equal(again.predict_proba(X), together.predict_proba(X))
    np.testing.assert_array_equal(clone(together).fit(X, Y).predict_proba(X), together.predict_proba(X))
    grid = {"n_members": [1, 2]}
    serial = GridSearchCV(Classifiers(), grid, cv=2).fit(X, Y)
    with parallel_fits():
        side_by_side = GridSearchCV(Classifiers(), grid, cv=2).fit(X, Y)
    np.testing.assert_array_equal(serial.cv_results_["mean_test_score"], side_by_side.cv_results_["mean_test_score"])


def test_members_go_on_training():
    in_parts = Classifiers(n_members=2, dropout=0.0).partial_fit(X, Y, classes=[0, 1, 2])
    for _ in range(3):
        in_parts.partial_fit(X, Y)
    whole = Classifiers(n_members=2, dropout=0.0).fit(X, Y)
    np.testing.assert_allclose(in_parts.predict_proba(X), whole.predict_proba(X), rtol=1e-5)


def test_a_fit_that_fails_leaves_all_members_as_they_were():
    together = Classifiers(n_members=2, warm_start=True).fit(X, Y)
    before = together.predict_proba(X)
    together.set_params(epochs=2)
    X_wrong = np.where(X > 2, 1e18, X)
    with pytest.raises((ValueError, ArithmeticError)):
        together.fit(X_wrong * 1e18, Y)
    np.testing.assert_array_equal(together.predict_proba(X), before)
