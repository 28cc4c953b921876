"""The nearest other rows of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from skneural._compat.scikit_names import has_fast_neighbors, nearest_rows

# Up to so many rows each row is compared with every other one, which takes 8 s on two cores for 60,000 rows of 50
# columns; above, with those of the nearest cells. MNIST's 60,000 rows then keep .965 of their 15 nearest neighbours.
_MOST_ROWS_COMPARED_WITH_ALL = 65_536
_CELLS_VISITED = 30
_ROWS_PER_CENTRE = 50
_LLOYD_STEPS = 3


@dataclass(frozen=True)
class Neighbors:
    """The k nearest other rows of each row, nearest first.

    ``indices`` (int32) and ``distances`` (float32) have the shape (n_rows, k). Where a row has fewer than k, the rest
    are its own index at an infinite distance.
    """

    indices: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_neighbors(X: NDArray[Any], n_neighbors: int, *, metric: str | Callable[..., float], seed: int) -> Neighbors:
    """Find the neighbours of the rows of X, shape (n_rows, n_columns), or all others where there are fewer.

    The result is exact up to 65,536 rows. Above, for metrics that scikit-learn has in C, rows are gathered in about
    sqrt(n_rows) cells round centres drawn with ``seed``, and each is compared with those of the 30 nearest cells.
    """
    n_rows = len(X)
    k = min(n_neighbors, n_rows - 1)
    if k < 1:
        return Neighbors(np.empty((n_rows, 0), np.int32), np.empty((n_rows, 0), np.float32))
    if metric == "cosine":
        found = nearest_neighbors(unit_rows(X), k, metric="euclidean", seed=seed)
        return Neighbors(found.indices, (found.distances**2 / 2).astype(np.float32))
    X = np.ascontiguousarray(X)
    if not has_fast_neighbors(X, metric):
        distances, indices = NearestNeighbors(n_neighbors=k + 1, metric=metric).fit(X).kneighbors(X)
        return without_self(indices, distances)
    if n_rows <= _MOST_ROWS_COMPARED_WITH_ALL:
        distances, indices = nearest_rows(X, X, k + 1, metric)
        return without_self(indices, distances)
    return _from_cells(X, k, metric, seed)


def unit_rows(X: NDArray[Any]) -> NDArray[Any]:
    """Give rows of length one; rows of zeros stay what they are."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(lengths > 0, lengths, 1)


def _from_cells(X: NDArray[Any], k: int, metric: Any, seed: int) -> Neighbors:
    """Look for neighbours in the cells that are nearest to that of a row."""
    indices = np.empty((len(X), k), np.int32)
    distances = np.empty((len(X), k), np.float32)
    for rows, others in neighboring_cells(X, metric, seed):
        # Duplicates may keep a row off its own list, so one more is asked for.
        found_distances, positions = nearest_rows(X[rows], X[others], min(k + 1, len(others)), metric)
        found = without_self(others[positions], found_distances, rows)
        n_found = found.indices.shape[1]
        indices[rows], distances[rows] = rows[:, None], np.inf
        indices[rows, :n_found], distances[rows, :n_found] = found.indices, found.distances
    return Neighbors(indices, distances)


def neighboring_cells(X: NDArray[Any], metric: Any, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Divide the rows of X into cells, and give the row numbers of each with those of the cells nearest to it."""
    centres = _centres(X, round(np.sqrt(len(X))), metric, np.random.default_rng(seed))
    cell_of_row = nearest_rows(X, centres, 1, metric)[1][:, 0]
    by_cell = np.split(
        np.argsort(cell_of_row, kind="stable"), np.cumsum(np.bincount(cell_of_row, minlength=len(centres)))[:-1]
    )
    nearest_cells = nearest_rows(centres, centres, min(_CELLS_VISITED, len(centres)), metric)[1]
    for rows, cells in zip(by_cell, nearest_cells, strict=True):
        if len(rows):
            yield rows, np.concatenate([by_cell[cell] for cell in cells])


def _centres(X: NDArray[Any], n_centres: int, metric: Any, generator: np.random.Generator) -> NDArray[Any]:
    """Draw rows as centres and move each to the mean of its rows in a sample, a few times (Lloyd 1982)."""
    centres = X[generator.choice(len(X), n_centres, replace=False)]
    for _ in range(_LLOYD_STEPS):
        sample = X[generator.choice(len(X), min(len(X), _ROWS_PER_CENTRE * n_centres), replace=False)]
        centre_of_row = nearest_rows(sample, centres, 1, metric)[1][:, 0]
        n_rows = np.bincount(centre_of_row, minlength=n_centres)
        membership = sparse.csr_array(
            (np.ones(len(sample), X.dtype), (centre_of_row, np.arange(len(sample)))), shape=(n_centres, len(sample))
        )
        sums = membership @ sample
        centres[n_rows > 0] = sums[n_rows > 0] / n_rows[n_rows > 0, None]
    return centres


def without_self(indices: NDArray[Any], distances: NDArray[Any], rows: NDArray[np.int64] | None = None) -> Neighbors:
    """Leave each row out of its own k + 1 neighbours; where duplicates keep it off the list, the last one goes."""
    rows = np.arange(len(indices)) if rows is None else rows
    is_self = indices == rows[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    kept = len(indices), indices.shape[1] - 1
    return Neighbors(
        indices[~is_self].reshape(kept).astype(np.int32), distances[~is_self].reshape(kept).astype(np.float32)
    )


def neighbors_of_graph(graph: Any, n_neighbors: int) -> Neighbors:
    """Read the neighbours from a sparse graph of distances, as a ``KNeighborsTransformer`` gives.

    It has the shape (n_rows, n_rows). Entries that are not stored are no neighbours; stored zeros are duplicates.
    """
    graph = sparse.coo_array(graph)
    kept = graph.row != graph.col
    rows, columns, values = graph.row[kept], graph.col[kept], graph.data[kept]
    order = np.lexsort((columns, values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows, side="left")
    n_rows = graph.shape[0]
    k = int(min(n_neighbors, rank.max(initial=-1) + 1))
    indices = np.repeat(np.arange(n_rows, dtype=np.int32)[:, None], k, axis=1)
    distances = np.full((n_rows, k), np.inf, np.float32)
    near = rank < k
    indices[rows[near], rank[near]] = columns[near]
    distances[rows[near], rank[near]] = values[near]
    return Neighbors(indices, distances)
