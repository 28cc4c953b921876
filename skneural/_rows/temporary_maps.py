"""Rows that are made of a large memory map: they go to a temporary file, for the memory may not hold them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skneural import _engine

_BLOCK_BYTES = 32 * 2**20


def mapped(
    X: NDArray[Any], shape: tuple[int, ...], dtype: DTypeLike, make: Callable[[slice], NDArray[Any]]
) -> NDArray[Any]:
    """Make rows of shape (n, ...) block by block, in memory unless X, which they are made of, is a large map.

    The file of those that are not has no name, and is gone with the array.
    """
    rows: NDArray[Any]
    if _engine.is_large_map(X):
        with tempfile.TemporaryFile() as file:
            # The map holds the file open.
            rows = np.memmap(file, dtype, "w+", shape=shape)
    else:
        rows = np.empty(shape, dtype)
    for part in blocks(rows):
        rows[part] = make(part)
        _engine.give_pages_back(X)
        _engine.give_pages_back(rows)
    return rows


def taken(X: Any, rows: NDArray[np.intp]) -> Any:
    """Take some rows of X."""
    if not _engine.is_large_map(X):
        return X[rows]
    return mapped(X, (len(rows), *X.shape[1:]), X.dtype, lambda part: X[rows[part]])


def blocks(X: Any) -> Iterator[slice]:
    """Cut the rows of X into blocks of some megabytes, as float64."""
    step = max(1, _BLOCK_BYTES // (8 * max(1, math.prod(X.shape[1:]))))
    return (slice(start, start + step) for start in range(0, X.shape[0], step))
