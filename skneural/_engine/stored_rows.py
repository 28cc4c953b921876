"""Rows that lie outside of the memory, behind an array of NumPy's manners: each part is read when it is asked for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skneural.exceptions import ReadError

Array = NDArray[Any]
# Rows that are wanted with gaps between them are read with the gaps where these are smaller.
_GAP_BYTES = 2**18
# What is read at once where many rows are wanted.
_BLOCK_BYTES = 16 * 2**20


class Source:
    """Where rows are read from: ``read(start, stop)`` gives those of consecutive numbers, shape (stop - start, ...).

    ``bounds`` has the numbers of the first rows of the chunks that they are stored in, and the number of all rows at
    its end. Chunks that come ``only_whole`` are asked for one at a time. Calls may come from several threads, one at a
    time.
    """

    def __init__(
        self,
        read: Callable[[int, int], Any],
        shape: tuple[int, ...],
        dtype: DTypeLike,
        bounds: NDArray[np.intp] | None = None,
        *,
        only_whole: bool = False,
    ) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.bounds = bounds
        self.n_read = 0
        self._read = read
        self._only_whole = only_whole
        self._lock = threading.Lock()
        # Of a chunk that was wanted in part the rest comes next, as a rule.
        self._chunk: tuple[int, Array] | None = None

    def rows(self, start: int, stop: int) -> Array:
        """Read the rows from start to stop."""
        with self._lock:
            if self.bounds is None or not self._only_whole or stop <= start:
                return self._checked(start, stop)
            first, last = np.searchsorted(self.bounds, [start, stop - 1], side="right") - 1
            parts = [self._part_of_chunk(chunk, start, stop) for chunk in range(first, last + 1)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part_of_chunk(self, chunk: int, start: int, stop: int) -> Array:
        assert self.bounds is not None
        begin, end = int(self.bounds[chunk]), int(self.bounds[chunk + 1])
        if self._chunk is not None and self._chunk[0] == chunk:
            rows = self._chunk[1]
        else:
            # Let go of one before the next is there.
            self._chunk = None
            rows = self._checked(begin, end)
            if start > begin or stop < end:
                self._chunk = chunk, rows
        return rows[max(start - begin, 0) : stop - begin]

    def _checked(self, start: int, stop: int) -> Array:
        """Read rows, or raise for what stands in the way."""
        try:
            rows = np.asarray(self._read(start, stop))
        except Exception as error:
            raise ReadError(start, stop, self.shape[0], self.n_read, f"{type(error).__name__}: {error}") from error
        shape = (stop - start, *self.shape[1:])
        if rows.shape != shape or rows.dtype.kind not in "biuf":
            got = f"an array of shape {rows.shape} and dtype {rows.dtype} came, for numbers of shape {shape}"
            raise ReadError(start, stop, self.shape[0], self.n_read, got)
        if not np.can_cast(rows.dtype, self.dtype, "same_kind"):
            got = f"an array of dtype {rows.dtype} came, for numbers of dtype {self.dtype}"
            raise ReadError(start, stop, self.shape[0], self.n_read, got)
        self.n_read += stop - start
        return rows.astype(self.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows of a source, all or those of some ``places`` in ascending order, changed by a function when they are read.

    What ``[...]`` gives is an array in memory; ``at`` and ``changed`` read nothing. ``names`` are those of the columns.
    """

    source: Source
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    places: NDArray[np.intp] | None = None
    change: Callable[[Array], Array] | None = None
    names: tuple[Any, ...] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, source: Source, names: tuple[Any, ...] | None = None) -> StoredRows:
        """Take all rows of a source."""
        return cls(source, source.shape, source.dtype, names=names)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What all rows would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        """Read rows, by a slice, numbers or a mask."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
            rows = np.arange(start, stop, step)
        numbers = np.asarray(rows)
        if numbers.ndim != 1 or numbers.dtype.kind not in "biu":
            raise IndexError(f"Rows that are stored are taken by a slice, numbers or a mask. Got {rows!r}.")
        return self._numbered(np.flatnonzero(numbers) if numbers.dtype == bool else numbers)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("Rows that are stored are no array without a copy.")
        return np.asarray(self[:], dtype)

    def at(self, rows: Any) -> StoredRows:
        """Give some of the rows, by a slice, by numbers in ascending order or by a mask, without reading them."""
        places = np.arange(len(self))[rows] if self.places is None else self.places[rows]
        return replace(self, shape=(len(places), *self.shape[1:]), places=places)

    def changed(self, change: Callable[[Array], Array], row_shape: tuple[int, ...], dtype: DTypeLike) -> StoredRows:
        """Give the rows as a function of arrays of them makes them."""
        before = self.change
        both = change if before is None else lambda rows: change(before(rows))
        return replace(self, shape=(len(self), *row_shape), dtype=np.dtype(dtype), change=both)

    def blocks(self) -> Iterator[Array]:
        """Read all rows, block by block."""
        step = max(1, _BLOCK_BYTES // self.row_bytes)
        return (self[start : start + step] for start in range(0, len(self), step))

    def min(self) -> Any:
        """Give the smallest value."""
        return min(block.min() for block in self.blocks())

    def max(self) -> Any:
        """Give the largest value."""
        return max(block.max() for block in self.blocks())

    @property
    def row_bytes(self) -> int:
        """What a row takes where it lies."""
        return max(1, math.prod(self.source.shape[1:]) * self.source.dtype.itemsize)

    def run_bounds(self, run_bytes: int) -> NDArray[np.intp]:
        """Cut the rows into runs that are read at once, of about so many bytes and of whole chunks.

        Give the numbers of their first rows, and the number of all rows at the end.
        """
        n_of_source, least = self.source.shape[0], max(1, run_bytes // self.row_bytes)
        chunks = self.source.bounds
        if chunks is None:
            bounds = np.append(np.arange(0, n_of_source, least), n_of_source)
        else:
            # The first chunk that begins at or behind each multiple of the length.
            wanted = np.arange(0, n_of_source, least)
            bounds = np.unique(np.append(chunks[np.searchsorted(chunks, wanted)], n_of_source))
        if self.places is not None:
            bounds = np.searchsorted(self.places, bounds)
        return np.unique(bounds)

    def _read(self, start: int, stop: int) -> Array:
        if self.places is None:
            return self._as_changed(self.source.rows(start, stop))
        return self._gathered(self.places[start:stop])

    def _numbered(self, numbers: NDArray[np.intp]) -> Array:
        numbers = np.where(numbers < 0, numbers + len(self), numbers)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"There are {len(self)} rows. Got the number {int(numbers.max())}.")
        places = numbers if self.places is None else self.places[numbers]
        if (places[1:] >= places[:-1]).all():
            return self._gathered(places)
        order = np.argsort(places, kind="stable")
        rows = self._gathered(places[order])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return rows[back]

    def _gathered(self, places: NDArray[np.intp]) -> Array:
        """Read rows of ascending places."""
        if not len(places):
            return self._as_changed(np.empty((0, *self.source.shape[1:]), self.source.dtype))
        gap = max(1, _GAP_BYTES // self.row_bytes)
        cuts = np.flatnonzero(np.diff(places) > gap) + 1
        parts = [self._span(piece) for piece in np.split(places, cuts)]
        return self._as_changed(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _span(self, places: NDArray[np.intp]) -> Array:
        first, last = int(places[0]), int(places[-1])
        rows = self.source.rows(first, last + 1)
        return rows if len(rows) == len(places) and last - first + 1 == len(places) else rows[places - first]

    def _as_changed(self, rows: Array) -> Array:
        return rows if self.change is None else self.change(rows)
