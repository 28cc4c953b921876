"""Products of rows and a kernel whose sums run from the first term to the last, whatever rows stand beside a row."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import extension


def product(rows: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (..., k) times a kernel (k, m), the same to the bit for a row alone and among others.

    Libraries for matrices round a row otherwise where it is among the last ones of a product, on some processors.
    """
    flat = np.require(rows.reshape(-1, rows.shape[-1]), np.float32, ["C", "A"])
    if extension.engine is None:
        found = np.einsum("nk,km->nm", flat, kernel)
    else:
        found = np.empty((len(flat), kernel.shape[1]), np.float32)
        weights = (np.require(kernel, np.float32, ["C", "A"]),)
        extension.engine.predict(*_one_product(kernel.shape[1]), weights, None, flat, found, 1, extension.IS_PORTABLE)
    return found.reshape(*rows.shape[:-1], kernel.shape[1])


@functools.lru_cache
def _one_product(n_outputs: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tell the engine of one product without a bias."""
    return np.array([extension.number("PRODUCT"), n_outputs, 0], np.int32), np.zeros(1, np.float32)
