"""The fuzzy graph of neighbours of UMAP."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .search import Neighbors

_BISECTIONS = 64
_LEAST_SCALE = 1e-3
_BLOCK_ROWS = 65_536


def fuzzy_graph(neighbors: Neighbors, weights: NDArray[np.float32] | None = None) -> sparse.csr_array:
    """Join the weights of both directions, A and A', to the symmetric graph A + A' - A * A' (float32).

    ``weights`` has the shape (n_rows, k) of the neighbours, and is by default what their distances say.
    The weight of an edge is the probability that at least one of its two directions exists: the union of fuzzy sets
    (McInnes, Healy and Melville 2018, section 3.1, https://arxiv.org/abs/1802.03426).
    """
    n_rows, k = neighbors.indices.shape
    weights = fuzzy_weights(neighbors.distances) if weights is None else weights
    starts = np.arange(0, n_rows * k + 1, k, dtype=np.int32) if k else np.zeros(n_rows + 1, np.int32)
    directed = sparse.csr_array((weights.ravel(), neighbors.indices.ravel(), starts), shape=(n_rows, n_rows))
    directed.sum_duplicates()
    directed.eliminate_zeros()
    backward = directed.T.tocsr()
    graph = directed + backward - directed * backward
    graph.sort_indices()
    return graph


def with_row_weights(graph: sparse.csr_array, weights: NDArray[Any] | None) -> sparse.csr_array:
    """Multiply each edge by the weights of both ends: a row of weight two has the edges of the row twice."""
    if weights is None:
        return graph
    scaling = sparse.diags_array(weights)
    return (scaling @ graph @ scaling).tocsr()


def fuzzy_weights(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn distances to k neighbours, shape (n_rows, k), nearest first, into weights in [0, 1] of the same shape.

    w = exp(-max(0, d - rho) / sigma), where rho is the distance to the nearest neighbour that is no duplicate, and
    sigma makes the weights of a row sum to log2(k), but is at least 1e-3 of the row's mean distance. An infinite
    distance has the weight 0.
    """
    finite = np.isfinite(distances)
    mean_of_all = float(distances.mean(dtype=np.float64, where=finite)) if finite.any() else 0.0
    weights = np.empty_like(distances, dtype=np.float32)
    for start in range(0, len(distances), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        weights[block] = _weights_of_block(distances[block].astype(np.float64), mean_of_all)
    return weights


def _weights_of_block(distances: NDArray[np.float64], mean_of_all: float) -> NDArray[np.float64]:
    finite = np.isfinite(distances)
    positive = np.where(finite & (distances > 0), distances, np.inf)
    nearest = positive.min(axis=1, initial=np.inf)
    beyond = np.maximum(distances - np.where(np.isfinite(nearest), nearest, 0)[:, None], 0)
    n_found = np.maximum(finite.sum(axis=1), 1)
    means = np.where(finite, distances, 0).sum(axis=1) / n_found
    floor = _LEAST_SCALE * np.where(np.isfinite(nearest), means, mean_of_all)
    scales = np.maximum(_scales(beyond, np.log2(n_found)), floor)
    # Where all rows are equal there is no scale, and all distances beyond the nearest are 0.
    weights = np.exp(-beyond / np.where(scales > 0, scales, 1)[:, None])
    return np.where(finite, weights, 0)


def _scales(beyond: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find sigma by bisection, so that sum_j exp(-beyond_j / sigma) equals the target; the least where it is more.

    The logarithm of sigma is bisected, between 1e-12 and 1e6 of the largest distance of the row.
    """
    finite = np.isfinite(beyond)
    largest = np.where(finite, beyond, 0).max(axis=1, initial=0)
    unit = np.where(largest > 0, largest, 1)
    relative = beyond / unit[:, None]
    low, high = np.full(len(beyond), np.log(1e-12)), np.full(len(beyond), np.log(1e6))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_large = np.exp(-relative / np.exp(middle)[:, None]).sum(axis=1) > targets
        low, high = np.where(too_large, low, middle), np.where(too_large, middle, high)
    return np.exp((low + high) / 2) * unit
