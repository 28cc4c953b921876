"""The principal axes of rows: directions along which they vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.utils.extmath import randomized_svd, svd_flip
from threadpoolctl import threadpool_limits

from skneural import _engine
from skneural._rows.temporary_maps import blocks

Array = NDArray[Any]
# A covariance of so many columns still fits well in memory.
_MAX_COVARIANCE = 4096


@dataclass(frozen=True)
class PrincipalAxes:
    """Orthonormal ``axes`` of shape (n_axes, n_features), and the standard deviation of the rows along each.

    ``residual`` is the mean variance along other directions.
    """

    axes: Array
    deviations: Array
    residual: float


# Sums that are divided among several cores differ in the last bit with their number.
@threadpool_limits.wrap(limits=1, user_api="blas")
def principal_axes(X: Array, weights: Array | None, n_axes: int, seed: int, centre: Array) -> PrincipalAxes:
    """Find the axes along which rows X vary most about ``centre``, those of no variance left out.

    What is missing, NaN, is taken for zero.
    """
    n_rows, n_features = X.shape
    n_axes = min(n_axes, n_rows, n_features)
    weights = np.ones(n_rows) if weights is None else weights.astype(np.float64)
    if n_features <= _MAX_COVARIANCE:
        covariance = _covariance(X, weights / weights.sum(), centre)
        total = float(np.trace(covariance))
        variances, vectors = linalg.eigh(covariance, subset_by_index=(n_features - n_axes, n_features - 1))
        variances, axes = variances[::-1], vectors.T[::-1]
    else:
        rows = (np.nan_to_num(X) - centre) * np.sqrt(weights / weights.sum())[:, None]
        total = float(np.einsum("ij,ij->", rows, rows))
        _, singular, axes = randomized_svd(rows, n_axes, random_state=seed)
        variances = singular**2
    _, axes = svd_flip(None, axes, u_based_decision=False)
    has_variance = variances > 1e-12 * max(total, np.finfo(np.float64).tiny)
    axes, variances = axes[has_variance], variances[has_variance]
    residual = max(total - float(variances.sum()), 1e-6 * total, 1e-12) / max(1, n_features - len(axes))
    return PrincipalAxes(axes, np.sqrt(variances), residual)


def _covariance(X: Array, shares: Array, centre: Array) -> Array:
    n_features = X.shape[1]
    covariance = np.zeros((n_features, n_features))
    for part in blocks(X):
        block = np.nan_to_num(X[part].astype(np.float64)) - centre
        covariance += block.T @ (block * shares[part, None])
        _engine.give_pages_back(X)
    return covariance
