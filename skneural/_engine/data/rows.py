"""Which rows a step sees, and how they become dense arrays of the model's dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from skneural._engine.stored_rows import StoredRows


def epoch_order(n_rows: int, seed: int, epoch: int, shuffle: bool) -> NDArray[np.intp]:
    """Draw the order in which one epoch visits the rows, shape (n_rows,): the same for every way of training."""
    if not shuffle:
        return np.arange(n_rows)
    return np.random.default_rng([seed, epoch]).permutation(n_rows)


def n_batches(n_rows: int, batch_size: int) -> int:
    """Count the batches, the last one perhaps shorter."""
    return -(-n_rows // batch_size)


def dense_rows(X: NDArray[Any] | sparse.csr_array, rows: slice | NDArray[np.intp], dtype: DTypeLike) -> NDArray[Any]:
    """Take some rows of X, dense and of the given dtype, shape (n_taken, ...)."""
    taken: Any = X[rows]
    if sparse.issparse(taken):
        taken = taken.toarray()
    return np.require(taken, dtype, ["C", "A"])


def target_dtype(y: NDArray[Any] | sparse.csr_array) -> str:
    """Tell the dtype in which targets reach the loss: int32 for whole numbers, float32 for all else."""
    return "int32" if np.issubdtype(y.dtype, np.integer) else "float32"


def rows_like(X: Any, row_shape: tuple[int | None, ...] | None) -> Any:
    """Bring rows to the rank that a model takes as Keras does: it adds or drops a last axis of length one.

    ``row_shape`` is that of the model's input, None where a model does not tell.

    Raises
    ------
    ValueError
        For rows that the model does not take.
    """
    if row_shape is None:
        return X
    given: tuple[int, ...] = X.shape[1:]
    if len(given) == len(row_shape) + 1 and given[-1] == 1:
        X = _with_row_shape(X, given[:-1])
    elif len(given) == len(row_shape) - 1 and row_shape[-1] == 1:
        X = _with_row_shape(X, (*given, 1))
    taken = X.shape[1:]
    if len(taken) == len(row_shape) and all(
        size in (None, other) for size, other in zip(row_shape, taken, strict=True)
    ):
        return X
    raise ValueError(f"X has rows of shape {given}, but the model takes rows of shape {row_shape}.")


def _with_row_shape(X: Any, row_shape: tuple[int, ...]) -> Any:
    """Give rows another rank."""
    if isinstance(X, StoredRows):
        return X.changed(lambda rows: rows.reshape(len(rows), *row_shape), row_shape, X.dtype)
    return X.reshape(len(X), *row_shape)
