"""Oracle: with equal weights mixtures are those of scikit-learn, with whole weights those of repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from skneural._geometry.weighted_mixture import WeightedMixture, mixture_from, weighted_mixture

X = load_iris().data
LABELS = (np.arange(len(X)) // 50 + np.arange(len(X)) % 7 // 6) % 3
WEIGHTS = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)


def assert_equal(mixture, other):
    for value, expected in zip(
        (mixture.log_shares, mixture.means, mixture.factors),
        (other.log_shares, other.means, other.factors),
        strict=True,
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_starts", [1, 4])
def test_equal_weights_give_scikit_learns_mixture(n_starts):
    expected = GaussianMixture(3, n_init=n_starts, random_state=2).fit(X)
    for weights in (None, np.full(len(X), 0.3)):
        mixture = weighted_mixture(X, 3, weights, n_starts=n_starts, seed=2)
        np.testing.assert_allclose(np.exp(mixture.log_shares), expected.weights_, atol=1e-6)
        np.testing.assert_allclose(mixture.means, expected.means_, atol=1e-6)
        np.testing.assert_allclose(mixture.factors, expected.precisions_cholesky_, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(softmax(mixture.log_densities(X), axis=1), expected.predict_proba(X), atol=1e-6)
        np.testing.assert_array_equal(mixture.labels(X), expected.predict(X))


def test_whole_weights_are_repeated_rows():
    repeats = WEIGHTS.astype(int)
    weighted, reached = mixture_from(LABELS, X, WEIGHTS)
    repeated, other = mixture_from(np.repeat(LABELS, repeats), np.repeat(X, repeats, axis=0), np.ones(repeats.sum()))
    assert reached == pytest.approx(other, abs=1e-9)
    assert_equal(weighted, repeated)
    assert np.abs(weighted.means - mixture_from(LABELS, X, np.ones(len(X)))[0].means).max() > 0.01


def test_what_is_reached_is_the_weighted_mean_of_the_log_likelihood():
    mixture, reached = mixture_from(LABELS, X, WEIGHTS, tol=1e-10)
    likelihoods = np.logaddexp.reduce(mixture.log_densities(X), axis=1)
    assert reached == pytest.approx(np.average(likelihoods, weights=WEIGHTS), abs=1e-6)


def test_only_ratios_of_weights_count():
    assert_equal(
        weighted_mixture(X, 3, WEIGHTS + 1, n_starts=2, seed=0),
        weighted_mixture(X, 3, 7 * (WEIGHTS + 1), n_starts=2, seed=0),
    )


def test_a_distribution_without_rows_is_left_out():
    mixture = WeightedMixture(
        np.log([0.5, 1e-12, 0.5 - 1e-12]), np.array([[0.0], [5.0], [10.0]]), np.full((3, 1, 1), 1.0)
    )
    kept = mixture.without_empty(np.array([[0.1], [-1.0], [9.0]]))
    np.testing.assert_allclose(kept.means.ravel(), [0, 10])
    np.testing.assert_allclose(np.exp(kept.log_shares), [0.5, 0.5], atol=1e-9)


def test_fewer_different_rows_than_distributions():
    places = np.repeat([[0.0, 0.0], [4.0, 1.0]], 5, axis=0)
    mixture = weighted_mixture(places, 3, None, n_starts=1, seed=0)
    assert len(np.unique(mixture.labels(places))) == 2
