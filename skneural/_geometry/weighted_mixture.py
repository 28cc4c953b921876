"""Mixtures of normal distributions of rows that have weights, which scikit-learn's take none of."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

Array = NDArray[Any]
# The defaults of scikit-learn's GaussianMixture.
_LEAST_VARIANCE, _TOL, _MAX_STEPS = 1e-6, 1e-3, 100


@dataclass(frozen=True)
class WeightedMixture:
    """A mixture of normal distributions.

    ``log_shares`` has the shape (n,), ``means`` (n, n_columns), and ``factors`` (n, n_columns, n_columns) are upper
    triangular, P P' being the inverses of the covariances.
    """

    log_shares: Array
    means: Array
    factors: Array

    @classmethod
    def of(cls, places: Array, memberships: Array, weights: Array) -> WeightedMixture:
        """Find the mixture (the M step) for places (n_rows, n_columns) and memberships (n_rows, n)."""
        members = memberships * weights[:, None]
        sizes = members.sum(axis=0) + 10 * np.finfo(np.float64).eps
        means = members.T @ places / sizes[:, None]
        factors = [
            _inverse_factor((places - mean).T @ ((places - mean) * member[:, None]) / size)
            for mean, member, size in zip(means, members.T, sizes, strict=True)
        ]
        return cls(np.log(sizes / sizes.sum()), means, np.stack(factors))

    def log_densities(self, places: Array) -> Array:
        """Give the logarithm of each distribution's share of the density at each place, shape (n_rows, n)."""
        densities = np.empty((len(places), len(self.means)))
        for number, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            squares = ((places @ factor - mean @ factor) ** 2).sum(axis=1)
            densities[:, number] = np.log(np.diag(factor)).sum() - 0.5 * squares
        return densities + (self.log_shares - 0.5 * places.shape[1] * np.log(2 * np.pi))

    def labels(self, places: Array) -> NDArray[np.intp]:
        """Give the most probable distribution of each place."""
        found: NDArray[np.intp] = self.log_densities(places.astype(np.float64)).argmax(axis=1)
        return found

    def without_empty(self, places: Array) -> WeightedMixture:
        """Leave out distributions that are the most probable one of no place."""
        kept = np.unique(self.labels(places))
        shares = self.log_shares[kept] - logsumexp(self.log_shares[kept])
        return WeightedMixture(shares, self.means[kept], self.factors[kept])


def _inverse_factor(covariance: Array) -> Array:
    unit = np.eye(len(covariance))
    inverse: Array = solve_triangular(np.linalg.cholesky(covariance + _LEAST_VARIANCE * unit), unit, lower=True)
    return inverse.T


def mixture_from(
    labels: NDArray[np.intp], places: Array, weights: Array, *, tol: float = _TOL
) -> tuple[WeightedMixture, float]:
    """Maximise the mean log-likelihood, weighted, from clusters on; give the mixture and what it reaches (in nats).

    Expectation and maximisation in turn (Dempster, Laird and Rubin 1977), until the mean gains less than ``tol``.
    """
    mixture = WeightedMixture.of(places, np.eye(labels.max() + 1)[labels], weights)
    reached = -np.inf
    for _ in range(_MAX_STEPS):
        densities = mixture.log_densities(places)
        likelihoods = logsumexp(densities, axis=1)
        before, reached = reached, float(np.average(likelihoods, weights=weights))
        mixture = WeightedMixture.of(places, np.exp(densities - likelihoods[:, None]), weights)
        if abs(reached - before) < tol:
            break
    return mixture, reached


@threadpool_limits.wrap(limits=1)
def weighted_mixture(
    places: Array, n: int, weights: Array | None, *, n_starts: int, seed: int, tol: float = _TOL
) -> WeightedMixture:
    """Give the most likely of the mixtures that ``n_starts`` clusterings by k-means lead to.

    ``places`` have the shape (n_rows, n_columns), and of their ``weights`` (n_rows,) only the ratios count.
    """
    places = places.astype(np.float64)
    counts = np.ones(len(places)) if weights is None else weights.astype(np.float64) * (len(places) / weights.sum())
    random = np.random.RandomState(seed)
    found = []
    for _ in range(n_starts):
        with warnings.catch_warnings():
            # Fewer different places than clusters.
            warnings.simplefilter("ignore", ConvergenceWarning)
            means = KMeans(n, n_init=1, random_state=random).fit(places, sample_weight=weights)
        found.append(mixture_from(np.unique(means.labels_, return_inverse=True)[1], places, counts, tol=tol))
    return max(found, key=lambda one: one[1])[0]
