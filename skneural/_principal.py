"""The principal axes that rows are seen on before neighbours are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

N_PRINCIPAL_COLUMNS = 50
_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class PrincipalAxes:
    """z = (x - mean) @ kernel, divided by one standard deviation for all columns: distances keep their proportions.

    The products take one core, since sums that are divided among several differ in the last bit with their number.

    ``mean`` has the shape (n_features,), ``kernel`` (n_features, n_columns); both float64.
    """

    mean: NDArray[np.float64]
    kernel: NDArray[np.float64]

    @classmethod
    @threadpool_limits.wrap(limits=1, user_api="blas")
    def of(cls, X: NDArray[Any], seed: int, n_columns: int = N_PRINCIPAL_COLUMNS) -> PrincipalAxes:
        """Find the axes of rows X, at most ``n_columns`` of them; ``seed`` is for the randomized method of wide X."""
        # Of equal rows it divides 0 by 0 on the way to shares of variance, which nobody looks at.
        with np.errstate(invalid="ignore"):
            analysis = PCA(min(n_columns, *X.shape), random_state=seed).fit(X)
        kernel = analysis.components_.T.astype(np.float64)
        scale = np.sqrt(analysis.explained_variance_.mean(dtype=np.float64))
        return cls(analysis.mean_.astype(np.float64), kernel / scale if scale > 0 else kernel)

    @threadpool_limits.wrap(limits=1, user_api="blas")
    def project(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Give the rows on the axes, shape (n_rows, n_columns)."""
        projected = np.empty((len(X), self.kernel.shape[1]), np.float32)
        for start in range(0, len(X), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            projected[block] = (X[block] - self.mean) @ self.kernel
        return projected
