"""From sizes to networks that say which cluster a row belongs to, one architecture for each way to find clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from skneural._compat.keras_names import names_from_the_start
from skneural._seeds import seeded_global_generators

from .autoencoder import AutoencoderArchitecture
from .autoencoder import layers_of as layers_of_autoencoder
from .cluster_layers import FirstColumns, GaussianShares, StudentShares
from .column_scaling import ColumnScaling
from .dense import seeded_initializer
from .embedding import EMBEDDING, EmbeddingArchitecture, hidden_layers, image_encoder
from .embedding import layers_of as layers_of_embedding

# Names of layers: how probable each cluster is, and in one layer the places and that.
PROBABILITIES, PLACES_AND_SHARES = "probabilities", "places_and_shares"


class Clustering(Protocol):
    """What a network is built from: layers to train, and those of them that answer."""

    @property
    def n_features(self) -> int: ...
    def layers(self) -> list[keras.layers.Layer]:
        """Make the layers that are trained, from scaled columns on."""
        ...

    def answering_layers(self) -> list[keras.layers.Layer]:
        """Make the layers from scaled columns to probabilities."""
        ...


@dataclass(frozen=True)
class TaughtArchitecture:
    """Hidden layers -> the embedding, a linear layer -> the probabilities of the clusters.

    Rows are scaled columns; of images the hidden layers are convolutions with dense ones behind them.
    """

    n_features: int
    n_components: int
    n_clusters: int
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    image_shape: tuple[int, int, int] | None = None
    augmentation: tuple[tuple[str, Any], ...] = ()
    kernel_initializer: Any = "glorot_uniform"
    dropout: float = 0.0
    l2: float = 0.0

    def layers(self) -> list[keras.layers.Layer]:
        """Make the layers from scaled columns to probabilities."""
        encoder = hidden_layers(self, 1) if self.image_shape is None else image_encoder(self)
        drawn = seeded_initializer(self.kernel_initializer, 0)
        embedding = keras.layers.Dense(self.n_components, kernel_initializer=drawn, name=EMBEDDING)
        return [*encoder, embedding, self._probabilities()]

    answering_layers = layers

    def _probabilities(self) -> keras.layers.Layer:
        if self.n_clusters == 1:
            # A softmax of one unit warns. This one is at its end: one, whatever comes in.
            bias = keras.initializers.Constant(10.0)
            return keras.layers.Dense(
                1, "hard_sigmoid", kernel_initializer="zeros", bias_initializer=bias, name=PROBABILITIES
            )
        drawn = seeded_initializer(self.kernel_initializer, 10)
        return keras.layers.Dense(self.n_clusters, "softmax", kernel_initializer=drawn, name=PROBABILITIES)


@dataclass(frozen=True)
class IdecArchitecture:
    """An encoder -> the embedding -> the shares of clusters beside it -> the decoder of the embedding."""

    autoencoder: AutoencoderArchitecture
    n_clusters: int
    dropout: float = 0.0
    l2: float = 0.0

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return self.autoencoder.n_features

    def layers(self) -> list[keras.layers.Layer]:
        """Make the layers from scaled columns to shares, and on to the reconstruction."""
        encoder, decoder = layers_of_autoencoder(self.autoencoder)
        shares = StudentShares(self.n_clusters, name=PLACES_AND_SHARES)
        places = FirstColumns(self.autoencoder.n_components)
        return [*encoder, keras.layers.Activation("linear", name=EMBEDDING), shares, places, *decoder]

    def answering_layers(self) -> list[keras.layers.Layer]:
        """Make the layers from scaled columns to shares."""
        encoder, _ = layers_of_autoencoder(self.autoencoder)
        shares = StudentShares(self.n_clusters, keeps_places=False, name=PROBABILITIES)
        return [*encoder, keras.layers.Activation("linear", name=EMBEDDING), shares]


@dataclass(frozen=True)
class N2dArchitecture:
    """An encoder -> a network that keeps the neighbours of codes -> the shares of a mixture of normal distributions."""

    autoencoder: AutoencoderArchitecture
    embedding: EmbeddingArchitecture
    n_clusters: int
    dropout: float = 0.0
    l2: float = 0.0

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return self.autoencoder.n_features

    def layers(self) -> list[keras.layers.Layer]:
        """Make the layers from scaled columns to shares."""
        encoder, _ = layers_of_autoencoder(self.autoencoder)
        return [*encoder, *layers_of_embedding(self.embedding), GaussianShares(self.n_clusters, name=PROBABILITIES)]

    answering_layers = layers


def build_clustering(architecture: Clustering) -> keras.Sequential:
    """Build the network to be trained, not compiled."""
    return keras.Sequential([keras.Input((architecture.n_features,)), *architecture.layers()])


def clustering_on_raw_columns(
    architecture: Clustering, scaling: ColumnScaling | None
) -> tuple[keras.Sequential, list[keras.layers.Layer]]:
    """Build the model with the scaling in front, where there is one, and give the layers behind that.

    The weights of these are to be set.
    """
    with seeded_global_generators(0), names_from_the_start():
        front = [] if scaling is None else scaling.layers_in_front(replaces_missing=False)
        layers = architecture.answering_layers()
        model = keras.Sequential([keras.Input((architecture.n_features,)), *front, *layers], name="clustering")
    return model, layers
