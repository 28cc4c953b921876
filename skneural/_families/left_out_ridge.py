"""A linear layer by least squares, with the penalty and the temperature that are best for rows left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

Array = NDArray[Any]

# Penalties in units of the features' mean squared length.
_PENALTIES = np.logspace(-4, 4, 17)
# What is added to the deviation of features in [0, 1] and more, so that those which hardly differ stay small.
_LEAST_DEVIATION = 1e-3


class Solution(NamedTuple):
    """A linear layer, and what it would say of each row had it not seen that row, shape (n, n_outputs)."""

    kernel: Array
    bias: Array
    left_out: Array


def shares_of(n_rows: int, weights: Array | None) -> Array:
    """Return weights of rows that add up to one."""
    return np.full(n_rows, 1 / n_rows) if weights is None else weights / weights.sum()


# With several threads the last bits would depend on their number.
@threadpool_limits.wrap(limits=1, user_api="blas")
def solve_ridge(features: Array, targets: Array, weights: Array | None) -> Solution:
    """Minimise sum_i w_i |t_i - b - f_i K|^2 + penalty |K|^2, where the penalty is best for rows that are left out.

    Features of shape (n, p) are scaled to their deviations before. The sums are over rows, not features, so that time
    and memory grow with n^2 and n p.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman (2009), The elements of statistical learning, section 7.10 and 18.3.5.
    """
    share = shares_of(len(features), weights)
    root = np.sqrt(share)
    middle = np.asarray(share.astype(np.float32) @ features, np.float32)
    scaled = features - middle
    spread = np.sqrt(np.einsum("i,ij,ij->j", share.astype(np.float32), scaled, scaled)) + _LEAST_DEVIATION
    scaled /= spread
    scaled *= root[:, None].astype(np.float32)
    mean = share @ targets
    wanted = root[:, None] * (targets - mean)
    products = (scaled @ scaled.T).astype(np.float64)
    sizes, directions = linalg.eigh(products)
    sizes = np.maximum(sizes, 0.0)
    turned = directions.T @ wanted
    best: tuple[float, Array, Array] | None = None
    # Where no feature varies any penalty leaves the mean alone.
    for penalty in _PENALTIES * (sizes.sum() / len(features) or 1.0):
        dual = directions @ (turned / (sizes + penalty)[:, None])
        # The row's own share in its fit; the mean, too, was learned with it.
        kept = penalty * ((directions**2) @ (1 / (sizes + penalty)) - share / penalty)
        errors = penalty * dual / np.maximum(kept, 1e-12)[:, None]
        loss = float((errors**2).sum())
        if best is None or loss < best[0]:
            best = loss, dual, errors
    assert best is not None
    _, dual, errors = best
    kernel = (scaled.T @ dual.astype(np.float32)).astype(np.float64) / spread[:, None]
    return Solution(kernel, mean - middle @ kernel, targets - errors / root[:, None])


def mean_of_solutions(solutions: Sequence[Solution]) -> Solution:
    """Average linear layers; those of fewer features have the first ones."""
    kernel = np.zeros_like(solutions[-1].kernel)
    for solution in solutions:
        kernel[: len(solution.kernel)] += solution.kernel / len(solutions)
    bias, left_out = (np.mean([getattr(one, name) for one in solutions], axis=0) for name in ("bias", "left_out"))
    return Solution(kernel, bias, left_out)


def temperature(left_out: Array, targets: Array, weights: Array | None, *, is_exclusive: bool) -> float:
    """Return the factor that makes the best log-odds of what a layer says of rows that it has not seen.

    ``targets`` are 1 and -1. One row more is taken to be of any class, so that the factor stays finite (J. Platt,
    1999, Probabilistic outputs for support vector machines, section 2).
    """
    share = shares_of(len(targets), weights)
    doubt = 1 / (len(targets) + 2)

    def loss(logarithm: float) -> float:
        scores = np.exp(logarithm) * left_out
        if is_exclusive:
            wanted = (targets > 0) * (1 - doubt) + doubt / targets.shape[1]
            losses = -(wanted * log_softmax(scores, axis=1)).sum(axis=1)
        else:
            wanted = np.where(targets > 0, 1 - doubt / 2, doubt / 2)
            losses = (np.logaddexp(0, scores) - wanted * scores).sum(axis=1)
        return float(share @ losses)

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 6.0), method="bounded").x))
