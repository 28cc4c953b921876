"""Clusters of the codes of an autoencoder, by two papers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
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
from skneural._geometry.weighted_mixture import WeightedMixture, weighted_mixture
from skneural._rows.training_rows import TrainingRows
from skneural._rows.weights import normalize_weights

from .autoencoder import Autoencoder
from .clustering_way import ClusteringWay
from .neighbor_embedding import NeighborEmbedding

_LAYERS_OF_ROWS, _LAYERS_OF_IMAGES = (256, 64), (128,)
_N_STARTS, _N_MIXTURES = 20, 5


def _training_of(owner: Any, part: str) -> dict[str, Any]:
    """Give the epochs of a part, where the owner knows how many, and a folder within the owner's, as arguments."""
    epochs = {} if owner.epochs == "auto" else {"epochs": int(owner.epochs)}
    if owner.checkpoint is None:
        return epochs
    return {**epochs, "checkpoint": os.path.join(owner.checkpoint, part), "checkpoint_every": owner.checkpoint_every}


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
            **_training_of(owner, "autoencoder"),
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
    tol: float

    def prepare(self, owner: Any, rows: TrainingRows) -> None:
        """Train the autoencoder."""
        super().prepare(owner, rows)
        self.tol = float(owner.tol)

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

        renewal = _Renewal(data, n_clusters, self.tol, settings.on_epoch_end)
        return replace(settings, step=idec_step(n_clusters), renew=renewal.renew, on_epoch_end=renewal.is_settled)


class _Renewal:
    """Finds targets for each epoch, and tells when few rows have changed their cluster since the last time.

    Guo et al. 2017, section 4.3.
    """

    def __init__(self, data: _engine.Data, n_clusters: int, tol: float, also: Any) -> None:
        self._data, self._n_clusters, self._tol, self._also = data, n_clusters, tol, also
        self._network: _engine.Network | None = None
        self._shares: NDArray[Any] | None = None

    def _shares_of(self, network: _engine.Network) -> NDArray[Any]:
        return _engine.predict(network, self._data.inputs[0], output=PLACES_AND_SHARES)[:, -self._n_clusters :]

    def renew(self, epoch: int, network: _engine.Network) -> _engine.Data:
        """Give the rows with the targets of an epoch."""
        if self._network is None:
            self._network, self._shares = network, self._shares_of(network)
        assert self._shares is not None
        return replace(self._data, targets=target_shares(self._shares, self._data.sample_weight))

    def is_settled(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Tell, after an epoch, whether less than ``tol`` of the rows have changed their cluster in it."""
        assert self._network is not None
        assert self._shares is not None
        before, self._shares = self._shares, self._shares_of(self._network)
        is_asked = self._also is not None and self._also(epoch, logs)
        return is_asked or changed_share(before, self._shares, self._data.sample_weight) < self._tol


def changed_share(before: NDArray[Any], after: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """Give the share of rows, by weight, whose largest entry is in another column than before."""
    return float(np.average(before.argmax(axis=1) != after.argmax(axis=1), weights=weights))


class N2dClusters(AutoencodedClusters):
    """Not too deep clustering (McConville et al. 2019)."""

    trains_network = False
    mixture: WeightedMixture | None = None

    def prepare(self, owner: Any, rows: TrainingRows) -> None:
        """Train the autoencoder, and a network that keeps the neighbours of its codes."""
        super().prepare(owner, rows)
        # One row alone has no neighbour.
        codes = self.places if rows.n_rows > 1 else np.repeat(self.places, 2, axis=0)
        weights = rows.weights if rows.n_rows > 1 else None
        self.embedding = NeighborEmbedding(
            int(owner.n_components),
            n_neighbors=int(owner.n_neighbors),
            min_dist=0.0,
            random_state=owner._seeds.split,
            **_training_of(owner, "embedding"),
        )._fit_from(codes, None, weights, (None, None, None), {})
        self.places = self.embedding.transform(self.places)

    @threadpool_limits.wrap(limits=1)
    def clusters(self, owner: Any, rows: TrainingRows) -> NDArray[np.intp]:
        """Find the clusters of a mixture of normal distributions."""
        if owner.n_clusters is None:
            return dense_clusters(self.places, owner._smallest_cluster(len(self.places)))
        mixture = weighted_mixture(
            self.places, int(owner.n_clusters), rows.weights, n_starts=_N_MIXTURES, seed=owner._seeds.order
        )
        self.mixture = mixture.without_empty(self.places)
        return self.mixture.labels(self.places)

    def architecture(self, owner: Any, n_clusters: int) -> N2dArchitecture:
        """Describe the network."""
        embedding = self.embedding
        return N2dArchitecture(self.autoencoder._built, embedding._architecture(embedding._head()), n_clusters)

    def begin(self, owner: Any, network: _engine.Network, rows: TrainingRows, goals: NDArray[np.intp]) -> None:
        """Put the three parts behind each other."""
        encoder, _ = self.encoder_and_decoder()
        sources = [layer.get_weights() for layer in [*encoder, *self.embedding.model_.layers] if layer.weights]
        layers = [layer for layer in network.any_model.layers if layer.weights]
        for layer, weights in zip(layers, [*sources, self._mixture_weights(rows, goals)], strict=True):
            network.assign_weights(layer.name, weights)

    def _mixture_weights(self, rows: TrainingRows, goals: NDArray[np.intp]) -> list[NDArray[Any]]:
        if self.mixture is not None:
            return [self.mixture.log_shares, self.mixture.means, self.mixture.factors]
        known = goals >= 0
        weights = None if rows.weights is None else rows.weights[known]
        return ClusterDensities.of(self.places[known], np.eye(goals.max() + 1)[goals[known]], weights).as_mixture()

    def report(self, owner: Any) -> None:
        """Tell of the network that keeps neighbours."""
        owner.history_, owner.n_iter_ = self.embedding.history_, self.embedding.n_iter_
        owner.engine_ = self.embedding.engine_
