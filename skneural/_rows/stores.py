"""Arrays and tables that are read in parts: h5py, zarr, netCDF4, dask, Arrow, or what has a shape, dtype and slices."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural import _engine

from .containers import without_mask

# Less is read whole: it is then what it would be in memory.
LARGE_BYTES = 64 * 2**20
_NUMBERS = "biuf"


def opened(owner: str, X: Any, *, in_parts: bool) -> Any:
    """Give X that is in memory as it is, and other X as rows that are stored; little, or not ``in_parts``, whole."""
    X = without_mask(X)
    if isinstance(X, np.ndarray | _engine.StoredRows):
        return X
    kind = next((kind for kind in _KINDS if _is_of(kind.module, kind.name, X)), None)
    if kind is None:
        if not _is_lazy_array(X):
            return X
        kind = _LAZY_ARRAY
    if not in_parts:
        return without_mask(kind.whole(X))
    stored = kind.stored(owner, X)
    is_little = stored is None or _is_little(stored.shape, stored.dtype)
    return without_mask(kind.whole(X)) if is_little else stored


def _is_little(shape: tuple[int, ...], dtype: Any) -> bool:
    return math.prod(shape) * np.dtype(dtype).itemsize <= LARGE_BYTES


def in_memory(values: Any) -> Any:
    """Read targets or weights that are stored elsewhere."""
    dask = sys.modules.get("dask.base")
    if dask is not None and dask.is_dask_collection(values):
        values = values.compute()
    elif _is_of("netCDF4", "Variable", values) or _is_lazy_array(values):
        values = values[:]
    # scikit-learn 1.9 does not know NumPy's strings of any length.
    is_new_string = isinstance(getattr(values, "dtype", None), np.dtypes.StringDType)
    return without_mask(values.astype(object) if is_new_string else values)


def with_flat_rows(X: Any) -> Any:
    """Give each row one axis."""
    if not isinstance(X, _engine.StoredRows):
        return X.reshape(X.shape[0], -1)
    n_columns = math.prod(X.shape[1:])
    return X.changed(lambda rows: rows.reshape(len(rows), n_columns), (n_columns,), X.dtype)


def _is_of(module: str, name: str, X: Any) -> bool:
    """Whether X is of a class of a library, which has been imported where it is."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(X, kind)


def _is_lazy_array(X: Any) -> bool:
    """Whether X gives numbers by slices and is no array that lies in memory, such as those of array libraries."""
    if isinstance(X, np.ndarray | np.generic | list | tuple) or not hasattr(X, "__getitem__"):
        return False
    if _is_of("h5py", "Dataset", X) or _is_of("zarr", "Array", X):
        return bool(X.shape) and X.dtype.kind in _NUMBERS
    in_memory = ("__dlpack__", "__array_namespace__", "__array_interface__", "iloc", "to_numpy", "tocsr", "todense")
    if any(hasattr(X, name) for name in in_memory) or hasattr(X, "__array__"):
        return False
    shape = getattr(X, "shape", None)
    if not isinstance(shape, tuple) or not shape or not all(isinstance(size, int | np.integer) for size in shape):
        return False
    try:
        return np.dtype(X.dtype).kind in _NUMBERS
    except (AttributeError, TypeError):
        return False


def _regular(n_rows: int, n_of_chunk: int) -> NDArray[np.intp] | None:
    """Give the bounds of chunks of equally many rows, None for those of one."""
    return np.append(np.arange(0, n_rows, n_of_chunk), n_rows) if n_of_chunk > 1 else None


def _bounds(n_of_chunks: Any) -> NDArray[np.intp]:
    """Give the bounds of chunks of so many rows."""
    return np.append(0, np.cumsum(np.asarray(n_of_chunks, np.intp)))


def _stored(
    read: Callable[[int, int], Any],
    shape: tuple[int, ...],
    dtype: Any,
    bounds: NDArray[np.intp] | None,
    *,
    only_whole: bool = False,
) -> _engine.StoredRows:
    """Take rows of arrays that may be masked."""
    source = _engine.Source(
        lambda start, stop: without_mask(read(start, stop)), shape, dtype, bounds, only_whole=only_whole
    )
    return _engine.StoredRows.of(source)


def _of_slices(owner: str, X: Any) -> _engine.StoredRows:
    """Take what gives rows by slices; where it has chunks, runs of them are read."""
    chunks = getattr(X, "shards", None) or getattr(X, "chunks", None)
    bounds = _regular(int(X.shape[0]), int(chunks[0])) if isinstance(chunks, tuple) and chunks else None
    return _stored(lambda start, stop: X[start:stop], X.shape, X.dtype, bounds)


def _of_netcdf(owner: str, X: Any) -> _engine.StoredRows:
    """Take a variable of a netCDF file: NaN where nothing was written, and numbers unpacked as the file says."""
    chunks = X.chunking()
    bounds = None if isinstance(chunks, str) else _regular(int(X.shape[0]), int(chunks[0]))
    return _stored(lambda start, stop: X[start:stop], X.shape, np.result_type(np.float32, X[:1].dtype), bounds)


# --- dask -------------------------------------------------------------------------------------------------------


