"""Products of rows and a kernel whose sums run from the first term to the last, whatever rows stand beside a row."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import extension


def product(rows: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (n, k) times a kernel (k, m), the same to the bit for a row alone and among others.

    Libraries for matrices round a row otherwise where it is among the last ones of a product, on some processors.
    """
    if extension.engine is None:
        return np.einsum("nk,km->nm", rows, kernel)
    outputs = np.empty((len(rows), kernel.shape[1]), np.float32)
    given = (np.require(one, np.float32, ["C", "A"]) for one in (kernel, rows))
    values, X = next(given), next(given)
    extension.engine.predict(*_one_product(kernel.shape[1]), (values,), None, X, outputs, 1, extension.IS_PORTABLE)
    return outputs


@functools.lru_cache
def _one_product(n_outputs: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tell the engine of one product without a bias."""
    return np.array([extension.number("PRODUCT"), n_outputs, 0], np.int32), np.zeros(1, np.float32)
