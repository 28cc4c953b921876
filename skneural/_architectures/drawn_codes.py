"""What codes that are drawn for rows say of these: how well they come back, and the evidence lower bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .autoencoder_steps import LEAST_VARIANCE, divergence

Array = NDArray[Any]
# Codes that are drawn for each row to judge its reconstruction by.
_N_DRAWS = 8


@dataclass(frozen=True)
class DrawnRows:
    """Scaled rows with the mean ``squares`` of their errors, shape (n,), over codes drawn from ``distributions``.

    ``is_known`` has shape (n, n_features), ``distributions`` (n, 2 n_components): means and logarithms of variances.
    """

    squares: Array
    is_known: Array
    distributions: Array

    @classmethod
    def of(cls, rows: Array, distributions: Array, decode: Callable[[Array], Array], seed: int) -> DrawnRows:
        """Draw codes and decode them; the same seed draws the same."""
        means, log_variances = np.split(distributions, 2, axis=1)
        deviations = np.exp(0.5 * log_variances)
        generator = np.random.default_rng(seed)
        squares = np.zeros(len(rows))
        for _ in range(_N_DRAWS):
            codes = means + deviations * generator.standard_normal(means.shape, np.float32)
            squares += np.nansum((rows - decode(codes)) ** 2, axis=1) / _N_DRAWS
        return cls(squares, ~np.isnan(rows), distributions)

    def best_variance(self, weights: Array | None) -> float:
        """Return the decoder's variance, in scaled columns, under which the bound of these rows is largest."""
        weights = np.ones(len(self.squares)) if weights is None else weights
        n_known = float(weights @ self.is_known.sum(axis=1))
        return max(float(weights @ self.squares) / max(n_known, 1.0), LEAST_VARIANCE)

    def evidence_bounds(self, variances: Array, variance: float) -> Array:
        """Return the evidence lower bound of each row in nats, shape (n,).

        ``variances`` are those of the decoder in the units that the density is in, one for each column, and
        ``variance`` is that of the scaled columns.
        """
        surprise = 0.5 * (self.is_known @ np.log(2 * np.pi * variances) + self.squares / variance)
        return -surprise - np.asarray(divergence(self.distributions))
