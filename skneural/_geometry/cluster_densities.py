"""Clusters as normal distributions: how likely a place is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

Array = NDArray[Any]
# Variances are at least this share of those of all rows.
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class ClusterDensities:
    """A mixture of normal distributions, one for each cluster, of places in units in which their covariance is one.

    ``mean`` (n_columns,) and ``unit`` (n_columns, n_columns) bring places there: (z - mean) @ unit. ``log_shares`` has
    the shape (n_clusters,), ``means`` (n_clusters, n_columns), and ``factors`` (n_clusters, n_columns, n_columns) are
    lower triangular, L L' being the covariances.
    """

    mean: Array
    unit: Array
    log_shares: Array
    means: Array
    factors: Array

    @classmethod
    @threadpool_limits.wrap(limits=1, user_api="blas")
    def of(cls, places: Array, memberships: Array, weights: Array | None) -> ClusterDensities:
        """Find them for places (n_rows, n_columns) with ``memberships`` (n_rows, n_clusters).

        A cluster's covariance is that of its rows and of as many rows as there are columns and one, with the mean
        covariance of all clusters: few rows say little of their own.
        """
        places = places.astype(np.float64)
        n_columns = places.shape[1]
        counts = np.ones(len(places)) if weights is None else weights * (len(places) / weights.sum())
        mean = np.average(places, axis=0, weights=counts)
        unit = _whitening((places - mean).T @ ((places - mean) * counts[:, None]) / counts.sum())
        places = (places - mean) @ unit
        members = memberships * counts[:, None]
        sizes = np.maximum(members.sum(axis=0), 1e-12)
        means = members.T @ places / sizes[:, None]
        scatters = np.stack(
            [
                ((places - middle) * share[:, None]).T @ (places - middle)
                for middle, share in zip(means, members.T, strict=True)
            ]
        )
        pooled = scatters.sum(axis=0) / sizes.sum()
        borrowed = n_columns + 1
        covariances = (scatters + borrowed * pooled) / (sizes + borrowed)[:, None, None]
        factors = np.linalg.cholesky(covariances + _LEAST_VARIANCE * np.eye(n_columns))
        return cls(mean, unit, np.log(sizes / sizes.sum()), means, factors)

    @threadpool_limits.wrap(limits=1, user_api="blas")
    def log_densities(self, places: Array) -> Array:
        """Give the logarithm of the density at each place, shape (n_rows,), in nats."""
        places = (places.astype(np.float64) - self.mean) @ self.unit
        n_columns = places.shape[1]
        of_clusters = np.empty((len(places), len(self.means)))
        for cluster, (middle, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            standard = solve_triangular(factor, (places - middle).T, lower=True)
            of_clusters[:, cluster] = -0.5 * (standard**2).sum(axis=0) - np.log(np.diag(factor)).sum()
        of_clusters += self.log_shares - 0.5 * n_columns * np.log(2 * np.pi)
        densities: Array = logsumexp(of_clusters, axis=1)
        return densities

    def as_mixture(self) -> list[Array]:
        """Give logarithms of shares, means and factors P of the inverse covariances P P', for places as they are."""
        back = np.linalg.inv(self.unit)
        means = self.means @ back + self.mean
        covariances = back.T @ (self.factors @ self.factors.transpose(0, 2, 1)) @ back
        return [self.log_shares, means, np.stack([_inverse_factor(one) for one in covariances])]


def _inverse_factor(covariance: Array) -> Array:
    """Give the upper triangular P with P P' the inverse of a covariance, as scikit-learn's mixtures have it."""
    factor = np.linalg.cholesky(covariance)
    inverse: Array = solve_triangular(factor, np.eye(len(factor)), lower=True).T
    return inverse


def _whitening(covariance: Array) -> Array:
    """Give the matrix W with W' C W the identity, in directions that have a variance."""
    variances, axes = np.linalg.eigh(covariance)
    if variances[-1] <= np.finfo(np.float64).tiny:
        return np.eye(len(covariance))
    least = _LEAST_VARIANCE * float(variances[-1])
    whitening: Array = axes / np.sqrt(np.maximum(variances, least))
    return whitening
