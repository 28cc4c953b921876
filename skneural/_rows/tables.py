"""Tables with numbers, categories and holes -> one array: numbers as they are, categories as codes, NaN for holes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from numbers import Number
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from .validation import check_padded_array, validate_padded_rows

FROM_DTYPE = "from_dtype"
# The code of a category that fit has not seen.
UNKNOWN = -1.0
_TIMES = (nw.Datetime, nw.Date, nw.Time, nw.Duration)
_CATEGORIES = (nw.Categorical, nw.Enum, nw.String)
# What a column may be whose values are all missing, as in a single row of JSON.
_OF_NOTHING = (*_CATEGORIES, nw.Object, nw.Unknown)
Values = NDArray[Any]


@dataclass(frozen=True)
class TableColumns:
    """What ``fit`` has seen of columns: the values of each that holds categories, in the order of their codes.

    A column of numbers has None.
    """

    categories: tuple[Values | None, ...]

    @classmethod
    def seen(cls, estimator: Any, X: Any) -> tuple[TableColumns, NDArray[Any]]:
        """Learn them from a table, and give it as an array of shape (n, n_features).

        The estimator gets the names and the number of its columns. Its parameter ``categorical_features`` tells which
        columns hold categories: "from_dtype", None, or their names, places or a mask.
        """
        table = _as_frame(estimator, X)
        if table is None:
            return cls._seen_in_array(estimator, X)
        validate_data(estimator, X, skip_check_array=True)
        named = None if _are_by_dtype(estimator) else _named(estimator, table.columns, len(table.columns))
        categories: list[Values | None] = []
        columns = []
        for place, (name, column) in enumerate(_columns(table)):
            is_category = named[place] if named is not None else _holds_categories(estimator, name, column)
            found = _categories_of(estimator, name, _objects(column)) if is_category else None
            categories.append(found)
            columns.append(_coded(estimator, name, column, found))
        return cls(tuple(categories)), check_padded_array(estimator, np.stack(columns, axis=1))

    @classmethod
    def _seen_in_array(cls, estimator: Any, X: Any) -> tuple[TableColumns, NDArray[Any]]:
        if _are_by_dtype(estimator) or np.ndim(X) != 2:
            rows = validate_padded_rows(estimator, X, reset=True)
            return cls((None,) * rows.shape[1]), rows
        values = np.array(X, dtype=object)
        named = _named(estimator, None, values.shape[1])
        found = [
            _categories_of(estimator, place, column) if is_category else None
            for place, (column, is_category) in enumerate(zip(values.T, named, strict=True))
        ]
        columns = cls(tuple(found))
        return columns, validate_padded_rows(estimator, columns._with_codes(values), reset=True)

    def array_of(self, estimator: Any, X: Any) -> NDArray[Any]:
        """Give another table with the columns that fit has seen as an array of shape (n, n_features)."""
        table = _as_frame(estimator, X)
        if table is None:
            if self.has_categories and np.ndim(X) == 2 and np.shape(X)[1] == len(self.categories):
                X = self._with_codes(np.array(X, dtype=object))
            return validate_padded_rows(estimator, X, reset=False)
        validate_data(estimator, X, reset=False, skip_check_array=True)
        columns = [
            _coded(estimator, name, column, found)
            for (name, column), found in zip(_columns(table), self.categories, strict=True)
        ]
        return check_padded_array(estimator, np.stack(columns, axis=1))

    def _with_codes(self, values: Values) -> Values:
        """Replace the categories in an array of objects."""
        for place, found in enumerate(self.categories):
            if found is not None:
                values[:, place] = _codes(values[:, place], found)
        return values

    @property
    def has_categories(self) -> bool:
        """Whether any column holds categories."""
        return any(found is not None for found in self.categories)

    @property
    def n_codes(self) -> tuple[int, ...]:
        """How many categories each column has, zero for a column of numbers."""
        return tuple(0 if found is None else len(found) for found in self.categories)


def _as_frame(estimator: Any, X: Any) -> Any:
    """Give a data frame of any library as one of narwhals, None for all that is no data frame."""
    if nw.dependencies.is_into_dataframe(X):
        return nw.from_native(X, eager_only=True)
    # Arrays of xarray's give Arrow data too: a row for each of their values.
    if hasattr(X, "__arrow_c_stream__") and not hasattr(X, "dtype"):
        try:
            return nw.from_arrow(X, backend="pyarrow")
        except ImportError as error:
            raise ImportError(
                f"X of {type(estimator).__name__} gives Arrow data, which pyarrow must read, but it is not installed. "
                "Install pyarrow, or give a data frame of pandas."
            ) from error
    return None


def _columns(table: Any) -> Iterator[tuple[Any, Any]]:
    """Give names and columns; names of pandas need neither be strings nor differ."""
    native = nw.to_native(table)
    if isinstance(native, pd.DataFrame):
        for place, name in enumerate(native.columns):
            yield name, nw.from_native(_plain(native.iloc[:, place]), series_only=True)
    else:
        for name in table.columns:
            yield name, table[name]


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """Give a column of pandas that narwhals knows: not sparse, its numbers of a usual size and order of bytes."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.astype(column.dtype.subtype)
    is_usual = not isinstance(column.dtype, np.dtype) or (column.dtype.isnative and column.dtype != np.longdouble)
    return column if is_usual or column.dtype.kind not in "iuf" else column.astype(np.float64)


