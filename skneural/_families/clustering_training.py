"""How a network that clusters is built and trained."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import ClassifierTags, Tags

from skneural import _engine
from skneural._architectures.clustering import Clustering, build_clustering, clustering_on_raw_columns
from skneural._architectures.convolutional import image_shape_of
from skneural._architectures.embedding import EMBEDDING
from skneural._estimators.checkpoints import kept_in
from skneural._estimators.keras_arguments import Schedule
from skneural._geometry.cluster_densities import ClusterDensities
from skneural._geometry.image_maps import Deformations
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import merge_equal_rows

from .base import Head, check_image_shape, check_sizes
from .clustering_autoencoded import IdecClusters, N2dClusters
from .clustering_neighbors import NeighborClusters
from .clustering_way import ClusteringWay
from .transformers import FamilyTransformer

WAYS: Mapping[str, type[ClusteringWay]] = {"neighbors": NeighborClusters, "idec": IdecClusters, "n2d": N2dClusters}
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
    _reads_in_parts = False
    # A fit finds clusters anew, and all of its rows are in one of them.
    warm_start, early_stopping = False, False
    _way: ClusteringWay
    _built: Clustering

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
        self._way = WAYS[self.method]()
        self._way.prepare(self, rows)
        self._goals = self._found_clusters(rows)
        self.n_clusters_ = int(self._goals.max()) + 1
        self._learned_rows = rows

    def _found_clusters(self, rows: TrainingRows) -> NDArray[np.intp]:
        """Give the cluster of each row, numbered from zero, and -1 for noise."""
        n_rows = rows.n_rows
        if self.n_clusters is not None and n_rows <= self.n_clusters:
            if n_rows < self.n_clusters:
                warnings.warn(
                    f"{type(self).__name__} has found {n_rows} different rows with a weight above zero, and so as many "
                    f"clusters, not n_clusters={self.n_clusters}.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            return np.arange(n_rows)
        return self._way.clusters(self, rows) if n_rows > 1 else np.zeros(1, np.intp)

    def _smallest_cluster(self, n_rows: int) -> int:
        if self.min_cluster_size != "auto":
            return int(self.min_cluster_size)
        return max(_SMALLEST_CLUSTER, round(_SHARE_OF_SMALLEST_CLUSTER * n_rows))

    def _encode_features(self, X: Any) -> Any:
        return self._way.scaled(X)

    def _split(self, rows: TrainingRows, validation: Any, schedule: Schedule) -> tuple[TrainingRows, None]:
        return rows, None

    def _merges_rows(self, network: _engine.Network) -> bool:
        return False

    def _data(self, rows: TrainingRows) -> _engine.Data:
        return self._way.data(rows.X, self._goals, rows.weights, self.n_clusters_)

    # --- the network --------------------------------------------------------------------------------------------

    def _head(self) -> Head:
        loss = self._way.loss(self.n_clusters_)
        return Head(None if loss is None else self._resolved_loss(loss), self.n_clusters_, "softmax")

    def _hidden_layer_sizes(self, of_rows: tuple[int, ...], of_images: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(self.hidden_layer_sizes, str):
            return of_rows if self.image_shape is None else of_images
        return check_sizes(type(self).__name__, "hidden_layer_sizes", self.hidden_layer_sizes)

    def _architecture(self, head: Head) -> Any:
        return self._way.architecture(self, head.n_outputs)

    def _build_network(self, seed: int) -> _engine.Network:
        network = super()._build_network(seed)
        self._built = self._architecture(self._head())
        self._way.begin(self, network, self._learned_rows, self._goals)
        return network

    def _settings(self, train: Any, held_out: Any, schedule: Schedule) -> _engine.Settings:
        settings = super()._settings(train, held_out, schedule)
        return settings if self._way.trains_network else replace(settings, epochs=0, learning_rate_factors=None)

    def _run(
        self, train: TrainingRows, held_out: TrainingRows | None, settings: _engine.Settings, schedule: Schedule
    ) -> _engine.Result:
        data = self._data(train)
        settings = self._way.settings(settings, data)
        if self._is_kept(schedule):
            settings = kept_in(self, self._network, (data, None), settings)
        return _engine.fit(self._network, data, None, settings)

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
        self._way.report(self)
        del self._goals, self._given_rows, self._learned_rows

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
        return self._answers(self._network, X, output=self._way.shares_layer)[:, -self.n_clusters_ :]

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
        model, layers = clustering_on_raw_columns(self._built, self._way.scaling)
        new, old = ([layer for layer in some if layer.weights] for some in (layers, network.snapshot().model.layers))
        # Layers that do not answer stand behind those that do.
        for layer, trained in zip(new, old, strict=False):
            layer.set_weights(trained.get_weights())
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
