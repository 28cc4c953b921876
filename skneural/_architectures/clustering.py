"""From sizes to a network that says which cluster a row belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from skneural._compat.keras_names import names_from_the_start
from skneural._seeds import seeded_global_generators

from .column_scaling import ColumnScaling
from .dense import Architecture, seeded_initializer
from .embedding import hidden_layers, image_encoder

# Names of layers: where a row is, and how probable each cluster is.
EMBEDDING, PROBABILITIES = "embedding", "probabilities"


@dataclass(frozen=True)
class ClusteringArchitecture(Architecture):
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


def build_clustering(architecture: ClusteringArchitecture) -> keras.Sequential:
    """Build the network from scaled columns to probabilities, not compiled."""
    return keras.Sequential([keras.Input((architecture.n_features,)), *layers_of(architecture)])


def layers_of(architecture: ClusteringArchitecture) -> list[keras.layers.Layer]:
    """Make the layers from scaled columns to probabilities."""
    encoder = hidden_layers(architecture, 1) if architecture.image_shape is None else image_encoder(architecture)
    drawn = seeded_initializer(architecture.kernel_initializer, 0)
    embedding = keras.layers.Dense(architecture.n_components, kernel_initializer=drawn, name=EMBEDDING)
    return [*encoder, embedding, _probabilities(architecture)]


def _probabilities(architecture: ClusteringArchitecture) -> keras.layers.Layer:
    if architecture.n_clusters == 1:
        # A softmax of one unit warns. This one is at its end: one, whatever comes in.
        return keras.layers.Dense(
            1,
            "hard_sigmoid",
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(10.0),
            name=PROBABILITIES,
        )
    drawn = seeded_initializer(architecture.kernel_initializer, 10)
    return keras.layers.Dense(architecture.n_clusters, "softmax", kernel_initializer=drawn, name=PROBABILITIES)


def clustering_on_raw_columns(
    architecture: ClusteringArchitecture, scaling: ColumnScaling | None
) -> tuple[keras.Sequential, list[keras.layers.Layer]]:
    """Build the model with the scaling in front, where there is one, and give the layers behind that.

    The weights of these are to be set.
    """
    with seeded_global_generators(0), names_from_the_start():
        front = [] if scaling is None else scaling.layers_in_front(replaces_missing=False)
        layers = layers_of(architecture)
        model = keras.Sequential([keras.Input((architecture.n_features,)), *front, *layers], name="clustering")
    return model, layers
