"""Rows that are made of others which the memory may not hold: where these are many they go to a temporary file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skneural import _engine

_BLOCK_BYTES = 32 * 2**20
_MOST_BYTES_IN_MEMORY = 64 * 2**20


def mapped(
    X: NDArray[Any], shape: tuple[int, ...], dtype: DTypeLike, make: Callable[[slice], NDArray[Any]]
) -> NDArray[Any]:
    """Make rows of shape (n, ...) block by block, in memory unless X, which they are made of, is a large map.

    The file of those that are not has no name, and is gone with the array.
    """
    rows = _in_file(shape, dtype) if _engine.is_large_map(X) else np.empty(shape, dtype)
    for part in blocks(rows):
        rows[part] = make(part)
        _engine.give_pages_back(X)
        _engine.give_pages_back(rows)
    return rows


def _in_file(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    with tempfile.TemporaryFile() as file:
        # The map holds the file open.
        return np.memmap(file, dtype, "w+", shape=shape)


def taken(X: Any, rows: NDArray[Any]) -> Any:
    """Take some rows of X, by numbers in ascending order or by a mask; of those that are stored nothing is read."""
    if isinstance(X, _engine.StoredRows):
        return X.at(rows)
    if not _engine.is_large_map(X):
        return X[rows]
    numbers = np.flatnonzero(rows) if rows.dtype == bool else rows
    return mapped(X, (len(numbers), *X.shape[1:]), X.dtype, lambda part: X[numbers[part]])


def gathered(X: Any) -> Any:
    """Read rows that are stored, in one pass, into memory or, where they are many, a temporary file."""
    if not isinstance(X, _engine.StoredRows):
        return X
    n_bytes = math.prod(X.shape) * X.dtype.itemsize
    rows = _in_file(X.shape, X.dtype) if n_bytes > _MOST_BYTES_IN_MEMORY else np.empty(X.shape, X.dtype)
    for part in blocks(rows):
        rows[part] = X[part]
        _engine.give_pages_back(rows)
    return rows


def blocks(X: Any) -> Iterator[slice]:
    """Cut the rows of X into blocks of some megabytes, as float64."""
    step = max(1, _BLOCK_BYTES // (8 * max(1, math.prod(X.shape[1:]))))
    return (slice(start, start + step) for start in range(0, X.shape[0], step))
