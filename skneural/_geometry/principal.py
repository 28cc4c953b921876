"""The principal columns that rows are seen on before neighbours are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .principal_axes import principal_axes

N_PRINCIPAL_COLUMNS = 50
_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class PrincipalColumns:
    """z = (x - mean) @ kernel, divided by one standard deviation for all columns: distances keep their proportions.

    ``mean`` has the shape (n_features,), ``kernel`` (n_features, n_columns); both float64.
    """

    mean: NDArray[np.float64]
    kernel: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray[Any], seed: int, n_columns: int = N_PRINCIPAL_COLUMNS) -> PrincipalColumns:
        """Find the axes of rows X, at most ``n_columns`` of them; ``seed`` is for the randomized method of wide X."""
        mean = X.mean(axis=0, dtype=np.float64)
        found = principal_axes(X, None, n_columns, seed, mean)
        if not len(found.axes):
            # All rows are equal: any column tells as much of them.
            return cls(mean, np.eye(X.shape[1], 1))
        return cls(mean, found.axes.T / np.sqrt(np.mean(found.deviations**2)))

    # Products that are divided among several cores may differ in the last bit with their number.
    @threadpool_limits.wrap(limits=1, user_api="blas")
    def project(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Give the rows on the axes, shape (n_rows, n_columns)."""
        projected = np.empty((len(X), self.kernel.shape[1]), np.float32)
        for start in range(0, len(X), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            projected[block] = (X[block] - self.mean) @ self.kernel
        return projected