def _of_dask_array(owner: str, X: Any) -> _engine.StoredRows:
    counts = X.chunks[0]
    if any(math.isnan(count) for count in counts):
        import dask

        parts = [X.blocks[place] for place in range(X.numblocks[0])]
        counts = dask.compute(*[dask.delayed(len)(part) for part in parts])
    used = [place for place, count in enumerate(counts) if count]
    bounds = _bounds([counts[place] for place in used])

    def read(start: int, stop: int) -> Any:
        place = int(np.searchsorted(bounds, start, side="right")) - 1
        return X.blocks[used[place]].compute()

    shape = (int(bounds[-1]), *X.shape[1:])
    return _stored(read, shape, X.dtype, bounds, only_whole=True)


def _of_dask_frame(owner: str, X: Any) -> _engine.StoredRows:
    names = tuple(X.columns)
    dtype = _common(owner, {name: getattr(kind, "numpy_dtype", kind) for name, kind in X.dtypes.items()})
    counts = X.map_partitions(len).compute().tolist()
    used = [place for place, count in enumerate(counts) if count]
    bounds = _bounds([counts[place] for place in used])

    def read(start: int, stop: int) -> Any:
        place = int(np.searchsorted(bounds, start, side="right")) - 1
        return X.partitions[used[place]].compute().to_numpy(dtype, na_value=np.nan)

    source = _engine.Source(read, (int(bounds[-1]), len(names)), dtype, bounds, only_whole=True)
    return _engine.StoredRows.of(source, names)


# --- Arrow ------------------------------------------------------------------------------------------------------


def _of_table(owner: str, X: Any) -> _engine.StoredRows | None:
    if _is_little(X.shape, np.float64):
        return None
    dtype, names = _dtype_of_schema(owner, X.schema), tuple(X.schema.names)
    source = _engine.Source(
        lambda start, stop: _numbers(X.slice(start, stop - start), dtype), (X.num_rows, len(names)), dtype
    )
    return _engine.StoredRows.of(source, names)


def _of_fragments(owner: str, X: Any) -> _engine.StoredRows:
    """Take a dataset of files, those of Parquet by their groups of rows."""
    dtype, names = _dtype_of_schema(owner, X.schema), tuple(X.schema.names)
    parts = [part for one in X.get_fragments() for part in getattr(one, "split_by_row_group", lambda one=one: [one])()]
    # A part that is a group of rows counts those of its whole file.
    counts = [
        sum(group.num_rows for group in part.row_groups) if hasattr(part, "row_groups") else part.count_rows()
        for part in parts
    ]
    parts = [part for part, count in zip(parts, counts, strict=True) if count]
    bounds = _bounds([count for count in counts if count])

    def read(start: int, stop: int) -> Any:
        place = int(np.searchsorted(bounds, start, side="right")) - 1
        return _numbers(parts[place].to_table(schema=X.schema, columns=list(names)), dtype)

    source = _engine.Source(read, (int(bounds[-1]), len(names)), dtype, bounds, only_whole=True)
    return _engine.StoredRows.of(source, names)


def _dtype_of_schema(owner: str, schema: Any) -> np.dtype[Any]:
    return _common(owner, {one.name: _dtype_of_arrow(one.type) for one in schema})


def _dtype_of_arrow(kind: Any) -> Any:
    """Give a type as NumPy has it; itself where NumPy has none, such as a dictionary of categories."""
    try:
        return kind.to_pandas_dtype()
    except NotImplementedError:
        return kind


def _numbers(table: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give the columns of an Arrow table side by side, NaN for what is missing."""
    rows = np.empty((table.num_rows, table.num_columns), dtype)
    for place, column in enumerate(table.columns):
        rows[:, place] = column.to_numpy()
    return rows


def _common(owner: str, kinds: dict[Any, Any]) -> np.dtype[Any]:
    """Give a floating dtype for columns of these."""
    dtypes = {}
    for name, kind in kinds.items():
        try:
            dtypes[name] = np.dtype(kind)
        except TypeError:
            dtypes[name] = np.dtype(object)
        if dtypes[name].kind not in _NUMBERS:
            raise ValueError(
                f"X of {owner} must be numeric, but column {name!r} has the dtype {kind}. Read in parts, columns must "
                "be numbers: encode it, or leave it out."
            )
    return np.result_type(np.float32, *dtypes.values())


@dataclass(frozen=True)
class _Kind:
    """A class of a library: how its objects become rows that are stored, None for little, and how they are read."""

    module: str
    name: str
    stored: Callable[[str, Any], _engine.StoredRows | None]
    whole: Callable[[Any], Any]


_KINDS = (
    _Kind("netCDF4", "Variable", _of_netcdf, lambda X: X[:]),
    _Kind("dask.dataframe", "DataFrame", _of_dask_frame, lambda X: X.compute()),
    _Kind("dask.array", "Array", _of_dask_array, lambda X: X.compute()),
    _Kind("pyarrow.dataset", "Dataset", _of_fragments, lambda X: X.to_table().to_pandas()),
    _Kind("pyarrow", "Table", _of_table, lambda X: X),
)
_LAZY_ARRAY = _Kind("", "", _of_slices, lambda X: _of_slices("", X)[:])
