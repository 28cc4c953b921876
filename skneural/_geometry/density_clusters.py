"""Clusters of a graph whose number nobody has given: dense parts of its layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import HDBSCAN

from .layout import LikenessCurve, first_layout, free_layout

_N_COORDINATES = 2
_NEGATIVES = 5


def dense_clusters(
    graph: sparse.csr_array, columns: NDArray[np.float32], min_cluster_size: int, seed: int
) -> NDArray[np.intp]:
    """Give the cluster of each row, numbered from zero, or -1 for noise, as HDBSCAN finds them in a layout of a graph.

    ``graph`` has the shape (n, n), ``columns`` (n, n_columns) those that the layout begins with. Where HDBSCAN finds
    none all rows are one cluster.
    """
    if len(columns) < 2 * min_cluster_size:
        return np.zeros(len(columns), np.intp)
    first = first_layout(columns, _N_COORDINATES, seed)
    layout = free_layout(graph, first, LikenessCurve.of(0.0), _NEGATIVES, seed)
    found: NDArray[Any] = HDBSCAN(min_cluster_size=min_cluster_size, n_jobs=1, copy=True).fit_predict(layout)
    labels = found.astype(np.intp)
    return labels if (labels >= 0).any() else np.zeros(len(columns), np.intp)
