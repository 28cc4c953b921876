"""How a network that clusters is built and trained."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import ClassifierTags, Tags

from skneural import _engine
from skneural._architectures.clustering import (
    EMBEDDING,
    ClusteringArchitecture,
    build_clustering,
    clustering_on_raw_columns,
)
from skneural._architectures.column_scaling import ColumnScaling
from skneural._architectures.convolutional import STANDARDIZATION, image_shape_of
from skneural._estimators.keras_arguments import Schedule
from skneural._geometry.cluster_densities import ClusterDensities
from skneural._geometry.density_clusters import dense_clusters
from skneural._geometry.graph import fuzzy_graph
from skneural._geometry.graph_clusters import cluster_graph
from skneural._geometry.image_maps import Deformations, neighbors_of_images
from skneural._geometry.principal import PrincipalColumns
from skneural._geometry.search import nearest_neighbors
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import merge_equal_rows, moments_of_all_values
from skneural._rows.weights import normalize_weights

from .base import Head, check_image_shape, check_sizes
from .transformers import FamilyTransformer

_N_STARTS = 10
_LABEL_SMOOTHING = 0.1
_LAYERS_OF_ROWS, _LAYERS_OF_IMAGES = (256, 64), (128,)
_LEAST_STEPS = 800
_MOST_EPOCHS, _FEW_ROWS = 20, 10_000
_MAX_BATCH = 256
_SMALLEST_CLUSTER, _SHARE_OF_SMALLEST_CLUSTER = 5, 0.02
# To sort more numbers takes some seconds.
_MOST_VALUES_MERGED = 10_000_000


class TrainedClustering(FamilyTransformer):
    """What a clustering does between its parameters and its public methods."""

    _count_words: ClassVar[Mapping[str, tuple[str, ...]]] = {"batch_size": ("auto",), "epochs": ("auto",)}
    _build = staticmethod(build_clustering)
    # A fit finds clusters anew, and all of its rows are in one of them.
    warm_start, early_stopping = False, False

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # scikit-learn's check of sparse rows asks all that have a ``predict_proba`` how many columns that may have.
        tags.classifier_tags = ClassifierTags(multi_class=True)
        return tags

    # --- parameters ---------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_image_shape(type(self).__name__, self.image_shape)
        self._deformations()

    def _deformations(self) -> Deformations | None:
        """Return how far images are changed, None where they are not."""
        if self.image_shape is None or not self.augment:
            return None
        return Deformations.of(type(self).__name__, self.augment if isinstance(self.augment, Mapping) else {})

    def _image_shape(self) -> tuple[int, int, int] | None:
        owner = type(self).__name__
        given = check_image_shape(owner, self.image_shape)
        return None if given is None else image_shape_of(owner, given, (int(self.n_features_in_),))

    # --- rows ---------------------------------------------------------------------------------------------------

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any = None) -> TrainingRows:
        """Put equal rows together: one with the sum of their weights says the same, and copies are no neighbours."""
        rows = super()._validate(X, None, sample_weight, reset=reset)
        if self.n_clusters is not None and rows.n_rows < self.n_clusters:
            raise ValueError(
                f"The 'n_clusters' parameter of {type(self).__name__} must be at most the number of rows. "
                f"Got n_clusters={self.n_clusters} for n_samples={rows.n_rows}."
            )
        self._given_rows = rows.X
        if math.prod(rows.X.shape) > _MOST_VALUES_MERGED:
            return rows.without_weightless()
        return TrainingRows(*merge_equal_rows(*rows[:3])).without_weightless()

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if self.image_shape is not None and len(shape) > 2:
            X = X.reshape(shape[0], -1)
        X = super()._validate_rows(X, reset=reset)
        return X.toarray() if sparse.issparse(X) else X

    def _learn(self, rows: TrainingRows) -> None:
        self.n_components_ = int(self.n_components)
        is_image = self.image_shape is not None
        weights = normalize_weights(rows.weights)
        self._scaling = None if is_image else ColumnScaling.of(rows.X, weights, each=True)
        self._goals = self._found_clusters(self._encode_features(rows.X), weights)
        self.n_clusters_ = int(self._goals.max()) + 1

    def _encode_features(self, X: Any) -> Any:
        return np.ascontiguousarray(X, np.float32) if self._scaling is None else self._scaling.scaled(X)

    def _split(self, rows: TrainingRows, validation: Any, schedule: Schedule) -> tuple[TrainingRows, None]:
        return rows, None

    def _merges_rows(self, network: _engine.Network) -> bool:
        return False

    def _data(self, rows: TrainingRows) -> _engine.Data:
        known = self._goals >= 0
        rows = rows if known.all() else rows.take(known)
        even = 1 / self.n_clusters_
        goals = even + (1 - _LABEL_SMOOTHING) * (np.eye(self.n_clusters_)[self._goals[known]] - even)
        return _engine.Data.of(rows.X, goals.astype(np.float32), normalize_weights(rows.weights))

    # --- clusters of the graph ----------------------------------------------------------------------------------

    def _found_clusters(self, X: NDArray[np.float32], weights: NDArray[np.float32] | None) -> NDArray[np.intp]:
        """Give the cluster of each row, numbered from zero, and -1 for noise."""
        n_rows = len(X)
        if self.n_clusters is not None and n_rows <= self.n_clusters:
            if n_rows < self.n_clusters:
                warnings.warn(
                    f"{type(self).__name__} has found {n_rows} different rows with a weight above zero, and so as many "
                    f"clusters, not n_clusters={self.n_clusters}.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            return np.arange(n_rows)
        if n_rows == 1:
            return np.zeros(1, np.intp)
        columns = PrincipalColumns.of(X, self._seeds.weights).project(X)
        graph = self._graph(X, columns, weights)
        if self.n_clusters is None:
            return dense_clusters(graph, columns, self._smallest_cluster(n_rows), self._seeds.order)
        return cluster_graph(graph, int(self.n_clusters), n_starts=_N_STARTS, seed=self._seeds.order).labels

    def _graph(
        self, X: NDArray[np.float32], columns: NDArray[np.float32], weights: NDArray[np.float32] | None
    ) -> sparse.csr_array:
        """Join neighbours; a row of weight two has the edges of the row twice."""
        k, seed, ranges, image_shape = (
            int(self.n_neighbors),
            self._seeds.split,
            self._deformations(),
            self._image_shape(),
        )
        if ranges is not None and image_shape is not None:
            neighbors = neighbors_of_images(X, image_shape, k, ranges=ranges, seed=seed)
        else:
            neighbors = nearest_neighbors(columns, k, metric="euclidean", seed=seed)
        graph = fuzzy_graph(neighbors)
        if weights is None:
            return graph
        scaling = sparse.diags_array(weights)
        return (scaling @ graph @ scaling).tocsr()

    def _smallest_cluster(self, n_rows: int) -> int:
        if self.min_cluster_size != "auto":
            return int(self.min_cluster_size)
        return max(_SMALLEST_CLUSTER, round(_SHARE_OF_SMALLEST_CLUSTER * n_rows))

    # --- the network --------------------------------------------------------------------------------------------

    def _head(self) -> Head:
        if self.n_clusters_ == 1:
            return Head(self._resolved_loss("binary_crossentropy"), 1, "hard_sigmoid")
        return Head(self._resolved_loss("categorical_crossentropy"), self.n_clusters_, "softmax")

    def _architecture(self, head: Head) -> ClusteringArchitecture:
        image_shape, ranges = self._image_shape(), self._deformations()
        if isinstance(self.hidden_layer_sizes, str):
            sizes: tuple[int, ...] = _LAYERS_OF_ROWS if image_shape is None else _LAYERS_OF_IMAGES
        else:
            sizes = check_sizes(type(self).__name__, "hidden_layer_sizes", self.hidden_layer_sizes)
        return ClusteringArchitecture(
            n_features=int(self.n_features_in_),
            n_components=int(self.n_components),
            n_clusters=head.n_outputs,
            hidden_layer_sizes=sizes,
            activations=self._activations({"hidden layer": len(sizes)}) if sizes else (),
            image_shape=image_shape,
            augmentation=() if ranges is None else ranges.of_layer(),
            kernel_initializer=self.kernel_initializer,
        )

    def _build_network(self, seed: int) -> _engine.Network:
        network = super()._build_network(seed)
        self._built = self._architecture(self._head())
        if self._scaling is None:
            moments = moments_of_all_values(self._given_rows, None)
            network.assign_weights(STANDARDIZATION, [np.array(moment) for moment in moments])
        return network

    def _auto_batch_size(self, n_rows: int) -> int:
        return int(np.clip(2 ** int(np.log2(max(n_rows, 8) / 8)), 32, _MAX_BATCH))

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        if epochs != "auto":
            return super()._n_epochs(epochs, n_rows, batch_size)
        fewest = round(min(_MOST_EPOCHS, _MOST_EPOCHS * np.sqrt(_FEW_ROWS / n_rows)))
        return max(fewest, -(-_LEAST_STEPS // -(-n_rows // batch_size)))

    # --- what is learned of the trained network -----------------------------------------------------------------

    def _after_training(self, rows: TrainingRows) -> None:
        known = self._goals >= 0
        taught = rows if known.all() else rows.take(known)
        places, shares = self._places(taught.X), self._shares(taught.X)
        memberships = _memberships(shares)
        self._densities = ClusterDensities.of(places, memberships, taught.weights)
        counts = memberships if taught.weights is None else memberships * taught.weights[:, None]
        self.cluster_centers_ = (counts.T @ places / counts.sum(axis=0)[:, None]).astype(np.float32)
        share_of_noise = float(np.average(~known, weights=rows.weights))
        self._least_log_density = -np.inf
        if share_of_noise:
            log_densities = self._densities.log_densities(self._places(rows.X))
            self._least_log_density = float(np.quantile(log_densities, share_of_noise))
        self._describe(self._encode_features(self._given_rows))
        del self._goals, self._given_rows

    def _describe(self, X: NDArray[np.float32]) -> None:
        """Tell of the rows of fit, as they were given."""
        places, shares = self._places(X), self._shares(X)
        self.labels_ = self._labels(places, shares)
        is_clustered = self.labels_ >= 0
        self.probabilities_ = np.where(is_clustered, shares.max(axis=1), np.float32(0))
        distances = ((places[:, None].astype(np.float64) - self.cluster_centers_) ** 2).sum(axis=2)
        own = np.where(self.labels_[:, None] == np.arange(self.n_clusters_), distances, np.inf)
        nearest = np.where(np.isfinite(own).any(axis=0), own.argmin(axis=0), distances.argmin(axis=0))
        self.cluster_prototypes_ = nearest

    def _places(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._answers(self._network, X, output=EMBEDDING)

    def _shares(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._answers(self._network, X)

    def _labels(self, places: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.intp]:
        """Give the most probable cluster of each row, -1 where the clusters explain it less than noise in fit."""
        labels = shares.argmax(axis=1)
        if np.isfinite(self._least_log_density):
            labels[self._densities.log_densities(places) < self._least_log_density] = -1
        return labels

    # --- the model on raw columns -------------------------------------------------------------------------------

    @property
    def model_(self) -> keras.Model:
        """From raw columns to the probabilities of the clusters, with the weights of now."""
        network = self._fitted_network()
        assert network is not None
        model, layers = clustering_on_raw_columns(self._built, self._scaling)
        for new, old in zip(layers, network.snapshot().model.layers, strict=True):
            new.set_weights(old.get_weights())
        return model

    @model_.setter
    def model_(self, model: Any) -> None:
        raise AttributeError(f"The 'model_' of {type(self).__name__} is put together when it is asked for: fit anew.")


def _memberships(shares: NDArray[np.float32]) -> NDArray[np.float64]:
    """Count each row to its most probable cluster; a cluster that has no row gets a little of all of them."""
    members = np.eye(shares.shape[1])[shares.argmax(axis=1)]
    is_empty = ~members.any(axis=0)
    members[:, is_empty] = np.maximum(shares[:, is_empty], 1e-12)
    return members
