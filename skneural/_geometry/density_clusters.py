"""Clusters whose number nobody has given: dense parts of places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import HDBSCAN

from .layout import LikenessCurve, first_layout, free_layout

_N_COORDINATES = 2
_NEGATIVES = 5


def dense_clusters(places: NDArray[Any], min_cluster_size: int) -> NDArray[np.intp]:
    """Give the cluster of each place, shape (n, n_columns), numbered from zero, or -1 for noise, as HDBSCAN finds them.

    Where it finds none all are one cluster.
    """
    if len(places) < 2 * min_cluster_size:
        return np.zeros(len(places), np.intp)
    found: NDArray[Any] = HDBSCAN(min_cluster_size=min_cluster_size, n_jobs=1, copy=True).fit_predict(places)
    labels = found.astype(np.intp)
    return labels if (labels >= 0).any() else np.zeros(len(places), np.intp)


def tight_layout(graph: sparse.csr_array, columns: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Lay a graph out in two dimensions, its dense parts as dense as can be.

    It has the shape (n, n); the layout begins with ``columns`` of shape (n, n_columns).
    """
    first = first_layout(columns, _N_COORDINATES, seed)
    return free_layout(graph, first, LikenessCurve.of(0.0), _NEGATIVES, seed)
