"""Rows and weights as the user gives them -> arrays a network can train on, or a clear error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

_STRING_REMEDY = (
    "Encode it first, for example with a ColumnTransformer that puts a OneHotEncoder on the string columns in front."
)


def validate_rows(estimator: Any, X: Any, *, reset: bool, allow_nd: bool) -> Any:
    """Return X as a finite numeric array or CSR matrix, and set or check the features seen in fit."""
    try:
        return validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            allow_nd=allow_nd,
            ensure_2d=not allow_nd or _is_flat(X),
            dtype="numeric",
        )
    except (ValueError, TypeError) as error:
        column = _first_string_column(X)
        if column is None or "could not convert" not in str(error):
            raise
        name, value = column
        raise ValueError(
            f"X of {type(estimator).__name__} must be numeric, but column {name!r} holds the string {value!r}. "
            + _STRING_REMEDY
        ) from error


def _is_flat(X: Any) -> bool:
    return getattr(X, "ndim", 2) < 3


def _first_string_column(X: Any) -> tuple[Any, str] | None:
    """Name (or number) and first string value of the first column of X that has one."""
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        columns = ((name, X.iloc[:, position].tolist()) for position, name in enumerate(X.columns))
    else:
        table = np.asarray(X, dtype=object)
        if table.ndim != 2:
            return None
        columns = ((number, table[:, number].tolist()) for number in range(table.shape[1]))
    for name, values in columns:
        for value in values:
            if isinstance(value, str):
                return name, value
    return None


def validate_weights(
    sample_weight: ArrayLike | None, n_rows: int, *, name: str = "sample_weight"
) -> NDArray[Any] | None:
    """Return weights of shape (n_rows,) as float64, or None; raise unless finite, not negative and not all zero."""
    if sample_weight is None:
        return None
    weights = np.asarray(check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name=name, copy=True))
    if weights.ndim != 1 or weights.shape[0] != n_rows:
        raise ValueError(
            f"{name} must have one weight per row, shape ({n_rows},). Got an array of shape {weights.shape} instead."
        )
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(f"{name} must not be negative. Got {weights[row]:g} in row {row}.")
    if not (weights > 0).any():
        raise ValueError(f"{name} must have at least one weight above zero. All {n_rows} weights are zero.")
    return weights


def check_lengths(X: Any, y: Any) -> None:
    """Raise unless X and y have as many rows as each other."""
    check_consistent_length(X, y)


def drop_weightless_rows(
    X: Any, y: NDArray[Any], weights: NDArray[Any] | None
) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
    """Leave out the rows of weight zero."""
    if weights is None or (weights > 0).all():
        return X, y, weights
    kept = weights > 0
    return X[kept], y[kept], weights[kept]


def merge_equal_rows(
    X: Any, y: NDArray[Any], weights: NDArray[Any] | None
) -> tuple[Any, NDArray[Any], NDArray[np.float64]]:
    """Put each row of (X, y) in once, in sorted order, with the sum of its weights.

    For training in one batch this changes nothing but the order in which float32 sums are taken, and by fixing that
    order makes a row of weight two the same as the row twice, bit for bit.
    """
    dense = X.toarray() if sparse.issparse(X) else np.asarray(X)
    n_rows = dense.shape[0]
    table = np.hstack([dense.reshape(n_rows, -1).astype(np.float64), y.reshape(n_rows, -1).astype(np.float64)])
    _, first, group = np.unique(table, axis=0, return_index=True, return_inverse=True)
    totals = np.bincount(group.ravel(), weights=weights, minlength=len(first)).astype(np.float64)
    return dense[first], y[first], totals


def normalize_weights(weights: NDArray[Any] | None) -> NDArray[np.float32] | None:
    """Scale weights to a mean of one, so that only their ratios matter; equal weights become None."""
    if weights is None:
        return None
    scaled = weights / weights.mean()
    return None if (scaled == 1.0).all() else scaled.astype(np.float32)