def _holds_categories(estimator: Any, name: Any, column: Any) -> bool:
    """Whether a column's dtype says that it holds categories; an object's values say it."""
    if estimator.categorical_features is None:
        return False
    if isinstance(column.dtype, _CATEGORIES):
        return True
    if column.dtype != nw.Object:
        return False
    return not all(isinstance(value, Number | np.bool_) for value in _known(_objects(column)))


def _objects(column: Any) -> Values:
    """Give a column's values as Python has them."""
    values = column.to_list()
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def _known(values: Values) -> Values:
    return values[~np.asarray(pd.isna(values), bool)]


class _TimesError(ValueError):
    """A column of times, of which nobody knows what matters."""

    def __init__(self, owner: str, name: Any, kind: Any) -> None:
        super().__init__(
            f"Column {name!r} in X of {owner} holds times ({kind}). Turn them into numbers that say what may matter "
            "first, such as the year, the month, the day of the week, or the days since a date."
        )


def _categories_of(estimator: Any, name: Any, values: Values) -> Values:
    """Give the values that occur in a column, sorted."""
    times = [type(value).__name__ for value in values if isinstance(value, date | time | timedelta)]
    if times:
        raise _TimesError(type(estimator).__name__, name, times[0])
    try:
        found = pd.unique(pd.Series(_known(values), dtype=object))
    except TypeError as error:
        kind = next(type(value).__name__ for value in values if getattr(value, "__hash__", None) is None)
        raise ValueError(
            f"Column {name!r} in X of {type(estimator).__name__} holds a {kind}, which is no category. Put its parts "
            "into columns of their own first."
        ) from error
    ordered = np.empty(len(found), dtype=object)
    try:
        ordered[:] = sorted(found)
    except TypeError:
        ordered[:] = sorted(found, key=lambda value: (type(value).__name__, str(value)))
    return ordered


def _codes(values: Values, categories: Values) -> NDArray[np.float64]:
    """Give the place of each value among the categories, NaN where it is missing and -1 where it is none of them."""
    codes = pd.Index(categories, dtype=object).get_indexer(pd.Index(values, dtype=object)).astype(np.float64)
    codes[np.asarray(pd.isna(values), bool)] = np.nan
    return codes


def _coded(estimator: Any, name: Any, column: Any, categories: Values | None) -> NDArray[np.float64]:
    """Give a column as numbers or codes."""
    if categories is not None:
        return _codes(_objects(column), categories)
    owner = type(estimator).__name__
    if isinstance(column.dtype, _TIMES):
        raise _TimesError(owner, name, column.dtype)
    if isinstance(column.dtype, _OF_NOTHING) and column.is_null().all():
        return np.full(len(column), np.nan)
    if isinstance(column.dtype, _CATEGORIES):
        is_by_dtype = estimator.categorical_features is not None and _are_by_dtype(estimator)
        reason = (
            "was one of numbers in fit."
            if is_by_dtype
            else "is not among its categorical_features. Name it there, or leave categorical_features='from_dtype'."
        )
        raise ValueError(f"Column {name!r} in X of {owner} holds strings or categories, but {reason}")
    if column.dtype == nw.Object:
        return _numbers_of_objects(owner, name, _objects(column))
    if not (column.dtype.is_numeric() or column.dtype == nw.Boolean):
        kind = column.dtype if column.dtype != nw.Unknown else nw.to_native(column).dtype
        raise ValueError(
            f"Column {name!r} in X of {owner} has the dtype {kind}, which is neither numbers nor categories."
        )
    numbers: NDArray[np.float64] = column.cast(nw.Float64).to_numpy().astype(np.float64, copy=False)
    return numbers


def _numbers_of_objects(owner: str, name: Any, values: Values) -> NDArray[np.float64]:
    numbers = np.full(len(values), np.nan)
    is_known = ~np.asarray(pd.isna(values), bool)
    try:
        numbers[is_known] = values[is_known].astype(np.float64)
    except (TypeError, ValueError) as error:
        found = next(value for value in values[is_known] if not isinstance(value, Number | np.bool_))
        raise ValueError(
            f"Column {name!r} in X of {owner} was one of numbers in fit, or was not named among categorical_features, "
            f"but holds {found!r}."
        ) from error
    return numbers


def _are_by_dtype(estimator: Any) -> bool:
    """Whether dtypes tell which columns hold categories, or none do."""
    given = estimator.categorical_features
    return given is None or (isinstance(given, str) and given == FROM_DTYPE)


def _named(estimator: Any, names: Sequence[Any] | None, n_columns: int) -> NDArray[np.bool_]:
    """Give a mask of the columns that ``categorical_features`` names."""
    given, owner = estimator.categorical_features, type(estimator).__name__
    listed = np.asarray(given).ravel()
    mask = np.zeros(n_columns, bool)
    if listed.dtype == bool:
        if len(listed) != n_columns:
            raise ValueError(
                f"The 'categorical_features' parameter of {owner} is a mask of {len(listed)} columns, but X has "
                f"{n_columns}."
            )
        return listed
    for entry in listed.tolist():
        if isinstance(entry, str):
            if names is None or entry not in list(names):
                known = "X has no names" if names is None else f"the columns of X are {list(names)}"
                raise ValueError(
                    f"The 'categorical_features' parameter of {owner} names the column {entry!r}, but {known}."
                )
            mask[list(names).index(entry)] = True
        elif isinstance(entry, int) and 0 <= entry < n_columns:
            mask[entry] = True
        else:
            raise ValueError(
                f"The 'categorical_features' parameter of {owner} must hold names of columns, places from 0 to "
                f"{n_columns - 1}, or a mask. Got {entry!r}."
            )
    return mask
