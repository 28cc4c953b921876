"""Clusters of the codes of an autoencoder, by two papers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from skneural import _engine
from skneural._architectures.autoencoder import CODE
from skneural._architectures.clustering import (
    PLACES_AND_SHARES,
    IdecArchitecture,
    N2dArchitecture,
)
from skneural._architectures.idec_step import idec_step, target_shares
from skneural._geometry.cluster_densities import ClusterDensities
from skneural._geometry.density_clusters import dense_clusters
from skneural._rows.training_rows import TrainingRows
from skneural._rows.weights import normalize_weights

from .autoencoder import Autoencoder
from .clustering_way import ClusteringWay
from .neighbor_embedding import NeighborEmbedding

_LAYERS_OF_ROWS, _LAYERS_OF_IMAGES = (256, 64), (128,)
_N_STARTS = 20


def _epochs_of(owner: Any) -> dict[str, Any]:
    """Give the epochs of a part as an argument, where the owner knows how many."""
    return {} if owner.epochs == "auto" else {"epochs": int(owner.epochs)}


class AutoencodedClusters(ClusteringWay):
    """What both have in common: an autoencoder that is trained first."""

    def prepare(self, owner: Any, rows: TrainingRows) -> None:
        """Train the autoencoder."""
        self.autoencoder = Autoencoder(
            int(owner.n_components),
            hidden_layer_sizes=owner._hidden_layer_sizes(_LAYERS_OF_ROWS, _LAYERS_OF_IMAGES),
            activation=owner.activation,
            image_shape=owner.image_shape,
            standardize=owner.image_shape is None,
            kernel_initializer=owner.kernel_initializer,
            random_state=owner._seeds.weights,
            **_epochs_of(owner),
        ).fit(rows.X, sample_weight=rows.weights)
        self.scaling = self.autoencoder._scaling
        self.places = self.autoencoder.transform(rows.X)

    def encoder_and_decoder(self) -> tuple[list[Any], list[Any]]:
        """Give the trained layers up to the code, and those behind it."""
        layers = self.autoencoder._network.snapshot().model.layers
        end = [layer.name for layer in layers].index(CODE) + 1
        return layers[:end], layers[end:]


class IdecClusters(AutoencodedClusters):
    """Improved deep embedded clustering (Guo et al. 2017)."""

    shares_layer = PLACES_AND_SHARES

    @threadpool_limits.wrap(limits=1)
    def clusters(self, owner: Any, rows: TrainingRows) -> NDArray[np.intp]:
        """Find k-means clusters of the codes."""
        if owner.n_clusters is None:
            return dense_clusters(self.places, owner._smallest_cluster(len(self.places)))
        means = KMeans(int(owner.n_clusters), n_init=_N_STARTS, random_state=owner._seeds.order)
        labels: NDArray[np.intp] = means.fit_predict(self.places, sample_weight=rows.weights).astype(np.intp)
        # Which of equal codes have an own cluster is not said.
        return np.unique(labels, return_inverse=True)[1]

    def architecture(self, owner: Any, n_clusters: int) -> IdecArchitecture:
        """Describe the network."""
        return IdecArchitecture(self.autoencoder._built, n_clusters)

    def begin(self, owner: Any, network: _engine.Network, rows: TrainingRows, goals: NDArray[np.intp]) -> None:
        """Begin as the autoencoder, with the middles of the clusters as centres."""
        encoder, decoder = self.encoder_and_decoder()
        layers = [layer for layer in network.any_model.layers if layer.weights]
        trained = [layer for layer in [*encoder, None, *decoder] if layer is None or layer.weights]
        weights = np.ones(len(goals)) if rows.weights is None else rows.weights
        members = np.eye(goals.max() + 1)[goals] * ((goals >= 0) * weights)[:, None]
        centers = members.T @ self.places / members.sum(axis=0)[:, None]
        for layer, source in zip(layers, trained, strict=True):
            network.assign_weights(layer.name, [centers] if source is None else source.get_weights())

    def data(self, X: NDArray[np.float32], goals: NDArray[np.intp], weights: Any, n_clusters: int) -> _engine.Data:
        """Give the rows; what the shares shall be is found at the beginning of each epoch."""
        return _engine.Data.of(X, np.full((len(X), n_clusters), 1 / n_clusters, np.float32), normalize_weights(weights))

    def settings(self, settings: _engine.Settings, data: _engine.Data) -> _engine.Settings:
        """Train with the paper's step, and find its targets anew for each epoch."""
        assert data.targets is not None
        n_clusters = data.targets.shape[1]

        def renew(epoch: int, network: _engine.Network) -> _engine.Data:
            both = _engine.predict(network, data.inputs[0], output=PLACES_AND_SHARES)
            targets = target_shares(both[:, -n_clusters:], data.sample_weight)
            return replace(data, targets=targets)

        return replace(settings, step=idec_step(n_clusters), renew=renew)


class N2dClusters(AutoencodedClusters):
    """Not too deep clustering (McConville et al. 2019)."""

    merges_equal_rows = False
    trains_network = False

    def prepare(self, owner: Any, rows: TrainingRows) -> None:
        """Train the autoencoder, and a network that keeps the neighbours of its codes."""
        super().prepare(owner, rows)
        self.embedding = NeighborEmbedding(
            int(owner.n_components),
            n_neighbors=int(owner.n_neighbors),
            min_dist=0.0,
            random_state=owner._seeds.split,
            **_epochs_of(owner),
        ).fit(self.places)
        self.places = self.embedding.transform(self.places)

    @threadpool_limits.wrap(limits=1)
    def clusters(self, owner: Any, rows: TrainingRows) -> NDArray[np.intp]:
        """Find the clusters of a mixture of normal distributions."""
        if owner.n_clusters is None:
            return dense_clusters(self.places, owner._smallest_cluster(len(self.places)))
        mixture = GaussianMixture(int(owner.n_clusters), n_init=_N_STARTS // 4, random_state=owner._seeds.order)
        self.mixture = mixture.fit(self.places.astype(np.float64))
        return self.mixture.predict(self.places.astype(np.float64)).astype(np.intp)

    def architecture(self, owner: Any, n_clusters: int) -> N2dArchitecture:
        """Describe the network."""
        embedding = self.embedding
        return N2dArchitecture(self.autoencoder._built, embedding._architecture(embedding._head()), n_clusters)

    def begin(self, owner: Any, network: _engine.Network, rows: TrainingRows, goals: NDArray[np.intp]) -> None:
        """Put the three parts behind each other."""
        encoder, _ = self.encoder_and_decoder()
        sources = [layer.get_weights() for layer in [*encoder, *self.embedding.model_.layers] if layer.weights]
        layers = [layer for layer in network.any_model.layers if layer.weights]
        for layer, weights in zip(layers, [*sources, self._mixture_weights(goals)], strict=True):
            network.assign_weights(layer.name, weights)

    def _mixture_weights(self, goals: NDArray[np.intp]) -> list[NDArray[Any]]:
        mixture = getattr(self, "mixture", None)
        if mixture is not None:
            return [np.log(mixture.weights_), mixture.means_, mixture.precisions_cholesky_]
        members = np.eye(goals.max() + 1)[goals[goals >= 0]]
        return ClusterDensities.of(self.places[goals >= 0], members, None).as_mixture()

    def report(self, owner: Any) -> None:
        """Tell of the network that keeps neighbours."""
        owner.history_, owner.n_iter_ = self.embedding.history_, self.embedding.n_iter_
        owner.engine_ = self.embedding.engine_
