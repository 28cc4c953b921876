"""The order of rows that are stored: whole runs, drawn in a random order, whose rows are mixed some runs at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skneural._engine.stored_rows import Array, StoredRows

# What is read at once, and what is mixed at once: so much, and at least so many runs.
RUN_BYTES = 2 * 2**20
MIXED_BYTES = 32 * 2**20
_FEWEST_RUNS = 4


class MixedOrder:
    """The order in which an epoch visits rows that lie in runs.

    ``bounds`` has the first row of each run, and the number of all rows at its end. Runs are drawn in a random order;
    each group of them, of about ``group_rows`` rows, is mixed. Without a ``key`` rows come as they lie. It depends on
    these alone, and takes memory for the runs, not for the rows.
    """

    def __init__(self, bounds: NDArray[np.intp], group_rows: int, key: tuple[int, int] | None) -> None:
        self._bounds, self._key = bounds, key
        n_runs = len(bounds) - 1
        self._runs = np.arange(n_runs) if key is None else np.random.default_rng(key).permutation(n_runs)
        ends = np.cumsum(np.diff(bounds)[self._runs])
        begins = np.append(0, ends[:-1])
        _, self._firsts = np.unique(begins // group_rows, return_index=True)
        self.starts = begins[self._firsts]
        self._n_rows = int(bounds[-1])

    @classmethod
    def of(cls, rows: StoredRows, seed: int, epoch: int, *, shuffle: bool) -> MixedOrder:
        """Draw the order of an epoch."""
        bounds = rows.run_bounds(RUN_BYTES)
        longest = int(np.diff(bounds).max(initial=1))
        group_rows = max(MIXED_BYTES // rows.row_bytes, _FEWEST_RUNS * longest)
        return cls(bounds, group_rows, (seed, epoch) if shuffle else None)

    def __len__(self) -> int:
        return self._n_rows

    def group_at(self, position: int) -> int:
        """Tell in which group a position of the order is."""
        return int(np.searchsorted(self.starts, position, side="right")) - 1

    def runs_of(self, group: int) -> list[slice]:
        """Give the rows of a group, run by run in ascending order, in which they are read."""
        last = self._firsts[group + 1] if group + 1 < len(self._firsts) else len(self._runs)
        runs = np.sort(self._runs[self._firsts[group] : last])
        return [slice(int(self._bounds[run]), int(self._bounds[run + 1])) for run in runs]

    def mixed(self, group: int, n_rows: int) -> NDArray[np.intp]:
        """Give the order in which the rows of a group are visited, as places among those that were read."""
        if self._key is None:
            return np.arange(n_rows)
        return np.random.default_rng((*self._key, group)).permutation(n_rows)


class Piece(NamedTuple):
    """Rows of one group: where they stand among those asked for, their numbers, and where they are in ``read``."""

    into: slice
    numbers: NDArray[np.intp]
    mixed: NDArray[np.intp]
    read: Mapping[str, Array]

    def take(self, name: str, out: Array) -> None:
        """Write the rows of one array."""
        np.take(self.read[name], self.mixed, axis=0, out=out, mode="clip")


class MixedRows:
    """Gives rows in an order, each group of which is read once where they are asked for one after the other."""

    def __init__(self, order: MixedOrder, stored: Mapping[str, tuple[StoredRows, str]]) -> None:
        """Take the order, and stored rows by name with the dtype that is wanted."""
        self._order, self._stored = order, stored
        self._group = -1
        self._read: dict[str, Array] = {}
        self._numbers = self._mixed = np.empty(0, np.intp)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Give the rows of some positions of the order, piece by piece, each of which holds until the next."""
        position = start
        while position < stop:
            self._load(self._order.group_at(position))
            begin = position - int(self._order.starts[self._group])
            mixed = self._mixed[begin : begin + stop - position]
            into = slice(position - start, position - start + len(mixed))
            yield Piece(into, self._numbers[mixed], mixed, self._read)
            position += len(mixed)

    def _load(self, group: int) -> None:
        if group == self._group:
            return
        runs = self._order.runs_of(group)
        self._numbers = np.concatenate([np.arange(run.start, run.stop) for run in runs])
        self._mixed = self._order.mixed(group, len(self._numbers))
        for name, (rows, dtype) in self._stored.items():
            room = self._read.get(name)
            if room is None or len(room) != len(self._numbers):
                # Let go of one buffer before the next is there.
                self._read.pop(name, None)
                room = np.empty((len(self._numbers), *rows.shape[1:]), dtype)
            begin = 0
            for run in runs:
                end = begin + run.stop - run.start
                room[begin:end] = rows[run]
                begin = end
            self._read[name] = room
        self._group = group
