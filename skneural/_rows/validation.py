"""Rows as the user gives them -> arrays a network can train on, or a clear error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import assert_all_finite, check_array, validate_data

from skneural import _engine

from .containers import rows_in_objects

_STRING_REMEDY = (
    "Encode it first, for example with a ColumnTransformer that puts a OneHotEncoder on the string columns in front."
)
_FLAT_REMEDY = (
    "X.reshape(len(X), -1) makes flat rows; images and sequences as they are go to the ConvNet and RecurrentNet "
    "classes."
)
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_BYTES_AT_ONCE = 16 * 2**20
_ROWS_AT_FIRST = 32


def validate_rows(estimator: Any, X: Any, *, reset: bool, allow_nd: bool) -> Any:
    """Return X as a finite numeric array or CSR matrix, and set or check the features seen in fit."""

    def validate(rows: Any, **checks: Any) -> Any:
        return validate_data(estimator, rows, reset=reset, **checks)

    return _numeric(estimator, X, validate, accept_sparse="csr", allow_nd=allow_nd)


def validate_padded_rows(estimator: Any, X: Any, *, reset: bool) -> NDArray[Any]:
    """Return flat rows as a numeric array in which NaN may stand, and set or check the features seen in fit."""

    def validate(rows: Any, **checks: Any) -> Any:
        return validate_data(estimator, rows, reset=reset, **checks)

    return _numeric(estimator, X, validate, ensure_all_finite="allow-nan")


def check_padded_array(estimator: Any, X: Any) -> NDArray[Any]:
    """Return X of two or more dimensions as a numeric array in which NaN may stand; no features are learned."""

    def validate(rows: Any, **checks: Any) -> Any:
        return check_array(rows, estimator=estimator, input_name="X", **checks)

    return _numeric(estimator, X, validate, allow_nd=True, ensure_all_finite="allow-nan")


# Sums of finite numbers, by which scikit-learn looks for others, may well be none.
sums_may_be_infinite = np.errstate(over="ignore", invalid="ignore")


@sums_may_be_infinite
def _numeric(estimator: Any, X: Any, validate: Callable[..., Any], **checks: Any) -> Any:
    """Return what ``validate`` makes of X as numbers that float32 can hold; ``checks`` are those of ``check_array``."""
    check_sparse(X, f"X of {type(estimator).__name__}")
    check_real(X, f"X of {type(estimator).__name__}")
    X = unpacked(X)
    try:
        rows = _validated(estimator, X, validate, ensure_2d=not checks.get("allow_nd") or _is_flat(X), **checks)
        if rows.dtype.kind == "O":
            # scikit-learn leaves objects from nested lists and from columns of several extension types as they are.
            finite = checks.get("ensure_all_finite", True)
            rows = check_array(
                rows, dtype=np.float64, allow_nd=True, ensure_all_finite=finite, estimator=estimator, input_name="X"
            )
    except (ValueError, TypeError) as error:
        if "setting an array element with a sequence" in str(error):
            raise ValueError(_ragged_message(type(estimator).__name__, X)) from error
        if "while dim <= 2 is required" in str(error):
            raise ValueError(f"{error} {_FLAT_REMEDY}") from error
        column = _first_misfit(X) if _is_about_dtypes(error) else None
        if column is None:
            raise
        raise ValueError(_misfit_message(estimator, *column)) from error
    if rows.dtype.kind not in "biuf":
        raise ValueError(f"X of {type(estimator).__name__} must be numeric. Got values of dtype {rows.dtype}.")
    if isinstance(rows, _engine.StoredRows):
        return rows
    for part in _parts(rows):
        _check_float32(estimator, part)
    return rows


def _validated_when_read(
    estimator: Any, X: _engine.StoredRows, validate: Callable[..., Any], **checks: Any
) -> _engine.StoredRows:
    """Validate the first rows now, and all rows whenever they are read."""
    first = X[: min(len(X), _ROWS_AT_FIRST)]
    validate(first if X.names is None else pd.DataFrame(first, columns=list(X.names)), dtype="numeric", **checks)
    name = type(estimator).__name__
    allow_nan = checks.get("ensure_all_finite", True) == "allow-nan"

    @sums_may_be_infinite
    def checked(rows: NDArray[Any]) -> NDArray[Any]:
        assert_all_finite(rows, allow_nan=allow_nan, estimator_name=name, input_name="X")
        _check_float32(estimator, rows)
        return rows

    return X.changed(checked, X.shape[1:], X.dtype)


def check_real(values: Any, name: str) -> None:
    """Raise for complex numbers."""
    kinds: Any = getattr(values, "dtypes", None)
    dtypes = list(kinds) if hasattr(kinds, "__iter__") else [getattr(values, "dtype", None)]
    if values is not None and dtypes == [None]:
        is_complex = any(isinstance(item, complex) for item in _first_items(values))
    else:
        is_complex = any(getattr(dtype, "kind", "") == "c" for dtype in dtypes)
    if is_complex:
        raise ValueError(
            f"Complex data not supported: {name} must hold real numbers. Give real and imaginary parts side by side, "
            "such as np.hstack([values.real, values.imag])."
        )


def _first_items(values: Any) -> list[Any]:
    """The first row of nested lists, or as much of them as there is."""
    while isinstance(values, list | tuple) and values and isinstance(values[0], list | tuple):
        values = values[0]
    return list(values) if isinstance(values, list | tuple) else []


def unpacked(X: Any) -> Any:
    """Put rows of one shape that lie in a container of objects together."""
    rows = rows_in_objects(X)
    if rows is None or len({np.shape(row) for row in rows if isinstance(row, np.ndarray)}) > 1:
        return X if rows is None else rows
    try:
        return np.stack(rows)
    except ValueError:
        # _numeric says which row differs.
        return rows


def _ragged_message(owner: str, X: Any) -> str:
    """Say which row of X has another shape than the first."""
    shapes: list[Any] = []
    for row in X:
        try:
            shapes.append(np.shape(row))
        except ValueError:
            shapes.append("unequal lengths within")
    other = next((number for number, shape in enumerate(shapes) if shape != shapes[0]), 0)
    got = f"Got {shapes[0]} in row 0 and {shapes[other]} in row {other}."
    return f"The rows in X of {owner} must all have one shape. {got}"


def check_sparse(matrix: Any, name: str) -> None:
    """Raise for a sparse matrix whose arrays contradict each other or its shape: reading it may end the process."""
    if not sparse.issparse(matrix):
        return
    try:
        given = _csr_of_lists(matrix) if matrix.format == "lil" else matrix
        if given.format in ("csr", "csc", "bsr"):
            # The check may replace arrays of the container, which is the caller's.
            arrays = (given.data, given.indices, given.indptr)
            type(given)(arrays, shape=given.shape, copy=False).check_format(full_check=True)
        elif given.format != "dia":
            _check_places(given.tocoo(copy=False))
    except (ValueError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{name} is a corrupt sparse matrix: {error}. Build it anew, from dense rows or from (value, place) pairs."
        ) from error


def _check_places(entries: Any) -> None:
    """Raise unless each value has a place within the shape along each axis."""
    for axis, (places, size) in enumerate(zip(entries.coords, entries.shape, strict=True)):
        if len(places) != len(entries.data):
            raise ValueError(f"{len(entries.data)} values have {len(places)} places along axis {axis}")
        if len(places) and not 0 <= places.min() <= places.max() < size:
            raise ValueError(f"an index along axis {axis} is not below its length {size}")


def _csr_of_lists(matrix: Any) -> Any:
    """Put a matrix of lists together in Python, where nothing is read beyond an end."""
    ends = np.cumsum([0, *(len(places) for places in matrix.rows)])
    places, values = ([item for row in lists for item in row] for lists in (matrix.rows, matrix.data))
    return sparse.csr_array((np.array(values, matrix.dtype), np.array(places, int), ends), shape=matrix.shape)


def _validated(estimator: Any, X: Any, validate: Callable[..., Any], **checks: Any) -> Any:
    """Validate X, a large memory map part after part where its values must be read, and stored rows when they are."""
    if isinstance(X, _engine.StoredRows):
        return _validated_when_read(estimator, X, validate, **checks)
    if not _engine.is_large_map(X):
        return validate(X, dtype="numeric", **checks)
    allow_nan = checks.pop("ensure_all_finite", True) == "allow-nan"
    rows = validate(X, dtype="numeric", ensure_all_finite=False, **checks)
    for part in _parts(rows):
        assert_all_finite(part, allow_nan=allow_nan, estimator_name=type(estimator).__name__, input_name="X")
    return rows


def _parts(rows: Any) -> Iterator[Any]:
    """Give rows whole, or a large memory map part after part, of which none stays in memory."""
    if not (_engine.is_large_map(rows) or isinstance(rows, _engine.StoredRows)):
        yield rows
        return
    for part in _slices(rows):
        yield rows[part]
        _engine.give_pages_back(rows)


def _slices(rows: Any) -> Iterator[slice]:
    """Cut rows into parts of some megabytes."""
    n_rows = rows.shape[0]
    n_at_once = max(1, _BYTES_AT_ONCE // (8 * max(1, math.prod(rows.shape[1:]))))
    return (slice(start, start + n_at_once) for start in range(0, n_rows, n_at_once))


def _is_flat(X: Any) -> bool:
    return getattr(X, "ndim", 2) < 3


def _is_about_dtypes(error: Exception) -> bool:
    """Whether NumPy, pandas or scikit-learn failed to turn values into numbers."""
    message = str(error)
    if isinstance(error, TypeError):
        # Python's own words for a dict or a list among the numbers say enough.
        return "argument must be" not in message
    return "could not convert" in message or "arrays of bytes" in message


def _check_float32(estimator: Any, rows: Any) -> None:
    """Raise for finite values that would become infinite in the network."""
    values = rows.data if sparse.issparse(rows) else rows
    if values.dtype.kind != "f" or values.dtype.itemsize <= 4 or not values.size:
        return
    # Other than max and min, these leave NaN out.
    extreme = max(float(np.fmax.reduce(values, axis=None)), -float(np.fmin.reduce(values, axis=None)))
    if extreme > _FLOAT32_MAX:
        raise ValueError(
            f"X of {type(estimator).__name__} holds a value of size {extreme:g}, too large for float32, in which "
            "networks compute. Scale X, for example with a StandardScaler in front."
        )


def _misfit_message(estimator: Any, column: Any, value: Any) -> str:
    start = f"X of {type(estimator).__name__} must be numeric, but column {column!r} holds "
    if isinstance(value, str):
        return start + f"the string {str(value)!r}. " + _STRING_REMEDY
    return start + f"{value!r}. Turn it into numbers first."


def _first_misfit(X: Any) -> tuple[Any, Any] | None:
    """Name (or number) of the first column of X with a value that is no number, and that value."""
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        columns = ((name, X.iloc[:, position].tolist()) for position, name in enumerate(X.columns))
    else:
        table = np.asarray(X) if hasattr(X, "dtype") else np.array(X, dtype=object)
        if table.ndim < 2:
            return None
        table = table.reshape(len(table), -1)
        columns = ((number, table[:, number].tolist()) for number in range(table.shape[1]))
    for name, values in columns:
        for value in values:
            if not isinstance(value, Number | np.bool_) and not is_missing(value):
                return name, value
    return None


def is_missing(value: Any) -> bool:
    """Whether a value stands for nothing: None, NaN, or pandas's NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def check_lengths(X: Any, y: NDArray[Any]) -> None:
    """Raise unless X and y have as many rows as each other."""
    if X.shape[0] != len(y):
        raise ValueError(f"X and y must have the same number of rows. X has {X.shape[0]} and y has {len(y)}.")


