"""How rows reach a program: all of them once, or part after part where they would take too much memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skneural._engine.records import ArrayForm, Data
from skneural._engine.stored_rows import StoredRows

from .memory_maps import give_pages_back, is_large_map
from .mixing import MIXED_BYTES, MixedOrder, MixedRows
from .named import arrays_of, name_of_input, renewed
from .rows import epoch_order, target_dtype

_ALIGNMENT = 64
# Dense rows beyond this stay where they are and are copied to the program part after part.
RESIDENT_BYTES = 64 * 2**20
PART_BYTES = 32 * 2**20
Arrays = dict[str, NDArray[Any]]
Order: TypeAlias = "NDArray[np.intp] | MixedOrder"


@dataclass
class Part:
    """Rows that a program takes in one or more calls: its arrays, and the number of batches in them."""

    inputs: dict[str, Any]
    n_batches: int


class Rows:
    """A training or validation set as a program takes it.

    ``n_room`` is the number of rows in the program's arrays. Resident rows lie there as they came and the program
    picks them in its ``order``; others are brought there in that order, part after part. Where X ``may_stay`` and the
    native engine can read it as it is, X is resident where it lies, whatever its size. Rows that are stored are never
    resident, and come in an order of their own (``MixedOrder``).
    """

    def __init__(self, data: Data, batch_size: int, input_dtypes: Sequence[str], *, may_stay: bool = False) -> None:
        self._data = data
        self._batch_size = batch_size
        self._stays = may_stay and _is_readable(data)
        if self._stays:
            input_dtypes = [str(one.dtype) for one in data.inputs]
        self._dtypes = {name_of_input(index): dtype for index, dtype in enumerate(input_dtypes)}
        if data.targets is not None:
            self._dtypes["targets"] = target_dtype(data.targets)
        self._dtypes["sample_weight"] = "float32"
        self.n_rows = data.n_rows
        self.n_batches = -(-data.n_rows // batch_size)
        row_bytes = sum(_row_bytes(one, dtype) for one, dtype in zip(data.inputs, input_dtypes, strict=True))
        self._stored = next((one for one in data.inputs if isinstance(one, StoredRows)), None)
        are_dense = not any(map(sparse.issparse, data.inputs)) and self._stored is None
        is_small = are_dense and data.n_rows * row_bytes <= RESIDENT_BYTES
        self.is_resident = self._stays or is_small
        self.n_room = self._length_of_arrays(row_bytes)
        self._resident: Arrays | None = None
        self._tables: Arrays | None = None
        given = sum(part.nbytes for one in (*data.inputs, *data.tables.values()) for part in _parts_of(one))
        given += 0 if self._stored is None else MIXED_BYTES
        self.n_bytes = given + (0 if self._stays else data.n_rows * row_bytes if is_small else PART_BYTES)

    @property
    def forms(self) -> tuple[ArrayForm, ...]:
        """All arrays of rows by name, with the shape of a row and the dtype in which they go to a program."""
        return tuple((name, array.shape[1:], self._dtypes[name]) for name, array in arrays_of(self._data).items())

    @property
    def table_forms(self) -> tuple[ArrayForm, ...]:
        """The tables by name, with their shapes and dtypes."""
        return tuple((name, table.shape, str(table.dtype)) for name, table in sorted(self.tables.items()))

    @property
    def target_form(self) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of one row's target; those of a number where there is none."""
        index, targets = self._data.target_input, self._data.targets
        if targets is None:
            return (), "float32"
        return targets.shape[1:], self._dtypes["targets" if index is None else name_of_input(index)]

    def renew(self, data: Data | None) -> None:
        """Let other data of the same shapes and dtypes take the place of these."""
        before, self._data = self._data, renewed(self._data, data)
        if self._resident is not None:
            present = arrays_of(before)
            for name, array in arrays_of(self._data).items():
                if array is not present[name]:
                    self._lay_down(self._resident, name, array)
        if self._tables is not None:
            for name, table in self._data.tables.items():
                if table is not before.tables[name]:
                    self._tables[name] = _as_table(table)

    def _length_of_arrays(self, row_bytes: int) -> int:
        """Choose a number of rows that there is room for, for a part a multiple of the batch size."""
        if self.is_resident:
            return self.n_rows if self._stays else bucket(self.n_rows)
        fitting = max(1, PART_BYTES // max(1, row_bytes * self._batch_size)) * self._batch_size
        return min(fitting, -(-bucket(self.n_rows) // self._batch_size) * self._batch_size)

    def order(self, seed: int, epoch: int, shuffle: bool) -> Order:
        """Draw the order in which an epoch visits the rows."""
        if self._stored is not None:
            return MixedOrder.of(self._stored, seed, epoch, shuffle=shuffle)
        return epoch_order(self.n_rows, seed, epoch, shuffle)

    def parts(self, order: Order) -> Iterator[Part]:
        """Give the rows in the given order, part after part; a part holds until the next but one."""
        if not isinstance(order, MixedOrder) and self.is_resident:
            yield Part({**self.arrays, "order": self.padded(order), "n_rows": np.int32(len(order))}, self.n_batches)
            return
        pieces = [range(start, min(start + self.n_room, len(order))) for start in range(0, len(order), self.n_room)]
        buffers = [self._new_arrays() for _ in pieces[:2]]
        fetch = self._fetching(order)
        # The next part is fetched while the program works on this one.
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(fetch, pieces[0], buffers[0])
            for index, piece in enumerate(pieces):
                arrays = coming.result()
                if index + 1 < len(pieces):
                    coming = pool.submit(fetch, pieces[index + 1], buffers[(index + 1) % 2])
                yield Part({**arrays, "n_rows": np.int32(len(piece))}, -(-len(piece) // self._batch_size))

    def empty_part(self) -> Part:
        """Give a part of which no batch is to be run."""
        if self.is_resident:
            return next(iter(self.parts(np.zeros(1, np.intp))))
        return Part({**self._new_arrays(), "n_rows": np.int32(1)}, 1)

    @property
    def arrays(self) -> Arrays:
        """Resident rows as they came, in arrays with room for ``n_room``; what lies behind them is never read."""
        if self._resident is None:
            arrays = self._new_arrays(but=self._in_place)
            for name, array in arrays_of(self._data).items():
                self._lay_down(arrays, name, array)
            self._resident = arrays
        return self._resident

    @property
    def tables(self) -> Arrays:
        """The tables as a program takes them."""
        if self._tables is None:
            self._tables = {name: _as_table(table) for name, table in self._data.tables.items()}
        return self._tables

    @property
    def _in_place(self) -> set[str]:
        """The arrays that are read where they lie."""
        return {name_of_input(index) for index in range(len(self._data.inputs))} if self._stays else set()

    def _lay_down(self, arrays: Arrays, name: str, array: Any) -> None:
        """Put an array of rows where a program reads it."""
        if name in self._in_place:
            arrays[name] = array
            return
        # Assignment converts the dtype without a copy of the whole.
        arrays[name][: self.n_rows] = array
        give_pages_back(array)

    def padded(self, order: NDArray[np.intp]) -> NDArray[np.int32]:
        """Repeat the last row up to the length of full batches."""
        padded = np.full(-(-self.n_room // self._batch_size) * self._batch_size, order[-1], np.int32)
        padded[: len(order)] = order
        return padded

    def _new_arrays(self, but: Collection[str] = ()) -> Arrays:
        return {
            name: empty_aligned((self.n_room, *shape), dtype) for name, shape, dtype in self.forms if name not in but
        }

    def _fetching(self, order: Order) -> Callable[[range, Arrays], Arrays]:
        """Give what copies the rows of some positions of an order, the last one repeated to the end of its batch."""
        sources = arrays_of(self._data)
        if isinstance(order, MixedOrder):
            stored = {name: one for name, one in sources.items() if isinstance(one, StoredRows)}
            reader = MixedRows(order, {name: (one, self._dtypes[name]) for name, one in stored.items()})

        def fetch(positions: range, arrays: Arrays) -> Arrays:
            if isinstance(order, MixedOrder):
                for piece in reader.pieces(positions.start, positions.stop):
                    for name, source in sources.items():
                        out = arrays[name][piece.into]
                        piece.take(name, out) if name in stored else self._take(source, piece.numbers, out)
            else:
                rows = order[positions.start : positions.stop]
                for name, source in sources.items():
                    self._take(source, rows, arrays[name][: len(rows)])
            n_rows = len(positions)
            n_filled = -(-n_rows // self._batch_size) * self._batch_size
            for name in sources:
                arrays[name][n_rows:n_filled] = arrays[name][n_rows - 1]
            return arrays

        return fetch

    @staticmethod
    def _take(source: Any, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
        """Copy some rows."""
        if sparse.issparse(source):
            out[:] = source[rows].toarray()
        elif source.dtype == out.dtype and source.flags.c_contiguous and source.flags.aligned:
            np.take(source, rows, axis=0, out=out, mode="clip")
        else:
            out[:] = source[rows]
        give_pages_back(source)


def _parts_of(X: Any) -> tuple[NDArray[Any], ...]:
    """The arrays in memory that X consists of."""
    if isinstance(X, StoredRows):
        return ()
    return (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)


def _row_bytes(rows: Any, dtype: str) -> int:
    return math.prod(rows.shape[1:]) * np.dtype(dtype).itemsize


def _as_table(table: NDArray[Any]) -> NDArray[Any]:
    """Give a table in the dtype in which a program takes it, where TensorFlow reads it without another copy."""
    dtype = np.dtype(target_dtype(table))
    if table.dtype == dtype and table.flags.c_contiguous and table.ctypes.data % _ALIGNMENT == 0:
        return table
    copy = empty_aligned(table.shape, dtype)
    copy[...] = table
    return copy


def _is_readable(data: Data) -> bool:
    """Tell whether the native engine can read X as it is: a part at a time of a large map, so not there.

    Targets are float32, also those that are X itself.
    """
    X: Any = data.inputs[0]
    return (
        isinstance(X, np.ndarray)
        and X.dtype in ((np.float32, np.float64) if data.target_input is None else (np.float32,))
        and X.flags.c_contiguous
        and X.flags.aligned
        and not is_large_map(X)
    )


def bucket(n_rows: int) -> int:
    """Round a number of rows up to a power of four, so that the folds of a search and its refit share a program.

    The room that is left over is address space: nobody writes to it, so it takes no memory.
    """
    return int(4 ** max(3, (n_rows - 1).bit_length() + 1 >> 1))


def empty_aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Allocate an array that TensorFlow takes without copying it."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + n_bytes].view(dtype).reshape(shape)
