"""How rows reach a program: all of them once, or part after part where they would take too much memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ._program import empty_aligned
from ._records import Data
from ._rows import target_dtype

# Dense rows beyond this stay where they are and are copied to the program part after part.
RESIDENT_BYTES = 512 * 2**20
PART_BYTES = 32 * 2**20


@dataclass
class Part:
    """Rows that a program takes in one or more calls: its arrays, and the number of batches in them."""

    inputs: dict[str, Any]
    n_batches: int


class Rows:
    """A training or validation set as a program takes it.

    ``n_room`` is the number of rows in the program's arrays.
    """

    def __init__(self, data: Data, batch_size: int, X_dtype: str) -> None:
        self._data = data
        self._batch_size = batch_size
        self.n_rows = data.n_rows
        self.n_batches = -(-data.n_rows // batch_size)
        self.X_dtype = X_dtype
        self.y_dtype = str(np.dtype(target_dtype(data.y)))
        row_bytes = int(np.prod(data.X.shape[1:])) * np.dtype(X_dtype).itemsize
        self.is_resident = not sparse.issparse(data.X) and data.n_rows * row_bytes <= RESIDENT_BYTES
        part = max(1, PART_BYTES // max(1, row_bytes * batch_size)) * batch_size
        self.n_room = bucket(data.n_rows) if self.is_resident else min(part, bucket(data.n_rows))
        if not self.is_resident:
            self.n_room = -(-self.n_room // batch_size) * batch_size
        self._arrays: dict[str, NDArray[Any]] | None = None

    def parts(self, order: NDArray[np.intp]) -> Iterator[Part]:
        """Give the rows in the given order, part after part."""
        if self.is_resident:
            if self._arrays is None:
                self._arrays = self._filled(slice(None))
            yield self._part(order)
            return
        for start in range(0, len(order), self.n_room):
            rows = order[start : start + self.n_room]
            self._arrays = self._filled(rows)
            yield self._part(np.arange(len(rows)))

    def _part(self, order: NDArray[np.intp]) -> Part:
        n_batches = -(-len(order) // self._batch_size)
        padded = np.full(-(-self.n_room // self._batch_size) * self._batch_size, order[-1], np.int32)
        padded[: len(order)] = order
        assert self._arrays is not None
        return Part({**self._arrays, "order": padded, "n_rows": np.int32(len(order))}, n_batches)

    def _filled(self, rows: slice | NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        """Copy some rows into arrays of the program's shapes, which are made once; what lies behind is not read."""
        data = self._data
        sources: dict[str, tuple[Any, str]] = {"X": (data.X, self.X_dtype), "y": (data.y, self.y_dtype)}
        if data.sample_weight is not None:
            sources["sample_weight"] = (data.sample_weight, "float32")
        arrays = self._arrays or {
            name: empty_aligned((self.n_room, *source.shape[1:]), dtype) for name, (source, dtype) in sources.items()
        }
        for name, (source, _) in sources.items():
            # Assignment converts the dtype without a copy of the whole.
            taken = source[rows].toarray() if sparse.issparse(source) else source[rows]
            arrays[name][: taken.shape[0]] = taken
        return arrays


def bucket(n_rows: int) -> int:
    """Round a number of rows up by at most an eighth, so that numbers close to each other share a program."""
    step = 1 << max(n_rows.bit_length() - 4, 3)
    return -(-n_rows // step) * step