# To sort so many numbers takes some milliseconds.
_FEW_VALUES = 50_000


def are_few(X: Any) -> bool:
    """Whether X is one array of so few rows that it costs nothing to sort them."""
    return len(X.shape) > 1 and math.prod(X.shape) <= _FEW_VALUES


def merge_equal_rows(
    X: Any, y: NDArray[Any] | None, weights: NDArray[Any] | None
) -> tuple[Any, NDArray[Any] | None, NDArray[np.float64]]:
    """Put each row of (X, y) in once, in sorted order, with the sum of its weights.

    For training in one batch this changes nothing but the order in which float32 sums are taken, and by fixing that
    order makes a row of weight two the same as the row twice, bit for bit.
    """
    dense = X.toarray() if sparse.issparse(X) else np.asarray(X)
    n_rows = dense.shape[0]
    columns = [array.reshape(n_rows, -1).astype(np.float64) for array in (dense, y) if array is not None]
    table = np.hstack(columns)
    _, first, group = np.unique(table, axis=0, return_index=True, return_inverse=True)
    totals = np.bincount(group.ravel(), weights=weights, minlength=len(first)).astype(np.float64)
    return dense[first], None if y is None else y[first], totals


def moments_of_all_values(X: Any, weights: NDArray[Any] | None) -> tuple[float, float]:
    """Return mean and standard deviation of all values of X together, of rows with these weights.

    The deviation is one where all values are equal. The sums do not depend on the order of the rows, so that a row of
    weight two is the same as the row twice.
    """
    n_rows = X.shape[0]
    middle = 0.0 if sparse.issparse(X) else _middle(X)
    sums, squares = np.empty(n_rows), np.empty(n_rows)
    for rows in _slices(X):
        part = X[rows].toarray() if sparse.issparse(X) else X[rows]
        part = part.reshape(part.shape[0], -1).astype(np.float64) - middle
        sums[rows], squares[rows] = part.sum(axis=1), np.einsum("ij,ij->i", part, part)
        _engine.give_pages_back(X)
    weights = np.ones(n_rows) if weights is None else weights
    n_values = math.fsum(weights) * math.prod(X.shape[1:])
    mean, square = math.fsum(weights * sums) / n_values, math.fsum(weights * squares) / n_values
    variance = square - mean**2
    is_constant = variance <= 1e-12 * square
    return middle + mean, 1.0 if is_constant else math.sqrt(variance)


def _middle(X: NDArray[Any]) -> float:
    """Return what lies in the middle between the smallest and the largest value."""
    extremes = [(float(part.min()), float(part.max())) for part in _parts(X)]
    return (min(low for low, _ in extremes) + max(high for _, high in extremes)) / 2
