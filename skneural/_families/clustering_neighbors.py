"""Clusters of a graph of neighbours, which a network learns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skneural import _engine
from skneural._architectures.clustering import TaughtArchitecture
from skneural._architectures.column_scaling import ColumnScaling
from skneural._architectures.convolutional import STANDARDIZATION
from skneural._geometry.density_clusters import dense_clusters, tight_layout
from skneural._geometry.graph import fuzzy_graph, with_row_weights
from skneural._geometry.graph_clusters import cluster_graph
from skneural._geometry.image_maps import neighbors_of_images
from skneural._geometry.principal import PrincipalColumns
from skneural._geometry.search import nearest_neighbors
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import moments_of_all_values
from skneural._rows.weights import normalize_weights

from .clustering_way import ClusteringWay

_N_STARTS = 10
_LABEL_SMOOTHING = 0.1
_LAYERS_OF_ROWS, _LAYERS_OF_IMAGES = (256, 64), (128,)


class NeighborClusters(ClusteringWay):
    """Clusters that keep the most information about each other along the edges of a graph."""

    def prepare(self, owner: Any, rows: TrainingRows) -> None:
        """Learn the scale of the columns."""
        self.scaling = None
        if owner.image_shape is None:
            self.scaling = ColumnScaling.of(rows.X, normalize_weights(rows.weights), each=True)

    def clusters(self, owner: Any, rows: TrainingRows) -> NDArray[np.intp]:
        """Find the cluster of each row."""
        X = self.scaled(rows.X)
        columns = PrincipalColumns.of(X, owner._seeds.weights).project(X)
        graph = _graph(owner, X, columns, normalize_weights(rows.weights))
        seed = owner._seeds.order
        if owner.n_clusters is None:
            return dense_clusters(tight_layout(graph, columns, seed), owner._smallest_cluster(len(X)))
        return cluster_graph(graph, int(owner.n_clusters), n_starts=_N_STARTS, seed=seed).labels

    def loss(self, n_clusters: int) -> str:
        """Name the loss of the network."""
        return "categorical_crossentropy" if n_clusters > 1 else "binary_crossentropy"

    def architecture(self, owner: Any, n_clusters: int) -> TaughtArchitecture:
        """Describe the network that learns the clusters."""
        image_shape, ranges = owner._image_shape(), owner._deformations()
        sizes = owner._hidden_layer_sizes(_LAYERS_OF_ROWS, _LAYERS_OF_IMAGES)
        return TaughtArchitecture(
            n_features=int(owner.n_features_in_),
            n_components=int(owner.n_components),
            n_clusters=n_clusters,
            hidden_layer_sizes=sizes,
            activations=owner._activations({"hidden layer": len(sizes)}) if sizes else (),
            image_shape=image_shape,
            augmentation=() if ranges is None else ranges.of_layer(),
            kernel_initializer=owner.kernel_initializer,
        )

    def begin(self, owner: Any, network: _engine.Network, rows: TrainingRows, goals: NDArray[np.intp]) -> None:
        """Tell an image network the mean and the scale of the values."""
        if self.scaling is None:
            moments = moments_of_all_values(rows.X, rows.weights)
            network.assign_weights(STANDARDIZATION, [np.array(moment) for moment in moments])

    def data(self, X: NDArray[np.float32], goals: NDArray[np.intp], weights: Any, n_clusters: int) -> _engine.Data:
        """Give the rows that are in a cluster, and their clusters, nearly certain."""
        known = goals >= 0
        if not known.all():
            X, goals, weights = X[known], goals[known], None if weights is None else weights[known]
        even = 1 / n_clusters
        targets = even + (1 - _LABEL_SMOOTHING) * (np.eye(n_clusters)[goals] - even)
        return _engine.Data.of(X, targets.astype(np.float32), normalize_weights(weights))


def _graph(
    owner: Any, X: NDArray[np.float32], columns: NDArray[np.float32], weights: NDArray[np.float32] | None
) -> sparse.csr_array:
    """Join neighbours."""
    k, seed = int(owner.n_neighbors), owner._seeds.split
    image_shape, ranges = owner._image_shape(), owner._deformations()
    if ranges is not None and image_shape is not None:
        neighbors = neighbors_of_images(X, image_shape, k, ranges=ranges, seed=seed)
    else:
        neighbors = nearest_neighbors(columns, k, metric="euclidean", seed=seed)
    return with_row_weights(fuzzy_graph(neighbors), weights)
