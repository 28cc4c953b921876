"""What X and y may come in: one array, or something that can be made one; all else is named with its remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np


def check_container(owner: str, X: Any) -> None:
    """Raise for X that is no array: a dict of inputs, a dataset, a generator, a name of a file."""
    if isinstance(X, str | bytes | os.PathLike):
        raise TypeError(
            f"X of {owner} must be an array or a table. Got the {type(X).__name__} {X!r:.200}. Open it "
            "first: pyarrow.dataset.dataset(path) for Parquet files and folders of them, h5py.File(path)[name], "
            "zarr.open(path), numpy.load(path, mmap_mode='r'). Files of images are given as a list of their paths."
        )
    if isinstance(X, Mapping) and not hasattr(X, "shape"):
        raise TypeError(
            f"X of {owner} must be one array with a row for each sample. Got a dict with the keys {list(X)}. Give the "
            "array itself; several inputs of a model are made from one X by a feature_encoder."
        )
    fields = getattr(getattr(X, "dtype", None), "names", None)
    if fields:
        raise TypeError(
            f"X of {owner} must be an array or a table. Got a {type(X).__name__} with the fields {list(fields)!s:.200} "
            "in each row. pandas.DataFrame(np.asarray(X)) makes a table of it."
        )
    if isinstance(X, keras.utils.PyDataset | Iterator) or hasattr(X, "element_spec"):
        raise TypeError(
            f"X of {owner} must be an array, and y another. Got a {type(X).__name__}, which gives batches. Collect "
            "them first, for example X, y = (np.concatenate(parts) for parts in zip(*dataset))."
        )


def check_one_array(owner: str, X: Any, y: Any) -> None:
    """Raise for a list of arrays that each have a row for each row of y."""
    n_rows = shape_of(y)[0] if isinstance(X, list | tuple) and X and shape_of(y) else 0
    if not n_rows or len(X) == n_rows:
        return
    shapes = [np.shape(part) for part in X if hasattr(part, "shape")]
    if len(shapes) == len(X) and all(shape[:1] == (n_rows,) for shape in shapes):
        raise ValueError(
            f"X of {owner} must be one array with a row for each sample. Got a {type(X).__name__} of {len(X)} arrays "
            f"with {n_rows} rows each. Put them side by side (np.hstack), and let a feature_encoder take them apart "
            "for a model of several inputs."
        )


def without_mask(values: Any) -> Any:
    """Give a masked array, or a list of them, as plain arrays with NaN where something is masked; all else as it is."""
    if isinstance(values, list | tuple) and any(isinstance(one, np.ma.MaskedArray) for one in values[:1]):
        return [without_mask(one) for one in values]
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if not np.ma.is_masked(values):
        return values.data
    dtype = np.result_type(values.dtype, np.float32) if values.dtype.kind in "biuf" else np.dtype(object)
    return np.ma.filled(values.astype(dtype), np.nan)


def rows_in_objects(X: Any) -> list[Any] | None:
    """Return the rows of a Series, an array of objects or a table of one column that holds an array in each row."""
    values = X.to_numpy() if getattr(X, "dtypes", None) is not None and hasattr(X, "to_numpy") else X
    if not isinstance(values, np.ndarray) or values.dtype != object or not values.size:
        return None
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        return None
    rows: list[Any] = without_mask(values.ravel().tolist())
    return rows if all(isinstance(row, np.ndarray | list | tuple) and np.ndim(row) > 0 for row in rows[:1]) else None


def shape_of(y: Any) -> tuple[int, ...]:
    """Shape of an array or of nested lists, as far as these have one length each."""
    shape: tuple[int, ...] = y.shape if hasattr(y, "shape") else np.array(y, dtype=object).shape
    return shape


def check_no_tags(y: Any) -> None:
    """Raise for labels that come as one list or set of tags for each row."""
    values = np.asarray(y) if hasattr(y, "to_numpy") else y
    rows = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "OU" else values
    if not isinstance(rows, list | tuple) or not rows:
        return
    are_tags = [isinstance(row, list | tuple | set | frozenset) for row in rows]
    if not all(are_tags):
        return
    tags = [tag for row in rows for tag in row]
    are_sets = any(isinstance(row, set | frozenset) for row in rows) or len({len(row) for row in rows}) > 1
    if are_sets or (all(isinstance(tag, str) for tag in tags) and len(rows[0]) > 1):
        raise ValueError(
            f"y holds a list of labels for each row, such as {list(rows[0])!r}. Turn them into 0/1 indicators of shape "
            "(n, n_labels): y = sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)."
        )
